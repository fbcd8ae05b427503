//! One generated step: few numbers that a person can read, from which every tensor follows.

use serde::{Deserialize, Serialize, Serializer};

use sextant_model::SitConfig;
use sextant_model::diffusion::Path;
use sextant_recipe::KeyError;

/// Model, data and one step of them. Tensors are drawn from `numbers`, each row from the identity of its sample too: so a
/// sample keeps its features when the batch is permuted or split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Blocks of the student, and of its moving average.
    pub depth: usize,
    /// Blocks of the teacher.
    pub teacher_depth: usize,
    /// Width D of all networks.
    pub width: usize,
    /// Attention heads of all networks.
    pub heads: usize,
    /// Rows and columns of the token grid.
    pub grid: usize,
    /// Side of a patch.
    pub patch: usize,
    /// Latent channels C.
    pub channels: usize,
    /// Classes of the data; the null class is this number.
    pub classes: usize,
    /// The path from data to noise.
    pub path: Path,
    /// The batch; it may be empty.
    pub samples: Vec<Sample>,
    /// Standard deviation of taps, output and batch fields.
    #[serde(serialize_with = "shortest")]
    pub magnitude: f32,
    /// Rounds those to the numbers that bfloat16 has.
    pub bf16: bool,
    /// The noise that is added to the parameters' initial values, as a standard deviation: 0 is the first step of a training.
    #[serde(serialize_with = "shortest")]
    pub parameter_noise: f32,
    /// Optimiser step, counted from 0.
    pub step: u64,
    /// Seed of the run: of the source's draws and its initial parameters.
    pub seed: u64,
    /// Seed of the tensors of this case.
    pub numbers: u64,
}

/// One sample of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its identity in the data.
    pub id: u64,
    /// Its time, in [0, 1].
    #[serde(serialize_with = "shortest")]
    pub t: f32,
    /// Its class before dropout.
    pub label: i64,
    /// Drops the class: the null class stands for it.
    pub dropped: bool,
}

/// A key of a case that makes it none, and what would be right.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CaseError {
    /// A network that cannot be built.
    #[error("{0}")]
    Network(#[from] KeyError),
    /// A value that no step has.
    #[error("{key} is {value}: it must {wanted}")]
    Value {
        /// Its key.
        key: String,
        /// The value that stands there.
        value: String,
        /// The rule that it breaks.
        wanted: String,
    },
}

/// Passes a value on which a rule holds.
fn rule(holds: bool, key: String, value: impl ToString, wanted: impl Into<String>) -> Result<(), CaseError> {
    match holds {
        true => Ok(()),
        false => Err(CaseError::Value {
            key,
            value: value.to_string(),
            wanted: wanted.into(),
        }),
    }
}

/// Writes a number as briefly as it is told apart in f32: 0.4, and not 0.4000000059604645.
fn shortest<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    let brief: f64 = value.to_string().parse().unwrap_or(f64::from(*value));
    serializer.serialize_f64(brief)
}

impl Case {
    /// A small, ordinary case: where shrinking ends, and where authors may begin.
    pub fn plain() -> Self {
        let sample = |id: u64| Sample {
            id,
            t: 0.5,
            label: 0,
            dropped: false,
        };
        Self {
            depth: 4,
            teacher_depth: 4,
            width: 16,
            heads: 2,
            grid: 2,
            patch: 2,
            channels: 3,
            classes: 2,
            path: Path::Linear,
            samples: vec![sample(0), sample(1)],
            magnitude: 1.0,
            bf16: false,
            parameter_noise: 0.0,
            step: 0,
            seed: 0,
            numbers: 0,
        }
    }

    /// Refuses a case that no step can be.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub fn validate(&self) -> Result<(), CaseError> {
        self.network(self.depth).validate()?;
        self.network(self.teacher_depth).validate()?;
        for (key, value) in [("magnitude", self.magnitude), ("parameter_noise", self.parameter_noise)] {
            rule(
                value.is_finite() && value >= 0.0,
                key.to_owned(),
                value,
                "be at least 0",
            )?;
        }
        for (index, Sample { id, t, label, .. }) in self.samples.iter().enumerate() {
            let key = |key: &str| format!("samples.{index}.{key}");
            rule((0.0..=1.0).contains(t), key("t"), t, "lie in [0, 1]")?;
            let classes = self.classes as i64;
            let wanted = format!("lie in 0 to {}", classes - 1);
            rule((0..classes).contains(label), key("label"), label, wanted)?;
            let new = self.samples[..index].iter().all(|other| other.id != *id);
            rule(new, key("id"), id, "differ from those of the samples before")?;
        }
        Ok(())
    }

    /// Tokens T of a sample.
    pub fn tokens(&self) -> usize {
        self.grid * self.grid
    }

    /// Height and width of the latents.
    pub fn side(&self) -> usize {
        self.grid * self.patch
    }

    /// The same step of other samples.
    pub fn with_samples(&self, samples: Vec<Sample>) -> Self {
        Self {
            samples,
            ..self.clone()
        }
    }

    /// The same step with every time set to `t`.
    pub fn at_time(&self, t: f32) -> Self {
        self.with_samples(self.samples.iter().map(|sample| Sample { t, ..*sample }).collect())
    }

    /// The same step with the batch in reverse.
    pub fn reversed(&self) -> Self {
        self.with_samples(self.samples.iter().rev().copied().collect())
    }

    /// The same step in two batches, cut in the middle.
    pub fn halves(&self) -> [Self; 2] {
        let (first, second) = self.samples.split_at(self.samples.len().div_ceil(2));
        [self.with_samples(first.to_vec()), self.with_samples(second.to_vec())]
    }

    /// Cases that are a little simpler, the simplest first: for shrinking where proptest cannot, after a crash.
    pub fn simpler(&self) -> Vec<Self> {
        let mut cases = Vec::new();
        if !self.samples.is_empty() {
            cases.push(self.with_samples(Vec::new()));
            cases.extend(self.halves());
        }
        for i in 0..self.samples.len() {
            let mut samples = self.samples.clone();
            samples.remove(i);
            cases.push(self.with_samples(samples));
        }
        let plain = Self::plain();
        let keys: [fn(&mut Self, &Self); 14] = [
            |case, plain| case.depth = plain.depth,
            |case, plain| case.teacher_depth = plain.teacher_depth,
            |case, plain| case.width = plain.width,
            |case, plain| case.heads = plain.heads,
            |case, plain| case.grid = plain.grid,
            |case, plain| case.patch = plain.patch,
            |case, plain| case.path = plain.path,
            |case, plain| (case.magnitude, case.bf16) = (plain.magnitude, plain.bf16),
            |case, plain| case.parameter_noise = plain.parameter_noise,
            |case, plain| case.step = plain.step,
            |case, plain| (case.seed, case.numbers) = (plain.seed, plain.numbers),
            |case, _| case.samples.iter_mut().for_each(|sample| sample.dropped = false),
            |case, _| case.samples.iter_mut().for_each(|sample| sample.label = 0),
            |case, _| case.samples.iter_mut().for_each(|sample| sample.t = 0.5),
        ];
        cases.extend(keys.iter().map(|set| {
            let mut case = self.clone();
            set(&mut case, &plain);
            case
        }));
        cases.retain(|case| case != self && case.validate().is_ok());
        cases
    }

    /// A network of this case.
    pub(super) fn network(&self, depth: usize) -> SitConfig {
        SitConfig {
            input_size: self.side(),
            patch_size: self.patch,
            in_channels: self.channels,
            hidden_size: self.width,
            depth,
            num_heads: self.heads,
            num_classes: self.classes,
            qk_norm: false,
            mlp_ratio: 2.0,
        }
    }

    /// Identities: B.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.samples.iter().map(|sample| sample.id).collect()
    }

    /// Times: B.
    pub(super) fn times(&self) -> Vec<f32> {
        self.samples.iter().map(|sample| sample.t).collect()
    }

    /// Labels before dropout: B.
    pub(super) fn labels(&self) -> Vec<i64> {
        self.samples.iter().map(|sample| sample.label).collect()
    }

    /// Labels after dropout: B.
    pub(super) fn dropped(&self) -> Vec<i64> {
        let null = self.classes as i64;
        let label = |sample: &Sample| if sample.dropped { null } else { sample.label };
        self.samples.iter().map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_survive_json_to_the_last_bit_of_a_time() {
        let mut case = Case::plain();
        case.samples[0].t = 0.4f32.next_down();
        let json = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&json).unwrap(), case);
        case.samples[0].t = 0.4;
        assert!(serde_json::json!(case).to_string().contains("\"t\":0.4,"));
    }

    #[test]
    fn should_name_the_key_that_no_step_can_have() {
        let mut case = Case::plain();
        case.samples[1].label = 2;
        assert!(case.validate().unwrap_err().to_string().contains("samples.1.label"));
        case.samples[1] = case.samples[0];
        assert!(case.validate().unwrap_err().to_string().contains("samples.1.id"));
    }

    #[test]
    fn should_become_plain_by_simpler_steps() {
        let mut case = Case {
            depth: 9,
            grid: 4,
            magnitude: 30.0,
            numbers: 7,
            ..Case::plain()
        };
        for _ in 0..100 {
            match case.simpler().into_iter().next() {
                Some(simpler) => case = simpler,
                None => break,
            }
        }
        assert_eq!(case, Case::plain().with_samples(vec![]));
    }
}
