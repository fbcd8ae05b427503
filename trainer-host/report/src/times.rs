//! The validation loss at each of the fixed times: where along the path a variant is better or worse.

use super::chart::legend;
use super::content::{Outcome, Report};
use super::markup::{Section, figure, scrolling};
use super::number::significant;
use super::plot::{Line, Plot};
use super::sheet::{Sheet, SheetRow};

/// The page's section; none where no two times were measured.
pub fn section(report: &Report) -> Option<Section> {
    let plot = plot(report)?;
    let caption = "Denoising loss of held-out images after the last step, at each of the fixed times with the same noise for every variant; t = 0 is data, \
                   t = 1 is noise. The mean over the times is the validation loss.";
    let body = format!(
        "{}{}<details><summary>The losses in numbers</summary>\n{}</details>\n",
        legend(report, "legend-times"),
        figure(&scrolling(&plot.svg(), "Validation loss over t"), caption),
        sheet(report).html()
    );
    Section::new("times", "Validation loss along the path", body)
}

/// The losses over t; none where no two times were measured.
pub fn plot(report: &Report) -> Option<Plot> {
    let lines: Vec<Line> = measured(report)
        .into_iter()
        .filter(|(_, _, losses)| losses.len() > 1)
        .map(|(variant, name, losses)| Line {
            variant,
            name: name.into(),
            points: losses.to_vec(),
            band: band(report, name, losses),
            dots: true,
            ..Line::default()
        })
        .collect();
    (!lines.is_empty()).then(|| Plot {
        title: "validation loss".into(),
        x_label: "t, from data to noise".into(),
        lines,
        ..Plot::medium()
    })
}

/// From the least to the largest seed at each time; nothing for a single seed.
fn band(report: &Report, name: &str, times: &[[f64; 2]]) -> Vec<[f64; 3]> {
    let runs = report.runs.iter().filter(|run| run.variant == name);
    let losses = runs.filter_map(|run| match &run.outcome {
        Outcome::Finished(measured) => Some(&measured.validation_by_time),
        _ => None,
    });
    let losses: Vec<_> = losses.collect();
    if losses.len() < 2 || losses.iter().any(|of| of.len() != times.len()) {
        return Vec::new();
    }
    let at = |i: usize| losses.iter().map(move |of| of[i][1]);
    let span = |i: usize| [at(i).fold(f64::NAN, f64::min), at(i).fold(f64::NAN, f64::max)];
    let spans = times.iter().enumerate().map(|(i, [t, _])| (*t, span(i)));
    spans.map(|(t, [low, high])| [t, low, high]).collect()
}

/// The losses as a table, columns being times.
pub fn sheet(report: &Report) -> Sheet {
    let measured = measured(report);
    let times = measured.first().map_or(&[][..], |(_, _, losses)| *losses);
    let rows = measured.iter().map(|(index, name, losses)| {
        let cell = |t: f64| match losses.iter().find(|[of, _]| *of == t) {
            Some([_, loss]) => significant(*loss, 4, 4),
            None => "—".to_owned(),
        };
        SheetRow::of(*index, name, times.iter().map(|[t, _]| cell(*t)).collect())
    });
    Sheet {
        caption: "Validation loss by time".into(),
        heads: std::iter::once("variant".to_owned())
            .chain(times.iter().map(|[t, _]| format!("t = {}", significant(*t, 3, 3))))
            .collect(),
        rows: rows.collect(),
        words: Vec::new(),
    }
}

fn measured(report: &Report) -> Vec<(usize, &str, &[[f64; 2]])> {
    let variants = report.variants.iter().enumerate();
    let measured = variants.filter_map(|(index, variant)| match &variant.outcome {
        Outcome::Finished(m) => Some((index, variant.name.as_str(), m.validation_by_time.as_slice())),
        _ => None,
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::super::content::Measurements;
    use super::super::fixture;
    use super::*;

    #[test]
    fn every_finished_variant_has_a_row_and_every_time_a_column() {
        let mut report = fixture::report();
        assert!(section(&report).is_none());
        for (variant, by_time) in report
            .variants
            .iter_mut()
            .zip([[[0.25, 0.5], [0.75, 0.125]], [[0.25, 0.4], [0.5, 9.0]]])
        {
            variant.outcome = Outcome::Finished(Measurements {
                validation_by_time: by_time.into(),
                ..Measurements::default()
            });
        }
        let page = section(&report).unwrap().body;
        for words in ["t = 0.25", "t = 0.75", "0.1250", "0.4000", "—"] {
            assert!(page.contains(words), "{words} in {page}");
        }
        let table = sheet(&report).html();
        assert!(!table.contains("9.0") && !table.contains("stopped"), "{table}");
    }
}
