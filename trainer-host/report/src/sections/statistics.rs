//! Every variant against the baseline, by every score.

use sextant_stats::statistics::{Comparison, Direction, Outcome, Row as Compared};

use crate::content::Report;
use crate::number::{percent, signed, significant};
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table};
use crate::verdicts::decision;

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
        let words = "None of these was chosen as primary. Each is corrected for the number of variants and not for the number of scores: among many, one \
                     that is resolved by chance is to be expected. Where judges disagree, the difference depends on whose features are asked.";
        let heading = Block::Heading("Other scores".into());
        blocks.extend([heading, Block::Words(words.into()), Block::Table(others)]);
    }
    Section::new("statistics", title, blocks)
}

fn columns(first: &[&str]) -> Vec<Column> {
    let first = first.iter().map(|name| Column::text(*name));
    let numbers = ["seeds", "difference", "interval", "p (Holm)"].map(Column::from);
    first.chain(numbers).chain([Column::text("verdict")]).collect()
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
        let cells = |row: &Compared| [Cell::from(row.name.clone())].into_iter().chain(cells(row));
        of.rows.iter().map(move |row| Row::plain(&name, cells(row)))
    });
    let caption = "Every other score, each variant minus the baseline";
    Table::new(caption, columns(&["score", "variant"])).with(rows)
}

fn cells(row: &Compared) -> [Cell; 5] {
    let [interval, p] = match &row.outcome {
        Outcome::Tested(tested) => {
            let ends = [tested.interval.low, tested.interval.high].map(signed);
            [ends.join(" to ").into(), significant(tested.adjusted_p, 2, 4).into()]
        }
        Outcome::Unranked(_) => [Cell::nothing(), Cell::nothing()],
    };
    let difference = row.mean_difference.map(signed);
    [
        row.seeds.to_string().into(),
        difference.into(),
        interval,
        p,
        decision(&row.outcome),
    ]
}

/// The way to the verdicts.
fn method(report: &Report, verdict: &Comparison) -> String {
    let when = match report.chosen_afterwards {
        true => "chosen after the runs; the recipes had declared another",
        false => "declared in the recipe before the run",
    };
    format!(
        "The primary score is {}, {when}. Differences are taken seed by seed. The interval is the paired t interval of {} for that \
         difference alone. A difference is resolved where the p value of the paired t test, \
         after Holm’s correction over the variants, is at most {}. Fewer than three seeds rank nothing, and neither do seeds that all differ by the same number (no spread).",
        verdict.score,
        percent(verdict.level),
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
            row[2].text.starts_with("-0.049") && row[5].text == "too few seeds",
            "{row:?}"
        );
        assert!(super::section(&fixture::hostile()).is_none(), "without a baseline");
    }

    #[test]
    fn the_method_says_when_the_score_was_chosen() {
        let mut report = fixture::seeded(4);
        for (afterwards, words, other) in [
            (false, "before the run", "after the runs"),
            (true, "after the runs", "before the run"),
        ] {
            report.chosen_afterwards = afterwards;
            let said = method(&report, report.verdict.as_ref().unwrap());
            assert!(said.contains(words) && !said.contains(other), "{said}");
        }
    }

    #[test]
    fn every_other_score_has_a_row_for_each_variant() {
        let report = fixture::example();
        let table = others(&report);
        let rows = report.other_scores.iter().map(|score| score.rows.len());
        assert_eq!(table.rows.len(), rows.sum::<usize>());
        assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
        assert!(table.rows.iter().any(|row| row.name().ends_with('↑')));
    }
}
