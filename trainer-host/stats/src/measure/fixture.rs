//! Shared by this folder's tests: the referee's features, and planted ones.

use proptest::test_runner::{Config, RngSeed};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use safetensors::SafeTensors;

use super::Features;

/// Features and values that NumPy and SciPy computed.
pub struct Referee {
    /// `[500, 16]`
    pub a: Features,
    /// `[400, 16]`
    pub b: Features,
    /// `[500, 12]`
    pub y: Features,
    values: serde_json::Value,
}

impl Referee {
    /// Reads the fixture `metrics`.
    pub fn read() -> Self {
        let bytes = include_bytes!("../../../../tests/fixtures/metrics.safetensors");
        let file = SafeTensors::deserialize(bytes).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let features = |name: &str| {
            let tensor = file.tensor(name).unwrap();
            let values = tensor
                .data()
                .chunks_exact(8)
                .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()));
            Features::new(values.collect(), tensor.shape()[1]).unwrap()
        };
        Self {
            a: features("a"),
            b: features("b"),
            y: features("y"),
            values: serde_json::from_str(&metadata.metadata().as_ref().unwrap()["json"]).unwrap(),
        }
    }

    /// A value of the metadata.
    pub fn value(&self, key: &str) -> f64 {
        self.values[key].as_f64().unwrap()
    }
}

/// Settings of proptest under which a run repeats, and leaves no file behind. `PROPTEST_CASES` asks for more cases.
pub fn repeatable(cases: u32) -> Config {
    Config {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(cases),
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Config::default()
    }
}

/// A stream of draws that is the same everywhere.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// Named by a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform on (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// `[rows, width]`, each value normal around `mean`.
    pub fn gaussian(&mut self, rows: usize, width: usize, mean: f64) -> Features {
        let values = (0..rows * width).map(|_| mean + self.normal()).collect();
        Features::new(values, width).unwrap()
    }

    /// A rotation `[width, width]`, row-major: a product of plane rotations by random angles.
    pub fn rotation(&mut self, width: usize) -> Vec<f64> {
        let mut matrix: Vec<f64> = (0..width * width)
            .map(|at| f64::from(u8::from(at % (width + 1) == 0)))
            .collect();
        for (p, q) in (0..width).flat_map(|p| (p + 1..width).map(move |q| (p, q))) {
            let (sin, cos) = (self.uniform() * std::f64::consts::TAU).sin_cos();
            for row in matrix.chunks_exact_mut(width) {
                (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
            }
        }
        matrix
    }
}

/// `scale * features * rotation + shift`.
pub fn moved(features: &Features, scale: f64, rotation: &[f64], shift: f64) -> Features {
    let width = features.width();
    let values = features.rows().flat_map(|row| {
        (0..width).map(move |column| {
            let turned: f64 = row
                .iter()
                .enumerate()
                .map(|(k, value)| value * rotation[k * width + column])
                .sum();
            scale * turned + shift
        })
    });
    Features::new(values.collect(), width).unwrap()
}

/// Both sets' rows, the first set's first.
pub fn joined(first: &Features, second: &Features) -> Features {
    Features::new([first.values(), second.values()].concat(), first.width()).unwrap()
}

/// The rows in the opposite order.
pub fn reversed(features: &Features) -> Features {
    features.select(&(0..features.len()).rev().collect::<Vec<_>>())
}

/// Panics unless two numbers agree to `tolerance`, relative to the larger or to 1.
#[track_caller]
pub fn assert_close(left: f64, right: f64, tolerance: f64) {
    let scale = left.abs().max(right.abs()).max(1.0);
    assert!(
        (left - right).abs() <= tolerance * scale,
        "{left} and {right} differ by {:e}",
        left - right
    );
}
