//! One clip over all parameters, and norms of parts of them.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Norm of all gradients of `module`, of shape `[1]`; nothing is read back.
pub fn norm(module: &impl Module, grads: &GradientsParams) -> Option<Tensor<1>> {
    let mut visitor = SquaredNorm { grads, total: None };
    module.visit(&mut visitor);
    visitor.total.map(Tensor::sqrt)
}

/// Scales all gradients of `module` so that their joint norm is at most `limit`, as PyTorch's
/// `clip_grad_norm_` does: by min(1, limit / (norm + 1e-6)). Answers the norm before, of shape `[1]`.
pub fn clip(module: &impl Module, grads: &mut GradientsParams, limit: f64) -> Option<Tensor<1>> {
    let norm = norm(module, grads)?;
    let factor = (norm.clone() + 1e-6).recip().mul_scalar(limit).clamp_max(1.0);
    module.visit(&mut Scale { grads, factor });
    Some(norm)
}

struct SquaredNorm<'a> {
    grads: &'a GradientsParams,
    total: Option<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let square = grad.square().sum();
            self.total = Some(match self.total.take() {
                Some(total) => total + square,
                None => square,
            });
        }
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            let factor = self.factor.clone().reshape([1; D]);
            self.grads.register::<D>(param.id, grad * factor);
        }
    }
}
