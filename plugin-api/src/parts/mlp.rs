//! The projector.

use crate::{Error, Init, Plan, Step, Tensor};

/// Linear layers with SiLU between them, named as in a `torch.nn.Sequential`: `0.weight`, `0.bias`, `2.weight`, …
/// under a prefix. Weights begin Xavier-uniform, biases at zero. It holds names, no numbers: those are the plan's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    prefix: String,
    layers: usize,
}

impl Mlp {
    /// The projector of REPA and its kin: three layers, whose names begin with `prefix` (such as `mlp.`, or none).
    pub fn projector(prefix: &str) -> Self {
        Self::new(prefix, 3)
    }

    /// Any number of layers.
    pub fn new(prefix: &str, layers: usize) -> Self {
        Self {
            prefix: prefix.to_owned(),
            layers,
        }
    }

    /// Declares the parameters for widths from the input's to the output's, one more than there are layers.
    ///
    /// # Errors
    /// If there are more or fewer widths, or one is 0.
    pub fn declare(&self, plan: Plan, widths: &[usize]) -> Result<Plan, Error> {
        if widths.len() != self.layers + 1 || widths.contains(&0) {
            return Err(Error::new(format!(
                "a projector of {} layers needs {} widths above 0, not {widths:?}",
                self.layers,
                self.layers + 1
            )));
        }
        let layers = widths.windows(2).enumerate();
        Ok(layers.fold(plan, |plan, (layer, width)| {
            plan.parameter(self.name(layer, "weight"), [width[1], width[0]], Init::XavierUniform)
                .parameter(self.name(layer, "bias"), [width[1]], Init::ZEROS)
        }))
    }

    /// Applies the layers to the last dimension of `x`.
    ///
    /// # Errors
    /// If the plan does not have the parameters.
    #[track_caller]
    pub fn forward(&self, step: &Step, x: impl Into<Tensor>) -> Result<Tensor, Error> {
        let mut x = x.into();
        for layer in 0..self.layers {
            if layer > 0 {
                x = x.silu();
            }
            let weight = step.parameter(&self.name(layer, "weight"))?;
            let bias = step.parameter(&self.name(layer, "bias"))?;
            x = x.linear(weight, Some(bias));
        }
        Ok(x)
    }

    fn name(&self, layer: usize, what: &str) -> String {
        format!("{}{}.{what}", self.prefix, 2 * layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_named_as_in_a_sequential() {
        let plan = Mlp::projector("mlp.").declare(Plan::new(), &[32, 48, 48, 24]).unwrap();
        let named: Vec<_> = plan
            .parameters
            .iter()
            .map(|p| (p.name.as_str(), &p.shape[..]))
            .collect();
        assert_eq!(
            named,
            [
                ("mlp.0.weight", &[48, 32][..]),
                ("mlp.0.bias", &[48]),
                ("mlp.2.weight", &[48, 48]),
                ("mlp.2.bias", &[48]),
                ("mlp.4.weight", &[24, 48]),
                ("mlp.4.bias", &[24]),
            ]
        );
    }

    #[test]
    fn widths_must_fit_the_layers() {
        assert!(Mlp::projector("").declare(Plan::new(), &[32, 24]).is_err());
        assert!(Mlp::new("", 1).declare(Plan::new(), &[32, 0]).is_err());
    }
}
