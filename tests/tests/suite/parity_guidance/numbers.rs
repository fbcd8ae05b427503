//! Plain numbers.

use burn::tensor::TensorData;

/// Extents of a tensor of tokens.
pub fn dims(data: &TensorData) -> [usize; 3] {
    data.shape().to_vec().try_into().expect("three dimensions")
}

/// Numbers without a pattern that a mean would hide.
pub fn wave(count: usize, phase: f64) -> Vec<f64> {
    (0..count)
        .map(|i| 2.0 * (1.7 * i as f64 + phase).sin())
        .map(|v| f64::from(v as f32))
        .collect()
}

/// Softmax of each run of `row` numbers.
pub fn softmax(logits: &[f64], row: usize) -> Vec<f64> {
    let rows = logits.chunks(row).flat_map(|row| {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(move |v| v.exp() / sum)
    });
    rows.collect()
}

/// In f32.
pub fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// Norm of the difference over the norm of what is wanted.
pub fn relative(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let off = square(&mut found.iter().zip(wanted).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (off / square(&mut wanted.iter().map(|v| f64::from(*v))).max(f64::MIN_POSITIVE)).sqrt()
}
