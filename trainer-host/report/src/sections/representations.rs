//! The tokens of each depth: linear probes and alignment with another network.

use sextant_records::evaluation::Representations;

use crate::chart::{Chart, Level, Lines};
use crate::content::{Report, Variant};
use crate::number::short;
use crate::profile::Profile;
use crate::section::{Block, Section};
use crate::seed_mean::SeedMean;

/// A number at every depth and time.
struct Measured {
    file: &'static str,
    name: &'static str,
    text: fn(&SeedMean) -> String,
    /// All its values in one run: depth, time, value.
    values: fn(&Representations) -> Vec<(usize, f64, f64)>,
}

const PROBE: Measured = Measured {
    file: "probe",
    name: "probe accuracy",
    text: SeedMean::percent,
    values: |r| r.probes.iter().map(|p| (p.depth, p.t, p.accuracy)).collect(),
};

const ALIGNMENT: Measured = Measured {
    file: "cknna",
    name: "CKNNA",
    text: SeedMean::text,
    values: |r| r.alignment.iter().map(|a| (a.depth, a.t, a.cknna)).collect(),
};

/// The section; none where representations were not measured.
pub fn section(report: &Report) -> Option<Section> {
    let first = report.evaluations().find_map(|e| e.representations.as_ref())?;
    let words = format!(
        "Linear classifiers on the mean of each depth’s tokens, fitted on {} training images and tried on {} held-out ones (the dashed line is the accuracy of \
         always naming the commonest class); and CKNNA, the mutual nearest neighbours (k = 10) with the features of the judge {}, which guided nobody. \
         The null class is fed to the network. Lines are means over seeds, bands reach from the least to the largest. t = 0 is data, t = 1 is noise; \
         depth 0 is the embedded patches.",
        first.training, first.held_out, first.compared_with
    );
    let mut blocks = vec![Block::Words(words)];
    let chance = first.probes.first().map(|probe| Level {
        name: "chance".into(),
        at: probe.chance,
    });
    blocks.extend(shown(report, &PROBE, chance));
    blocks.extend(shown(report, &ALIGNMENT, None));
    Section::new("representations", "Representations by depth: probes and CKNNA", blocks)
}

/// A chart a time, all on one scale of heights, and a table a time.
fn shown(report: &Report, measure: &Measured, level: Option<Level>) -> Vec<Block> {
    let all = report.evaluations().filter_map(|e| e.representations.as_ref());
    let (mut times, extent): (Vec<f64>, Vec<f64>) =
        all.flat_map(measure.values).map(|(_, t, value)| (t, value)).unzip();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let profile = |t: f64| {
        let at = |variant: &Variant| {
            let evaluations = variant.evaluations.iter().flatten();
            let values = evaluations
                .filter_map(|e| e.representations.as_ref())
                .flat_map(measure.values);
            let here = values.filter(|(_, of, _)| *of == t);
            here.map(|(depth, _, value)| (depth as f64, value)).collect()
        };
        Profile::new(report, format!("{}, t = {}", measure.name, short(t)), at)
    };
    let profiles: Vec<(f64, Profile)> = times.into_iter().map(|t| (t, profile(t))).collect();
    let charts = profiles.iter().map(|(t, profile)| {
        let like = Lines {
            levels: level.iter().cloned().collect(),
            extent: extent.clone(),
            ticks: (profile.places().len().saturating_sub(1).clamp(1, 6), 5),
            ..Lines::small()
        };
        let file = format!("{}-t{}", measure.file, short(*t));
        Chart::new(file, "", profile.lines("depth", like))
    });
    let charts = Block::Charts(charts.collect());
    let tables = profiles.iter().map(|(_, profile)| {
        let table = profile.table(|depth| format!("depth {depth}"), measure.text);
        Block::Table(table)
    });
    [charts].into_iter().chain(tables).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn there_is_a_chart_for_each_time_on_one_scale_with_chance_and_a_table() {
        let section = section(&fixture::example()).unwrap();
        let charts = section.charts().map(|chart| (chart.file.as_str(), &chart.lines));
        let charts: Vec<(&str, &Lines)> = charts.collect();
        let (probes, alignment) = charts.split_at(3);
        assert_eq!(
            probes.iter().map(|(file, _)| *file).collect::<Vec<_>>(),
            ["probe-t0.2", "probe-t0.5", "probe-t0.8"]
        );
        assert!(probes.windows(2).all(|pair| pair[0].1.extent == pair[1].1.extent));
        assert!(probes.iter().all(|(_, of)| of.levels.len() == 1 && of.lines.len() == 4));
        assert!(alignment.len() == 3 && alignment.iter().all(|(_, of)| of.levels.is_empty()));
        assert!(probes[0].1.lines[0].band.len() > 1, "three seeds have a band");
        let cells: Vec<&str> = section
            .tables()
            .map(|table| table.rows[0].cells[2].text.as_str())
            .collect();
        assert!(
            cells[0].ends_with(" %") && !cells[3].contains('%'),
            "probes are per cent: {cells:?}"
        );
        assert!(super::section(&fixture::hostile()).is_none());
    }
}
