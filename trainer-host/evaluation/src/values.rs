//! An evaluation as named numbers, for the log.

use std::collections::BTreeMap;

use sextant_records::evaluation::{Evaluation, Quality};
use sextant_records::journal::EVALUATION;

/// One number a name: `evaluation.quality.JUDGE.kernel@1` and `…@best` (the chosen scale, which is `evaluation.quality.scale`),
/// `evaluation.copies.fraction`, `evaluation.probe.depth-3@0.5` (the time), and so on.
pub fn values(evaluation: &Evaluation) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let chosen = evaluation.sweep.as_ref().map_or(1.0, |sweep| sweep.chosen);
    for quality in &evaluation.quality {
        let mut at = |scale: &str| scores(&mut values, quality, scale);
        if quality.scale == 1.0 {
            at("1");
        }
        if quality.scale == chosen {
            at("best");
        }
    }
    if evaluation.sweep.is_some() {
        values.insert("quality.scale".into(), chosen);
    }
    if let Some(copies) = &evaluation.copies {
        values.insert("copies.fraction".into(), copies.fraction);
        values.insert("copies.distance".into(), copies.distance);
    }
    if let Some(found) = &evaluation.representations {
        for probe in &found.probes {
            values.insert(format!("probe.depth-{}@{}", probe.depth, probe.t), probe.accuracy);
        }
        for alignment in &found.alignment {
            values.insert(
                format!("cknna.depth-{}@{}", alignment.depth, alignment.t),
                alignment.cknna,
            );
        }
    }
    values
        .into_iter()
        .map(|(name, value)| (format!("{EVALUATION}{name}"), value))
        .collect()
}

fn scores(values: &mut BTreeMap<String, f64>, quality: &Quality, scale: &str) {
    let s = &quality.scores;
    for (name, value) in [
        ("frechet", s.frechet),
        ("kernel", s.kernel),
        ("precision", s.precision),
        ("recall", s.recall),
        ("density", s.density),
        ("coverage", s.coverage),
    ] {
        values.insert(format!("quality.{}.{name}@{scale}", quality.judge), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_records::evaluation::{ScaleSweep, Scores};

    #[test]
    fn a_score_at_scale_1_is_also_the_best_where_1_was_chosen() {
        let quality = |scale, kernel| Quality {
            judge: "some".into(),
            scale,
            samples: 20,
            scores: Scores {
                kernel,
                ..Scores::default()
            },
        };
        let names = |chosen, quality: Vec<Quality>| {
            values(&Evaluation {
                sweep: Some(ScaleSweep {
                    chosen,
                    ..ScaleSweep::default()
                }),
                quality,
                ..Evaluation::default()
            })
        };
        let two = names(2.0, vec![quality(1.0, 0.5), quality(2.0, 0.25)]);
        assert_eq!(
            (
                two["evaluation.quality.some.kernel@1"],
                two["evaluation.quality.some.kernel@best"]
            ),
            (0.5, 0.25)
        );
        let one = names(1.0, vec![quality(1.0, 0.5)]);
        assert_eq!(
            (
                one["evaluation.quality.some.kernel@1"],
                one["evaluation.quality.some.kernel@best"]
            ),
            (0.5, 0.5)
        );
        assert_eq!(one["evaluation.quality.scale"], 1.0);
    }
}
