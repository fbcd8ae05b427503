//! Every parameter has a gradient in every step.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::outcome::read;
use crate::training_harness::TrainingHarness;
use crate::violation::{broken, discard};
use crate::{Case, Evidence, Invariant, PluginUnderTest, Violation};

/// See its sentence.
pub const UNUSED_PARAMETERS: Invariant = Invariant::new(
    "unused-parameters",
    "In every step of training each trainable parameter has a gradient; in one that uses none of them, since \
     every time lies outside the declared range, it is exactly 0, so that the optimiser's momentum decays and \
     does not stall.",
    examine,
)
.asked_where(applies)
.at_most(64);

fn applies(plugin: &PluginUnderTest) -> Result<(), Violation> {
    match plugin.plan().parameters.iter().any(|parameter| parameter.trainable) {
        true => Ok(()),
        false => discard("the source has no trainable parameter"),
    }
}

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let outside = plugin.plan().t_range.and_then(|[min, max]| {
        let ends = [(min as f32).next_down(), (max as f32).next_up()];
        ends.into_iter().find(|t| (0.0..=1.0).contains(t))
    });
    let used = [(case.clone(), false)];
    let unused = outside.map(|t| (case.at_time(t), true));
    for (case, zero) in used.into_iter().chain(unused) {
        let mut training_harness = TrainingHarness::new(plugin, &case, Some(plugin.config().clone()))?;
        let (grads, model) = training_harness.gradients()?;
        let mut visitor = Given {
            grads: &grads,
            path: Vec::new(),
            zero,
            broken: None,
        };
        model.sources.visit(&mut visitor);
        if let Some(reason) = visitor.broken {
            return broken(reason);
        }
    }
    Ok(())
}

/// Looks for a parameter without its gradient.
struct Given<'a> {
    grads: &'a GradientsParams,
    path: Vec<String>,
    /// Asks every gradient to be 0.
    zero: bool,
    broken: Option<String>,
}

impl ModuleVisitor for Given<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.val().is_require_grad() {
            return;
        }
        let name = self.path[1..].join(".");
        let reason = match self.grads.get::<D>(param.id) {
            None => format!("parameter `{name}` has no gradient"),
            Some(gradient) if self.zero && read(gradient.clone()).iter().any(|value| *value != 0.0) => {
                format!("parameter `{name}` has a gradient although every time lies outside the declared range")
            }
            Some(_) => return,
        };
        self.broken.get_or_insert(reason);
    }
}
