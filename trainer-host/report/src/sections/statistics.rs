//! Every variant against the baseline, by every score.

use sextant_stats::statistics::{Comparison, Direction, Outcome, Row as Compared};

use crate::content::Report;
use crate::number::{percent, signed, significant};
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table};
use crate::verdicts::{decision, range};

/// The section; none without a baseline.
pub fn section(report: &Report) -> Option<Section> {
    let verdict = report.verdict.as_ref()?;
    let title = match report.seeds.len() {
        1 => "Statistics: one seed".to_owned(),
        seeds => format!("Statistics over {seeds} seeds"),
    };
    let mut blocks = vec![
        Block::Table(primary(report, verdict)),
        Block::Words(method(report, verdict)),
    ];
    if !report.against_longer.is_empty() {
        blocks.push(Block::Heading("Against longer training without guidance".into()));
        blocks.extend(report.against_longer.iter().map(|of| Block::Table(primary(report, of))));
    }
    let others = others(report);
    if !others.rows.is_empty() {
        blocks.extend([
            Block::Heading("Other scores".into()),
            Block::Words(
                "None of these was chosen as primary. Each is corrected for the number of variants and not for the number of scores: among many, one \
                 that is resolved by chance is to be expected. Where judges disagree, the difference depends on whose features are asked."
                    .into(),
            ),
            Block::Table(others),
        ]);
    }
    Section::new("statistics", title, blocks)
}

const COLUMNS: [&str; 5] = ["seeds", "difference", "interval", "simultaneous", "p (Holm)"];

fn columns(first: &[&str]) -> Vec<Column> {
    let first = first.iter().map(|name| Column::text(*name));
    first
        .chain(COLUMNS.map(Column::from))
        .chain([Column::text("verdict")])
        .collect()
}

fn primary(report: &Report, of: &Comparison) -> Table {
    let caption = format!("{}, each variant minus {}", of.score, of.baseline);
    let rows = of.rows.iter().map(|row| Row {
        variant: report.variants.iter().position(|variant| variant.name == row.name),
        ..Row::plain(&row.name, cells(row))
    });
    Table::new(caption, columns(&["variant"])).with(rows)
}

fn others(report: &Report) -> Table {
    let rows = report.other_scores.iter().flat_map(|of| {
        let arrow = match of.direction {
            Direction::LowerIsBetter => "↓",
            Direction::HigherIsBetter => "↑",
        };
        let name = format!("{} {arrow}", of.score);
        of.rows
            .iter()
            .map(move |row| Row::plain(&name, [Cell::from(row.name.clone())].into_iter().chain(cells(row))))
    });
    Table::new(
        "Every other score, each variant minus the baseline",
        columns(&["score", "variant"]),
    )
    .with(rows)
}

fn cells(row: &Compared) -> Vec<Cell> {
    let (seeds, difference) = (row.seeds.to_string(), row.mean_difference.map(signed));
    let [interval, simultaneous, p]: [Cell; 3] = match &row.outcome {
        Outcome::Tested(tested) => [
            range(&tested.interval).into(),
            range(&tested.simultaneous).into(),
            significant(tested.adjusted_p, 2, 4).into(),
        ],
        Outcome::Unranked(_) => std::array::from_fn(|_| Cell::nothing()),
    };
    vec![
        seeds.into(),
        difference.into(),
        interval,
        simultaneous,
        p,
        decision(&row.outcome),
    ]
}

/// The way to the verdicts.
fn method(report: &Report, verdict: &Comparison) -> String {
    let level = percent(verdict.level);
    let when = match report.chosen_afterwards {
        true => "chosen after the runs; the recipes had declared another",
        false => "declared in the recipe before the run",
    };
    format!(
        "The primary score is {}, {when}. {} Differences are taken seed by seed. The interval is the paired t interval of {level} for that \
         difference alone; the simultaneous ones (Bonferroni) hold all at once. A difference is resolved where the p value of the paired t test, \
         after Holm’s correction over the variants, is at most {}. Fewer than three seeds rank nothing, and neither do seeds that all differ by the same number (no spread).",
        verdict.score,
        report.shared.trim(),
        percent(1.0 - verdict.level)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn one_seed_has_differences_and_no_test() {
        let section = section(&fixture::seeded(1)).unwrap();
        assert_eq!(section.title, "Statistics: one seed");
        let row = &section.tables().next().unwrap().rows[0].cells;
        assert!(
            row[2].text.starts_with("-0.049") && row[6].text == "too few seeds",
            "{row:?}"
        );
        assert!(super::section(&fixture::hostile()).is_none(), "without a baseline");
    }

    #[test]
    fn the_method_says_when_the_score_was_chosen() {
        let mut report = fixture::seeded(4);
        report.shared = "Runs of one seed share nothing but the data.".into();
        let said = |report: &Report| method(report, report.verdict.as_ref().unwrap());
        assert!(said(&report).contains("validation loss, declared in the recipe before the run. Runs of one seed"));
        report.chosen_afterwards = true;
        let chosen = said(&report);
        assert!(
            chosen.contains("after the runs; the recipes had") && !chosen.contains("before the run"),
            "{chosen}"
        );
    }

    #[test]
    fn every_other_score_has_a_row_for_each_variant() {
        let report = fixture::example();
        let table = others(&report);
        assert_eq!(
            table.rows.len(),
            report.other_scores.iter().map(|score| score.rows.len()).sum::<usize>()
        );
        assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
        assert!(table.rows.iter().any(|row| row.name().ends_with('↑')));
    }
}
