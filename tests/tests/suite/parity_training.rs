//! Whole trainings against PyTorch: the shipped plugins as loaded libraries, the production loop and step.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use sextant_data::{Clean, FieldBatch, HostBatch, Stream};
use sextant_guidance::Sources;
use sextant_model::device::compiles_kernels;
use sextant_model::{Sit, SitConfig, apply, collect, frozen_copy};
use sextant_recipe::{
    ComputeRecipe, DiffusionRecipe, Init, OptimiserRecipe, OutputRecipe, Path as Interpolant, Phase, Precision,
    Prediction, Recompute, SourceConfig, TeacherRecipe, Weights,
};
use sextant_tests::fixture::{self, Fixture};
use sextant_tests::{floats, on_ranks, plugins};
use sextant_train::checkpoint::{Saved, SavedTensors, State, Tensors};
use sextant_train::{
    Ending, Observer, PhaseSettings, ProgressMode, Ranks, StepOutput, TrainModule, Training, Worker, geometry,
};

/// Name of the source under test: the fixtures call its parameters the head.
const NAME: &str = "head";

/// Seed of the sources' draws.
const SEED: u64 = 0;

/// Width of sra's draws: the fixture's t_teacher = clamp(t - U(0, 0.2), 0, 1).
const SHIFT: f64 = 0.2;

#[test]
fn no_fixture_is_left_unchecked() {
    let files = fixture::files();
    assert!(!files.is_empty(), "{} holds no fixture", fixture::folder().display());
    for file in files {
        let name = fixture::name(&file);
        let known = fixture::CHECKED
            .iter()
            .chain(&fixture::ELSEWHERE)
            .any(|kind| name.starts_with(kind));
        assert!(known, "{name} is of no kind that a parity test reads");
    }
}

#[test]
fn trainings_follow_pytorch() {
    for fixture in fixture::all("train_") {
        let kind = fixture.settings["guidance"].as_str().expect("a guidance").to_owned();
        let batches = steps(&fixture, &kind);
        for recompute in [Recompute::Off, Recompute::Blocks] {
            let compute = ComputeRecipe {
                recompute,
                ..ComputeRecipe::default()
            };
            let trajectory = train(&fixture, &kind, Cut::NONE, &batches, &compute);
            check_steps(&fixture, &trajectory);
            check_weights(&fixture, &trajectory);
            check_teacher(&fixture, &kind, &trajectory);
        }
    }
}

/// Allowance for chance, for numbers that are rounded in other places: deviations here differ by a third from one order of the samples to
/// another, and so do those of PyTorch's six runs, of which the largest was taken.
const CHANCE: f64 = 1.2;

#[test]
fn halves_stay_as_near_to_f32_as_with_autocast() {
    let exact: BTreeMap<String, Fixture> = fixture::all("train_")
        .into_iter()
        .map(|fixture| (fixture.name.clone(), fixture))
        .collect();
    for autocast in fixture::all("autocast_") {
        let name = autocast.name.replacen("autocast_", "train_", 1);
        let fixture = &exact[&name];
        let kind = fixture.settings["guidance"].as_str().expect("a guidance");
        for precision in [Precision::Bf16, Precision::F16] {
            let compute = ComputeRecipe {
                precision,
                ..ComputeRecipe::default()
            };
            let half = precision.key();
            let trajectory = train(fixture, kind, Cut::NONE, &steps(fixture, kind), &compute);
            let of_each = |read: fn(&Recorded) -> &[f32]| -> Vec<f32> {
                trajectory.steps.iter().flat_map(read).copied().collect()
            };
            let check = |what: &str, ours: f64| {
                let theirs = autocast.settings[half][what].as_f64().expect("a deviation");
                println!("{kind}, {half}: {what} is off by {ours:.2e}, with autocast by up to {theirs:.2e}");
                assert!(
                    ours <= CHANCE * theirs,
                    "{kind}, {half}: {what} is off by {ours:.2e}, with autocast by {theirs:.2e}"
                );
            };
            for (what, found) in [
                ("denoising", of_each(|step| &step.denoising)),
                ("guidance", of_each(|step| &step.guidance)),
                ("grad_norm", of_each(|step| std::slice::from_ref(&step.norm))),
            ] {
                let wanted: Vec<f32> = fixture.values(&format!("steps.{what}"));
                check(what, relative(&found, &wanted));
            }
            let start = fixture.group("init.model", "");
            for (what, weights) in [("model", Weights::Model), ("ema", Weights::Ema)] {
                let found = trajectory.saved.weights(weights).unwrap();
                let wanted = fixture.group(&format!("final.{what}"), "");
                check(what, distance(&found, &wanted) / distance(&wanted, &start));
            }
        }
    }
}

#[test]
fn trainings_on_several_ranks_follow_pytorch() {
    for fixture in fixture::all("train_") {
        let kind = fixture.settings["guidance"].as_str().expect("a guidance").to_owned();
        // A source that couples samples sees those of its rank, and PyTorch's run saw all.
        let couples = kind == "dispersive" || fixture.settings["mask"].as_str() == Some("released");
        let steps = steps(&fixture, &kind);
        for (ranks, sharded) in [(2, false), (4, false), (2, true), (4, true)] {
            // It asks for all of the average in each step.
            if sharded && kind == "sra" {
                continue;
            }
            let cut = |ranks, accumulation, sharded| {
                let cut = Cut {
                    ranks,
                    accumulation,
                    sharded,
                };
                train(&fixture, &kind, cut, &steps, &ComputeRecipe::default())
            };
            let trajectory = cut(ranks, 1, sharded);
            if couples {
                same(&fixture, &trajectory, &cut(1, ranks, false));
            } else {
                check_steps(&fixture, &trajectory);
                check_weights(&fixture, &trajectory);
                check_teacher(&fixture, &kind, &trajectory);
            }
        }
    }
}

/// Checks that two trainings are the same, to the bit.
fn same(fixture: &Fixture, one: &Trajectory, other: &Trajectory) {
    assert_eq!(one.steps, other.steps, "{}", fixture.name);
    for of in [Weights::Model, Weights::Ema] {
        let [one, other] = [one, other].map(|trajectory| trajectory.saved.weights(of).unwrap());
        assert!(one == other, "{}: {of:?}", fixture.name);
    }
    let [one, other] = [one, other].map(|trajectory| trajectory.saved.sources_of(&[NAME]).unwrap());
    assert!(one == other, "{}: sources", fixture.name);
}

/// The parts of a training: ranks, with all of its state or a part of it, and micro-batches of each.
#[derive(Clone, Copy)]
pub struct Cut {
    ranks: usize,
    accumulation: usize,
    sharded: bool,
}

impl Cut {
    /// One part.
    pub const NONE: Self = Self {
        ranks: 1,
        accumulation: 1,
        sharded: false,
    };
}

/// The steps of a training, and what it left.
struct Trajectory {
    steps: Vec<Recorded>,
    saved: Saved,
    teacher_rows: u64,
    padded_rows: u64,
    /// True if rows are padded on the device.
    pads: bool,
    _folder: Option<tempfile::TempDir>,
}

#[derive(Debug, PartialEq)]
struct Recorded {
    denoising: Vec<f32>,
    guidance: Vec<f32>,
    norm: f32,
}

struct Recorder(Arc<Mutex<Vec<Recorded>>>);

impl Observer for Recorder {
    fn stepped(&mut self, _: u64, output: &StepOutput, norm: &Tensor<1>) {
        let read = |t: &Tensor<1>| floats(&t.clone().into_data());
        let denoising = read(&output.denoising);
        self.0.lock().unwrap().push(Recorded {
            guidance: match output.guidance.first() {
                Some((_, loss)) => read(loss),
                None => vec![0.0; denoising.len()],
            },
            denoising,
            norm: read(norm)[0],
        });
    }
}

/// The source that a kind of fixture was made with, and its settings.
fn source(fixture: &Fixture, kind: &str) -> SourceConfig {
    let s = &fixture.settings;
    let range = |key: usize| s["t_range"][key].as_f64().unwrap();
    let number = |key: &str| s[key].as_i64().unwrap();
    let mut config = toml::Table::new();
    if ["repa", "vae_align", "vae_align_clean", "self_transcendence"].contains(&kind) {
        let width = s["model"]["projector_dim"].as_i64().unwrap();
        config.insert("projector_width".into(), width.into());
    }
    let mut masked = |depths: &[(&str, i64)]| {
        config.insert("t_min".into(), range(0).into());
        config.insert("t_max".into(), range(1).into());
        config.insert("mask".into(), s["mask"].as_str().unwrap().into());
        for (key, depth) in depths {
            config.insert((*key).into(), (*depth).into());
        }
    };
    let (student, teacher) = (number("student_depth"), number("teacher_depth"));
    let plugin = match kind {
        "none" => "none",
        "repa" => {
            config.insert("depth".into(), student.into());
            "repa"
        }
        "vae_align" | "vae_align_clean" => {
            masked(&[("depth", student)]);
            let target = if kind == "vae_align" { "velocity" } else { "clean" };
            config.insert("target".into(), target.into());
            "vae-align"
        }
        "self_transcendence" => {
            masked(&[("student_depth", student), ("teacher_depth", teacher)]);
            config.insert("scale".into(), s["cfg_scale"].as_f64().unwrap().into());
            "self-transcendence"
        }
        "sra" => {
            config.insert("student_depth".into(), student.into());
            config.insert("teacher_depth".into(), teacher.into());
            config.insert("shift".into(), SHIFT.into());
            config.insert("loss".into(), "smooth-l1".into());
            "sra"
        }
        "layersync" => {
            config.insert("depth".into(), student.into());
            config.insert("target_depth".into(), teacher.into());
            "layersync"
        }
        "dispersive" => {
            config.insert("depth".into(), student.into());
            config.insert("tau".into(), 1.0.into());
            "dispersive"
        }
        other => panic!("{}: guidance {other:?} is not known to this test", fixture.name),
    };
    SourceConfig {
        name: Some(NAME.into()),
        coefficient: Some(s["coefficient"].as_f64().unwrap()),
        config,
        ..SourceConfig::new(plugin)
    }
}

fn optimiser(fixture: &Fixture, accumulation: usize) -> OptimiserRecipe {
    let s = &fixture.settings;
    OptimiserRecipe {
        lr: fixture.number("lr"),
        betas: [s["betas"][0].as_f64().unwrap(), s["betas"][1].as_f64().unwrap()],
        eps: fixture.number("eps"),
        weight_decay: fixture.number("weight_decay"),
        max_grad_norm: fixture.number("max_grad_norm"),
        batch: fixture.number("batch") as usize,
        ema_decay: fixture.number("ema_decay"),
        ema_warmup: false,
        accumulation,
        ..OptimiserRecipe::default()
    }
}

fn network(config: &SitConfig, weights: &Tensors, device: &Device) -> Sit {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    apply(Sit::init(config, &mut rng, device).unwrap(), weights).unwrap()
}

/// The training, as the first of its ranks has it.
fn train(fixture: &Fixture, kind: &str, cut: Cut, steps: &[HostBatch], compute: &ComputeRecipe) -> Trajectory {
    let folder = tempfile::tempdir().unwrap();
    let mut all = on_ranks(cut.ranks, |ranks| {
        train_on(fixture, kind, (ranks, cut), steps, compute, folder.path())
    });
    Trajectory {
        _folder: Some(folder),
        ..all.swap_remove(0)
    }
}

/// The training of a fixture before its first step.
pub fn prepared(
    fixture: &Fixture,
    kind: &str,
    device: Device,
    (ranks, cut): (Ranks, Cut),
    compute: &ComputeRecipe,
    folder: &Path,
) -> Training {
    let (config, optimiser) = (fixture.geometry(true), optimiser(fixture, cut.accumulation));
    let tracked = device.clone().autodiff();
    let phase = Phase {
        name: "train".into(),
        steps: fixture.number("steps") as u64,
        init: Init::Fresh,
        teacher: (kind == "self_transcendence").then(|| TeacherRecipe {
            phase: Some("before".into()),
            ..TeacherRecipe::default()
        }),
        shuffle_labels: false,
        guidance: vec![source(fixture, kind)],
    };
    let features = fixture.data("steps.features").shape()[2..].to_vec();
    let fields = vec![("features".to_owned(), features)];
    let diffusion = DiffusionRecipe {
        path: Interpolant::Linear,
        prediction: Prediction::Velocity,
        ..DiffusionRecipe::default()
    };
    let sources = Sources::load(
        &phase.guidance,
        &plugins(),
        &geometry(&ranks.cut(&optimiser), &diffusion, &config, None, &phase, &fields),
    )
    .unwrap();
    let student = network(&config, &fixture.group("init.model", ""), &tracked).computing_in(compute.precision);
    let teacher = fixture.group("teacher", "");
    let teacher = (!teacher.is_empty()).then(|| frozen_copy(&network(&config, &teacher, &device)));
    let head: Tensors = fixture
        .group("init.head", "")
        .into_iter()
        .map(|(name, data)| (format!("head.{name}"), data))
        .collect();
    let params = sources.init_parameters(0, &tracked).load_named(&head).unwrap();
    let module = TrainModule {
        student,
        sources: params,
    };
    let worker = Worker::new(module, sources, teacher, &optimiser, diffusion, SEED, device);
    let mut worker = worker.recomputing(compute.recompute);
    if cut.sharded {
        worker = worker.sharded(&ranks);
    }
    let settings = PhaseSettings {
        phase: phase.name,
        steps: phase.steps,
        optimiser: optimiser.clone(),
        output: OutputRecipe {
            share_every: 0,
            checkpoint_every: 0,
            ..OutputRecipe::default()
        },
        validate_every: None,
        folder: folder.into(),
    };
    let progress = ProgressMode::Quiet.start(&fixture.name, 0, 1);
    Training::new(settings, worker, State::default(), progress).with_ranks(ranks)
}

fn train_on(
    fixture: &Fixture,
    kind: &str,
    (ranks, cut): (Ranks, Cut),
    steps: &[HostBatch],
    compute: &ComputeRecipe,
    folder: &Path,
) -> Trajectory {
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let recorder = Box::new(Recorder(recorded.clone()));
    let device = sextant_tests::device();
    let pads = compiles_kernels(&device);
    let slice = ranks.slice(optimiser(fixture, cut.accumulation).batch);
    let batches = steps.iter().map(|batch| Ok(part(batch, slice.clone())));
    let training = prepared(fixture, kind, device, (ranks, cut), compute, folder);
    let mut training = training.with_observer(recorder);
    let ending = training.run(batches).unwrap();
    let Ending::Finished(saved) = ending else {
        panic!("{}: {ending:?}", fixture.name)
    };
    let counters = training.worker().counters;
    Trajectory {
        steps: std::mem::take(&mut recorded.lock().unwrap()),
        saved,
        teacher_rows: counters.rows,
        padded_rows: counters.padded_rows,
        pads,
        _folder: None,
    }
}

/// These samples of a batch.
fn part(batch: &HostBatch, samples: Range<usize>) -> HostBatch {
    let count = batch.ids.len();
    let rows = |values: &[f32]| {
        let width = values.len() / count;
        values[samples.start * width..samples.end * width].to_vec()
    };
    let Clean::Values(x) = &batch.x else {
        panic!("latents are ready")
    };
    let fields = batch.fields.iter().map(|(name, field)| {
        let values = rows(&field.values);
        let shape = [&[samples.len()], &field.shape[1..]].concat();
        (name.clone(), FieldBatch { shape, values })
    });
    HostBatch {
        shape: [samples.len(), batch.shape[1], batch.shape[2], batch.shape[3]],
        x: Clean::Values(rows(x)),
        noise: rows(&batch.noise),
        t: rows(&batch.t),
        labels: batch.labels[samples.clone()].to_vec(),
        dropped: batch.dropped[samples.clone()].to_vec(),
        ids: batch.ids[samples.clone()].to_vec(),
        fields: fields.collect(),
        pictures: None,
        step: batch.step,
    }
}

/// The fixture's batches, in the form that the production step takes.
pub fn steps(fixture: &Fixture, kind: &str) -> Vec<HostBatch> {
    let shape = fixture.data("steps.x").shape().to_vec();
    let (count, batch) = (shape[0], shape[1]);
    let image: usize = shape[2..].iter().product();
    let (x, noise): (Vec<f32>, Vec<f32>) = (fixture.values("steps.x"), fixture.values("steps.noise"));
    let (t, y): (Vec<f32>, Vec<i64>) = (fixture.values("steps.t"), fixture.values("steps.y"));
    let earlier: Vec<f32> = fixture.values("steps.t_teacher");
    let features = fixture.data("steps.features");
    let feature_shape = features.shape().to_vec();
    let width: usize = feature_shape[1..].iter().product();
    let features = floats(&features);
    (0..count)
        .map(|step| {
            let rows = |values: &[f32], width: usize| values[step * width..(step + 1) * width].to_vec();
            let labels = |which: usize| y[(2 * step + which) * batch..][..batch].to_vec();
            HostBatch {
                step: step as u64,
                shape: [batch, shape[2], shape[3], shape[4]],
                x: Clean::Values(rows(&x, batch * image)),
                pictures: None,
                noise: rows(&noise, batch * image),
                t: rows(&t, batch),
                labels: labels(0),
                dropped: labels(1),
                ids: match kind {
                    "sra" => identities(step, &t[step * batch..][..batch], &earlier[step * batch..][..batch]),
                    _ => (0..batch as u64).collect(),
                },
                fields: BTreeMap::from([(
                    "features".to_owned(),
                    FieldBatch {
                        shape: feature_shape[1..].to_vec(),
                        values: rows(&features, width),
                    },
                )]),
            }
        })
        .collect()
}

/// Samples whose draws are those of PyTorch's run.
///
/// A source's draws are a function of seed, source, step, sample and tag, and nothing can be put in their place. But
/// which samples a step trains on is the test's to say: of half a million it takes those that sra sends to the
/// fixture's times.
fn identities(step: usize, times: &[f32], earlier: &[f32]) -> Vec<u64> {
    let stream = Stream::new(SEED, &format!("guidance/{NAME}/shift"));
    let draws: Vec<f32> = (0..1 << 19).map(|id| stream.at(&[step as u64, id]).random()).collect();
    let nearest = |(t, wanted): (&f32, &f32)| {
        let off = |u: &f32| ((t - u * SHIFT as f32).clamp(0.0, 1.0) - wanted).abs();
        let (id, u) = draws
            .iter()
            .enumerate()
            .min_by(|a, b| off(a.1).total_cmp(&off(b.1)))
            .unwrap();
        assert!(off(u) <= 2e-6, "no sample of step {step} is sent from {t} to {wanted}");
        id as u64
    };
    times.iter().zip(earlier).map(nearest).collect()
}

fn check_steps(fixture: &Fixture, trajectory: &Trajectory) {
    let (denoising, guidance): (Vec<f32>, Vec<f32>) =
        (fixture.values("steps.denoising"), fixture.values("steps.guidance"));
    let norms: Vec<f32> = fixture.values("steps.grad_norm");
    let batch = denoising.len() / norms.len();
    assert_eq!(trajectory.steps.len(), norms.len(), "{}", fixture.name);
    let mut worst = [0.0f64; 3];
    for (step, found) in trajectory.steps.iter().enumerate() {
        let row = step * batch..(step + 1) * batch;
        let errors = [
            relative(&found.denoising, &denoising[row.clone()]),
            relative(&found.guidance, &guidance[row.clone()]),
            relative(&[found.norm], &norms[step..=step]),
        ];
        for ((worst, error), what) in worst
            .iter_mut()
            .zip(errors)
            .zip(["denoising", "guidance", "gradient norm"])
        {
            *worst = worst.max(error);
            assert!(
                error <= 1e-4,
                "{}: {what} of step {step} is off by {error:.1e}",
                fixture.name
            );
        }
    }
    println!(
        "{}: denoising within {:.1e}, guidance {:.1e}, gradient norm {:.1e} (relative)",
        fixture.name, worst[0], worst[1], worst[2]
    );
}

/// Norm of the difference over the norm of what is wanted (0 must be 0). Of the batch's losses together, since a mean of
/// cosines may lie near 0 for one sample, where no float32 has four digits.
fn relative(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let pairs = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let (off, size) = pairs.fold((0.0, 0.0), |(off, size), (a, b)| {
        (off + (a - b) * (a - b), size + b * b)
    });
    if size == 0.0 { off.sqrt() } else { (off / size).sqrt() }
}

fn check_weights(fixture: &Fixture, trajectory: &Trajectory) {
    let saved = &trajectory.saved;
    let head = saved.sources_of(&["head"]).unwrap();
    let head: Tensors = head
        .into_iter()
        .map(|(name, data)| (name.trim_start_matches("head.").to_owned(), data))
        .collect();
    for (what, found, from) in [
        ("model", saved.weights(Weights::Model).unwrap(), "init.model"),
        ("ema", saved.weights(Weights::Ema).unwrap(), "init.model"),
        ("head", head, "init.head"),
    ] {
        let wanted = fixture.group(&format!("final.{what}"), "");
        let start = fixture.group(from, "");
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            wanted.keys().collect::<Vec<_>>(),
            "{}: names of {what}",
            fixture.name
        );
        if wanted.is_empty() {
            continue;
        }
        let off = distance(&found, &wanted) / distance(&wanted, &start);
        println!(
            "{}: final {what} off by {:.3} % of the distance travelled",
            fixture.name,
            off * 100.0
        );
        assert!(off <= 0.005, "{}: final {what} off by {off}", fixture.name);
    }
}

fn distance(a: &BTreeMap<String, TensorData>, b: &BTreeMap<String, TensorData>) -> f64 {
    let squares = a.iter().map(|(name, a)| {
        let pairs = a.iter::<f64>().zip(b[name].iter::<f64>());
        pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
    });
    squares.sum::<f64>().sqrt()
}

/// With the mask of the paper, both conditions of the samples inside the range and not one row more.
fn check_teacher(fixture: &Fixture, kind: &str, trajectory: &Trajectory) {
    let times: Vec<f32> = fixture.values("steps.t");
    let bound = |key: usize| fixture.settings["t_range"][key].as_f64().unwrap() as f32;
    let inside = |times: &[f32]| times.iter().filter(|t| (bound(0)..=bound(1)).contains(*t)).count();
    let batch = fixture.number("batch") as usize;
    let empty = times.chunks(batch).filter(|times| inside(times) == 0).count();
    let rows = match (kind, fixture.settings["mask"].as_str()) {
        // All rows count, but by a mean mask of 0 where none is inside.
        ("self_transcendence", Some("released")) => 2 * (times.len() - empty * batch),
        ("self_transcendence", _) => 2 * inside(&times),
        ("sra", _) => times.len(),
        _ => 0,
    } as u64;
    assert_eq!(trajectory.teacher_rows, rows, "{}: rows of the teacher", fixture.name);
    if !trajectory.pads {
        assert_eq!(trajectory.padded_rows, 0, "{}: padding on the CPU", fixture.name);
    }
    if kind == "self_transcendence" {
        println!("{}: {empty} steps without a sample inside the range", fixture.name);
        assert!(
            empty > 0,
            "{}: no step tests a projector without a gradient",
            fixture.name
        );
    }
}

#[test]
fn a_network_keeps_its_names_through_the_trainee() {
    for fixture in fixture::all("train_") {
        let weights = fixture.group("init.model", "");
        let student = network(&fixture.geometry(true), &weights, &sextant_tests::device());
        let names: Vec<String> = collect(&student).into_keys().collect();
        assert_eq!(names, weights.into_keys().collect::<Vec<_>>());
    }
}
