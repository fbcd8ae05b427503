//! The structs of the contract, in the order in which they are met.

use std::ffi::c_void;

/// Largest rank of a tensor that crosses the boundary.
pub const MAX_RANK: usize = 8;

/// Outcome of a call: [`OK`] or [`FAILED`].
pub type Status = u32;
/// The call did what was asked.
pub const OK: Status = 0;
/// The call failed; its [`Message`], if it has one, says why.
pub const FAILED: Status = 1;

/// A tensor of the host's: slot in the low 32 bits, generation in the high 32. 0 is no tensor.
pub type Handle = u64;

/// UTF-8 text, borrowed and not terminated by a zero byte. An empty text may have a null pointer.
///
/// The bytes must live as long as is said wherever a text is passed; whoever wants them longer copies them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// First byte.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: u64,
}

/// A borrowed array whose elements are `stride` bytes apart, so that either side may know a longer element:
/// element i begins at `ptr + i * stride`. Write the size of your element as `stride`, and read with the other side's.
///
/// The elements must live as long as is said wherever an array is passed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Array {
    /// First element; may be null when `len` is 0.
    pub ptr: *const c_void,
    /// Number of elements.
    pub len: u64,
    /// Distance in bytes from one element to the next; at least the size of the element in version 1.0. Without
    /// meaning when `len` is 0.
    pub stride: u64,
}

/// An error's text, owned by the side that wrote it.
///
/// The caller passes one with `size` set and the rest zero. The callee that fails fills in `text`, and `owner` and
/// `release` if the text must be freed. The caller copies the text and then calls `release` once, unless it is null;
/// after that the callee may reuse the memory. A callee that succeeds leaves it alone.
#[repr(C)]
#[derive(Debug)]
pub struct Message {
    /// `sizeof(Message)` as the caller knows it.
    pub size: u64,
    /// The words for a person.
    pub text: Text,
    /// The callee's own; passed back untouched.
    pub owner: *mut c_void,
    /// Frees what `owner` holds; gets the same message back. Null where there is nothing to free, as for a static
    /// text. `[right after the call that failed, on its thread]`
    pub release: Option<unsafe extern "C" fn(message: *mut Message)>,
}

/// Rank and extents. Entries of `dims` from `rank` on are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Number of dimensions, at most [`MAX_RANK`].
    pub rank: u32,
    /// Padding, 0.
    pub reserved: u32,
    /// Extents; zero extents are legal.
    pub dims: [u64; MAX_RANK],
}

/// Element type of a tensor ([`DType`] as its number).
pub type DTypeCode = u32;

/// Element types. Losses are f32; taps and parameters come in the run's compute type; an operation on mixed types is
/// an error, and the operation `cast` converts.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32 = 1,
    /// 16-bit brain float.
    BF16 = 2,
    /// 16-bit IEEE float.
    F16 = 3,
    /// 64-bit float; only on devices that have it.
    F64 = 4,
    /// Signed integer, in the width that the device uses.
    Int = 5,
    /// Truth values, made by comparisons.
    Bool = 6,
}

/// A handle with what is known of its tensor. A plain value: copying it makes no second tensor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TensorRef {
    /// The tensor; 0 where there is none.
    pub handle: Handle,
    /// Its [`DType`].
    pub dtype: DTypeCode,
    /// Padding, 0.
    pub reserved: u32,
    /// Its shape.
    pub shape: Shape,
}

/// Type of the function that a library exports under the name [`super::ENTRY_SYMBOL`].
///
/// Answers the library's [`Descriptor`], static memory that is the same at every call; null on failure, and the
/// library is refused. Since 1.2 a library without a source to give can say why: it answers a descriptor whose four
/// functions are null, and whose [`Descriptor::summary`] has the words. `[first call into the library, any thread]`
pub type Entry = unsafe extern "C" fn() -> *const Descriptor;

/// A library's description. Static and never written: it lives as long as the process, as do its texts. The first three
/// fields never move, in any version, so that any host can refuse any library with both versions in its message.
///
/// An instance is whatever `create` makes of it: the host passes the pointer on and never reads through it. The host
/// never calls one instance from two threads at once, but may call it from another thread each time. Different
/// instances of a library may be called at the same time from different threads.
///
/// None of these functions may unwind, throw or longjmp into the host, or end the process.
#[repr(C)]
#[derive(Debug)]
pub struct Descriptor {
    /// `sizeof(Descriptor)` as the plugin knows it.
    pub size: u64,
    /// [`super::ABI_MAJOR`] that the plugin was built with.
    pub abi_major: u32,
    /// [`super::ABI_MINOR`] that the plugin was built with; see [`Plan::required_minor`] for what it needs.
    pub abi_minor: u32,
    /// The source's name, as recipes write it. Not empty.
    pub name: Text,
    /// The source's own version.
    pub version: Text,
    /// One sentence on what it guides towards.
    pub summary: Text,
    /// Makes an instance from its configuration and writes it to `instance`. Not null. `[any thread]`
    ///
    /// `config` is a JSON object, the `config` table of the recipe, `{}` where there is none. It is valid during the
    /// call only; `host` is valid as long as the process. A key that is unknown or out of range should be a failure
    /// whose message names it: it ends the run before training. After a failure there is no instance, and `destroy`
    /// is not called.
    pub create: Option<
        unsafe extern "C" fn(
            host: *const Host,
            config: Text,
            instance: *mut *mut c_void,
            error: *mut Message,
        ) -> Status,
    >,
    /// Declares what the source needs, for a geometry. Not null. `[after create, not during guide]`
    ///
    /// The host fills `plan` with its size and zeros; the plugin fills in what it wants and leaves the rest. What the
    /// plan points to belongs to the instance, and stays as it is until the next `plan` or `destroy`. `geometry` is
    /// valid during the call only. No tensors exist yet. The same geometry must give the same plan. May be called
    /// more than once; the last plan counts.
    pub plan: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            geometry: *const Geometry,
            plan: *mut Plan,
            error: *mut Message,
        ) -> Status,
    >,
    /// Computes the loss of one step. Not null. `[after plan]`
    ///
    /// Called for every micro-batch of a step in which the source is active, and now and then for one of them again, for
    /// diagnostics and to count its operations; an answer may go unused. Always on the thread on which the host's `op` and
    /// `release` must be called until it returns. The loss is a pure function of the step: state belongs into buffers,
    /// random numbers come from the operation `random`. `step` and what it points to are valid during the call only.
    /// Memory that `guided` points to belongs to the instance and stays as it is until its next call. When it returns,
    /// every handle of the step is dead, those in `guided` after the host has taken their tensors.
    pub guide: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            step: *const Step,
            guided: *mut Guided,
            error: *mut Message,
        ) -> Status,
    >,
    /// Frees an instance. Cannot fail: what goes wrong can only be logged. Not null. `[last call of an instance]`
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// Describes the configuration: a JSON Schema (draft 2020-12) of an object whose properties are the keys, with types,
    /// defaults and descriptions. The text is static, like the descriptor; it should be the same at every call. Null
    /// where the library does not describe its configuration. Since 1.1. `[any thread]`
    pub config_schema: Option<unsafe extern "C" fn() -> Text>,
    /// The weight on the loss that was published for a configuration, a JSON object as [`Descriptor::create`] gets it. A
    /// recipe that names no `coefficient` trains with it; with 0.5 where the source states none. Finite and above 0; or 0
    /// where it states none, or where the configuration is none. Null where it never states one. Since 1.2. `[any thread]`
    ///
    /// It is a function of the configuration because a coefficient is: a bounded cosine and an unbounded squared error of
    /// one method have two.
    pub coefficient: Option<unsafe extern "C" fn(config: Text) -> f64>,
}

/// The host's functions. Lives as long as the process; the same for every instance.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// `sizeof(Host)` as the host knows it.
    pub size: u64,
    /// The host's [`super::ABI_MAJOR`].
    pub abi_major: u32,
    /// The host's [`super::ABI_MINOR`].
    pub abi_minor: u32,
    /// Runs one operation. Not null. `[during guide, on its thread]`; at any other time it fails and does nothing.
    ///
    /// On success the results are in `call->outputs`. On failure these are zero, the host keeps the first failure of
    /// the step in words, and `guide` may go on or return at once, with any status: the host reports that failure. All
    /// later operations of the step fail as well, without new words, so that a source may write a chain of operations
    /// and look at the end. `call` and what it points to are read during the call only.
    pub op: Option<unsafe extern "C" fn(call: *const Call) -> Status>,
    /// Gives a handle back before the step ends, so that its memory can be reused. Handle 0 is ignored; a handle that
    /// is not alive is a failure of the step. Not null. `[during guide, on its thread]`
    pub release: Option<unsafe extern "C" fn(session: u64, handle: Handle) -> Status>,
    /// Writes a line to the host's log: level 1 error, 2 warning, 3 info, any other debug. The text is read during the
    /// call only. Not null. `[any time, any thread]`
    pub log: Option<unsafe extern "C" fn(level: u32, text: Text)>,
}

/// One operation asked of the host. All of it belongs to the plugin, and is read during the call only.
#[repr(C)]
#[derive(Debug)]
pub struct Call {
    /// `sizeof(Call)` as the plugin knows it.
    pub size: u64,
    /// [`Step::session`].
    pub session: u64,
    /// The operation: the number of an [`super::Operation`].
    pub opcode: u32,
    /// Number of `inputs`.
    pub inputs_len: u32,
    /// Number of `outputs` that fit.
    pub outputs_len: u32,
    /// Line of the author's source, for messages; 0 if unknown.
    pub line: u32,
    /// File of the author's source, for messages.
    pub file: Text,
    /// Operands, in the order of the operation table. Those that may be left out at the end need not be there.
    pub inputs: *const Operand,
    /// The operation's attribute struct, beginning with its size; null where it has none.
    pub attributes: *const c_void,
    /// Memory for the results, in the order of the table: room for `outputs_len`. Zeroed on failure.
    pub outputs: *mut TensorRef,
}

/// A tensor given to an operation.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// The tensor; 0 for an optional operand that is left out.
    pub handle: Handle,
    /// 1 if the plugin gives its handle away with this call: the host then moves the tensor instead of
    /// sharing it, so that in-place and fused kernels can reuse its memory. The handle is dead after it, even
    /// where the operation fails. 0 keeps the handle. A handle that is several operands of one call is given
    /// away if any of them says so: the operation still sees it at all of its places.
    pub consumed: u8,
    /// Padding, 0.
    pub reserved: [u8; 7],
}

/// Networks that a plan can ask for ([`Network`] as its number).
pub type NetworkCode = u32;

/// Networks whose features a source can read.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// The network in training: only through taps, whose gradients flow.
    Student = 0,
    /// The frozen network that the recipe names: an earlier phase's.
    Teacher = 1,
    /// The moving average of the student, as it stood before this step.
    Ema = 2,
}

/// A kind of activation ([`TapKind`] as its number).
pub type TapKindCode = u32;

/// Kinds of activations.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TapKind {
    /// The output of a block, `[B, T, D]`: depth 1 to N; depth 0 is the embedding, positions included.
    Block = 0,
    /// The network's output, `[B, C, H, W]`; its depth is ignored. Of a network other than the student since 1.2.
    Output = 1,
    /// The attention probabilities of a block (after the softmax; rows are queries), `[B, heads, T, T]`: depth 1 to N. Of
    /// the student only. Since 1.1.
    Attention = 2,
}

/// One network as a plan may know it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkInfo {
    /// The network.
    pub network: NetworkCode,
    /// Number of blocks.
    pub depth: u32,
    /// Width D of the tokens.
    pub width: u64,
    /// Attention heads of a block.
    pub heads: u32,
    /// Tokens before the grid's (class or register tokens); 0 for a SiT.
    pub prefix_tokens: u32,
    /// Rows of the token grid.
    pub grid_rows: u32,
    /// Columns of the token grid; tokens are ordered row by row.
    pub grid_cols: u32,
}

/// A batch field that the data set has.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// Its name.
    pub name: Text,
    /// Its [`DType`].
    pub dtype: DTypeCode,
    /// Padding, 0.
    pub reserved: u32,
    /// Shape of one sample, without the batch dimension.
    pub shape: Shape,
}

/// Meaning of a network's output ([`PredictionKind`] as its number); 0 where the host does not say, before 1.2.
pub type PredictionKindCode = u32;

/// Meanings of the output of the student and of the frozen networks: they are trained alike.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictionKind {
    /// The velocity of the path, `d_alpha x + d_sigma n`.
    Velocity = 1,
    /// The clean latents x.
    Data = 2,
    /// The noise n.
    Noise = 3,
}

/// The way from data to noise ([`PathKind`] as its number); 0 where the host does not say, before 1.2.
pub type PathKindCode = u32;

/// Paths between data (t = 0) and noise (t = 1), x_t = alpha x + sigma n. A source that only needs points and coefficients
/// of the path asks for [`super::Operation::Diffuse`] and [`super::Operation::PathCoefficients`] instead.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// alpha = 1 - t, sigma = t.
    Linear = 1,
    /// alpha = cos(pi t / 2), sigma = sin(pi t / 2).
    Cosine = 2,
}

/// Sizes and settings that are fixed before training starts. Belongs to the host; valid during the call.
#[repr(C)]
#[derive(Debug)]
pub struct Geometry {
    /// `sizeof(Geometry)` as the host knows it.
    pub size: u64,
    /// Samples of one call of `guide` (a micro-batch).
    pub batch: u64,
    /// Latent channels C.
    pub channels: u64,
    /// Latent height H.
    pub height: u64,
    /// Latent width W.
    pub width: u64,
    /// Side p of a patch.
    pub patch: u64,
    /// Number of classes; the null class is this number.
    pub classes: u64,
    /// [`NetworkInfo`] of each network that the recipe has; the student always.
    pub networks: Array,
    /// [`FieldInfo`] of each field of the data.
    pub fields: Array,
    /// A [`PredictionKind`]; 0 on a host before 1.2. Since 1.2.
    pub prediction: PredictionKindCode,
    /// A [`PathKind`]; 0 on a host before 1.2. Since 1.2.
    pub path: PathKindCode,
}

/// One activation that a source wants.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The network. Only the student's come with the step; others through the operation `forward`.
    pub network: NetworkCode,
    /// Its kind.
    pub kind: TapKindCode,
    /// The block; see [`TapKind`].
    pub depth: u32,
    /// Padding, 0.
    pub reserved: u32,
}

/// The beginning of a parameter or buffer ([`InitKind`] as its number).
pub type InitKindCode = u32;

/// Initial values. Drawn by the host, from a stream keyed by seed, instance and name.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitKind {
    /// All elements equal `value`.
    Constant = 0,
    /// Xavier-uniform: bound sqrt(6 / (fan_in + fan_out)), fans from dims 1.. and 0 (with the receptive field).
    XavierUniform = 1,
    /// Normal with mean 0 and standard deviation `value`.
    Normal = 2,
    /// Given elements, f32 in row-major order.
    Values = 3,
    /// Uniform between -`value` and `value`. Since 1.2.
    Uniform = 4,
}

/// A parameter that the host optimises, clips, checkpoints and moves like the student's.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ParameterInfo {
    /// Its name, unique in the source, such as `mlp.0.weight`: at most 128 bytes without spaces, slashes or control
    /// characters, and no empty part between dots. It names the parameter in checkpoints.
    pub name: Text,
    /// Its shape.
    pub shape: Shape,
    /// An [`InitKind`].
    pub init: InitKindCode,
    /// 1 if it is optimised, 0 if it stays as it began.
    pub trainable: u8,
    /// Padding, 0.
    pub reserved: [u8; 3],
    /// Parameter of the init.
    pub value: f64,
    /// f32 elements for [`InitKind::Values`].
    pub values: Array,
}

/// The agreement of ranks on a buffer ([`Agreement`] as its number).
pub type AgreementCode = u32;

/// Ways in which the replicas of several devices agree on a buffer's new value.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The mean over ranks.
    Mean = 0,
    /// The rows of all ranks, one after another.
    Gathered = 1,
    /// The same on every rank by construction.
    Replicated = 2,
}

/// State that a source keeps between steps, in the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BufferInfo {
    /// Its name, unique in the source.
    pub name: Text,
    /// Its [`DType`].
    pub dtype: DTypeCode,
    /// An [`Agreement`].
    pub agreement: AgreementCode,
    /// Its shape.
    pub shape: Shape,
    /// 1 for a buffer of rows, oldest first (a memory bank): fewer rows than it has replace the oldest, and stand last. 0
    /// where a new value is the whole.
    pub rows: u8,
    /// Padding, 0.
    pub reserved: [u8; 3],
    /// An [`InitKind`].
    pub init: InitKindCode,
    /// Parameter of the init.
    pub value: f64,
    /// f32 elements for [`InitKind::Values`].
    pub values: Array,
}

/// Meaning of a number to the method ([`SettingMeaning`] as its number).
pub type SettingMeaningCode = u32;

/// Meanings of a source's numbers, for reports. A number that a host does not know reads as plain.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SettingMeaning {
    /// A number with a name.
    Plain = 0,
    /// w of guidance in feature space, f_u + w (f_c - f_u), with the features of the frozen teacher at the one depth that the
    /// plan declares, under the sample's own condition (f_c) and under none (f_u).
    FeatureGuidance = 1,
}

impl SettingMeaning {
    /// The meaning with this number; plain, if it is of a later version.
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::FeatureGuidance,
            _ => Self::Plain,
        }
    }
}

/// A number of the source's that reports may show.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SettingInfo {
    /// Its name, unique among them: that of the key in the configuration, where it is one.
    pub name: Text,
    /// A [`SettingMeaning`].
    pub meaning: SettingMeaningCode,
    /// Padding, 0.
    pub reserved: u32,
    /// The number, finite.
    pub value: f64,
}

/// Declarations that a source makes before training. What it did not declare is not handed over; what the run cannot give ends
/// it before the first step, with the plan's fault in the message.
#[repr(C)]
#[derive(Debug)]
pub struct Plan {
    /// `sizeof(Plan)` as the host knows it; a plugin writes no further.
    pub size: u64,
    /// The minor version that this plan needs: 0, unless it asks for something that came later. Not the version that
    /// the plugin was built with.
    pub required_minor: u32,
    /// 1 if the loss of a sample depends on the others of its batch.
    pub batch_coupled: u8,
    /// 1 if the loss is exactly 0 outside `[t_min, t_max]`.
    pub has_t_range: u8,
    /// Padding, 0.
    pub reserved: [u8; 2],
    /// Lower end, inclusive.
    pub t_min: f64,
    /// Upper end, inclusive.
    pub t_max: f64,
    /// [`Tap`]s: the student's, in the order in which the step hands them over, and those of other
    /// networks, which bound what `forward` may ask.
    pub taps: Array,
    /// [`Text`]s: batch fields that it reads.
    pub fields: Array,
    /// [`ParameterInfo`]s.
    pub parameters: Array,
    /// [`BufferInfo`]s.
    pub buffers: Array,
    /// [`Text`]s: names of the scalar metrics that it may return.
    pub metrics: Array,
    /// [`SettingInfo`]s: numbers that reports may show. They need no minor version: a host that does not know them shows
    /// none. Since 1.2.
    pub settings: Array,
}

/// One step, as `guide` sees it. B is the batch. Belongs to the host and is valid, with all that it points to, until
/// `guide` returns; so are its handles, which may be released or consumed before.
#[repr(C)]
#[derive(Debug)]
pub struct Step {
    /// `sizeof(Step)` as the host knows it.
    pub size: u64,
    /// To be passed with every call.
    pub session: u64,
    /// The optimiser step, counted from 0.
    pub index: u64,
    /// B.
    pub batch: u64,
    /// Clean latents `[B, C, H, W]`.
    pub x: TensorRef,
    /// Noise `[B, C, H, W]`.
    pub noise: TensorRef,
    /// The student's input `[B, C, H, W]`.
    pub x_t: TensorRef,
    /// Times `[B]`.
    pub t: TensorRef,
    /// Velocity of the path `[B, C, H, W]`.
    pub velocity: TensorRef,
    /// Labels before dropout `[B]`, integers.
    pub labels: TensorRef,
    /// Labels after dropout `[B]`, integers.
    pub dropped_labels: TensorRef,
    /// [`TensorRef`]s of the student's taps, in the plan's order.
    pub taps: Array,
    /// [`TensorRef`]s of the fields, in the plan's order, each `[B, …]`.
    pub fields: Array,
    /// [`TensorRef`]s of the parameters, in the plan's order.
    pub parameters: Array,
    /// [`TensorRef`]s of the buffers, in the plan's order.
    pub buffers: Array,
    /// B identities of the samples.
    pub sample_ids: *const u64,
    /// B times, the same as `t`, readable without a synchronisation.
    pub t_values: *const f32,
    /// B labels before dropout.
    pub label_values: *const i64,
    /// B labels after dropout.
    pub dropped_label_values: *const i64,
}

/// The answer of `guide`. The host fills it with its size and zeros; the plugin writes handles of this step, which the
/// host takes over.
#[repr(C)]
#[derive(Debug)]
pub struct Guided {
    /// `sizeof(Guided)` as the host knows it; a plugin writes no further.
    pub size: u64,
    /// Loss per sample, f32 `[B]`. Needed: a source without anything to say gives zeros. The host takes its mean and
    /// multiplies it by the recipe's coefficient.
    pub loss: Handle,
    /// Optional weight on the denoising loss per sample, f32 `[B]`; 0 for none.
    pub denoising_weight: Handle,
    /// [`Named`] scalars.
    pub metrics: Array,
    /// [`Named`] new values of buffers.
    pub buffers: Array,
}

/// A tensor for an entry of the plan.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// Index in the plan's list.
    pub index: u32,
    /// Padding, 0.
    pub reserved: u32,
    /// The tensor.
    pub handle: Handle,
}

impl Text {
    /// A text that borrows; it must not outlive `text`, which the type does not say.
    pub const fn of(text: &str) -> Self {
        Self {
            ptr: text.as_ptr(),
            len: text.len() as u64,
        }
    }
}

impl Array {
    /// An array that borrows; it must not outlive `list`, which the type does not say.
    pub const fn of<T>(list: &[T]) -> Self {
        Self {
            ptr: list.as_ptr().cast(),
            len: list.len() as u64,
            stride: size_of::<T>() as u64,
        }
    }
}

impl Shape {
    /// The shape of these extents, unless they are more than a tensor can have.
    pub fn of(extents: &[usize]) -> Option<Self> {
        let mut shape = Self {
            rank: extents.len() as u32,
            ..Self::default()
        };
        for (to, from) in shape.dims.get_mut(..extents.len())?.iter_mut().zip(extents) {
            *to = *from as u64;
        }
        Some(shape)
    }

    /// Its extents.
    pub fn extents(&self) -> Vec<usize> {
        let rank = (self.rank as usize).min(MAX_RANK);
        self.dims[..rank].iter().map(|&extent| extent as usize).collect()
    }
}

/// Reads enumerations from the numbers that cross the boundary.
macro_rules! numbered {
    ($($name:ident { $($variant:ident),+ })+) => {$(
        impl $name {
            /// The one with this number, if there is one.
            pub fn from_code(code: u32) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|one| *one as u32 == code)
            }
        }
    )+};
}
pub(super) use numbered;

numbered! {
    DType { F32, BF16, F16, F64, Int, Bool }
    Network { Student, Teacher, Ema }
    TapKind { Block, Output, Attention }
    PredictionKind { Velocity, Data, Noise }
    PathKind { Linear, Cosine }
}
