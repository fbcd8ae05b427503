//! A small report with everything that can go wrong in it, for the tests of this folder.

use super::content::{Measurements, Outcome, Plugin, Point, Report, SampleGrid, SeedRun, Variant};
use sextant_stats::statistics::{Comparison, Contender, Direction, Level, Sample};

/// Two finished variants, a failed one with a hostile name and message, and an interrupted one.
pub fn report() -> Report {
    let none = Measurements {
        steps: 1600,
        validation_loss: 0.256_14,
        seconds_per_step: 0.2514,
        peak_memory_bytes: Some(300 << 20),
        student_parameters: 1_834_000,
        total_seconds: 402.0,
        ..Measurements::default()
    };
    let guided = Measurements {
        guidance_loss: Some(-812.345),
        overhead: Some(0.1234),
        peak_memory_bytes: None,
        guidance_parameters: 98_304,
        teacher_share: 0.301,
        earlier_phases_seconds: 101.0,
        ..none.clone()
    };
    let message = "step 7:\n\u{1b}[31mno </script> teacher".to_string();
    Report {
        title: "Emoji & <friends>".into(),
        recipe: "emoji.toml".into(),
        summary: "One seed.\n\nIt ranks nothing.".into(),
        variants: vec![
            variant("none", Outcome::Finished(none)),
            variant("self-transcendence", Outcome::Finished(guided)),
            variant("<i>\"broken\" & more", Outcome::Failed { message }),
            variant("stopped", Outcome::Interrupted { step: 12_000 }),
        ],
        grid: SampleGrid {
            columns: 2,
            rows: 1,
            labels: vec!["Food".into(), "</script>".into()],
            note: String::new(),
        },
        ..Report::default()
    }
}

/// A report over four seeds: a clear gain, and a difference that is lost in the spread.
pub fn seeded() -> Report {
    seeded_with(4)
}

/// The same with so many seeds.
pub fn seeded_with(seeds: u64) -> Report {
    let noise = |seed: u64| [1.0e-3, -1.2e-3, 0.8e-3, -0.7e-3][seed as usize % 4];
    let losses = |name: &str, seed: u64| {
        0.5 + seed as f64 * 0.01
            + match name {
                "clear" => -0.05 + noise(seed),
                "unclear" => 0.005 + 10.0 * noise(seed),
                _ => 0.0,
            }
    };
    let measured = |name: &str, seed| {
        Outcome::Finished(Measurements {
            validation_loss: losses(name, seed),
            ..Measurements::default()
        })
    };
    let contender = |name: &str| Contender {
        name: name.into(),
        scores: Sample::new((0..seeds).map(|seed| (seed, losses(name, seed)))).unwrap(),
    };
    let names = ["none", "clear", "unclear"];
    let [none, clear, unclear] = names.map(contender);
    let runs = names.iter().flat_map(|name| {
        (0..seeds).map(|seed| SeedRun {
            variant: (*name).into(),
            seed,
            outcome: measured(name, seed),
        })
    });
    Report {
        runs: runs.collect(),
        variants: names.map(|name| variant(name, measured(name, 0))).into(),
        seeds: (0..seeds).collect(),
        verdict: Some(
            Comparison::new(
                "validation loss",
                Direction::LowerIsBetter,
                &none,
                &[clear, unclear],
                Level::DEFAULT,
            )
            .unwrap(),
        ),
        ..Report::default()
    }
}

fn variant(name: &str, outcome: Outcome) -> Variant {
    let values = [1.0, 0.5, f64::NAN, 0.25];
    let curve: Vec<Point> = (1..).zip(values).map(|(step, value)| Point { step, value }).collect();
    Variant {
        name: name.into(),
        guidance: "'quoted'".into(),
        outcome,
        curves: [
            ("denoising".to_string(), curve.clone()),
            ("validation".to_string(), curve[..1].to_vec()),
        ]
        .into(),
        seed_curves: Vec::new(),
        pace: super::Pace::default(),
        grids: Vec::new(),
        evaluations: Vec::new(),
        neighbours_png: None,
        map_pngs: Default::default(),
        samples_png: None,
        overlay: "[guidance]\nplugin = \"<none>\"\n".into(),
        plugins: vec![Plugin {
            name: name.into(),
            version: "0.1.0".into(),
            sha256: "00ff".into(),
        }],
    }
}
