//! The numbers for other programs: one line a run, and one line a number.

use sextant_records::evaluation::{Evaluation, Quality};

use crate::content::{Measurements, Outcome, Report, SeedRun};
use crate::measure::MEASURES;
use crate::sections::cost::PARTS;
use crate::sections::quality;

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
    let measures = MEASURES.iter().map(|(name, _)| name.replace(' ', "_"));
    let heads = ["variant", "seed", "outcome"].map(str::to_owned).into_iter();
    let heads = heads.chain(measures).chain(JUDGED.map(str::to_owned));
    let lines = report.runs.iter().map(|run| {
        let (outcome, measured) = match &run.outcome {
            Outcome::Finished(measured) => ("finished".to_owned(), Some(measured)),
            Outcome::Interrupted { step } => (format!("interrupted after step {step}"), None),
            Outcome::Running { step } => (format!("in training after step {step}"), None),
            Outcome::Failed { message } => (format!("failed: {message}"), None),
        };
        let values = MEASURES.iter().map(|(_, value)| measured.and_then(value));
        let judged = evaluation_of(report, run).map_or([None; 5], distances);
        let numbers = values.chain(judged).map(text);
        let named = [run.variant.clone(), run.seed.to_string(), outcome];
        named.into_iter().chain(numbers).collect()
    });
    written([heads.collect()].into_iter().chain(lines))
}

/// Lines as RFC 4180 has them.
fn written(lines: impl IntoIterator<Item = Vec<String>>) -> String {
    let ends = csv::Terminator::CRLF;
    let mut writer = csv::WriterBuilder::new().terminator(ends).from_writer(Vec::new());
    for line in lines {
        // Nothing fails that is written to memory in lines of one length, and ours have as many cells as the head.
        writer.write_record(line).expect("a line in memory is written");
    }
    let bytes = writer.into_inner().expect("what is in memory is flushed");
    String::from_utf8(bytes).expect("text stays text")
}

/// The numbers of [`JUDGED`].
fn distances(evaluation: &Evaluation) -> [Option<f64>; 5] {
    let judge = evaluation.judges.first();
    let at_one = judge.and_then(|judge| quality::scored(evaluation, &judge.name, 1.0));
    let chosen = quality::first_judged(evaluation);
    [
        at_one.and_then(|quality| quality.scores.kernel),
        at_one.map(|quality| quality.scores.frechet),
        chosen.and_then(|quality| quality.scores.kernel),
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

/// A number in full, or nothing.
fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// `measures.csv`, every number of every run as a line of its own: variant, seed, measure, subject (a judge, the network compared
/// with), scale, depth, t, value. What does not apply is empty. Times are in seconds, memory in bytes, shares and accuracies
/// fractions.
pub fn measures_csv(report: &Report) -> String {
    let heads = ["variant", "seed", "measure", "of", "scale", "depth", "t", "value"];
    let lines = report.runs.iter().flat_map(|run| {
        let mut facts = Vec::new();
        if let Outcome::Finished(measured) = &run.outcome {
            costs(measured, &mut facts);
        }
        if let Some(evaluation) = evaluation_of(report, run) {
            judged(evaluation, &mut facts);
        }
        facts.into_iter().map(|fact| {
            let named = [
                run.variant.clone(),
                run.seed.to_string(),
                fact.measure,
                fact.of.to_owned(),
            ];
            let places = [text(fact.scale), text(fact.depth), text(fact.t), fact.value.to_string()];
            named.into_iter().chain(places).collect()
        })
    });
    written([heads.map(str::to_owned).into()].into_iter().chain(lines))
}

/// One number and its subject.
#[derive(Default)]
struct Fact<'a> {
    measure: String,
    of: &'a str,
    scale: Option<f64>,
    depth: Option<usize>,
    t: Option<f64>,
    value: f64,
}

fn fact<'a>(measure: impl Into<String>, value: f64) -> Fact<'a> {
    Fact {
        measure: measure.into(),
        value,
        ..Fact::default()
    }
}

fn costs(measured: &Measurements, facts: &mut Vec<Fact<'_>>) {
    let named = MEASURES
        .iter()
        .filter_map(|(name, value)| Some(fact(*name, value(measured)?)));
    facts.extend(named);
    facts.extend(measured.validation_by_time.iter().map(|[t, loss]| Fact {
        t: Some(*t),
        ..fact("validation loss at a time", *loss)
    }));
    let parts = PARTS
        .iter()
        .filter_map(|(name, part)| Some(fact(format!("seconds of {name}"), part(measured)?)));
    facts.extend(parts);
    facts.push(fact("teacher parameters", measured.teacher_parameters as f64));
    if let Some(operations) = &measured.operations {
        let encoding = Some(operations.encoding).filter(|count| *count > 0.0);
        facts.extend(encoding.map(|count| fact("operations of encoding in a step", count)));
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
}

fn judged<'a>(evaluation: &'a Evaluation, facts: &mut Vec<Fact<'a>>) {
    for quality in &evaluation.quality {
        facts.extend(scores(quality, Some(quality.scale), ["", "standard error of "]));
    }
    for floor in &evaluation.floors {
        facts.extend(scores(floor, None, ["floor of ", "standard error of the floor of "]));
    }
    if let Some(sweep) = &evaluation.sweep {
        facts.push(fact("chosen scale", sweep.chosen));
        facts.extend(sweep.points.iter().map(|point| Fact {
            of: &sweep.judge,
            scale: Some(point.scale),
            ..fact("kernel distance in the sweep", point.kernel)
        }));
    }
    if let Some(copies) = &evaluation.copies {
        for (name, of_samples, floor) in [
            ("copies", copies.fraction, copies.held_out_fraction),
            ("nearest training image", copies.distance, copies.held_out_distance),
            ("nearest over second nearest", copies.ratio, copies.held_out_ratio),
        ] {
            facts.push(Fact {
                scale: Some(copies.scale),
                ..fact(name, of_samples)
            });
            facts.push(fact(format!("floor of {name}"), floor));
        }
    }
    if let Some(found) = &evaluation.representations {
        let at = |depth: usize, t: f64, fact: Fact<'a>| Fact {
            depth: Some(depth),
            t: Some(t),
            ..fact
        };
        for probe in &found.probes {
            facts.push(at(probe.depth, probe.t, fact("probe accuracy", probe.accuracy)));
            facts.push(at(probe.depth, probe.t, fact("probe chance", probe.chance)));
        }
        facts.extend(found.alignment.iter().map(|alignment| Fact {
            of: &found.compared_with,
            ..at(alignment.depth, alignment.t, fact("CKNNA", alignment.cknna))
        }));
    }
}

/// The scores that a judge measured, the names of all with one prefix and that of the kernel distance's error with another.
fn scores<'a>(quality: &'a Quality, scale: Option<f64>, [prefix, of_error]: [&str; 2]) -> Vec<Fact<'a>> {
    let s = &quality.scores;
    let named = [
        (prefix, "kernel distance", s.kernel),
        (of_error, "kernel distance", s.kernel_error),
        (prefix, "Fréchet distance", Some(s.frechet)),
        (prefix, "precision", s.precision),
        (prefix, "recall", s.recall),
    ];
    let measured = named.into_iter().filter_map(|(prefix, name, value)| {
        Some(Fact {
            of: &quality.judge,
            scale,
            ..fact(format!("{prefix}{name}"), value?)
        })
    });
    measured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_run_is_a_line_with_the_first_judge_and_empty_where_it_did_not_judge() {
        let mut report = fixture::example();
        let variant = &mut report.variants[1];
        variant.evaluations[2] = None;
        let measured = variant.evaluations[1].as_ref().unwrap();
        let scores = |scale: f64| quality::scored(measured, "embedded", scale).unwrap().scores;
        let (one, chosen) = (scores(1.0), scores(1.5));
        let [kernel, chosen_kernel] = [one.kernel, chosen.kernel].map(Option::unwrap);
        let wanted = [kernel, one.frechet, chosen_kernel, chosen.frechet, 1.5].map(|value| value.to_string());
        let text = csv(&report);
        let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
        let line = |start: &str| *lines.iter().find(|line| line.starts_with(start)).unwrap();
        assert_eq!(lines.len(), 1 + report.runs.len());
        assert!(lines[0].starts_with("variant,seed,outcome,validation_loss"), "{text}");
        assert!(lines[0].ends_with(&JUDGED.join(",")), "{text}");
        assert!(line("repa,1,finished,0.4").ends_with(&wanted.join(",")), "{text}");
        assert!(line("repa,2,").ends_with(",,,,,"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_no_number() {
        let report = fixture::against_statistics(1);
        let text = csv(&report);
        let line = text.split("\r\n").find(|line| line.starts_with("none,0,")).unwrap();
        let cells: Vec<&str> = line.rsplit(',').collect();
        assert!(cells[4].is_empty() && cells[2].is_empty(), "{line}");
        assert!(!cells[3].is_empty() && !cells[1].is_empty(), "{line}");
        let text = measures_csv(&report);
        for absent in ["kernel distance", "precision", "recall"] {
            assert!(!text.contains(absent), "{absent}");
        }
        assert!(text.contains("none,0,Fréchet distance,"));
    }

    #[test]
    fn quotes_commas_and_line_breaks_stay_in_their_cell() {
        let line = ["a \"b\",\nc", ""].map(str::to_owned);
        assert_eq!(written([line.into()]), "\"a \"\"b\"\",\nc\",\r\n");
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
            "none,0,standard error of the floor of kernel distance,untrained,,,,",
            "self-transcendence,1,probe accuracy,,,4,0.5,",
            "none,0,CKNNA,untrained,,2,0.8,",
            "repa,0,operations of encoding,,,,,",
            "none,0,seconds of backward,,,,,",
        ] {
            let found = lines.iter().filter(|line| line.starts_with(start)).count();
            assert_eq!(found, 1, "{start}");
        }
    }
}
