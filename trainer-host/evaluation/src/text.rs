//! An evaluation as text for the terminal.

use std::fmt::Write;

use sextant_records::ValidationLoss;
use sextant_records::evaluation::{CopyRule, Evaluation, Quality};

/// Tables of everything that was measured.
pub fn text(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    if let Some(loss) = &evaluation.validation {
        validation(&mut out, loss);
    }
    if !evaluation.quality.is_empty() {
        quality(&mut out, evaluation);
    }
    if let Some(sweep) = &evaluation.sweep {
        let points = sweep.points.iter();
        let points: Vec<String> = points
            .map(|p| format!("{}: {:.4} ± {:.4}", p.scale, p.kernel, p.kernel_error))
            .collect();
        let _ = writeln!(
            out,
            "\nguidance scale {} chosen by the kernel distance to judge {} on {} other samples ({})",
            sweep.chosen,
            sweep.judge,
            sweep.samples,
            points.join(", ")
        );
    }
    if let Some(copies) = &evaluation.copies {
        let _ = writeln!(
            out,
            "copies of training images: {:.1} % of {} samples ({:.1} % of held-out images); median distance to the nearest {:.3} (held-out {:.3})",
            100.0 * copies.fraction,
            copies.samples,
            100.0 * copies.held_out_fraction,
            copies.distance,
            copies.held_out_distance
        );
        if let Some(CopyRule {
            distance,
            quantile,
            ratio,
        }) = &copies.rule
        {
            let _ = writeln!(
                out,
                "a copy lies within {distance:.3} of a training image, as only the nearest {} % of held-out images do, and at most {ratio:.2} times as far from it as from the nearest one of another group",
                100.0 * quantile
            );
        }
    }
    if let Some(reason) = &evaluation.trouble {
        let _ = writeln!(out, "\nno representations: {reason}");
    }
    if let Some(found) = &evaluation.representations {
        let mut times: Vec<f64> = found.probes.iter().map(|p| p.t).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let _ = write!(out, "\n{:>5}", "depth");
        for t in &times {
            let _ = write!(out, "  {:>15}", format!("t {t}: probe, CKNNA"));
        }
        let depths = found.probes.iter().map(|p| p.depth).max().unwrap_or(0);
        for depth in 0..=depths {
            let _ = write!(out, "\n{depth:>5}");
            for t in &times {
                let probe = found.probes.iter().find(|p| p.depth == depth && p.t == *t);
                let like = found.alignment.iter().find(|a| a.depth == depth && a.t == *t);
                let _ = write!(
                    out,
                    "  {:>8} {:>6}",
                    probe.map_or("-".into(), |p| format!("{:.1} %", 100.0 * p.accuracy)),
                    like.map_or("-".into(), |a| format!("{:.3}", a.cknna)),
                );
            }
        }
        let chance = found.probes.first().map_or(0.0, |p| p.chance);
        let _ = writeln!(
            out,
            "\nprobe: accuracy on {} held-out images, {:.1} % by chance; CKNNA with {}",
            found.held_out,
            100.0 * chance,
            found.compared_with
        );
        for part in &found.label_parts {
            let _ = writeln!(
                out,
                "the label explains {:.1} % of {} at t {}",
                100.0 * part.share,
                part.target,
                part.t
            );
        }
    }
    out
}

fn validation(out: &mut String, loss: &ValidationLoss) {
    // Times are of f32: as such they are short.
    let times = loss.by_time.iter().map(|[t, loss]| format!("{}: {loss:.4}", *t as f32));
    let times: Vec<String> = times.collect();
    let _ = writeln!(
        out,
        "validation loss {:.4} on held-out images (by t, {})\n",
        loss.mean,
        times.join(", ")
    );
}

fn quality(out: &mut String, evaluation: &Evaluation) {
    let _ = writeln!(
        out,
        "{:<12} {:>6} {:>9} {:>18} {:>9} {:>6} {:>8} {:>8}",
        "judge", "scale", "Frechet", "kernel distance", "precision", "recall", "density", "coverage"
    );
    let mut row = |quality: &Quality, scale: String| {
        let s = &quality.scores;
        let _ = writeln!(
            out,
            "{:<12} {:>6} {:>9.3} {:>18} {:>9.3} {:>6.3} {:>8.3} {:>8.3}",
            quality.judge,
            scale,
            s.frechet,
            format!("{:.4} ± {:.4}", s.kernel, s.kernel_error),
            s.precision,
            s.recall,
            s.density,
            s.coverage
        );
    };
    for quality in &evaluation.quality {
        row(quality, quality.scale.to_string());
    }
    for floor in &evaluation.floors {
        row(floor, "real".into());
    }
    if let Some(first) = evaluation.quality.first() {
        let _ = writeln!(
            out,
            "{} samples; \"real\" is as many real images: the floor",
            first.samples
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_records::evaluation::Copies;

    #[test]
    fn the_validation_loss_comes_first_and_a_copy_is_explained() {
        let evaluation = Evaluation {
            validation: Some(ValidationLoss {
                mean: 0.5,
                by_time: vec![[f64::from(0.1f32), 0.25], [0.75, 0.75]],
            }),
            copies: Some(Copies {
                samples: 20,
                rule: Some(CopyRule {
                    distance: 0.125,
                    quantile: 0.05,
                    ratio: 1.0 / 3.0,
                }),
                ..Copies::default()
            }),
            trouble: Some("CKNNA is not defined here".into()),
            ..Evaluation::default()
        };
        let said = text(&evaluation);
        assert!(
            said.starts_with("validation loss 0.5000 on held-out images (by t, 0.1: 0.2500, 0.75: 0.7500)\n"),
            "{said}"
        );
        for words in ["within 0.125", "nearest 5 %", "0.33 times", "no representations: CKNNA"] {
            assert!(said.contains(words), "no {words:?} in\n{said}");
        }
    }

    #[test]
    fn an_evaluation_of_an_earlier_version_reads_and_says_less() {
        let old = r#"{"step": 3, "judges": [], "sweep": null, "quality": [], "floors": [], "representations": null, "copies":
            {"samples": 20, "scale": 1.0, "fraction": 0.1, "held_out_fraction": 0.0, "distance": 0.2, "held_out_distance": 0.2,
            "ratio": 0.9, "held_out_ratio": 0.9}}"#;
        let old: Evaluation = serde_json::from_str(old).unwrap();
        assert_eq!((old.validation.as_ref(), old.trouble.as_ref()), (None, None));
        let said = text(&old);
        assert!(
            said.contains("10.0 % of 20 samples") && !said.contains("a copy lies"),
            "{said}"
        );
    }
}
