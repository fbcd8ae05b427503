//! One optimiser step: the mean gradient over micro-batches, one clip over all parameters, AdamW, moving average.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::train::Learner;

use super::schedule::ema_decay;
use super::{Replica, StepInput, StepOutput, Trainee, gradients};
use sextant_model::ema_update;
use sextant_recipe::OptimiserRecipe;

/// What a step left beside the new weights.
pub struct Updated {
    /// Losses of the step, before the update.
    pub output: StepOutput,
    /// Norm of all gradients before clipping, `[1]`.
    pub norm: Tensor<1>,
    /// Wall time of the step.
    pub seconds: f64,
}

/// Does optimiser step `step`, counted from 0, on a batch.
///
/// # Errors
/// The reason why a source or the backend failed; nothing has changed then.
pub fn update(
    learner: &mut Learner<Trainee>,
    input: &StepInput,
    optimiser: &OptimiserRecipe,
    step: u64,
) -> Result<Updated, String> {
    let started = Instant::now();
    let (mut grads, output) = accumulate(learner, input, optimiser.accumulation)?;
    let updating = Instant::now();
    let norm =
        gradients::clip(&learner.model(), &mut grads, optimiser.max_grad_norm).ok_or("no parameter has a gradient")?;
    learner.lr_step();
    learner.optimizer_step(grads);
    let decay = ema_decay(optimiser.ema_decay, optimiser.ema_warmup, step);
    let mut replica = lock(&input.replica);
    replica.ema = ema_update(replica.ema.clone(), &learner.model().student, decay);
    replica.commit();
    replica.release_idle(step + 1);
    replica.seconds.update += updating.elapsed().as_secs_f64();
    let seconds = started.elapsed().as_secs_f64();
    replica.seconds.step += seconds;
    Ok(Updated { output, norm, seconds })
}

/// The gradient of the batch's mean loss, from its micro-batches.
fn accumulate(
    learner: &Learner<Trainee>,
    input: &StepInput,
    parts: usize,
) -> Result<(GradientsParams, StepOutput), String> {
    let size = input.data.shape[0] / parts;
    let model = learner.model();
    let mut accumulator = GradientsAccumulator::new();
    let mut outputs = Vec::with_capacity(parts);
    for part in 0..parts {
        let micro = StepInput {
            data: input.data.part(part * size, size),
            replica: input.replica.clone(),
            scale: 1.0 / parts as f64,
        };
        let out = learner.train_step(micro);
        if let Some(reason) = lock(&input.replica).take_error() {
            return Err(reason);
        }
        accumulator.accumulate(&model, out.grads);
        outputs.push(out.item);
    }
    Ok((accumulator.grads(), StepOutput::joined(outputs)))
}

fn lock(replica: &Arc<Mutex<Replica>>) -> std::sync::MutexGuard<'_, Replica> {
    replica.lock().unwrap_or_else(|e| e.into_inner())
}
