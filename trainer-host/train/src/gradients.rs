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

/// The sum of squares of the gradient of each parameter that has one, `[1]`, in the order of the module.
pub type Squares = Vec<(ParamId, Tensor<1>)>;

/// Those of the gradients of `module`; nothing is read back.
pub fn squares(module: &impl Module, grads: &GradientsParams) -> Squares {
    struct Squared<'a> {
        grads: &'a GradientsParams,
        squares: Squares,
    }
    impl ModuleVisitor for Squared<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.grads.get::<D>(param.id) {
                self.squares.push((param.id, square_sum(grad)));
            }
        }
    }
    let squares = Squares::new();
    let mut squared = Squared { grads, squares };
    module.visit(&mut squared);
    squared.squares
}

/// Norm of all gradients of `module`, of shape `[1]`; nothing is read back.
pub fn norm(module: &impl Module, grads: &GradientsParams) -> Option<Tensor<1>> {
    let squares = squares(module, grads).into_iter().map(|(_, square)| square);
    squares.reduce(|sum, square| sum + square).map(Tensor::sqrt)
}

/// The factor on all gradients of `module`, whose `squares` these are and whose loss was scaled by `scale`, with which they are those of
/// the loss and their joint norm is at most `limit`, `[1]`: min(1, limit / (norm + 1e-6)) / scale, as PyTorch's `unscale_` and
/// `clip_grad_norm_`. Before it, the norms without it.
pub fn clip(module: &TrainModule, squares: Squares, limit: f64, scale: f64) -> Option<(Norms, Tensor<1>)> {
    let owners = module.sources.owners();
    let mut total: Option<Tensor<1>> = None;
    let mut sources: BTreeMap<&String, Tensor<1>> = BTreeMap::new();
    let add = |sum: Option<Tensor<1>>, square: &Tensor<1>| match sum {
        Some(sum) => sum + square.clone(),
        None => square.clone(),
    };
    for (id, square) in &squares {
        if let Some(source) = owners.get(id) {
            let sum = add(sources.remove(source), square);
            sources.insert(source, sum);
        }
        total = Some(add(total, square));
    }
    let norm = |square: Tensor<1>| square.sqrt() / scale;
    let all = norm(total?);
    let factor = (all.clone() + 1e-6).recip().mul_scalar(limit).clamp_max(1.0) / scale;
    let sources = sources
        .into_iter()
        .map(|(name, square)| (name.clone(), norm(square)))
        .collect();
    Some((Norms { all, sources }, factor))
}
