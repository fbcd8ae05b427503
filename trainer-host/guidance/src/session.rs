//! One running `guide`: its tensors, its context and its first error.
//!
//! A session is owned by the thread inside `guide` and found through a number, never through a pointer that a plugin could
//! keep. So a call after the step, with a number that was made up, or from another thread, finds nothing and is an error.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use burn::backend::DispatchTensor;
use sextant_plugin_api::abi::{Handle, Operand, Operation, OperationInfo, TensorRef};

use super::boundary::Attributes;
use super::fault::Fault;
use super::operations::{self, Context, Operands, Request, Spec, constant};
use super::table::{Table, Value};
use super::trace;
use sextant_model::device::panic_text;

thread_local! {
    static RUNNING: RefCell<Option<Session>> = const { RefCell::new(None) };
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

static STRAY: AtomicU64 = AtomicU64::new(0);

/// Calls of this process's plugins so far that came outside `guide`, or from another thread: a handle was kept too long.
pub fn stray_calls() -> u64 {
    STRAY.load(Ordering::Relaxed)
}

/// The state behind the handles of one step.
pub(super) struct Session {
    number: u64,
    /// The tensors.
    pub table: Table,
    /// The step and the services that operations may look at.
    pub context: Context,
    /// The first fault of the step, most often of an operation.
    pub first_error: Option<Fault>,
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

    /// The number that the plugin passes with every call.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Opens this session on this thread; gives the one that was open before, if any, for [`close`](Self::close).
    pub fn open(self) -> Option<Self> {
        RUNNING.replace(Some(self))
    }

    /// Takes the session that was opened last off this thread again, and puts `outer` back.
    pub fn close(outer: Option<Self>) -> Self {
        let session = RUNNING.replace(outer);
        session.expect("only this function takes a session away")
    }

    /// Performs one operation. `None` if it failed, or had a result of a failed one as operand; the first failure is kept.
    ///
    /// After the first failure nothing is computed any more: the step is lost, and a source that goes on in spite of it
    /// (ten million times, say) costs next to nothing.
    pub fn operate(&mut self, call: &OperationCall) -> Option<Vec<TensorRef>> {
        if self.first_error.is_some() {
            self.bury(&call.operands);
            return None;
        }
        // Kept for the message: consumed operands leave the table on the way.
        let spec = |operand: &Operand| Some(self.table.get(operand.handle).ok()?.spec.clone());
        let specs: Vec<Option<Spec>> = call.operands.iter().map(spec).collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.attempt(call, &specs))).unwrap_or_else(|panic| {
            Err(Some(Fault::Failed {
                who: "backend",
                words: panic_text(&*panic),
            }))
        });
        let failed = |cause: Option<Fault>| {
            if let Some(cause) = cause {
                self.fail(placed(call, &specs, cause));
            }
            self.bury(&call.operands);
        };
        outcome.map_err(failed).ok()
    }

    /// Consumed operands are dead, whatever became of the operation.
    fn bury(&mut self, operands: &[Operand]) {
        for operand in operands.iter().filter(|operand| operand.consumed != 0) {
            let _ = self.table.take(operand.handle);
        }
    }

    /// Gives a handle back. `false` if there was none to give, which is kept as a failure.
    pub fn release(&mut self, handle: Handle) -> bool {
        // A result of a failed operation has nothing to give back.
        if handle == 0 {
            return true;
        }
        let taken = self.table.take(handle).map_err(Box::new);
        taken.map_err(|cause| self.fail(Fault::Release(cause))).is_ok()
    }

    /// Keeps the fault, if it is the first.
    pub fn fail(&mut self, fault: Fault) {
        tracing::debug!(source = %self.context.instance, "{fault}");
        self.first_error.get_or_insert(fault);
    }

    /// The error is `None` where an operand is the result of an operation that had failed before.
    fn attempt(&mut self, call: &OperationCall, specs: &[Option<Spec>]) -> Result<Vec<TensorRef>, Option<Fault>> {
        let operation = Operation::from_code(call.opcode).ok_or(Fault::NoOperation)?;
        let info = operation.info();
        trace::operation(info.name);
        let left_out = left_out(info, call.operands.len())?;
        let mut inputs = Vec::with_capacity(specs.len() + left_out);
        for (index, (operand, spec)) in call.operands.iter().zip(specs).enumerate() {
            let optional = info.inputs.get(index).is_some_and(|name| name.ends_with('?'));
            match (operand.handle, spec) {
                (_, Some(spec)) => inputs.push(Some(spec)),
                (0, None) if optional => inputs.push(None),
                (0, None) => return Err(None),
                (handle, None) => return Err(self.table.get(handle).err()),
            }
        }
        inputs.extend(std::iter::repeat_n(None, left_out));
        let request = Request {
            operation,
            inputs: &inputs,
            attributes: call.attributes,
        };
        let checked = operations::check(&request, &self.context)?;
        if call.capacity < checked.outputs.len() {
            let (results, room) = (checked.outputs.len(), call.capacity);
            return Err(Some(Fault::Arity(format!(
                "it has {results} results, room is given for {room}"
            ))));
        }
        self.table.has_room_for(&checked.outputs)?;
        let any_empty = inputs.iter().flatten().any(|spec| spec.elements() == 0);
        let all_empty = checked.outputs.iter().all(|spec| spec.elements() == 0);
        let operands = self.operands(&call.operands)?;
        if let [output] = &checked.outputs[..] {
            trace::work(|| operations::work(&request, output, |index| operands.tracked(index)));
        }

        let tensors: Vec<Option<DispatchTensor>> = if all_empty && !checked.outputs.is_empty() {
            vec![None; checked.outputs.len()]
        } else if any_empty && !checked.takes_empty {
            let zeros = |spec| Some(constant(spec, 0.0, &self.context.device));
            checked.outputs.iter().map(zeros).collect()
        } else {
            let tensors = (checked.run)(operands, &mut self.context)?;
            tensors.into_iter().map(Some).collect()
        };
        let mut references = Vec::with_capacity(tensors.len());
        for (spec, tensor) in checked.outputs.into_iter().zip(tensors) {
            let reference = spec.reference(0);
            let handle = self.table.insert(Value { spec, tensor })?;
            references.push(TensorRef { handle, ..reference });
        }
        Ok(references)
    }

    /// Moves consumed operands out of the table and shares the others. A handle that occurs several times is consumed if it
    /// is at any of its places, and moves with the last.
    fn operands(&mut self, operands: &[Operand]) -> Result<Operands, Fault> {
        let tensors = operands.iter().enumerate().map(|(index, operand)| {
            let places = || operands.iter().enumerate().filter(|(_, o)| o.handle == operand.handle);
            let consumed = places().any(|(_, place)| place.consumed != 0);
            let last = places().all(|(place, _)| place <= index);
            match operand.handle {
                0 => Ok(None),
                handle if consumed && last => Ok(self.table.take(handle)?.tensor),
                handle => Ok(self.table.get(handle)?.tensor.clone()),
            }
        });
        Ok(Operands::new(tensors.collect::<Result<_, Fault>>()?))
    }
}

/// The fault of an operation, with its place in the author's source and its operands.
fn placed(call: &OperationCall, specs: &[Option<Spec>], cause: Fault) -> Fault {
    let info = Operation::from_code(call.opcode).map(Operation::info);
    let operation = match info {
        Some(info) => format!("`{}`", info.name),
        None => format!("number {}", call.opcode),
    };
    let place = match call.place.as_str() {
        "" => String::new(),
        place => format!(" at {place}"),
    };
    let names = info.map_or(&[][..], |info| info.inputs);
    let operand = |(index, spec): (usize, &Option<Spec>)| {
        let name = names.get(index).or(names.last()).unwrap_or(&"operand");
        let name = name.trim_end_matches(['?', '*']);
        match spec {
            Some(spec) => format!("{name}: {spec}"),
            None => format!("{name}: none"),
        }
    };
    let operands: Vec<String> = specs.iter().enumerate().map(operand).collect();
    Fault::Operation {
        operation,
        place,
        operands: operands.join(", "),
        cause: Box::new(cause),
    }
}

/// Calls `act` with the session that runs on this thread, if it is the one with this number.
pub(super) fn with_running<R>(number: u64, act: impl FnOnce(&mut Session) -> R) -> Result<R, Fault> {
    RUNNING.with(|running| {
        let mut running = running.try_borrow_mut().map_err(|_| Fault::Reentered)?;
        match running.as_mut() {
            None => {
                STRAY.fetch_add(1, Ordering::Relaxed);
                Err(Fault::Stray { number })
            }
            Some(session) if session.number != number => {
                let fault = Fault::OtherSession { number };
                session.fail(fault.clone());
                Err(fault)
            }
            Some(session) => Ok(act(session)),
        }
    })
}

/// Keeps a fault of the session that runs on this thread, if there is one: of calls that name no session.
pub(super) fn fail_running(fault: &Fault) {
    RUNNING.with(|running| {
        if let Ok(mut running) = running.try_borrow_mut()
            && let Some(session) = running.as_mut()
        {
            session.fail(fault.clone());
        }
    });
}

/// The number of optional operands that were left out at the end, if the number of operands is possible.
fn left_out(info: &OperationInfo, given: usize) -> Result<usize, Fault> {
    if info.inputs.iter().any(|name| name.ends_with('*')) {
        return Ok(0);
    }
    let required = info.inputs.iter().filter(|name| !name.ends_with('?')).count();
    if given < required || given > info.inputs.len() {
        let takes = info.inputs.join(", ");
        return Err(Fault::Arity(format!("{given} operands are given, it takes ({takes})")));
    }
    Ok(info.inputs.len() - given)
}
