//! AdamW over all that is trained.

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use sextant_model::ops::{AdamStep, adam_step};
use sextant_model::parameter_ids;
use sextant_recipe::OptimiserRecipe;

use super::moments::{Moment, Moments};
use super::worker::TrainModule;

/// AdamW (arXiv 1711.05101) with its state. burn's is as many passes over all weights as the formula has terms; this is one.
#[derive(Debug)]
pub struct AdamW {
    betas: [f32; 2],
    eps: f32,
    weight_decay: f64,
    /// Parameters without weight decay.
    undecayed: HashSet<ParamId>,
    /// The moments of every parameter that has had a gradient.
    pub moments: Moments,
}

impl AdamW {
    /// AdamW before its first step; without weight decay where the recipe says so.
    pub fn new(recipe: &OptimiserRecipe, module: &TrainModule) -> Self {
        let undecayed = parameter_ids(module, |name| recipe.no_decay.iter().any(|end| name.ends_with(end)));
        Self {
            betas: recipe.betas.map(|beta| beta as f32),
            eps: recipe.eps as f32,
            weight_decay: f64::from(recipe.weight_decay as f32),
            undecayed: undecayed.into_iter().collect(),
            moments: Moments::default(),
        }
    }

    /// Moves every parameter that has a gradient, here times `factor`, `[1]`. A parameter without one stays, and so do its moments.
    pub fn step(&mut self, module: TrainModule, gradients: GradientsParams, factor: Tensor<1>, lr: f64) -> TrainModule {
        module.map(&mut Step {
            adamw: self,
            gradients,
            factor,
            lr,
        })
    }
}

struct Step<'a> {
    adamw: &'a mut AdamW,
    gradients: GradientsParams,
    factor: Tensor<1>,
    lr: f64,
}

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let adamw = &mut *self.adamw;
        let moment = adamw.moments.take(param.id);
        let moment = moment.unwrap_or_else(|| Moment::zeros(gradient.dims(), &gradient.device()));
        let time = moment.time + 1;
        let step = AdamStep {
            lr: self.lr,
            weight_decay: if adamw.undecayed.contains(&param.id) {
                0.0
            } else {
                adamw.weight_decay
            },
            betas: adamw.betas,
            eps: adamw.eps,
            time,
        };
        let (id, value, mapper) = param.consume();
        let (trained, strategy) = (value.is_require_grad(), value.gradient_checkpointing_strategy());
        let factor = self.factor.clone();
        let (value, moments) = adam_step(value.inner(), gradient, factor, moment.tensors(), step);
        adamw.moments.put(id, Moment::new(moments, time));
        let mut value = Tensor::from_inner(value);
        if let Some(strategy) = strategy {
            value = value.with_gradient_checkpointing_strategy(strategy);
        }
        if trained {
            value = value.require_grad();
        }
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::DispatchTensorKind;
    use burn::module::{ModuleVisitor, ParamGroup};
    use burn::optim::AdamWConfig;
    use burn::tensor::{Device, Int, TensorData};
    use rand::Rng;
    use sextant_data::Stream;
    use sextant_guidance::SourceParams;
    use sextant_model::{Sit, SitConfig, collect, ema_update, frozen_copy};

    use super::*;
    use crate::Owned;

    fn module() -> TrainModule {
        let config = SitConfig {
            hidden_size: 48,
            depth: 2,
            num_heads: 2,
            ..SitConfig::named("S/2", 8, 4, 3, true).unwrap()
        };
        let device = Device::flex().autodiff();
        TrainModule {
            student: Sit::init(&config, &mut Stream::new(1, "test").at(&[]), &device).unwrap(),
            sources: SourceParams::default(),
        }
    }

    /// The gradients of some loss that no weight is without.
    fn gradients(module: &TrainModule, step: u64) -> GradientsParams {
        let device = Device::flex();
        // A generator of its own: the device's is every test's.
        let mut rng = Stream::new(step, "test/gradients").at(&[]);
        let mut image = || {
            let values = (0..3 * 4 * 8 * 8).map(|_| rng.random::<f32>()).collect::<Vec<f32>>();
            Tensor::<4>::from_data(TensorData::new(values, [3, 4, 8, 8]), &device)
        };
        let labels = Tensor::<1, Int>::from_data(TensorData::from([0_i64, 2, 3]), &device);
        let t = Tensor::<1>::from_data([0.1_f32, 0.5, 0.8], &device);
        let output = module.student.forward(image(), t, labels, &[1]);
        let taps = output.taps[0].clone().square().mean();
        let loss = (output.output - image()).square().mean() + taps;
        GradientsParams::from_grads(loss.backward(), module)
    }

    /// The addresses of every trained parameter's values.
    fn places(module: &impl Module) -> Vec<usize> {
        struct Places(Vec<usize>);
        impl ModuleVisitor for Places {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let DispatchTensorKind::Flex(tensor) = param.val().inner().into_dispatch().kind else {
                    panic!("a tensor of flex")
                };
                self.0.push(tensor.as_float().bytes().as_ptr() as usize);
            }
        }
        let mut places = Places(Vec::new());
        module.visit(&mut places);
        places.0
    }

    #[test]
    fn should_move_weights_as_the_adamw_of_burn_does() {
        let recipe = OptimiserRecipe {
            weight_decay: 0.1,
            no_decay: vec!["bias".into()],
            ..OptimiserRecipe::default()
        };
        let with_decay = |decay: f32| AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay);
        let (mut ours, mut theirs) = (module(), module());
        let biases = parameter_ids(&theirs, |name| name.ends_with("bias"));
        let mut burn = with_decay(0.1)
            .init()
            .with_group(ParamGroup::from_ids(biases), with_decay(0.0).build(), None);
        let mut adamw = AdamW::new(&recipe, &ours);
        for step in 0..4 {
            let factor = Tensor::ones([1], &Device::flex());
            let gradients_of_ours = gradients(&ours, step);
            ours = adamw.step(ours, gradients_of_ours, factor, 1e-2);
            let gradients_of_theirs = gradients(&theirs, step);
            theirs = burn.step(1e-2, theirs, gradients_of_theirs);
        }
        assert_eq!(collect(&ours), collect(&theirs));
    }

    #[test]
    fn should_write_weights_and_averages_in_place() {
        let mut module = Owned::new(module());
        let mut ema = Owned::new(frozen_copy(&module.student));
        let mut adamw = AdamW::new(&OptimiserRecipe::default(), &module);
        let mut before = None;
        for step in 0..3 {
            let gradients = gradients(&module, step);
            let factor = Tensor::ones([1], &Device::flex());
            module.change(|module| adamw.step(module, gradients, factor, 1e-3));
            ema.change(|ema| ema_update(ema, &module.student, 0.9, |_| true));
            let now = (places(&*module), places(&*ema));
            // In the first step they share their tensors.
            if step > 1 {
                assert_eq!(before.as_ref(), Some(&now));
            }
            before = Some(now);
        }
    }
}
