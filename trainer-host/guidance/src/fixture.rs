//! Shared by this folder's tests: a small geometry, a step of it, and sources written against the bare contract.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sextant_plugin_api::abi::{
    self, Call, Descriptor, Dims, FAILED, Guided, Handle, Host, Message, OK, Operand, Operation, Plan, Shape, Status,
    Step, Tap, TensorRef, Text,
};

use super::boundary::{SizeFirst, lend_list, lend_text, lossy};
use super::callbacks::HOST;
use super::geometry::{GuidanceGeometry, NetworkShape};
use super::library::Library;
use super::operations::Spec;
use super::step::{GuidanceStep, Services};
use sextant_model::diffusion::{Path, Prediction};
use sextant_model::{Sit, SitConfig, TrainBatch, frozen_copy};
use sextant_recipe::Precision;
use sextant_records::TeacherCounters;

/// A student of 3 blocks, a teacher of 2, one field.
pub fn geometry() -> GuidanceGeometry {
    let network = |depth| NetworkShape {
        depth,
        width: 8,
        heads: 2,
        grid: [2, 2],
    };
    GuidanceGeometry {
        batch: 4,
        channels: 3,
        height: 4,
        width: 4,
        patch: 2,
        classes: 5,
        prediction: Prediction::Velocity,
        path: Path::Linear,
        student: network(3),
        teacher: Some(network(2)),
        ema: network(3),
        fields: vec![("features".into(), vec![4, 6])],
    }
}

/// A network of the geometry, without autodiff, whose output depends on time and label.
pub fn network(depth: usize) -> Sit {
    let config = SitConfig {
        input_size: 4,
        patch_size: 2,
        in_channels: 3,
        hidden_size: 8,
        depth,
        num_heads: 2,
        num_classes: 5,
        qk_norm: false,
        mlp_ratio: 2.0,
    };
    let mut sit = Sit::init(&config, &mut ChaCha8Rng::seed_from_u64(depth as u64), &Device::flex()).unwrap();
    // Modulations begin at 0, which would hide time and label, and so does the last layer, which would hide all.
    let modulations = sit.blocks.iter_mut().map(|block| &mut block.adaLN_modulation._1);
    for linear in modulations.chain([&mut sit.final_layer.linear]) {
        linear.weight = linear.weight.clone().map(|w| {
            let count = w.shape().num_elements();
            Tensor::from_data(TensorData::new(wave(count), w.shape()), &w.device())
        });
    }
    frozen_copy(&sit)
}

/// Numbers in -0.5 to 0.5 without a pattern.
pub fn wave(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + 13) % 1009) as f32 / 1009.0 - 0.5)
        .collect()
}

/// A tensor of such numbers.
pub fn tensor<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(wave(shape.iter().product()), shape), device)
}

/// Everything that a step borrows, on a CPU with autodiff.
pub struct StepFixture {
    pub batch: TrainBatch,
    pub x_t: Tensor<4>,
    pub velocity: Tensor<4>,
    pub taps: BTreeMap<usize, Tensor<3>>,
    pub attention: BTreeMap<usize, Tensor<4>>,
    pub teacher: Sit,
    pub ema: Sit,
    pub counters: TeacherCounters,
}

impl StepFixture {
    pub fn new() -> Self {
        let device = Device::flex().autodiff();
        let times = vec![0.1f32, 0.45, 0.6, 0.9];
        let (label_values, dropped_values) = (vec![0i64, 1, 2, 3], vec![0i64, 5, 2, 5]);
        let image = |factor: f32| tensor([4, 3, 4, 4], &device).mul_scalar(factor);
        let taps = (0..=3).map(|depth| {
            let tokens = tensor([4, 4, 8], &device).mul_scalar(1.0 + depth as f32).require_grad();
            (depth, tokens)
        });
        Self {
            batch: TrainBatch {
                step: 0,
                x: image(1.0),
                noise: image(2.0),
                t: Tensor::from_data(times.as_slice(), &device),
                labels: Tensor::from_data(label_values.as_slice(), &device),
                dropped: Tensor::from_data(dropped_values.as_slice(), &device),
                pictures: None,
                fields: BTreeMap::from([("features".into(), tensor([4, 4, 6], &device).into_dispatch())]),
                ids: vec![11, 12, 13, 14],
                times,
                label_values,
                dropped_values,
                share: 1.0,
            },
            x_t: image(3.0),
            velocity: image(4.0),
            taps: taps.collect(),
            attention: BTreeMap::from([(2, tensor([4, 2, 4, 4], &device).require_grad())]),
            teacher: network(2),
            ema: network(3),
            counters: TeacherCounters::default(),
        }
    }

    pub fn parts(&mut self, index: u64) -> (GuidanceStep<'_>, Services<'_>) {
        self.batch.step = index;
        let step = GuidanceStep {
            batch: &self.batch,
            x_t: &self.x_t,
            velocity: &self.velocity,
            taps: &self.taps,
            attention: &self.attention,
            output: None,
        };
        let services = Services {
            teacher: Some(&self.teacher),
            ema: Some(&self.ema),
            path: Path::Linear,
            seed: 3,
            null_class: 5,
            precision: Precision::F32,
            pad_rows: false,
            counters: &mut self.counters,
        };
        (step, services)
    }
}

/// The `guide` of a scripted source: it sees the step and fills the result, or fails with a message.
pub type Script = dyn Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync;

static SCRIPTS: LazyLock<Mutex<HashMap<u64, Arc<Script>>>> = LazyLock::new(Default::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A source with one tap (student, depth 1) that does what the script says; and the configuration that selects it.
pub fn scripted(
    script: impl Fn(&Step, &mut Guided) -> Result<(), String> + Send + Sync + 'static,
) -> (Library, serde_json::Value) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    SCRIPTS.lock().unwrap().insert(number, Arc::new(script));
    // SAFETY: the functions below keep the contract, as far as a script does.
    let library = unsafe { Library::in_process(Box::leak(Box::new(descriptor()))) }.unwrap();
    (library, serde_json::json!({ "script": number }))
}

/// A descriptor that is in order.
pub fn descriptor() -> Descriptor {
    Descriptor {
        size: size_of::<Descriptor>() as u64,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        name: lend_text("scripted"),
        version: lend_text("1.2.3"),
        summary: lend_text("does what a test says"),
        create: Some(create),
        plan: Some(plan),
        guide: Some(guide),
        destroy: Some(destroy),
        config_schema: None,
        coefficient: None,
    }
}

/// A tap of the student's tokens.
pub fn of_student(depth: u32) -> Tap {
    Tap {
        network: 0,
        kind: 0,
        depth,
        reserved: 0,
    }
}

struct State {
    script: Arc<Script>,
    taps: Vec<Tap>,
    message: String,
}

unsafe extern "C" fn create(_: *const Host, config: Text, state: *mut *mut c_void, message: *mut Message) -> Status {
    // SAFETY: the host lends a valid text.
    let config: serde_json::Value = serde_json::from_str(&unsafe { lossy(config) }).unwrap();
    let number = config["script"].as_u64();
    let script = number.and_then(|n| SCRIPTS.lock().unwrap().get(&n).cloned());
    let Some(script) = script else {
        // SAFETY: the host passes a message to fill; the text is static.
        unsafe { (*message).text = lend_text("unknown key `speling`") };
        return FAILED;
    };
    let made = Box::new(State {
        script,
        taps: vec![of_student(1)],
        message: String::new(),
    });
    // SAFETY: the host passes a place for the state.
    unsafe { *state = Box::into_raw(made).cast() };
    OK
}

unsafe extern "C" fn plan(state: *mut c_void, _: *const abi::Geometry, plan: *mut Plan, _: *mut Message) -> Status {
    // SAFETY: the state is what `create` made; the host passes a plan to fill.
    unsafe { (*plan).taps = lend_list(&(*state.cast::<State>()).taps) };
    OK
}

unsafe extern "C" fn guide(
    state: *mut c_void,
    step: *const Step,
    guided: *mut Guided,
    message: *mut Message,
) -> Status {
    // SAFETY: the state is what `create` made; the host lends a step and a result to fill.
    let (state, step, guided) = unsafe { (&mut *state.cast::<State>(), &*step, &mut *guided) };
    match (state.script.clone())(step, guided) {
        Ok(()) => OK,
        Err(words) => {
            state.message = words;
            // SAFETY: the host passes a message to fill; the text lives in the state until the next call.
            unsafe { (*message).text = lend_text(&state.message) };
            FAILED
        }
    }
}

unsafe extern "C" fn destroy(state: *mut c_void) {
    if !state.is_null() {
        // SAFETY: the state is what `create` made, and this is the last call.
        drop(unsafe { Box::from_raw(state.cast::<State>()) });
    }
}

/// A shape as it crosses the boundary.
pub fn shape(dims: &[usize]) -> Shape {
    Spec::new(abi::DType::F32, dims.to_vec()).reference(0).shape
}

/// The attributes of a reduction or a permutation.
pub fn dims(dims: &[u32], keep: bool) -> Dims {
    let mut all = Dims::blank();
    (all.len, all.keep) = (dims.len() as u32, u8::from(keep));
    all.dims[..dims.len()].copy_from_slice(dims);
    all
}

/// An operand that is kept.
pub fn kept(handle: Handle) -> Operand {
    Operand {
        handle,
        consumed: 0,
        reserved: [0; 7],
    }
}

/// An operation asked for as a plugin does. `attributes` may be `&()` for none.
pub fn ask<A>(
    session: u64,
    operation: Operation,
    inputs: &[Handle],
    attributes: Option<&A>,
    results: usize,
) -> (Status, Vec<TensorRef>) {
    let inputs: Vec<Operand> = inputs.iter().copied().map(kept).collect();
    let written = Spec::new(abi::DType::F32, vec![]).reference(77);
    let mut outputs = vec![written; results];
    let call = Call {
        size: size_of::<Call>() as u64,
        session,
        opcode: operation as u32,
        inputs_len: inputs.len() as u32,
        outputs_len: results as u32,
        line: 42,
        file: lend_text("src/author.rs"),
        inputs: inputs.as_ptr(),
        attributes: attributes.map_or(null(), |a| std::ptr::from_ref(a).cast()),
        outputs: if results == 0 { null_mut() } else { outputs.as_mut_ptr() },
    };
    // SAFETY: every pointer is valid for its length.
    let status = unsafe { HOST.op.unwrap()(&call) };
    (status, outputs)
}

/// Releases a handle as a plugin does.
pub fn release(session: u64, handle: Handle) -> Status {
    // SAFETY: takes plain numbers.
    unsafe { HOST.release.unwrap()(session, handle) }
}

/// The student's tokens, as the step lends them.
pub fn tap(step: &Step) -> TensorRef {
    assert_eq!(step.taps.len, 1);
    // SAFETY: the host lends one reference.
    unsafe { step.taps.ptr.cast::<TensorRef>().read() }
}
