//! The functions that the host offers.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use sextant_plugin_api::Error;
use sextant_plugin_api::abi::{self, *};

use super::memory::{self, elements, string};
use crate::compute::{self, Attributes};
use crate::session::{self, Asked, Request};
use crate::{Tap, Value};

/// Runs an operation. `[during guide, on its thread]`
pub(super) unsafe extern "C" fn op(call: *const Call) -> Status {
    // SAFETY: the plugin follows the contract of `Host::op`: the call and all that it points to are valid during it.
    let (call, request) = unsafe { (&*call, catch_unwind(AssertUnwindSafe(|| asked(&*call)))) };
    let results = match request {
        Ok(Ok(request)) => catch_unwind(AssertUnwindSafe(|| {
            // A download's memory, filled before the operand may be consumed.
            let memory = match (&request.attributes, request.asked.inputs.first()) {
                (Attributes::Download(memory), Some((handle, _))) => Some((*memory, session::read(*handle))),
                _ => None,
            };
            let results = session::perform(request)?;
            if let Some((memory, Ok((value, _)))) = memory {
                // SAFETY: as above: the memory is as long as it says.
                unsafe { download(&memory, &value) }.map_err(session::fail).ok()?;
            }
            Some(results)
        })),
        Ok(Err(error)) => {
            session::fail(error);
            Ok(None)
        }
        Err(payload) => Err(payload),
    };
    let results = results.unwrap_or_else(|_| {
        session::fail("the test's host or network panicked during an operation".into());
        None
    });
    let Some(results) = results else { return FAILED };
    for (index, result) in results.into_iter().enumerate().take(call.outputs_len as usize) {
        // SAFETY: as above: `outputs_len` places.
        unsafe { call.outputs.add(index).write(result) };
    }
    OK
}

/// # Safety
/// The call is valid, with all that it points to.
unsafe fn asked(call: &Call) -> Result<Request, Error> {
    let operation =
        Operation::from_code(call.opcode).ok_or_else(|| format!("operation {} does not exist", call.opcode))?;
    let operands = Array {
        ptr: call.inputs.cast(),
        len: u64::from(call.inputs_len),
        stride: size_of::<Operand>() as u64,
    };
    // SAFETY: the caller's promise.
    let (operands, attributes) = unsafe { (elements::<Operand>(&operands), attributes(operation, call.attributes)?) };
    Ok(Request {
        session: call.session,
        asked: Asked {
            operation,
            inputs: operands.iter().map(|o| (o.handle, o.consumed != 0)).collect(),
            outputs: Vec::new(),
            file: string(&call.file),
            line: call.line,
        },
        attributes,
    })
}

/// The struct that the operation's row of the table names.
///
/// # Safety
/// `from` is null or points to that struct.
unsafe fn attributes(operation: Operation, from: *const c_void) -> Result<Attributes, Error> {
    let name = operation.info().attributes;
    if name.is_empty() || from.is_null() {
        return Ok(Attributes::None);
    }
    macro_rules! read {
        ($type:ident) => {
            // SAFETY: the caller's promise: the table says that this is the type, made of numbers and pointers.
            unsafe { memory::read::<abi::$type>(from) }
        };
    }
    Ok(match name {
        "Scalar" => Attributes::Scalar(read!(Scalar).value),
        "Range" => Attributes::Range(read!(Range).min, read!(Range).max),
        "Dim" => Attributes::Dim(read!(Dim).dim as usize),
        "Dims" => {
            let dims = read!(Dims);
            let list = dims
                .dims
                .get(..dims.len as usize)
                .ok_or("more dimensions than a tensor can have")?;
            Attributes::Dims {
                dims: list.iter().map(|dim| *dim as usize).collect(),
                keep: dims.keep == 1,
            }
        }
        "NewShape" => Attributes::Shape(read!(NewShape).shape.extents()),
        "Slice" => Attributes::Slice(read!(Slice)),
        "ScatterTo" => Attributes::ScatterTo(read!(ScatterTo)),
        "Conv2d" => Attributes::Conv2d(read!(Conv2d)),
        "Interpolate" => Attributes::Interpolate(read!(Interpolate)),
        "Full" => {
            let full = read!(Full);
            Attributes::Value(Value::full(full.shape.extents(), full.value).of(dtype(full.dtype)?))
        }
        "Upload" => Attributes::Value(upload(&read!(Upload))?),
        "Random" => {
            let random = read!(Random);
            Attributes::Random(compute::Random {
                distribution: Distribution::from_code(random.distribution).ok_or("the distribution does not exist")?,
                tag: string(&random.tag),
                shape: random.shape.extents(),
            })
        }
        "Cast" => Attributes::Cast(dtype(read!(Cast).dtype)?),
        "Download" => Attributes::Download(read!(Download)),
        "Forward" => {
            let forward = read!(Forward);
            // SAFETY: the caller's promise.
            let list = |list: &Array| unsafe { elements::<u32>(list) };
            let (depths, mut kinds) = (list(&forward.depths), list(&forward.kinds));
            if kinds.is_empty() {
                kinds = vec![TapKind::Block as u32; depths.len()];
            }
            if kinds.len() != depths.len() {
                return Err(format!("{} kinds are given for {} depths", kinds.len(), depths.len()).into());
            }
            let tap = |(kind, depth): (&u32, &u32)| match TapKind::from_code(*kind) {
                Some(TapKind::Block) => Ok(Tap::Block(*depth)),
                Some(TapKind::Output) => Ok(Tap::Output),
                _ => Err(format!("`forward` gives no tap of kind {kind}").into()),
            };
            Attributes::Forward(compute::Forward {
                network: Network::from_code(forward.network).ok_or("the network does not exist")?,
                taps: kinds.iter().zip(&depths).map(tap).collect::<Result<_, Error>>()?,
                rows: list(&forward.rows),
                conditions: list(&forward.conditions),
            })
        }
        other => return Err(format!("this testkit does not know the attributes {other}").into()),
    })
}

fn dtype(code: u32) -> Result<DType, Error> {
    DType::from_code(code).ok_or_else(|| format!("element type {code} does not exist").into())
}

fn upload(upload: &Upload) -> Result<Value, Error> {
    let (shape, dtype) = (upload.shape.extents(), dtype(upload.dtype)?);
    // SAFETY: the plugin passes as many elements of the type as it says.
    let data: Vec<f64> = unsafe {
        match dtype {
            DType::Int => elements::<i64>(&upload.data).iter().map(|v| *v as f64).collect(),
            DType::Bool => elements::<u8>(&upload.data)
                .iter()
                .map(|v| f64::from(u8::from(*v != 0)))
                .collect(),
            _ => elements::<f32>(&upload.data).iter().map(|v| f64::from(*v)).collect(),
        }
    };
    match data.len() == shape.iter().product::<usize>() {
        true => Ok(Value::new(shape, data).of(dtype)),
        false => Err(format!("{} numbers do not fill {shape:?}", data.len()).into()),
    }
}

/// # Safety
/// The memory is writable and as long as it says.
unsafe fn download(to: &Download, value: &Value) -> Result<(), Error> {
    let bytes: Vec<u8> = match value.dtype {
        DType::Int => value.data.iter().flat_map(|v| (*v as i64).to_ne_bytes()).collect(),
        DType::Bool => value.data.iter().map(|v| *v as u8).collect(),
        _ => value.data.iter().flat_map(|v| (*v as f32).to_ne_bytes()).collect(),
    };
    if bytes.len() as u64 != to.bytes {
        return Err(format!(
            "the memory is {} bytes long, the tensor needs {}",
            to.bytes,
            bytes.len()
        )
        .into());
    }
    // SAFETY: the caller's promise; the lengths were compared.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.data, bytes.len()) };
    Ok(())
}

/// Gives a handle back. `[during guide, on its thread]`
pub(super) unsafe extern "C" fn release(session: u64, handle: Handle) -> Status {
    if session::release(session, handle) { OK } else { FAILED }
}
