//! One configured source of a library.
#![allow(unsafe_code)]

mod answer;
mod geometry_view;
mod step_view;
#[cfg(test)]
mod tests;

pub use answer::Answer;

use std::ffi::c_void;
use std::ptr::null_mut;

use burn::backend::DispatchTensor;
use sextant_plugin_api::abi::{Guided, Message, Network, Plan};

use super::boundary::{SizeFirst, lend_text, told};
use super::callbacks::HOST;
use super::error::GuidanceError;
use super::fault::Fault;
use super::geometry::GuidanceGeometry;
use super::library::Library;
use super::operations::{Context, Frozen};
use super::plan::{self, SourcePlan};
use super::session::Session;
use super::step::{GuidanceStep, Services};
use super::table::Table;
use geometry_view::GeometryView;
use step_view::{StepView, check_step, missing};

/// A source between `create` and `destroy`. It holds no tensors between steps.
///
/// It may move between threads, but is never called from two at once: every call takes it mutably.
#[derive(Debug)]
pub struct Instance {
    library: Library,
    name: String,
    state: *mut c_void,
    table: Table,
}

// SAFETY: the contract lets the host move an instance between threads from call to call.
unsafe impl Send for Instance {}

impl Instance {
    /// Makes an instance called `name` from its configuration, a JSON object.
    pub fn create(library: &Library, name: &str, config: &serde_json::Value) -> Result<Self, GuidanceError> {
        let config = config.to_string();
        let create = library.descriptor().create.expect("checked when it was opened");
        let (mut state, mut message) = (null_mut(), Message::blank());
        // SAFETY: the host is static, the text lives during the call, the message is fresh.
        let status = unsafe { create(&HOST, lend_text(&config), &mut state, &mut message) };
        told(status, &mut message).map_err(|fault| GuidanceError::Create {
            source_name: name.to_owned(),
            message: fault.to_string(),
        })?;
        Ok(Self {
            library: library.clone(),
            name: name.to_owned(),
            state,
            table: Table::default(),
        })
    }

    /// The library that it comes from.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// Its name, unique in a phase.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Places in its table of tensors: the most that were alive at once so far.
    pub fn handle_slots(&self) -> usize {
        self.table.slots()
    }

    /// Asks what the source needs for this geometry, and checks that there is all of it.
    pub fn plan(&mut self, geometry: &GuidanceGeometry) -> Result<SourcePlan, GuidanceError> {
        self.planned(geometry).map_err(|fault| GuidanceError::Plan {
            source_name: self.name.clone(),
            reason: fault.to_string(),
        })
    }

    fn planned(&mut self, geometry: &GuidanceGeometry) -> Result<SourcePlan, Fault> {
        let view = GeometryView::new(geometry)?;
        let (mut answer, mut message) = (Plan::blank(), Message::blank());
        let plan = self.library.descriptor().plan.expect("checked when it was opened");
        // SAFETY: the instance is alive, everything lent lives during the call, the message is fresh.
        let status = unsafe { plan(self.state, &view.geometry(), &mut answer, &mut message) };
        told(status, &mut message)?;
        // SAFETY: what the plan points to lives in the instance until its next call; it is copied here.
        let plan = unsafe { plan::read(&answer) }?;
        plan::check(&plan, geometry)?;
        Ok(plan)
    }

    /// Computes the losses of one step. `parameters` and `buffers` are those of the plan, in its order.
    pub fn guide(
        &mut self,
        plan: &SourcePlan,
        step: &GuidanceStep<'_>,
        parameters: Vec<DispatchTensor>,
        buffers: Vec<DispatchTensor>,
        services: &mut Services<'_>,
    ) -> Result<Answer, GuidanceError> {
        let name = self.name.clone();
        let failed = |fault: Fault| GuidanceError::Guide {
            source_name: name.clone(),
            step: step.batch.step,
            reason: fault.to_string(),
        };
        check_step(step).map_err(failed)?;
        let context = self.context(plan, step, services)?;
        let view = StepView::new(&name, plan, step, parameters, buffers, &mut self.table);
        let mut view = view.inspect_err(|_| self.table.clear())?;
        let session = Session::new(std::mem::take(&mut self.table), context);
        view.step.session = session.number();
        let (mut guided, mut message) = (Guided::blank(), Message::blank());
        let guide = self.library.descriptor().guide.expect("checked when it was opened");
        let outer = session.open();
        // SAFETY: the instance is alive, everything lent lives during the call, the message is fresh.
        let status = unsafe { guide(self.state, &view.step, &mut guided, &mut message) };
        let words = told(status, &mut message);
        let mut session = Session::close(outer);
        services.counters.add(session.context.counters);
        let answer = match session.first_error.take() {
            Some(fault) => Err(fault),
            // SAFETY: what the answer points to lives in the instance until its next call.
            None => words.and_then(|()| unsafe {
                Answer::collect(
                    &guided,
                    plan,
                    step.batch.ids.len(),
                    &session.table,
                    &session.context.device,
                )
            }),
        };
        session.table.clear();
        self.table = session.table;
        answer.map_err(failed)
    }

    /// The context of this step's operations: nothing that the plan did not declare.
    fn context(
        &self,
        plan: &SourcePlan,
        step: &GuidanceStep<'_>,
        services: &Services<'_>,
    ) -> Result<Context, GuidanceError> {
        let networks = [
            (Network::Teacher, services.teacher, "the teacher"),
            (Network::Ema, services.ema, "the moving average of the student"),
        ];
        let declared = networks.into_iter().filter(|(which, ..)| plan.needs(*which));
        let networks = declared.map(|(which, network, what)| {
            let network = network.ok_or_else(|| missing(&self.name, step, what.into()))?;
            let frozen = Frozen {
                // Parameters are shared, not copied.
                network: network.clone(),
                depths: plan.depths(which),
                output: plan.needs_output(which),
            };
            Ok((which, frozen))
        });
        Ok(Context {
            device: step.batch.x.device().without_autodiff().as_dispatch().clone(),
            instance: self.name.clone(),
            seed: services.seed,
            step: step.batch.step,
            ids: step.batch.ids.to_vec(),
            labels: step.batch.label_values.to_vec(),
            dropped: step.batch.dropped_values.to_vec(),
            null_class: services.null_class,
            precision: services.precision,
            networks: networks.collect::<Result<_, GuidanceError>>()?,
            path: services.path,
            pad_rows: services.pad_rows,
            counters: Default::default(),
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let destroy = self.library.descriptor().destroy.expect("checked when it was opened");
        // SAFETY: the last call of this instance.
        unsafe { destroy(self.state) };
    }
}
