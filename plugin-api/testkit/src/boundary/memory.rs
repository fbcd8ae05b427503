//! The plugin's memory: texts, lists, size-first structs.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use sextant_plugin_api::abi::{Array, Text};

/// A copy of a size-first struct, as much of it as both sides know; the rest is zero.
///
/// # Safety
/// `from` points to as many readable bytes as its first field says, and zeros are a `T`.
pub(super) unsafe fn read<T: Copy>(from: *const c_void) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the caller's promise; no more is copied than the smaller of both.
    unsafe {
        let bytes = (from.cast::<u64>().read_unaligned() as usize).min(size_of::<T>());
        ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), bytes);
        value.assume_init()
    }
}

/// # Safety
/// The array is valid for its length, and its elements begin with a `T`.
pub(super) unsafe fn elements<T: Copy>(array: &Array) -> Vec<T> {
    let first = array.ptr.cast::<u8>();
    // SAFETY: the caller's promise, for each index below the length.
    let element = |i: usize| unsafe { first.add(i * array.stride as usize).cast::<T>().read_unaligned() };
    (0..array.len as usize).map(element).collect()
}

/// A text of the plugin's; bytes that are not UTF-8 become the replacement character.
pub(super) fn string(text: &Text) -> String {
    match text.len {
        0 => String::new(),
        // SAFETY: the plugin's texts are readable during the call that brings them.
        len => String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text.ptr, len as usize) }).into_owned(),
    }
}
