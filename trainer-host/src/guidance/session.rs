//! One running `guide`: its tensors, its context and its first error.
//!
//! A session is owned by the thread inside `guide` and found through a number, never through a pointer that a plugin could
//! keep. So a call after the step, with a number that was made up, or from another thread, finds nothing and is an error.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use sextant_plugin_api::abi::{
    ABI_MAJOR, ABI_MINOR, Handle, Operand, Operation, OperationInfo, TensorRef,
};

use super::boundary::Attributes;
use super::operations::{self, Context, Operands, Request, Spec, constant};
use super::table::{Table, Value};

thread_local! {
    static RUNNING: RefCell<Option<Session>> = const { RefCell::new(None) };
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// The state behind the handles of one step.
pub(super) struct Session {
    number: u64,
    /// The tensors.
    pub table: Table,
    /// What operations may look at.
    pub context: Context,
    /// The first operation that failed, in words.
    pub first_error: Option<String>,
}

/// One operation, as it was asked for.
pub(super) struct OperationCall {
    /// Number of the operation.
    pub opcode: u32,
    /// Operands, in the order of the table.
    pub operands: Vec<Operand>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Results that fit.
    pub capacity: usize,
    /// The author's file and line; empty if unknown.
    pub place: String,
}

impl Session {
    /// A session with a number of its own.
    pub fn new(table: Table, context: Context) -> Self {
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            table,
            context,
            first_error: None,
        }
    }

    /// What the plugin passes with every call.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Runs `call` with this session open on this thread, and gives the session back.
    pub fn during<R>(self, call: impl FnOnce() -> R) -> (R, Self) {
        let outer = RUNNING.replace(Some(self));
        let result = call();
        let session = RUNNING.replace(outer);
        (result, session.expect("only this function takes the session out"))
    }

    /// Performs one operation. `None` if it failed, or had a result of a failed one as operand; the first failure is kept.
    pub fn operate(&mut self, call: &OperationCall) -> Option<Vec<TensorRef>> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.attempt(call)))
            .unwrap_or_else(|panic| Err(Some(format!("the backend failed: {}", panic_text(&*panic)))));
        outcome
            .map_err(|reason| {
                if let Some(reason) = reason {
                    let error = self.describe(call, &reason);
                    self.fail(error);
                }
                // Consumed operands are dead, whatever became of the operation.
                for operand in call.operands.iter().filter(|operand| operand.consumed != 0) {
                    let _ = self.table.take(operand.handle);
                }
            })
            .ok()
    }

    /// Gives a handle back. `false` if there was none to give, which is kept as a failure.
    pub fn release(&mut self, handle: Handle) -> bool {
        // A result of a failed operation has nothing to give back.
        if handle == 0 {
            return true;
        }
        match self.table.take(handle) {
            Ok(_) => true,
            Err(reason) => {
                self.fail(format!("release: {reason}"));
                false
            }
        }
    }

    /// Keeps the error, if it is the first.
    pub fn fail(&mut self, error: String) {
        tracing::debug!(source = %self.context.instance, "{error}");
        self.first_error.get_or_insert(error);
    }

    /// The error is `None` where an operand is the result of an operation that had failed before.
    fn attempt(&mut self, call: &OperationCall) -> Result<Vec<TensorRef>, Option<String>> {
        let operation = Operation::from_code(call.opcode).ok_or_else(|| {
            format!("this host (version {ABI_MAJOR}.{ABI_MINOR} of the contract) has no such operation")
        })?;
        let info = operation.info();
        let missing = check_count(info, call.operands.len())?;
        let mut specs: Vec<Option<&Spec>> = Vec::with_capacity(call.operands.len() + missing);
        for (index, operand) in call.operands.iter().enumerate() {
            let optional = info.inputs.get(index).is_some_and(|name| name.ends_with('?'));
            match operand.handle {
                0 if optional => specs.push(None),
                0 => return Err(None),
                handle => specs.push(Some(&self.table.get(handle)?.spec)),
            }
        }
        specs.extend(std::iter::repeat_n(None, missing));
        let request = Request { operation, inputs: &specs, attributes: call.attributes };
        let checked = operations::check(&request, &self.context)?;
        if call.capacity < checked.outputs.len() {
            return Err(Some(format!(
                "it has {} results, room is given for {}",
                checked.outputs.len(),
                call.capacity
            )));
        }
        let any_empty = specs.iter().flatten().any(|spec| spec.elements() == 0);
        drop(specs);
        let operands = self.operands(&call.operands)?;

        let computed: Vec<Option<_>> = if !checked.outputs.is_empty()
            && checked.outputs.iter().all(|spec| spec.elements() == 0)
        {
            vec![None; checked.outputs.len()]
        } else if any_empty && !checked.takes_empty {
            let device = &self.context.device;
            checked.outputs.iter().map(|spec| Some(constant(spec, 0.0, device))).collect()
        } else {
            (checked.run)(operands, &mut self.context)?.into_iter().map(Some).collect()
        };
        let mut references = Vec::with_capacity(computed.len());
        for (spec, tensor) in checked.outputs.into_iter().zip(computed) {
            let value = Value { spec, tensor };
            let handle = self.table.insert(value.clone())?;
            references.push(value.spec.reference(handle));
        }
        Ok(references)
    }

    /// Moves consumed operands out of the table and shares the others. One that occurs twice moves with its last occurrence.
    fn operands(&mut self, operands: &[Operand]) -> Result<Operands, String> {
        let tensors = operands.iter().enumerate().map(|(index, operand)| {
            let again = operands[index + 1..].iter().any(|later| later.handle == operand.handle);
            match operand.handle {
                0 => Ok(None),
                handle if operand.consumed != 0 && !again => Ok(self.table.take(handle)?.tensor),
                handle => Ok(self.table.get(handle)?.tensor.clone()),
            }
        });
        Ok(Operands::new(tensors.collect::<Result<_, String>>()?))
    }

    fn describe(&self, call: &OperationCall, reason: &str) -> String {
        let info = Operation::from_code(call.opcode).map(Operation::info);
        let name = match info {
            Some(info) => format!("`{}`", info.name),
            None => format!("number {}", call.opcode),
        };
        let place = match call.place.as_str() {
            "" => String::new(),
            place => format!(" at {place}"),
        };
        let operands: Vec<String> = call
            .operands
            .iter()
            .enumerate()
            .map(|(index, operand)| {
                let name = match info.and_then(|info| info.inputs.get(index).or(info.inputs.last())) {
                    Some(name) => name.trim_end_matches(['?', '*']),
                    None => "operand",
                };
                match self.table.get(operand.handle) {
                    Ok(value) => format!("{name}: {}", value.spec),
                    Err(_) if operand.handle == 0 => format!("{name}: none"),
                    Err(_) => format!("{name}: ?"),
                }
            })
            .collect();
        format!("operation {name}{place} on ({}): {reason}", operands.join(", "))
    }
}

/// Calls `act` with the session that runs on this thread, if it is the one with this number.
pub(super) fn with_running<R>(number: u64, act: impl FnOnce(&mut Session) -> R) -> Result<R, String> {
    RUNNING.with(|running| {
        let mut running = running
            .try_borrow_mut()
            .map_err(|_| "the host was called from within itself".to_owned())?;
        match running.as_mut() {
            None => Err(format!(
                "session {number} does not run on this thread: the host can be called during `guide` only, from the thread that `guide` was called on"
            )),
            Some(session) if session.number != number => {
                let error = format!("session {number} is not the one that runs here: pass the number of this step");
                session.fail(error.clone());
                Err(error)
            }
            Some(session) => Ok(act(session)),
        }
    })
}

/// The words of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without words".into(),
    }
}

/// How many optional operands were left out at the end, if the number of operands is possible.
fn check_count(info: &OperationInfo, given: usize) -> Result<usize, String> {
    if info.inputs.iter().any(|name| name.ends_with('*')) {
        return Ok(0);
    }
    let required = info.inputs.iter().filter(|name| !name.ends_with('?')).count();
    if given < required || given > info.inputs.len() {
        return Err(format!("{given} operands are given, it takes ({})", info.inputs.join(", ")));
    }
    Ok(info.inputs.len() - given)
}
