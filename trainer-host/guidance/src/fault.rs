//! Causes for which the host refuses what a plugin wrote, asked for or answered.

use sextant_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, Handle};

use super::operations::Spec;
use super::plan::MAX_ELEMENTS;
use super::table::QUOTA;

/// A refusal. Its words are shown to the author of the source; whoever passes it on adds the source's name.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Memory of the plugin's that is no text, list, struct or place for numbers as the contract has them.
    #[error("{0}")]
    Memory(String),
    /// The plugin's own words.
    #[error("{0}")]
    Told(String),

    // Calls.
    /// A call that is none.
    #[error("{0}")]
    Call(String),
    /// A panic or an error below a call: of the host, the backend or the device.
    #[error("the {who} failed: {words}")]
    Failed { who: &'static str, words: String },
    /// A call out of a call.
    #[error("the host was called from within itself")]
    Reentered,
    /// A call outside `guide`.
    #[error(
        "session {number} does not run on this thread: the host can be called during `guide` only, from the thread that `guide` was called on"
    )]
    Stray { number: u64 },
    /// A call in the name of another session.
    #[error("session {number} is not the one that runs here: pass the number of this step")]
    OtherSession { number: u64 },
    /// An operation of a later contract, or of none.
    #[error(
        "this host (version {}.{} of the contract) has no such operation",
        ABI_MAJOR,
        ABI_MINOR
    )]
    NoOperation,
    /// An operation with too few or too many operands, or with more results than there is room for.
    #[error("{0}")]
    Arity(String),
    /// An operation that failed, with its place in the author's source.
    #[error("operation {operation}{place} on ({operands}): {cause}")]
    Operation {
        operation: String,
        place: String,
        operands: String,
        cause: Box<Fault>,
    },
    /// A handle that cannot be given back.
    #[error("release: {0}")]
    Release(Box<Fault>),

    // Handles.
    /// A result with more elements than a tensor has.
    #[error("the result would be {0}, which has more than {max} elements", max = MAX_ELEMENTS)]
    LargeResult(Spec),
    /// A table that takes no more tensors.
    #[error(
        "{} tensors are alive in this step, which is the most there may be: let go of some",
        QUOTA
    )]
    Full,
    /// A handle without a tensor.
    #[error(
        "handle {handle:#x} is no tensor of this step: it was released or consumed, belongs to another step or source, or was never given out"
    )]
    Dead { handle: Handle },

    // Operations.
    /// An operand, or several, of a shape or element type that the operation does not take.
    #[error("{0}")]
    Operand(String),
    /// An attribute, or several, out of range.
    #[error("{0}")]
    Attribute(String),
    /// A number of an enumeration that it does not have.
    #[error("{what} {code} does not exist")]
    Code { what: &'static str, code: u32 },
    /// A number that is infinite, or none.
    #[error("the {what} {value} is not finite")]
    NotFinite { what: &'static str, value: f64 },
    /// A shape that no tensor has.
    #[error("{0}")]
    Shape(String),
    /// A pass through one of the host's networks that the plan does not declare, or that gives nothing.
    #[error("{0}")]
    Pass(String),

    // The plan, and what there is for it.
    /// A plan, or an entry of it, that breaks the contract.
    #[error("{0}")]
    Plan(String),
    /// An entry whose name the host cannot use.
    #[error("its plan has a {what} called {name:?}: {reason}")]
    Name {
        what: &'static str,
        name: String,
        reason: String,
    },
    /// A network, a depth or a field that this run lacks.
    #[error("{0}")]
    Lacking(String),
    /// A step, or a field of the data, that the host itself cannot hand over.
    #[error("{0}")]
    Step(String),

    // The answer.
    /// An entry that the plan does not declare, or that is given twice.
    #[error("its result has {0}")]
    Entry(String),
    /// An answer without a loss.
    #[error("it gave no loss (handle 0)")]
    NoLoss,
    /// A part of the answer that is no tensor, or another than the plan declares.
    #[error("its {0}")]
    Answer(String),
}

impl Fault {
    /// The member of the enumeration `what` that has a number, if it was found.
    pub fn code<T>(what: &'static str, code: u32, found: Option<T>) -> Result<T, Self> {
        found.ok_or(Self::Code { what, code })
    }

    /// The number, if it is finite.
    pub fn finite(what: &'static str, value: f64) -> Result<f64, Self> {
        match value.is_finite() {
            true => Ok(value),
            false => Err(Self::NotFinite { what, value }),
        }
    }
}
