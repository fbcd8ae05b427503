//! The tensors of a step, as the plugin sees them.

use burn::backend::DispatchTensor;
use sextant_plugin_api::abi::{Network, TapKind, TensorRef};

use crate::error::GuidanceError;
use crate::fault::Fault;
use crate::operations::{Spec, inner};
use crate::plan::SourcePlan;
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
        let full = |fault: Fault| GuidanceError::Guide {
            source_name: name.to_owned(),
            step: step.batch.step,
            reason: fault.to_string(),
        };
        let mut lend = |tensor: DispatchTensor| lend(table, tensor).map_err(full);
        let taps = plan
            .taps
            .iter()
            .filter(|tap| tap.network == Network::Student)
            .map(|tap| match tap.kind {
                TapKind::Output => step
                    .output
                    .map(|output| output.clone().into_dispatch())
                    .ok_or_else(|| missing(name, step, "the student's output".into())),
                TapKind::Attention => step
                    .attention
                    .get(&tap.depth)
                    .map(|attention| attention.clone().into_dispatch())
                    .ok_or_else(|| missing(name, step, format!("the student's attention at depth {}", tap.depth))),
                TapKind::Block => step
                    .taps
                    .get(&tap.depth)
                    .map(|tokens| tokens.clone().into_dispatch())
                    .ok_or_else(|| missing(name, step, format!("the student's tokens at depth {}", tap.depth))),
            });
        let taps: Vec<DispatchTensor> = taps.collect::<Result<_, _>>()?;
        let fields = plan.fields.iter().map(|field| {
            step.batch
                .fields
                .get(field)
                .cloned()
                .map(inner)
                .ok_or_else(|| missing(name, step, format!("the batch field \"{field}\"")))
        });
        let fields: Vec<DispatchTensor> = fields.collect::<Result<_, _>>()?;
        let mut lend_all = |tensors: Vec<DispatchTensor>| -> Result<Vec<TensorRef>, GuidanceError> {
            tensors.into_iter().map(&mut lend).collect()
        };
        let (taps, fields) = (lend_all(taps)?, lend_all(fields)?);
        let (parameters, buffers) = (lend_all(parameters)?, lend_all(buffers)?);
        Ok(Self {
            x: lend(inner(step.batch.x.clone().into_dispatch()))?,
            noise: lend(inner(step.batch.noise.clone().into_dispatch()))?,
            x_t: lend(inner(step.x_t.clone().into_dispatch()))?,
            t: lend(inner(step.batch.t.clone().into_dispatch()))?,
            velocity: lend(inner(step.velocity.clone().into_dispatch()))?,
            labels: lend(step.batch.labels.clone().into_dispatch())?,
            dropped: lend(step.batch.dropped.clone().into_dispatch())?,
            taps,
            fields,
            parameters,
            buffers,
        })
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
    let batch = step.batch.x.dims()[0];
    let counts = [
        step.batch.ids.len(),
        step.batch.times.len(),
        step.batch.label_values.len(),
        step.batch.dropped_values.len(),
    ];
    match counts.iter().all(|count| *count == batch) {
        true => Ok(()),
        false => Err(Fault::StepCounts { counts, batch }),
    }
}
