//! One call of `guide`: who holds which tensor, and what was asked.

mod services;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use sextant_plugin_api::abi::{Handle, Operation, Shape, TensorRef};
use sextant_plugin_api::{Condition, Error, Network};

use crate::compute::{self, Attributes, Operands};
use crate::declared::{Declared, Tap};
use crate::{Inputs, Value};

/// Something that a gradient can flow to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// An activation of the student.
    Tap(Tap),
    /// A parameter of the source, by name.
    Parameter(String),
}

/// One operation, as it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which.
    pub operation: Operation,
    /// Handles, and whether each was given away.
    pub inputs: Vec<(Handle, bool)>,
    /// Handles of the results; none if it failed.
    pub outputs: Vec<Handle>,
    /// File of the author's source.
    pub file: String,
    /// Its line.
    pub line: u32,
}

/// One pass of the teacher or the moving average, as it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The network.
    pub network: Network,
    /// Depths of the blocks that are read.
    pub depths: Vec<u32>,
    /// True if the output is read.
    pub output: bool,
    /// Number of each row's sample in the batch.
    pub rows: Vec<u32>,
    /// Condition of each row.
    pub conditions: Vec<Condition>,
    /// Input of each row, `[R, C, H, W]`.
    pub x_t: Value,
    /// Time of each row.
    pub t: Vec<f64>,
}

/// The host's record of a step.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Operations, in order.
    pub asked: Vec<Asked>,
    /// Passes of other networks, in order.
    pub passes: Vec<Pass>,
    /// Handles that were given back.
    pub released: Vec<Handle>,
    /// Handles that are still alive.
    pub alive: Vec<Handle>,
    /// Calls after the step, all refused.
    pub late: usize,
}

/// The record of this thread's last step, and of what came since.
pub fn last_step() -> Trace {
    state(|state| Trace {
        alive: state.tensors.keys().copied().collect(),
        ..state.trace.clone()
    })
}

/// One operation asked of the host.
pub(crate) struct Request {
    pub session: u64,
    /// Its results come once it is done.
    pub asked: Asked,
    pub attributes: Attributes,
}

#[derive(Clone)]
struct Held {
    value: Value,
    leaves: BTreeSet<Leaf>,
}

struct Context {
    inputs: Inputs,
    null_class: i64,
    /// Tokens and width of each network, and what may be read of it.
    networks: BTreeMap<Network, (usize, usize, Vec<Tap>)>,
}

#[derive(Default)]
struct State {
    session: u64,
    open: bool,
    next: Handle,
    tensors: BTreeMap<Handle, Held>,
    context: Option<Context>,
    error: Option<Error>,
    trace: Trace,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn state<R>(body: impl FnOnce(&mut State) -> R) -> R {
    STATE.with_borrow_mut(body)
}

/// Begins a step of this thread; the number is the session's.
pub(crate) fn open(inputs: &Inputs, geometry: &sextant_plugin_api::Geometry, plan: &Declared) -> u64 {
    // Unique in the process, so that a session means nothing to another thread's host.
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    let networks = [(Network::Teacher, geometry.teacher()), (Network::Ema, geometry.ema())];
    let networks = networks.into_iter().filter_map(|(network, sizes)| {
        let sizes = sizes?;
        Some((network, (sizes.tokens(), sizes.width, plan.taps_of(network))))
    });
    let context = Context {
        inputs: inputs.clone(),
        null_class: geometry.classes as i64,
        networks: networks.collect(),
    };
    state(|state| {
        *state = State {
            session: SESSIONS.fetch_add(1, Ordering::Relaxed),
            open: true,
            next: state.next,
            context: Some(context),
            ..State::default()
        };
        state.session
    })
}

/// Ends the step; the first error of an operation, if there was one.
pub(crate) fn close() -> Option<Error> {
    state(|state| {
        state.open = false;
        state.error.take()
    })
}

/// Takes a tensor in. A gradient may flow to `leaf`.
pub(crate) fn enter(value: Value, leaf: Option<Leaf>) -> TensorRef {
    let leaves = leaf.into_iter().collect();
    state(|state| state.insert(Held { value, leaves }))
}

/// A tensor that is alive, and what a gradient of it flows to.
pub(crate) fn read(handle: Handle) -> Result<(Value, BTreeSet<Leaf>), Error> {
    state(|state| {
        let held = state
            .tensors
            .get(&handle)
            .ok_or("its handle is dead or was never given")?;
        Ok((held.value.clone(), held.leaves.clone()))
    })
}

/// Gives a handle back; false where it is not one of the step's.
pub(crate) fn release(session: u64, handle: Handle) -> bool {
    state(|state| {
        if !state.open || session != state.session {
            state.trace.late += 1;
            return false;
        }
        state.trace.released.push(handle);
        let alive = state.tensors.remove(&handle).is_some();
        if !alive {
            state.fail(format!("handle {handle} was released, but is dead or was never given").into());
        }
        alive
    })
}

/// Notes an error of the step, unless there was one before.
pub(crate) fn fail(error: Error) {
    state(|state| state.fail(error));
}

/// Runs an operation; its results.
pub(crate) fn perform(request: Request) -> Option<Vec<TensorRef>> {
    state(|state| {
        if !state.open || request.session != state.session {
            state.trace.late += 1;
            return None;
        }
        let Request {
            mut asked, attributes, ..
        } = request;
        let results = state.results(&asked, &attributes);
        for (handle, _) in asked.inputs.iter().filter(|(_, consumed)| *consumed) {
            state.tensors.remove(handle);
        }
        let results = match results {
            Ok(results) => Some(results.into_iter().map(|held| state.insert(held)).collect::<Vec<_>>()),
            Err(error) => {
                let name = asked.operation.info().name;
                state.fail(format!("{name}: {error} ({}:{})", asked.file, asked.line).into());
                None
            }
        };
        asked.outputs = results.iter().flatten().map(|result| result.handle).collect();
        state.trace.asked.push(asked);
        results
    })
}

impl State {
    fn insert(&mut self, held: Held) -> TensorRef {
        self.next += 1;
        let reference = TensorRef {
            handle: self.next,
            dtype: held.value.dtype as u32,
            reserved: 0,
            shape: Shape::of(&held.value.shape).unwrap_or_default(),
        };
        self.tensors.insert(self.next, held);
        reference
    }

    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    fn results(&mut self, asked: &Asked, attributes: &Attributes) -> Result<Vec<Held>, Error> {
        let mut values = Vec::new();
        let mut leaves = BTreeSet::new();
        for (handle, _) in &asked.inputs {
            let held = self.tensors.get(handle);
            if held.is_none() && *handle != 0 {
                return Err("an operand is dead or was never given".into());
            }
            leaves.extend(held.iter().flat_map(|held| held.leaves.clone()));
            values.push(held.map(|held| held.value.clone()));
        }
        let (operation, values) = (asked.operation, &values[..]);
        let operands = Operands { operation, values };
        let results = match (operation, attributes) {
            (Operation::Forward, Attributes::Forward(forward)) => self.forward(&operands, forward)?,
            (Operation::Random, Attributes::Random(random)) => vec![self.random(random)?],
            (Operation::Diffuse, _) => vec![self.diffuse(&operands)?],
            (Operation::PathCoefficients, _) => self.coefficients(operands.float(0)?)?,
            (Operation::Download, _) => vec![],
            (_, attributes) => vec![compute::run(&operands, attributes)?],
        };
        let cut = [Operation::Detach, Operation::Forward, Operation::Floor].contains(&operation);
        let held = |value: Value| match value.is_float() && !cut {
            true => Held {
                value,
                leaves: leaves.clone(),
            },
            false => Held {
                value,
                leaves: BTreeSet::new(),
            },
        };
        Ok(results.into_iter().map(held).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::small;

    #[test]
    fn a_handle_is_given_away_if_any_of_its_operands_is_marked() {
        let inputs = Inputs::draw(&small(), &Declared::default(), 0, &[0.5]);
        let session = open(&inputs, &small(), &Declared::default());
        for marks in [[true, false], [false, true]] {
            let a = enter(Value::new(vec![2], vec![1.0, 2.0]), None);
            let asked = Asked {
                operation: Operation::Add,
                inputs: marks.map(|consumed| (a.handle, consumed)).to_vec(),
                outputs: Vec::new(),
                file: "source.rs".into(),
                line: 1,
            };
            let attributes = Attributes::None;
            let twice = perform(Request {
                session,
                asked,
                attributes,
            });
            let sum = twice.expect("it is there at both places")[0].handle;
            assert_eq!(read(sum).unwrap().0.data, [2.0, 4.0]);
            assert!(read(a.handle).is_err(), "{marks:?}");
        }
        assert_eq!(close(), None);
    }
}
