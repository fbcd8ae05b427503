//! What is trained: the student and the sources' parameters, nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{ExecutionError, Int, Tensor, TensorData};
use burn::train::metric::Adaptor;
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};

use super::scalars::Scalars;
use super::{Losses, StepInput, Terms};
use sextant_model::diffusion::{Path, Prediction};
use sextant_model::device::panic_text;
use sextant_guidance::SourceParams;
use sextant_model::Sit;

/// The model that burn-train sees.
#[derive(Module, Debug)]
pub struct Trainee {
    /// The network.
    pub student: Sit,
    /// Projectors and whatever else the sources declared; dropped after training.
    pub sources: SourceParams,
}

/// Losses of one micro-batch, read from outside the graph.
#[derive(Debug, Default)]
pub struct StepOutput {
    /// Per sample `[B]`; none if the step failed.
    pub denoising: Option<Tensor<1>>,
    /// Name and loss per sample `[B]` of each active source.
    pub guidance: Vec<(String, Tensor<1>)>,
    /// Name and value `[1]` of each metric that a source returned, prefixed with the source's name.
    pub metrics: Vec<(String, Tensor<1>)>,
    /// Means for burn-train's metrics; filled when the log is written.
    pub scalars: Scalars,
}

impl ItemLazy for StepOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Scalars> for StepOutput {
    fn adapt(&self) -> Scalars {
        self.scalars.clone()
    }
}

impl TrainStep for Trainee {
    type Input = StepInput;
    type Output = StepOutput;

    /// Forward and backward of one micro-batch. A failure stays in the replica, where the strategy finds it;
    /// the gradients are then empty.
    fn step(&self, input: StepInput) -> TrainOutput<StepOutput> {
        let mut replica = input.replica.lock().unwrap_or_else(|e| e.into_inner());
        let pass = catch_unwind(AssertUnwindSafe(|| {
            let losses = replica
                .losses(self, &input.data, Terms::All)
                .map_err(|e| e.to_string())?;
            let started = Instant::now();
            let mut grads = self.gradients(losses.total.clone() * input.scale);
            // burn skips a parameter without gradient, and AdamW's moments would stall where PyTorch's do not.
            let active = replica.active_names(input.data.step);
            self.sources
                .zero_missing_gradients(&mut grads, |name| active.iter().any(|a| a == name));
            replica.seconds.backward += started.elapsed().as_secs_f64();
            Ok((grads, StepOutput::of(losses)))
        }));
        let result = pass.unwrap_or_else(|panic| Err(format!("the backend failed: {}", panic_text(panic.as_ref()))));
        match result {
            Ok((grads, item)) => TrainOutput { grads, item },
            Err(reason) => {
                replica.fail(reason);
                TrainOutput {
                    grads: GradientsParams::new(),
                    item: StepOutput::default(),
                }
            }
        }
    }
}

impl StepOutput {
    fn of(losses: Losses) -> Self {
        let named = |name: &str, metric: &str| format!("{name}.{metric}");
        Self {
            denoising: Some(losses.denoising.inner()),
            metrics: losses
                .guidance
                .iter()
                .flat_map(|s| s.metrics.iter().map(|(m, v)| (named(&s.name, m), v.clone().inner())))
                .collect(),
            guidance: losses
                .guidance
                .into_iter()
                .map(|source| (source.name, source.loss.inner()))
                .collect(),
            scalars: Scalars::default(),
        }
    }

    /// The outputs of a step's micro-batches as one: losses joined along the batch, metrics averaged.
    pub(super) fn joined(parts: Vec<Self>) -> Self {
        let count = parts.len() as f64;
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            let join = |a: Tensor<1>, b: Tensor<1>| Tensor::cat(vec![a, b], 0);
            all.denoising = match (all.denoising, part.denoising) {
                (Some(a), Some(b)) => Some(join(a, b)),
                (a, b) => a.or(b),
            };
            for ((_, a), (_, b)) in all.guidance.iter_mut().zip(part.guidance) {
                *a = join(a.clone(), b);
            }
            for ((_, a), (_, b)) in all.metrics.iter_mut().zip(part.metrics) {
                *a = a.clone() + b;
            }
        }
        for (_, metric) in &mut all.metrics {
            *metric = metric.clone() / count;
        }
        all
    }
}

impl Trainee {
    fn gradients(&self, loss: Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), self)
    }

    /// Norm of the gradient of some terms of the objective with respect to the student alone: `[1]`.
    ///
    /// # Errors
    /// What a source reports.
    pub fn trunk_norm(&self, input: &StepInput, terms: Terms) -> Result<Option<Tensor<1>>, String> {
        let mut replica = input.replica.lock().unwrap_or_else(|e| e.into_inner());
        let losses = replica.losses(self, &input.data, terms).map_err(|e| e.to_string())?;
        // A source whose loss is a constant at this step pulls at nothing.
        if !losses.total.is_tracked() {
            return Ok(None);
        }
        let grads = self.gradients(losses.total);
        Ok(super::gradients::norm(&self.student, &grads))
    }
}

/// A part of the fixed validation set.
#[derive(Clone, Debug)]
pub struct ValidationBatch {
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// Clean latents.
    pub x: Vec<f32>,
    /// Noise.
    pub noise: Vec<f32>,
    /// Times.
    pub t: Vec<f32>,
    /// Labels, none dropped.
    pub labels: Vec<i64>,
    /// The path of the training.
    pub path: Path,
    /// What the network predicts.
    pub prediction: Prediction,
}

impl InferenceStep for Trainee {
    type Input = ValidationBatch;
    type Output = StepOutput;

    /// Denoising loss per sample, without gradients.
    fn step(&self, batch: ValidationBatch) -> StepOutput {
        let device = self.student.pos_embed.device().inner();
        let images = |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, batch.shape), &device);
        let count = [batch.shape[0]];
        let (x, noise) = (images(batch.x), images(batch.noise));
        let (x_t, _) = batch.path.interpolate(x.clone(), noise.clone(), &batch.t);
        let target = batch.prediction.target(batch.path, x, noise, &batch.t);
        let t = Tensor::from_data(TensorData::new(batch.t, count), &device);
        let labels = Tensor::<1, Int>::from_data(TensorData::new(batch.labels, count), &device);
        let output = self.student.forward(x_t, t, labels, &[]).velocity;
        StepOutput {
            denoising: Some(super::replica::per_sample((output - target).square())),
            ..StepOutput::default()
        }
    }
}
