//! One call of a loaded source.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData};
use sextant_guidance::{GuidanceGeometry, GuidanceStep, NetworkShape, Services, Sources};
use sextant_model::TrainBatch;
use sextant_model::diffusion::{Path, Prediction};
use sextant_recipe::{Precision, SourceConfig};
use sextant_records::TeacherCounters;
use sextant_tests::fixture::Fixture;
use sextant_tests::{device, floats, plugins};

use super::case::Case;

/// The answer of a source.
pub struct Found {
    /// Loss per sample.
    pub loss: Vec<f32>,
    /// Gradient of its mean to the first tap.
    pub grad: Vec<f32>,
    /// Gradients of its mean to all attention, by depth.
    pub attention: Vec<Vec<f32>>,
}

/// Loss per sample, and the gradients of its mean.
pub fn guide(fixture: &Fixture, case: Case) -> Found {
    let device = device();
    let source = SourceConfig {
        name: Some("head".into()),
        config: case.config.clone(),
        ..SourceConfig::new(case.plugin)
    };
    let mut sources = Sources::load(&[source], &plugins(), &geometry(fixture, &case)).unwrap();
    let params = sources.init_parameters(0, &device.clone().autodiff());
    let params = params.load_named(&case.parameters).unwrap();
    let buffers = sources.init_buffers(0, &device);
    let taps = case.taps.iter().map(|(depth, data)| {
        let tap = Tensor::<3>::from_data(data.clone(), &device).autodiff();
        (*depth, tap.require_grad())
    });
    let taps: BTreeMap<usize, Tensor<3>> = taps.collect();
    let attention = case.attention.into_iter().map(|(depth, data)| {
        let map = Tensor::<4>::from_data(data, &device).autodiff();
        (depth, map.require_grad())
    });
    let attention: BTreeMap<usize, Tensor<4>> = attention.collect();
    let uploaded = case.fields.into_iter().map(|(name, data)| {
        let tensor = match data.shape().len() {
            3 => Tensor::<3>::from_data(data, &device).into_dispatch(),
            _ => Tensor::<5>::from_data(data, &device).into_dispatch(),
        };
        (name, tensor)
    });
    let x = Tensor::<4>::from_data(case.x, &device);
    // Without noise x_t is x, at whatever time.
    let t: Tensor<1> = fixture.tensor("in.t", &device);
    let t = if case.ema.is_some() { t * 0.0 } else { t };
    let times = floats(&t.clone().into_data());
    let labels = vec![0i64; times.len()];
    let label_tensor: Tensor<1, Int> = Tensor::from_data(TensorData::new(labels.clone(), [times.len()]), &device);
    let batch = TrainBatch {
        step: 0,
        x: x.clone(),
        noise: x.clone(),
        t,
        labels: label_tensor.clone(),
        dropped: label_tensor,
        pictures: None,
        fields: uploaded.collect(),
        ids: (0..times.len() as u64).collect(),
        times,
        label_values: labels.clone(),
        dropped_values: labels,
        share: 1.0,
    };
    let step = GuidanceStep {
        batch: &batch,
        x_t: &x,
        velocity: &x,
        taps: &taps,
        attention: &attention,
        output: None,
    };
    let services = Services {
        teacher: None,
        ema: case.ema.as_ref(),
        path: Path::Linear,
        seed: 0,
        null_class: 0,
        precision: Precision::F32,
        pad_rows: false,
        counters: &mut TeacherCounters::default(),
    };
    let losses = sources.guide(step, &params, &buffers, services).unwrap();
    let loss = losses[0].loss.clone();
    let grads = loss.clone().mean().backward();
    let grad = taps[&case.taps[0].0]
        .grad(&grads)
        .expect("the loss depends on the features");
    for (depth, _) in &case.taps[1..] {
        assert!(taps[depth].grad(&grads).is_none(), "a gradient reaches the target");
    }
    let attention = attention
        .values()
        .map(|map| map.grad(&grads).expect("the loss depends on attention"));
    Found {
        loss: floats(&loss.into_data()),
        grad: floats(&grad.into_data()),
        attention: attention.map(|grad| floats(&grad.into_data())).collect(),
    }
}

fn geometry(fixture: &Fixture, case: &Case) -> GuidanceGeometry {
    let model = fixture.geometry(true);
    let network = NetworkShape {
        depth: model.depth,
        width: model.hidden_size,
        heads: model.num_heads,
        grid: [model.grid(); 2],
    };
    GuidanceGeometry {
        batch: fixture.number("batch") as usize,
        channels: case.x.shape()[1],
        height: model.input_size,
        width: model.input_size,
        patch: model.patch_size,
        classes: model.num_classes,
        prediction: Prediction::Velocity,
        path: Path::Linear,
        student: network,
        teacher: None,
        ema: network,
        fields: case
            .fields
            .iter()
            .map(|(name, data)| (name.clone(), data.shape()[1..].to_vec()))
            .collect(),
    }
}
