//! Arithmetic in the form that compilers turn into vector instructions.
//!
//! Everything here is inlined into kernels under `#[macerator::with_simd]`, which are compiled once for each set of instructions and
//! chosen among when they run. So a result depends on the processor, in its last bits.

/// Running results of a sum or maximum over a row: what order the additions have, and how many can be made at once.
const LANES: usize = 16;

/// `e^x`, to within 2 units in the last place. 0 below -87.7, infinite above 88.4, NaN of NaN.
///
/// By `2^n e^r`, with n whole and `|r| <= ln(2) / 2`, and the polynomial for `e^r` of Cephes' `expf`. A product and a sum are rounded
/// once, which processors with vectors of eight numbers or more do in one instruction, and others in a function of the C library.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Added to a number it leaves the nearest integer, in the lowest bits and, subtracted again, as a float.
    const ROUND: f32 = 12_582_912.0;
    // ln(2) in two parts, of which the first has few digits, so that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const FIRST: f32 = 1.987_569_1e-4;
    const OTHERS: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 5e-1];
    // Where 2^n becomes 0 and infinity.
    let x = x.clamp(-88.0, 88.8);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    let series = OTHERS.into_iter().fold(FIRST, |sum, factor| sum.mul_add(r, factor));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    (series.mul_add(r * r, r) + 1.0) * power
}

/// `sum_i f(a_i, b_i)`, of rows of equal length.
#[inline(always)]
pub fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(*a, *b);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += f(*a, *b);
    }
    lanes.iter().sum()
}

/// The largest number of a row, NaN aside; minus infinity of none.
#[inline(always)]
pub fn maximum(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, *value);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_be_the_exponential() {
        for i in -8700..=8830 {
            let x = i as f32 * 0.01;
            let off = f64::from(exp(x)) / f64::from(x).exp() - 1.0;
            assert!(off.abs() < 2.0 * f64::from(f32::EPSILON), "{x}: {off:e}");
        }
        assert_eq!([-1e9, f32::NEG_INFINITY].map(exp), [0.0; 2]);
        assert_eq!([1e9, f32::INFINITY].map(exp), [f32::INFINITY; 2]);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn should_take_every_number_of_a_row() {
        for length in [0, 1, 15, 16, 17, 50] {
            let row: Vec<f32> = (1..=length).map(|i| i as f32).collect();
            assert_eq!(sum(&row, &row, |a, _| a), row.iter().sum::<f32>());
            for (at, value) in row.iter().enumerate() {
                let mut row = row.clone();
                row[at] = value + 100.0;
                assert_eq!(maximum(&row), value + 100.0);
            }
        }
        assert_eq!(maximum(&[]), f32::NEG_INFINITY);
    }
}
