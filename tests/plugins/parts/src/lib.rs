//! The published losses on given features, without projectors: what `guidance_losses` holds.
//!
//! The student's features arrive as the tap of depth 1, the others as batch fields.

use serde::Deserialize;
use sextant_plugin_api::parts::{Mask, TimeMask, cosine_alignment, feature_cfg, patchify, squared_error};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, Tensor, export_guidance};

/// Which loss.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Cosine alignment to `target`.
    Repa,
    /// The same; the published source takes its target from a deeper block.
    Layersync,
    /// Squared error to the guided feature of `target` and `target_uncond`, masked.
    SelfTranscendence,
    /// Smooth L1 to `target`.
    SmoothL1,
    /// Dispersive loss of the batch.
    Dispersive,
    /// Sum over a patchified latent weighted by `weights`: shows the order of its elements.
    Patchify,
    /// Cosine alignment to the spatially normalised `target`.
    Irepa,
}

/// The settings of the fixture.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    part: Part,
    #[serde(default)]
    mask: Mask,
    t_min: f64,
    t_max: f64,
    scale: f64,
    beta: f64,
    tau: f64,
    alpha: f64,
}

/// The source.
pub struct Parts(Config);

impl GuidanceSource for Parts {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(config))
    }

    fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
        let plan = Plan::new().tap(1).field("target");
        Ok(match self.0.part {
            Part::SelfTranscendence => self.mask()?.declare(plan.field("target_uncond")),
            Part::Dispersive => plan.batch_coupled(),
            _ => plan,
        })
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let h = step.tap(1)?;
        let target = step.field("target")?;
        let config = &self.0;
        let loss = match config.part {
            Part::Repa | Part::Layersync => cosine_alignment(h, target),
            Part::Irepa => cosine_alignment(h, normalised(target, config.alpha)),
            Part::SelfTranscendence => self.mask()?.masked(step, |rows| {
                let of = |t: Tensor| t.gather(0, rows);
                let guided = feature_cfg(
                    of(step.field("target")?),
                    of(step.field("target_uncond")?),
                    config.scale,
                );
                Ok(squared_error(step.tap(1)?.gather(0, rows), guided))
            })?,
            Part::SmoothL1 => {
                let d = (h - target).abs();
                let small = d.lower(config.beta);
                let quadratic = d.clone().square() * (0.5 / config.beta);
                small.choose(quadratic, d - 0.5 * config.beta).mean_per_sample()
            }
            Part::Dispersive => {
                let [batch, tokens, width] = h.dims()?;
                let flat = h.reshape([batch, tokens * width]);
                let pairs = flat.clone().unsqueeze(0) - flat.unsqueeze(1);
                let d = pairs.square().mean(&[2]) / config.tau;
                (-d).exp().mean(&[0, 1]).log().reshape([1]).expand([batch])
            }
            Part::Patchify => {
                let patches = patchify(step.x(), step.geometry().patch)?;
                (patches * step.field("target")?).sum(&[1, 2]) + h.mean_per_sample() * 0.0
            }
        };
        Ok(Guidance::new(loss))
    }
}

impl Parts {
    fn mask(&self) -> Result<TimeMask, Error> {
        TimeMask::new(self.0.mask, self.0.t_min, self.0.t_max)
    }
}

/// iREPA's target: the mean over tokens taken off in part, divided by the unbiased deviation over tokens.
fn normalised(z: Tensor, alpha: f64) -> Tensor {
    let tokens = z.shape()[1] as f64;
    let z = z.clone() - z.mean_keep(&[1]) * alpha;
    let deviation = (z.clone() - z.clone().mean_keep(&[1])).square().sum_keep(&[1]) / (tokens - 1.0);
    z / (deviation.sqrt() + 1e-6)
}

export_guidance!(Parts, name = "test-parts");
