//! Findings of a sweep.

use serde::Serialize;

use super::setting::Setting;

/// A finished sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// The recipe's title.
    pub title: String,
    /// The command that makes it again.
    pub command: String,
    /// Seed of every run.
    pub seed: u64,
    /// The score that settings are chosen by; lower is better.
    pub score: &'static str,
    /// Optimiser steps of the last phase of every run.
    pub steps: u64,
    /// Runs of every variant.
    pub budget: usize,
    /// The variants, in the recipe's order.
    pub variants: Vec<Tuned>,
}

/// One variant's settings.
#[derive(Clone, Debug, Serialize)]
pub struct Tuned {
    /// Its name.
    pub variant: String,
    /// Optimiser steps of its earlier phases.
    pub earlier_steps: u64,
    /// Its runs, one a setting.
    pub trials: Vec<Trial>,
    /// The best of them (index); none where none was finished.
    pub best: Option<usize>,
    /// Keys whose best value is the least or the greatest that was tried.
    pub edges: Vec<Edge>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The setting that it ran with.
    pub setting: Setting,
    /// Its score; none where it failed.
    pub score: Option<f64>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// A best value beyond which nothing was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// The key.
    pub key: String,
    /// Its best value.
    pub value: f64,
    /// True if it is the greatest that was tried; else it is the least.
    pub greatest: bool,
}

impl Tuned {
    /// Chooses the best of a variant's trials: the lowest score that is a number, the first of equals.
    pub fn new(variant: String, earlier_steps: u64, trials: Vec<Trial>) -> Self {
        let score = |index: &usize| trials[*index].score.filter(|score| score.is_finite());
        let finished = (0..trials.len()).filter_map(|index| Some((score(&index)?, index)));
        let best = finished.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index);
        let edges = best.map(|best| edges(&trials, best)).unwrap_or_default();
        Self {
            variant,
            earlier_steps,
            trials,
            best,
            edges,
        }
    }

    /// The best setting.
    pub fn best_setting(&self) -> Option<&Setting> {
        Some(&self.trials[self.best?].setting)
    }
}

fn edges(trials: &[Trial], best: usize) -> Vec<Edge> {
    let edge = |key: &str, value: f64| {
        let tried = trials.iter().filter_map(|trial| trial.setting.value(key)?.as_f64());
        let others: Vec<f64> = tried.filter(|other| *other != value).collect();
        let greatest = others.iter().all(|other| *other < value);
        let least = others.iter().all(|other| *other > value);
        // A key with one value has no edge.
        (!others.is_empty() && (greatest || least)).then(|| Edge {
            key: key.into(),
            value,
            greatest,
        })
    };
    let choices = trials[best].setting.choices().iter();
    choices
        .filter_map(|choice| edge(&choice.key, choice.value.as_f64()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::setting::{Vary, grid};
    use super::*;

    fn tuned(vary: &[&str], scores: &[Option<f64>]) -> Tuned {
        let vary: Vec<_> = vary.iter().map(|text| Vary::parse(text).unwrap()).collect();
        let trial = |(setting, score): (Setting, &Option<f64>)| Trial {
            setting,
            score: *score,
            failure: score.is_none().then(|| "it diverged".to_owned()),
        };
        let trials = grid(&vary).into_iter().zip(scores).map(trial);
        Tuned::new("none".into(), 0, trials.collect())
    }

    #[test]
    fn the_lowest_score_that_is_a_number_is_best() {
        for (scores, best) in [
            ([Some(f64::NAN), Some(0.7), Some(0.6), None], Some(2)),
            ([None; 4], None),
        ] {
            let tuned = tuned(&["optimiser.lr=1e-4,1e-3,1e-2,1e-1"], &scores);
            assert_eq!((tuned.best, tuned.edges), (best, vec![]));
        }
    }

    #[test]
    fn an_edge_is_told_for_each_key_that_is_at_one() {
        // The grid is (1, 5), (1, 6), (1, 7), (2, 5), …: the least learning rate and the middle coefficient.
        let scores = [0.9, 0.5, 0.9, 0.8, 0.8, 0.8].map(Some);
        let tuned = tuned(
            &["optimiser.lr=1,2", "x.coefficient=5,6,7", "diffusion.path=linear"],
            &scores,
        );
        let edge = Edge {
            key: "optimiser.lr".into(),
            value: 1.0,
            greatest: false,
        };
        assert_eq!(tuned.edges, [edge]);
    }
}
