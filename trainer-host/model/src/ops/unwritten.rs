//! Memory that is written once, with no zeros before.

// A module of `ops` that may: what has not been written is not read, which is counted here.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// A block of memory, written from its beginning to its end.
pub struct Unwritten<'a> {
    memory: &'a mut [MaybeUninit<f32>],
    /// Numbers from the beginning that are written.
    written: usize,
}

impl<'a> Unwritten<'a> {
    /// Of memory in which nothing is.
    pub fn new(memory: &'a mut [MaybeUninit<f32>]) -> Self {
        Self { memory, written: 0 }
    }

    /// Writes numbers behind the others. Panics if there is no room for them.
    pub fn push(&mut self, values: &[f32]) {
        self.memory[self.written..][..values.len()].write_copy_of_slice(values);
        self.written += values.len();
    }

    /// Numbers for which there is room.
    pub fn room(&self) -> usize {
        self.memory.len() - self.written
    }

    /// The numbers so far.
    pub fn written(&mut self) -> &mut [f32] {
        // SAFETY: `push` is all that moves the end, and has written what lies before it.
        unsafe { self.memory[..self.written].assume_init_mut() }
    }
}

/// `count` numbers, as `write` writes them into memory of that size. Panics if it says that they are written and they are not.
pub fn written<R>(count: usize, write: impl FnOnce(&mut [MaybeUninit<f32>]) -> (usize, R)) -> (Vec<f32>, R) {
    let mut values = Vec::with_capacity(count);
    let (written, result) = write(&mut values.spare_capacity_mut()[..count]);
    assert_eq!(written, count);
    // SAFETY: so many numbers are written, as the sum of what each block has counted.
    unsafe { values.set_len(count) };
    (values, result)
}
