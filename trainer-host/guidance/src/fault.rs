//! Causes for which the host refuses what a plugin wrote, asked for or answered.

use std::borrow::Cow;

use sextant_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, Handle, MAX_RANK, Network};

use super::operations::Spec;
use super::plan::MAX_ELEMENTS;
use super::table::QUOTA;

/// A predicate of the thing at fault, which says what would be right.
pub type Reason = Cow<'static, str>;

/// A refusal. Its words are shown to the author of the source; whoever passes it on adds the source's name.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    // Memory of the plugin's.
    /// A text that cannot be one.
    #[error("{what} is not a text: it is null, or longer than {most} bytes")]
    NotText { what: String, most: u64 },
    /// A text in another encoding.
    #[error("{what} is not UTF-8")]
    NotUtf8 { what: String },
    /// A list that is longer than any can be.
    #[error("{what} has {len} elements, at most {most} are possible")]
    LongList { what: String, len: u64, most: usize },
    /// A list without memory.
    #[error("{what} has {len} elements, but its pointer is null")]
    NullList { what: String, len: u64 },
    /// A list whose elements are no structs of this contract.
    #[error("elements of {what} are {stride} bytes apart, at least {least} are needed")]
    Stride { what: String, stride: u64, least: u64 },
    /// An operation without its attributes.
    #[error("its attributes are missing")]
    NoAttributes,
    /// Attributes that end too early.
    #[error("its attributes are {size} bytes long, at least {least} are needed")]
    ShortAttributes { size: u64, least: usize },
    /// Memory for a tensor's elements that has another length than they.
    #[error("the memory given is {given} bytes long, the tensor has {elements}")]
    MemoryLength { given: u64, elements: usize },
    /// Memory that is too short or too long for what is asked for.
    #[error("the memory given is {given} bytes long, the tensor needs {needed}")]
    MemoryNeeded { given: u64, needed: usize },
    /// No memory for a tensor's elements.
    #[error("the memory given is null")]
    NullMemory,

    // The plugin's own failure.
    /// The plugin's words.
    #[error("{0}")]
    Told(String),
    /// A failure without words.
    #[error("it gave no reason")]
    Untold,

    // Calls.
    /// No call.
    #[error("a call was null")]
    NullCall,
    /// A call that ends too early.
    #[error("a call is {size} bytes long, at least {least} are needed")]
    ShortCall { size: u64, least: usize },
    /// Counts that are garbage.
    #[error("a call has {operands} operands and {results} results")]
    CallCounts { operands: u32, results: u32 },
    /// Operands or results without memory.
    #[error("a call's operands or results are null")]
    NullOperands,
    /// A panic in the host.
    #[error("the host failed: {panic}")]
    Host { panic: String },
    /// A panic below an operation.
    #[error("the backend failed: {panic}")]
    Backend { panic: String },
    /// A device that does not give a tensor's elements.
    #[error("the device failed: {error}")]
    Device { error: String },
    /// Elements of another type than the tensor's.
    #[error("the numbers cannot be read: {error}")]
    Numbers { error: String },
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
    /// An operation with too few or too many operands.
    #[error("{given} operands are given, it takes ({})", takes.join(", "))]
    OperandCount {
        given: usize,
        takes: &'static [&'static str],
    },
    /// Results that do not fit into the caller's memory.
    #[error("it has {results} results, room is given for {room}")]
    NoRoom { results: usize, room: usize },
    /// An operation that failed, with its place in the author's source.
    #[error("operation {operation}{place} on ({operands}): {cause}")]
    Operation {
        operation: String,
        place: String,
        operands: String,
        cause: Box<Fault>,
    },
    /// A handle that cannot be given back.
    #[error("release: {cause}")]
    Release { cause: Box<Fault> },

    // Handles.
    /// A result with more elements than a tensor has.
    #[error("the result would be {spec}, which has more than {} elements", MAX_ELEMENTS)]
    LargeResult { spec: Spec },
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

    // Operands.
    /// An operand, or several, of a shape or element type that the operation does not take.
    #[error("{operand} {reason}")]
    Operand { operand: &'static str, reason: Reason },
    /// A family of element types that an operation is not made for.
    #[error("{elements} {reason}")]
    Elements {
        elements: &'static str,
        reason: &'static str,
    },
    /// Operands of different element types.
    #[error("element types differ: cast one of them")]
    ElementTypesDiffer,
    /// Operands of different ranks.
    #[error("ranks differ: reshape one of them")]
    RanksDiffer,
    /// Operands of different shapes.
    #[error("shapes differ: expand {remedy}")]
    ShapesDiffer { remedy: &'static str },
    /// Extents that do not broadcast.
    #[error("extents {a} and {b} of dimension {dim} neither agree nor are 1")]
    Extents { a: usize, b: usize, dim: usize },
    /// A dimension without elements to choose from.
    #[error("dimension {dim} is empty, so there is nothing to take")]
    EmptyDimension { dim: usize },
    /// Attention to nothing.
    #[error("there are no keys to attend to")]
    NoKeys,
    /// Numbers of rows where there is none.
    #[error("there are no rows to number")]
    NoRows,
    /// A concatenation of nothing.
    #[error("there is nothing to join")]
    NothingToJoin,
    /// Row numbers out of range.
    #[error("row numbers run from {low} to {high}, but there are {extent} rows (counted from 0)")]
    RowRange { low: i64, high: i64, extent: usize },
    /// More or fewer row numbers than rows.
    #[error("{rows} row numbers do not match the extent {extent} of dimension {dim}")]
    RowCount { rows: usize, extent: usize, dim: usize },
    /// A part that cannot be joined to the first.
    #[error("part {index} has shape {shape:?}, which agrees with {first:?} not in every dimension but {dim}")]
    Part {
        index: usize,
        shape: Vec<usize>,
        first: Vec<usize>,
        dim: usize,
    },
    /// A kernel that is larger than what it slides over.
    #[error("a kernel of {kernel} (dilation {dilation}) does not fit into {extent} with padding {padding}")]
    Kernel {
        kernel: usize,
        dilation: usize,
        extent: usize,
        padding: usize,
    },

    // Attributes.
    /// An attribute, or several, out of range.
    #[error("{attribute} {reason}")]
    Attribute { attribute: &'static str, reason: Reason },
    /// A number of the enumeration `what` that it does not have.
    #[error("{what} {code} does not exist")]
    Code { what: &'static str, code: u32 },
    /// A number that is infinite, or none.
    #[error("the {what} {value} is not finite")]
    NotFinite { what: &'static str, value: f64 },
    /// A number for integers that is not one.
    #[error("{value} is no integer{remedy}")]
    NotInteger { value: f64, remedy: &'static str },
    /// An interval without numbers.
    #[error("the interval [{min}, {max}] is empty")]
    EmptyInterval { min: f64, max: f64 },
    /// A dimension that the operand lacks.
    #[error("dimension {dim} does not exist (they are counted from 0)")]
    NoDimension { dim: usize },
    /// A dimension that occurs twice.
    #[error("dimension {dim} is named twice")]
    DimensionTwice { dim: usize },
    /// More dimensions than a tensor has.
    #[error("{len} dimensions are named, there are {} at most", MAX_RANK)]
    ManyDimensions { len: usize },
    /// A rank that no tensor has.
    #[error("rank {rank} is more than {}", MAX_RANK)]
    Rank { rank: usize },
    /// A rank that no tensor has once the batch is its first dimension.
    #[error("with the batch, the rank is {rank}, more than {}", MAX_RANK)]
    BatchRank { rank: usize },
    /// A shape that is taken for a mistake.
    #[error("shape {shape:?} has more than {} elements", MAX_ELEMENTS)]
    LargeShape { shape: Vec<usize> },
    /// Numbers that do not fill a shape.
    #[error("{found} numbers are given for the {elements} elements of {shape:?}")]
    NumberCount {
        found: usize,
        elements: usize,
        shape: Vec<usize>,
    },
    /// A shape of another number of elements.
    #[error("{elements} elements do not make {shape:?}, which has {wanted}")]
    Reshape {
        elements: usize,
        shape: Vec<usize>,
        wanted: usize,
    },
    /// A list of dimensions that is no permutation.
    #[error("{axes:?} does not name each of the {rank} dimensions once")]
    Permutation { axes: Vec<usize>, rank: usize },
    /// A shape to which the operand cannot be repeated.
    #[error("it does not expand to {shape:?}: ranks must agree, and only extents of 1 are repeated")]
    Expansion { shape: Vec<usize> },
    /// A slice that leaves its dimension.
    #[error("elements {start} to {end} in steps of {step} do not lie within the extent {extent} of dimension {dim}")]
    Slice {
        start: u64,
        end: u64,
        step: u64,
        extent: u64,
        dim: usize,
    },

    // Passes through the host's networks.
    /// The student, which is never run again.
    #[error("the student is seen through taps only")]
    StudentPass,
    /// A network that the plan does not tap.
    #[error("the plan declares no tap of the {network:?} network")]
    UndeclaredNetwork { network: Network },
    /// A depth that the plan does not tap.
    #[error("the plan declares depths {declared:?} of the {network:?} network, but not {depth}")]
    UndeclaredDepth {
        declared: Vec<usize>,
        network: Network,
        depth: usize,
    },
    /// An output that the plan does not tap.
    #[error("the plan does not declare the output of the {network:?} network")]
    UndeclaredOutput { network: Network },
    /// A pass that gives nothing.
    #[error("no depth is asked for")]
    NoDepth,
    /// A kind of tap that passes do not have.
    #[error("taps of kind {code} are not given: only blocks and the output are")]
    PassKind { code: u32 },
    /// Lists that should be of one length.
    #[error("{found} {what} are given for {wanted} {each}")]
    Counts {
        found: usize,
        what: &'static str,
        wanted: usize,
        each: &'static str,
    },
    /// A sample that the batch lacks.
    #[error("row {sample} is asked for, but the batch has {batch} samples")]
    NoSample { sample: usize, batch: usize },

    // The plan.
    /// A plan for a later host.
    #[error(
        "its plan needs version {}.{required_minor} of the guidance contract, this host has {}.{}: update sextant",
        ABI_MAJOR,
        ABI_MAJOR,
        ABI_MINOR
    )]
    PlanVersion { required_minor: u32 },
    /// A range of times without times.
    #[error("its plan has the t range [{min}, {max}]: the lower end must not exceed the upper")]
    TimeRange { min: f64, max: f64 },
    /// Parameters and buffers that together are taken for a mistake.
    #[error("the parameters and buffers of its plan have {elements} elements together, at most {most} are possible")]
    Stored { elements: usize, most: usize },
    /// A tap that no network has.
    #[error("its plan has a tap of {what} {code}, which {reason}")]
    Tap {
        what: &'static str,
        code: u32,
        reason: &'static str,
    },
    /// The attention of a network that is run without it.
    #[error("its plan taps the attention of the {network} network: `forward` gives tokens and the output only")]
    AttentionTap { network: &'static str },
    /// A name that is taken for a mistake.
    #[error("its plan has a {what} whose name is {len} bytes long, at most {most} are possible")]
    LongName {
        what: &'static str,
        len: usize,
        most: usize,
    },
    /// A name that the host cannot use.
    #[error("its plan has a {what} called {name:?}: {reason}")]
    Name {
        what: &'static str,
        name: String,
        reason: Reason,
    },
    /// A name that occurs twice.
    #[error("its plan has two {what}s called `{name}`")]
    NameTwice { what: &'static str, name: String },
    /// A parameter, a buffer or a setting of a shape, type or value that it cannot have.
    #[error("{what} `{name}` of its plan {reason}")]
    Entry {
        what: &'static str,
        name: String,
        reason: Reason,
    },
    /// A parameter or a buffer whose shape no tensor has.
    #[error("{what} `{name}` of its plan: {cause}")]
    EntryShape {
        what: &'static str,
        name: String,
        cause: Box<Fault>,
    },
    /// The attention of the embedding.
    #[error("it asks for the attention of depth 0, the embedding, which has none: set a depth from 1 to {depth}")]
    EmbeddingAttention { depth: usize },
    /// A tap below the last block.
    #[error(
        "it asks for depth {asked} of the {network} network, which has {depth} blocks: set a depth from 0 (the embedding) to {depth}"
    )]
    Depth {
        asked: usize,
        network: &'static str,
        depth: usize,
    },
    /// A batch field that the data lacks.
    #[error("it reads the batch field \"{field}\", which the data lacks; fields of the data: {known}")]
    NoField { field: String, known: String },
    /// A teacher that the phase lacks.
    #[error("it needs a teacher, which this phase does not name: set `teacher` to an earlier phase's `model` or `ema`")]
    NoTeacher,

    // What the host hands over.
    /// A batch field that has no room for the batch among its dimensions.
    #[error("the batch field \"{field}\" has {rank} dimensions, at most {} can be handed over", MAX_RANK - 1)]
    FieldRank { field: String, rank: usize },
    /// Lists of a step that are not of the batch's length.
    #[error("the training loop gave {counts:?} ids, times, labels and dropped labels for {batch} samples")]
    StepCounts { counts: [usize; 4], batch: usize },

    // The answer.
    /// More entries than the plan declares.
    #[error("its result has {len} entries of kind {what}, but the plan declares {declared}")]
    ManyEntries {
        what: &'static str,
        len: u64,
        declared: usize,
    },
    /// An index that the plan lacks.
    #[error("its result has {what} {index}, but the plan declares {declared}")]
    NoEntry {
        what: &'static str,
        index: u32,
        declared: usize,
    },
    /// An entry that is given twice.
    #[error("its result has {what} `{name}` twice")]
    EntryTwice { what: &'static str, name: String },
    /// An answer without a loss.
    #[error("it gave no loss (handle 0)")]
    NoLoss,
    /// A part of the answer without a tensor.
    #[error("its {what}: {cause}")]
    AnswerHandle { what: String, cause: Box<Fault> },
    /// A part of the answer that is another tensor than the plan declares.
    #[error("its {what} is {found}, but {wanted}")]
    AnswerTensor {
        what: String,
        found: String,
        wanted: String,
    },
}

impl Fault {
    /// An operand that does not fit.
    pub fn operand(operand: &'static str, reason: impl Into<Reason>) -> Self {
        let reason = reason.into();
        Self::Operand { operand, reason }
    }

    /// An attribute that does not fit.
    pub fn attribute(attribute: &'static str, reason: impl Into<Reason>) -> Self {
        let reason = reason.into();
        Self::Attribute { attribute, reason }
    }

    /// A family of element types that does not fit.
    pub fn elements(elements: &'static str, reason: &'static str) -> Self {
        Self::Elements { elements, reason }
    }
}
