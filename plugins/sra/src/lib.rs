//! `sra`: self-representation alignment (Jiang et al., arXiv 2505.02831).
//!
//! The student's tokens h at a shallow depth are drawn towards deeper tokens z of its own moving average, which sees the
//! same image, noise and label (after dropout) at a little less noise. Per sample, with u uniform on [0, 1),
//!
//! ```text
//! t' = clamp(t - shift * u, 0, 1)
//! z  = ema(x_t', t', label)
//!
//! cosine:     loss = mean over channels (or tokens) of 1 - cos(head(h), z)
//! smooth-l1:  loss = mean over tokens and channels of smooth_l1(head(h), z)
//!             smooth_l1(a, b) = (a - b)^2 / (2 beta)  where |a - b| < beta,  else |a - b| - beta / 2
//! ```
//!
//! with a head Linear(D, 2D) SiLU Linear(2D, D) that is trained along and dropped afterwards. Published: depths 4 and 8 of
//! 12, 8 and 20 of 28; shift 0.2. The paper has smooth L1 with beta 0.05 and coefficient 0.2, from epoch 149 on times
//! 10^(-(epoch - 149) / 1000), for which a recipe has `decay_start` and `decay_steps`. Under it the features' norm grows: since
//! July 2026 the authors' trainer has the cosine, with coefficient 0.5 and no decay. Theirs runs over the tokens, one for
//! each channel; that of Self-Flow, a method of the same kind, over the channels, one for each token: [`Axis`].

use serde::{Deserialize, Serialize};
use sextant_plugin_api::parts::{Mlp, cosine_alignment};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Condition, DType, Distribution, Error, Geometry, Guidance, GuidanceSource, Network, Plan, Step, Tensor,
    export_guidance,
};

/// The source.
#[derive(Debug)]
pub struct Sra {
    config: Config,
    head: Mlp,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student that is guided. If left out 8 of 28, 4 of 12, and in proportion.
    pub student_depth: Option<u32>,
    /// Block of the moving average that guides. If left out 20 of 28, 8 of 12, and in proportion.
    pub teacher_depth: Option<u32>,
    /// The most by which the moving average's time lies before the student's, 0 to 1.
    pub shift: f64,
    /// Comparison of the two.
    pub loss: Loss,
    /// Vectors that a cosine is taken of.
    pub axis: Axis,
    /// Difference at which smooth L1 turns from a square to a line.
    pub beta: f64,
}

/// Comparisons of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// 1 - cosine (the authors' trainer since July 2026).
    Cosine,
    /// Smooth L1 (the paper).
    #[serde(rename = "smooth-l1")]
    SmoothL1,
}

/// The vectors whose cosine is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// One a channel, with an element a token (the authors').
    Tokens,
    /// One a token, with an element a channel (Self-Flow's).
    Channels,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            student_depth: None,
            teacher_depth: None,
            shift: 0.2,
            loss: Loss::Cosine,
            axis: Axis::Tokens,
            beta: 0.05,
        }
    }
}

impl Sra {
    fn depths(&self, geometry: &Geometry) -> Result<[u32; 2], Error> {
        let (student, ema) = (geometry.student(), geometry.network(Network::Ema)?);
        Ok([
            student.depth_or_published(self.config.student_depth, &[(12, 4), (28, 8)]),
            ema.depth_or_published(self.config.teacher_depth, &[(12, 8), (28, 20)]),
        ])
    }

    /// t' `[B]`: one draw a sample.
    fn earlier(&self, step: &Step) -> Tensor {
        let u = step.random("shift", Distribution::Uniform, []);
        (step.t() - u * self.config.shift).clamp(0.0, 1.0)
    }

    /// z `[B, T, D]`.
    fn target(&self, step: &Step, depth: u32) -> Result<Tensor, Error> {
        let t = self.earlier(step);
        let x_t = step.diffuse(step.x(), step.noise(), &t);
        let rows: Vec<u32> = (0..step.batch() as u32).collect();
        let conditions = vec![Condition::Dropped; rows.len()];
        let mut tokens = step.forward(Network::Ema, x_t, t, &[depth], &rows, &conditions)?;
        Ok(tokens.remove(0))
    }

    /// Loss per sample `[B]` of tokens `[B, T, D]` against z.
    fn compare(&self, tokens: Tensor, z: Tensor) -> Tensor {
        let Config { loss, axis, beta, .. } = self.config;
        match (loss, axis) {
            (Loss::SmoothL1, _) => smooth_l1(tokens, z, beta).mean_per_sample(),
            (Loss::Cosine, Axis::Tokens) => cosine_alignment(tokens.transpose(1, 2), z.transpose(1, 2)) + 1.0,
            (Loss::Cosine, Axis::Channels) => cosine_alignment(tokens, z) + 1.0,
        }
    }
}

/// Smooth L1 of each element, in f32 (Girshick, arXiv 1504.08083, equation 3, with PyTorch's beta).
fn smooth_l1(a: Tensor, b: Tensor, beta: f64) -> Tensor {
    let d = (a.cast(DType::F32) - b.cast(DType::F32)).abs();
    let square = d.clone().square() / (2.0 * beta);
    d.lower(beta).choose(square, d - beta / 2.0)
}

impl GuidanceSource for Sra {
    type Config = Config;

    fn coefficient(config: &Config) -> Option<f64> {
        Some(match config.loss {
            Loss::Cosine => 0.5,
            Loss::SmoothL1 => 0.2,
        })
    }

    fn new(config: Config) -> Result<Self, Error> {
        let Config { shift, beta, .. } = config;
        if !(0.0..=1.0).contains(&shift) {
            return Err(Error::new(format!("`shift` must be between 0 and 1, not {shift}")));
        }
        if !(beta as f32).is_normal() || beta <= 0.0 {
            return Err(Error::new(format!("`beta` must be finite and above 0, not {beta}")));
        }
        let head = Mlp::new("", 2);
        Ok(Self { config, head })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let [shallow, deep] = self.depths(geometry)?;
        let width = geometry.student().width;
        let plan = Plan::new().tap(shallow).ema(deep);
        self.head.declare(plan, &[width, 2 * width, width])
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        if step.batch() == 0 {
            return Ok(Guidance::new(step.zeros_per_sample()));
        }
        let [shallow, deep] = self.depths(step.geometry())?;
        let z = self.target(step, deep)?;
        let tokens = self.head.forward(step, step.tap(shallow)?)?;
        Ok(Guidance::new(self.compare(tokens, z)))
    }
}

export_guidance!(Sra);
