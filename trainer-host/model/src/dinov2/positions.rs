//! The position table at another number of patches: PyTorch's two bicubic interpolations, in f64.

/// Ways of bringing a position table to another grid. On its own grid nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// `interpolate(mode="bicubic")`: the four nearest places, with a = -0.75. As transformers does it without registers.
    Plain,
    /// `interpolate(mode="bicubic", antialias=True)`: all places that a coarser one covers, with a = -0.5. As transformers does it
    /// with registers, and REPA (by way of timm) always.
    Antialiased,
}

impl Resampling {
    /// Square `table` `[from, from, width]` at `[to, to, width]`.
    pub(super) fn apply(self, table: &[f32], from: usize, to: usize, width: usize) -> Vec<f32> {
        let weights: Vec<_> = (0..to).map(|at| self.weights(from, to, at)).collect();
        let mut columns = vec![0.0f64; from * to * width];
        for (row, target) in columns.chunks_exact_mut(to * width).enumerate() {
            for (taps, target) in weights.iter().zip(target.chunks_exact_mut(width)) {
                for &(column, weight) in taps {
                    let source = &table[(row * from + column) * width..][..width];
                    for (sum, value) in target.iter_mut().zip(source) {
                        *sum += weight * f64::from(*value);
                    }
                }
            }
        }
        let mut resampled = Vec::with_capacity(to * to * width);
        for taps in &weights {
            for at in 0..to * width {
                let sum: f64 = taps
                    .iter()
                    .map(|&(row, weight)| weight * columns[row * to * width + at])
                    .sum();
                resampled.push(sum as f32);
            }
        }
        resampled
    }

    /// Places of `from`, with their weights, that make up place `at` of `to`.
    fn weights(self, from: usize, to: usize, at: usize) -> Vec<(usize, f64)> {
        let scale = from as f64 / to as f64;
        let last = from as isize - 1;
        match self {
            Self::Plain => {
                let place = scale * (at as f64 + 0.5) - 0.5;
                let first = place.floor() as isize - 1;
                let tap = |index: isize| (index.clamp(0, last) as usize, cubic(place - index as f64, -0.75));
                (first..first + 4).map(tap).collect()
            }
            Self::Antialiased => {
                let stretch = scale.max(1.0);
                let centre = scale * (at as f64 + 0.5);
                let first = ((centre - 2.0 * stretch + 0.5) as isize).max(0);
                let end = ((centre + 2.0 * stretch + 0.5) as isize).min(last + 1);
                let weight = |index: isize| cubic((index as f64 + 0.5 - centre) / stretch, -0.5);
                let sum: f64 = (first..end).map(weight).sum();
                (first..end)
                    .map(|index| (index as usize, weight(index) / sum))
                    .collect()
            }
        }
    }
}

/// The cubic convolution kernel (Keys 1981), which is 0 at a distance of 2 and beyond.
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        a * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_keep_a_constant_table_and_its_own_grid() {
        let table: Vec<f32> = (0..4 * 4 * 2).map(|at| (at as f32).sin()).collect();
        for resampling in [Resampling::Plain, Resampling::Antialiased] {
            for (found, wanted) in resampling.apply(&table, 4, 4, 2).iter().zip(&table) {
                assert!((found - wanted).abs() < 1e-6, "{resampling:?}");
            }
            for to in [1, 3, 9] {
                let flat = resampling.apply(&[0.5; 32], 4, to, 2);
                assert_eq!(flat.len(), to * to * 2);
                assert!(
                    flat.iter().all(|value| (value - 0.5).abs() < 1e-6),
                    "{resampling:?} {to}"
                );
            }
        }
    }
}
