//! Tensors as rows of numbers, and work on blocks of rows, in memory that need not have been zeroed before.

// A module of `ops` that may: what has not been written is not read, which is counted here.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, TensorData};
use macerator::Simd;
use rayon::prelude::*;

/// Rows of a block. A constant, since sums are added up block by block.
const BLOCK: usize = 32;
/// Numbers below which one thread is as fast as all.
const PARALLEL: usize = 1 << 14;

/// The same tensor with its numbers in their order, nothing before or behind them. Of one that is so already no second owner is left.
pub fn contiguous(x: FlexTensor) -> FlexTensor {
    x.to_contiguous()
}

/// The numbers of a [`contiguous`] tensor.
pub fn values(x: &FlexTensor) -> &[f32] {
    x.storage()
}

/// The tensor of a shape with these numbers.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// Calls `work` with every block of `values`, samples of `tokens` rows of `width`, and the number of the block's first row. A block
/// holds rows of one sample. Answers come in the blocks' order, with the number of their sample.
fn blocks<T: Send, R: Send>(
    values: &mut [T],
    [tokens, width]: [usize; 2],
    work: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<(usize, R)> {
    let parallel = values.len() >= PARALLEL;
    let samples = values.chunks_mut((tokens * width).max(1)).enumerate();
    let rows = samples.flat_map(|(sample, rows)| {
        let blocks = (sample * tokens..).step_by(BLOCK).zip(rows.chunks_mut(BLOCK * width));
        blocks.map(move |(row, block)| (sample, row, block))
    });
    let work = |(sample, row, block): (usize, usize, &mut [T])| (sample, work(row, block));
    match parallel {
        true => rows.collect::<Vec<_>>().into_par_iter().map(work).collect(),
        false => rows.map(work).collect(),
    }
}

/// As [`blocks`], with the numbers of `x` to begin with, and what `work` made of them as a tensor; in the memory of `x`, unless
/// somebody else holds it too.
pub fn rewrite<R: Send>(
    x: FlexTensor,
    rows: [usize; 2],
    work: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> (FlexTensor, Vec<(usize, R)>) {
    let mut x = contiguous(x);
    if let Some(own) = x.try_storage_mut() {
        let found = blocks(own, rows, work);
        return (x, found);
    }
    let source = values(&x);
    let (copy, found) = fill(rows, source.len(), |row, block| {
        let start = row * rows[1];
        block.push(&source[start..start + block.room()]);
        work(row, block.written())
    });
    (tensor(copy, x.layout().shape().clone()), found)
}

/// `count` numbers that `work` writes, in blocks as of [`blocks`].
pub fn fill<R: Send>(
    rows: [usize; 2],
    count: usize,
    work: impl Fn(usize, &mut Unwritten) -> R + Sync,
) -> (Vec<f32>, Vec<(usize, R)>) {
    let mut values = Vec::with_capacity(count);
    let memory: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..count];
    let found = blocks(memory, rows, |row, block| {
        let mut block = Unwritten::new(block);
        let answer = work(row, &mut block);
        (block.written().len(), answer)
    });
    assert_eq!(found.iter().map(|(_, (written, _))| written).sum::<usize>(), count);
    // SAFETY: all blocks together have written so many numbers, as was just counted, and are no larger.
    unsafe { values.set_len(count) };
    let answers = found.into_iter().map(|(sample, (_, answer))| (sample, answer));
    (values, answers.collect())
}

/// A block of memory, written from its beginning to its end.
pub struct Unwritten<'a> {
    memory: &'a mut [MaybeUninit<f32>],
    /// Numbers from the beginning that are written.
    written: usize,
}

impl<'a> Unwritten<'a> {
    fn new(memory: &'a mut [MaybeUninit<f32>]) -> Self {
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

/// The sums of the blocks' rows of `width`, sample by sample: `[samples * width]`.
pub fn sum_by_sample(parts: &[(usize, Vec<f32>)], samples: usize, width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; samples * width];
    for (sample, part) in parts {
        add_rows(&mut sums[sample * width..][..width], part);
    }
    sums
}

/// The sum of all rows of `width`.
pub fn sum_of_rows(values: &[f32], width: usize) -> Vec<f32> {
    let sum = |rows: &[f32]| {
        let mut sums = vec![0.0; width];
        add_rows(&mut sums, rows);
        sums
    };
    let block = BLOCK * width;
    let parts: Vec<Vec<f32>> = match values.len() >= PARALLEL {
        true => values.par_chunks(block).map(sum).collect(),
        false => values.chunks(block).map(sum).collect(),
    };
    let mut sums = vec![0.0; width];
    for part in &parts {
        add_rows(&mut sums, part);
    }
    sums
}

/// Adds rows of numbers, one after another, to as many others as there are in each.
#[macerator::with_simd]
fn add_rows<S: Simd>(sums: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, term) in sums.iter_mut().zip(row) {
            *sum += term;
        }
    }
}
