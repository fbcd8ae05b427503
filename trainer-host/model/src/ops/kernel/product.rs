//! Products of matrices that may lie in memory in any way.
//!
//! burn's product writes zeros first, on one thread, into what it then overwrites: in a step of a small transformer that is a tenth of the
//! time. Here the product, or the row that is added to each of its rows, is the first that is written.

// A module of `ops` that may: the products are those of `gemm`, which takes pointers.
#![allow(unsafe_code)]

use burn::backend::flex::FlexTensor;
use gemm::Parallelism;
use macerator::Simd;

use super::rows::fill;

/// Multiplications of a product that is worth all threads.
const PARALLEL: usize = 1 << 20;

/// Numbers that are rows and columns of a matrix.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Of `values`, rows side by side with nothing between them.
    pub fn of_rows(values: &'a [f32], width: usize) -> Self {
        let rows = values.len().checked_div(width).unwrap_or(0);
        Self {
            values,
            shape: [rows, width],
            strides: [width, 1],
        }
    }

    /// Some rows, and some columns of them.
    pub fn part(self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Self {
        assert!(rows.end <= self.shape[0] && columns.end <= self.shape[1]);
        let [down, right] = self.strides;
        Self {
            values: &self.values[(rows.start * down + columns.start * right).min(self.values.len())..],
            shape: [rows.len(), columns.len()],
            strides: self.strides,
        }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self {
            shape: [columns, rows],
            strides: [right, down],
            ..self
        }
    }

    /// One row, whose numbers lie side by side.
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(self.strides[1] == 1);
        &self.values[index * self.strides[0]..][..self.shape[1]]
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// One more than the index of the last number.
    fn reach(&self) -> usize {
        match self.shape.contains(&0) {
            true => 0,
            false => (self.shape[0] - 1) * self.strides[0] + (self.shape[1] - 1) * self.strides[1] + 1,
        }
    }
}

/// A matrix of two dimensions, in whatever order its numbers lie.
pub fn matrix(x: &FlexTensor) -> Matrix<'_> {
    let layout = x.layout();
    let [rows, columns] = layout.shape().dims();
    let stride = |axis: usize| usize::try_from(layout.strides()[axis]).expect("a matrix that is not mirrored");
    Matrix {
        values: &x.storage::<f32>()[layout.start_offset()..],
        shape: [rows, columns],
        strides: [stride(0), stride(1)],
    }
}

/// `A B`, row by row; on all threads if it is large.
pub fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    if b.rows() <= 2 && b.strides[1] == 1 && a.rows() * b.shape[1] >= PARALLEL {
        return outer(a, b);
    }
    let mut values = Vec::new();
    multiply(a, b, &mut values, threads(a, b));
    values
}

/// `A B` with `row` added to every row; on all threads if it is large.
pub fn product_plus(a: Matrix, b: Matrix, row: &[f32]) -> Vec<f32> {
    let shape = [a.shape[0], b.shape[1]];
    let (mut values, _) = fill(shape, shape[0] * shape[1], |_, block| {
        while block.room() > 0 {
            block.push(row);
        }
    });
    add_product(a, b, &mut values, threads(a, b));
    values
}

/// `A B` where A has one or two columns, which `gemm` would do on one thread: the weights' gradient of so many samples' modulation.
fn outer(a: Matrix, b: Matrix) -> Vec<f32> {
    assert_eq!(a.shape[1], b.rows(), "the columns of A and the rows of B");
    let width = b.shape[1];
    let (values, _) = fill([a.rows(), width], a.rows() * width, |first, block| {
        let mut sums = vec![0.0; width];
        for row in (first..).take(block.room() / width) {
            sums.fill(0.0);
            for column in 0..b.rows() {
                let factor = a.values[row * a.strides[0] + column * a.strides[1]];
                add_multiple(&mut sums, factor, b.row(column));
            }
            block.push(&sums);
        }
    });
    values
}

/// Adds a multiple of a row to another.
#[macerator::with_simd]
fn add_multiple<S: Simd>(sums: &mut [f32], factor: f32, row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

/// `A B` in the memory of `values`, on this thread.
pub fn product_into(a: Matrix, b: Matrix, values: &mut Vec<f32>) {
    multiply(a, b, values, Parallelism::None);
}

/// Adds `A B` to `sums`, on this thread.
pub fn add_product_to(a: Matrix, b: Matrix, sums: &mut [f32]) {
    add_product(a, b, sums, Parallelism::None);
}

fn threads(a: Matrix, b: Matrix) -> Parallelism {
    match a.shape[0] * a.shape[1] * b.shape[1] >= PARALLEL {
        true => Parallelism::Rayon(0),
        false => Parallelism::None,
    }
}

fn multiply(a: Matrix, b: Matrix, values: &mut Vec<f32>, threads: Parallelism) {
    let count = a.shape[0] * b.shape[1];
    values.clear();
    values.reserve(count);
    // SAFETY: `values` has memory for the product, which is written without being read, and has no other owner.
    unsafe {
        call(a, b, values.as_mut_ptr(), false, threads);
        values.set_len(count);
    }
}

fn add_product(a: Matrix, b: Matrix, sums: &mut [f32], threads: Parallelism) {
    assert_eq!(sums.len(), a.shape[0] * b.shape[1]);
    // SAFETY: `sums` are as many numbers as the product has, and nobody else's.
    unsafe { call(a, b, sums.as_mut_ptr(), true, threads) }
}

/// Writes `A B` to `target`, or adds it to what is there.
///
/// # Safety
/// `target` must be memory for the rows of the product, which nobody else uses; numbers already, where it `adds`.
unsafe fn call(a: Matrix, b: Matrix, target: *mut f32, adds: bool, threads: Parallelism) {
    let ([m, k], [rows, n]) = (a.shape, b.shape);
    assert_eq!(k, rows, "the columns of A and the rows of B");
    assert!(a.reach() <= a.values.len() && b.reach() <= b.values.len());
    if m == 0 || n == 0 {
        return;
    }
    let [a_down, a_right] = a.strides.map(|stride| stride as isize);
    let [b_down, b_right] = b.strides.map(|stride| stride as isize);
    let kept = f32::from(u8::from(adds));
    // SAFETY: no stride leads out of the matrices' numbers, as was just checked, and the caller promises as much of `target`, whose rows
    // lie side by side.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target,
            1,
            n as isize,
            adds,
            a.values.as_ptr(),
            a_right,
            a_down,
            b.values.as_ptr(),
            b_right,
            b_down,
            kept,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::{assert_close, tensor};
    use burn::backend::DispatchTensorKind;
    use burn::tensor::{Tensor, TensorData};
    use proptest::prelude::*;

    fn flex(x: &Tensor<2>) -> FlexTensor {
        let DispatchTensorKind::Flex(x) = x.clone().into_dispatch().kind else {
            panic!("a tensor of flex")
        };
        x.as_float().clone()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn should_be_the_products_of_burn(
            m in 1..40_usize, k in 1..40_usize, n in 1..40_usize, turned: [bool; 2], cut in 0..3_usize, seed: u64,
        ) {
            // Of larger matrices, a part; turned in memory or not.
            let part = |shape: [usize; 2], turned: bool, seed: u64| {
                let [rows, columns] = shape.map(|extent| extent + cut);
                let whole = match turned {
                    true => tensor([columns, rows], 1.0, seed).transpose(),
                    false => tensor([rows, columns], 1.0, seed),
                };
                whole.narrow(0, cut, shape[0]).narrow(1, cut, shape[1])
            };
            let (a, b) = (part([m, k], turned[0], seed), part([k, n], turned[1], seed ^ 1));
            let row = tensor([1, n], 1.0, seed ^ 2);
            let wanted = a.clone().matmul(b.clone());
            let (a, b) = (flex(&a), flex(&b));
            let (a, b) = (matrix(&a), matrix(&b));
            let data = |values| TensorData::new(values, [m, n]);
            assert_close(&data(product(a, b)), &wanted.to_data(), 1e-5);
            let sums = product_plus(a, b, flex(&row).storage());
            assert_close(&data(sums), &(wanted + row).into_data(), 1e-5);
        }
    }

    #[test]
    fn should_be_the_product_of_burn_where_few_numbers_make_many() {
        for few in [1, 2] {
            let (a, b) = (tensor([few, 1300], 1.0, 3).transpose(), tensor([few, 900], 1.0, 4));
            let wanted = a.clone().matmul(b.clone()).into_data();
            let (a, b) = (flex(&a), flex(&b));
            let values = product(matrix(&a), matrix(&b));
            assert_close(&TensorData::new(values, [1300, 900]), &wanted, 1e-6);
        }
    }

    #[test]
    fn should_be_zero_where_nothing_is_added_up() {
        let (a, b) = (Matrix::of_rows(&[], 0), Matrix::of_rows(&[], 2));
        let a = Matrix { shape: [3, 0], ..a };
        assert_eq!(product(a, b), [0.0; 6]);
        assert_eq!(
            product(Matrix::of_rows(&[], 2), Matrix::of_rows(&[1.0; 4], 2)),
            [0.0; 0]
        );
    }

    #[test]
    #[should_panic(expected = "columns of A")]
    fn should_refuse_what_does_not_fit() {
        product(Matrix::of_rows(&[1.0; 4], 2), Matrix::of_rows(&[1.0; 6], 2));
    }
}
