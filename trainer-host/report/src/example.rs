//! A made-up report with everything in it, so that the page can be looked at and tried without a training.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use image::{ImageFormat, Rgb, RgbImage};

use super::content::{
    Grid, GuideCost, Measurements, Operations, Outcome, Pace, Parts, Plugin, Point, Report, SampleGrid, SeedRun,
    SpeedUps, Variant,
};
use sextant_records::evaluation::{
    Alignment, Copies, CopyRule, Evaluation, JudgeIdentity, LabelPart, Map, MapOf, Probing, Quality, Representations,
    ScaleSweep, Scores, SweepPoint,
};
use sextant_stats::statistics::{Comparison, Contender, Curve, Direction, Level, Sample, SpeedUp};

const STEPS: u64 = 2000;
const DEPTHS: usize = 8;
const TIMES: [f64; 3] = [0.2, 0.5, 0.8];
const SCALES: [f64; 4] = [1.0, 1.5, 2.0, 3.0];

/// One variant's character: what its numbers are made of.
struct Character {
    name: &'static str,
    guidance: &'static str,
    /// How much lower its losses and distances are than the baseline's.
    gain: f64,
    overhead: f64,
    scale: f64,
    earlier: f64,
    steps: u64,
    overlay: &'static str,
}

const CHARACTERS: [Character; 4] = [
    Character {
        name: "none",
        guidance: "2000 steps of no guidance",
        gain: 0.0,
        overhead: 0.0,
        scale: 2.0,
        earlier: 0.0,
        steps: STEPS,
        overlay: "",
    },
    Character {
        name: "repa",
        guidance: "2000 steps of repa, coefficient 0.5",
        gain: 0.03,
        overhead: 0.12,
        scale: 1.5,
        earlier: 0.0,
        steps: STEPS,
        overlay: "[[phases.guidance]]\nplugin = \"repa\"\ncoefficient = 0.5\n",
    },
    Character {
        name: "self-transcendence",
        guidance: "600 steps of vae-align, coefficient 0.5, then 2000 steps of self-transcendence, coefficient 0.5",
        gain: 0.012,
        overhead: 0.41,
        scale: 1.5,
        earlier: 600.0,
        steps: STEPS,
        overlay: "[[phases]]\nname = \"teacher\"\nsteps = 600\n\n[[phases]]\nname = \"train\"\nteacher = \"teacher\"\n",
    },
    Character {
        name: "single step",
        guidance: "1 step of no guidance",
        gain: -0.9,
        overhead: 0.0,
        scale: 1.0,
        earlier: 0.0,
        steps: 1,
        overlay: "phases.0.steps = 1\n",
    },
];

/// Three seeds of four variants that finished (a guided one that is better, one whose gain is lost in the spread, one of a single step)
/// and of one that failed; a value that is not finite in a curve; evaluations by two judges that disagree. Its numbers are invented.
pub fn example() -> Report {
    example_with(3)
}

/// The same with so many seeds, at least one.
pub fn example_with(count: u64) -> Report {
    let seeds: Vec<u64> = (0..count).collect();
    let named: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let characters = CHARACTERS.iter().enumerate();
    let mut variants: Vec<Variant> = characters.map(|(i, c)| variant(i, c, count)).collect();
    let message =
        "step 412: the loss is not finite (NaN); a smaller learning rate or a longer warm-up may help".to_owned();
    variants.push(Variant {
        name: "broken".into(),
        guidance: "2000 steps of repa, coefficient 5000".into(),
        outcome: Outcome::Failed {
            message: message.clone(),
        },
        overlay: "[[phases.guidance]]\nplugin = \"repa\"\ncoefficient = 5000.0\n".into(),
        seed_curves: vec![curves(5, 0, -0.2, 400)],
        curves: curves(5, 0, -0.2, 400),
        pace: pace(&CHARACTERS[1]),
        ..empty()
    });
    let mut runs: Vec<SeedRun> = Vec::new();
    for (index, character) in CHARACTERS.iter().enumerate() {
        runs.extend(seeds.iter().map(|&seed| SeedRun {
            variant: character.name.into(),
            seed,
            outcome: Outcome::Finished(measurements(index, character, seed)),
        }));
    }
    runs.extend(seeds.iter().map(|&seed| SeedRun {
        variant: "broken".into(),
        seed,
        outcome: Outcome::Failed {
            message: message.clone(),
        },
    }));
    Report {
        title: "Example: guidance on emoji".into(),
        recipe: "example.toml".into(),
        summary: format!(
            "This report is made up: it shows what a page can hold, and says nothing of any guidance.\n\nFour variants of 2000 steps; seeds: {}.",
            named.join(", ")
        ),
        created: "2025-01-01 00:00 UTC".into(),
        device: "cpu (2 cores)".into(),
        versions: [("sextant", "0.1.0"), ("burn", "0.22.1"), ("plugin ABI", "1.0"), ("platform", "linux x86_64")]
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into(),
        data: "1200 training and 300 held-out images of 10 classes; fingerprint 0123456789abcdef".into(),
        command: format!("sextant compare example.toml --seeds {}", named.join(",")),
        base_recipe: "title = \"example\"\n\n[data]\nkind = \"emoji\"\n".into(),
        grid: SampleGrid {
            columns: 8,
            rows: 4,
            labels: ["Smileys", "People", "Animals", "Food", "Travel", "Activities", "Objects", "Symbols"]
                .map(str::to_owned)
                .into(),
            note: "Heun, 25 steps, guidance scale 1.5; moving average of the weights; seed 0".into(),
        },
        verdict: Some(comparison("validation loss", Direction::LowerIsBetter, count, loss)),
        chosen_afterwards: false,
        shared: "Runs of one seed share initial weights, batches, times, noise and dropped labels.".into(),
        scores: vec![
            comparison("kernel distance (embedded)", Direction::LowerIsBetter, count, |c, seed| kernel(c, 0, c.scale, seed)),
            comparison("kernel distance (untrained)", Direction::LowerIsBetter, count, |c, seed| kernel(c, 1, c.scale, seed)),
            comparison("probe accuracy, depth 4", Direction::HigherIsBetter, count, |c, seed| accuracy(c, 4, 0.5, seed)),
        ],
        disagreements: vec![
            "The judges disagree: by kernel distance, embedded puts repa first, untrained puts self-transcendence first.".into(),
        ],
        speed_ups: CHARACTERS[1..].iter().map(|c| (c.name.to_owned(), speed_ups(c, count))).collect(),
        runs,
        seeds,
        variants,
    }
}

fn empty() -> Variant {
    Variant {
        name: String::new(),
        guidance: String::new(),
        outcome: Outcome::Interrupted { step: 0 },
        seed_curves: Vec::new(),
        pace: Pace::default(),
        grids: Vec::new(),
        evaluations: Vec::new(),
        neighbours_png: None,
        map_pngs: BTreeMap::new(),
        curves: BTreeMap::new(),
        samples_png: None,
        overlay: String::new(),
        plugins: Vec::new(),
    }
}

fn variant(index: usize, character: &Character, seeds: u64) -> Variant {
    let measured: Vec<Measurements> = (0..seeds).map(|seed| measurements(index, character, seed)).collect();
    let mean = Measurements::mean(&measured.iter().collect::<Vec<_>>()).unwrap_or_default();
    let seed_curves: Vec<_> = (0..seeds)
        .map(|seed| curves(index, seed, character.gain, character.steps))
        .collect();
    let at = |step: u64| Grid {
        step,
        png: samples(index, step),
    };
    let mut grids: Vec<Grid> = (1..=8)
        .map(|k| STEPS * k / 8)
        .filter(|step| *step <= character.steps)
        .map(at)
        .collect();
    if grids.is_empty() {
        grids = vec![at(character.steps)];
    }
    let evaluations: Vec<Option<Evaluation>> = (0..seeds).map(|seed| Some(evaluation(character, seed))).collect();
    let maps = evaluations[0]
        .iter()
        .flat_map(|e| e.representations.iter().flat_map(|r| r.maps.clone()));
    Variant {
        name: character.name.into(),
        guidance: character.guidance.into(),
        outcome: Outcome::Finished(mean),
        curves: seed_curves[0].clone(),
        seed_curves,
        pace: pace(character),
        samples_png: grids.last().map(|grid| grid.png.clone()),
        neighbours_png: Some(picture(10 * 12, 2 * 12, |x, y| {
            shape(x, y % 12 + 12 * (y / 24), index, 0.8)
        })),
        map_pngs: maps.map(|map| (map.file.clone(), map_picture(index, &map))).collect(),
        grids,
        evaluations,
        overlay: character.overlay.into(),
        plugins: match character.gain > 0.0 {
            true => vec![Plugin {
                name: character.name.into(),
                version: "0.1.0".into(),
                sha256: format!("{:064x}", index * 123_456_789),
            }],
            false => Vec::new(),
        },
    }
}

/// A number in -1 to 1 that is the same for the same place.
fn noise(place: impl IntoIterator<Item = u64>) -> f64 {
    let mixed = place.into_iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, part| {
        let mixed = (state ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 32)
    });
    (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn number(character: &Character) -> u64 {
    character.name.bytes().map(u64::from).sum()
}

/// The validation loss at a step.
fn loss_at(gain: f64, seed: u64, step: u64) -> f64 {
    0.45 - gain
        + 1.4 * (-(step as f64) / 180.0).exp()
        + 0.05 * (-(step as f64) / 1200.0).exp()
        + 0.01 * noise([seed, 1])
}

fn loss(character: &Character, seed: u64) -> f64 {
    let own = match character.name {
        "none" => 0.0,
        "self-transcendence" => 0.02,
        _ => 0.002,
    };
    loss_at(character.gain, seed, character.steps) + own * noise([seed, number(character), 2])
}

fn curves(index: usize, seed: u64, gain: f64, steps: u64) -> BTreeMap<String, Vec<Point>> {
    let every = |stride: u64| (1..=steps / stride).map(move |i| i * stride);
    let every = |stride: u64| {
        if steps < stride {
            vec![steps]
        } else {
            every(stride).collect::<Vec<_>>()
        }
    };
    let place = |step: u64, what: u64| noise([index as u64, seed, step, what]);
    let of = |steps: Vec<u64>, value: &dyn Fn(u64) -> f64| {
        steps
            .into_iter()
            .map(|step| Point {
                step,
                value: value(step),
            })
            .collect()
    };
    let mut curves: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    curves.insert(
        "denoising".into(),
        of(every(10), &|step| loss_at(gain, seed, step) + 0.05 * place(step, 1)),
    );
    curves.insert(
        "validation".into(),
        of(every(100), &|step| loss_at(gain, seed, step) + 0.003 * place(step, 2)),
    );
    curves.insert(
        "grad_norm".into(),
        of(every(10), &|step| {
            0.6 + 0.8 * (-(step as f64) / 300.0).exp() + 0.1 * place(step, 3)
        }),
    );
    if gain > 0.0 {
        curves.insert(
            "guidance".into(),
            of(every(10), &|step| {
                -0.7 + 0.6 * (-(step as f64) / 400.0).exp() + 0.02 * place(step, 4)
            }),
        );
    }
    if index == 1 && seed == 1 {
        // What a loss that overflowed once looks like.
        curves
            .entry("denoising".into())
            .and_modify(|points| points[90].value = f64::NAN);
    }
    curves
}

fn operations(character: &Character) -> Operations {
    let (student, steps) = (2.1e9, character.steps as f64);
    let (teacher, guidance) = (
        if character.earlier > 0.0 { 0.7e9 } else { 0.0 },
        4e8 * character.overhead,
    );
    Operations {
        student,
        teacher,
        guidance,
        last_phase: (student + teacher + guidance) * steps,
        earlier_phases: student * character.earlier,
    }
}

fn pace(character: &Character) -> Pace {
    let counted = operations(character);
    let seconds = 0.11 * (1.0 + character.overhead);
    Pace {
        images: 64.0,
        operations: Some(counted.step()),
        seconds,
        earlier_images: 64.0 * character.earlier,
        earlier_operations: Some(counted.earlier_phases),
        earlier_seconds: 0.11 * character.earlier,
    }
}

fn measurements(index: usize, character: &Character, seed: u64) -> Measurements {
    let pace = pace(character);
    let loss = loss(character, seed);
    let extra = pace.seconds - 0.11;
    let teacher = if character.earlier > 0.0 { 0.8 * extra } else { 0.0 };
    Measurements {
        steps: character.steps,
        validation_loss: loss,
        validation_by_time: [(0.1, 1.6), (0.3, 0.9), (0.5, 0.6), (0.7, 0.5), (0.9, 1.4)]
            .map(|(t, factor)| {
                [
                    t,
                    loss * factor + 0.004 * noise([seed, index as u64, (t * 10.0) as u64]),
                ]
            })
            .into(),
        guidance_loss: (character.gain > 0.0).then_some(-0.68),
        seconds_per_step: pace.seconds,
        overhead: (index > 0).then_some(character.overhead),
        peak_memory_bytes: Some((410 + 60 * index as u64) << 20),
        student_parameters: 1_834_000,
        guidance_parameters: if character.gain > 0.0 { 98_304 } else { 0 },
        teacher_share: teacher / pace.seconds,
        clipped_share: 0.034,
        total_seconds: pace.seconds * character.steps as f64 + pace.earlier_seconds,
        earlier_phases_seconds: pace.earlier_seconds,
        parts: Parts {
            data: 0.001,
            student: 0.036,
            teacher,
            guidance: extra - teacher,
            backward: 0.065,
            update: 0.008,
        },
        operations: Some(operations(character)),
        teacher_parameters: if character.earlier > 0.0 { 1_834_000 } else { 0 },
        guide: (character.name == "repa").then_some(GuideCost {
            parameters: 210_000,
            training_operations: Some(9e11),
            encoding_operations: 3e10,
        }),
    }
}

/// Kernel distance by a judge at a scale: a valley whose floor is where the variant's best scale is.
fn kernel(character: &Character, judge: u64, scale: f64, seed: u64) -> f64 {
    let gain = match judge {
        0 => character.gain,
        // The other judge prefers another variant.
        _ if character.earlier > 0.0 => 0.04,
        _ => 0.6 * character.gain,
    };
    0.06 - 0.8 * gain
        + 0.02 * (scale - character.scale).powi(2)
        + 0.004 * noise([seed, number(character), judge, (scale * 4.0) as u64])
}

fn accuracy(character: &Character, depth: usize, t: f64, seed: u64) -> f64 {
    // Where in the network the peak lies, and how high.
    let peak = if character.gain > 0.0 { 3.0 } else { 5.0 };
    let height = (0.45 + 6.0 * character.gain.max(-0.05)) * (1.1 - t);
    let bump = (-((depth as f64 - peak) / 3.0).powi(2)).exp();
    (0.15 + height * bump + 0.015 * noise([seed, depth as u64, (t * 10.0) as u64, number(character)])).clamp(0.0, 1.0)
}

fn evaluation(character: &Character, seed: u64) -> Evaluation {
    let judges = [("embedded", 0), ("untrained", 1)];
    let mut scales = vec![1.0, character.scale];
    scales.dedup();
    let scores = |judge: u64, scale: f64| {
        let kernel = kernel(character, judge, scale, seed);
        Scores {
            frechet: 40.0 * kernel + 3.0,
            kernel,
            kernel_error: 0.0023,
            precision: (0.8 - 3.0 * kernel).clamp(0.0, 1.0),
            recall: (0.7 - 2.0 * kernel).clamp(0.0, 1.0),
            density: (0.9 - 4.0 * kernel).max(0.0),
            coverage: (0.85 - 3.5 * kernel).clamp(0.0, 1.0),
        }
    };
    let quality = judges.iter().flat_map(|(name, judge)| {
        scales.iter().map(move |&scale| Quality {
            judge: (*name).into(),
            scale,
            samples: 360,
            scores: scores(*judge, scale),
        })
    });
    let floors = judges.map(|(name, _)| Quality {
        judge: name.into(),
        scale: 1.0,
        samples: 360,
        scores: Scores {
            frechet: 1.9,
            kernel: -0.0002,
            kernel_error: 0.0006,
            precision: 0.81,
            recall: 0.8,
            density: 0.98,
            coverage: 0.94,
        },
    });
    Evaluation {
        step: character.steps,
        judges: vec![
            JudgeIdentity {
                name: "embedded".into(),
                fingerprint: "5e".repeat(32),
                description: "patch network, supervised on 58 subclasses, 64 features".into(),
            },
            JudgeIdentity {
                name: "untrained".into(),
                fingerprint: "a7".repeat(32),
                description: "convolution with its first weights, 64 features".into(),
            },
        ],
        sweep: Some(ScaleSweep {
            judge: "embedded".into(),
            samples: 180,
            points: SCALES
                .map(|scale| SweepPoint {
                    scale,
                    kernel: kernel(character, 0, scale, seed + 10),
                    kernel_error: 0.0035,
                })
                .into(),
            chosen: character.scale,
        }),
        quality: quality.collect(),
        floors: floors.into(),
        copies: Some(Copies {
            samples: 360,
            scale: character.scale,
            fraction: 0.014 + 0.01 * character.gain.max(0.0) + 0.003 * noise([seed, 8]),
            held_out_fraction: 0.021,
            distance: 0.171 - 0.4 * character.gain.max(-0.1) + 0.002 * noise([seed, 9]),
            held_out_distance: 0.142,
            ratio: 0.93 + 0.01 * noise([seed, 7]),
            held_out_ratio: 0.91,
            rule: Some(CopyRule {
                distance: 0.08,
                quantile: 0.05,
                ratio: 0.5,
            }),
        }),
        representations: Some(representations(character, seed)),
        ..Evaluation::default()
    }
}

fn representations(character: &Character, seed: u64) -> Representations {
    let places = || (0..=DEPTHS).flat_map(|depth| TIMES.map(|t| (depth, t)));
    let align = |depth: usize, t: f64, what: u64| {
        let own = if character.gain > 0.0 { 0.18 } else { 0.0 };
        let rise = (depth as f64 / DEPTHS as f64 * PI).sin();
        0.15 + (0.3 + own) * rise * (1.05 - t) + 0.01 * noise([seed, depth as u64, what, number(character)])
    };
    let teacher = character.earlier > 0.0;
    let mut maps = vec![];
    for t in TIMES {
        let map = |of: MapOf, depth: usize| Map {
            of,
            depth,
            t,
            file: format!("{of:?}-{depth}-{t}.png").to_lowercase(),
            explained: 0.45 + 0.04 * depth as f64,
        };
        maps.push(map(MapOf::Images, 0));
        maps.extend((0..=DEPTHS).step_by(2).map(|depth| map(MapOf::Student, depth)));
        if teacher {
            maps.extend([MapOf::TeacherConditional, MapOf::TeacherGuided].map(|of| map(of, 4)));
        }
    }
    Representations {
        training: 1200,
        held_out: 300,
        probes: places()
            .map(|(depth, t)| Probing {
                depth,
                t,
                accuracy: accuracy(character, depth, t, seed),
                chance: 0.11,
            })
            .collect(),
        compared_with: "untrained".into(),
        alignment: places()
            .map(|(depth, t)| Alignment {
                depth,
                t,
                cka: align(depth, t, 1),
                cknna: 0.6 * align(depth, t, 2),
            })
            .collect(),
        label_parts: match teacher {
            true => ["teacher, depth 4", "teacher, depth 4, scale 30"]
                .iter()
                .zip([0.12, 0.61])
                .flat_map(|(target, share)| {
                    TIMES.map(|t| LabelPart {
                        target: (*target).into(),
                        t,
                        share: share * (0.6 + t / 2.0),
                    })
                })
                .collect(),
            false => Vec::new(),
        },
        maps,
    }
}

fn contender(character: &Character, seeds: u64, score: fn(&Character, u64) -> f64) -> Contender {
    Contender {
        name: character.name.into(),
        scores: Sample::new((0..seeds).map(|seed| (seed, score(character, seed)))).unwrap_or_default(),
    }
}

fn comparison(name: &str, direction: Direction, seeds: u64, score: fn(&Character, u64) -> f64) -> Comparison {
    let mut others: Vec<Contender> = CHARACTERS[1..]
        .iter()
        .map(|character| contender(character, seeds, score))
        .collect();
    others.push(Contender {
        name: "broken".into(),
        scores: Sample::default(),
    });
    Comparison::new(
        name,
        direction,
        &contender(&CHARACTERS[0], seeds, score),
        &others,
        Level::DEFAULT,
    )
    .expect("contenders of different names can be compared")
}

fn speed_ups(character: &Character, seeds: u64) -> SpeedUps {
    let curve = |character: &Character, seed: u64, step: f64, before: f64| {
        let index = CHARACTERS.iter().position(|of| of.name == character.name).unwrap_or(0);
        let points = curves(index, seed, character.gain, character.steps)
            .remove("validation")
            .unwrap_or_default();
        Curve::new(
            points
                .iter()
                .map(|point| (before + step * point.step as f64, point.value)),
        )
        .expect("steps rise")
    };
    let all = |character: &Character, step: f64, before: f64| -> BTreeMap<u64, Curve> {
        (0..seeds)
            .map(|seed| (seed, curve(character, seed, step, before)))
            .collect()
    };
    let (own, base) = (pace(character), pace(&CHARACTERS[0]));
    let against = |step: f64, before: f64, base: f64| {
        let (variant, baseline) = (all(character, step, before), all(&CHARACTERS[0], base, 0.0));
        SpeedUp::new(&variant, &baseline, Direction::LowerIsBetter, Level::DEFAULT)
    };
    let (spent, base_spent) = (operations(character), operations(&CHARACTERS[0]));
    let guide = if character.name == "repa" { 9.3e11 } else { 0.0 };
    SpeedUps {
        steps: against(1.0, 0.0, 1.0),
        images: Some(against(own.images, own.earlier_images, base.images)),
        operations: Some(against(spent.step(), spent.earlier_phases + guide, base_spent.student)),
        seconds: against(own.seconds, own.earlier_seconds, base.seconds),
    }
}

// --- pictures

fn picture(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb(colour(x, y)));
    let mut png = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut png, ImageFormat::Png)
        .expect("a picture in memory is written");
    png.into_inner()
}

/// A disc in a tile of twelve pixels, as sharp as `clear` says.
fn shape(x: u32, y: u32, index: usize, clear: f64) -> [u8; 3] {
    let (column, row) = (x / 12, y / 12);
    let (dx, dy) = (f64::from(x % 12) - 5.5, f64::from(y % 12) - 5.5);
    let radius = 2.5 + f64::from((column + row) % 3);
    let inside = 1.0 / (1.0 + ((dx.hypot(dy) - radius) * (1.0 + 4.0 * clear)).exp());
    std::array::from_fn(|c| {
        let hue = 0.5 + 0.5 * (f64::from(column) * 0.9 + c as f64 * 2.1 + f64::from(row) * 0.4).sin();
        let grain = noise([u64::from(x), u64::from(y), c as u64, index as u64]) * (1.0 - clear) * 0.5;
        (255.0 * ((1.0 - inside) * 0.96 + inside * hue + grain)).clamp(0.0, 255.0) as u8
    })
}

fn samples(index: usize, step: u64) -> Vec<u8> {
    let clear = 1.0 - (-(step as f64) / 700.0).exp();
    picture(8 * 12, 4 * 12, |x, y| shape(x, y, index, clear))
}

fn map_picture(index: usize, map: &Map) -> Vec<u8> {
    if map.of == MapOf::Images {
        return picture(4 * 12, 12, |x, y| shape(x, y, 0, 1.0 - 0.9 * map.t));
    }
    // Six tokens a side, two pixels each.
    picture(4 * 12, 12, |x, y| {
        let (x, y) = (x / 2 * 2, y / 2 * 2);
        let clear = (map.depth as f64 / DEPTHS as f64) * (1.0 - 0.6 * map.t);
        let [r, g, b] = shape(x, y, index + map.depth, clear);
        [255 - r, b, g]
    })
}
