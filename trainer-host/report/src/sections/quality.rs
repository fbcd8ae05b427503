//! Quality of samples: scores by judge and guidance scale beside their floors, and the sweep that chose the scale.

use std::collections::BTreeSet;

use sextant_records::evaluation::{Evaluation, JudgeIdentity, Quality, ScaleSweep, Scores};

use crate::chart::{Chart, Lines};
use crate::content::{Report, Variant};
use crate::number::short;
use crate::profile::Profile;
use crate::section::{Block, Section};
use crate::seed_mean::{SeedMean, with_error};
use crate::table::{Cell, Column, Row, Table};

/// A score: its name with an arrow to where it is good, and how to read it off.
type Score = (&'static str, fn(&Scores) -> f64);

const SCORES: [Score; 4] = [
    ("kernel distance ↓", |s| s.kernel),
    ("Fréchet distance ↓", |s| s.frechet),
    ("precision ↑", |s| s.precision),
    ("recall ↑", |s| s.recall),
];

/// The section; none where quality was not measured.
pub fn section(report: &Report) -> Option<Section> {
    let judges = judges(report);
    let tables: Vec<Table> = judges.iter().map(|judge| table(report, &judge.name)).collect();
    let counts = report.variants.iter().map(|v| v.evaluations.iter().flatten().count());
    let spread = match counts.max().unwrap_or(0) > 1 {
        true => "Numbers are means over seeds, after ± their standard deviation.",
        false => "One seed: what stands after ± is the kernel distance’s standard error.",
    };
    let judges = judges
        .iter()
        .map(|judge| format!("{} ({})", judge.name, judge.description));
    let words = format!(
        "Samples are compared with the data in the feature space of judge networks: {}. Every variant draws from the same noise and labels. {spread} The last \
         row is the floor: what real images score against real images, held-out ones against the training part where as many are held out, or else a part \
         of the training part against the rest of it.",
        judges.collect::<Vec<_>>().join("; ")
    );
    let mut blocks = vec![Block::Words(words)];
    blocks.extend(tables.into_iter().map(Block::Table));
    blocks.extend(sweep(report));
    Section::new("quality", "Quality of samples by judge and guidance scale", blocks)
}

/// The scores by one judge.
fn table(report: &Report, judge: &str) -> Table {
    let all = report
        .evaluations()
        .flat_map(|e| &e.quality)
        .filter(|q| q.judge == judge);
    let counts: BTreeSet<usize> = all.map(|q| q.samples).collect();
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    let caption = format!("Judge {judge}, {} samples", counts.join(" or "));
    let scores = SCORES.map(|(name, _)| Column::from(name));
    let heads = ["variant", "scale"].map(Column::text).into_iter().chain(scores);
    let mut table = Table::new(caption, heads);
    for (index, variant) in report.variants.iter().enumerate() {
        let evaluations = || variant.evaluations.iter().flatten();
        let at_one: Vec<&Quality> = evaluations().filter_map(|e| scored(e, judge, 1.0)).collect();
        let chosen: Vec<&Quality> = evaluations().filter_map(|e| chosen(e, judge)).collect();
        if !at_one.is_empty() {
            table.rows.push(Row::of(index, &variant.name, cells("1", &at_one)));
        }
        if chosen.iter().any(|quality| quality.scale != 1.0) {
            let mut scales: Vec<String> = chosen.iter().map(|quality| short(quality.scale)).collect();
            if scales.iter().all(|one| *one == scales[0]) {
                scales.truncate(1);
            }
            let scales = format!("{} (chosen)", scales.join(", "));
            table.rows.push(Row::of(index, &variant.name, cells(&scales, &chosen)));
        }
    }
    let floor = report
        .evaluations()
        .find_map(|e| e.floors.iter().find(|floor| floor.judge == judge));
    if let (false, Some(floor)) = (table.rows.is_empty(), floor) {
        let name = format!("{} real images", floor.samples);
        table.rows.push(Row::floor(&name, cells("—", &[floor])));
    }
    table
}

/// The mean over seeds and its spread; of one seed, the kernel distance has a standard error of its own.
fn cells(scale: &str, of: &[&Quality]) -> Vec<Cell> {
    let scores = SCORES.iter().enumerate().map(|(i, (_, value))| match (i, of) {
        (0, [one]) => with_error(one.scores.kernel, Some(one.scores.kernel_error)).into(),
        _ => {
            let over = SeedMean::new(of.iter().map(|quality| value(&quality.scores)));
            over.map(|over| over.text()).into()
        }
    });
    [scale.into()].into_iter().chain(scores).collect()
}

/// All judges, in the recipe's order.
pub fn judges(report: &Report) -> Vec<&JudgeIdentity> {
    let mut judges: Vec<&JudgeIdentity> = Vec::new();
    for judge in report.evaluations().flat_map(|evaluation| &evaluation.judges) {
        if judges.iter().all(|known| known.name != judge.name) {
            judges.push(judge);
        }
    }
    judges
}

/// The scores by this judge at this scale.
pub fn scored<'a>(evaluation: &'a Evaluation, judge: &str, scale: f64) -> Option<&'a Quality> {
    let mut of_judge = evaluation.quality.iter().filter(|q| q.judge == judge);
    of_judge.find(|q| (q.scale - scale).abs() < 1e-9)
}

/// The scores at the scale that was chosen for this run; at 1 where none was.
pub fn chosen<'a>(evaluation: &'a Evaluation, judge: &str) -> Option<&'a Quality> {
    let scale = evaluation.sweep.as_ref().map_or(1.0, |sweep| sweep.chosen);
    scored(evaluation, judge, scale)
}

/// The scores by the judge that decides, the recipe's first, at the chosen scale.
pub fn first_judged(evaluation: &Evaluation) -> Option<&Quality> {
    chosen(evaluation, &evaluation.judges.first()?.name)
}

/// The sweep's chart and table; nothing where nobody swept over two scales.
fn sweep(report: &Report) -> Vec<Block> {
    let sweeps = |variant: &Variant| -> Vec<(f64, f64)> {
        let sweeps = variant.evaluations.iter().flatten().filter_map(|e| e.sweep.as_ref());
        let points = |sweep: &ScaleSweep| sweep.points.iter().map(|p| (p.scale, p.kernel)).collect::<Vec<_>>();
        sweeps.flat_map(points).collect()
    };
    let profile = Profile::new(report, "Kernel distance by guidance scale", sweeps);
    let Some(sweep) = report.evaluations().find_map(|evaluation| evaluation.sweep.as_ref()) else {
        return Vec::new();
    };
    if profile.places().len() < 2 {
        return Vec::new();
    }
    let caption = format!(
        "Kernel distance by judge {} over the scale of classifier-free guidance, on {} samples a scale of other noise than those that are scored. Each run \
         chooses the scale where it is least.",
        sweep.judge, sweep.samples
    );
    let lines = Lines {
        title: "kernel distance, lower is better".into(),
        ..profile.lines("scale of classifier-free guidance", Lines::medium())
    };
    let chart = Chart::new("guidance-scale", caption, lines);
    let table = profile.table(|scale| format!("scale {}", short(scale)), SeedMean::text);
    vec![
        Block::Heading("Guidance scale at sampling".into()),
        Block::Charts(vec![chart]),
        Block::Table(table),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_judge_has_a_table_that_ends_with_its_floor() {
        let whole = section(&fixture::example()).unwrap();
        let tables: Vec<_> = whole
            .tables()
            .filter(|table| table.caption.starts_with("Judge"))
            .collect();
        assert_eq!(tables.len(), 2);
        for table in tables {
            assert_eq!(table.rows.last().unwrap().name(), "360 real images");
            assert!(
                table.rows.iter().any(|row| row.cells[1].text.ends_with("(chosen)")),
                "{table:?}"
            );
            assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
        }
        assert_eq!(
            (whole.charts().count(), whole.tables().count()),
            (1, 3),
            "with the sweep"
        );
        assert!(section(&fixture::hostile()).is_none(), "nothing measured is no section");
    }

    #[test]
    fn a_single_seed_has_the_standard_error_of_its_kernel_distance() {
        let report = fixture::example_with(1);
        let first = report.variants[0].evaluations[0].as_ref().unwrap().quality[0].scores;
        let expected = with_error(first.kernel, Some(first.kernel_error));
        let section = section(&report).unwrap();
        assert_eq!(section.tables().next().unwrap().rows[0].cells[2].text, expected);
        assert!(matches!(&section.blocks[0], Block::Words(words) if words.contains("One seed")));
    }
}
