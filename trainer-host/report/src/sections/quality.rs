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

/// A score: its name with an arrow to where it is good, and how to read it off; none where it was not measured.
type Score = (&'static str, fn(&Scores) -> Option<f64>);

const KERNEL: &str = "kernel distance ↓";

const SCORES: [Score; 4] = [
    (KERNEL, |s| s.kernel),
    ("Fréchet distance ↓", |s| Some(s.frechet)),
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
        false if measured(report, None).contains(&KERNEL) => {
            "One seed: what stands after ± is the kernel distance’s standard error."
        }
        false => "One seed.",
    };
    let judges = judges
        .iter()
        .map(|judge| format!("{} ({})", judge.name, judge.description));
    let reference = report
        .evaluations()
        .find_map(|evaluation| evaluation.reference.as_ref());
    let with = match reference {
        Some(reference) => format!("{} ({})", reference.path, reference.description),
        None => "the data".into(),
    };
    let has_floor = report.evaluations().any(|evaluation| !evaluation.floors.is_empty());
    let floor = match (has_floor, reference) {
        (false, _) => "",
        (true, Some(_)) => " The last row is the floor: what as many held-out images of the data score.",
        (true, None) => {
            " The last row is the floor: what real images score against real images, held-out ones against the training part where as many are held out, \
             or else a part of the training part against the rest of it."
        }
    };
    let words = format!(
        "Samples are compared with {with} in the feature space of judge networks: {}. Every variant draws from the same noise and labels. {spread}{floor}",
        judges.collect::<Vec<_>>().join("; ")
    );
    let mut blocks = vec![Block::Words(words)];
    blocks.extend(tables.into_iter().map(Block::Table));
    blocks.extend(sweep(report));
    Section::new("quality", "Quality of samples by judge and guidance scale", blocks)
}

/// Names of the scores that were measured by a judge, or by any: against statistics alone there are no more than the first.
fn measured(report: &Report, judge: Option<&str>) -> Vec<&'static str> {
    let of_judge = |quality: &&Quality| judge.is_none_or(|judge| quality.judge == judge);
    let all = || report.evaluations().flat_map(|e| &e.quality).filter(of_judge);
    let there = |(name, value): Score| all().any(|quality| value(&quality.scores).is_some()).then_some(name);
    SCORES.into_iter().filter_map(there).collect()
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
    let measured = measured(report, Some(judge));
    let scores = measured.iter().copied().map(Column::from);
    let heads = ["variant", "scale"].map(Column::text).into_iter().chain(scores);
    let mut table = Table::new(caption, heads);
    for (index, variant) in report.variants.iter().enumerate() {
        let evaluations = || variant.evaluations.iter().flatten();
        let at_one: Vec<&Quality> = evaluations().filter_map(|e| scored(e, judge, 1.0)).collect();
        let chosen: Vec<&Quality> = evaluations().filter_map(|e| chosen(e, judge)).collect();
        if !at_one.is_empty() {
            table
                .rows
                .push(Row::of(index, &variant.name, cells("1", &at_one, &measured)));
        }
        if chosen.iter().any(|quality| quality.scale != 1.0) {
            let mut scales: Vec<String> = chosen.iter().map(|quality| short(quality.scale)).collect();
            if scales.iter().all(|one| *one == scales[0]) {
                scales.truncate(1);
            }
            let scales = format!("{} (chosen)", scales.join(", "));
            table
                .rows
                .push(Row::of(index, &variant.name, cells(&scales, &chosen, &measured)));
        }
    }
    let floor = report
        .evaluations()
        .find_map(|e| e.floors.iter().find(|floor| floor.judge == judge));
    if let (false, Some(floor)) = (table.rows.is_empty(), floor) {
        let name = format!("{} real images", floor.samples);
        table.rows.push(Row::floor(&name, cells("—", &[floor], &measured)));
    }
    table
}

/// The means of the `measured` scores over seeds and their spread; of one seed, the kernel distance has a standard error of its own.
fn cells(scale: &str, of: &[&Quality], measured: &[&str]) -> Vec<Cell> {
    let scores = SCORES.iter().filter(|(name, _)| measured.contains(name));
    let scores = scores.map(|(name, value)| match (*name, of) {
        (KERNEL, [one]) => match one.scores.kernel {
            Some(kernel) => with_error(kernel, one.scores.kernel_error).into(),
            None => Cell::nothing(),
        },
        _ => {
            let over = SeedMean::new(of.iter().filter_map(|quality| value(&quality.scores)));
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
    fn what_was_not_measured_has_no_column_and_no_word() {
        for seeds in [1, 3] {
            let report = fixture::against_statistics(seeds);
            let section = section(&report).unwrap();
            for table in section.tables() {
                let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
                assert_eq!(names, ["variant", "scale", "Fréchet distance ↓"], "{table:?}");
                assert!(table.rows.iter().all(|row| row.cells.len() == 3 && !row.is_floor));
            }
            assert_eq!((section.charts().count(), section.tables().count()), (0, 2));
            let Block::Words(words) = &section.blocks[0] else {
                panic!("words come first")
            };
            assert!(words.contains("imagenet.npz (statistics of 2048 features)"), "{words}");
            for absent in ["floor", "kernel"] {
                assert!(!words.contains(absent), "{absent} in {words}");
            }
        }
    }

    #[test]
    fn a_single_seed_has_the_standard_error_of_its_kernel_distance() {
        let report = fixture::example_with(1);
        let first = report.variants[0].evaluations[0].as_ref().unwrap().quality[0].scores;
        let expected = with_error(first.kernel.unwrap(), first.kernel_error);
        let section = section(&report).unwrap();
        assert_eq!(section.tables().next().unwrap().rows[0].cells[2].text, expected);
        assert!(matches!(&section.blocks[0], Block::Words(words) if words.contains("One seed")));
    }
}
