//! An evaluation as text for the terminal.

use std::fmt::Write;

use super::{Evaluation, Quality};

/// Tables of everything that was measured.
pub fn text(evaluation: &Evaluation) -> String {
    let mut out = String::new();
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
    }
    if let Some(found) = &evaluation.representations {
        let mut times: Vec<f64> = found.probes.iter().map(|p| p.t).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let _ = write!(out, "\n{:>5}", "depth");
        for t in &times {
            let _ = write!(out, "  {:>22}", format!("t {t}: probe, CKA, CKNNA"));
        }
        let depths = found.probes.iter().map(|p| p.depth).max().unwrap_or(0);
        for depth in 0..=depths {
            let _ = write!(out, "\n{depth:>5}");
            for t in &times {
                let probe = found.probes.iter().find(|p| p.depth == depth && p.t == *t);
                let like = found.alignment.iter().find(|a| a.depth == depth && a.t == *t);
                let _ = write!(
                    out,
                    "  {:>8} {:>6} {:>6}",
                    probe.map_or("-".into(), |p| format!("{:.1} %", 100.0 * p.accuracy)),
                    like.map_or("-".into(), |a| format!("{:.3}", a.cka)),
                    like.map_or("-".into(), |a| format!("{:.3}", a.cknna)),
                );
            }
        }
        let chance = found.probes.first().map_or(0.0, |p| p.chance);
        let _ = writeln!(
            out,
            "\nprobe: accuracy on {} held-out images, {:.1} % by chance; CKA and CKNNA with {}",
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
