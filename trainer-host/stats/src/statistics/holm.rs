//! Holm's step-down correction for several tests at once.
//!
//! Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6. The
//! chance of one or more false rejections stays at the error rate whatever the tests have to do with each other, which
//! matters here: all variants are compared with the same baseline runs.

/// The adjusted p values, in the order given: reject those that are at most the error rate of the family.
///
/// With p sorted, p̃₍ᵢ₎ = max over j ≤ i of min(1, (m - j + 1) p₍ⱼ₎). A test that could not be made is to be given as
/// 1, so that a family does not become easier because a run failed.
pub fn adjust(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least = 0.0_f64;
    for (done, index) in order.into_iter().enumerate() {
        least = least.max(p[index] * (p.len() - done) as f64).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answers of R's `p.adjust(p, "holm")`.
    #[test]
    fn known_answers() {
        let close = |p: &[f64], expected: &[f64]| {
            let ours = adjust(p);
            assert_eq!(ours.len(), expected.len());
            assert!(
                ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15),
                "{ours:?} is not {expected:?}"
            );
        };
        close(&[0.01, 0.04, 0.03, 0.005], &[0.03, 0.06, 0.06, 0.02]);
        close(&[0.01, 0.02, 0.03, 0.04], &[0.04, 0.06, 0.06, 0.06]);
        close(&[0.5, 0.6], &[1.0, 1.0]);
        close(&[0.03], &[0.03]);
        close(&[], &[]);
    }

    fn family() -> impl Strategy<Value = Vec<f64>> {
        // Coarse ones among them, so that ties happen.
        let p = prop_oneof![
            0.0..=1.0_f64,
            (0..=20_u8).prop_map(|i| f64::from(i) / 20.0),
            0.0..0.02_f64
        ];
        proptest::collection::vec(p, 0..12)
    }

    proptest! {
        #[test]
        fn adjusted_is_between_p_and_bonferroni(p in family()) {
            for (adjusted, p_one) in adjust(&p).into_iter().zip(&p) {
                prop_assert!(adjusted >= *p_one && adjusted <= (p.len() as f64 * p_one).min(1.0));
            }
        }

        #[test]
        fn order_does_not_matter(p in family(), turn in 0..12_usize) {
            let mut turned: Vec<usize> = (0..p.len()).rev().collect();
            turned.rotate_left(turn % p.len().max(1));
            let adjusted = adjust(&p);
            let other = adjust(&turned.iter().map(|at| p[*at]).collect::<Vec<_>>());
            prop_assert!(turned.iter().zip(&other).all(|(at, other)| adjusted[*at] == *other));
        }

        #[test]
        fn one_test_more_makes_none_easier(p in family(), more in 0.0..=1.0_f64) {
            let alone = adjust(&p);
            let mut with = p;
            with.push(more);
            prop_assert!(adjust(&with).iter().zip(&alone).all(|(w, a)| w >= a));
        }
    }
}
