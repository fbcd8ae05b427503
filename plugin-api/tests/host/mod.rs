//! A host in plain Rust, on f32 in memory: runs a source and records what it asked for.
#![allow(unsafe_code, dead_code)]

mod compute;
pub mod fixture;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use sextant_plugin_api::abi::{self, *};

pub use compute::Value;

/// One operation, as it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub operation: Operation,
    /// Handles, and whether each was given away.
    pub inputs: Vec<(Handle, bool)>,
    pub outputs: Vec<Handle>,
    pub file: String,
    pub line: u32,
}

/// One forward pass, as it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    pub depths: Vec<u32>,
    pub rows: Vec<u32>,
    pub conditions: Vec<u32>,
}

#[derive(Default)]
struct State {
    session: u64,
    open: bool,
    next: u64,
    tensors: BTreeMap<Handle, Value>,
    asked: Vec<Asked>,
    released: Vec<Handle>,
    passes: Vec<Pass>,
    error: Option<String>,
    teacher: Option<Teacher>,
    late: usize,
}

/// What the frozen network answers for a depth, a row's sample and its condition: `[T, D]` of one value each.
type Teacher = fn(u32, u32, u32) -> Value;

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn state<R>(body: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(body)
}

impl State {
    fn insert(&mut self, value: Value) -> TensorRef {
        self.next += 1;
        let reference = TensorRef {
            handle: self.next,
            dtype: value.dtype as u32,
            reserved: 0,
            shape: shape(&value.shape),
        };
        self.tensors.insert(self.next, value);
        reference
    }
}

pub fn shape(extents: &[usize]) -> Shape {
    let mut shape = Shape {
        rank: extents.len() as u32,
        ..Shape::default()
    };
    for (to, from) in shape.dims.iter_mut().zip(extents) {
        *to = *from as u64;
    }
    shape
}

/// What a step is made of.
#[derive(Default)]
pub struct Inputs {
    pub times: Vec<f32>,
    pub latents: BTreeMap<&'static str, Value>,
    pub taps: Vec<Value>,
    pub fields: Vec<Value>,
    pub parameters: Vec<Value>,
    pub buffers: Vec<Value>,
    pub teacher: Option<Teacher>,
}

/// What came of a step.
#[derive(Debug)]
pub struct Outcome {
    pub loss: Value,
    pub metrics: Vec<(u32, Value)>,
    pub buffers: Vec<(u32, Value)>,
}

/// What was seen of the last step.
pub struct Trace {
    pub asked: Vec<Asked>,
    pub released: Vec<Handle>,
    pub passes: Vec<Pass>,
    /// Tensors that are still alive.
    pub alive: Vec<Handle>,
    /// Calls after the step.
    pub late: usize,
}

pub fn trace() -> Trace {
    state(|state| Trace {
        asked: state.asked.clone(),
        released: state.released.clone(),
        passes: state.passes.clone(),
        alive: state.tensors.keys().copied().collect(),
        late: state.late,
    })
}

/// Sizes of the fixtures' model: latents [4, 8, 8], patch 2, width 32, depth 4.
pub struct Sizes {
    pub teacher: bool,
    pub field: Option<Vec<usize>>,
}

/// A source, from its creation to its end.
pub struct Instance {
    descriptor: &'static Descriptor,
    pointer: *mut c_void,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the last call, with the pointer that `create` gave.
        unsafe { self.descriptor.destroy.unwrap()(self.pointer) };
    }
}

static HOST: Host = Host {
    size: size_of::<Host>() as u64,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    op: Some(op),
    release: Some(release),
    log: None,
};

/// A declared parameter or tap, as the host saw it.
#[derive(Debug, PartialEq)]
pub struct Planned {
    pub taps: Vec<(u32, u32)>,
    pub parameters: Vec<(String, Vec<u64>, u32)>,
    pub range: Option<(f64, f64)>,
    pub coupled: bool,
}

impl Instance {
    pub fn create(descriptor: &'static Descriptor, json: &str) -> Result<Self, String> {
        let mut pointer = ptr::null_mut();
        // SAFETY: the contract of `create`.
        told(|m| unsafe { descriptor.create.unwrap()(&HOST, text(json), &mut pointer, m) })?;
        Ok(Self { descriptor, pointer })
    }

    pub fn plan(&self, sizes: &Sizes) -> Result<Planned, String> {
        let network = |network: Network| NetworkInfo {
            network: network as u32,
            depth: 4,
            width: 32,
            heads: 4,
            prefix_tokens: 0,
            grid_rows: 4,
            grid_cols: 4,
        };
        let mut networks = vec![network(Network::Student)];
        if sizes.teacher {
            networks.push(network(Network::Teacher));
        }
        let fields: Vec<FieldInfo> = sizes
            .field
            .iter()
            .map(|extents| FieldInfo {
                name: text("features"),
                dtype: DType::F32 as u32,
                reserved: 0,
                shape: shape(extents),
            })
            .collect();
        let geometry = Geometry {
            size: size_of::<Geometry>() as u64,
            batch: 4,
            channels: 4,
            height: 8,
            width: 8,
            patch: 2,
            classes: 10,
            networks: array(&networks),
            fields: array(&fields),
        };
        // SAFETY: zeros are a plan.
        let mut plan: Plan = unsafe { std::mem::zeroed() };
        plan.size = size_of::<Plan>() as u64;
        let (descriptor, pointer) = (self.descriptor, self.pointer);
        // SAFETY: the contract of `plan`.
        told(|m| unsafe { descriptor.plan.unwrap()(pointer, &geometry, &mut plan, m) })?;
        Ok(Planned {
            taps: list::<Tap>(&plan.taps)
                .iter()
                .map(|tap| (tap.network, tap.depth))
                .collect(),
            parameters: list::<ParameterInfo>(&plan.parameters)
                .iter()
                .map(|p| {
                    let rank = p.shape.rank as usize;
                    (string(&p.name), p.shape.dims[..rank].to_vec(), p.init)
                })
                .collect(),
            range: (plan.has_t_range == 1).then_some((plan.t_min, plan.t_max)),
            coupled: plan.batch_coupled == 1,
        })
    }

    pub fn guide(&self, inputs: &Inputs) -> Result<Outcome, String> {
        let batch = inputs.times.len();
        let labels = vec![3i64; batch];
        let ids: Vec<u64> = (0..batch as u64).collect();
        let latent = |name: &str| inputs.latents.get(name).cloned().unwrap_or_default();
        let enter = |values: &[Value]| -> Vec<TensorRef> {
            state(|state| values.iter().map(|v| state.insert(v.clone())).collect())
        };
        state(|state| {
            *state = State {
                session: state.session + 1,
                next: state.next,
                open: true,
                teacher: inputs.teacher,
                ..State::default()
            }
        });
        let t = Value::new(&[batch], inputs.times.clone());
        let own = enter(&[latent("x"), latent("noise"), latent("x_t"), t, latent("velocity")]);
        let ints = enter(&[
            Value::ints(&labels.iter().map(|l| *l as f32).collect::<Vec<_>>()),
            Value::ints(&labels.iter().map(|l| *l as f32).collect::<Vec<_>>()),
        ]);
        let lists = [&inputs.taps, &inputs.fields, &inputs.parameters, &inputs.buffers].map(|list| enter(list));
        let step = Step {
            size: size_of::<Step>() as u64,
            session: state(|state| state.session),
            index: 7,
            batch: batch as u64,
            x: own[0],
            noise: own[1],
            x_t: own[2],
            t: own[3],
            velocity: own[4],
            labels: ints[0],
            dropped_labels: ints[1],
            taps: array(&lists[0]),
            fields: array(&lists[1]),
            parameters: array(&lists[2]),
            buffers: array(&lists[3]),
            sample_ids: ids.as_ptr(),
            t_values: inputs.times.as_ptr(),
            label_values: labels.as_ptr(),
            dropped_label_values: labels.as_ptr(),
        };
        // SAFETY: zeros are an answer.
        let mut guided: Guided = unsafe { std::mem::zeroed() };
        guided.size = size_of::<Guided>() as u64;
        let (descriptor, pointer) = (self.descriptor, self.pointer);
        // SAFETY: the contract of `guide`.
        let result = told(|m| unsafe { descriptor.guide.unwrap()(pointer, &step, &mut guided, m) });
        state(|state| {
            state.open = false;
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            result?;
            let value = |handle: &Handle| state.tensors.get(handle).cloned().ok_or("a dead answer");
            let named = |array: &Array| -> Result<Vec<(u32, Value)>, String> {
                list::<Named>(array)
                    .iter()
                    .map(|named| Ok((named.index, value(&named.handle)?)))
                    .collect()
            };
            Ok(Outcome {
                loss: value(&guided.loss)?,
                metrics: named(&guided.metrics)?,
                buffers: named(&guided.buffers)?,
            })
        })
    }
}

unsafe extern "C" fn op(call: *const Call) -> Status {
    // SAFETY: the plugin follows the contract of `Host::op`.
    let call = unsafe { &*call };
    let operands = match call.inputs_len {
        0 => &[],
        // SAFETY: as above: `inputs_len` operands.
        len => unsafe { std::slice::from_raw_parts(call.inputs, len as usize) },
    };
    state(|state| {
        if !state.open || call.session != state.session {
            state.late += 1;
            return FAILED;
        }
        let operation = Operation::from_code(call.opcode).unwrap();
        let mut asked = Asked {
            operation,
            inputs: operands.iter().map(|o| (o.handle, o.consumed == 1)).collect(),
            outputs: Vec::new(),
            file: string(&call.file),
            line: call.line,
        };
        let mut values = Vec::new();
        for operand in operands {
            let value = state.tensors.get(&operand.handle).cloned();
            assert!(operand.handle == 0 || value.is_some(), "{operation:?}: dead operand");
            values.push(value);
        }
        let results = match operation {
            Operation::Forward => Ok(forward(state, call)),
            // SAFETY: the plugin passes the attributes of the operation.
            _ => unsafe { compute::run(operation, &values, call.attributes) }.map(|v| vec![v]),
        };
        for operand in operands.iter().filter(|o| o.consumed == 1) {
            state.tensors.remove(&operand.handle);
        }
        let status = match results {
            Ok(results) => {
                for (index, value) in results.into_iter().enumerate().take(call.outputs_len as usize) {
                    let reference = state.insert(value);
                    asked.outputs.push(reference.handle);
                    // SAFETY: `outputs_len` places.
                    unsafe { call.outputs.add(index).write(reference) };
                }
                OK
            }
            Err(error) => {
                let at = format!("{}: {error} ({}:{})", operation.info().name, asked.file, asked.line);
                state.error.get_or_insert(at);
                FAILED
            }
        };
        state.asked.push(asked);
        status
    })
}

fn forward(state: &mut State, call: &Call) -> Vec<Value> {
    // SAFETY: the plugin passes the attributes of the operation.
    let attributes = unsafe { &*call.attributes.cast::<abi::Forward>() };
    let pass = Pass {
        depths: list(&attributes.depths),
        rows: list(&attributes.rows),
        conditions: list(&attributes.conditions),
    };
    let teacher = state.teacher.expect("a step with a teacher");
    let features = |depth: &u32| {
        let rows = pass.rows.iter().zip(&pass.conditions);
        let parts: Vec<Value> = rows.map(|(row, condition)| teacher(*depth, *row, *condition)).collect();
        let mut whole = vec![parts.len()];
        whole.extend(&parts[0].shape);
        Value::new(&whole, parts.into_iter().flat_map(|part| part.data).collect())
    };
    let results = pass.depths.iter().map(features).collect();
    state.passes.push(pass);
    results
}

unsafe extern "C" fn release(session: u64, handle: Handle) -> Status {
    state(|state| {
        if !state.open || session != state.session {
            state.late += 1;
            return FAILED;
        }
        assert!(state.tensors.remove(&handle).is_some(), "released twice");
        state.released.push(handle);
        OK
    })
}

fn told(call: impl FnOnce(*mut Message) -> Status) -> Result<(), String> {
    let mut message = Message {
        size: size_of::<Message>() as u64,
        text: text(""),
        owner: ptr::null_mut(),
        release: None,
    };
    let status = call(&mut message);
    let words = string(&message.text);
    if let Some(release) = message.release {
        // SAFETY: the message that was filled, once.
        unsafe { release(&mut message) };
    }
    if status == OK { Ok(()) } else { Err(words) }
}

pub fn text(text: &str) -> Text {
    Text {
        ptr: text.as_ptr(),
        len: text.len() as u64,
    }
}

fn array<T>(list: &[T]) -> Array {
    Array {
        ptr: list.as_ptr().cast(),
        len: list.len() as u64,
        stride: size_of::<T>() as u64,
    }
}

fn list<T: Copy>(array: &Array) -> Vec<T> {
    match array.len {
        0 => Vec::new(),
        // SAFETY: this crate's own arrays have its own strides.
        len => unsafe { std::slice::from_raw_parts(array.ptr.cast(), len as usize) }.to_vec(),
    }
}

fn string(text: &Text) -> String {
    match text.len {
        0 => String::new(),
        // SAFETY: a text of the plugin's.
        len => String::from_utf8(unsafe { std::slice::from_raw_parts(text.ptr, len as usize) }.to_vec()).unwrap(),
    }
}
