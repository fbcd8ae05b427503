//! What is said of the samples.

use std::collections::BTreeMap;

use super::super::verdict::{self, Scale};
use crate::{Report, Variant, significant};
use sextant_records::evaluation::{Evaluation, Quality};
use sextant_stats::statistics::Comparison;

/// What judges say of samples, beside the floor, and whether they agree.
pub fn quality(report: &Report) -> String {
    let evaluations =
        |variant: &Variant| -> Vec<Evaluation> { variant.evaluations.iter().flatten().cloned().collect() };
    let of_variant: Vec<(&str, Vec<Evaluation>)> = report
        .variants
        .iter()
        .map(|variant| (variant.name.as_str(), evaluations(variant)))
        .collect();
    let mean = |all: &[Evaluation], of: &dyn Fn(&Evaluation) -> Option<f64>| -> Option<f64> {
        let values: Vec<f64> = all.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let kernel = |e: &Evaluation| verdict::quality(e, 0, Scale::Chosen).map(|quality| quality.scores.kernel);
    let scored: Vec<(&str, f64)> = of_variant
        .iter()
        .filter_map(|(name, all)| Some((*name, mean(all, &kernel)?)))
        .collect();
    let first = of_variant.iter().flat_map(|(_, all)| all).find(|e| kernel(e).is_some());
    let (Some(first), false) = (first, scored.is_empty()) else {
        return "A validation loss is not sample quality, and no judge has looked at samples.".into();
    };
    let judge = &first.judges[0].name;
    let floor_of = |e: &Evaluation| floor(e, judge).map(|floor| floor.scores.kernel);
    let floors: Vec<f64> = of_variant
        .iter()
        .flat_map(|(_, all)| all)
        .filter_map(floor_of)
        .collect();
    let (least, most) = scored.iter().fold((scored[0], scored[0]), |(least, most), one| {
        (
            if one.1 < least.1 { *one } else { least },
            if one.1 > most.1 { *one } else { most },
        )
    });
    let values = match least.1 == most.1 {
        true => format!("is {}", distance(least.1)),
        // A mean is no order: names would read as one.
        false => format!("lies between {} and {}", distance(least.1), distance(most.1)),
    };
    let mut text =
        format!("The mean kernel distance of samples by judge {judge}, each run at its chosen scale, {values}");
    if let Some(floor) = floors.iter().copied().reduce(f64::max) {
        text.push_str(&format!(", against {} of real images", distance(floor)));
        if least.1 <= floor {
            text.push_str(": at that floor this judge tells no samples from images");
        }
    }
    let agreement = match (first.judges.len(), report.disagreements.as_slice(), &report.verdict) {
        (_, [disagreement, ..], _) => format!(". The judges disagree: {disagreement}"),
        (1, [], _) => "; there is no second judge.".into(),
        (judges, [], Some(verdict)) if orders_samples(report) => format!(
            "; {} see each variant on the same side of {}.",
            if judges == 2 {
                "both judges".to_owned()
            } else {
                format!("all {judges} judges")
            },
            verdict.baseline
        ),
        _ => ".".into(),
    };
    text + &agreement
}

/// The floor of a judge.
fn floor<'a>(evaluation: &'a Evaluation, judge: &str) -> Option<&'a Quality> {
    evaluation.floors.iter().find(|floor| floor.judge == judge)
}

/// Whether what judges say was tested, so that there is an order to agree on.
fn orders_samples(report: &Report) -> bool {
    let mut comparisons = report.verdict.iter().chain(&report.scores);
    let tested = |comparison: &Comparison| comparison.rows.iter().any(|row| row.verdict().is_some());
    comparisons.any(|comparison| comparison.score.starts_with("kernel distance") && tested(comparison))
}

/// The variants with more copies of training images than the floor.
pub fn copies(report: &Report) -> Option<String> {
    let mut shares: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for variant in &report.variants {
        for copies in variant.evaluations.iter().flatten().filter_map(|e| e.copies.as_ref()) {
            let (sum, floor, n) = shares.entry(&variant.name).or_default();
            *sum += copies.fraction;
            *floor += copies.held_out_fraction;
            *n += 1.0;
        }
    }
    // Held-out images are the same for all.
    let floor = shares.values().next().map(|(_, floor, n)| floor / n)?;
    let above = report.variants.iter().filter_map(|variant| {
        let (sum, _, n) = shares.get(variant.name.as_str())?;
        let share = sum / n;
        (share > floor).then(|| format!("{} of {}", percent(share), variant.name))
    });
    let above: Vec<String> = above.collect();
    Some(match above.is_empty() {
        false => format!(
            "Samples are called copies of training images in {}; the same rule calls {} of the held-out images so.",
            above.join(", "),
            percent(floor)
        ),
        true => format!(
            "No variant copies training images more often than held-out images resemble them ({}).",
            percent(floor)
        ),
    })
}

fn distance(value: f64) -> String {
    significant(value, 3, 6)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
