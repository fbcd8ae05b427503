//! The network against PyTorch: outputs, gradients, position table, initialisation, names.

use sextant_tests::fixture;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use sextant_model::network::naming::ModulePath;
use sextant_model::{Sit, apply, collect, read_safetensors, write_safetensors};
use sextant_tests::device;
use sextant_tests::fixture::{Fixture, max_abs_error};

const TOLERANCE: f64 = 1e-4;

fn load(fixture: &Fixture, device: &Device) -> Sit {
    let mut rng = ChaCha12Rng::seed_from_u64(0);
    let sit = Sit::init(&fixture.geometry(true), &mut rng, device).unwrap();
    apply(sit, &fixture.group("model", "projectors")).unwrap()
}

/// The gradient of every trained parameter, by published name.
fn gradients(sit: &Sit, gradients: &Gradients) -> BTreeMap<String, TensorData> {
    struct Reader<'a> {
        path: ModulePath,
        gradients: &'a Gradients,
        found: BTreeMap<String, TensorData>,
    }
    impl ModuleVisitor for Reader<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                self.found.insert(self.path.name(), gradient.into_data());
            }
        }
    }
    let mut reader = Reader {
        path: ModulePath::default(),
        gradients,
        found: BTreeMap::new(),
    };
    sit.visit(&mut reader);
    reader.found
}

/// Outputs with autodiff (`device` has it) or without.
fn check_outputs(fixture: &Fixture, device: &Device) -> f64 {
    let sit = load(fixture, device);
    let depth = sit.config().depth;
    let (x, t) = (fixture.tensor("in.x", device), fixture.tensor("in.t", device));
    let y = fixture.labels("in.y", device);
    // Out of order and with a repeat: taps come as asked.
    let taps: Vec<usize> = (1..=depth).rev().chain([1]).collect();
    let output = sit.forward(x.clone(), t.clone(), y.clone(), &taps);
    let mut worst = max_abs_error(&output.output.into_data(), &fixture.data("out.velocity"));
    for (tap, depth) in output.taps.into_iter().zip(&taps) {
        let wanted = fixture.data(&format!("out.block.{depth}"));
        worst = worst.max(max_abs_error(&tap.into_data(), &wanted));
    }
    let features = sit.features(x, t, y, &[2, 1]);
    for (tokens, depth) in features.into_iter().zip([2, 1]) {
        let wanted = fixture.data(&format!("out.block.{depth}"));
        worst = worst.max(max_abs_error(&tokens.into_data(), &wanted));
    }
    worst
}

#[test]
fn should_compute_what_pytorch_computes() {
    for fixture in fixture::all("sit_forward") {
        for (mode, device) in [("plain", device()), ("autodiff", device().autodiff())] {
            let worst = check_outputs(&fixture, &device);
            println!("{}: {mode} outputs within {worst:.1e}", fixture.name);
            assert!(worst <= TOLERANCE, "{}: {mode} outputs off by {worst}", fixture.name);
        }
    }
}

#[test]
fn should_have_pytorchs_gradients() {
    for fixture in fixture::all("sit_forward") {
        let device = device().autodiff();
        let sit = load(&fixture, &device);
        let (x, t) = (fixture.tensor("in.x", &device), fixture.tensor("in.t", &device));
        let output = sit.forward(x, t, fixture.labels("in.y", &device), &[]);
        let found = gradients(&sit, &output.output.square().mean().backward());
        let wanted = fixture.group("grad", "projectors");
        let names = |map: &BTreeMap<String, TensorData>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&wanted), "{}", fixture.name);
        let mut worst = 0f64;
        for (name, wanted) in &wanted {
            let error = max_abs_error(&found[name], wanted);
            assert!(
                error <= TOLERANCE,
                "{}: gradient of {name} off by {error}",
                fixture.name
            );
            worst = worst.max(error);
        }
        println!("{}: gradients within {worst:.1e}", fixture.name);
    }
}

#[test]
fn should_have_the_published_position_table() {
    for fixture in fixture::all("sit_pos_embed") {
        let sit = Sit::init(
            &fixture.geometry(true),
            &mut ChaCha12Rng::seed_from_u64(0),
            &Device::flex(),
        )
        .unwrap();
        let worst = max_abs_error(&collect(&sit)["pos_embed"], &fixture.data("pos_embed"));
        println!("{}: within {worst:.1e}", fixture.name);
        assert!(worst <= 1e-6, "{}: off by {worst}", fixture.name);
    }
}

#[test]
fn should_start_with_the_published_statistics() {
    for fixture in fixture::all("sit_init_stats") {
        let sit = Sit::init(
            &fixture.geometry(true),
            &mut ChaCha12Rng::seed_from_u64(11),
            &Device::flex(),
        )
        .unwrap();
        let found = collect(&sit);
        let wanted = fixture
            .tensors
            .iter()
            .filter(|(name, _)| !name.starts_with("projectors"));
        assert_eq!(found.len(), wanted.clone().count(), "{}: parameters", fixture.name);
        let mut worst = 0f64;
        for (name, wanted) in wanted {
            let wanted: Vec<f64> = wanted.iter::<f64>().collect();
            let values: Vec<f64> = found[name].iter::<f64>().collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
            // Five standard errors of the difference of two draws; constants must agree exactly.
            let standard_error = wanted[1] * (2.0 / count).sqrt();
            let error = (mean - wanted[0]).abs().max((std - wanted[1]).abs());
            assert!(
                error <= 5.0 * standard_error + 1e-7,
                "{name}: mean {mean}, std {std}, PyTorch has {wanted:?}"
            );
            // A uniform law shows its bound, a normal one does not.
            let most = fixture::max_abs(values.into_iter());
            let normal = name.starts_with("t_embedder") || name.starts_with("y_embedder");
            let slack = if normal { 0.4 } else { 0.05 };
            assert!(
                (most - wanted[2]).abs() <= slack * wanted[2] + 1e-7,
                "{name}: largest {most}, PyTorch has {wanted:?}"
            );
            if standard_error > 0.0 {
                worst = worst.max(error / standard_error);
            }
        }
        println!("{}: within {worst:.1} standard errors", fixture.name);
    }
}

#[test]
fn should_save_and_load_by_published_name() {
    for fixture in fixture::all("sit_forward") {
        let folder = std::env::temp_dir().join(format!("sextant-parity-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(&fixture.name);
        let sit = load(&fixture, &Device::flex());
        write_safetensors(&path, &collect(&sit), &BTreeMap::new()).unwrap();
        let read = read_safetensors(&path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read, fixture.group("model", "projectors"), "{}", fixture.name);
        println!("{}: {} parameters come back bit for bit", fixture.name, read.len());
    }
}
