//! A step in.

use std::rc::Rc;
use std::sync::Arc;

use super::memory;
use super::session::{Functions, Session};
use crate::abi::{self, Network, TensorRef};
use crate::step::Own;
use crate::{Error, Geometry, Plan, Step, Tensor};

/// # Safety
/// `from` must follow the contract of [`abi::Step`].
pub(super) unsafe fn step(
    from: *const abi::Step,
    functions: Functions,
    geometry: &Arc<Geometry>,
    plan: &Arc<Plan>,
) -> Result<(Step, Rc<Session>), Error> {
    // SAFETY: the caller's promise.
    let raw = unsafe { memory::read(from, "step") }?;
    let session = Session::new(functions, raw.session);
    let batch = raw.batch as usize;
    let tensor = |tensor: &TensorRef| Tensor::new(&session, tensor);
    let list = |array: &abi::Array, expected: usize, what: &str| -> Result<Vec<Tensor>, Error> {
        // SAFETY: the caller's promise.
        let tensors: Vec<TensorRef> = unsafe { memory::elements(array, what) }?;
        if tensors.len() != expected {
            return Err(Error::new(format!(
                "the host handed over {} {what}, the plan declared {expected}",
                tensors.len()
            )));
        }
        tensors.iter().map(tensor).collect()
    };
    let students = plan.taps.iter().filter(|tap| tap.network == Network::Student);
    // SAFETY: the caller's promise.
    let (times, labels, dropped, ids) = unsafe {
        (
            memory::numbers(raw.t_values, batch, "times")?,
            memory::numbers(raw.label_values, batch, "labels")?,
            memory::numbers(raw.dropped_label_values, batch, "dropped labels")?,
            memory::numbers(raw.sample_ids, batch, "sample ids")?,
        )
    };
    let step = Step {
        geometry: geometry.clone(),
        plan: plan.clone(),
        index: raw.index,
        batch,
        own: Own {
            x: tensor(&raw.x)?,
            noise: tensor(&raw.noise)?,
            x_t: tensor(&raw.x_t)?,
            t: tensor(&raw.t)?,
            velocity: tensor(&raw.velocity)?,
            labels: tensor(&raw.labels)?,
            dropped_labels: tensor(&raw.dropped_labels)?,
        },
        taps: list(&raw.taps, students.count(), "taps")?,
        fields: list(&raw.fields, plan.fields.len(), "fields")?,
        parameters: list(&raw.parameters, plan.parameters.len(), "parameters")?,
        buffers: list(&raw.buffers, plan.buffers.len(), "buffers")?,
        times,
        label_values: labels,
        dropped_label_values: dropped,
        sample_ids: ids,
        session: session.clone(),
    };
    Ok((step, session))
}
