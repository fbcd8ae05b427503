//! One clip over all parameters, and norms of parts of them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use sextant_model::ops::square_sum;

use super::worker::TrainModule;

/// Norms of a step's gradients before clipping, each `[1]`.
#[derive(Clone, Debug)]
pub struct Norms {
    /// Of all parameters.
    pub all: Tensor<1>,
    /// Of the parameters of each source alone: name and norm.
    pub sources: Vec<(String, Tensor<1>)>,
}

/// Norm of all gradients of `module`, of shape `[1]`; nothing is read back.
pub fn norm(module: &impl Module, grads: &GradientsParams) -> Option<Tensor<1>> {
    let mut visitor = SquaredNorm::new(grads);
    module.visit(&mut visitor);
    visitor.total.map(Tensor::sqrt)
}

/// The factor on all gradients of `module`, of a loss that was scaled by `scale`, with which they are those of the loss and their joint
/// norm is at most `limit`, `[1]`: min(1, limit / (norm + 1e-6)) / scale, as PyTorch's `unscale_` and `clip_grad_norm_`. Before it, the norms without it.
pub fn clip(module: &TrainModule, grads: &GradientsParams, limit: f64, scale: f64) -> Option<(Norms, Tensor<1>)> {
    let mut visitor = SquaredNorm::new(grads);
    visitor.owners = module.sources.owners();
    module.visit(&mut visitor);
    let SquaredNorm { total, sources, .. } = visitor;
    let norm = |square: Tensor<1>| square.sqrt() / scale;
    let all = norm(total?);
    let factor = (all.clone() + 1e-6).recip().mul_scalar(limit).clamp_max(1.0) / scale;
    let sources = sources.into_iter().map(|(name, square)| (name, norm(square)));
    let sources = sources.collect();
    Some((Norms { all, sources }, factor))
}

struct SquaredNorm<'a> {
    grads: &'a GradientsParams,
    /// The source that a parameter belongs to.
    owners: BTreeMap<ParamId, String>,
    total: Option<Tensor<1>>,
    sources: BTreeMap<String, Tensor<1>>,
}

impl<'a> SquaredNorm<'a> {
    fn new(grads: &'a GradientsParams) -> Self {
        Self {
            grads,
            owners: BTreeMap::new(),
            total: None,
            sources: BTreeMap::new(),
        }
    }
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = square_sum(grad);
            if let Some(source) = self.owners.get(&param.id) {
                let sum = match self.sources.remove(source) {
                    Some(sum) => sum + square.clone(),
                    None => square.clone(),
                };
                self.sources.insert(source.clone(), sum);
            }
            self.total = Some(match self.total.take() {
                Some(total) => total + square,
                None => square,
            });
        }
    }
}
