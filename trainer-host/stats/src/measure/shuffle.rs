//! Orders that a seed names.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// 0 to `count` - 1 in an order that `seed` names, the same on every machine and with every version of `rand`.
pub fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // The high half of a 128-bit product is uniform below `last + 1` but for 2^-64 of bias for each value.
        let chosen = (u128::from(draws.next_u64()) * (last as u128 + 1)) >> 64;
        order.swap(last, chosen as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_an_order_of_all() {
        assert_eq!(shuffled(101, 3), shuffled(101, 3));
        assert_ne!(shuffled(101, 3), shuffled(101, 4));
        let mut all = shuffled(101, 3);
        all.sort_unstable();
        assert_eq!(all, (0..101).collect::<Vec<_>>());
        assert_eq!((shuffled(0, 1), shuffled(1, 1)), (vec![], vec![0]));
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0.0; 5]; 5];
        for seed in 0..5000 {
            let places = shuffled(5, seed).into_iter().enumerate();
            places.for_each(|(place, row)| counts[place][row] += 1.0);
        }
        // 16 degrees of freedom: 39 is passed by one fair shuffle in a thousand.
        let excess = |count: &f64| (count - 1000.0).powi(2) / 1000.0;
        let chi: f64 = counts.iter().flatten().map(excess).sum();
        assert!(chi < 39.0, "{chi}");
    }
}
