//! The keys of a recipe, with their defaults.

use serde::{Deserialize, Serialize};

use super::{
    ComputeRecipe, Convention, DataConfig, Import, Init, KeyError, Path, Prediction, QualityRecipe,
    RepresentationsRecipe, SamplerConfig, SourceConfig, TargetEncoder, TimeSampling, Weights,
};

/// A whole recipe, defaults filled in. It is written beside the results and runs again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// Name of the run in tables and reports.
    #[serde(default = "untitled")]
    pub title: String,
    /// Seed of everything that is drawn: weights, batches, times, noise, dropped labels.
    #[serde(default, with = "super::seed")]
    pub seed: u64,
    /// The data set.
    pub data: DataConfig,
    /// Frozen encoder whose features become the batch field `features`; none if absent.
    #[serde(default)]
    pub encoder: Option<TargetEncoder>,
    /// The network.
    pub model: ModelRecipe,
    /// Path, prediction and times.
    #[serde(default)]
    pub diffusion: DiffusionRecipe,
    /// Optimiser, batch and moving average.
    #[serde(default)]
    pub optimiser: OptimiserRecipe,
    /// Precision and memory of a step.
    #[serde(default)]
    pub compute: ComputeRecipe,
    /// Trainings, one after another; the last is the one that is compared.
    pub phases: Vec<Phase>,
    /// Measurements.
    #[serde(default)]
    pub evaluation: EvaluationRecipe,
    /// Files that are written, and how often.
    #[serde(default)]
    pub output: OutputRecipe,
    /// Devices or processes that share each batch, where there are several.
    #[serde(default)]
    pub ranks: RanksRecipe,
}

fn untitled() -> String {
    "untitled".into()
}

/// The network's geometry. Input size, channels and classes come from the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelRecipe {
    /// A published size, such as `"B/2"`; then depth, width, heads and patch need not be given.
    #[serde(default)]
    pub size: Option<String>,
    /// Side of a patch.
    #[serde(default)]
    pub patch_size: Option<usize>,
    /// Width D of the tokens.
    #[serde(default)]
    pub hidden_size: Option<usize>,
    /// Number of blocks.
    #[serde(default)]
    pub depth: Option<usize>,
    /// Attention heads.
    #[serde(default)]
    pub num_heads: Option<usize>,
    /// Width of the MLPs over D.
    #[serde(default = "mlp_ratio")]
    pub mlp_ratio: f64,
    /// LayerNorm on queries and keys (REPA: off; Self-Transcendence: on).
    #[serde(default)]
    pub qk_norm: bool,
}

fn mlp_ratio() -> f64 {
    4.0
}

/// The diffusion that is trained.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct DiffusionRecipe {
    /// Interpolant between data (t = 0) and noise (t = 1).
    pub path: Path,
    /// Quantity that the network predicts.
    pub prediction: Prediction,
    /// Distribution of the times.
    pub time: TimeSampling,
    /// Probability that a label becomes the null class.
    pub label_dropout: f64,
}

impl Default for DiffusionRecipe {
    fn default() -> Self {
        Self {
            path: Path::Linear,
            prediction: Prediction::Velocity,
            time: TimeSampling::Uniform,
            label_dropout: 0.1,
        }
    }
}

/// AdamW and what surrounds it. The defaults are the published ones, but for the average's warm-up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct OptimiserRecipe {
    /// Learning rate after the warm-up, from where the schedule goes on.
    pub lr: f64,
    /// Course of the learning rate from the warm-up's end to the phase's.
    pub schedule: LrSchedule,
    /// Learning rate at the phase's end, of the schedules that fall.
    pub final_lr: f64,
    /// Steps over which the learning rate rises linearly from 0.
    pub warmup_steps: u64,
    /// Decay rates of the two moments.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Ends of the published names of parameters that have no weight decay, such as `bias` or `pos_embed`.
    pub no_decay: Vec<String>,
    /// Largest global gradient norm over all trained parameters; larger ones are scaled down to it.
    pub max_grad_norm: f64,
    /// Samples of an optimiser step.
    pub batch: usize,
    /// Parts into which a step's batch is cut, to save memory; the gradient is their mean.
    pub accumulation: usize,
    /// Decay of the moving average of the weights, after every optimiser step.
    pub ema_decay: f64,
    /// Raise the decay slowly, min(decay, (1+s)/(10+s)), so that the average of a short training is not mostly its initial weights.
    pub ema_warmup: bool,
    /// Decays of further moving averages; each is a file of every checkpoint.
    pub further_ema_decays: Vec<f64>,
}

/// Course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrSchedule {
    /// It stays.
    #[default]
    Constant,
    /// Half a period of a cosine down to the final rate (SGDR, arXiv 1608.03983, eq. 5, without restarts).
    Cosine,
    /// A straight line down to the final rate.
    Linear,
}

impl Default for OptimiserRecipe {
    fn default() -> Self {
        Self {
            lr: 1e-4,
            schedule: LrSchedule::default(),
            final_lr: 0.0,
            warmup_steps: 0,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            no_decay: Vec::new(),
            max_grad_norm: 1.0,
            batch: 256,
            accumulation: 1,
            ema_decay: 0.9999,
            ema_warmup: true,
            further_ema_decays: Vec::new(),
        }
    }
}

/// One training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// Its name, unique in the recipe; checkpoints lie in a folder of this name.
    pub name: String,
    /// Optimiser steps.
    pub steps: u64,
    /// Source of the student's weights.
    #[serde(default)]
    pub init: Init,
    /// The frozen network that sources may ask for.
    #[serde(default)]
    pub teacher: Option<TeacherRecipe>,
    /// Train with labels that have changed places among the training images, once and for all: a control.
    #[serde(default)]
    pub shuffle_labels: bool,
    /// Guidance sources; their losses add up.
    #[serde(default)]
    pub guidance: Vec<SourceConfig>,
}

/// The frozen network of a phase: that of an earlier phase, or of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TeacherRecipe {
    /// Name of the earlier phase.
    pub phase: Option<String>,
    /// A file of weights, or the folder of a run's checkpoint.
    pub from: Option<String>,
    /// Weights of it that are taken, by default the trained ones, as the released Self-Transcendence trainer does.
    pub weights: Option<Weights>,
    /// The convention of a file that does not tell.
    pub convention: Option<Convention>,
}

impl TeacherRecipe {
    /// The file, where it is one.
    pub fn import(&self) -> Option<Import> {
        Some(Import {
            from: self.from.clone()?,
            weights: self.weights,
            convention: self.convention,
        })
    }
}

/// Measurements of the last phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct EvaluationRecipe {
    /// Steps between two validations; 0 for one at the end.
    pub every: u64,
    /// Held-out images in the fixed validation set.
    pub images: usize,
    /// Fixed times for each of them, spread evenly over (0, 1).
    pub times: usize,
    /// Images in the sample grid.
    pub samples: usize,
    /// Columns of the grid.
    pub columns: usize,
    /// Settings for drawing them, from the moving average.
    pub sampler: SamplerConfig,
    /// The one score that decides a comparison over seeds, named before the run.
    pub primary: Score,
    /// Scores of samples by judges; none without this section.
    pub quality: Option<QualityRecipe>,
    /// Probes and pictures of representations; none without this section.
    pub representations: Option<RepresentationsRecipe>,
}

/// A score by which variants are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Denoising loss on the fixed validation set after the last step; lower is better.
    #[default]
    ValidationLoss,
    /// Kernel distance of samples to the data by the first judge, at each run's chosen scale of classifier-free guidance; lower is
    /// better.
    KernelDistance,
    /// Frechet distance, likewise.
    FrechetDistance,
}

impl Score {
    /// True if judges have to score samples for it.
    pub fn needs_judges(self) -> bool {
        self != Self::ValidationLoss
    }

    /// As a recipe writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::ValidationLoss => "validation-loss",
            Self::KernelDistance => "kernel-distance",
            Self::FrechetDistance => "frechet-distance",
        }
    }
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self {
            every: 0,
            images: 128,
            times: 8,
            samples: 36,
            columns: 9,
            sampler: SamplerConfig::default(),
            primary: Score::default(),
            quality: None,
            representations: None,
        }
    }
}

/// Files that a run writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct OutputRecipe {
    /// Steps between two lines of `metrics.jsonl`; each is the mean over the steps since the last.
    pub log_every: u64,
    /// Steps between two measurements of each source's share of the trunk's gradient norm, which cost
    /// another forward and backward pass for each source; 0 for never.
    pub share_every: u64,
    /// Steps between two grids of samples, from the moving average and from the trained weights; 0 for none but the last.
    pub samples_every: u64,
    /// Steps between two checkpoints; 0 for one at the end of each phase.
    pub checkpoint_every: u64,
    /// Checkpoints kept of each phase.
    pub keep: usize,
}

impl Default for OutputRecipe {
    fn default() -> Self {
        Self {
            log_every: 25,
            share_every: 100,
            samples_every: 0,
            checkpoint_every: 500,
            keep: 2,
        }
    }
}

/// Ranks: devices or processes that share each batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RanksRecipe {
    /// The samples that a source sees which couples those of a batch.
    pub coupled: Coupled,
    /// Seconds after which a rank that does not answer is lost, and the run ends.
    pub patience: u64,
    /// Each rank has the moments and moving averages of a part of the parameters, and not all of them.
    pub sharded: bool,
    /// Devices of one machine, a rank each, where the command line names none.
    pub devices: Vec<String>,
}

/// The samples that are coupled, where a batch lies on several ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coupled {
    /// Those of one rank's micro-batch.
    #[default]
    Local,
    /// Those of all ranks.
    Gathered,
}

impl Default for RanksRecipe {
    fn default() -> Self {
        Self {
            coupled: Coupled::default(),
            patience: 600,
            sharded: false,
            devices: Vec::new(),
        }
    }
}

impl RanksRecipe {
    fn validate(&self) -> Result<(), KeyError> {
        whole("ranks.patience", self.patience, 1, 1_000_000)?;
        if let Some(place) = self.devices.iter().position(String::is_empty) {
            return Err(KeyError(format!(
                "ranks.devices.{place} is empty; it names a device, such as \"cuda:0\""
            )));
        }
        match self.coupled {
            Coupled::Local => Ok(()),
            Coupled::Gathered => Err(KeyError(
                "ranks.coupled is \"gathered\": tokens of other ranks would need a collective with gradients, which there is not; with \
                 \"local\" a source that couples samples sees those of its rank's micro-batch"
                    .into(),
            )),
        }
    }
}

impl Recipe {
    /// Checks what types cannot: ranges, names, references between phases.
    ///
    /// # Errors
    /// Names the key at fault and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        self.data.validate()?;
        self.model.validate()?;
        self.diffusion.validate()?;
        self.optimiser.validate()?;
        self.evaluation.validate()?;
        self.ranks.validate()?;
        let output = &self.output;
        at_least("output.log_every", output.log_every, 1)?;
        at_least("output.keep", output.keep as u64, 1)?;
        if self.phases.is_empty() {
            return Err(KeyError(
                "phases is empty: a recipe needs at least one [[phases]] table with name and steps".into(),
            ));
        }
        for (i, phase) in self.phases.iter().enumerate() {
            self.validate_phase(i, phase)?;
        }
        Ok(())
    }

    /// Checks that a checkpoint of this recipe's holds these weights.
    ///
    /// # Errors
    /// Says which averages there are.
    pub fn kept(&self, weights: Weights) -> Result<(), KeyError> {
        let decays = &self.optimiser.further_ema_decays;
        match weights {
            Weights::FurtherEma(decay) if !decays.contains(&decay) => {
                let there = decays.iter().map(|decay| format!(", {}", Weights::FurtherEma(*decay)));
                Err(KeyError(format!(
                    "there is no moving average {weights}; there are model, ema{} (optimiser.further_ema_decays adds more)",
                    there.collect::<String>()
                )))
            }
            _ => Ok(()),
        }
    }

    fn validate_teacher(&self, teacher: &TeacherRecipe, earlier: &[&str]) -> Result<(), KeyError> {
        let TeacherRecipe {
            phase,
            from,
            weights,
            convention,
        } = teacher;
        let phase = match (phase, from, teacher.import()) {
            (None, Some(_), Some(import)) => return import.validate().map_err(|e| KeyError(format!(".{}", e.0))),
            (Some(phase), None, _) => phase,
            _ => {
                return Err(KeyError(
                    " needs either phase, the name of an earlier one, or from, a file of weights".into(),
                ));
            }
        };
        if !earlier.contains(&phase.as_str()) {
            return Err(KeyError(format!(
                ".phase is {phase:?}, which is not an earlier phase; earlier are: [{}]",
                earlier.join(", ")
            )));
        }
        if convention.is_some() {
            return Err(KeyError(
                ".convention is for a file of weights; a phase's network has Sextant's own".into(),
            ));
        }
        self.kept(weights.unwrap_or_default())
            .map_err(|e| KeyError(format!(".weights: {e}")))
    }

    fn validate_phase(&self, i: usize, phase: &Phase) -> Result<(), KeyError> {
        let earlier: Vec<&str> = self.phases[..i].iter().map(|p| p.name.as_str()).collect();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if phase.name.is_empty() || !phase.name.chars().all(plain) {
            return Err(KeyError(format!(
                "phases.{i}.name is {:?}: use letters, digits, - and _, since it names a folder",
                phase.name
            )));
        }
        if earlier.contains(&phase.name.as_str()) {
            return Err(KeyError(format!("phases.{i}.name: {:?} is there twice", phase.name)));
        }
        whole(&format!("phases.{i}.steps"), phase.steps, 1, MOST_STEPS)?;
        if phase.init == Init::Continue && i == 0 {
            return Err(KeyError(
                "phases.0.init is \"continue\", but no phase is before it; use \"fresh\"".into(),
            ));
        }
        if let Init::File(file) = &phase.init {
            file.import()
                .validate()
                .map_err(|e| e.within(&format!("phases.{i}.init")))?;
        }
        if let Some(teacher) = &phase.teacher {
            self.validate_teacher(teacher, &earlier)
                .map_err(|e| KeyError(format!("phases.{i}.teacher{}", e.0)))?;
        }
        for (j, source) in phase.guidance.iter().enumerate() {
            source
                .validate()
                .map_err(|e| KeyError(format!("phases.{i}.guidance.{j}.{e}")))?;
        }
        Ok(())
    }
}

/// More steps than any training has, and few enough that products with the batch are whole numbers of 64 bits.
const MOST_STEPS: u64 = 1_000_000_000_000;

/// The smallest and the largest of numbers that computations in f32 neither lose nor turn into infinity.
const F32_RANGE: [f64; 2] = [1e-30, 1e30];

fn at_least(key: &str, value: u64, least: u64) -> Result<(), KeyError> {
    if value < least {
        return Err(KeyError(format!("{key} is {value}; it must be at least {least}")));
    }
    Ok(())
}

/// Refuses a whole number outside `low..=high`: what lies above is a slip of the pen that would only end in memory.
pub(crate) fn whole(key: &str, value: u64, low: u64, high: u64) -> Result<(), KeyError> {
    if !(low..=high).contains(&value) {
        return Err(KeyError(format!(
            "{key} is {value}; it must be a whole number from {low} to {high}"
        )));
    }
    Ok(())
}

fn within(key: &str, value: f64, low: f64, high: f64) -> Result<(), KeyError> {
    if !(low..=high).contains(&value) {
        return Err(KeyError(format!(
            "{key} is {value:?}; it must be a number from {low:?} to {high:?}"
        )));
    }
    Ok(())
}

impl ModelRecipe {
    fn validate(&self) -> Result<(), KeyError> {
        for (key, value, most) in [
            ("model.patch_size", self.patch_size, 4096),
            ("model.hidden_size", self.hidden_size, 65_536),
            ("model.depth", self.depth, 1000),
            ("model.num_heads", self.num_heads, 65_536),
        ] {
            value.map_or(Ok(()), |value| whole(key, value as u64, 1, most))?;
        }
        within("model.mlp_ratio", self.mlp_ratio, 1e-3, 1e3)
    }
}

impl DiffusionRecipe {
    fn validate(&self) -> Result<(), KeyError> {
        within("diffusion.label_dropout", self.label_dropout, 0.0, 1.0)
    }
}

impl OptimiserRecipe {
    fn validate(&self) -> Result<(), KeyError> {
        let [least, most] = F32_RANGE;
        within("optimiser.lr", self.lr, 0.0, 1e3)?;
        for (i, beta) in self.betas.into_iter().enumerate() {
            // AdamW divides by 1 - beta^step, in f32.
            if !(0.0..1.0).contains(&(beta as f32)) || beta < 0.0 {
                return Err(KeyError(format!(
                    "optimiser.betas.{i} is {beta:?}; it must be a number from 0 to below 1, such as 0.999"
                )));
            }
        }
        within("optimiser.eps", self.eps, least, 1.0)?;
        within("optimiser.weight_decay", self.weight_decay, 0.0, 1e3)?;
        within("optimiser.max_grad_norm", self.max_grad_norm, least, most)?;
        within("optimiser.ema_decay", self.ema_decay, 0.0, 1.0)?;
        within("optimiser.final_lr", self.final_lr, 0.0, 1e3)?;
        for (i, decay) in self.further_ema_decays.iter().enumerate() {
            within(&format!("optimiser.further_ema_decays.{i}"), *decay, 0.0, 1.0)?;
            if self.further_ema_decays[..i].contains(decay) {
                return Err(KeyError(format!("optimiser.further_ema_decays names {decay} twice")));
            }
        }
        whole("optimiser.batch", self.batch as u64, 1, 1_000_000)?;
        whole("optimiser.accumulation", self.accumulation as u64, 1, 1_000_000)?;
        if !self.batch.is_multiple_of(self.accumulation) {
            return Err(KeyError(format!(
                "optimiser.accumulation is {}, which does not divide optimiser.batch = {}",
                self.accumulation, self.batch
            )));
        }
        Ok(())
    }
}

impl EvaluationRecipe {
    fn validate(&self) -> Result<(), KeyError> {
        at_least("evaluation.images", self.images as u64, 1)?;
        whole("evaluation.times", self.times as u64, 1, 1000)?;
        whole("evaluation.samples", self.samples as u64, 1, 1_000_000)?;
        at_least("evaluation.columns", self.columns as u64, 1)?;
        if self.primary.needs_judges() && self.quality.is_none() {
            return Err(KeyError(format!(
                "evaluation.primary is \"{}\", but no judge scores samples: add a section [evaluation.quality], or use \
                 \"validation-loss\"",
                self.primary.key()
            )));
        }
        if let Some(quality) = &self.quality {
            quality.validate().map_err(|e| e.within("evaluation.quality"))?;
        }
        if let Some(representations) = &self.representations {
            let checked = representations.validate();
            checked.map_err(|e| e.within("evaluation.representations"))?;
        }
        self.sampler.validate().map_err(|e| e.within("evaluation.sampler"))
    }
}
