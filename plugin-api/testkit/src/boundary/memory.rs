//! The contract's plain types: texts, lists, shapes, size-first structs.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use sextant_plugin_api::abi::{Array, Handle, MAX_RANK, Shape, TensorRef, Text};

use crate::Value;

pub(super) fn tensor(handle: Handle, value: &Value) -> TensorRef {
    TensorRef {
        handle,
        dtype: value.dtype as u32,
        reserved: 0,
        shape: shape(&value.shape),
    }
}

pub(super) fn shape(extents: &[usize]) -> Shape {
    let mut shape = Shape {
        rank: extents.len() as u32,
        ..Shape::default()
    };
    for (to, from) in shape.dims.iter_mut().zip(extents) {
        *to = *from as u64;
    }
    shape
}

pub(super) fn extents(shape: &Shape) -> Vec<usize> {
    let rank = (shape.rank as usize).min(MAX_RANK);
    shape.dims[..rank].iter().map(|d| *d as usize).collect()
}

pub(super) fn text(text: &str) -> Text {
    Text {
        ptr: text.as_ptr(),
        len: text.len() as u64,
    }
}

pub(super) fn array<T>(list: &[T]) -> Array {
    Array {
        ptr: list.as_ptr().cast(),
        len: list.len() as u64,
        stride: size_of::<T>() as u64,
    }
}

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
