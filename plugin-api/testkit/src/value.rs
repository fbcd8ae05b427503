//! Numbers in memory.

use sextant_plugin_api::DType;

/// A tensor of the testkit's host: float64 numbers in row-major order, whatever the element type says. So a law that is
/// exact on paper is tested to fifteen digits; what bf16 makes of it, `sextant plugin check` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Extents; none for a scalar.
    pub shape: Vec<usize>,
    /// Elements; integers and truth values (0 and 1) are kept as floats too.
    pub data: Vec<f64>,
    /// The elements' type, as the source is told.
    pub dtype: DType,
}

impl Value {
    /// An f32 tensor (by name).
    ///
    /// # Panics
    /// If the numbers do not fill the shape.
    pub fn new(shape: impl AsRef<[usize]>, data: impl Into<Vec<f64>>) -> Self {
        let (shape, data) = (shape.as_ref().to_vec(), data.into());
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "numbers do not fill {shape:?}"
        );
        let dtype = DType::F32;
        Self { shape, data, dtype }
    }

    /// Equal elements.
    pub fn full(shape: impl AsRef<[usize]>, value: f64) -> Self {
        Self::from_fn(shape, |_| value)
    }

    /// The element at each index.
    pub fn from_fn(shape: impl AsRef<[usize]>, mut element: impl FnMut(&[usize]) -> f64) -> Self {
        let shape = shape.as_ref().to_vec();
        let mut index = vec![0; shape.len()];
        let mut data = Vec::with_capacity(shape.iter().product());
        for _ in 0..shape.iter().product() {
            data.push(element(&index));
            for (i, extent) in index.iter_mut().zip(&shape).rev() {
                *i += 1;
                if *i < *extent {
                    break;
                }
                *i = 0;
            }
        }
        Self::new(shape, data)
    }

    /// The square matrix of ones on the diagonal.
    pub fn identity(extent: usize) -> Self {
        Self::from_fn([extent, extent], |index| f64::from(u8::from(index[0] == index[1])))
    }

    /// The same numbers under another element type.
    pub fn of(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// A function of each element.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            data: self.data.iter().map(|v| f(*v)).collect(),
            ..self.clone()
        }
    }

    /// Probabilities over the last dimension.
    pub fn softmax(&self) -> Self {
        let width = self.shape.last().copied().unwrap_or(1).max(1);
        let mut result = self.map(f64::exp);
        for row in result.data.chunks_mut(width) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
        }
        result
    }

    /// A function of the elements of two tensors of one shape.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape, "shapes differ");
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect();
        Self { data, ..self.clone() }
    }

    /// The element at an index. An extent of 1 counts for any index, so that it broadcasts.
    pub fn at(&self, index: &[usize]) -> f64 {
        let place = index.iter().zip(&self.shape).fold(0, |place, (i, extent)| {
            place * extent + if *extent == 1 { 0 } else { *i }
        });
        self.data[place]
    }

    /// Rows of the first dimension, by number.
    pub fn rows(&self, numbers: &[usize]) -> Self {
        let width: usize = self.shape[1..].iter().product();
        let data = numbers.iter().flat_map(|row| &self.data[row * width..][..width]);
        let mut shape = self.shape.clone();
        shape[0] = numbers.len();
        Self::new(shape, data.copied().collect::<Vec<_>>()).of(self.dtype)
    }

    /// Tokens `[B, T, D]`, each multiplied by its own number; `factors` go round.
    pub fn scale_tokens(&self, factors: &[f64]) -> Self {
        let width = self.shape.last().copied().unwrap_or(1).max(1);
        let scaled = self.data.iter().enumerate();
        let data: Vec<f64> = scaled.map(|(i, v)| v * factors[i / width % factors.len()]).collect();
        Self { data, ..self.clone() }
    }

    /// True if the elements are floats of some width.
    pub fn is_float(&self) -> bool {
        !matches!(self.dtype, DType::Int | DType::Bool)
    }
}
