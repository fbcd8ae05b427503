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

/// The step as it crosses the boundary, with the memory of its lists: what the plan declared, and what every source sees.
///
/// The step borrows from this value, and from the host's step: not to be kept beyond them.
pub(super) struct StepView {
    pub step: Step,
    _lists: [Vec<TensorRef>; 4],
}

impl StepView {
    /// Takes the tensors into the table, for a session that has no number yet. What the training loop did not give is an error
    /// that names it.
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
                TapKind::Output => (step.output.map(shared), "output".into()),
                TapKind::Attention => (
                    step.attention.get(depth).map(shared),
                    format!("attention at depth {depth}"),
                ),
                TapKind::Block => (step.taps.get(depth).map(shared), format!("tokens at depth {depth}")),
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
        let lists = [
            lend_all(taps)?,
            lend_all(fields)?,
            lend_all(parameters)?,
            lend_all(buffers)?,
        ];
        let [taps, fields, parameters, buffers] = lists.each_ref().map(|list| lend_list(list));
        let mut outside = |tensor: DispatchTensor| lend(inner(tensor));
        let step = Step {
            size: size_of::<Step>() as u64,
            session: 0,
            index: batch.step,
            batch: batch.ids.len() as u64,
            x: outside(shared(&batch.x))?,
            noise: outside(shared(&batch.noise))?,
            x_t: outside(shared(step.x_t))?,
            t: outside(shared(&batch.t))?,
            velocity: outside(shared(step.velocity))?,
            labels: outside(batch.labels.clone().into_dispatch())?,
            dropped_labels: outside(batch.dropped.clone().into_dispatch())?,
            taps,
            fields,
            parameters,
            buffers,
            sample_ids: batch.ids.as_ptr(),
            t_values: batch.times.as_ptr(),
            label_values: batch.label_values.as_ptr(),
            dropped_label_values: batch.dropped_values.as_ptr(),
        };
        Ok(Self { step, _lists: lists })
    }
}

fn shared<const D: usize>(tensor: &Tensor<D>) -> DispatchTensor {
    tensor.clone().into_dispatch()
}

fn lend(table: &mut Table, tensor: DispatchTensor) -> Result<TensorRef, Fault> {
    let spec = Spec::of(&tensor);
    let tensor = (spec.elements() > 0).then_some(tensor);
    let reference = spec.reference(0);
    let handle = table.insert(Value { spec, tensor })?;
    Ok(TensorRef { handle, ..reference })
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
