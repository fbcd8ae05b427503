//! `haste`: alignment of tokens and of attention, for a while (HASTE, arXiv 2505.16792).
//!
//! REPA's term ([`Config::depth`], [`Config::field`]) and a second one: where the student's tokens look is drawn towards where
//! an encoder's look. With the student's attention probabilities p of some blocks and heads, and those q of the encoder,
//!
//! ```text
//! q         = softmax(attention logits of the encoder)
//! attention = mean over blocks, heads and queries of -sum over keys of q * log p
//! loss      = -1/T * sum over tokens of cos(projector(h), z) + attention_weight * attention
//! ```
//!
//! The encoder's first heads are paired with the student's first heads, as many as both have. Published: student blocks 5 to
//! 8, of 12 as of 28, against blocks 9 to 12 of DINOv2-B, whose 12 heads meet the student's first 12; tokens at REPA's depths;
//! both coefficients 0.5, here the recipe's `coefficient` with weight 1.
//!
//! Its other half is the recipe's: all guidance ends at step 250,000, which is `stop_step`. Until then it keeps the student's
//! attention, `[B, heads, T, T]` a block.
//!
//! An encoder without attention, such as the embedded one, can stand in with [`Target::Affinity`]. That is not the paper's
//! method: it asks the student to look where the encoder's features are alike.

use serde::{Deserialize, Serialize};
use sextant_plugin_api::parts::{Mlp, cosine_alignment, feature_width};
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{DType, Error, Geometry, Guidance, GuidanceSource, Plan, Step, Tensor, export_guidance};

/// Least probability in a logarithm: below it f32 has no reciprocal for the gradient.
const EPS: f64 = 1e-30;

/// First and last block that are aligned unless the recipe or the data says otherwise, in a student of any size that has them.
const BLOCKS: [u32; 2] = [5, 8];

/// The source.
#[derive(Debug)]
pub struct Haste {
    config: Config,
    projector: Mlp,
}

/// Settings of the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Block of the student whose tokens are aligned. If left out 8 of 28 and of 24, 4 of 12, and in proportion.
    pub depth: Option<u32>,
    /// Batch field with the encoder's features, `[T, E]` a sample.
    pub field: String,
    /// Width P of the projector.
    pub projector_width: usize,
    /// The attention that the student's is drawn towards.
    pub target: Target,
    /// Batch field with the encoder's attention logits, `[blocks, heads, T, T]` a sample, without its class token.
    pub attention_field: String,
    /// Blocks of the student whose attention is aligned. If left out 5 to 8, or of fewer than 8 blocks those in proportion; of a
    /// field with other than four blocks as many that end there.
    pub attention_depths: Option<Vec<u32>>,
    /// Weight of the attention's term; that of the tokens' is 1.
    pub attention_weight: f64,
    /// Divisor of the cosines of an affinity.
    pub temperature: f64,
}

/// Origins of the encoder's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The batch field `attention_field` (the paper).
    Attention,
    /// A stand-in for an encoder without attention: the cosines of its features in `field`, divided by `temperature`, are the
    /// logits, the same for every head and block.
    Affinity,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            depth: None,
            field: "features".to_owned(),
            projector_width: 2048,
            target: Target::Attention,
            attention_field: "attention".to_owned(),
            attention_depths: None,
            attention_weight: 1.0,
            temperature: 0.1,
        }
    }
}

impl Haste {
    fn depth(&self, geometry: &Geometry) -> u32 {
        let student = geometry.student();
        student.depth_or_published(self.config.depth, &[(12, 4), (24, 8), (28, 8)])
    }

    /// Blocks of the student, one for each block of the encoder.
    fn attention_depths(&self, geometry: &Geometry) -> Result<Vec<u32>, Error> {
        let blocks = match self.config.target {
            Target::Attention => Some(self.encoder_blocks(geometry)?),
            Target::Affinity => None,
        };
        let depths = match &self.config.attention_depths {
            Some(depths) => depths.clone(),
            None => usual_blocks(geometry.student().depth, blocks),
        };
        let field = &self.config.attention_field;
        match blocks {
            _ if depths.is_empty() => Err(Error::new(
                "there is no block whose attention could be aligned: name some as `attention_depths`",
            )),
            Some(blocks) if blocks != depths.len() => Err(Error::new(format!(
                "batch field {field:?} has {blocks} blocks, the student's are {depths:?}: \
                 name one for each as `attention_depths`"
            ))),
            _ => Ok(depths),
        }
    }

    /// Number of blocks in the field of attention logits.
    fn encoder_blocks(&self, geometry: &Geometry) -> Result<usize, Error> {
        let field = &self.config.attention_field;
        let shape = &geometry.field(field).map_err(without_attention)?.shape;
        let tokens = geometry.student().tokens();
        match shape[..] {
            [blocks @ (1..), (1..), queries, keys] if queries == tokens && keys == tokens => Ok(blocks),
            _ => Err(Error::new(format!(
                "batch field {field:?} must be [blocks, heads, {tokens}, {tokens}] a sample, it is {shape:?}: \
                 the student has {tokens} tokens"
            ))),
        }
    }

    /// q of each block, `[B, heads, T, T]`, or with one head for all.
    fn targets(&self, step: &Step, blocks: usize) -> Result<Vec<Tensor>, Error> {
        match self.config.target {
            Target::Attention => {
                let logits = step.field(&self.config.attention_field)?.cast(DType::F32);
                let [batch, _, heads, tokens, _] = logits.dims()?;
                let block = |k| {
                    logits
                        .clone()
                        .slice(1, k..k + 1)
                        .reshape([batch, heads, tokens, tokens])
                };
                Ok((0..blocks).map(|k| block(k).softmax(3)).collect())
            }
            Target::Affinity => {
                let z = step.field(&self.config.field)?;
                Ok(vec![
                    affinity(z, self.config.temperature).softmax(2).unsqueeze(1);
                    blocks
                ])
            }
        }
    }

    /// The attention's term `[B]`.
    fn attention(&self, step: &Step) -> Result<Tensor, Error> {
        let depths = self.attention_depths(step.geometry())?;
        let targets = self.targets(step, depths.len())?;
        let blocks = depths.len() as f64;
        let terms = depths.iter().zip(targets).map(|(depth, q)| {
            let p = step.attention(*depth)?.cast(DType::F32);
            let [p, q] = match self.config.target {
                Target::Attention => first_heads(p, q),
                Target::Affinity => [p, q],
            };
            Ok(cross_entropy(q, p))
        });
        let terms = terms.collect::<Result<Vec<Tensor>, Error>>()?;
        Ok(terms.into_iter().fold(step.zeros_per_sample(), |sum, term| sum + term) / blocks)
    }
}

/// Blocks of a student of `depth` that are aligned, one for each of the encoder's where that has a number of them.
fn usual_blocks(depth: u32, encoders: Option<usize>) -> Vec<u32> {
    let [first, last] = BLOCKS;
    let end = depth.min(last);
    let first = match encoders {
        Some(count) => (end + 1).saturating_sub(count as u32).max(1),
        None => ((f64::from(end * first) / f64::from(last)).round() as u32).max(1),
    };
    (first..=end).collect()
}

/// The error of a field that is not there, with what to do about it.
fn without_attention(missing: Error) -> Error {
    let instead = "without an encoder's attention there is `target = \"affinity\"`, a stand-in";
    Error::new(format!("{missing}: {instead}"))
}

/// Cosines of all pairs of tokens z `[B, T, E]`, divided by a temperature: `[B, T, T]` in f32.
fn affinity(z: Tensor, temperature: f64) -> Tensor {
    let z = z.cast(DType::F32);
    let length = z.clone().square().sum_keep(&[2]).sqrt().clamp(1e-12, f64::INFINITY);
    let z = z / length;
    z.clone().matmul(z.transpose(1, 2)) / temperature
}

/// The first heads of each, as many as both have.
fn first_heads(p: Tensor, q: Tensor) -> [Tensor; 2] {
    let count = |t: &Tensor| t.shape().get(1).copied().unwrap_or(0);
    let both = count(&p).min(count(&q));
    [p, q].map(|t| if count(&t) == both { t } else { t.slice(1, 0..both) })
}

/// Mean over heads and queries of -sum over keys of q log p: `[B, heads, T, T]` twice to `[B]`. q may have one head for all.
fn cross_entropy(q: Tensor, p: Tensor) -> Tensor {
    let log = p.clamp(EPS, f64::INFINITY).log();
    -(log * q).sum(&[3]).mean_per_sample()
}

impl GuidanceSource for Haste {
    type Config = Config;

    fn coefficient(_: &Config) -> Option<f64> {
        Some(0.5)
    }

    fn new(config: Config) -> Result<Self, Error> {
        if config.projector_width == 0 {
            return Err(Error::new("`projector_width` must be at least 1, not 0"));
        }
        let Config {
            attention_weight: weight,
            temperature,
            ..
        } = config;
        if !(weight as f32).is_finite() || weight < 0.0 {
            return Err(Error::new(format!(
                "`attention_weight` must be finite and not below 0, not {weight}"
            )));
        }
        if !(temperature as f32).is_normal() || temperature <= 0.0 {
            return Err(Error::new(format!(
                "`temperature` must be finite and above 0, not {temperature}"
            )));
        }
        let projector = Mlp::projector("");
        Ok(Self { config, projector })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let Config {
            field, projector_width, ..
        } = &self.config;
        let features = feature_width(geometry, field)?;
        let plan = Plan::new().tap(self.depth(geometry)).field(field);
        let plan = match self.config.target {
            Target::Attention => plan.field(&self.config.attention_field),
            Target::Affinity => plan,
        };
        let depths = self.attention_depths(geometry)?;
        let plan = depths.into_iter().fold(plan, Plan::attention);
        let widths = [geometry.student().width, *projector_width, *projector_width, features];
        let plan = plan.metric("tokens").metric("attention");
        self.projector.declare(plan, &widths)
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        if step.batch() == 0 {
            return Ok(Guidance::new(step.zeros_per_sample())); // no samples have no mean to report
        }
        let h = step.tap(self.depth(step.geometry()))?;
        let z = step.field(&self.config.field)?;
        let tokens = cosine_alignment(self.projector.forward(step, h)?, z);
        let attention = self.attention(step)?;
        let loss = &tokens + &attention * self.config.attention_weight;
        Ok(Guidance::new(loss)
            .metric("tokens", tokens.mean(&[0]))
            .metric("attention", attention.mean(&[0])))
    }
}

export_guidance!(Haste);

#[cfg(test)]
mod tests {
    use super::usual_blocks;

    #[test]
    fn blocks_five_to_eight_of_every_published_size_and_in_proportion_below() {
        for depth in [8, 12, 24, 28] {
            assert_eq!(usual_blocks(depth, None), [5, 6, 7, 8]);
            assert_eq!(usual_blocks(depth, Some(4)), [5, 6, 7, 8]);
        }
        assert_eq!(usual_blocks(12, Some(2)), [7, 8]);
        assert_eq!(usual_blocks(6, None), [4, 5, 6]);
        assert_eq!(usual_blocks(6, Some(4)), [3, 4, 5, 6]);
        assert_eq!(usual_blocks(1, None), [1]);
        assert_eq!(usual_blocks(2, Some(4)), [1, 2], "too few: the plan says so");
    }
}
