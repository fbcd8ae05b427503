//! The scores of runs, compared over seeds.

use std::collections::BTreeMap;

use super::entry::{Ending, Entry};
use crate::Error;
use sextant_recipe::Score;
use sextant_records::evaluation::{Evaluation, JudgeIdentity, Quality, Scores};
use sextant_stats::statistics::{Comparison, Contender, Direction, Sample};

/// The scale of classifier-free guidance at which samples were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// At 1, without guidance.
    One,
    /// At the one that was chosen for the run.
    Chosen,
}

impl Scale {
    /// In words.
    fn name(self) -> &'static str {
        match self {
            Self::One => "scale 1",
            Self::Chosen => "chosen scale",
        }
    }

    /// Those at which these runs were scored; one where every run chose 1, since both would be the same numbers under two
    /// names.
    fn of(entries: &[Entry]) -> &'static [Self] {
        let mut sweeps = entries.iter().flat_map(|e| &e.evaluation).flat_map(|e| &e.sweep);
        match sweeps.any(|sweep| (sweep.chosen - 1.0).abs() > 1e-9) {
            true => &[Self::Chosen, Self::One],
            false => &[Self::Chosen],
        }
    }
}

/// Reads a number off a run; none where it was not measured.
type Value = Box<dyn Fn(&Entry) -> Option<f64>>;

/// A number by which runs are compared.
pub struct Metric {
    /// Its name in words.
    pub name: String,
    /// The way in which it is good.
    pub direction: Direction,
    value: Value,
}

impl Metric {
    fn new(name: impl Into<String>, direction: Direction, value: impl Fn(&Entry) -> Option<f64> + 'static) -> Self {
        Self {
            name: name.into(),
            direction,
            value: Box::new(value),
        }
    }

    /// The score that a recipe calls primary. `judge` is the name of the first judge, if one has judged.
    pub fn primary(score: Score, judge: Option<&str>) -> Self {
        let judge = judge.unwrap_or("unknown");
        match score {
            Score::ValidationLoss => Self::validation(),
            Score::KernelDistance => Self::quality(0, judge, Scale::Chosen, &KERNEL),
            Score::FrechetDistance => Self::quality(0, judge, Scale::Chosen, &FRECHET),
        }
    }

    /// Denoising loss on the fixed validation set.
    fn validation() -> Self {
        Self::new("validation loss", Direction::LowerIsBetter, |entry| {
            entry.result().map(|result| result.validation_loss)
        })
    }

    /// A score by judge number `index` at a scale.
    fn quality(index: usize, judge: &str, scale: Scale, aspect: &'static Aspect) -> Self {
        let name = format!("{} (judge {judge}, {})", aspect.name, scale.name());
        Self::new(name, aspect.direction, move |entry| {
            let scores = quality(entry.evaluation.as_ref()?, index, scale)?.scores;
            Some((aspect.of)(&scores))
        })
    }

    /// Accuracy of a linear probe at time `t`, at the depth where it is best.
    fn probe(t: f64) -> Self {
        let name = format!("probe accuracy at t = {t}, best depth");
        Self::new(name, Direction::HigherIsBetter, move |entry| {
            let probes = &entry.evaluation.as_ref()?.representations.as_ref()?.probes;
            let at_t = probes.iter().filter(|probe| probe.t == t).map(|probe| probe.accuracy);
            at_t.reduce(f64::max)
        })
    }

    /// The number of a run; none where it was not measured, or is none that can be computed with.
    pub fn of(&self, entry: &Entry) -> Option<f64> {
        (self.value)(entry).filter(|value| value.abs() < 1e150)
    }
}

/// One of a judge's scores.
struct Aspect {
    name: &'static str,
    direction: Direction,
    of: fn(&Scores) -> f64,
}

/// Kernel distance.
static KERNEL: Aspect = Aspect {
    name: "kernel distance",
    direction: Direction::LowerIsBetter,
    of: |scores| scores.kernel,
};
/// Fréchet distance.
static FRECHET: Aspect = Aspect {
    name: "Fréchet distance",
    direction: Direction::LowerIsBetter,
    of: |scores| scores.frechet,
};
static COVERING: [Aspect; 2] = [
    Aspect {
        name: "precision",
        direction: Direction::HigherIsBetter,
        of: |scores| scores.precision,
    },
    Aspect {
        name: "recall",
        direction: Direction::HigherIsBetter,
        of: |scores| scores.recall,
    },
];

/// The scores by judge number `index` at a scale.
fn quality(evaluation: &Evaluation, index: usize, scale: Scale) -> Option<&Quality> {
    let judge = &evaluation.judges.get(index)?.name;
    let at = match (scale, &evaluation.sweep) {
        (Scale::Chosen, Some(sweep)) => sweep.chosen,
        _ => 1.0,
    };
    let mut of_judge = evaluation.quality.iter().filter(|quality| quality.judge == *judge);
    of_judge.find(|quality| (quality.scale - at).abs() < 1e-9)
}

/// Every score that can be compared beside the primary one: distances by every judge at both scales, precision and recall by the
/// first, and probes.
pub fn secondary(primary: &Metric, entries: &[Entry]) -> Vec<Metric> {
    let mut all = vec![Metric::validation()];
    for scale in Scale::of(entries) {
        for aspect in [&KERNEL, &FRECHET] {
            let judges = judges(entries).iter().enumerate();
            all.extend(judges.map(|(index, judge)| Metric::quality(index, &judge.name, *scale, aspect)));
        }
        let first = judges(entries).first();
        all.extend(first.into_iter().flat_map(|judge| {
            COVERING
                .iter()
                .map(|aspect| Metric::quality(0, &judge.name, *scale, aspect))
        }));
    }
    let mut times: Vec<f64> = Vec::new();
    for probe in entries
        .iter()
        .flat_map(|e| &e.evaluation)
        .flat_map(|e| &e.representations)
        .flat_map(|r| &r.probes)
    {
        if !times.contains(&probe.t) {
            times.push(probe.t);
        }
    }
    times.sort_by(f64::total_cmp);
    all.extend(times.into_iter().map(Metric::probe));
    all.retain(|metric| metric.name != primary.name);
    all
}

/// All judges of the runs, the one that decides first.
fn judges(entries: &[Entry]) -> &[JudgeIdentity] {
    let judged = entries.iter().find(|entry| entry.is_judged());
    judged
        .and_then(|entry| entry.evaluation.as_ref())
        .map_or(&[], |evaluation| &evaluation.judges)
}

/// The judge that decides, by name.
pub fn first_judge(entries: &[Entry]) -> Option<&str> {
    judges(entries).first().map(|judge| judge.name.as_str())
}

/// Tells that no run of a variant has lost what a comparison needs: a run that failed, or a curve with a value that is not a
/// number, leaves only the lucky seeds. One that has not ended yet says nothing of luck.
pub fn is_sound(entries: &[Entry], name: &str) -> bool {
    entries
        .iter()
        .filter(|entry| entry.variant == name)
        .all(|entry| entry.unsound().is_none() && !matches!(entry.ending, Ending::Failed(_)))
}

/// The scores that a comparison would use, by variant and seed.
pub fn scores(metric: &Metric, names: &[String], entries: &[Entry]) -> BTreeMap<String, BTreeMap<u64, f64>> {
    let of = |name: &String| {
        let finished = entries
            .iter()
            .filter(|entry| entry.variant == *name && entry.result().is_some());
        let scores: BTreeMap<u64, f64> = finished
            .filter_map(|entry| Some((entry.seed, metric.of(entry)?)))
            .collect();
        (!scores.is_empty() && is_sound(entries, name)).then(|| (name.clone(), scores))
    };
    names.iter().filter_map(of).collect()
}

/// The variants against the baseline by one score. Those that do not have it are in the comparison, without a score.
///
/// # Errors
/// Two variants of one name.
pub fn compare(metric: &Metric, baseline: &str, others: &[String], entries: &[Entry]) -> Result<Comparison, Error> {
    let contender = |name: &str| {
        let of_name = entries
            .iter()
            .filter(|entry| entry.variant == name && entry.result().is_some());
        // A seed of which this score could not be measured leaves the lucky ones too.
        let lost = of_name
            .clone()
            .any(|entry| metric.of(entry).is_none() && entry.has_trouble());
        let scores = of_name.filter_map(|entry| Some((entry.seed, metric.of(entry)?)));
        let scores = match is_sound(entries, name) && !lost {
            true => Sample::new(scores)?,
            false => Sample::default(),
        };
        let name = name.to_owned();
        Ok::<_, Error>(Contender { name, scores })
    };
    let others = others
        .iter()
        .map(|name| contender(name))
        .collect::<Result<Vec<_>, _>>()?;
    let (name, direction) = (metric.name.clone(), metric.direction);
    Ok(Comparison::new(name, direction, &contender(baseline)?, &others)?)
}

/// Tells that a comparison has the baseline and somebody to compare it with.
pub fn says_something(comparison: &Comparison) -> bool {
    comparison.rows.iter().any(|row| row.seeds > 0)
}
