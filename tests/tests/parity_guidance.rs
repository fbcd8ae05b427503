//! Losses and their gradients on given features against PyTorch, through a loaded library.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use sextant::diffusion::Path;
use sextant::guidance::{
    GuidanceGeometry, GuidanceStep, NetworkShape, Services, SourceConfig, Sources, TeacherCounters,
};
use sextant_tests::fixture::{self, Fixture};
use sextant_tests::{device, floats, plugins};

#[test]
fn losses_and_gradients_are_pytorchs() {
    for fixture in fixture::all("guidance_losses") {
        for (part, key) in [
            ("repa", "repa"),
            ("layersync", "layersync"),
            ("self-transcendence", "self_transcendence"),
            ("self-transcendence", "self_transcendence_released"),
            ("smooth-l1", "sra_smooth_l1"),
            ("dispersive", "dispersive"),
        ] {
            let mask = if key.ends_with("released") {
                "released"
            } else {
                "sample"
            };
            let (loss, grad) = guide(&fixture, part, mask, fixture.data("in.target"));
            let worst = [(loss, "per_sample"), (grad, "grad")].map(|(found, what)| {
                let error = relative(&found, &fixture.values(&format!("{key}.{what}")));
                assert!(error <= 1e-5, "{}: {key}.{what} is off by {error:.1e}", fixture.name);
                error
            });
            println!(
                "{}: {key} within {:.1e}, gradient {:.1e} (relative)",
                fixture.name, worst[0], worst[1]
            );
        }
    }
}

/// The sum of the patches weighted by a field has that field's patches as gradient; here it is compared as a value, with the
/// fixture's own patches as weights: only the right order of elements gives the sum of their squares.
#[test]
fn patches_are_in_pytorchs_order() {
    for fixture in fixture::all("guidance_losses") {
        let wanted: Vec<f32> = fixture.values("patchify");
        let batch = fixture.number("batch") as usize;
        let squares: Vec<f32> = wanted
            .chunks(wanted.len() / batch)
            .map(|p| p.iter().map(|v| v * v).sum())
            .collect();
        let (loss, _) = guide(&fixture, "patchify", "sample", fixture.data("patchify"));
        let error = relative(&loss, &squares);
        println!("{}: patches within {error:.1e}", fixture.name);
        assert!(error <= 1e-5, "{}: patches are in another order", fixture.name);
    }
}

/// The alignment to iREPA's target equals that to the fixture's normalised target.
#[test]
fn the_spatially_normalised_target_is_pytorchs() {
    for fixture in fixture::all("guidance_losses") {
        let (found, _) = guide(&fixture, "irepa", "sample", fixture.data("in.target"));
        let (wanted, _) = guide(&fixture, "repa", "sample", fixture.data("irepa_spatial_norm.target"));
        assert!(
            relative(&found, &wanted) <= 1e-5,
            "{}: {found:?} {wanted:?}",
            fixture.name
        );
    }
}

/// Loss per sample, and the gradient of its mean to the student's features.
fn guide(fixture: &Fixture, part: &str, mask: &str, target: TensorData) -> (Vec<f32>, Vec<f32>) {
    let device = device();
    let s = &fixture.settings;
    let config: toml::Table = toml::toml! { part = "x" mask = "sample" };
    let mut config = config;
    config.insert("part".into(), part.into());
    config.insert("mask".into(), mask.into());
    for (key, value) in [
        ("t_min", s["t_range"][0].as_f64()),
        ("t_max", s["t_range"][1].as_f64()),
        ("scale", s["cfg_scale"].as_f64()),
        ("beta", s["smooth_l1_beta"].as_f64()),
        ("tau", s["dispersive_tau"].as_f64()),
        ("alpha", s["irepa_alpha"].as_f64()),
    ] {
        config.insert(key.into(), value.unwrap().into());
    }
    let source = SourceConfig {
        config,
        ..SourceConfig::new("test-parts")
    };
    let fields: BTreeMap<String, TensorData> = BTreeMap::from([
        ("target".to_owned(), target),
        ("target_uncond".to_owned(), fixture.data("in.target_uncond")),
    ]);
    let mut sources = Sources::load(&[source], &plugins(), &geometry(fixture, &fields)).unwrap();
    let (params, buffers) = (
        sources.init_parameters(0, &device.clone().autodiff()),
        sources.init_buffers(0, &device),
    );
    let student: Tensor<3> = fixture.tensor("in.student", &device);
    let student = student.autodiff().require_grad();
    let x: Tensor<4> = fixture.tensor("in.latents", &device);
    let t: Tensor<1> = fixture.tensor("in.t", &device);
    let times: Vec<f32> = fixture.values("in.t");
    let labels = vec![0i64; times.len()];
    let label_tensor = Tensor::from_data(TensorData::new(labels.clone(), [times.len()]), &device);
    let uploaded = fields
        .into_iter()
        .map(|(name, data)| (name, Tensor::<3>::from_data(data, &device).into_dispatch()))
        .collect();
    let losses = sources
        .guide(
            GuidanceStep {
                index: 0,
                x: &x,
                noise: &x,
                x_t: &x,
                t: &t,
                velocity: &x,
                labels: &label_tensor,
                dropped: &label_tensor,
                taps: &BTreeMap::from([(1, student.clone())]),
                attention: &BTreeMap::new(),
                output: None,
                fields: &uploaded,
                ids: &(0..times.len() as u64).collect::<Vec<_>>(),
                times: &times,
                label_values: &labels,
                dropped_values: &labels,
            },
            &params,
            &buffers,
            Services {
                teacher: None,
                ema: None,
                path: Path::Linear,
                seed: 0,
                null_class: 0,
                pad_rows: false,
                counters: &mut TeacherCounters::default(),
            },
        )
        .unwrap();
    let loss = losses[0].loss.clone();
    let grads = loss.clone().mean().backward();
    let grad = student.grad(&grads).expect("the loss depends on the features");
    (floats(&loss.into_data()), floats(&grad.into_data()))
}

fn geometry(fixture: &Fixture, fields: &BTreeMap<String, TensorData>) -> GuidanceGeometry {
    let model = fixture.geometry(true);
    let network = NetworkShape {
        depth: model.depth,
        width: model.hidden_size,
        heads: model.num_heads,
        grid: [model.grid(); 2],
    };
    GuidanceGeometry {
        batch: fixture.number("batch") as usize,
        channels: model.in_channels,
        height: model.input_size,
        width: model.input_size,
        patch: model.patch_size,
        classes: model.num_classes,
        student: network,
        teacher: None,
        ema: network,
        fields: fields
            .iter()
            .map(|(name, data)| (name.clone(), data.shape()[1..].to_vec()))
            .collect(),
    }
}

/// Norm of the difference over the norm of what is wanted.
fn relative(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let off = square(&mut found.iter().zip(wanted).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    (off / square(&mut wanted.iter().map(|v| f64::from(*v))).max(f64::MIN_POSITIVE)).sqrt()
}
