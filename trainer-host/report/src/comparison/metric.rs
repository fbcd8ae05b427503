//! The scores of runs, compared over seeds.

use std::collections::BTreeMap;

use super::entry::{Ending, Entry};
use crate::Error;
use crate::sections::quality::{chosen, scored};
use sextant_recipe::Score;
use sextant_records::evaluation::{JudgeIdentity, Scores};
use sextant_stats::statistics::{Comparison, Direction, Sample, ScoredVariant};

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

/// One of a judge's scores: its name, the way in which it is good, and how to read it off; none where it was not measured.
type Aspect = (&'static str, Direction, fn(&Scores) -> Option<f64>);

const KERNEL: Aspect = ("kernel distance", Direction::LowerIsBetter, |scores| scores.kernel);
const FRECHET: Aspect = ("Fréchet distance", Direction::LowerIsBetter, |scores| {
    Some(scores.frechet)
});
const PRECISION: Aspect = ("precision", Direction::HigherIsBetter, |scores| scores.precision);
const RECALL: Aspect = ("recall", Direction::HigherIsBetter, |scores| scores.recall);

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
            Score::KernelDistance => Self::judged(judge, true, KERNEL),
            Score::FrechetDistance => Self::judged(judge, true, FRECHET),
        }
    }

    /// Denoising loss on the fixed validation set.
    fn validation() -> Self {
        let loss = |entry: &Entry| entry.result().map(|result| result.validation_loss);
        Self::new("validation loss", Direction::LowerIsBetter, loss)
    }

    /// A score by a judge at the scale of classifier-free guidance that each run chose, or at 1, without guidance.
    fn judged(judge: &str, at_chosen: bool, (name, direction, of): Aspect) -> Self {
        let scale = if at_chosen { "chosen scale" } else { "scale 1" };
        let (name, judge) = (format!("{name} (judge {judge}, {scale})"), judge.to_owned());
        Self::new(name, direction, move |entry| {
            let evaluation = entry.evaluation.as_ref()?;
            let quality = match at_chosen {
                true => chosen(evaluation, &judge),
                false => scored(evaluation, &judge, 1.0),
            };
            of(&quality?.scores)
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

/// Every score that can be compared beside the primary one: distances by every judge at both scales, precision and recall by the
/// first, and probes.
pub fn secondary(primary: &Metric, entries: &[Entry]) -> Vec<Metric> {
    let evaluations = || entries.iter().flat_map(|e| &e.evaluation);
    let judges = judges(entries);
    let mut all = vec![Metric::validation()];
    // Where every run chose 1, both scales would be the same numbers under two names.
    let mut sweeps = evaluations().flat_map(|e| &e.sweep);
    let scales: &[bool] = match sweeps.any(|sweep| (sweep.chosen - 1.0).abs() > 1e-9) {
        true => &[true, false],
        false => &[true],
    };
    for &at_chosen in scales {
        for aspect in [KERNEL, FRECHET] {
            all.extend(
                judges
                    .iter()
                    .map(|judge| Metric::judged(&judge.name, at_chosen, aspect)),
            );
        }
        if let Some(first) = judges.first() {
            all.extend([PRECISION, RECALL].map(|aspect| Metric::judged(&first.name, at_chosen, aspect)));
        }
    }
    let probes = evaluations().flat_map(|e| &e.representations).flat_map(|r| &r.probes);
    let mut times: Vec<f64> = probes.map(|probe| probe.t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
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

/// The scores of a variant's finished runs by seed.
fn of_variant(metric: &Metric, name: &str, entries: &[Entry]) -> BTreeMap<u64, f64> {
    let finished = entries
        .iter()
        .filter(|entry| entry.variant == name && entry.result().is_some());
    finished
        .filter_map(|entry| Some((entry.seed, metric.of(entry)?)))
        .collect()
}

/// The scores that a comparison would use, by variant and seed.
pub fn scores(metric: &Metric, names: &[String], entries: &[Entry]) -> BTreeMap<String, BTreeMap<u64, f64>> {
    let sound = names.iter().filter(|name| is_sound(entries, name));
    let scores = sound.map(|name| (name.clone(), of_variant(metric, name, entries)));
    scores.filter(|(_, scores)| !scores.is_empty()).collect()
}

/// The variants against the baseline by one score. Those that do not have it are in the comparison, without a score.
///
/// # Errors
/// Two variants of one name.
pub fn compare(metric: &Metric, baseline: &str, others: &[String], entries: &[Entry]) -> Result<Comparison, Error> {
    let contender = |name: &str| {
        // A seed of which this score could not be measured leaves the lucky ones too.
        let mut finished = entries
            .iter()
            .filter(|entry| entry.variant == name && entry.result().is_some());
        let lost = finished.any(|entry| metric.of(entry).is_none() && entry.has_trouble());
        let scores = match is_sound(entries, name) && !lost {
            true => Sample::new(of_variant(metric, name, entries))?,
            false => Sample::default(),
        };
        let name = name.to_owned();
        Ok::<_, Error>(ScoredVariant { name, scores })
    };
    let others = others
        .iter()
        .map(|name| contender(name))
        .collect::<Result<Vec<_>, _>>()?;
    let (name, baseline) = (metric.name.clone(), contender(baseline)?);
    Ok(Comparison::new(name, metric.direction, &baseline, &others)?)
}

/// Tells that a comparison has the baseline and somebody to compare it with.
pub fn says_something(comparison: &Comparison) -> bool {
    comparison.rows.iter().any(|row| row.seeds > 0)
}
