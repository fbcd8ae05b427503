//! A comparison of variants with a baseline by one primary score.

use std::collections::BTreeSet;

use serde::Serialize;

use super::error::StatisticsError;
use super::holm;
use super::interval::{ERROR_RATE, Interval, LEVEL, NoInterval};
use super::paired::PairedDifference;
use super::sample::Sample;
use super::verdict::{Direction, Verdict};

/// A variant, or the baseline, with its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredVariant {
    /// Its name, as in the recipe.
    pub name: String,
    /// Its score for each seed; empty where every run of it failed.
    pub scores: Sample,
}

/// Comparison of all contenders by one score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The name of the score.
    pub score: String,
    /// The direction in which it is good.
    pub direction: Direction,
    /// The level of the family: all verdicts hold at once this often.
    pub level: f64,
    /// The name of the baseline.
    pub baseline: String,
    /// The variants against the baseline, in the order given.
    pub rows: Vec<Row>,
    /// The contender that is resolved as better than every other that has a score; none where the baseline has none.
    ///
    /// The rule: its paired p value against each of them is at most the error rate divided by k - 1, where k counts all
    /// contenders with the baseline, failed ones too. Then a contender that is not truly best alone is marked in at most
    /// 5 % of comparisons. Proof: a wrong one has to pass a test against a truly best one, in the wrong direction, which
    /// has chance α/2(k - 1), and there are k - 1 wrong ones; or there is a tie for best and one of it passes against
    /// another, α/2(k - 1) more. (An intersection-union test, Berger, 1982, Technometrics 24, with Bonferroni for the
    /// choice of the contender.) The best variant of all is always resolved as better than the baseline too.
    pub best: Option<String>,
    /// Variants without any score.
    pub without_score: Vec<String>,
}

/// One variant against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The variant.
    pub name: String,
    /// Number of seeds that it has in common with the baseline.
    pub seeds: usize,
    /// The mean over them of variant minus baseline, in units of the score; none without a common seed.
    pub mean_difference: Option<f64>,
    /// The outcome that this supports.
    pub outcome: Outcome,
}

impl Row {
    /// The verdict; none for what is unranked.
    pub fn verdict(&self) -> Option<Verdict> {
        match &self.outcome {
            Outcome::Tested(tested) => Some(tested.verdict),
            Outcome::Unranked(_) => None,
        }
    }
}

/// Outcome of a variant's test, or why there was none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was.
    Tested(Tested),
    /// It was not; it counts in the family as a test that found nothing.
    Unranked(NoInterval),
}

/// The paired t test of a variant against the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tested {
    /// The standard error of the mean difference.
    pub standard_error: f64,
    /// Student's t.
    pub t: f64,
    /// The two-sided p value of this test alone.
    pub p: f64,
    /// The p value after Holm's correction over the variants.
    pub adjusted_p: f64,
    /// The t interval of this difference alone: **not** corrected for the number of variants.
    pub interval: Interval,
    /// Bonferroni's interval: those of all variants hold at once as often as `interval` does alone.
    pub simultaneous: Interval,
    /// Resolved or not, by `adjusted_p`. The direction is the mean's; a wrong direction counts as an error too (Shaffer,
    /// 1980, Annals of Statistics 8, for independent tests; our simulations for a common baseline).
    pub verdict: Verdict,
}

impl Comparison {
    /// Compares `variants` with `baseline` by `score`.
    ///
    /// # Errors
    /// Two contenders of one name.
    pub fn new(
        score: impl Into<String>,
        direction: Direction,
        baseline: &ScoredVariant,
        variants: &[ScoredVariant],
    ) -> Result<Self, StatisticsError> {
        let all: Vec<&ScoredVariant> = std::iter::once(baseline).chain(variants).collect();
        let mut names = BTreeSet::new();
        for contender in &all {
            if !names.insert(&contender.name) {
                return Err(StatisticsError::DuplicateName {
                    name: contender.name.clone(),
                });
            }
        }
        let (scored, without): (Vec<&ScoredVariant>, Vec<_>) = all.iter().partition(|c| !c.scores.is_empty());
        // Without the baseline nobody is tested against it, and a best of the rest would read as a verdict.
        let scored: &[&ScoredVariant] = if baseline.scores.is_empty() { &[] } else { &scored };
        Ok(Self {
            score: score.into(),
            direction,
            level: LEVEL,
            baseline: baseline.name.clone(),
            rows: rows(direction, baseline, variants),
            best: best(direction, scored, variants.len()).map(|c| c.name.clone()),
            without_score: without.into_iter().map(|c| c.name.clone()).collect(),
        })
    }

    /// The variant of this name against the baseline.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

fn rows(direction: Direction, baseline: &ScoredVariant, variants: &[ScoredVariant]) -> Vec<Row> {
    let differences: Vec<_> = variants
        .iter()
        .map(|v| PairedDifference::new(&v.scores, &baseline.scores))
        .collect();
    let estimates: Vec<_> = differences.iter().map(PairedDifference::estimate).collect();
    let p: Vec<f64> = estimates.iter().map(|e| e.as_ref().map_or(1.0, |e| e.p())).collect();
    let adjusted = holm::adjust(&p);
    let mut rows = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let outcome = match &estimates[index] {
            Ok(estimate) => Outcome::Tested(Tested {
                standard_error: estimate.standard_error,
                t: estimate.t(),
                p: p[index],
                adjusted_p: adjusted[index],
                interval: estimate.interval(ERROR_RATE),
                simultaneous: estimate.interval(ERROR_RATE / variants.len() as f64),
                verdict: Verdict::new(direction, estimate.mean, adjusted[index]),
            }),
            Err(reason) => Outcome::Unranked(*reason),
        };
        rows.push(Row {
            name: variant.name.clone(),
            seeds: differences[index].seeds(),
            mean_difference: differences[index].mean(),
            outcome,
        });
    }
    rows
}

/// The one of `scored` that beats all others of them; at most one can. `tests` is k - 1 of the rule.
fn best<'a>(direction: Direction, scored: &[&'a ScoredVariant], tests: usize) -> Option<&'a ScoredVariant> {
    let beats = |one: &ScoredVariant, other: &ScoredVariant| {
        PairedDifference::new(&one.scores, &other.scores)
            .estimate()
            .is_ok_and(|e| direction.gain(e.mean, 0.0) > 0.0 && e.p() * tests as f64 <= ERROR_RATE)
    };
    let unbeaten = |one: &&&ScoredVariant| scored.iter().all(|other| one.name == other.name || beats(one, other));
    scored.iter().filter(|_| scored.len() > 1).find(unbeaten).copied()
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
