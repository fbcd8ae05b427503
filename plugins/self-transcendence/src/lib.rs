//! `self-transcendence`: a network guided by an earlier, frozen one of its own kind (arXiv 2601.07773, second stage).
//!
//! A projection of the student's tokens h at a shallow depth is drawn towards the teacher's features at a deeper one,
//! sharpened by classifier-free guidance in feature space. Per sample, for times in `[t_min, t_max]` (see [`Mask`]),
//!
//! ```text
//! f_c  = teacher(x_t, t, label), f_u = teacher(x_t, t, null)
//! f_g  = f_u + scale * (f_c - f_u)
//! loss = mean over tokens and channels of (projector(h) - f_g)^2
//! ```
//!
//! The teacher sees the label before dropout, and runs only on the samples whose loss counts. Published: student
//! depth 6 and teacher depth 8 of 12, 8 and 16 of 28; scale 30; coefficient 0.5; times 0.4 to 0.7.

use serde::Deserialize;
use sextant_plugin_api::parts::{Mask, Mlp, TimeMask, feature_cfg, squared_error};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Condition, Error, Geometry, Guidance, GuidanceSource, Network, Plan, SettingMeaning, Step, Tensor, export_guidance,
};

/// The source.
#[derive(Debug)]
pub struct SelfTranscendence {
    config: Config,
    mask: TimeMask,
    projector: Mlp,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student that is guided. If left out 8 of 28, 6 of 12, and in proportion.
    pub student_depth: Option<u32>,
    /// Block of the teacher that guides. If left out 16 of 28, 8 of 12, and in proportion.
    pub teacher_depth: Option<u32>,
    /// Feature guidance w.
    pub scale: f64,
    /// Width P of the projector.
    pub projector_width: usize,
    /// Least time that is guided, inclusive.
    pub t_min: f64,
    /// Greatest time that is guided, inclusive.
    pub t_max: f64,
    /// Meaning of the times for the loss.
    pub mask: Mask,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            student_depth: None,
            teacher_depth: None,
            scale: 30.0,
            projector_width: 2048,
            t_min: 0.4,
            t_max: 0.7,
            mask: Mask::Sample,
        }
    }
}

impl SelfTranscendence {
    fn depths(&self, geometry: &Geometry) -> Result<[u32; 2], Error> {
        let (student, teacher) = (geometry.student(), geometry.network(Network::Teacher)?);
        Ok([
            student.depth_or_published(self.config.student_depth, &[(12, 6), (28, 8)]),
            teacher.depth_or_published(self.config.teacher_depth, &[(12, 8), (28, 16)]),
        ])
    }

    /// f_g of some samples, both conditions in one pass.
    fn target(&self, step: &Step, depth: u32, rows: &[u32]) -> Result<Tensor, Error> {
        let count = rows.len();
        let twice = [rows, rows].concat();
        let mut conditions = vec![Condition::Own; count];
        conditions.resize(2 * count, Condition::Null);
        let (x_t, t) = (step.x_t().gather(0, &twice), step.t().gather(0, &twice));
        let both = step
            .forward(Network::Teacher, x_t, t, &[depth], &twice, &conditions)?
            .remove(0);
        let conditional = both.clone().slice(0, 0..count);
        let unconditional = both.slice(0, count..2 * count);
        Ok(feature_cfg(conditional, unconditional, self.config.scale))
    }
}

impl GuidanceSource for SelfTranscendence {
    type Config = Config;

    fn coefficient(_: &Config) -> Option<f64> {
        Some(0.5)
    }

    fn new(config: Config) -> Result<Self, Error> {
        if config.projector_width == 0 {
            return Err(Error::new("`projector_width` must be at least 1, not 0"));
        }
        // Losses are computed in f32.
        if !(config.scale as f32).is_finite() {
            return Err(Error::new(format!("`scale` must be finite, not {:e}", config.scale)));
        }
        Ok(Self {
            mask: TimeMask::new(config.mask, config.t_min, config.t_max)?,
            projector: Mlp::projector(""),
            config,
        })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let (student, teacher) = (geometry.student(), geometry.network(Network::Teacher)?);
        if student.tokens() != teacher.tokens() {
            return Err(Error::new(format!(
                "the teacher has {} tokens, the student {}: both must cut the latents alike",
                teacher.tokens(),
                student.tokens()
            )));
        }
        let [shallow, deep] = self.depths(geometry)?;
        let plan =
            Plan::new()
                .tap(shallow)
                .teacher(deep)
                .setting("scale", self.config.scale, SettingMeaning::FeatureGuidance);
        let plan = self.mask.declare(plan);
        let hidden = self.config.projector_width;
        self.projector
            .declare(plan, &[student.width, hidden, hidden, teacher.width])
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let [shallow, deep] = self.depths(step.geometry())?;
        let loss = self.mask.masked(step, |rows| {
            let target = self.target(step, deep, rows)?;
            let h = step.tap(shallow)?.gather(0, rows);
            Ok(squared_error(self.projector.forward(step, h)?, target))
        })?;
        Ok(Guidance::new(loss))
    }
}

export_guidance!(SelfTranscendence);
