//! The numbers for other programs: `results.csv`, one line a run, and `measures.csv`, one line a number.

use super::content::{Measurements, Outcome, Report, SeedRun};
use super::measure::MEASURES;
use super::quality;
use sextant_records::evaluation::{Evaluation, Quality};

/// What `results.csv` holds of the samples of a run.
const JUDGED: [&str; 5] = [
    "kernel_distance_at_scale_1",
    "frechet_distance_at_scale_1",
    "kernel_distance_at_chosen_scale",
    "frechet_distance_at_chosen_scale",
    "chosen_scale",
];

/// One line a run, with a head: variant, seed, how it ended, every measure in plain units (losses, seconds, bytes, fractions), and
/// the first judge's kernel and Fréchet distance at scale 1 and at the run's chosen scale of classifier-free guidance, with that
/// scale. What a run lacks is empty.
pub fn csv(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |cells: Vec<String>| out.push_str(&line_of(&cells));
    let heads = MEASURES.iter().map(|measure| measure.name.replace(' ', "_"));
    line(
        ["variant", "seed", "outcome"]
            .map(str::to_owned)
            .into_iter()
            .chain(heads)
            .chain(JUDGED.map(str::to_owned))
            .collect(),
    );
    for run in &report.runs {
        let (outcome, values) = match &run.outcome {
            Outcome::Finished(measured) => {
                let values = MEASURES.iter().map(|measure| (measure.value)(measured));
                let values = values.map(|value| value.map_or_else(|_| String::new(), |value| value.to_string()));
                ("finished".to_owned(), values.collect())
            }
            Outcome::Interrupted { step } => (format!("interrupted after step {step}"), Vec::new()),
            Outcome::Failed { message } => (format!("failed: {message}"), Vec::new()),
        };
        let mut cells = vec![run.variant.clone(), run.seed.to_string(), outcome];
        cells.extend(values);
        cells.resize(3 + MEASURES.len(), String::new());
        let judged = evaluation_of(report, run).map_or([None; 5], distances);
        cells.extend(judged.map(number));
        line(cells);
    }
    out
}

/// The numbers of [`JUDGED`].
fn distances(evaluation: &Evaluation) -> [Option<f64>; 5] {
    let judge = quality::first_judge(evaluation);
    let at_one = judge.and_then(|judge| quality::scored(evaluation, judge, 1.0));
    let chosen = judge.and_then(|judge| quality::chosen(evaluation, judge));
    [
        at_one.map(|quality| quality.scores.kernel),
        at_one.map(|quality| quality.scores.frechet),
        chosen.map(|quality| quality.scores.kernel),
        chosen.map(|quality| quality.scores.frechet),
        chosen.map(|quality| quality.scale),
    ]
}

/// What was measured of a run's network.
fn evaluation_of<'a>(report: &'a Report, run: &SeedRun) -> Option<&'a Evaluation> {
    let variant = report.variants.iter().find(|variant| variant.name == run.variant)?;
    let place = report.seeds.iter().position(|seed| *seed == run.seed)?;
    variant.evaluations.get(place)?.as_ref()
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Every number of every run as a line of its own: variant, seed, measure, what it is of (a judge, a target, the network compared
/// with), scale, depth, t, value. What does not apply is empty. Times are in seconds, memory in bytes, shares and accuracies
/// fractions.
pub fn measures_csv(report: &Report) -> String {
    let mut out = line_of(&["variant", "seed", "measure", "of", "scale", "depth", "t", "value"].map(str::to_owned));
    let mut add = |variant: &str, seed: u64, fact: Fact| {
        out.push_str(&line_of(&[
            variant.to_owned(),
            seed.to_string(),
            fact.measure.to_owned(),
            fact.of.to_owned(),
            number(fact.scale),
            fact.depth.map_or_else(String::new, |depth| depth.to_string()),
            number(fact.t),
            fact.value.to_string(),
        ]));
    };
    for run in &report.runs {
        if let Outcome::Finished(measured) = &run.outcome {
            costs(measured)
                .into_iter()
                .for_each(|fact| add(&run.variant, run.seed, fact));
        }
        if let Some(evaluation) = evaluation_of(report, run) {
            judged(evaluation)
                .into_iter()
                .for_each(|fact| add(&run.variant, run.seed, fact));
        }
    }
    out
}

/// One number, and what it is of.
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
        .filter_map(|measure| Some(fact(measure.name, (measure.value)(measured).ok()?)))
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
    if let Some(guide) = &measured.guide {
        facts.push(fact("guide parameters", guide.parameters as f64));
        facts.extend(
            guide
                .training_operations
                .map(|value| fact("operations of guide training", value)),
        );
        facts.push(fact("operations of guide encoding", guide.encoding_operations));
    }
    facts
}

fn judged(evaluation: &Evaluation) -> Vec<Fact<'_>> {
    let mut facts = Vec::new();
    let scored = evaluation
        .quality
        .iter()
        .flat_map(|quality| scores(quality, Some(quality.scale), SCORES));
    facts.extend(scored);
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
    let Some(found) = &evaluation.representations else {
        return facts;
    };
    for probe in &found.probes {
        facts.push(at(probe.depth, probe.t, fact("probe accuracy", probe.accuracy)));
        facts.push(at(probe.depth, probe.t, fact("probe chance", probe.chance)));
    }
    for alignment in &found.alignment {
        for (name, value) in [("linear CKA", alignment.cka), ("CKNNA", alignment.cknna)] {
            facts.push(Fact {
                of: &found.compared_with,
                ..at(alignment.depth, alignment.t, fact(name, value))
            });
        }
    }
    facts.extend(found.label_parts.iter().map(|part| Fact {
        of: &part.target,
        t: Some(part.t),
        ..fact("share that the label explains", part.share)
    }));
    facts
}

const SCORES: [&str; 7] = [
    "kernel distance",
    "standard error of kernel distance",
    "Fréchet distance",
    "precision",
    "recall",
    "density",
    "coverage",
];

const FLOORS: [&str; 7] = [
    "floor of kernel distance",
    "standard error of the floor of kernel distance",
    "floor of Fréchet distance",
    "floor of precision",
    "floor of recall",
    "floor of density",
    "floor of coverage",
];

fn scores<'a>(quality: &'a Quality, scale: Option<f64>, names: [&'a str; 7]) -> impl Iterator<Item = Fact<'a>> {
    let s = &quality.scores;
    let values = [
        s.kernel,
        s.kernel_error,
        s.frechet,
        s.precision,
        s.recall,
        s.density,
        s.coverage,
    ];
    names.into_iter().zip(values).map(move |(name, value)| Fact {
        of: &quality.judge,
        scale,
        ..fact(name, value)
    })
}

fn line_of(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn every_run_is_a_line_with_as_many_cells_as_the_head() {
        let text = csv(&fixture::seeded());
        let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 1 + fixture::seeded().runs.len());
        let cells = |line: &str| line.split(',').count();
        assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{text}");
        assert!(lines[0].starts_with("variant,seed,outcome,validation_loss"), "{text}");
        assert!(lines[1].starts_with("none,0,finished,0.5"), "{text}");
    }

    #[test]
    fn the_first_judge_is_in_the_line_of_a_run_and_empty_where_it_did_not_judge() {
        let mut report = super::super::example();
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
    fn quotes_commas_and_line_breaks_stay_in_their_cell() {
        assert_eq!(quoted("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(quoted("plain"), "plain");
    }

    #[test]
    fn every_number_is_a_line_of_eight_cells_and_none_comes_twice() {
        let text = measures_csv(&super::super::example());
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
            "repa,0,operations of guide encoding,,,,,",
        ] {
            assert_eq!(
                lines.iter().filter(|line| line.starts_with(start)).count(),
                1,
                "{start}"
            );
        }
    }
}
