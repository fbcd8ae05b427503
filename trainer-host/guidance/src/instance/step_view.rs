//! The tensors of a step, as the plugin sees them.

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use sextant_model::TrainBatch;
use sextant_plugin_api::abi::{Network, Step, TapKind, TensorRef};

use crate::boundary::lend_list;
use crate::error::GuidanceError;
use crate::fault::Fault;
use crate::operations::{Spec, inner};
use crate::plan::{SourcePlan, TapRequest};
use crate::step::GuidanceStep;
use crate::table::{Table, Value};

/// References to what the plan declared, and to what every source sees.
pub(super) struct StepView {
    pub x: TensorRef,
    pub noise: TensorRef,
    pub x_t: TensorRef,
    pub t: TensorRef,
    pub velocity: TensorRef,
    pub labels: TensorRef,
    pub dropped: TensorRef,
    pub taps: Vec<TensorRef>,
    pub fields: Vec<TensorRef>,
    pub parameters: Vec<TensorRef>,
    pub buffers: Vec<TensorRef>,
}

impl StepView {
    /// Takes the tensors into the table. What the training loop did not give is an error that names it.
    ///
    /// Gradients can flow to taps and parameters only: everything else leaves autodiff here, whatever the loop gave.
    pub fn new(
        name: &str,
        plan: &SourcePlan,
        step: &GuidanceStep<'_>,
        parameters: Vec<DispatchTensor>,
        buffers: Vec<DispatchTensor>,
        table: &mut Table,
    ) -> Result<Self, GuidanceError> {
        let batch = step.batch;
        let taps = plan.taps.iter().filter(|tap| tap.network == Network::Student);
        let taps = taps.map(|tap| {
            let TapRequest { kind, depth, .. } = tap;
            let (found, what) = match kind {
                TapKind::Output => (step.output.cloned().map(Tensor::into_dispatch), "output".into()),
                TapKind::Attention => (
                    step.attention.get(depth).cloned().map(Tensor::into_dispatch),
                    format!("attention at depth {depth}"),
                ),
                TapKind::Block => (
                    step.taps.get(depth).cloned().map(Tensor::into_dispatch),
                    format!("tokens at depth {depth}"),
                ),
            };
            found.ok_or_else(|| missing(name, step, format!("the student's {what}")))
        });
        let taps: Vec<DispatchTensor> = taps.collect::<Result<_, _>>()?;
        let fields = plan.fields.iter().map(|field| {
            let found = batch.fields.get(field).cloned().map(inner);
            found.ok_or_else(|| missing(name, step, format!("the batch field \"{field}\"")))
        });
        let fields: Vec<DispatchTensor> = fields.collect::<Result<_, _>>()?;
        let mut lend = |tensor: DispatchTensor| {
            lend(table, tensor).map_err(|fault| GuidanceError::Guide {
                source_name: name.to_owned(),
                step: batch.step,
                reason: fault.to_string(),
            })
        };
        let mut lend_all = |tensors: Vec<DispatchTensor>| -> Result<Vec<TensorRef>, GuidanceError> {
            tensors.into_iter().map(&mut lend).collect()
        };
        let (taps, fields) = (lend_all(taps)?, lend_all(fields)?);
        let (parameters, buffers) = (lend_all(parameters)?, lend_all(buffers)?);
        let mut outside = |tensor: DispatchTensor| lend(inner(tensor));
        Ok(Self {
            x: outside(batch.x.clone().into_dispatch())?,
            noise: outside(batch.noise.clone().into_dispatch())?,
            x_t: outside(step.x_t.clone().into_dispatch())?,
            t: outside(batch.t.clone().into_dispatch())?,
            velocity: outside(step.velocity.clone().into_dispatch())?,
            labels: outside(batch.labels.clone().into_dispatch())?,
            dropped: outside(batch.dropped.clone().into_dispatch())?,
            taps,
            fields,
            parameters,
            buffers,
        })
    }

    /// The step as it crosses the boundary, in the session with this number. Borrows from `self` and `step`: not to be kept
    /// beyond them.
    pub fn lend(&self, session: u64, step: &GuidanceStep<'_>) -> Step {
        let batch = step.batch;
        Step {
            size: size_of::<Step>() as u64,
            session,
            index: batch.step,
            batch: batch.ids.len() as u64,
            x: self.x,
            noise: self.noise,
            x_t: self.x_t,
            t: self.t,
            velocity: self.velocity,
            labels: self.labels,
            dropped_labels: self.dropped,
            taps: lend_list(&self.taps),
            fields: lend_list(&self.fields),
            parameters: lend_list(&self.parameters),
            buffers: lend_list(&self.buffers),
            sample_ids: batch.ids.as_ptr(),
            t_values: batch.times.as_ptr(),
            label_values: batch.label_values.as_ptr(),
            dropped_label_values: batch.dropped_values.as_ptr(),
        }
    }
}

fn lend(table: &mut Table, tensor: DispatchTensor) -> Result<TensorRef, Fault> {
    let spec = Spec::of(&tensor);
    let tensor = (spec.elements() > 0).then_some(tensor);
    let handle = table.insert(Value {
        spec: spec.clone(),
        tensor,
    })?;
    Ok(spec.reference(handle))
}

/// The training loop did not give what the plan declared.
pub(super) fn missing(name: &str, step: &GuidanceStep<'_>, what: String) -> GuidanceError {
    GuidanceError::Missing {
        source_name: name.to_owned(),
        step: step.batch.step,
        what,
    }
}

/// The pointers that a plugin gets are valid for B elements.
pub(super) fn check_step(step: &GuidanceStep<'_>) -> Result<(), Fault> {
    let TrainBatch {
        x,
        ids,
        times,
        label_values,
        dropped_values,
        ..
    } = step.batch;
    let (batch, counts) = (
        x.dims()[0],
        [ids.len(), times.len(), label_values.len(), dropped_values.len()],
    );
    match counts.iter().all(|count| *count == batch) {
        true => Ok(()),
        false => Err(Fault::Step(format!(
            "the training loop gave {counts:?} ids, times, labels and dropped labels for {batch} samples"
        ))),
    }
}
