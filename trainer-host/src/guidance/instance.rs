//! One configured source of a library.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr::null_mut;

use burn::backend::ops::IntTensorOps;
use burn::backend::{Dispatch, DispatchTensor, FloatDType, TensorMetadata};
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Device, Tensor};
use sextant_plugin_api::abi::{
    DType, FieldInfo, Geometry, Guided, Handle, MAX_RANK, Named, Network, NetworkInfo, Plan,
    Step, TapKind, TensorRef,
};

use super::boundary::{NO_LIST, lend_list, lend_text, list, with_message};
use super::callbacks::HOST;
use super::error::GuidanceError;
use super::geometry::{GuidanceGeometry, NetworkShape};
use super::library::Library;
use super::operations::{Context, Frozen, Spec, inner, physical};
use super::plan::{self, BufferPlan, SourcePlan};
use super::session::Session;
use super::step::{GuidanceStep, Services};
use super::table::{Table, Value};

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

/// What a step gave, validated against the plan.
#[derive(Debug)]
pub struct Answer {
    /// `[B]`, f32.
    pub loss: Tensor<1>,
    /// `[B]`, f32.
    pub denoising_weight: Option<Tensor<1>>,
    /// Index in the plan, and `[1]` without autodiff.
    pub metrics: Vec<(usize, Tensor<1>)>,
    /// Index in the plan, and the new value without autodiff.
    pub buffers: Vec<(usize, DispatchTensor)>,
}

impl Instance {
    /// Makes an instance called `name` from its configuration, a JSON object.
    pub fn create(
        library: &Library,
        name: &str,
        config: &serde_json::Value,
    ) -> Result<Self, GuidanceError> {
        let config = config.to_string();
        let create = library.descriptor().create.expect("checked when it was opened");
        let mut state = null_mut();
        // SAFETY: the host is static, the text lives during the call, the message is fresh.
        with_message(|message| unsafe { create(&HOST, lend_text(&config), &mut state, message) })
            .map_err(|message| GuidanceError::Create { source_name: name.to_owned(), message })?;
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

    /// Asks what the source needs for this geometry, and checks that there is all of it.
    pub fn plan(&mut self, geometry: &GuidanceGeometry) -> Result<SourcePlan, GuidanceError> {
        let fault = |reason: String| GuidanceError::Plan { source_name: self.name.clone(), reason };
        let networks: Vec<NetworkInfo> = [
            (Network::Student, Some(&geometry.student)),
            (Network::Teacher, geometry.teacher.as_ref()),
            (Network::Ema, Some(&geometry.ema)),
        ]
        .into_iter()
        .filter_map(|(network, shape)| Some(network_info(network, shape?)))
        .collect();
        let fields: Vec<FieldInfo> = geometry
            .fields
            .iter()
            .map(|(name, shape)| field_info(name, shape).map_err(&fault))
            .collect::<Result<_, _>>()?;
        let shown = Geometry {
            size: size_of::<Geometry>() as u64,
            batch: geometry.batch as u64,
            channels: geometry.channels as u64,
            height: geometry.height as u64,
            width: geometry.width as u64,
            patch: geometry.patch as u64,
            classes: geometry.classes as u64,
            networks: lend_list(&networks),
            fields: lend_list(&fields),
        };
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
        };
        let call = self.library.descriptor().plan.expect("checked when it was opened");
        // SAFETY: the instance is alive, everything lent lives during the call, the message is fresh.
        with_message(|message| unsafe { call(self.state, &shown, &mut answer, message) }).map_err(&fault)?;
        // SAFETY: what the plan points to lives in the instance until its next call; it is copied here.
        let plan = unsafe { plan::read(&answer) }.map_err(&fault)?;
        plan::check(&plan, geometry).map_err(&fault)?;
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
        let fault = |name: &str, reason: String| GuidanceError::Guide {
            source_name: name.to_owned(),
            step: step.index,
            reason,
        };
        let batch = step.ids.len();
        check_step(step).map_err(|reason| fault(&self.name, reason))?;
        let context = self.context(plan, step, services)?;
        let mut session = Session::new(std::mem::take(&mut self.table), context);
        let tensors = Lent::new(&self.name, plan, step, parameters, buffers, &mut session.table);
        let (answer, mut session) = match tensors {
            Ok(lent) => self.call(lent, step, session),
            Err(error) => {
                session.table.clear();
                self.table = session.table;
                return Err(error);
            }
        };
        services.counters.add(session.context.counters);
        let answer = match (session.first_error.take(), answer) {
            (Some(error), _) => Err(error),
            (None, Err(words)) => Err(words),
            // SAFETY: what the answer points to lives in the instance until its next call.
            (None, Ok(guided)) => unsafe { collect(&guided, plan, batch, &session.table) },
        };
        session.table.clear();
        self.table = session.table;
        answer.map_err(|reason| fault(&self.name, reason))
    }

    /// Calls the plugin with the session open.
    fn call(
        &mut self,
        lent: Lent,
        step: &GuidanceStep<'_>,
        session: Session,
    ) -> (Result<Guided, String>, Session) {
        let shown = Step {
            size: size_of::<Step>() as u64,
            session: session.number(),
            index: step.index,
            batch: step.ids.len() as u64,
            x: lent.x,
            noise: lent.noise,
            x_t: lent.x_t,
            t: lent.t,
            velocity: lent.velocity,
            labels: lent.labels,
            dropped_labels: lent.dropped,
            taps: lend_list(&lent.taps),
            fields: lend_list(&lent.fields),
            parameters: lend_list(&lent.parameters),
            buffers: lend_list(&lent.buffers),
            sample_ids: step.ids.as_ptr(),
            t_values: step.times.as_ptr(),
            label_values: step.label_values.as_ptr(),
            dropped_label_values: step.dropped_values.as_ptr(),
        };
        let mut guided = Guided {
            size: size_of::<Guided>() as u64,
            loss: 0,
            denoising_weight: 0,
            metrics: NO_LIST,
            buffers: NO_LIST,
        };
        let guide = self.library.descriptor().guide.expect("checked when it was opened");
        let (status, session) = session.during(|| {
            // SAFETY: the instance is alive, everything lent lives during the call, the message is fresh.
            with_message(|message| unsafe { guide(self.state, &shown, &mut guided, message) })
        });
        (status.map(|()| guided), session)
    }

    /// What operations may look at in this step: nothing that the plan did not declare.
    fn context(
        &self,
        plan: &SourcePlan,
        step: &GuidanceStep<'_>,
        services: &Services<'_>,
    ) -> Result<Context, GuidanceError> {
        let mut networks = std::collections::BTreeMap::new();
        for (which, network, what) in [
            (Network::Teacher, services.teacher, "the teacher"),
            (Network::Ema, services.ema, "the moving average of the student"),
        ] {
            if !plan.needs(which) {
                continue;
            }
            let network = network.ok_or_else(|| missing(&self.name, step, what.into()))?;
            // Parameters are shared, not copied.
            networks.insert(which, Frozen { network: network.clone(), depths: plan.depths(which) });
        }
        Ok(Context {
            device: Device::as_dispatch(&step.x.device().without_autodiff()).clone(),
            instance: self.name.clone(),
            seed: services.seed,
            step: step.index,
            ids: step.ids.to_vec(),
            labels: step.label_values.to_vec(),
            dropped: step.dropped_values.to_vec(),
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

/// The tensors of a step as the plugin sees them.
struct Lent {
    x: TensorRef,
    noise: TensorRef,
    x_t: TensorRef,
    t: TensorRef,
    velocity: TensorRef,
    labels: TensorRef,
    dropped: TensorRef,
    taps: Vec<TensorRef>,
    fields: Vec<TensorRef>,
    parameters: Vec<TensorRef>,
    buffers: Vec<TensorRef>,
}

impl Lent {
    fn new(
        name: &str,
        plan: &SourcePlan,
        step: &GuidanceStep<'_>,
        parameters: Vec<DispatchTensor>,
        buffers: Vec<DispatchTensor>,
        table: &mut Table,
    ) -> Result<Self, GuidanceError> {
        let full = |reason| GuidanceError::Guide { source_name: name.to_owned(), step: step.index, reason };
        let mut lend = |tensor: DispatchTensor| lend(table, tensor).map_err(full);
        let taps = plan.taps.iter().filter(|tap| tap.network == Network::Student).map(|tap| {
            match tap.kind {
                TapKind::Output => step
                    .output
                    .map(|output| output.clone().into_dispatch())
                    .ok_or_else(|| missing(name, step, "the student's output".into())),
                TapKind::Block => step
                    .taps
                    .get(&tap.depth)
                    .map(|tokens| tokens.clone().into_dispatch())
                    .ok_or_else(|| missing(name, step, format!("the student's tokens at depth {}", tap.depth))),
            }
        });
        let taps: Vec<DispatchTensor> = taps.collect::<Result<_, _>>()?;
        let fields = plan.fields.iter().map(|field| {
            step.fields
                .get(field)
                .cloned()
                .ok_or_else(|| missing(name, step, format!("the batch field \"{field}\"")))
        });
        let fields: Vec<DispatchTensor> = fields.collect::<Result<_, _>>()?;
        let mut lend_all = |tensors: Vec<DispatchTensor>| -> Result<Vec<TensorRef>, GuidanceError> {
            tensors.into_iter().map(&mut lend).collect()
        };
        let (taps, fields) = (lend_all(taps)?, lend_all(fields)?);
        let (parameters, buffers) = (lend_all(parameters)?, lend_all(buffers)?);
        Ok(Self {
            x: lend(step.x.clone().into_dispatch())?,
            noise: lend(step.noise.clone().into_dispatch())?,
            x_t: lend(step.x_t.clone().into_dispatch())?,
            t: lend(step.t.clone().into_dispatch())?,
            velocity: lend(step.velocity.clone().into_dispatch())?,
            labels: lend(step.labels.clone().into_dispatch())?,
            dropped: lend(step.dropped.clone().into_dispatch())?,
            taps,
            fields,
            parameters,
            buffers,
        })
    }
}

fn lend(table: &mut Table, tensor: DispatchTensor) -> Result<TensorRef, String> {
    let spec = Spec::of(&tensor);
    let tensor = (spec.elements() > 0).then_some(tensor);
    let handle = table.insert(Value { spec: spec.clone(), tensor })?;
    Ok(spec.reference(handle))
}

fn missing(name: &str, step: &GuidanceStep<'_>, what: String) -> GuidanceError {
    GuidanceError::Missing { source_name: name.to_owned(), step: step.index, what }
}

/// The pointers that a plugin gets are valid for B elements.
fn check_step(step: &GuidanceStep<'_>) -> Result<(), String> {
    let batch = step.x.dims()[0];
    let counts = [step.ids.len(), step.times.len(), step.label_values.len(), step.dropped_values.len()];
    match counts.iter().all(|count| *count == batch) {
        true => Ok(()),
        false => Err(format!("the training loop gave {counts:?} ids, times, labels and dropped labels for {batch} samples")),
    }
}

fn network_info(network: Network, shape: &NetworkShape) -> NetworkInfo {
    NetworkInfo {
        network: network as u32,
        depth: shape.depth as u32,
        width: shape.width as u64,
        heads: shape.heads as u32,
        prefix_tokens: 0,
        grid_rows: shape.grid[0] as u32,
        grid_cols: shape.grid[1] as u32,
    }
}

fn field_info(name: &str, shape: &[usize]) -> Result<FieldInfo, String> {
    // One dimension is the batch's.
    if shape.len() >= MAX_RANK {
        return Err(format!("the batch field \"{name}\" has {} dimensions, at most {} can be handed over", shape.len(), MAX_RANK - 1));
    }
    Ok(FieldInfo {
        name: lend_text(name),
        dtype: DType::F32 as u32,
        reserved: 0,
        shape: Spec::new(DType::F32, shape.to_vec()).reference(0).shape,
    })
}

/// # Safety
/// The lists of `guided` are valid for their lengths.
unsafe fn collect(guided: &Guided, plan: &SourcePlan, batch: usize, table: &Table) -> Result<Answer, String> {
    // SAFETY: the caller's promise.
    let (metrics, buffers) = unsafe {
        (
            list::<Named>(guided.metrics, "the metrics of its result")?,
            list::<Named>(guided.buffers, "the buffers of its result")?,
        )
    };
    let metric_names: Vec<&str> = plan.metrics.iter().map(String::as_str).collect();
    let buffer_names: Vec<&str> = plan.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
    declared("metric", &metrics, &metric_names)?;
    declared("buffer", &buffers, &buffer_names)?;
    if guided.loss == 0 {
        return Err("it gave no loss (handle 0)".into());
    }
    Ok(Answer {
        loss: per_sample("loss", guided.loss, batch, table)?,
        denoising_weight: match guided.denoising_weight {
            0 => None,
            handle => Some(per_sample("weight on the denoising loss", handle, batch, table)?),
        },
        metrics: metrics
            .iter()
            .map(|metric| {
                let index = metric.index as usize;
                Ok((index, scalar(metric_names[index], metric.handle, table)?))
            })
            .collect::<Result<_, String>>()?,
        buffers: buffers
            .iter()
            .filter_map(|buffer| {
                let index = buffer.index as usize;
                let value = buffer_value(&plan.buffers[index], buffer.handle, table).transpose()?;
                Some(value.map(|value| (index, value)))
            })
            .collect::<Result<_, String>>()?,
    })
}

/// The new value of a buffer: the whole, or rows of it where the plan says so. None where there are no rows to replace.
fn buffer_value(plan: &BufferPlan, handle: Handle, table: &Table) -> Result<Option<DispatchTensor>, String> {
    let what = format!("new value of buffer `{}`", plan.name);
    let value = table.get(handle).map_err(|reason| format!("its {what}: {reason}"))?;
    let Value { spec, tensor } = value;
    let some_rows = plan.rows
        && spec.rank() == plan.shape.len()
        && spec.shape[0] <= plan.shape[0]
        && spec.shape[1..] == plan.shape[1..];
    if spec.dtype != plan.dtype || !(some_rows || spec.shape == plan.shape) {
        let declared = Spec::new(plan.dtype, plan.shape.clone());
        let rows = if plan.rows { ", or fewer rows of it" } else { "" };
        return Err(format!("its {what} is {spec}, but the plan declares {declared}{rows}"));
    }
    Ok(tensor.clone().map(inner))
}

/// Indices lie in the plan's list, each at most once.
fn declared(what: &str, found: &[Named], names: &[&str]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for entry in found {
        let Some(name) = names.get(entry.index as usize) else {
            return Err(format!("its result has {what} {}, but the plan declares {}", entry.index, names.len()));
        };
        if !seen.insert(entry.index) {
            return Err(format!("its result has {what} `{name}` twice"));
        }
    }
    Ok(())
}

fn per_sample(what: &str, handle: Handle, batch: usize, table: &Table) -> Result<Tensor<1>, String> {
    let value = table.get(handle).map_err(|reason| format!("its {what}: {reason}"))?;
    match &value.tensor {
        Some(tensor) if value.spec.dtype == DType::F32 && value.spec.shape == [batch] => {
            Ok(Tensor::from_dispatch(tensor.clone()))
        }
        _ => Err(format!("its {what} is {}, but must be f32 [{batch}], one number a sample", value.spec)),
    }
}

fn scalar(name: &str, handle: Handle, table: &Table) -> Result<Tensor<1>, String> {
    let value = table.get(handle).map_err(|reason| format!("its metric `{name}`: {reason}"))?;
    let tensor = match &value.tensor {
        Some(tensor) if value.spec.elements() == 1 => inner(tensor.clone()),
        _ => return Err(format!("its metric `{name}` is {}, but must be one number", value.spec)),
    };
    let shape = physical(&[]);
    let tensor = match value.spec.dtype {
        DType::Bool => return Err(format!("its metric `{name}` is a mask, but must be one number")),
        DType::Int => Dispatch::int_into_float(Dispatch::int_reshape(tensor, shape), FloatDType::F32),
        _ => {
            let tensor = Dispatch::float_reshape(tensor, shape);
            match tensor.dtype() {
                burn::tensor::DType::F32 => tensor,
                _ => Dispatch::float_cast(tensor, FloatDType::F32),
            }
        }
    };
    Ok(Tensor::from_dispatch(tensor))
}


#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use sextant_plugin_api::abi::{FAILED, OK, Operation};

    use super::super::fixture::{StepFixture, ask, geometry, release, scripted, tap};
    use super::*;

    type Dims = sextant_plugin_api::abi::Dims;

    fn dims(dims: &[u32]) -> Dims {
        let mut all = [0; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Dims { size: size_of::<Dims>() as u64, len: dims.len() as u32, keep: 0, reserved: [0; 3], dims: all }
    }

    /// The mean of the squared tokens, per sample: what most scripts begin with.
    fn mean_square(step: &Step) -> Handle {
        let h = tap(step).handle;
        let (_, square) = ask::<()>(step.session, Operation::Mul, &[h, h], None, 1);
        let (status, mean) = ask(step.session, Operation::Mean, &[square[0].handle], Some(&dims(&[1, 2])), 1);
        assert_eq!(status, OK);
        assert_eq!((mean[0].shape.rank, mean[0].shape.dims[0]), (1, 4));
        mean[0].handle
    }

    fn run(script: impl Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync + 'static) -> Result<Answer, String> {
        let (library, config) = scripted(script);
        let mut instance = Instance::create(&library, "test", &config).unwrap();
        let plan = instance.plan(&geometry()).unwrap();
        let mut fixture = StepFixture::new();
        let (step, mut services) = fixture.parts(7);
        instance.guide(&plan, &step, vec![], vec![], &mut services).map_err(|error| error.to_string())
    }

    #[test]
    fn should_give_a_loss_whose_gradient_reaches_the_tap() {
        let (library, config) = scripted(|step, guided| {
            guided.loss = mean_square(step);
            Ok(())
        });
        let mut instance = Instance::create(&library, "test", &config).unwrap();
        let plan = instance.plan(&geometry()).unwrap();
        assert_eq!(plan.depths(Network::Student), [1]);
        let mut fixture = StepFixture::new();
        let h = fixture.taps[&1].clone();
        for index in 0..3 {
            let (step, mut services) = fixture.parts(index);
            let answer = instance.guide(&plan, &step, vec![], vec![], &mut services).unwrap();
            let wanted = h.clone().square().mean_dims(&[1, 2]).reshape([4]);
            answer.loss.clone().into_data().assert_approx_eq::<f32>(&wanted.into_data(), Default::default());
            let gradient = h.grad(&answer.loss.sum().backward()).unwrap();
            let wanted = h.clone().inner().mul_scalar(2.0 / 32.0);
            gradient.into_data().assert_approx_eq::<f32>(&wanted.into_data(), Default::default());
            assert_eq!(instance.table.len(), 0, "no tensor outlives the step");
        }
    }

    #[test]
    fn should_report_the_first_failed_operation_whatever_guide_returns() {
        for returns_ok in [true, false] {
            let error = run(move |step, guided| {
                let (h, x) = (tap(step).handle, step.x.handle);
                let (status, sum) = ask::<()>(step.session, Operation::Add, &[h, x], None, 1);
                assert_eq!((status, sum[0].handle), (FAILED, 0));
                // Silent, since the operand is the result of a failure.
                let (status, product) = ask::<()>(step.session, Operation::Mul, &[sum[0].handle, h], None, 1);
                assert_eq!((status, product[0].handle), (FAILED, 0));
                guided.loss = product[0].handle;
                if returns_ok { Ok(()) } else { Err("later words".into()) }
            })
            .unwrap_err();
            for part in ["\"test\"", "step 7", "`add`", "src/author.rs:42", "a: f32 [4, 4, 8]", "b: f32 [4, 3, 4, 4]", "ranks differ"] {
                assert!(error.contains(part), "{part} in {error}");
            }
        }
    }

    #[test]
    fn should_report_the_words_of_the_source() {
        let error = run(|_, _| Err("the moon is full".into())).unwrap_err();
        assert!(error.contains("the moon is full") && error.contains("\"test\""), "{error}");
    }

    #[test]
    fn should_refuse_a_configuration_with_the_words_of_the_source() {
        let (library, _) = scripted(|_, _| Ok(()));
        let error = Instance::create(&library, "test", &serde_json::json!({})).unwrap_err().to_string();
        assert!(error.contains("speling"), "{error}");
    }

    #[test]
    fn should_refuse_a_loss_that_is_not_one_number_a_sample() {
        let error = run(|_, _| Ok(())).unwrap_err();
        assert!(error.contains("no loss"), "{error}");
        let error = run(|step, guided| { guided.loss = step.x.handle; Ok(()) }).unwrap_err();
        assert!(error.contains("f32 [4, 3, 4, 4]") && error.contains("f32 [4]"), "{error}");
        let error = run(|step, guided| { guided.loss = step.labels.handle; Ok(()) }).unwrap_err();
        assert!(error.contains("int [4]"), "{error}");
        let error = run(|step, guided| { guided.loss = step.t.handle ^ 1 << 40; Ok(()) }).unwrap_err();
        assert!(error.contains("is no tensor of this step"), "{error}");
    }

    #[test]
    fn should_refuse_results_that_the_plan_does_not_declare() {
        let error = run(|step, guided| {
            guided.loss = mean_square(step);
            let metric = Box::leak(Box::new([Named { index: 0, reserved: 0, handle: step.t.handle }]));
            guided.metrics = lend_list(metric);
            Ok(())
        })
        .unwrap_err();
        assert!(error.contains("metric 0, but the plan declares 0"), "{error}");
    }

    #[test]
    fn should_take_handles_as_dead_once_released_or_consumed() {
        let error = run(|step, guided| {
            let loss = mean_square(step);
            let h = tap(step).handle;
            assert_eq!(release(step.session, h), OK);
            assert_eq!(release(step.session, 0), OK, "a result of a failure has nothing to give back");
            let (status, _) = ask::<()>(step.session, Operation::Neg, &[h], None, 1);
            assert_eq!(status, FAILED);
            guided.loss = loss;
            Ok(())
        })
        .unwrap_err();
        assert!(error.contains("released or consumed"), "{error}");
    }

    #[test]
    fn should_answer_nothing_with_a_wrong_number_from_another_thread_or_after_the_step() {
        static KEPT: Mutex<(u64, Handle)> = Mutex::new((0, 0));
        let error = run(|step, guided| {
            guided.loss = mean_square(step);
            let (session, h) = (step.session, tap(step).handle);
            *KEPT.lock().unwrap() = (session, h);
            let elsewhere = std::thread::spawn(move || {
                (ask::<()>(session, Operation::Neg, &[h], None, 1), release(session, h))
            });
            let ((status, outputs), released) = elsewhere.join().unwrap();
            assert_eq!((status, outputs[0].handle, released), (FAILED, 0, FAILED));
            let (status, _) = ask::<()>(session, Operation::Neg, &[h], None, 1);
            assert_eq!(status, OK, "the tensor is unharmed");
            let (status, outputs) = ask::<()>(session + 1000, Operation::Neg, &[h], None, 1);
            assert_eq!((status, outputs[0].handle), (FAILED, 0));
            Ok(())
        })
        .unwrap_err();
        assert!(error.contains("is not the one that runs here"), "{error}");
        let (session, h) = *KEPT.lock().unwrap();
        let (status, outputs) = ask::<()>(session, Operation::Neg, &[h], None, 1);
        assert_eq!((status, outputs[0].handle), (FAILED, 0));
        assert_eq!(release(session, h), FAILED);
    }

    #[test]
    fn should_refuse_operations_and_attributes_that_make_no_sense() {
        let attempt = |operation: Operation, attributes: Option<Dims>, operands: usize, results: usize| {
            run(move |step, guided| {
                guided.loss = mean_square(step);
                let h = vec![tap(step).handle; operands];
                ask(step.session, operation, &h, attributes.as_ref(), results);
                Ok(())
            })
            .unwrap_err()
        };
        let short = Dims { size: 12, ..dims(&[1]) };
        for (error, part) in [
            (attempt(Operation::Sum, None, 1, 1), "attributes are missing"),
            (attempt(Operation::Sum, Some(short), 1, 1), "12 bytes long"),
            (attempt(Operation::Sum, Some(dims(&[3])), 1, 1), "dimension 3 does not exist"),
            (attempt(Operation::Sum, Some(dims(&[1, 1])), 1, 1), "named twice"),
            (attempt(Operation::Sum, Some(dims(&[1])), 1, 0), "room is given for 0"),
            (attempt(Operation::Add, None, 1, 1), "it takes (a, b)"),
            (attempt(Operation::Neg, None, 2, 1), "it takes (a)"),
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn should_refuse_a_step_whose_numbers_do_not_match_its_tensors() {
        let (library, config) = scripted(|_, _| Ok(()));
        let mut instance = Instance::create(&library, "test", &config).unwrap();
        let plan = instance.plan(&geometry()).unwrap();
        let mut fixture = StepFixture::new();
        fixture.ids.pop();
        let (step, mut services) = fixture.parts(0);
        let error = instance.guide(&plan, &step, vec![], vec![], &mut services).unwrap_err().to_string();
        assert!(error.contains("[3, 4, 4, 4]"), "{error}");
        fixture.ids.push(1);
        fixture.taps.remove(&1);
        let (step, mut services) = fixture.parts(0);
        let error = instance.guide(&plan, &step, vec![], vec![], &mut services).unwrap_err().to_string();
        assert!(error.contains("depth 1"), "{error}");
    }
}
