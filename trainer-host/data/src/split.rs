//! The division into a training and a held-out part, by groups of near-duplicates.

use super::column::Column;
use super::stream::Stream;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// The share of the emoji that is held out.
pub(super) const HELD_OUT: f64 = 0.2;

/// Two disjoint sets of sample ids, each in ascending order, that together are the whole set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Samples that encoder, judges and generators see.
    pub train: Column<usize>,
    /// Samples that only evaluation sees.
    pub held_out: Column<usize>,
}

impl Split {
    /// Holds out this share of `count` samples (rounded), whole groups only, chosen by `seed`. Without groups each sample is one.
    ///
    /// A random split of single samples would leak: a tenth of the emoji have a near-duplicate.
    pub fn by_share(count: usize, groups: Option<&[u64]>, share: f64, seed: u64) -> Self {
        let quota = (count as f64 * share).round() as usize;
        let mut rng = Stream::new(seed, "data/split").at(&[]);
        let Some(groups) = groups else {
            let mut order: Vec<usize> = (0..count).collect();
            order.shuffle(&mut rng);
            let train = order.split_off(quota.min(count));
            return Self::of(train, order);
        };
        let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (id, &group) in groups.iter().enumerate() {
            members.entry(group).or_default().push(id);
        }
        let mut order: Vec<Vec<usize>> = members.into_values().collect();
        order.shuffle(&mut rng);

        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for group in order {
            // A group that would overfill the held-out part is trained on; a smaller one follows.
            if held_out.len() + group.len() <= quota {
                held_out.extend(group);
            } else {
                train.extend(group);
            }
        }
        Self::of(train, held_out)
    }

    /// Holds out the samples for which `is_held_out` is true.
    pub fn by_choice(count: usize, is_held_out: impl Fn(usize) -> bool) -> Self {
        let (held_out, train) = (0..count).partition(|&id| is_held_out(id));
        Self::of(train, held_out)
    }

    fn of(mut train: Vec<usize>, mut held_out: Vec<usize>) -> Self {
        train.sort_unstable();
        held_out.sort_unstable();
        Self {
            train: train.into(),
            held_out: held_out.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::emoji;
    use std::collections::BTreeSet;

    fn groups_of(indices: &[usize], groups: &[u64]) -> BTreeSet<u64> {
        indices.iter().map(|&i| groups[i]).collect()
    }

    #[test]
    fn should_never_let_a_group_straddle() {
        let groups = emoji(8).unwrap().groups;
        for seed in 0..20 {
            let split = Split::by_share(groups.len(), Some(&groups), HELD_OUT, seed);
            let (train, held_out) = (groups_of(&split.train, &groups), groups_of(&split.held_out, &groups));
            assert!(train.is_disjoint(&held_out));
        }
    }

    #[test]
    fn should_hold_out_a_fifth_and_lose_nothing() {
        let groups = emoji(8).unwrap().groups;
        let split = Split::by_share(groups.len(), Some(&groups), HELD_OUT, 0);
        let share = split.held_out.len() as f64 / groups.len() as f64;
        assert!((share - 0.2).abs() < 0.01, "{share}");
        let mut all = [&*split.train, &*split.held_out].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..groups.len()));
    }

    #[test]
    fn should_depend_on_the_seed_alone() {
        let of = |seed| Split::by_share(100, None, HELD_OUT, seed);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn should_take_samples_without_groups_as_groups_of_one() {
        let groups: Vec<u64> = (0..103).collect();
        for share in [0.01, 0.2, 0.99] {
            let single = Split::by_share(103, None, share, 7);
            assert_eq!(single, Split::by_share(103, Some(&groups), share, 7));
            assert_eq!(single.held_out.len(), (103.0 * share).round() as usize);
        }
    }
}
