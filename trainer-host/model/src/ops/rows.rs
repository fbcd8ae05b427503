//! Tensors as rows of numbers, and work on blocks of rows.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, TensorData};
use rayon::prelude::*;

/// Rows of a block. A constant, since sums are added up block by block.
const BLOCK: usize = 32;
/// Numbers below which one thread is as fast as all.
const PARALLEL: usize = 1 << 14;

/// The same tensor with its numbers in their order, nothing before or behind them.
pub fn contiguous(x: FlexTensor) -> FlexTensor {
    let whole = x.storage::<f32>().len() == x.layout().num_elements();
    match whole && x.is_contiguous() && x.layout().start_offset() == 0 {
        true => x,
        false => x.to_contiguous(),
    }
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
pub fn blocks<R: Send>(
    values: &mut [f32],
    [tokens, width]: [usize; 2],
    work: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> Vec<(usize, R)> {
    let parallel = values.len() >= PARALLEL;
    let samples = values.chunks_mut((tokens * width).max(1)).enumerate();
    let rows = samples.flat_map(|(sample, rows)| {
        let blocks = (sample * tokens..).step_by(BLOCK).zip(rows.chunks_mut(BLOCK * width));
        blocks.map(move |(row, block)| (sample, row, block))
    });
    let work = |(sample, row, block): (usize, usize, &mut [f32])| (sample, work(row, block));
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
    let mut copy = vec![0.0; source.len()];
    let found = blocks(&mut copy, rows, |row, block| {
        let start = row * rows[1];
        block.copy_from_slice(&source[start..start + block.len()]);
        work(row, block)
    });
    (tensor(copy, x.layout().shape().clone()), found)
}

/// The sums of the blocks' rows of `width`, sample by sample: `[samples * width]`.
pub fn sum_by_sample(parts: &[(usize, Vec<f32>)], samples: usize, width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; samples * width];
    for (sample, part) in parts {
        for (sum, part) in sums[sample * width..][..width].iter_mut().zip(part) {
            *sum += part;
        }
    }
    sums
}
