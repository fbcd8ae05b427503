//! The exponential moving average of a network's parameters.

use std::collections::HashMap;

use burn::backend::DispatchTensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use sextant_recipe::Precision;

use super::sit::Sit;
use crate::ops::moved_average;

/// A copy of `sit` without autodiff, none of whose parameters is ever trained. It shares memory with the original until one
/// of the two changes, and its parameters' ids for good: never give both to one optimiser. It computes in f32, whatever `sit` does.
pub fn frozen_copy(sit: &Sit) -> Sit {
    sit.valid().no_grad().computing_in(Precision::F32)
}

/// `decay * ema + (1 - decay) * student`, for every parameter that is `meant`, the untrained position table too.
///
/// `ema` is a [`frozen_copy`] of a network of the student's geometry, on its device or another, changed in place where it is the only one. A parameter that the
/// student lacks stays as it is.
pub fn ema_update(ema: Sit, student: &Sit, decay: f64, meant: impl Fn(ParamId) -> bool) -> Sit {
    struct Average<F> {
        meant: F,
        values: HashMap<ParamId, DispatchTensor>,
        decay: f64,
    }
    impl<F: Fn(ParamId) -> bool> ModuleVisitor for Average<F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if (self.meant)(param.id) {
                let value = param.val().without_autodiff();
                self.values.insert(param.id, value.into_dispatch());
            }
        }
    }
    impl<F> ModuleMapper for Average<F> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(value) = self.values.remove(&param.id) else {
                return param;
            };
            let value = Tensor::<D>::from_dispatch(value);
            param.map(|ema| {
                let value = value.to_device(&ema.device());
                moved_average(ema, value, self.decay)
            })
        }
    }

    let values = HashMap::new();
    let mut average = Average { meant, values, decay };
    student.visit(&mut average);
    ema.map(&mut average)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{SitConfig, collect};
    use burn::tensor::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn network(seed: u64) -> Sit {
        let config = SitConfig::named("S/8", 8, 1, 2, true).unwrap();
        let config = SitConfig { depth: 1, ..config };
        let device = Device::flex().autodiff();
        Sit::init(&config, &mut ChaCha8Rng::seed_from_u64(seed), &device).unwrap()
    }

    #[test]
    fn should_average_every_parameter_without_tracking_it() {
        let (start, student) = (network(1), network(2));
        let (before, now) = (collect(&start), collect(&student));
        let ema = ema_update(frozen_copy(&start), &student, 0.75, |_| true);
        assert!(!ema.blocks[0].attn.qkv.weight.val().is_autodiff());
        for (name, found) in collect(&ema) {
            let wanted = before[&name].iter::<f32>().zip(now[&name].iter::<f32>());
            for (found, (ema, p)) in found.iter::<f32>().zip(wanted) {
                assert!((found - (ema * 0.75 + p * 0.25)).abs() <= 1e-7, "{name}");
            }
        }
        assert_eq!(collect(&start), before);
    }

    #[test]
    fn should_stay_frozen_even_when_training_is_switched_on() {
        let ema = frozen_copy(&network(1)).train();
        assert!(!ema.blocks[0].attn.qkv.weight.val().is_require_grad());
    }
}
