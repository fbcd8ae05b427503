//! Cost of the bridge: one training step of SiT-S/2 at batch 4 (forward, guidance loss, backward), with the loss of a
//! shipped plugin behind the bridge, and with the same loss written here, on burn's tensors.
//!
//! `cargo bench -p sextant --features bench` times both with criterion, then alternates them in one loop, so that a drift of the machine
//! meets both, and prints the ratio; `BRIDGE_ROUNDS` sets the rounds of that loop. A step's own noise is larger than the
//! bridge's cost, which does not depend on the tensors' sizes: so the last figure is the difference on a network of the same
//! depth whose tensors are tiny.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use criterion::{BatchSize, Criterion, SamplingMode};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sextant_data::{Clean, FieldBatch, HostBatch};
use sextant_guidance::{SearchPath, Sources};
use sextant_model::diffusion::{Interpolant, Target};
use sextant_model::network::linear::Linear;
use sextant_model::ops::silu;
use sextant_model::{Sit, SitConfig, TrainBatch, frozen_copy};
use sextant_recipe::{DiffusionRecipe, Init, OptimiserRecipe, Phase, SourceConfig, TeacherRecipe};
use sextant_train::{TrainModule, Worker, geometry};

const BATCH: usize = 4;
const COEFFICIENT: f64 = 0.5;
/// Rounds with the tiny network, whose steps take milliseconds.
const TINY_ROUNDS: usize = 300;
/// Two of the four lie in Self-Transcendence's range.
const TIMES: [f32; BATCH] = [0.15, 0.45, 0.65, 0.9];
const ROWS: [i64; 2] = [1, 2];
/// Feature guidance of Self-Transcendence.
const SCALE: f64 = 30.0;

/// A guidance loss that exists on both sides.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    /// Projector and cosine.
    Repa,
    /// Projector, two rows of a frozen teacher under both conditions, squared error.
    SelfTranscendence,
}

impl Loss {
    fn plugin(self) -> &'static str {
        match self {
            Self::Repa => "repa",
            Self::SelfTranscendence => "self-transcendence",
        }
    }

    /// Depth of the student's tokens: the plugin's default.
    fn depth(self) -> usize {
        match self {
            Self::Repa => 4,
            Self::SelfTranscendence => 6,
        }
    }
}

/// The sizes of tensors.
struct Sizes {
    network: SitConfig,
    /// Width of the projector.
    projector: usize,
    /// Width of the features that REPA aligns with.
    features: usize,
}

impl Sizes {
    /// SiT-S/2 with the published projector, and features of DINOv2 ViT-B.
    fn published() -> Self {
        let network = SitConfig::named("S/2", 32, 4, 1000, false).expect("a published size");
        Self {
            network,
            projector: 2048,
            features: 768,
        }
    }

    /// As many blocks and operations, of hardly any work.
    fn tiny() -> Self {
        let Self { network, .. } = Self::published();
        let network = SitConfig {
            input_size: 4,
            hidden_size: 16,
            num_heads: 2,
            ..network
        };
        Self {
            network,
            projector: 16,
            features: 16,
        }
    }
}

/// The step in production: [`Worker::gradients`] with a source that is a loaded library.
struct Bridged {
    worker: Worker,
    data: HostBatch,
    teacher: Option<Sit>,
}

impl Bridged {
    fn new(loss: Loss, sizes: &Sizes, device: &Device) -> Self {
        let config = &sizes.network;
        let student = network(config, 1, &device.clone().autodiff());
        let optimiser = OptimiserRecipe {
            batch: BATCH,
            ..OptimiserRecipe::default()
        };
        let teacher = (loss == Loss::SelfTranscendence).then(|| frozen_copy(&network(config, 2, device)));
        let source = SourceConfig {
            coefficient: Some(COEFFICIENT),
            config: toml::Table::from_iter([("projector_width".to_owned(), (sizes.projector as i64).into())]),
            ..SourceConfig::new(loss.plugin())
        };
        let phase = Phase {
            name: "bench".into(),
            steps: 1,
            init: Init::Fresh,
            teacher: teacher.as_ref().map(|_| TeacherRecipe {
                phase: Some("before".into()),
                ..TeacherRecipe::default()
            }),
            shuffle_labels: false,
            guidance: vec![source],
        };
        let fields = [("features".to_owned(), vec![config.tokens(), sizes.features])];
        // Cargo puts the plugins, which are development dependencies, beside the benchmark.
        let sources = Sources::load(
            &phase.guidance,
            &SearchPath::new(&[]),
            &geometry(&optimiser, &DiffusionRecipe::default(), config, None, &phase, &fields),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let module = TrainModule {
            sources: sources.init_parameters(0, &device.clone().autodiff()),
            student,
        };
        let diffusion = DiffusionRecipe::default();
        Self {
            data: data(sizes),
            worker: Worker::new(
                module,
                sources,
                teacher.clone(),
                &optimiser,
                diffusion,
                0,
                device.clone(),
            ),
            teacher,
        }
    }

    /// The gradients, and the guidance loss of each sample.
    fn step(&mut self, data: HostBatch) -> (GradientsParams, Tensor<1>) {
        let batch = TrainBatch::upload(data, None, self.worker.device());
        let gradients = self.worker.gradients(&batch).expect("no step fails");
        let loss = gradients.output.guidance[0].1.clone();
        (gradients.into_params(), loss)
    }
}

/// The same step without a bridge.
struct Direct {
    loss: Loss,
    model: DirectModel,
    teacher: Option<Sit>,
    device: Device,
}

#[derive(Module, Debug)]
struct DirectModel {
    student: Sit,
    projector: Vec<Linear>,
}

impl Direct {
    /// With the weights of `bridged`, in tensors of its own.
    fn beside(bridged: &Bridged, loss: Loss, device: &Device) -> Self {
        let values = bridged.worker.module.sources.named();
        let tracked = device.clone().autodiff();
        let value = |layer: usize, what: &str| values[&format!("{}.{}.{what}", loss.plugin(), 2 * layer)].clone();
        let projector = (0..3).map(|layer| Linear {
            weight: Param::from_data(value(layer, "weight"), &tracked),
            bias: Param::from_data(value(layer, "bias"), &tracked),
        });
        let config = bridged.worker.module.student.config();
        Self {
            loss,
            model: DirectModel {
                student: network(config, 1, &tracked),
                projector: projector.collect(),
            },
            teacher: bridged.teacher.clone(),
            device: device.clone(),
        }
    }

    fn step(&self, mut data: HostBatch) -> (GradientsParams, Tensor<1>) {
        let images = |values| Tensor::<4>::from_data(TensorData::new(values, data.shape), &self.device);
        let Clean::Values(x) = data.x else {
            unreachable!("the batch is made here")
        };
        let (x, noise) = (images(x), images(data.noise));
        let t = Tensor::<1>::from_data(data.t.as_slice(), &self.device);
        let dropped = Tensor::<1, Int>::from_data(data.dropped.as_slice(), &self.device);
        let DiffusionRecipe { path, prediction, .. } = DiffusionRecipe::default();
        let (x_t, velocity) = path.interpolate(x.clone(), noise.clone(), &data.t);
        let target = prediction.target(x, noise, velocity);

        let student = &self.model.student;
        let mut output = student.forward(x_t.clone(), t.clone(), dropped, &[self.loss.depth()]);
        let denoising = (output.output - target).square().mean();
        let tokens = output.taps.remove(0);
        let guidance = match self.loss {
            Loss::Repa => {
                let FieldBatch { shape, values } = data.fields.remove("features").expect("the batch has features");
                self.cosine_alignment(tokens, Tensor::from_data(TensorData::new(values, shape), &self.device))
            }
            Loss::SelfTranscendence => self.squared_error(tokens, x_t, t, &data.labels),
        };
        let loss = denoising + guidance.clone().mean() * COEFFICIENT;
        (
            GradientsParams::from_grads(loss.backward(), &self.model),
            guidance.inner(),
        )
    }

    fn project(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, count, width] = tokens.dims();
        let first = self.model.projector[0].forward(tokens.reshape([batch * count, width]));
        let rest = self.model.projector[1..].iter();
        rest.fold(first, |x, layer| layer.forward(silu(x)))
            .reshape([batch as isize, count as isize, -1])
    }

    /// Minus the mean cosine over tokens, per sample.
    fn cosine_alignment(&self, tokens: Tensor<3>, features: Tensor<3>) -> Tensor<1> {
        let projected = self.project(tokens);
        let length = |u: &Tensor<3>| u.clone().square().sum_dim(2).clamp_min(1e-24).sqrt();
        let lengths = length(&projected) * length(&features);
        let cosines = (projected * features).sum_dim(2) / lengths;
        -cosines.flatten::<2>(1, 2).mean_dim(1).squeeze_dim(1)
    }

    /// Squared error to the guided features of the teacher, on the rows inside the range.
    fn squared_error(&self, tokens: Tensor<3>, x_t: Tensor<4>, t: Tensor<1>, labels: &[i64]) -> Tensor<1> {
        let teacher = self.teacher.as_ref().expect("the source has a teacher");
        let null = teacher.config().null_class() as i64;
        let own = ROWS.map(|row| labels[row as usize]);
        let integers = |values: Vec<i64>| Tensor::<1, Int>::from_data(values.as_slice(), &self.device);
        let (rows, twice) = (integers(ROWS.to_vec()), integers([ROWS, ROWS].concat()));
        let conditions = integers([own, [null; ROWS.len()]].concat());
        let both = teacher
            .features(x_t.select(0, twice.clone()), t.select(0, twice), conditions, &[8])
            .remove(0);
        let conditional = both.clone().narrow(0, 0, ROWS.len());
        let unconditional = both.narrow(0, ROWS.len(), ROWS.len());
        let target = unconditional.clone() + (conditional - unconditional) * SCALE;

        let projected = self.project(tokens.select(0, rows.clone()));
        let errors = (projected - target)
            .square()
            .flatten::<2>(1, 2)
            .mean_dim(1)
            .squeeze_dim(1);
        let none = Tensor::zeros([BATCH], &self.device.clone().autodiff());
        none.select_assign(0, rows, errors, IndexingUpdateOp::Add)
    }
}

fn network(config: &SitConfig, seed: u64, device: &Device) -> Sit {
    Sit::init(config, &mut ChaCha8Rng::seed_from_u64(seed), device).expect("a valid geometry")
}

fn data(sizes: &Sizes) -> HostBatch {
    let config = &sizes.network;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.5..1.5)).collect() };
    let shape = [BATCH, config.in_channels, config.input_size, config.input_size];
    let count = shape.iter().product();
    let features = FieldBatch {
        shape: vec![BATCH, config.tokens(), sizes.features],
        values: values(BATCH * config.tokens() * sizes.features),
    };
    HostBatch {
        step: 0,
        shape,
        x: Clean::Values(values(count)),
        pictures: None,
        noise: values(count),
        t: TIMES.to_vec(),
        labels: vec![1, 207, 360, 980],
        dropped: vec![1, 207, config.null_class() as i64, 980],
        ids: (0..BATCH as u64).collect(),
        fields: BTreeMap::from([("features".to_owned(), features)]),
    }
}

/// Both steps, which must have the same loss.
fn both(loss: Loss, sizes: &Sizes, device: &Device) -> (Bridged, Direct) {
    let mut bridged = Bridged::new(loss, sizes, device);
    let direct = Direct::beside(&bridged, loss, device);
    let floats = |loss: Tensor<1>| loss.into_data().iter::<f32>().collect::<Vec<_>>();
    let losses = floats(bridged.step(bridged.data.clone()).1)
        .into_iter()
        .zip(floats(direct.step(bridged.data.clone()).1));
    for (bridged, direct) in losses {
        assert!(
            (bridged - direct).abs() <= 1e-5 * direct.abs(),
            "{bridged} through the bridge, {direct} without"
        );
    }
    (bridged, direct)
}

/// Medians of both in seconds, by turns, in the order ABBA.
fn alternate(rounds: usize, bridged: &mut Bridged, direct: &Direct) -> (f64, f64) {
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let data = bridged.data.clone();
            let started = Instant::now();
            match which {
                0 => black_box(bridged.step(data)),
                _ => black_box(direct.step(data)),
            };
            seconds[which].push(started.elapsed().as_secs_f64());
        }
    }
    let [bridged, direct] = seconds.map(|mut all| {
        all.sort_by(f64::total_cmp);
        (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0
    });
    (bridged, direct)
}

fn main() {
    let device = Device::flex();
    // Where `cargo test --benches` only wants to see it run.
    let testing = std::env::args().any(|argument| argument == "--test");
    let rounds = std::env::var("BRIDGE_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let rounds = if testing { 1 } else { rounds.unwrap_or(10) };
    let mut criterion = Criterion::default().configure_from_args();
    let mut lines = Vec::new();
    for loss in [Loss::Repa, Loss::SelfTranscendence] {
        let (mut bridged, direct) = both(loss, &Sizes::published(), &device);
        let mut group = criterion.benchmark_group(loss.plugin());
        // A step takes seconds.
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.bench_function("plugin", |bencher| {
            let data = bridged.data.clone();
            bencher.iter_batched(|| data.clone(), |data| bridged.step(data), BatchSize::PerIteration);
        });
        group.bench_function("direct", |bencher| {
            bencher.iter_batched(
                || bridged.data.clone(),
                |data| direct.step(data),
                BatchSize::PerIteration,
            );
        });
        group.finish();
        let (with, without) = alternate(rounds, &mut bridged, &direct);
        let (mut bridged, direct) = both(loss, &Sizes::tiny(), &device);
        let (tiny_with, tiny_without) = alternate(if testing { 1 } else { TINY_ROUNDS }, &mut bridged, &direct);
        let own = tiny_with - tiny_without;
        lines.push(format!(
            "{}: a step takes {with:.3} s through the plugin, {without:.3} s direct: {:+.2} % (medians of {rounds}, by turns). \
             The bridge itself, from a tiny network: {:+.0} us a step, {:+.4} %",
            loss.plugin(),
            (with / without - 1.0) * 100.0,
            own * 1e6,
            own / without * 100.0,
        ));
    }
    criterion.final_summary();
    for line in lines {
        println!("{line}");
    }
}
