//! Sources, and what they are given.
//!
//! A shipped source has a projector. With the right weights each is the identity, so that its loss is the fixture's.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use sextant_model::{Sit, SitConfig, apply, collect, frozen_copy};
use sextant_tests::fixture::Fixture;
use sextant_tests::{device, floats};

use super::numbers::dims;

/// A source with what it is given. Gradients are taken to the first tap and to all attention.
pub struct Case {
    /// Name of the library.
    pub plugin: &'static str,
    /// Its keys.
    pub config: toml::Table,
    /// The student's tokens, by depth.
    pub taps: Vec<(usize, TensorData)>,
    /// The student's attention probabilities, by depth.
    pub attention: BTreeMap<usize, TensorData>,
    /// Batch fields.
    pub fields: BTreeMap<String, TensorData>,
    /// Weights of the projector.
    pub parameters: BTreeMap<String, TensorData>,
    /// Clean latents, and the student's input.
    pub x: TensorData,
    /// The moving average. With it all times are 0, at which its input is x.
    pub ema: Option<Sit>,
}

impl Case {
    /// On the fixture's features and latents.
    pub fn new(fixture: &Fixture, plugin: &'static str, config: toml::Table) -> Self {
        Self {
            plugin,
            config,
            taps: vec![(1, fixture.data("in.student"))],
            attention: BTreeMap::new(),
            fields: BTreeMap::new(),
            parameters: BTreeMap::new(),
            x: fixture.data("in.latents"),
            ema: None,
        }
    }

    /// The same with a batch field.
    pub fn field(mut self, name: &str, data: TensorData) -> Self {
        self.fields.insert(name.into(), data);
        self
    }

    /// A linear layer of the projector, row by row, without bias.
    fn layer(mut self, name: &str, shape: &[usize], weight: impl Fn(usize, usize) -> f32) -> Self {
        let [outputs, inputs] = shape[..2] else { unreachable!() };
        let field: usize = shape[2..].iter().product();
        // The middle of a kernel; of a linear layer its one element.
        let at = |i: usize| {
            if i % field == field / 2 {
                weight(i / field / inputs, i / field % inputs)
            } else {
                0.0
            }
        };
        let values: Vec<f32> = (0..outputs * inputs * field).map(at).collect();
        let named = |what: &str| format!("head.{name}{what}");
        self.parameters
            .insert(named("weight"), TensorData::new(values, shape.to_vec()));
        self.parameters
            .insert(named("bias"), TensorData::new(vec![0f32; outputs], [outputs]));
        self
    }
}

/// Linear, SiLU, Linear is the identity for the weights [I; -I] and [I, -I], since silu(a) - silu(-a) = a. `sign` has the
/// weights of all layers: where an output and an input are of one channel, whether they are of one half.
fn sign(width: usize, output: usize, input: usize) -> f32 {
    match (output % width == input % width, output / width == input / width) {
        (false, _) => 0.0,
        (true, true) => 1.0,
        (true, false) => -1.0,
    }
}

/// The shipped repa with `target` for the encoder's features.
pub fn repa(fixture: &Fixture, target: TensorData) -> Case {
    let [_, _, width] = dims(&target);
    let hidden = 2 * width;
    let config = toml::Table::from_iter([
        ("depth".to_owned(), 1.into()),
        ("projector_width".to_owned(), (hidden as i64).into()),
    ]);
    let weight = move |o, i| sign(width, o, i);
    Case::new(fixture, "repa", config)
        .field("features", target)
        .layer("0.", &[hidden, width], weight)
        .layer("2.", &[hidden, hidden], weight)
        .layer("4.", &[width, hidden], weight)
}

/// The shipped irepa.
pub fn irepa(fixture: &Fixture) -> Case {
    let target = fixture.data("in.target");
    let [_, _, width] = dims(&target);
    let config = toml::toml! { depth = 1 };
    let mut case =
        Case::new(fixture, "irepa", config)
            .field("features", target)
            .layer("", &[width, width, 3, 3], |o, i| f32::from(o == i));
    case.config.insert("alpha".into(), fixture.number("irepa_alpha").into());
    case
}

/// The shipped layersync, its deeper tokens the target.
pub fn layersync(fixture: &Fixture) -> Case {
    let config = toml::toml! { depth = 1 target_depth = 2 };
    let mut case = Case::new(fixture, "layersync", config);
    case.taps.push((2, fixture.data("in.target")));
    case
}

/// The shipped dispersive.
pub fn dispersive(fixture: &Fixture) -> Case {
    let mut case = Case::new(fixture, "dispersive", toml::toml! { depth = 1 });
    case.config
        .insert("tau".into(), fixture.number("dispersive_tau").into());
    case
}

/// sra without noise: a moving average whose tokens are the patches of its input, and an image whose patches are the target.
pub fn sra(fixture: &Fixture, loss: &str) -> Case {
    let target = fixture.data("in.target");
    let [batch, tokens, width] = dims(&target);
    let (hidden, weight) = (2 * width, move |o, i| sign(width, o, i));
    let config = toml::toml! { student_depth = 1 teacher_depth = 1 shift = 0.0 };
    let mut case = Case::new(fixture, "sra", config)
        .layer("0.", &[hidden, width], weight)
        .layer("2.", &[width, hidden], weight);
    case.config.insert("loss".into(), loss.into());
    case.config
        .insert("beta".into(), fixture.number("smooth_l1_beta").into());

    let patch = fixture.geometry(true).patch_size;
    let channels = width / (patch * patch);
    let model = SitConfig {
        in_channels: channels,
        ..fixture.geometry(true)
    };
    case.ema = Some(patches_as_tokens(&model));
    let (grid, side) = (model.grid(), model.input_size);
    assert_eq!(grid * grid, tokens);
    let mut image = vec![0f32; batch * channels * side * side];
    for (at, value) in floats(&target).into_iter().enumerate() {
        let (sample, token, element) = (at / width / tokens, at / width % tokens, at % width);
        let (channel, i, j) = (element / patch / patch, element / patch % patch, element % patch);
        let (row, column) = (token / grid * patch + i, token % grid * patch + j);
        image[((sample * channels + channel) * side + row) * side + column] = value;
    }
    case.x = TensorData::new(image, [batch, channels, side, side]);
    case
}

/// A fresh network, whose blocks do nothing, without positions, its patch embedding the identity.
fn patches_as_tokens(model: &SitConfig) -> Sit {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let network = Sit::init(model, &mut rng, &device()).unwrap();
    let mut weights = collect(&network);
    for (name, data) in &mut weights {
        let identity = name == "x_embedder.proj.weight";
        if identity || name == "x_embedder.proj.bias" || name == "pos_embed" {
            let width = model.hidden_size;
            let value = |i: usize| f32::from(identity && i / width == i % width);
            let values: Vec<f32> = (0..data.num_elements()).map(value).collect();
            *data = TensorData::new(values, data.shape().to_vec());
        }
    }
    frozen_copy(&apply(network, &weights).unwrap())
}

/// A loss of `test-parts`.
pub fn parts(fixture: &Fixture, part: &str, mask: &str) -> Case {
    let s = &fixture.settings;
    let mut config = toml::Table::new();
    config.insert("part".into(), part.into());
    config.insert("mask".into(), mask.into());
    for (key, value) in [
        ("t_min", s["t_range"][0].as_f64()),
        ("t_max", s["t_range"][1].as_f64()),
        ("scale", s["cfg_scale"].as_f64()),
    ] {
        config.insert(key.into(), value.unwrap().into());
    }
    Case::new(fixture, "test-parts", config)
        .field("target", fixture.data("in.target"))
        .field("target_uncond", fixture.data("in.target_uncond"))
}
