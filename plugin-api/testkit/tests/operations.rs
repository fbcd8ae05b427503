//! Every operation of the contract's table, asked by a source and compared with numbers known otherwise.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use sextant_plugin_api::abi::OPERATIONS;
use sextant_plugin_api::{
    Buffer, Condition, Convolution, DType, Distribution, Error, Geometry, Guidance, GuidanceSource, Init,
    Interpolation, Network, PathKind, Plan, PredictionKind, Resize, Step, Tensor, describe_guidance,
};
use sextant_plugin_testkit::{Bench, Inputs, Outcome, Path, strategy};

/// One group of operations on small matrices; what came of it is a buffer.
struct Calculator(String);

impl GuidanceSource for Calculator {
    type Config = std::collections::BTreeMap<String, String>;

    fn new(config: Self::Config) -> Result<Self, Error> {
        config.get("script").cloned().map(Self).ok_or("no script".into())
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        let length = match self.0.as_str() {
            "services" => 10,
            "elements" => 12,
            _ => 6,
        };
        Ok(Plan::new()
            .teacher(2)
            .teacher_output()
            .ema(1)
            .buffer(Buffer::new("result", [length], Init::ZEROS)))
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let result = script(&self.0, step)?;
        let length = result.shape().iter().product::<usize>();
        Ok(Guidance::new(step.zeros_per_sample()).buffer("result", result.reshape([length])))
    }
}

describe_guidance!(Calculator, name = "calculator");

fn script(name: &str, step: &Step) -> Result<Tensor, Error> {
    // [[1, 2, 3], [4, 5, 6]] and [[2, 2, 2], [5, 5, 5]].
    let a = step.upload(&[1f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    let b = step.upload(&[2f32, 5.0], [2, 1]).expand([2, 3]);
    let floats = |mask: Tensor| mask.cast(DType::F32);
    let plane = || a.clone().reshape([1, 1, 2, 3]);
    let resize = |mode, align_corners| Resize { mode, align_corners };
    Ok(match name {
        "arithmetic" => ((&a + &b) * &b - &a) / &b,
        "numbers" => ((a + 1.0) * 2.0).powf(2.0).clamp(17.0, 150.0),
        "elements" => {
            let half = || step.full([1], 0.5);
            let all = [
                -half(),
                half().exp(),
                half().log(),
                half().sqrt(),
                (-half()).abs(),
                half().sin(),
                half().cos(),
                half().tanh(),
                half().sigmoid(),
                (-half()).relu(),
                half().silu(),
                (-half()).floor(),
            ];
            Tensor::concat(all, 0)?
        }
        "error function" => {
            let x = step.upload(&[-3f32, -0.5, 0.0, 0.5, 2.0, 3.0], [6]);
            x.erf()
        }
        "gelu" => step.upload(&[-3f32, -0.5, 0.0, 0.5, 2.0, 3.0], [6]).gelu(),
        "masks" => {
            let (equal, below) = (a.equal(&b), a.lower(&b));
            let least = a.lower_equal(&b).and(below.or(equal));
            let most = a.greater_equal(&b).and(a.greater(&b).not());
            floats(least) * 10.0 + floats(most)
        }
        "choice" => a.greater(3.5).choose(&a, &b),
        "reductions" => {
            let parts = [
                a.clone().sum(&[1]),
                a.clone().mean(&[1]),
                a.clone().max(&[0, 1]).reshape([1]),
                a.min(&[0, 1]).reshape([1]),
            ];
            Tensor::concat(parts, 0)?
        }
        "indices" => {
            let ends = step.upload(&[3f32, 1.0, 3.0, 5.0, 1.0, 1.0], [2, 3]);
            let all = [
                ends.clone().argmin(1),
                ends.clone().argmax(1),
                // Integers, and the rows that they choose.
                a.clone()
                    .gather_by(0, ends.cast(DType::Int).argmax(0).slice(0, 0..1))
                    .cast(DType::Int)
                    .argmax(1),
                a.argmin(0).slice(0, 0..1),
            ];
            floats(Tensor::concat(all, 0)?)
        }
        "shapes" => {
            let column = a.clone().slice_every(1, 0..3, 2).permute([1, 0]).reshape([4]);
            Tensor::concat([column, step.zeros_per_sample()], 0)?.slice(0, 0..6)
        }
        "rows" => a.gather(0, &[1, 0, 1]).scatter(0, &[0, 0, 1], 2),
        "products" => a.matmul(b.transpose(0, 1)).linear(
            step.upload(&[1f32, 0.0, 0.0, 1.0, 1.0, 1.0], [3, 2]),
            Some(step.upload(&[0f32, 0.0, 1.0], [3])),
        ),
        "attention" => {
            // One key: whatever the logits, its value.
            let q = a.clone().reshape([1, 1, 3, 2]);
            let k = step.full([1, 1, 1, 2], 0.3);
            q.attention(k, step.upload(&[7f32, 8.0], [1, 1, 1, 2]), 0.5)
        }
        "layer norm" => a.layer_norm_affine(&step.full([3], 2.0), &step.full([3], 1.0), 0.0),
        "softmax" => a.clone().softmax(1) - a.log_softmax(1).exp() + b.log_softmax(0).exp(),
        "convolution" => {
            let sum = Convolution {
                padding: [1, 1],
                ..Convolution::default()
            };
            plane().conv2d(step.full([1, 1, 3, 3], 1.0), None, sum)
        }
        "nearest" => plane().interpolate(1, 6, resize(Interpolation::Nearest, false)),
        "bilinear" => plane().interpolate(3, 2, resize(Interpolation::Bilinear, true)),
        "bicubic" => step
            .upload(&[0f32, 1.0], [1, 1, 1, 2])
            .interpolate(1, 6, resize(Interpolation::Bicubic, false)),
        "copies" => {
            let numbers: Vec<i64> = a.detach().cast(DType::Int).download()?;
            step.upload(&numbers, [6]).cast(DType::F32)
        }
        "draws" => step.random("u", Distribution::Uniform, [3]) + step.random("n", Distribution::Normal, [3]) * 0.0,
        "services" => {
            let path = step.path_coefficients(step.t());
            let x_t = step.diffuse(step.x(), step.noise(), step.t());
            let taken = [1u32];
            let forward = |network, depth| {
                let (x_t, t) = (step.x_t().gather(0, &taken), step.t().gather(0, &taken));
                let features = step.forward(network, x_t, t, &[depth], &taken, &[Condition::Null])?;
                Ok::<_, Error>(features[0].clone().max(&[0, 1, 2]).reshape([1]))
            };
            let error = (x_t - step.x_t()).abs().max(&[0, 1, 2, 3]).reshape([1]);
            let (teacher, ema) = (forward(Network::Teacher, 2)?, forward(Network::Ema, 1)?);
            // The output, and a block on the way to it.
            let (x_t_1, t) = (step.x_t().gather(0, &taken), step.t().gather(0, &taken));
            let (output, mut way) =
                step.forward_output(Network::Teacher, &x_t_1, t, &[2], &taken, &[Condition::Null])?;
            if output.shape() != x_t_1.shape() {
                return Err(Error::new(format!("an output {:?}", output.shape())));
            }
            let output = output.max(&[0, 1, 2, 3]).reshape([1]);
            let way = way.remove(0).max(&[0, 1, 2]).reshape([1]);
            let slope = (path.d_alpha + path.d_sigma).slice(0, 0..1);
            Tensor::concat([path.alpha, path.sigma, slope, error, teacher, ema, output, way], 0)?
        }
        other => return Err(Error::new(format!("no script {other}"))),
    })
}

fn guide(script: &str) -> Outcome {
    let bench = Bench::new::<Calculator>(json!({ "script": script })).unwrap();
    let bench = bench.planned(&strategy::small()).unwrap();
    let network = |row: &sextant_plugin_testkit::Row<'_>| {
        let answer = row.depth.map_or(0.0, f64::from) * 100.0 + row.label as f64 + row.t;
        vec![answer; row.numbers()]
    };
    bench
        .guide(&bench.inputs(3, &[0.25, 0.5]).with_network(network))
        .unwrap()
}

/// Scripts, and what they come to.
fn scripts() -> Vec<(&'static str, Json)> {
    let e = std::f64::consts::E;
    let deviation = 1.5f64.sqrt();
    let sigmoid = 1.0 / (1.0 + 1.0 / e.sqrt());
    vec![
        ("arithmetic", json!([2.5, 3.0, 3.5, 8.2, 9.0, 9.8])),
        ("numbers", json!([17.0, 36.0, 64.0, 100.0, 144.0, 150.0])),
        ("elements", {
            let [minus, exp, log, sqrt] = [-0.5, e.sqrt(), -2f64.ln(), 0.5f64.sqrt()];
            let [sin, cos, tanh] = [0.5f64.sin(), 0.5f64.cos(), 0.5f64.tanh()];
            json!([
                minus,
                exp,
                log,
                sqrt,
                0.5,
                sin,
                cos,
                tanh,
                sigmoid,
                0.0,
                0.5 * sigmoid,
                -1.0
            ])
        }),
        // Abramowitz and Stegun, table 7.1.
        ("error function", {
            let [half, two, three] = [0.5204998778130465, 0.9953222650189527, 0.9999779095030014];
            json!([-three, -half, 0.0, half, two, three])
        }),
        ("gelu", {
            let [three, half] = [0.00404969409489031, 0.15426876936299344];
            json!([
                -three,
                -half,
                0.0,
                0.34573123063700656,
                1.9544997361036416,
                2.99595030590511
            ])
        }),
        ("masks", json!([10.0, 11.0, 0.0, 10.0, 11.0, 0.0])),
        ("choice", json!([2.0, 2.0, 2.0, 4.0, 5.0, 6.0])),
        ("reductions", json!([6.0, 15.0, 2.0, 5.0, 6.0, 1.0])),
        ("indices", json!([1.0, 1.0, 0.0, 0.0, 2.0, 0.0])),
        ("shapes", json!([1.0, 4.0, 3.0, 6.0, 0.0, 0.0])),
        ("rows", json!([5.0, 7.0, 9.0, 4.0, 5.0, 6.0])),
        // a b^T = [[12, 30], [30, 75]].
        ("products", json!([12.0, 30.0, 43.0, 30.0, 75.0, 106.0])),
        ("attention", json!([7.0, 8.0, 7.0, 8.0, 7.0, 8.0])),
        ("layer norm", {
            let (low, high) = (1.0 - 2.0 * deviation, 1.0 + 2.0 * deviation);
            json!([low, 1.0, high, low, 1.0, high])
        }),
        ("softmax", {
            let first = 1.0 / (1.0 + 3f64.exp());
            json!([first, first, first, 1.0 - first, 1.0 - first, 1.0 - first])
        }),
        ("convolution", json!([12.0, 21.0, 16.0, 12.0, 21.0, 16.0])),
        ("nearest", json!([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])),
        ("bilinear", json!([1.0, 3.0, 2.5, 4.5, 4.0, 6.0])),
        // Keys' kernel by hand: -0.111 at the distance 4/3, 0.370 at 2/3, -0.056 at 5/3.
        (
            "bicubic",
            json!([-1.0 / 9.0, 0.0, 17.0 / 54.0, 37.0 / 54.0, 1.0, 10.0 / 9.0]),
        ),
        ("copies", json!([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        (
            "services",
            json!([0.75, 0.5, 0.25, 0.5, 0.0, 0.0, 205.5, 105.5, 5.5, 205.5]),
        ),
    ]
}

#[test]
fn every_operation_of_the_table_is_there_and_right() {
    let mut asked: BTreeSet<u32> = guide("draws").asked.iter().map(|o| *o as u32).collect();
    for (name, expected) in scripts() {
        let outcome = guide(name);
        asked.extend(outcome.asked.iter().map(|o| *o as u32));
        let expected: Vec<f64> = serde_json::from_value(expected).unwrap();
        let found = &outcome.buffers["result"].data;
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "{name}: {found} instead of {expected}"
            );
        }
    }
    let missing: Vec<_> = OPERATIONS
        .iter()
        .filter(|row| !asked.contains(&row.code))
        .map(|row| row.name)
        .collect();
    assert!(missing.is_empty(), "no script asks for {missing:?}");
}

#[test]
fn a_step_lies_on_the_path_of_its_geometry() {
    let geometry = strategy::small().with_diffusion(PredictionKind::Noise, PathKind::Cosine);
    let bench = Bench::new::<Calculator>(json!({ "script": "draws" })).unwrap();
    let inputs = bench.planned(&geometry).unwrap().inputs(3, &[0.25]);
    assert_eq!(inputs.path, Path::Cosine);
    let [alpha, sigma, ..] = Path::Cosine.coefficients(0.25);
    let expected = alpha * inputs.x.data[0] + sigma * inputs.noise.data[0];
    assert!((inputs.x_t.data[0] - expected).abs() < 1e-12);
}

#[test]
fn draws_are_a_function_of_seed_instance_step_sample_and_tag() {
    let bench = Bench::new::<Calculator>(json!({ "script": "draws" })).unwrap();
    let bench = bench.planned(&strategy::small()).unwrap();
    let inputs = bench.inputs(3, &[0.1, 0.2]);
    let draw = |inputs| bench.guide(&inputs).unwrap().buffers["result"].data.clone();
    let base = draw(inputs.clone());
    assert!(base.iter().all(|v| (0.0..1.0).contains(v)));
    assert_eq!(draw(inputs.clone()), base);
    assert_eq!(
        draw(inputs.rows(&[1, 0])),
        [&base[3..], &base[..3]].concat(),
        "they follow the sample"
    );
    let changes: [fn(&mut Inputs); 3] = [
        |inputs| inputs.index += 1,
        |inputs| inputs.instance = "another".to_owned(),
        |inputs| inputs.seed += 1,
    ];
    for change in changes {
        let mut other = inputs.clone();
        change(&mut other);
        assert!(draw(other).iter().zip(&base).all(|(a, b)| a != b));
    }
}
