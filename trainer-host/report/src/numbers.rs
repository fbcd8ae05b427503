//! The numbers for other programs: one row a run, and one row a number.

use sextant_records::evaluation::{Evaluation, Quality};

use crate::content::{Measurements, Outcome, Report, SeedRun};
use crate::csv::text;
use crate::measure::MEASURES;
use crate::sections::quality;
use crate::table::{Cell, Row, Table};

/// The columns of `results.csv` on the samples of a run.
const JUDGED: [&str; 5] = [
    "kernel_distance_at_scale_1",
    "frechet_distance_at_scale_1",
    "kernel_distance_at_chosen_scale",
    "frechet_distance_at_chosen_scale",
    "chosen_scale",
];

/// `results.csv`, one line a run: variant, seed, how it ended, every measure in plain units (losses, seconds, bytes, fractions), and
/// the first judge's kernel and Fréchet distance at scale 1 and at the run's chosen scale of classifier-free guidance, with that
/// scale. What a run lacks is empty.
pub fn csv(report: &Report) -> String {
    let measures = MEASURES.iter().map(|measure| measure.name.replace(' ', "_"));
    let heads = ["variant", "seed", "outcome"]
        .map(str::to_owned)
        .into_iter()
        .chain(measures)
        .chain(JUDGED.map(str::to_owned));
    let rows = report.runs.iter().map(|run| {
        let (outcome, measured) = match &run.outcome {
            Outcome::Finished(measured) => ("finished".to_owned(), Some(measured)),
            Outcome::Interrupted { step } => (format!("interrupted after step {step}"), None),
            Outcome::Failed { message } => (format!("failed: {message}"), None),
        };
        let values = MEASURES.iter().map(|measure| measured.and_then(measure.value));
        let judged = evaluation_of(report, run).map_or([None; 5], distances);
        let numbers = values.chain(judged).map(number);
        Row::plain(
            &run.variant,
            [run.seed.to_string().into(), outcome.into()].into_iter().chain(numbers),
        )
    });
    text(&Table::new("", heads).with(rows))
}

/// The numbers of [`JUDGED`].
fn distances(evaluation: &Evaluation) -> [Option<f64>; 5] {
    let judge = evaluation.judges.first();
    let at_one = judge.and_then(|judge| quality::scored(evaluation, &judge.name, 1.0));
    let chosen = quality::first_judged(evaluation);
    [
        at_one.map(|quality| quality.scores.kernel),
        at_one.map(|quality| quality.scores.frechet),
        chosen.map(|quality| quality.scores.kernel),
        chosen.map(|quality| quality.scores.frechet),
        chosen.map(|quality| quality.scale),
    ]
}

/// The evaluation of a run's network.
fn evaluation_of<'a>(report: &'a Report, run: &SeedRun) -> Option<&'a Evaluation> {
    let variant = report.variants.iter().find(|variant| variant.name == run.variant)?;
    let place = report.seeds.iter().position(|seed| *seed == run.seed)?;
    variant.evaluations.get(place)?.as_ref()
}

/// A number in full, or an empty cell.
fn number(value: Option<f64>) -> Cell {
    value.map_or_else(String::new, |value| value.to_string()).into()
}

/// `measures.csv`, every number of every run as a line of its own: variant, seed, measure, subject (a judge, the network compared
/// with), scale, depth, t, value. What does not apply is empty. Times are in seconds, memory in bytes, shares and accuracies
/// fractions.
pub fn measures_csv(report: &Report) -> String {
    let mut table = Table::new("", ["variant", "seed", "measure", "of", "scale", "depth", "t", "value"]);
    for run in &report.runs {
        let measured = match &run.outcome {
            Outcome::Finished(measured) => costs(measured),
            _ => Vec::new(),
        };
        let judged = evaluation_of(report, run).map_or_else(Vec::new, judged);
        table.rows.extend(measured.into_iter().chain(judged).map(|fact| {
            let depth = fact.depth.map_or_else(String::new, |depth| depth.to_string());
            let cells: [Cell; 7] = [
                run.seed.to_string().into(),
                fact.measure.into(),
                fact.of.into(),
                number(fact.scale),
                depth.into(),
                number(fact.t),
                fact.value.to_string().into(),
            ];
            Row::plain(&run.variant, cells)
        }));
    }
    text(&table)
}

/// One number and its subject.
#[derive(Default)]
struct Fact<'a> {
    measure: &'a str,
    of: &'a str,
    scale: Option<f64>,
    depth: Option<usize>,
    t: Option<f64>,
    value: f64,
}

fn fact(measure: &str, value: f64) -> Fact<'_> {
    Fact {
        measure,
        value,
        ..Fact::default()
    }
}

fn at(depth: usize, t: f64, fact: Fact<'_>) -> Fact<'_> {
    Fact {
        depth: Some(depth),
        t: Some(t),
        ..fact
    }
}

fn costs(measured: &Measurements) -> Vec<Fact<'_>> {
    let mut facts: Vec<Fact> = MEASURES
        .iter()
        .filter_map(|measure| Some(fact(measure.name, (measure.value)(measured)?)))
        .collect();
    facts.extend(measured.validation_by_time.iter().map(|[t, loss]| Fact {
        t: Some(*t),
        ..fact("validation loss at a time", *loss)
    }));
    let parts = &measured.parts;
    facts.extend([
        fact("seconds of data", parts.data),
        fact("seconds of student", parts.student),
        fact("seconds of teacher", parts.teacher),
        fact("seconds of guidance", parts.guidance),
        fact("seconds of backward", parts.backward),
        fact("seconds of update", parts.update),
        fact("teacher parameters", measured.teacher_parameters as f64),
    ]);
    if let Some(operations) = &measured.operations {
        facts.extend([
            fact("operations of student", operations.student),
            fact("operations of teacher", operations.teacher),
            fact("operations of guidance", operations.guidance),
            fact("operations of last phase", operations.last_phase),
            fact("operations of earlier phases", operations.earlier_phases),
        ]);
    }
    if let Some(encoder) = &measured.encoder {
        facts.push(fact("encoder parameters", encoder.parameters as f64));
        let training = encoder.training_operations;
        facts.extend(training.map(|value| fact("operations of encoder training", value)));
        facts.push(fact("operations of encoding", encoder.encoding_operations));
    }
    facts
}

fn judged(evaluation: &Evaluation) -> Vec<Fact<'_>> {
    let mut facts = Vec::new();
    facts.extend(
        evaluation
            .quality
            .iter()
            .flat_map(|quality| scores(quality, Some(quality.scale), SCORES)),
    );
    facts.extend(evaluation.floors.iter().flat_map(|floor| scores(floor, None, FLOORS)));
    if let Some(sweep) = &evaluation.sweep {
        facts.push(fact("chosen scale", sweep.chosen));
        facts.extend(sweep.points.iter().map(|point| Fact {
            of: &sweep.judge,
            scale: Some(point.scale),
            ..fact("kernel distance in the sweep", point.kernel)
        }));
    }
    if let Some(copies) = &evaluation.copies {
        let of_samples = [
            fact("copies", copies.fraction),
            fact("nearest training image", copies.distance),
            fact("nearest over second nearest", copies.ratio),
        ];
        facts.extend(of_samples.map(|fact| Fact {
            scale: Some(copies.scale),
            ..fact
        }));
        facts.extend([
            fact("floor of copies", copies.held_out_fraction),
            fact("floor of nearest training image", copies.held_out_distance),
            fact("floor of nearest over second nearest", copies.held_out_ratio),
        ]);
    }
    if let Some(found) = &evaluation.representations {
        for probe in &found.probes {
            facts.push(at(probe.depth, probe.t, fact("probe accuracy", probe.accuracy)));
            facts.push(at(probe.depth, probe.t, fact("probe chance", probe.chance)));
        }
        facts.extend(found.alignment.iter().map(|alignment| Fact {
            of: &found.compared_with,
            ..at(alignment.depth, alignment.t, fact("CKNNA", alignment.cknna))
        }));
    }
    facts
}

const SCORES: [&str; 5] = [
    "kernel distance",
    "standard error of kernel distance",
    "Fréchet distance",
    "precision",
    "recall",
];

const FLOORS: [&str; 5] = [
    "floor of kernel distance",
    "standard error of the floor of kernel distance",
    "floor of Fréchet distance",
    "floor of precision",
    "floor of recall",
];

fn scores<'a>(quality: &'a Quality, scale: Option<f64>, names: [&'a str; 5]) -> impl Iterator<Item = Fact<'a>> {
    let s = &quality.scores;
    let values = [s.kernel, s.kernel_error, s.frechet, s.precision, s.recall];
    names.into_iter().zip(values).map(move |(name, value)| Fact {
        of: &quality.judge,
        scale,
        ..fact(name, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_run_is_a_line_with_as_many_cells_as_the_head() {
        let report = fixture::seeded(4);
        let text = csv(&report);
        let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 1 + report.runs.len());
        let cells = |line: &str| line.split(',').count();
        assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{text}");
        assert!(lines[0].starts_with("variant,seed,outcome,validation_loss"), "{text}");
        assert!(lines[1].starts_with("none,0,finished,0.5"), "{text}");
    }

    #[test]
    fn the_first_judge_is_in_the_line_of_a_run_and_empty_where_it_did_not_judge() {
        let mut report = fixture::example();
        let variant = &mut report.variants[1];
        variant.evaluations[2] = None;
        let measured = variant.evaluations[1].as_ref().unwrap();
        let scores = |scale: f64| quality::scored(measured, "embedded", scale).unwrap().scores;
        let (one, chosen) = (scores(1.0), scores(1.5));
        let wanted = [one.kernel, one.frechet, chosen.kernel, chosen.frechet, 1.5].map(|value| value.to_string());
        let text = csv(&report);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        assert!(line("variant,").ends_with(&JUDGED.join(",")), "{text}");
        let judged = line("repa,1,");
        assert!(judged.ends_with(&wanted.join(",")), "{judged}");
        assert!(line("repa,2,").ends_with(",,,,,"), "{text}");
    }

    #[test]
    fn every_number_is_a_line_of_eight_cells_and_none_comes_twice() {
        let text = measures_csv(&fixture::example());
        let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
        let mut keys: Vec<&str> = lines.iter().map(|line| line.rsplit_once(',').unwrap().0).collect();
        let count = keys.len();
        assert!(count > 1000, "{count} lines");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        for start in [
            "none,0,validation loss,,,,,",
            "repa,2,kernel distance,embedded,1,,,",
            "self-transcendence,1,probe accuracy,,,4,0.5,",
            "none,0,CKNNA,untrained,,2,0.8,",
            "repa,0,operations of encoding,,,,,",
        ] {
            let found = lines.iter().filter(|line| line.starts_with(start)).count();
            assert_eq!(found, 1, "{start}");
        }
    }
}
