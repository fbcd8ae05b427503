//! One configured source of a library.
#![allow(unsafe_code)]

mod answer;
mod geometry_view;
mod step_view;
#[cfg(test)]
mod tests;

pub use answer::Answer;

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;

use burn::backend::DispatchTensor;
use sextant_plugin_api::abi::{Guided, Network, Plan, Step};

use super::boundary::{NO_LIST, lend_list, lend_text, with_message};
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
        let mut state = null_mut();
        // SAFETY: the host is static, the text lives during the call, the message is fresh.
        with_message(|message| unsafe { create(&HOST, lend_text(&config), &mut state, message) }).map_err(|told| {
            GuidanceError::Create {
                source_name: name.to_owned(),
                message: told.to_string(),
            }
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
        let refused = |fault: Fault| GuidanceError::Plan {
            source_name: self.name.clone(),
            reason: fault.to_string(),
        };
        let view = GeometryView::new(geometry).map_err(&refused)?;
        let lent = view.geometry();
        let mut answer = Plan {
            size: size_of::<Plan>() as u64,
            required_minor: 0,
            batch_coupled: 0,
            has_t_range: 0,
            reserved: [0; 2],
            t_min: 0.0,
            t_max: 0.0,
            taps: NO_LIST,
            fields: NO_LIST,
            parameters: NO_LIST,
            buffers: NO_LIST,
            metrics: NO_LIST,
            settings: NO_LIST,
        };
        let call = self.library.descriptor().plan.expect("checked when it was opened");
        // SAFETY: the instance is alive, everything lent lives during the call, the message is fresh.
        with_message(|message| unsafe { call(self.state, &lent, &mut answer, message) }).map_err(&refused)?;
        // SAFETY: what the plan points to lives in the instance until its next call; it is copied here.
        let plan = unsafe { plan::read(&answer) }.map_err(&refused)?;
        plan::check(&plan, geometry).map_err(&refused)?;
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
        let failed = |name: &str, fault: Fault| GuidanceError::Guide {
            source_name: name.to_owned(),
            step: step.batch.step,
            reason: fault.to_string(),
        };
        let batch = step.batch.ids.len();
        check_step(step).map_err(|fault| failed(&self.name, fault))?;
        let context = self.context(plan, step, services)?;
        let mut session = Session::new(std::mem::take(&mut self.table), context);
        let tensors = StepView::new(&self.name, plan, step, parameters, buffers, &mut session.table);
        let (answer, mut session) = match tensors {
            Ok(view) => self.call(view, step, session),
            Err(error) => {
                session.table.clear();
                self.table = session.table;
                return Err(error);
            }
        };
        services.counters.add(session.context.counters);
        let answer = match (session.first_error.take(), answer) {
            (Some(fault), _) => Err(fault),
            (None, Err(words)) => Err(words),
            // SAFETY: what the answer points to lives in the instance until its next call.
            (None, Ok(guided)) => unsafe {
                Answer::collect(&guided, plan, batch, &session.table, &session.context.device)
            },
        };
        session.table.clear();
        self.table = session.table;
        answer.map_err(|fault| failed(&self.name, fault))
    }

    /// Calls the plugin with the session open.
    fn call(&mut self, view: StepView, step: &GuidanceStep<'_>, session: Session) -> (Result<Guided, Fault>, Session) {
        let shown = Step {
            size: size_of::<Step>() as u64,
            session: session.number(),
            index: step.batch.step,
            batch: step.batch.ids.len() as u64,
            x: view.x,
            noise: view.noise,
            x_t: view.x_t,
            t: view.t,
            velocity: view.velocity,
            labels: view.labels,
            dropped_labels: view.dropped,
            taps: lend_list(&view.taps),
            fields: lend_list(&view.fields),
            parameters: lend_list(&view.parameters),
            buffers: lend_list(&view.buffers),
            sample_ids: step.batch.ids.as_ptr(),
            t_values: step.batch.times.as_ptr(),
            label_values: step.batch.label_values.as_ptr(),
            dropped_label_values: step.batch.dropped_values.as_ptr(),
        };
        let mut guided = Guided {
            size: size_of::<Guided>() as u64,
            loss: 0,
            denoising_weight: 0,
            metrics: NO_LIST,
            buffers: NO_LIST,
        };
        let guide = self.library.descriptor().guide.expect("checked when it was opened");
        let (told, session) = session.during(|| {
            // SAFETY: the instance is alive, everything lent lives during the call, the message is fresh.
            with_message(|message| unsafe { guide(self.state, &shown, &mut guided, message) })
        });
        (told.map(|()| guided), session)
    }

    /// The context of this step's operations: nothing that the plan did not declare.
    fn context(
        &self,
        plan: &SourcePlan,
        step: &GuidanceStep<'_>,
        services: &Services<'_>,
    ) -> Result<Context, GuidanceError> {
        let mut networks = BTreeMap::new();
        for (which, network, what) in [
            (Network::Teacher, services.teacher, "the teacher"),
            (Network::Ema, services.ema, "the moving average of the student"),
        ] {
            if !plan.needs(which) {
                continue;
            }
            let network = network.ok_or_else(|| missing(&self.name, step, what.into()))?;
            // Parameters are shared, not copied.
            networks.insert(
                which,
                Frozen {
                    network: network.clone(),
                    depths: plan.depths(which),
                    output: plan.needs_output(which),
                },
            );
        }
        Ok(Context {
            device: step.batch.x.device().without_autodiff().as_dispatch().clone(),
            instance: self.name.clone(),
            seed: services.seed,
            step: step.batch.step,
            ids: step.batch.ids.to_vec(),
            labels: step.batch.label_values.to_vec(),
            dropped: step.batch.dropped_values.to_vec(),
            null_class: services.null_class,
            networks,
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
