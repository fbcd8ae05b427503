//! The unsafe side: the contract as a host speaks it, and nothing else.
//!
//! A plugin under test is trusted to follow the contract's rules on memory, as the real host must trust it. What can be
//! wrong within them (a dead handle, an operation that does not exist) becomes an error.
#![allow(unsafe_code)]

mod memory;
mod operation;

use std::ffi::c_void;
use std::ptr;

use sextant_plugin_api::abi::{self, *};
use sextant_plugin_api::{Error, Geometry, Init, NetworkGeometry};

use self::memory::{elements, string};
use self::operation::{op, release};
use crate::Inputs;
use crate::declared::{BufferDeclared, Declared, ParameterDeclared, Tap};

/// Tensors that a step hands over.
#[derive(Default)]
pub(crate) struct Handed {
    /// x, noise, x_t, t, velocity, labels, dropped labels.
    pub own: [TensorRef; 7],
    pub taps: Vec<TensorRef>,
    pub fields: Vec<TensorRef>,
    pub parameters: Vec<TensorRef>,
    pub buffers: Vec<TensorRef>,
}

/// Handles of what `guide` answered.
pub(crate) struct Answered {
    pub loss: Handle,
    pub denoising_weight: Handle,
    pub metrics: Vec<(usize, Handle)>,
    pub buffers: Vec<(usize, Handle)>,
}

static HOST: Host = Host {
    size: size_of::<Host>() as u64,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    op: Some(op),
    release: Some(release),
    log: None,
};

/// An instance of a source, destroyed when dropped.
pub(crate) struct Instance {
    descriptor: &'static Descriptor,
    pointer: *mut c_void,
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.descriptor.destroy {
            // SAFETY: the last call, with the pointer that `create` gave.
            unsafe { destroy(self.pointer) };
        }
    }
}

impl Instance {
    pub fn create(descriptor: &'static Descriptor, json: &str) -> Result<Self, Error> {
        let create = descriptor.create.ok_or("the descriptor has no `create`")?;
        let mut pointer = ptr::null_mut();
        // SAFETY: the host lives for ever; the text, the place and the message outlive the call.
        told(|message| unsafe { create(&HOST, Text::of(json), &mut pointer, message) })?;
        Ok(Self { descriptor, pointer })
    }

    pub fn plan(&self, geometry: &Geometry) -> Result<Declared, Error> {
        let plan = self.descriptor.plan.ok_or("the descriptor has no `plan`")?;
        let networks = [
            (Network::Student, Some(geometry.student())),
            (Network::Teacher, geometry.teacher()),
            (Network::Ema, geometry.ema()),
        ];
        let networks: Vec<_> = networks
            .into_iter()
            .filter_map(|(network, sizes)| Some(info(network, sizes?)))
            .collect();
        let fields: Vec<_> = geometry
            .fields()
            .iter()
            .map(|field| FieldInfo {
                name: Text::of(&field.name),
                dtype: field.dtype as u32,
                reserved: 0,
                shape: Shape::of(&field.shape).unwrap_or_default(),
            })
            .collect();
        let raw = abi::Geometry {
            size: size_of::<abi::Geometry>() as u64,
            batch: geometry.batch as u64,
            channels: geometry.channels as u64,
            height: geometry.height as u64,
            width: geometry.width as u64,
            patch: geometry.patch as u64,
            classes: geometry.classes as u64,
            networks: Array::of(&networks),
            fields: Array::of(&fields),
            prediction: geometry.prediction.map_or(0, |kind| kind as u32),
            path: geometry.path.map_or(0, |kind| kind as u32),
        };
        // SAFETY: integers, floats and pointers: zeros are a plan.
        let mut out: Plan = unsafe { std::mem::zeroed() };
        out.size = size_of::<Plan>() as u64;
        // SAFETY: the instance is `create`'s; geometry, its lists, plan and message outlive the call.
        told(|message| unsafe { plan(self.pointer, &raw, &mut out, message) })?;
        // SAFETY: what the plan points to lives until the instance's next call.
        unsafe { declared(&out) }
    }

    pub fn guide(&self, session: u64, inputs: &Inputs, handed: &Handed) -> Result<Answered, Error> {
        let guide = self.descriptor.guide.ok_or("the descriptor has no `guide`")?;
        let [x, noise, x_t, t, velocity, labels, dropped_labels] = handed.own;
        let step = Step {
            size: size_of::<Step>() as u64,
            session,
            index: inputs.index,
            batch: inputs.batch() as u64,
            x,
            noise,
            x_t,
            t,
            velocity,
            labels,
            dropped_labels,
            taps: Array::of(&handed.taps),
            fields: Array::of(&handed.fields),
            parameters: Array::of(&handed.parameters),
            buffers: Array::of(&handed.buffers),
            sample_ids: inputs.ids.as_ptr(),
            t_values: inputs.times.as_ptr(),
            label_values: inputs.labels.as_ptr(),
            dropped_label_values: inputs.dropped.as_ptr(),
        };
        // SAFETY: integers and pointers: zeros are an answer.
        let mut out: Guided = unsafe { std::mem::zeroed() };
        out.size = size_of::<Guided>() as u64;
        // SAFETY: the instance is `create`'s; step, its lists, answer and message outlive the call.
        told(|message| unsafe { guide(self.pointer, &step, &mut out, message) })?;
        // SAFETY: what the answer points to lives until the instance's next call.
        let named = |list: &Array| unsafe { elements::<Named>(list) };
        let numbered = |list| named(list).iter().map(|n| (n.index as usize, n.handle)).collect();
        Ok(Answered {
            loss: out.loss,
            denoising_weight: out.denoising_weight,
            metrics: numbered(&out.metrics),
            buffers: numbered(&out.buffers),
        })
    }
}

fn info(network: Network, sizes: &NetworkGeometry) -> NetworkInfo {
    NetworkInfo {
        network: network as u32,
        depth: sizes.depth,
        width: sizes.width as u64,
        heads: sizes.heads as u32,
        prefix_tokens: sizes.prefix_tokens as u32,
        grid_rows: sizes.grid[0] as u32,
        grid_cols: sizes.grid[1] as u32,
    }
}

/// # Safety
/// The lists of the plan are valid for their lengths.
unsafe fn declared(plan: &Plan) -> Result<Declared, Error> {
    // SAFETY: the caller's promise, for each of these.
    let (taps, parameters, buffers, settings, names) = unsafe {
        (
            elements::<abi::Tap>(&plan.taps),
            elements::<ParameterInfo>(&plan.parameters),
            elements::<BufferInfo>(&plan.buffers),
            elements::<SettingInfo>(&plan.settings),
            |list: &Array| elements::<Text>(list).iter().map(string).collect(),
        )
    };
    let tap = |tap: &abi::Tap| {
        let network = Network::from_code(tap.network).ok_or("the plan has a tap of no network")?;
        let kind = TapKind::from_code(tap.kind).ok_or("the plan has a tap of no kind")?;
        let tap = match kind {
            TapKind::Block => Tap::Block(tap.depth),
            TapKind::Output => Tap::Output,
            TapKind::Attention => Tap::Attention(tap.depth),
        };
        Ok((network, tap))
    };
    let parameter = |p: &ParameterInfo| {
        Ok(ParameterDeclared {
            name: string(&p.name),
            shape: p.shape.extents(),
            init: init(p.init, p.value, &p.values)?,
            trainable: p.trainable == 1,
        })
    };
    let buffer = |b: &BufferInfo| {
        Ok(BufferDeclared {
            name: string(&b.name),
            shape: b.shape.extents(),
            init: init(b.init, b.value, &b.values)?,
            dtype: DType::from_code(b.dtype).ok_or("the plan has a buffer of no element type")?,
        })
    };
    Ok(Declared {
        taps: taps.iter().map(tap).collect::<Result<_, Error>>()?,
        fields: names(&plan.fields),
        parameters: parameters.iter().map(parameter).collect::<Result<_, Error>>()?,
        buffers: buffers.iter().map(buffer).collect::<Result<_, Error>>()?,
        metrics: names(&plan.metrics),
        settings: settings
            .iter()
            .map(|s| (string(&s.name), s.value, SettingMeaning::from_code(s.meaning)))
            .collect(),
        t_range: (plan.has_t_range == 1).then_some((plan.t_min, plan.t_max)),
        batch_coupled: plan.batch_coupled == 1,
        required_minor: plan.required_minor,
    })
}

fn init(kind: u32, value: f64, values: &Array) -> Result<Init, Error> {
    Ok(match kind {
        0 => Init::Constant(value),
        1 => Init::XavierUniform,
        2 => Init::Normal(value),
        // SAFETY: a list of the plan's, valid for its length.
        3 => Init::Values(unsafe { elements(values) }),
        4 => Init::Uniform(value),
        other => {
            return Err(Error::new(format!(
                "the plan begins something with init {other}, which is none"
            )));
        }
    })
}

/// Runs a callback of the plugin's; its message where it failed.
fn told(call: impl FnOnce(*mut Message) -> Status) -> Result<(), Error> {
    let mut message = Message {
        size: size_of::<Message>() as u64,
        text: Text::of(""),
        owner: ptr::null_mut(),
        release: None,
    };
    let status = call(&mut message);
    let words = string(&message.text);
    if let Some(release) = message.release {
        // SAFETY: the message that was filled, once.
        unsafe { release(&mut message) };
    }
    if status == OK { Ok(()) } else { Err(words.into()) }
}
