//! The division into a training and a held-out part, by groups of near-duplicates.

use super::stream::Stream;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;

/// The share of the images that is held out.
const HELD_OUT: f64 = 0.2;

/// Two disjoint sets of image indices, each in ascending order, that together are the whole set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Images that encoder, judges and generators see.
    pub train: Vec<usize>,
    /// Images that only evaluation sees.
    pub held_out: Vec<usize>,
}

impl Split {
    /// Holds out a fifth of the images (rounded), whole groups only, chosen by `seed`.
    ///
    /// A random split of single images would leak: a tenth of the emoji have a near-duplicate.
    pub fn by_group(groups: &[u64], seed: u64) -> Self {
        let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, &group) in groups.iter().enumerate() {
            members.entry(group).or_default().push(index);
        }
        let mut order: Vec<Vec<usize>> = members.into_values().collect();
        order.shuffle(&mut Stream::new(seed, "data/split").at(&[]));

        let quota = (groups.len() as f64 * HELD_OUT).round() as usize;
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for group in order {
            // A group that would overfill the held-out part is trained on; a smaller one follows.
            if held_out.len() + group.len() <= quota {
                held_out.extend(group);
            } else {
                train.extend(group);
            }
        }
        train.sort_unstable();
        held_out.sort_unstable();
        Self { train, held_out }
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
            let split = Split::by_group(&groups, seed);
            let (train, held_out) = (groups_of(&split.train, &groups), groups_of(&split.held_out, &groups));
            assert!(train.is_disjoint(&held_out));
        }
    }

    #[test]
    fn should_hold_out_a_fifth_and_lose_nothing() {
        let groups = emoji(8).unwrap().groups;
        let split = Split::by_group(&groups, 0);
        let share = split.held_out.len() as f64 / groups.len() as f64;
        assert!((share - 0.2).abs() < 0.01, "{share}");
        let mut all = [split.train, split.held_out].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..groups.len()));
    }

    #[test]
    fn should_depend_on_the_seed_alone() {
        let groups: Vec<u64> = (0..100).collect();
        assert_eq!(Split::by_group(&groups, 3), Split::by_group(&groups, 3));
        assert_ne!(Split::by_group(&groups, 3), Split::by_group(&groups, 4));
    }
}
