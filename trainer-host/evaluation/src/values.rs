//! An evaluation as named numbers, for the log.

use std::collections::BTreeMap;

use sextant_records::evaluation::{Evaluation, Quality};
use sextant_records::journal::EVALUATION;

/// One number a name: `evaluation.quality.JUDGE.kernel@1` and `…@best` (the chosen scale, which is `evaluation.quality.scale`),
/// `evaluation.copies.fraction`, `evaluation.probe.depth-3@0.5` (the time), and so on.
pub fn values(evaluation: &Evaluation) -> BTreeMap<String, f64> {
    let mut values: Vec<(String, f64)> = Vec::new();
    let chosen = evaluation.sweep.as_ref().map_or(1.0, |sweep| sweep.chosen);
    for Quality {
        judge, scale, scores, ..
    } in &evaluation.quality
    {
        for (_, at) in [(1.0, "1"), (chosen, "best")].iter().filter(|(at, _)| at == scale) {
            let named = [
                ("frechet", Some(scores.frechet)),
                ("kernel", scores.kernel),
                ("precision", scores.precision),
                ("recall", scores.recall),
            ];
            let measured = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
            values.extend(measured.map(|(name, value)| (format!("quality.{judge}.{name}@{at}"), value)));
        }
    }
    if evaluation.sweep.is_some() {
        values.push(("quality.scale".into(), chosen));
    }
    if let Some(copies) = &evaluation.copies {
        values.push(("copies.fraction".into(), copies.fraction));
        values.push(("copies.distance".into(), copies.distance));
    }
    if let Some(found) = &evaluation.representations {
        let probes = found
            .probes
            .iter()
            .map(|of| (format!("probe.depth-{}@{}", of.depth, of.t), of.accuracy));
        let alignment = found
            .alignment
            .iter()
            .map(|of| (format!("cknna.depth-{}@{}", of.depth, of.t), of.cknna));
        values.extend(probes.chain(alignment));
    }
    let named = values
        .into_iter()
        .map(|(name, value)| (format!("{EVALUATION}{name}"), value));
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_records::evaluation::{ScaleSweep, Scores};

    #[test]
    fn a_score_at_scale_1_is_also_the_best_where_1_was_chosen() {
        let quality = |(scale, kernel): (f64, f64)| Quality {
            judge: "some".into(),
            scale,
            samples: 20,
            scores: Scores {
                kernel: Some(kernel),
                ..Scores::default()
            },
        };
        for (chosen, kernels, best) in [(2.0, &[(1.0, 0.5), (2.0, 0.25)][..], 0.25), (1.0, &[(1.0, 0.5)], 0.5)] {
            let evaluation = Evaluation {
                sweep: Some(ScaleSweep {
                    chosen,
                    ..ScaleSweep::default()
                }),
                quality: kernels.iter().copied().map(quality).collect(),
                ..Evaluation::default()
            };
            let values = values(&evaluation);
            assert_eq!(values["evaluation.quality.some.kernel@1"], 0.5);
            assert_eq!(values["evaluation.quality.some.kernel@best"], best);
            assert_eq!(values["evaluation.quality.scale"], chosen);
        }
    }
}
