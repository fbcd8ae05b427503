//! The answer of `guide`, on its way out.

use crate::abi::{self, Array, DType, Named};
use crate::plan::undeclared;
use crate::tensor::sized;
use crate::{Error, Guidance, Plan, Tensor};

/// Lists that live in the instance until its next call.
#[derive(Default)]
pub(super) struct Answer {
    metrics: Vec<Named>,
    buffers: Vec<Named>,
}

impl Answer {
    /// Checks a guidance against the plan and puts it into the contract's layout.
    pub(super) fn of(guidance: &Guidance, plan: &Plan, batch: usize) -> Result<(Self, abi::Guided), Error> {
        per_sample("loss", &guidance.loss, batch)?;
        if let Some(weight) = &guidance.denoising_weight {
            per_sample("denoising weight", weight, batch)?;
        }
        let metrics: Vec<&str> = plan.metrics.iter().map(String::as_str).collect();
        let buffers: Vec<&str> = plan.buffers.iter().map(|b| b.name.as_str()).collect();
        let answer = Self {
            metrics: named("metric", &guidance.metrics, &metrics)?,
            buffers: named("buffer", &guidance.buffers, &buffers)?,
        };
        let raw = sized!(Guided {
            loss: guidance.loss.handle(),
            denoising_weight: guidance.denoising_weight.as_ref().map_or(0, Tensor::handle),
            metrics: Array::of(&answer.metrics),
            buffers: Array::of(&answer.buffers),
        });
        Ok((answer, raw))
    }
}

fn per_sample(what: &str, tensor: &Tensor, batch: usize) -> Result<(), Error> {
    intact(what, tensor)?;
    if tensor.shape() != [batch] || tensor.dtype() != DType::F32 {
        return Err(Error::new(format!(
            "the {what} must be one f32 a sample, [{batch}]; this is {:?} {:?}",
            tensor.dtype(),
            tensor.shape()
        )));
    }
    Ok(())
}

fn intact(what: &str, tensor: &Tensor) -> Result<(), Error> {
    if tensor.is_failed() {
        return Err(Error::new(format!("the {what} comes from an operation that failed")));
    }
    Ok(())
}

fn named(what: &str, given: &[(String, Tensor)], declared: &[&str]) -> Result<Vec<Named>, Error> {
    let entry = |(name, tensor): &(String, Tensor)| {
        let index = declared
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| undeclared(what, &format!("{name:?}"), declared))?;
        intact(&format!("{what} {name:?}"), tensor)?;
        Ok(Named {
            index: index as u32,
            reserved: 0,
            handle: tensor.handle(),
        })
    };
    given.iter().map(entry).collect()
}
