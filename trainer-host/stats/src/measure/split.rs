//! Disjoint parts of one set, so that real data can be measured against real data: the floor of a score.
//!
//! A score of samples means little alone, since most depend on the number of rows. Its floor is the same measure
//! between two parts of the data, of the same numbers of rows as the samples and their reference.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use super::{Features, MeasureError};

/// `first` and `second` rows of `features` that share none, chosen by `seed`.
pub fn disjoint(
    features: &Features,
    first: usize,
    second: usize,
    seed: u64,
) -> Result<(Features, Features), MeasureError> {
    for (setting, rows) in [
        ("the first part's number of rows", first),
        ("the second part's number of rows", second),
    ] {
        if rows == 0 {
            return Err(MeasureError::Setting {
                setting,
                value: 0.0,
                range: "at least 1",
            });
        }
    }
    features.at_least(
        first.saturating_add(second),
        "a split into parts of the asked sizes",
        "real",
    )?;
    let order = shuffled(features.len(), seed);
    Ok((
        features.select(&order[..first]),
        features.select(&order[first..first + second]),
    ))
}

/// Two halves of the same size that share no row; of an odd number one row is left out.
pub fn halves(features: &Features, seed: u64) -> Result<(Features, Features), MeasureError> {
    features.at_least(2, "a split into halves", "real")?;
    disjoint(features, features.len() / 2, features.len() / 2, seed)
}

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

    fn numbered(rows: usize) -> Features {
        Features::new((0..rows).map(|row| row as f64).collect(), 1).unwrap()
    }

    #[test]
    fn parts_share_no_row_and_lose_none() {
        let (first, second) = disjoint(&numbered(10), 7, 3, 5).unwrap();
        let mut all = [first.values(), second.values()].concat();
        assert_ne!(all, numbered(10).values());
        all.sort_by(f64::total_cmp);
        assert_eq!(all, numbered(10).values());
    }

    #[test]
    fn a_seed_names_the_split() {
        let split = |seed| halves(&numbered(101), seed).unwrap();
        assert_eq!(split(3), split(3));
        assert_ne!(split(3), split(4));
        assert_eq!((split(3).0.len(), split(3).1.len()), (50, 50));
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0.0; 5]; 5];
        for seed in 0..5000 {
            shuffled(5, seed)
                .iter()
                .enumerate()
                .for_each(|(place, &row)| counts[place][row] += 1.0);
        }
        // 16 degrees of freedom: 39 is passed by one fair shuffle in a thousand.
        let chi: f64 = counts
            .iter()
            .flatten()
            .map(|count| (count - 1000.0f64).powi(2) / 1000.0)
            .sum();
        assert!(chi < 39.0, "{chi}");
    }

    #[test]
    fn too_few_rows_are_refused() {
        assert!(matches!(
            halves(&numbered(1), 0),
            Err(MeasureError::TooFew { least: 2, .. })
        ));
        assert!(matches!(
            disjoint(&numbered(4), 3, 2, 0),
            Err(MeasureError::TooFew { least: 5, .. })
        ));
        assert!(matches!(
            disjoint(&numbered(4), 0, 2, 0),
            Err(MeasureError::Setting { .. })
        ));
    }
}
