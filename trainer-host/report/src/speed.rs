//! Speed-up: how much sooner a variant is as good as the baseline at its end.

use super::content::{Report, SpeedUps};
use super::markup::{Section, escape};
use super::measure::{Quantity, Unit};
use super::number::significant;
use super::sheet::{Sheet, SheetRow};
use sextant_stats::statistics::{SpeedUp, SpeedUpOutcome};

/// What a training can be counted in: name, unit, how to read it off.
type Counted = (&'static str, Quantity, fn(&SpeedUps) -> Option<&SpeedUp>);

const COUNTED: [Counted; 4] = [
    ("steps of the last phase", Quantity::Count, |of| Some(&of.steps)),
    ("images, earlier phases on the bill", Quantity::Count, |of| {
        of.images.as_ref()
    }),
    (
        "operations, earlier phases and guides on the bill",
        Quantity::Operations,
        |of| of.operations.as_ref(),
    ),
    (
        "seconds of training, earlier phases on the bill",
        Quantity::Time,
        |of| Some(&of.seconds),
    ),
];

/// The page's section; none where no variant was compared with a baseline.
pub fn section(report: &Report) -> Option<Section> {
    let sheets = sheets(report);
    let baseline = &report.verdict.as_ref()?.baseline;
    let tables: String = sheets.iter().map(Sheet::html).collect();
    if tables.is_empty() {
        return None;
    }
    let over = match report.seeds.len() {
        1 => "one seed has no interval",
        _ => "a geometric mean over seeds with its interval",
    };
    let body = format!(
        "<p>What a variant needs to reach the final validation loss of {} with the same seed, and to stay there, interpolated between evaluations; and the \
         speed-up, which is what {} spent to its end over that: {over}. The last column is \
         the floor: the same ratio for the baseline against itself, above 1 where it had been as good before its end.</p>\n{tables}",
        escape(baseline),
        escape(baseline)
    );
    Section::new("speed-up", "Speed-up", body)
}

/// One table for each way of counting.
pub fn sheets(report: &Report) -> Vec<Sheet> {
    if report.verdict.is_none() {
        return Vec::new();
    }
    let sheets = COUNTED.iter().map(|(name, quantity, read)| {
        let of = report.variants.iter().enumerate();
        let of: Vec<(usize, &str, &SpeedUp)> = of
            .filter_map(|(i, v)| Some((i, v.name.as_str(), read(report.speed_ups.get(&v.name)?)?)))
            .collect();
        let needed = of.iter().filter_map(|(_, _, speed_up)| match &speed_up.outcome {
            SpeedUpOutcome::Reached { needed, .. } => Some(needed.value),
            _ => None,
        });
        let unit = Unit::fitting(*quantity, needed);
        Sheet {
            caption: format!("Counted in {name}"),
            heads: vec![
                "variant".into(),
                unit.head("needed"),
                "speed-up".into(),
                "interval".into(),
                "baseline itself".into(),
            ],
            rows: of
                .iter()
                .map(|(i, name, of)| SheetRow::of(*i, name, cells(of, &unit)))
                .collect(),
            words: Vec::new(),
        }
    });
    sheets.filter(|sheet| !sheet.rows.is_empty()).collect()
}

fn cells(of: &SpeedUp, unit: &Unit) -> Vec<String> {
    let factor = |value: f64| format!("{}×", significant(value, 3, 2));
    let nothing = || "—".to_owned();
    match &of.outcome {
        SpeedUpOutcome::Reached {
            needed,
            ratio,
            baseline_itself,
            bound,
        } => {
            let (most, least) = if *bound { ("at most ", "at least ") } else { ("", "") };
            let interval = ratio.interval.map_or_else(
                |reason| format!("none: {reason}"),
                |i| format!("{} to {}", factor(i.low), factor(i.high)),
            );
            vec![
                format!("{most}{}", unit.text(needed.value)),
                format!("{least}{}", factor(ratio.value)),
                interval,
                factor(*baseline_itself),
            ]
        }
        SpeedUpOutcome::NotReached { seeds: 1, .. } => {
            vec!["not reached".into(), nothing(), nothing(), nothing()]
        }
        SpeedUpOutcome::NotReached { reached, seeds } => vec![
            format!("not reached ({reached} of {seeds} seeds)"),
            nothing(),
            nothing(),
            nothing(),
        ],
        SpeedUpOutcome::Undefined(reason) => vec![format!("none: {reason}"), nothing(), nothing(), nothing()],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{example, example_with, fixture};
    use super::*;

    #[test]
    fn reached_and_not_reached_are_said_with_numbers_and_floors() {
        let body = section(&example()).unwrap().body;
        for words in [
            "not reached (",
            "×",
            " to ",
            "baseline itself",
            "Counted in seconds",
            "Counted in images",
            "Counted in operations",
        ] {
            assert!(body.contains(words), "{words} in {body}");
        }
        assert!(section(&fixture::report()).is_none());
    }

    #[test]
    fn one_seed_has_a_ratio_and_says_why_it_has_no_interval() {
        let body = section(&example_with(1)).unwrap().body;
        for words in ["×", "none: one seed; 3 are needed", "one seed has no interval"] {
            assert!(body.contains(words), "{words} in {body}");
        }
        assert!(
            !body.contains("geometric mean") && !body.contains("of 1 seeds"),
            "{body}"
        );
    }
}
