//! `sra`: self-representation alignment (Jiang et al., arXiv 2505.02831).
//!
//! The student's tokens h at a shallow depth are drawn towards deeper tokens z of its own moving average, which sees the
//! same image, noise and label (after dropout) at a little less noise. Per sample, with u uniform on [0, 1),
//!
//! ```text
//! t'   = clamp(t - shift * u, 0, 1)
//! z    = ema(x_t', t', label)
//! loss = mean over tokens and channels of smooth_l1(head(h), z)
//! smooth_l1(a, b) = (a - b)^2 / (2 beta)  where |a - b| < beta,  else |a - b| - beta / 2
//! ```
//!
//! with a head Linear(D, 2D) SiLU Linear(2D, D) that is trained along and dropped afterwards. Published: depths 4 and 8 of
//! 12 (the trainer's default), 8 and 20 of 28; shift 0.2; beta 0.05; coefficient 0.2, from epoch 149 on times
//! 10^(-(epoch - 149) / 1000), for which a recipe has `decay_start` and `decay_steps`. Since July 2026 the released
//! trainer's default is [`Loss::Cosine`] with coefficient 0.5.

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
    /// Block of the student that is guided; a third of its depth if left out.
    pub student_depth: Option<u32>,
    /// Block of the moving average that guides; two thirds of its depth if left out.
    pub teacher_depth: Option<u32>,
    /// The most by which the moving average's time lies before the student's, 0 to 1.
    pub shift: f64,
    /// How the two are compared.
    pub loss: Loss,
    /// Difference at which smooth L1 turns from a square to a line.
    pub beta: f64,
}

/// How tokens are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Smooth L1 (the paper).
    #[serde(rename = "smooth-l1")]
    SmoothL1,
    /// 1 - cosine over the token axis: one cosine a channel, of vectors with an element a token (the trainer since July 2026).
    Cosine,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            student_depth: None,
            teacher_depth: None,
            shift: 0.2,
            loss: Loss::SmoothL1,
            beta: 0.05,
        }
    }
}

impl Sra {
    fn depths(&self, geometry: &Geometry) -> Result<[u32; 2], Error> {
        let (student, ema) = (geometry.student(), geometry.network(Network::Ema)?);
        Ok([
            self.config.student_depth.unwrap_or(student.depth_at(1.0 / 3.0)),
            self.config.teacher_depth.unwrap_or(ema.depth_at(2.0 / 3.0)),
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
        match self.config.loss {
            Loss::SmoothL1 => smooth_l1(tokens, z, self.config.beta).mean_per_sample(),
            Loss::Cosine => cosine_alignment(tokens.transpose(1, 2), z.transpose(1, 2)) + 1.0,
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

    fn new(config: Config) -> Result<Self, Error> {
        let Config { shift, beta, .. } = config;
        if !(0.0..=1.0).contains(&shift) {
            return Err(Error::new(format!("`shift` must be between 0 and 1, not {shift}")));
        }
        if !beta.is_finite() || beta <= 0.0 {
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
