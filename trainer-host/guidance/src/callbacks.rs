//! The functions that a plugin calls.
//!
//! Each may be called at any time from any thread, with anything: what cannot be answered is an error status and a line
//! in the log. None unwinds into the plugin. What cannot be checked is that pointers are valid for their lengths.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use sextant_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, Call, FAILED, Handle, Host, OK, Operand, Status, TensorRef, Text};

use super::boundary::{Attributes, lossy};
use super::fault::Fault;
use super::session::{OperationCall, fail_running, with_running};
use sextant_model::device::panic_text;

/// Operands or results of one call; beyond it, a count is taken for garbage.
const MAX_OPERANDS: u32 = 4096;

/// The same for every instance, and static, since plugins may keep the pointer.
pub(super) static HOST: Host = Host {
    size: size_of::<Host>() as u64,
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    op: Some(op),
    release: Some(release),
    log: Some(log),
};

/// # Safety
/// `call` is null or points to a call whose pointers are valid for their lengths.
unsafe extern "C" fn op(call: *const Call) -> Status {
    guarded(|| {
        if call.is_null() {
            return Err(Fault::Call("a call was null".into()));
        }
        // SAFETY: not null, and every version's call begins with its size.
        let size = unsafe { (*call).size };
        if size < size_of::<Call>() as u64 {
            let least = size_of::<Call>();
            return Err(Fault::Call(format!(
                "a call is {size} bytes long, at least {least} are needed"
            )));
        }
        // SAFETY: valid by contract, and long enough.
        let call = unsafe { &*call };
        if call.inputs_len > MAX_OPERANDS || call.outputs_len > MAX_OPERANDS {
            let (operands, results) = (call.inputs_len, call.outputs_len);
            return Err(Fault::Call(format!(
                "a call has {operands} operands and {results} results"
            )));
        }
        if (call.inputs.is_null() && call.inputs_len > 0) || (call.outputs.is_null() && call.outputs_len > 0) {
            return Err(Fault::Call("a call's operands or results are null".into()));
        }
        let write = |index: usize, reference: TensorRef| {
            // SAFETY: `outputs` has room for `outputs_len` by contract, and the index is below it.
            unsafe { call.outputs.add(index).write_unaligned(reference) };
        };
        (0..call.outputs_len as usize).for_each(|index| write(index, TensorRef::default()));
        let operands: Vec<Operand> = (0..call.inputs_len as usize)
            // SAFETY: `inputs` holds `inputs_len` operands by contract.
            .map(|index| unsafe { call.inputs.add(index).read_unaligned() })
            .collect();
        // SAFETY: the file is a valid text by contract.
        let file = unsafe { lossy(call.file) };
        let operation = OperationCall {
            opcode: call.opcode,
            operands,
            // SAFETY: null or a struct that begins with its size, by contract, valid during this call.
            attributes: unsafe { Attributes::new(call.attributes) },
            capacity: call.outputs_len as usize,
            place: match (file.as_str(), call.line) {
                ("", _) => String::new(),
                (file, 0) => file.to_owned(),
                (file, line) => format!("{file}:{line}"),
            },
        };
        let results = with_running(call.session, |session| session.operate(&operation))?;
        // A failed operation is in the session's hands, and in its error.
        let Some(results) = results else {
            return Ok(FAILED);
        };
        let results = results.into_iter().enumerate();
        results.for_each(|(index, reference)| write(index, reference));
        Ok(OK)
    })
}

unsafe extern "C" fn release(session: u64, handle: Handle) -> Status {
    guarded(|| {
        let released = with_running(session, |session| session.release(handle))?;
        Ok(if released { OK } else { FAILED })
    })
}

/// # Safety
/// `text` is valid for its length.
unsafe extern "C" fn log(level: u32, text: Text) {
    guarded(|| {
        // SAFETY: valid by contract.
        let text = unsafe { lossy(text) };
        match level {
            1 => tracing::error!(target: "sextant::plugin", "{text}"),
            2 => tracing::warn!(target: "sextant::plugin", "{text}"),
            3 => tracing::info!(target: "sextant::plugin", "{text}"),
            _ => tracing::debug!(target: "sextant::plugin", "{text}"),
        }
        Ok(OK)
    });
}

/// Turns an error or a panic into a line in the log and a failed status.
fn guarded(act: impl FnOnce() -> Result<Status, Fault>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        Err(Fault::Failed {
            who: "host",
            words: panic_text(&*panic),
        })
    });
    outcome.unwrap_or_else(|fault| {
        // The step during which it was called is lost, whatever its source makes of it. Logging must not unwind either.
        let _ = catch_unwind(|| {
            fail_running(&fault);
            tracing::error!(target: "sextant::plugin", "{fault}");
        });
        FAILED
    })
}
