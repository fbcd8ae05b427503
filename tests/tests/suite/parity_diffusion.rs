//! Interpolants, scores and samplers against PyTorch.

use sextant_tests::fixture;

use burn::tensor::{Int, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use sextant_model::diffusion::sampler::{Latents, StepNoise};
use sextant_model::diffusion::score::score_from_velocity;
use sextant_model::diffusion::{Interpolant, Path, Prediction, Sampler, SamplerConfig, SamplerMethod};
use sextant_model::{Sit, apply};
use sextant_tests::fixture::{Fixture, max_abs, max_abs_error};

#[test]
fn should_interpolate_and_score_as_pytorch_does() {
    let device = sextant_tests::device();
    for fixture in fixture::all("interpolant") {
        let x: Tensor<4> = fixture.tensor("in.x", &device);
        let n: Tensor<4> = fixture.tensor("in.noise", &device);
        let t: Vec<f32> = fixture.values("in.t");
        for (name, path) in [("linear", Path::Linear), ("cosine", Path::Cosine)] {
            let (x_t, v) = path.interpolate(x.clone(), n.clone(), &t);
            let score = score_from_velocity(path, v.clone(), x_t.clone(), &t);
            for (what, found) in [("x_t", x_t), ("velocity", v)] {
                let error = max_abs_error(&found.into_data(), &fixture.data(&format!("{name}.{what}")));
                println!("{}: {name} {what} within {error:.1e}", fixture.name);
                assert!(error <= 1e-5, "{}: {name} {what} off by {error}", fixture.name);
            }
            // Relative, since the score grows as 1 / sigma towards data, and PyTorch's f32 divides two small numbers there.
            let wanted = fixture.values::<f64>(&format!("{name}.score_from_velocity"));
            let found = score.into_data();
            let error = max_abs(found.iter::<f64>().zip(wanted).map(|(a, b)| (a - b) / (1.0 + b.abs())));
            println!("{}: {name} score within {error:.1e}, relative", fixture.name);
            assert!(error <= 1e-4, "{}: {name} score off by {error}", fixture.name);
        }
    }
}

/// The draws that the fixture's SDE made.
struct Recorded(Vec<f64>);

impl StepNoise for Recorded {
    fn draw(&mut self, step: usize, shape: [usize; 4]) -> Vec<f64> {
        let count: usize = shape.iter().product();
        self.0[step * count..(step + 1) * count].to_vec()
    }
}

/// Method, scale and interval of an output by its name, from the sentence in the metadata `sampler_settings`:
/// `NAME: scale S [inside [LOW, HIGH]]; …`, where `*_SUFFIX` covers what is not named in full.
fn settings(fixture: &Fixture, output: &str) -> SamplerConfig {
    let method = match output.split('_').next().unwrap() {
        "euler" => SamplerMethod::Euler,
        "heun" => SamplerMethod::Heun,
        "sde" => SamplerMethod::Sde,
        other => panic!("{}: unknown sampler {other}", fixture.name),
    };
    let mut config = SamplerConfig {
        method,
        steps: fixture.number("num_steps") as usize,
        ..Default::default()
    };
    if !output.contains("cfg") {
        return config;
    }
    let sentence = fixture.settings["sampler_settings"].as_str().unwrap();
    let clauses: Vec<(&str, &str)> = sentence
        .split(';')
        .filter_map(|clause| clause.trim().split_once(": "))
        .collect();
    let exact = clauses.iter().find(|(name, _)| *name == output);
    let suffix = |name: &str| name.strip_prefix('*').is_some_and(|suffix| output.ends_with(suffix));
    let (_, clause) = exact
        .or_else(|| clauses.iter().find(|(name, _)| suffix(name)))
        .unwrap_or_else(|| panic!("{}: no settings for {output}", fixture.name));
    let numbers: Vec<f64> = clause
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .filter_map(|word| word.parse().ok())
        .collect();
    config.cfg_scale = numbers[0];
    if let [_, low, high] = numbers[..] {
        (config.guidance_low, config.guidance_high) = (low, high);
    }
    config
}

#[test]
fn should_sample_what_pytorch_samples() {
    let device = sextant_tests::device();
    for fixture in fixture::all("samplers") {
        let sit = Sit::init(&fixture.geometry(true), &mut ChaCha12Rng::seed_from_u64(0), &device).unwrap();
        let sit = apply(sit, &fixture.group("model", "projectors")).unwrap();
        let network = |x: Tensor<4>, t: Tensor<1>, y: Tensor<1, Int>| sit.forward(x, t, y, &[]).output;
        let labels: Vec<usize> = fixture.values::<i64>("in.y").into_iter().map(|y| y as usize).collect();
        let path: Path = serde_json::from_value(fixture.settings["path"].clone()).unwrap();
        for output in fixture.group("out", "").keys() {
            let sampler = Sampler {
                config: settings(&fixture, output),
                path,
                prediction: Prediction::Velocity,
                null_class: fixture.number("null_class") as usize,
            };
            let start = Latents::from_tensor(fixture.tensor("in.noise", &device));
            let draws = format!("noise.{output}");
            let mut noise = Recorded(match fixture.tensors.contains_key(&draws) {
                true => fixture.values(&draws),
                false => Vec::new(),
            });
            let found = sampler.sample(network, start, &labels, &mut noise, &device).unwrap();
            let wanted = fixture.values::<f64>(&format!("out.{output}"));
            let error = max_abs(found.values.iter().zip(wanted).map(|(a, b)| a - b));
            println!("{}: {output} within {error:.1e}", fixture.name);
            assert!(
                error <= 1e-3,
                "{}: {output} off by {error} with {:?}",
                fixture.name,
                sampler.config
            );
        }
    }
}
