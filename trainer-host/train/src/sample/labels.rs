//! The classes that samples are drawn of.

use rand::Rng;
use serde::{Deserialize, Serialize};

use sextant_data::Stream;

/// The label of each sample, a function of the seed and the sample's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// All classes in turn: sample i has class i modulo their number.
    Balanced,
    /// Each class with the same chance, as the published evaluation draws them.
    Random,
    /// One class for all, or the null class.
    Class(usize),
}

impl Labels {
    /// The label of sample `index`, of `classes` classes.
    pub fn of(self, index: u64, classes: usize, seed: u64) -> usize {
        match self {
            Self::Balanced => (index % classes as u64) as usize,
            Self::Random => Stream::new(seed, "sample/labels").at(&[index]).random_range(0..classes),
            Self::Class(class) => class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_labels_have_addresses_and_even_chances() {
        let of = |seed| {
            (0..9000)
                .map(move |i| Labels::Random.of(i, 9, seed))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1)[700], Labels::Random.of(700, 9, 1));
        assert_ne!(of(1), of(2));
        let mut counts = [0f64; 9];
        of(1).iter().for_each(|label| counts[*label] += 1.0);
        // Chi-squared of 8 degrees of freedom: above 26 once in a thousand seeds.
        let surprise: f64 = counts.iter().map(|count| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!(surprise < 26.0, "{counts:?}");
    }

    #[test]
    fn others_are_in_turn_or_all_the_same() {
        let of = |labels: Labels| [0, 1, 8, 9, 10].map(|i| labels.of(i, 9, 5));
        assert_eq!(of(Labels::Balanced), [0, 1, 8, 0, 1]);
        assert_eq!(of(Labels::Class(9)), [9; 5]);
    }
}
