//! The objective: the denoising loss of the network, and the losses of the sources beside it.

use burn::tensor::Tensor;
use sextant_guidance::SourceLoss;
use sextant_model::network::recompute::WayBack;

/// Terms of the objective that a pass computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Denoising and every active source: training.
    All,
    /// Denoising alone, weighted where a source says so.
    Denoising,
    /// The source at this place of [`SourceLoss`]es alone.
    Source(usize),
}

/// The losses of one pass, per sample, in the autodiff graph.
#[derive(Debug)]
pub struct Losses {
    /// Mean squared error of the network's output over C, H, W: `[B]`.
    pub denoising: Tensor<1>,
    /// Of each active source.
    pub guidance: Vec<SourceLoss>,
    /// `mean(weight * denoising) + sum of coefficient * mean(guidance)`, shape `[1]`, or some of these [`Terms`].
    pub total: Tensor<1>,
    /// The way back through the student, where it is computed again: backward from `total` ends at its tokens then.
    pub way: Option<WayBack>,
}

impl Losses {
    /// The total of some terms.
    pub fn new(denoising: Tensor<1>, guidance: Vec<SourceLoss>, terms: Terms) -> Self {
        let weighted = |source: &SourceLoss| source.loss.clone().mean() * source.coefficient;
        let denoised = || {
            let weights = guidance.iter().filter_map(|source| source.denoising_weight.clone());
            weights.fold(denoising.clone(), |loss, weight| loss * weight).mean()
        };
        let total = match terms {
            Terms::Source(i) => weighted(&guidance[i]),
            Terms::Denoising => denoised(),
            Terms::All => guidance.iter().fold(denoised(), |sum, source| sum + weighted(source)),
        };
        Self {
            denoising,
            guidance,
            total,
            way: None,
        }
    }
}

/// Mean over everything but the batch: `[B, C, H, W]` to `[B]`.
pub fn per_sample(squares: Tensor<4>) -> Tensor<1> {
    squares.flatten::<2>(1, 3).mean_dim(1).squeeze_dim(1)
}

/// Losses of a step, read from outside the graph.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// Per sample `[B]`.
    pub denoising: Tensor<1>,
    /// Name and loss per sample `[B]` of each active source.
    pub guidance: Vec<(String, Tensor<1>)>,
    /// Name and value `[1]` of each metric that a source returned, prefixed with the source's name.
    pub metrics: Vec<(String, Tensor<1>)>,
}

impl From<Losses> for StepOutput {
    fn from(losses: Losses) -> Self {
        let metrics = losses.guidance.iter().flat_map(|source| {
            let named = |metric: &str| format!("{}.{metric}", source.name);
            source.metrics.iter().map(move |(m, v)| (named(m), v.clone().inner()))
        });
        Self {
            denoising: losses.denoising.inner(),
            metrics: metrics.collect(),
            guidance: losses
                .guidance
                .into_iter()
                .map(|source| (source.name, source.loss.inner()))
                .collect(),
        }
    }
}

impl StepOutput {
    /// The outputs of a step's micro-batches as one: losses joined along the batch, metrics averaged.
    pub(super) fn joined(parts: Vec<Self>) -> Option<Self> {
        let count = parts.len() as f64;
        let mut parts = parts.into_iter();
        let mut all = parts.next()?;
        let join = |a: Tensor<1>, b: Tensor<1>| Tensor::cat(vec![a, b], 0);
        for part in parts {
            all.denoising = join(all.denoising, part.denoising);
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
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn tensor(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    #[test]
    fn the_terms_add_up_and_denoising_has_the_weights_of_the_sources() {
        let source = SourceLoss {
            name: "a".into(),
            coefficient: 0.5,
            loss: tensor([2.0, 4.0]),
            denoising_weight: Some(tensor([0.5, 2.0])),
            metrics: Vec::new(),
            buffers: Vec::new(),
        };
        let total = |terms| {
            let losses = Losses::new(tensor([1.0, 3.0]), vec![source.clone()], terms);
            losses.total.into_scalar::<f32>()
        };
        assert_eq!(total(Terms::Denoising), (0.5 * 1.0 + 2.0 * 3.0) / 2.0);
        assert_eq!(total(Terms::Source(0)), 0.5 * 3.0);
        assert_eq!(total(Terms::All), total(Terms::Denoising) + total(Terms::Source(0)));
    }

    #[test]
    fn micro_batches_join_their_losses_and_average_their_metrics() {
        let part = |value: f32| StepOutput {
            denoising: tensor([value, value + 1.0]),
            guidance: vec![("a".into(), tensor([value, value]))],
            metrics: vec![("a.ratio".into(), Tensor::from_data([value], &Device::flex()))],
        };
        let joined = StepOutput::joined(vec![part(1.0), part(3.0)]).unwrap();
        let read = |tensor: Tensor<1>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(read(joined.denoising), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(read(joined.guidance[0].1.clone()), [1.0, 1.0, 3.0, 3.0]);
        assert_eq!(read(joined.metrics[0].1.clone()), [2.0]);
    }
}
