//! Reading what a plugin wrote, and lending it what it may read.
//!
//! Everything that crosses is copied at once into owned values; the rest of the host never sees a foreign pointer. What
//! a pointer promises (that it is valid for its length during the call) cannot be checked: a plugin is trusted native code.
//! All that can be checked (nulls, lengths, strides, sizes, UTF-8) is.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::{offset_of, size_of};

use sextant_plugin_api::abi::{
    self, Array, BufferInfo, Cast, Conv2d, Dim, Dims, Download, Forward, Full, Interpolate, Message, Named, NewShape,
    ParameterInfo, Random, Range, Scalar, ScatterTo, Slice, Status, Tap, Text, Upload,
};

use super::fault::Fault;

/// Bytes that one text may have; beyond it, a length is taken for garbage.
const MAX_TEXT: u64 = 1 << 20;
/// Bytes of a message or a line of the log that are shown.
const MAX_SHOWN: u64 = 1 << 14;

/// A struct of integers, floats and pointers, for which every bit pattern is a value.
///
/// # Safety
/// The type must be `Copy`, without references, enums, `bool` or other types that have invalid bit patterns.
pub(super) unsafe trait Plain: Copy {
    /// Its bytes in the version that brought it: what a library of any version has at least. The rest reads as zero.
    const FIRST: usize = size_of::<Self>();
}

/// A struct that begins with its size in a `u64`, and of which zeros are a value.
///
/// # Safety
/// Both must be so.
pub(super) unsafe trait SizeFirst: Sized {
    /// The struct as its caller passes it: its size, then zeros.
    fn blank() -> Self {
        let size = size_of::<Self>() as u64;
        // SAFETY: eight bytes are read of the size, and zeros are a value of the rest.
        unsafe { prefix((&raw const size).cast(), size_of_val(&size) as u64) }
    }
}

macro_rules! of_the_contract {
    ($trait:ident: $($type:ty),* $(,)?) => {$(
        // SAFETY: a `#[repr(C)]` struct of integers, floats, raw pointers and nullable functions only, or one of these
        // itself; with its size in front where the trait asks for it.
        unsafe impl $trait for $type {}
    )*};
}

of_the_contract!(Plain: u8, u32, u64, i64, f32, Text, Tap, ParameterInfo, BufferInfo, Named, abi::SettingInfo);
of_the_contract!(Plain: Scalar, Range, Dim, Dims, NewShape, Slice, ScatterTo, Conv2d, Interpolate, Full, Upload, Random);
of_the_contract!(Plain: Cast, Download);
of_the_contract!(SizeFirst: Scalar, Range, Dim, Dims, NewShape, Slice, ScatterTo, Conv2d, Interpolate, Full, Upload);
of_the_contract!(SizeFirst: Random, Cast, Download, Forward, abi::Plan, abi::Guided, Message);

// SAFETY: as those above.
unsafe impl Plain for Forward {
    // 1.2 added the kinds.
    const FIRST: usize = offset_of!(Self, kinds);
}

/// The text, copied.
///
/// # Safety
/// `text.ptr` must be valid for reading `text.len` bytes, unless it is null.
pub(super) unsafe fn text(text: Text, what: &str) -> Result<String, Fault> {
    if text.len == 0 {
        return Ok(String::new());
    }
    if text.ptr.is_null() || text.len > MAX_TEXT {
        return Err(Fault::Memory(format!(
            "{what} is not a text: it is null, or longer than {MAX_TEXT} bytes"
        )));
    }
    // SAFETY: the caller promises that the bytes can be read; the length is bounded above.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len as usize) };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Fault::Memory(format!("{what} is not UTF-8"))),
    }
}

/// The elements, copied, each as far as this host knows it; `most` is how many there can be, so that no length of a
/// plugin's decides how much memory the host takes.
///
/// # Safety
/// `array.ptr` must be valid for reading `array.len` elements that are `array.stride` bytes apart, unless it is null.
pub(super) unsafe fn list<T: Plain>(array: Array, most: usize, what: &str) -> Result<Vec<T>, Fault> {
    if array.len == 0 {
        return Ok(Vec::new());
    }
    let refused = |reason: String| Err(Fault::Memory(reason));
    let Array { ptr, len, stride } = array;
    if len > most as u64 {
        return refused(format!("{what} has {len} elements, at most {most} are possible"));
    }
    if ptr.is_null() {
        return refused(format!("{what} has {len} elements, but its pointer is null"));
    }
    let least = T::FIRST as u64;
    if !(least..=1 << 16).contains(&stride) {
        return refused(format!(
            "elements of {what} are {stride} bytes apart, at least {least} are needed"
        ));
    }
    let first = ptr.cast::<u8>();
    Ok((0..len as usize)
        // SAFETY: the caller promises `len` elements `stride` bytes apart, and every bit pattern is a `T`.
        .map(|i| unsafe { prefix(first.add(i * stride as usize).cast::<T>(), stride) })
        .collect())
}

/// Copies a struct of which the other side knows `size` bytes: what it does not know is zero.
///
/// # Safety
/// `pointer` must be valid for reading `size` bytes, and zeros must be a value of every field that they do not reach.
pub(super) unsafe fn prefix<T>(pointer: *const T, size: u64) -> T {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    let known = (size as usize).min(size_of::<T>());
    // SAFETY: no more than both sides know is copied; the rest is zero, which the caller promises to be a value.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        value.assume_init()
    }
}

/// Lends a text for the length of a call.
pub(super) fn lend_text(text: &str) -> Text {
    Text {
        ptr: text.as_ptr(),
        len: text.len() as u64,
    }
}

/// Lends a list for the length of a call.
pub(super) fn lend_list<T>(list: &[T]) -> Array {
    Array {
        ptr: list.as_ptr().cast::<c_void>(),
        len: list.len() as u64,
        stride: size_of::<T>() as u64,
    }
}

/// An array without elements.
#[cfg(test)]
pub(super) const NO_LIST: Array = Array {
    ptr: std::ptr::null(),
    len: 0,
    stride: 0,
};

/// The outcome of a call that was passed a fresh [`Message`], whose words are copied and released.
pub(super) fn told(status: Status, message: &mut Message) -> Result<(), Fault> {
    // SAFETY: whoever filled the message keeps its text alive until `release`.
    let words = unsafe { lossy(message.text) };
    if let Some(release) = message.release {
        // SAFETY: the message is the one that the callee filled, and it is released once.
        unsafe { release(message) };
    }
    match status {
        abi::OK => Ok(()),
        _ if words.is_empty() => Err(Fault::Told("it gave no reason".into())),
        _ => Err(Fault::Told(words)),
    }
}

/// The text, with what is not UTF-8 or would steer a terminal replaced, and cut where it is too long: for messages, which
/// are shown whatever they hold.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn lossy(text: Text) -> String {
    if text.ptr.is_null() || text.len == 0 || text.len > u64::from(u32::MAX) {
        return String::new();
    }
    // SAFETY: the caller promises that the bytes can be read; no more are.
    let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len.min(MAX_SHOWN) as usize) };
    let mut words: String = String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    if text.len > MAX_SHOWN {
        words.push('…');
    }
    words
}

/// The attribute struct of one call, not yet read.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    pointer: *const c_void,
}

impl Attributes {
    /// None given.
    #[cfg(test)]
    pub const NONE: Self = Self {
        pointer: std::ptr::null(),
    };

    /// # Safety
    /// `pointer` is null or valid, while this value lives, for the number of bytes that its first `u64` states; and so are
    /// the lists and texts inside, for their lengths.
    pub(super) unsafe fn new(pointer: *const c_void) -> Self {
        Self { pointer }
    }

    /// The struct, if what the plugin gave is at least as long.
    pub(super) fn read<T: Plain + SizeFirst>(&self) -> Result<T, Fault> {
        if self.pointer.is_null() {
            return Err(Fault::Memory("its attributes are missing".into()));
        }
        // SAFETY: `new` promises a size in the first eight bytes.
        let size = unsafe { self.pointer.cast::<u64>().read_unaligned() };
        if size < T::FIRST as u64 {
            let least = T::FIRST;
            return Err(Fault::Memory(format!(
                "its attributes are {size} bytes long, at least {least} are needed"
            )));
        }
        // SAFETY: `new` promises `size` bytes, and every bit pattern is a `T`.
        Ok(unsafe { prefix(self.pointer.cast::<T>(), size) })
    }

    /// A list inside the struct.
    pub(super) fn list<T: Plain>(&self, array: Array, most: usize, what: &str) -> Result<Vec<T>, Fault> {
        // SAFETY: `new` promises that lists inside the struct are valid.
        unsafe { list(array, most, what) }
    }

    /// A text inside the struct.
    pub(super) fn text(&self, inner: Text, what: &str) -> Result<String, Fault> {
        // SAFETY: `new` promises that texts inside the struct are valid.
        unsafe { text(inner, what) }
    }

    /// Writes the bytes to memory of the plugin's that the struct names; the lengths must agree.
    pub(super) fn write(&self, target: *mut u8, capacity: u64, bytes: &[u8]) -> Result<(), Fault> {
        if capacity != bytes.len() as u64 {
            let elements = bytes.len();
            return Err(Fault::Memory(format!(
                "the memory given is {capacity} bytes long, the tensor has {elements}"
            )));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if target.is_null() {
            return Err(Fault::Memory("the memory given is null".into()));
        }
        // SAFETY: `new` promises that memory named inside the struct is valid for its length, which was compared above;
        // the plugin's memory and the host's do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        Ok(())
    }
}
