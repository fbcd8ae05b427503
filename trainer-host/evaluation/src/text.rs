//! An evaluation as text for the terminal.

use std::fmt::{self, Write};

use sextant_records::evaluation::{Evaluation, Quality, Representations, Scores};

/// Tables of everything that was measured.
pub fn text(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    // Nothing fails that is written into a string.
    let _ = write(&mut out, evaluation);
    out
}

fn write(out: &mut String, evaluation: &Evaluation) -> fmt::Result {
    if let Some(loss) = &evaluation.validation {
        // Times are of f32: as such they are short.
        let times = loss.by_time.iter().map(|[t, loss]| format!("{}: {loss:.4}", *t as f32));
        let times = times.collect::<Vec<_>>().join(", ");
        writeln!(
            out,
            "validation loss {:.4} on held-out images (by t, {times})\n",
            loss.mean
        )?;
    }
    if let Some(first) = evaluation.quality.first() {
        quality(out, evaluation)?;
        let floor = match evaluation.floors.is_empty() {
            true => "",
            false => "; \"real\" is as many real images: the floor",
        };
        writeln!(out, "{} samples{floor}", first.samples)?;
    }
    if let Some(reference) = &evaluation.reference {
        writeln!(out, "compared with {} ({})", reference.path, reference.description)?;
    }
    if let Some(sweep) = evaluation.sweep.as_ref().filter(|sweep| !sweep.points.is_empty()) {
        let points = sweep.points.iter();
        let points = points.map(|p| format!("{}: {:.4} ± {:.4}", p.scale, p.kernel, p.kernel_error));
        writeln!(
            out,
            "\nguidance scale {} chosen by the kernel distance to judge {} on {} other samples ({})",
            sweep.chosen,
            sweep.judge,
            sweep.samples,
            points.collect::<Vec<_>>().join(", ")
        )?;
    }
    if let Some(copies) = &evaluation.copies {
        writeln!(
            out,
            "copies of training images: {:.1} % of {} samples ({:.1} % of held-out images); median distance to the nearest {:.3} (held-out {:.3})",
            100.0 * copies.fraction,
            copies.samples,
            100.0 * copies.held_out_fraction,
            copies.distance,
            copies.held_out_distance
        )?;
        writeln!(
            out,
            "a copy lies within {:.3} of a training image, as only the nearest {} % of held-out images do, and at most {:.2} times as far from it as from the nearest one of another group",
            copies.rule.distance,
            100.0 * copies.rule.quantile,
            copies.rule.ratio
        )?;
    }
    if let Some(reason) = &evaluation.trouble {
        writeln!(out, "\nno representations: {reason}")?;
    }
    match &evaluation.representations {
        Some(found) => representations(out, found),
        None => Ok(()),
    }
}

/// A number of a judge's scores in words; none where it was not measured.
type Number = fn(&Scores) -> Option<String>;

fn quality(out: &mut String, evaluation: &Evaluation) -> fmt::Result {
    let scored = evaluation.quality.iter().map(|of| (of, of.scale.to_string()));
    let floors = evaluation.floors.iter().map(|of| (of, "real".into()));
    let rows: Vec<(&Quality, String)> = scored.chain(floors).collect();
    // Against statistics there is nothing but the Frechet distance.
    let columns: [(&str, usize, Number); 4] = [
        ("Frechet", 9, |scores| Some(format!("{:.3}", scores.frechet))),
        ("kernel distance", 18, |scores| {
            Some(format!("{:.4} ± {:.4}", scores.kernel?, scores.kernel_error?))
        }),
        ("precision", 9, |scores| Some(format!("{:.3}", scores.precision?))),
        ("recall", 6, |scores| Some(format!("{:.3}", scores.recall?))),
    ];
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(.., of)| rows.iter().any(|(row, _)| of(&row.scores).is_some()))
        .collect();
    write!(out, "{:<12} {:>6}", "judge", "scale")?;
    for (name, width, _) in &columns {
        write!(out, " {name:>width$}")?;
    }
    for (Quality { judge, scores, .. }, scale) in &rows {
        write!(out, "\n{judge:<12} {scale:>6}")?;
        for (_, width, of) in &columns {
            write!(out, " {:>width$}", of(scores).unwrap_or_else(|| "-".into()))?;
        }
    }
    writeln!(out)
}

fn representations(out: &mut String, found: &Representations) -> fmt::Result {
    let mut times: Vec<f64> = found.probes.iter().map(|p| p.t).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    write!(out, "\n{:>5}", "depth")?;
    for t in &times {
        write!(out, "  {:>15}", format!("t {t}: probe, CKNNA"))?;
    }
    let depths = found.probes.iter().map(|p| p.depth).max().unwrap_or(0);
    for depth in 0..=depths {
        write!(out, "\n{depth:>5}")?;
        for t in &times {
            let probe = found.probes.iter().find(|p| p.depth == depth && p.t == *t);
            let like = found.alignment.iter().find(|a| a.depth == depth && a.t == *t);
            let probe = probe.map_or("-".into(), |p| format!("{:.1} %", 100.0 * p.accuracy));
            let like = like.map_or("-".into(), |a| format!("{:.3}", a.cknna));
            write!(out, "  {probe:>8} {like:>6}")?;
        }
    }
    writeln!(
        out,
        "\nprobe: accuracy on {} held-out images, {:.1} % by chance; CKNNA with {}",
        found.held_out,
        100.0 * found.probes.first().map_or(0.0, |p| p.chance),
        found.compared_with
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_records::ValidationLoss;
    use sextant_records::evaluation::{Copies, CopyRule};

    #[test]
    fn the_validation_loss_comes_first_and_a_copy_is_explained() {
        let evaluation = Evaluation {
            validation: Some(ValidationLoss {
                mean: 0.5,
                by_time: vec![[f64::from(0.1f32), 0.25], [0.75, 0.75]],
            }),
            copies: Some(Copies {
                samples: 20,
                rule: CopyRule {
                    distance: 0.125,
                    quantile: 0.05,
                    ratio: 1.0 / 3.0,
                },
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
}
