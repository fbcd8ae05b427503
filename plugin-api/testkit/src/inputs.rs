//! Inputs of a step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sextant_plugin_api::{Condition, DType, Distribution, Geometry, Init, Network, PathKind};

use crate::Value;
use crate::declared::{BufferDeclared, Declared, ParameterDeclared, Tap};
use crate::draw::Draws;

/// One row that a source gives to the teacher or the moving average.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The network.
    pub network: Network,
    /// The depth of the block that is read; none where it is the output.
    pub depth: Option<u32>,
    /// Number of its sample in the batch.
    pub sample: usize,
    /// Its condition, as it was asked.
    pub condition: Condition,
    /// The label that the condition comes to; the number of classes for none.
    pub label: i64,
    /// Its input, `[C, H, W]`.
    pub x_t: &'a [f64],
    /// Its time.
    pub t: f64,
    /// The network's tokens T.
    pub tokens: usize,
    /// Their width D.
    pub width: usize,
}

impl Row<'_> {
    /// Length of the answer: T * D for a block, C * H * W for the output.
    pub fn numbers(&self) -> usize {
        match self.depth {
            Some(_) => self.tokens * self.width,
            None => self.x_t.len(),
        }
    }
}

/// A function that answers for a network: the [`Row::numbers`] of a row.
pub(crate) type Answer = Arc<dyn Fn(&Row<'_>) -> Vec<f64> + Send + Sync>;

/// The diffusion path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// x_t = (1 - t) x + t n.
    #[default]
    Linear,
    /// x_t = cos(pi t / 2) x + sin(pi t / 2) n.
    Cosine,
}

impl Path {
    /// alpha, sigma and their derivatives at a time.
    pub fn coefficients(self, t: f64) -> [f64; 4] {
        use std::f64::consts::FRAC_PI_2;
        let (sin, cos) = (t * FRAC_PI_2).sin_cos();
        match self {
            Self::Linear => [1.0 - t, t, -1.0, 1.0],
            Self::Cosine => [cos, sin, -FRAC_PI_2 * sin, FRAC_PI_2 * cos],
        }
    }

    /// `alpha x + sigma n`, or with the derivatives; `t` has one number a row.
    pub(crate) fn mix(self, x: &Value, n: &Value, t: &[f64], derivative: bool) -> Value {
        let width = x.data.len().checked_div(t.len()).unwrap_or(0).max(1);
        let mut mixed = x.clone();
        for (place, value) in mixed.data.iter_mut().enumerate() {
            let [alpha, sigma, d_alpha, d_sigma] = self.coefficients(t[place / width]);
            let (a, s) = if derivative { (d_alpha, d_sigma) } else { (alpha, sigma) };
            *value = a * *value + s * n.data[place];
        }
        mixed
    }
}

/// Everything that a step hands over. Made by [`crate::Bench::inputs`], then changed where a test needs something else.
/// Every number of a sample is a function of (seed, sample id), so [`Self::rows`] permutes, splits and repeats a batch.
#[derive(Clone)]
pub struct Inputs {
    /// Seed of the run.
    pub seed: u64,
    /// Name of the instance.
    pub instance: String,
    /// The optimiser step.
    pub index: u64,
    /// Identities of the samples.
    pub ids: Vec<u64>,
    /// Times.
    pub times: Vec<f32>,
    /// Labels before dropout.
    pub labels: Vec<i64>,
    /// Labels after dropout.
    pub dropped: Vec<i64>,
    /// The path, for `diffuse` and the coefficients.
    pub path: Path,
    /// Clean latents `[B, C, H, W]`.
    pub x: Value,
    /// Noise.
    pub noise: Value,
    /// The student's input.
    pub x_t: Value,
    /// The velocity.
    pub velocity: Value,
    /// The student's taps.
    pub taps: BTreeMap<Tap, Value>,
    /// Batch fields.
    pub fields: BTreeMap<String, Value>,
    /// Parameters.
    pub parameters: BTreeMap<String, Value>,
    /// Buffers.
    pub buffers: BTreeMap<String, Value>,
    pub(crate) network: Answer,
}

impl fmt::Debug for Inputs {
    /// The seed tells the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("seed", &self.seed)
            .field("ids", &self.ids)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// Features that depend smoothly on everything that a network is given.
fn smooth(row: &Row<'_>) -> Vec<f64> {
    let depth = row.depth.map_or(-1.0, f64::from);
    let phase = 1.3 * row.label as f64 + 2.1 * row.t + 0.7 * depth + 5.0 * f64::from(row.network as u32);
    let feature = |place: usize| (phase + 0.37 * place as f64 + row.x_t[place % row.x_t.len().max(1)]).sin();
    (0..row.numbers()).map(feature).collect()
}

impl Inputs {
    pub(crate) fn draw(geometry: &Geometry, plan: &Declared, seed: u64, times: &[f32]) -> Self {
        let ids: Vec<u64> = (0..times.len() as u64).map(|i| 100 + i).collect();
        let batch = |tag: &str, shape: &[usize]| {
            let count = shape.iter().product();
            let sample = |id: &u64| Draws::new(tag, &[seed, *id]).many(Distribution::Normal, count);
            Value::new(
                [&[ids.len()], shape].concat(),
                ids.iter().flat_map(sample).collect::<Vec<_>>(),
            )
        };
        let label = |id: &u64| (Draws::new("label", &[seed, *id]).bits() % geometry.classes.max(1) as u64) as i64;
        let labels: Vec<i64> = ids.iter().map(label).collect();
        let drop = |(id, label): (&u64, &i64)| match Draws::new("drop", &[seed, *id]).uniform() < 0.25 {
            true => geometry.classes as i64,
            false => *label,
        };
        let student = geometry.student();
        let (tokens, latent) = (student.tokens(), [geometry.channels, geometry.height, geometry.width]);
        let tap = |tap: &Tap| match tap {
            Tap::Block(depth) => batch(&format!("tap {depth}"), &[tokens, student.width]),
            Tap::Output => batch("output", &latent),
            Tap::Attention(depth) => batch(&format!("attention {depth}"), &[student.heads, tokens, tokens]).softmax(),
        };
        let field = |name: &String| {
            let of = geometry.fields().iter().find(|field| field.name == *name)?;
            let value = batch(&format!("field {name}"), &of.shape);
            let value = if of.dtype == DType::Int {
                value.map(|v| (3.0 * v.abs()).trunc())
            } else {
                value
            };
            Some((name.clone(), value.of(of.dtype)))
        };
        let begun = |name: &String, shape: &[usize], init: &Init| (name.clone(), start(name, shape, init, seed));
        let parameter = |p: &ParameterDeclared| begun(&p.name, &p.shape, &p.init);
        let buffer = |b: &BufferDeclared| {
            let (name, value) = begun(&b.name, &b.shape, &b.init);
            (name, value.of(b.dtype))
        };
        let inputs = Self {
            seed,
            instance: "under-test".to_owned(),
            index: seed % 1000,
            dropped: ids.iter().zip(&labels).map(drop).collect(),
            labels,
            path: match geometry.path {
                Some(PathKind::Cosine) => Path::Cosine,
                _ => Path::Linear,
            },
            x: batch("x", &latent),
            noise: batch("noise", &latent),
            x_t: batch("x", &latent),
            velocity: batch("x", &latent),
            taps: plan.student_taps().map(|of| (of, tap(&of))).collect(),
            fields: plan.fields.iter().filter_map(field).collect(),
            parameters: plan.parameters.iter().map(parameter).collect(),
            buffers: plan.buffers.iter().map(buffer).collect(),
            network: Arc::new(smooth),
            times: Vec::new(),
            ids,
        };
        inputs.with_times(times)
    }

    /// B.
    pub fn batch(&self) -> usize {
        self.times.len()
    }

    /// The student's tokens of a depth.
    ///
    /// # Panics
    /// If the plan does not declare it.
    pub fn tap(&self, depth: u32) -> &Value {
        &self.taps[&Tap::Block(depth)]
    }

    /// Other times for the same samples, with the x_t that belongs to them.
    ///
    /// # Panics
    /// If they are more or fewer than the samples.
    pub fn with_times(mut self, times: &[f32]) -> Self {
        assert_eq!(times.len(), self.ids.len(), "one time a sample");
        let t: Vec<f64> = times.iter().map(|t| f64::from(*t)).collect();
        self.times = times.to_vec();
        self.x_t = self.path.mix(&self.x, &self.noise, &t, false);
        self.velocity = self.path.mix(&self.x, &self.noise, &t, true);
        self
    }

    /// Another path, with the x_t and the velocity that belong to it.
    pub fn with_path(mut self, path: Path) -> Self {
        self.path = path;
        let times = self.times.clone();
        self.with_times(&times)
    }

    /// Other tokens for a depth.
    pub fn with_tap(mut self, depth: u32, value: Value) -> Self {
        self.taps.insert(Tap::Block(depth), value);
        self
    }

    /// Other attention probabilities for a depth.
    pub fn with_attention(mut self, depth: u32, value: Value) -> Self {
        self.taps.insert(Tap::Attention(depth), value);
        self
    }

    /// Another batch field.
    pub fn with_field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Another value of a parameter.
    pub fn with_parameter(mut self, name: &str, value: Value) -> Self {
        self.parameters.insert(name.to_owned(), value);
        self
    }

    /// Another answer of the teacher and the moving average for a row: its [`Row::numbers`].
    pub fn with_network(mut self, answer: impl Fn(&Row<'_>) -> Vec<f64> + Send + Sync + 'static) -> Self {
        self.network = Arc::new(answer);
        self
    }

    /// Makes a projector ([`sextant_plugin_api::parts::Mlp`] of two or more layers, names under `prefix`) the identity. Since
    /// `silu(x) - silu(-x) = x`, a hidden width of twice the input's carries x through. It is exact for the numbers of
    /// [`crate::strategy::features`], and exact but for rounding for others.
    ///
    /// # Panics
    /// If the plan has no such projector, it is too narrow, or input and output differ in width.
    pub fn with_identity_projector(self, prefix: &str) -> Self {
        // Beyond 40 float64's silu is x or 0 to the last bit, so x goes through it multiplied by a power of two.
        const GAIN: f64 = 65536.0;
        let layers: Vec<_> = (0..)
            .map(|layer| format!("{prefix}{}", 2 * layer))
            .map_while(|name| Some((self.parameters.get(&format!("{name}.weight"))?.shape.clone(), name)))
            .collect();
        let (width, last) = (layers[0].0[1], layers.len() - 1);
        assert_eq!(layers[last].0[0], width, "input and output differ in width");
        let begun = layers.into_iter().enumerate();
        begun.fold(self, |inputs, (layer, (shape, name))| {
            assert!(
                layer == last || shape[0] >= 2 * width,
                "{shape:?} is too narrow for +x and -x"
            );
            // Units 0 to `width` carry x, the next as many -x; a layer takes their difference.
            let sign = |unit: usize| if unit < width { 1.0 } else { -1.0 };
            let weight = Value::from_fn(&shape, |i| {
                let (to, from) = (i[0], i[1]);
                let outside = to >= 2 * width || from >= 2 * width || to % width != from % width;
                match (layer == 0, layer == last) {
                    _ if outside => 0.0,
                    (true, _) => sign(to) * GAIN,
                    (_, true) => sign(from) / GAIN,
                    _ => sign(to) * sign(from),
                }
            });
            let bias = Value::full([shape[0]], 0.0);
            inputs
                .with_parameter(&format!("{name}.weight"), weight)
                .with_parameter(&format!("{name}.bias"), bias)
        })
    }

    /// Makes the last layer of a projector (its name without `.weight`) answer `output`, whatever its input: exactly.
    ///
    /// # Panics
    /// If the plan has no such layer.
    pub fn with_constant_layer(self, layer: &str, output: &[f64]) -> Self {
        let zeros = self.parameters[&format!("{layer}.weight")].map(|_| 0.0);
        self.with_parameter(&format!("{layer}.weight"), zeros)
            .with_parameter(&format!("{layer}.bias"), Value::new([output.len()], output))
    }

    /// Some of the samples, by number: a permutation, a part, or repeats.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let of = |values: &BTreeMap<String, Value>| {
            let chosen = |(name, value): (&String, &Value)| (name.clone(), value.rows(rows));
            values.iter().map(chosen).collect()
        };
        Self {
            ids: rows.iter().map(|row| self.ids[*row]).collect(),
            times: rows.iter().map(|row| self.times[*row]).collect(),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
            dropped: rows.iter().map(|row| self.dropped[*row]).collect(),
            x: self.x.rows(rows),
            noise: self.noise.rows(rows),
            x_t: self.x_t.rows(rows),
            velocity: self.velocity.rows(rows),
            taps: self.taps.iter().map(|(tap, value)| (*tap, value.rows(rows))).collect(),
            fields: of(&self.fields),
            ..self.clone()
        }
    }
}

/// The value with which a parameter or a buffer begins.
fn start(name: &str, shape: &[usize], init: &Init, seed: u64) -> Value {
    let count = shape.iter().product();
    let drawn = |distribution, number: &dyn Fn(f64) -> f64| {
        let draws = Draws::new(name, &[seed]).many(distribution, count);
        draws.into_iter().map(number).collect::<Vec<_>>()
    };
    let uniform = |bound: f64| drawn(Distribution::Uniform, &|u| (2.0 * u - 1.0) * bound);
    let data = match init {
        Init::Constant(value) => vec![*value; count],
        Init::Values(values) => values.iter().map(|v| f64::from(*v)).collect(),
        Init::Uniform(bound) => uniform(*bound),
        Init::XavierUniform => {
            let field: usize = shape.iter().skip(2).product();
            let fans: usize = shape.iter().take(2).map(|extent| extent * field).sum();
            uniform((6.0 / fans.max(1) as f64).sqrt())
        }
        Init::Normal(deviation) => drawn(Distribution::Normal, &|v| v * deviation),
    };
    Value::new(shape, data)
}
