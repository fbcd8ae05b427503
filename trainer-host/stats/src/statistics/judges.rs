//! Disagreements of two judges of the same samples.

use std::collections::BTreeSet;

use serde::Serialize;

use super::comparison::{Comparison, Ranking};
use super::error::StatisticsError;
use super::verdict::Verdict;

/// Points on which two comparisons of the same contenders, by two judges, disagree.
///
/// A verdict that one judge resolves and the other does not is no disagreement: it may be the power of the judge.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Disagreement {
    /// Variants that one judge resolves as better than the baseline and the other as worse, in the order of the first.
    pub opposite: Vec<String>,
    /// The resolved best of the first judge and that of the second, where both have one and it is not the same.
    pub best: Option<[String; 2]>,
    /// The first by mean of the first judge and of the second, where it is not the same. Not a contradiction, since
    /// neither need be resolved; but a ranking by one judge's means is to be printed with it.
    pub leaders: Option<[String; 2]>,
}

impl Disagreement {
    /// Between two judges. Scores of different directions can be compared: verdicts and places have none.
    ///
    /// # Errors
    /// The comparisons have different contenders, or another baseline.
    pub fn between(one: &Comparison, other: &Comparison) -> Result<Self, StatisticsError> {
        same_contenders(one, other)?;
        let opposite = one
            .rows
            .iter()
            .filter(|row| {
                let verdicts = (row.verdict(), other.row(&row.name).and_then(|r| r.verdict()));
                matches!(
                    verdicts,
                    (Some(Verdict::Better), Some(Verdict::Worse)) | (Some(Verdict::Worse), Some(Verdict::Better))
                )
            })
            .map(|row| row.name.clone())
            .collect();
        let best = match (&one.best, &other.best) {
            (Some(a), Some(b)) if a != b => Some([a.clone(), b.clone()]),
            _ => None,
        };
        Ok(Self {
            opposite,
            best,
            leaders: different_leaders(one, other),
        })
    }

    /// True if the judges contradict each other in what they resolve.
    pub fn is_contradiction(&self) -> bool {
        !self.opposite.is_empty() || self.best.is_some()
    }

    /// True if there is anything to print: a contradiction, or different leaders.
    pub fn is_any(&self) -> bool {
        self.is_contradiction() || self.leaders.is_some()
    }
}

fn same_contenders(one: &Comparison, other: &Comparison) -> Result<(), StatisticsError> {
    let names = |c: &Comparison| -> BTreeSet<String> { c.rows.iter().map(|r| r.name.clone()).collect() };
    let (a, b) = (names(one), names(other));
    let only = (one.baseline != other.baseline).then(|| one.baseline.clone());
    match only.or_else(|| a.symmetric_difference(&b).next().cloned()) {
        Some(only) => Err(StatisticsError::DifferentContenders { only }),
        None => Ok(()),
    }
}

/// Nobody is first for both: of ties for first place, one in common is enough to agree.
fn different_leaders(one: &Comparison, other: &Comparison) -> Option<[String; 2]> {
    let (a, b) = (leaders(one), leaders(other));
    let (first, second) = (a.first()?, b.first()?);
    (!a.iter().any(|name| b.contains(name))).then(|| [first.to_string(), second.to_string()])
}

fn leaders(comparison: &Comparison) -> Vec<&str> {
    match &comparison.ranking {
        Ranking::Ranked(places) => {
            let first = places.iter().filter(|p| p.place == 1);
            first.map(|p| p.name.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::comparison::Contender;
    use super::super::interval::Level;
    use super::super::sample::Sample;
    use super::super::verdict::Direction::{self, HigherIsBetter, LowerIsBetter};
    use super::*;

    /// A baseline at 0 and variants at these means, over four seeds with a spread of about `spread`.
    fn judged(direction: Direction, spread: f64, means: &[(&str, f64)]) -> Comparison {
        let contender = |name: &str, mean: f64, phase: f64| Contender {
            name: name.into(),
            scores: Sample::new((0..4).map(|s| (s, mean + spread * (s as f64 * 2.0 + phase).sin()))).unwrap(),
        };
        let variants: Vec<_> = (1..)
            .zip(means)
            .map(|(i, (n, m))| contender(n, *m, f64::from(i)))
            .collect();
        Comparison::new(
            "score",
            direction,
            &contender("none", 0.0, 0.0),
            &variants,
            Level::DEFAULT,
        )
        .unwrap()
    }

    #[test]
    fn judges_of_one_mind_agree() {
        let one = judged(LowerIsBetter, 0.01, &[("a", -1.0), ("b", 1.0)]);
        let other = judged(HigherIsBetter, 0.01, &[("a", 5.0), ("b", -1.0)]);
        assert_eq!(one.best.as_deref(), Some("a"));
        assert_eq!(Disagreement::between(&one, &other), Ok(Disagreement::default()));
    }

    #[test]
    fn opposite_signs_contradict() {
        let one = judged(LowerIsBetter, 0.01, &[("a", -1.0), ("b", 1.0)]);
        let other = judged(LowerIsBetter, 0.01, &[("a", -1.0), ("b", -0.5)]);
        let disagreement = Disagreement::between(&one, &other).unwrap();
        assert_eq!(disagreement.opposite, ["b"]);
        assert!(disagreement.is_contradiction() && disagreement.best.is_none() && disagreement.leaders.is_none());
    }

    #[test]
    fn different_bests_contradict_without_opposite_signs() {
        let one = judged(LowerIsBetter, 0.01, &[("a", -1.0), ("b", -0.5)]);
        let other = judged(LowerIsBetter, 0.01, &[("a", -0.5), ("b", -1.0)]);
        let disagreement = Disagreement::between(&one, &other).unwrap();
        assert!(disagreement.opposite.is_empty());
        assert_eq!(disagreement.best, Some(["a".into(), "b".into()]));
        assert!(disagreement.is_contradiction());
    }

    #[test]
    fn what_one_judge_cannot_resolve_is_no_contradiction() {
        let one = judged(LowerIsBetter, 0.01, &[("a", -1.0), ("b", -0.5)]);
        let noisy = judged(LowerIsBetter, 10.0, &[("a", -0.5), ("b", 2.0)]);
        assert!(noisy.rows.iter().all(|r| r.verdict() == Some(Verdict::NotResolved)));
        let disagreement = Disagreement::between(&one, &noisy).unwrap();
        assert!(!disagreement.is_contradiction());
        // Its means have another first, which is said and not called a contradiction.
        assert_eq!(
            disagreement.leaders.clone().map(|[first, _]| first).as_deref(),
            Some("a")
        );
        assert!(disagreement.is_any());
    }

    #[test]
    fn other_contenders_are_refused() {
        let one = judged(LowerIsBetter, 0.01, &[("a", -1.0), ("b", 1.0)]);
        let other = judged(LowerIsBetter, 0.01, &[("a", -1.0)]);
        assert_eq!(
            Disagreement::between(&one, &other),
            Err(StatisticsError::DifferentContenders { only: "b".into() })
        );
        let mut renamed = one.clone();
        renamed.baseline = "repa".into();
        assert!(Disagreement::between(&one, &renamed).is_err());
    }
}
