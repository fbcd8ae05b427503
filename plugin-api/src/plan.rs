//! Declarations that a source makes before training.

use crate::abi::{Agreement, DType, MAX_RANK, Network, SettingMeaning, TapKind};
use crate::error::listed;
use crate::{Error, TimeRange};

/// The declaration that `plan` returns. What it does not name is not handed over. The host checks it
/// against model and data, and fails before the first step with the setting at fault.
///
/// ```
/// use sextant_plugin_api::{Init, Plan};
/// let plan = Plan::new()
///     .tap(4)
///     .field("features")
///     .parameter("weight", [768, 384], Init::XavierUniform)
///     .metric("cosine");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub(crate) taps: Vec<Tap>,
    pub(crate) fields: Vec<String>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) metrics: Vec<String>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) t_range: Option<TimeRange>,
    pub(crate) batch_coupled: bool,
    pub(crate) required_minor: u32,
}

/// An activation that a plan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    pub network: Network,
    pub kind: TapKind,
    pub depth: u32,
}

/// A number that reports may show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub name: String,
    pub value: f64,
    pub meaning: SettingMeaning,
}

/// Initial value of a parameter or a buffer. The host draws it, from a stream keyed by seed, source and name.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// All elements equal.
    Constant(f64),
    /// Uniform within ±sqrt(6 / (fan in + fan out)), as `torch.nn.init.xavier_uniform_`.
    XavierUniform,
    /// Uniform within ±bound; as PyTorch begins layers, ±1/sqrt(fan in). A plan with it needs minor version 2.
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// These elements, in row-major order.
    Values(Vec<f32>),
}

impl Init {
    /// All zeros.
    pub const ZEROS: Self = Self::Constant(0.0);

    /// The minor version that has it.
    fn minor(&self) -> u32 {
        match self {
            Self::Uniform(_) => 2,
            _ => 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub init: Init,
    pub trainable: bool,
}

/// State that a source keeps between steps. It lives in the host: checkpointed, resumed, moved and agreed
/// on between ranks there. The source reads it from the step and answers its new value.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) init: Init,
    pub(crate) dtype: DType,
    pub(crate) agreement: Agreement,
    pub(crate) rows: bool,
}

impl Buffer {
    /// A buffer of f32 that is replaced as a whole, and averaged over ranks.
    pub fn new(name: impl Into<String>, shape: impl AsRef<[usize]>, init: Init) -> Self {
        Self {
            name: name.into(),
            shape: shape.as_ref().to_vec(),
            init,
            dtype: DType::F32,
            agreement: Agreement::Mean,
            rows: false,
        }
    }

    /// Its element type.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The agreement of ranks on its new value.
    pub fn agreement(mut self, agreement: Agreement) -> Self {
        self.agreement = agreement;
        self
    }

    /// A buffer of rows, oldest first, as a memory bank is. A step may answer the whole, or fewer rows: those take the place
    /// of the oldest, and stand last. A step that answers no row leaves it as it is.
    pub fn rows(mut self) -> Self {
        self.rows = true;
        self
    }
}

impl Plan {
    /// A plan that asks for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the student's tokens `[B, T, D]` after block `depth` (1 to N; 0 for the embedding). Gradients
    /// flow through them into the student.
    pub fn tap(self, depth: u32) -> Self {
        self.with_tap(Network::Student, TapKind::Block, depth)
    }

    /// Asks for the student's output `[B, C, H, W]`.
    pub fn output(self) -> Self {
        self.with_tap(Network::Student, TapKind::Output, 0)
    }

    /// Asks for the student's attention probabilities `[B, heads, T, T]` of block `depth` (1 to N), as they are after the
    /// softmax; rows are queries. Gradients flow. The block then keeps them, which costs memory. Needs minor version 1.
    pub fn attention(self, depth: u32) -> Self {
        self.with_tap(Network::Student, TapKind::Attention, depth)
            .requires_minor(1)
    }

    /// Asks that `forward` may read the frozen teacher at `depth`. The host runs it no deeper than needed.
    pub fn teacher(self, depth: u32) -> Self {
        self.with_tap(Network::Teacher, TapKind::Block, depth)
    }

    /// Asks that [`crate::Step::forward_output`] may read the output of the frozen teacher. Needs minor version 2.
    pub fn teacher_output(self) -> Self {
        self.with_tap(Network::Teacher, TapKind::Output, 0).requires_minor(2)
    }

    /// Asks that `forward` may read the student's moving average at `depth`.
    pub fn ema(self, depth: u32) -> Self {
        self.with_tap(Network::Ema, TapKind::Block, depth)
    }

    /// Asks that [`crate::Step::forward_output`] may read the output of the student's moving average. Needs minor version 2.
    pub fn ema_output(self) -> Self {
        self.with_tap(Network::Ema, TapKind::Output, 0).requires_minor(2)
    }

    fn with_tap(mut self, network: Network, kind: TapKind, depth: u32) -> Self {
        let tap = Tap { network, kind, depth };
        if !self.taps.contains(&tap) {
            self.taps.push(tap);
        }
        self
    }

    /// Asks for a field of the batch, `[B, …]`.
    pub fn field(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !self.fields.contains(&name) {
            self.fields.push(name);
        }
        self
    }

    /// Declares a parameter, trained with the student and dropped afterwards.
    pub fn parameter(self, name: impl Into<String>, shape: impl AsRef<[usize]>, init: Init) -> Self {
        self.with_parameter(name.into(), shape.as_ref(), init, true)
    }

    /// Declares a parameter that stays as it began.
    pub fn frozen(self, name: impl Into<String>, shape: impl AsRef<[usize]>, init: Init) -> Self {
        self.with_parameter(name.into(), shape.as_ref(), init, false)
    }

    fn with_parameter(self, name: String, shape: &[usize], init: Init, trainable: bool) -> Self {
        let mut plan = self.requires_minor(init.minor());
        plan.parameters.push(Parameter {
            name,
            shape: shape.to_vec(),
            init,
            trainable,
        });
        plan
    }

    /// Declares state between steps.
    pub fn buffer(self, buffer: Buffer) -> Self {
        let mut plan = self.requires_minor(buffer.init.minor());
        plan.buffers.push(buffer);
        plan
    }

    /// Declares a scalar that `guide` may report.
    pub fn metric(mut self, name: impl Into<String>) -> Self {
        self.metrics.push(name.into());
        self
    }

    /// Declares a number that reports may show, under the name of its key, and says what it is to the method.
    pub fn setting(mut self, name: impl Into<String>, value: f64, meaning: SettingMeaning) -> Self {
        self.settings.push(Setting {
            name: name.into(),
            value,
            meaning,
        });
        self
    }

    /// Promises that the loss is exactly 0 for samples whose time lies outside, ends inclusive.
    pub fn t_range(mut self, range: TimeRange) -> Self {
        self.t_range = Some(range);
        self
    }

    /// Says that the loss of a sample depends on the others of its batch, so that a batch must not be split
    /// without saying so.
    pub fn batch_coupled(mut self) -> Self {
        self.batch_coupled = true;
        self
    }

    /// Says that `guide` uses something of this minor version of the contract, such as a newer operation.
    /// The plan's own declarations are accounted for without it.
    pub fn requires_minor(mut self, minor: u32) -> Self {
        self.required_minor = self.required_minor.max(minor);
        self
    }

    /// Depths of a network's taps of a kind.
    pub(crate) fn depths(&self, network: Network, kind: TapKind) -> Vec<u32> {
        let taps = self
            .taps
            .iter()
            .filter(|tap| tap.network == network && tap.kind == kind);
        taps.map(|tap| tap.depth).collect()
    }

    /// Refuses what the host could not make sense of.
    pub(crate) fn check(&self) -> Result<(), Error> {
        unique("parameter", self.parameters.iter().map(|p| p.name.as_str()))?;
        unique("buffer", self.buffers.iter().map(|b| b.name.as_str()))?;
        unique("metric", self.metrics.iter().map(String::as_str))?;
        unique("setting", self.settings.iter().map(|s| s.name.as_str()))?;
        for parameter in &self.parameters {
            initial("parameter", &parameter.name, &parameter.shape, &parameter.init)?;
        }
        for buffer in &self.buffers {
            initial("buffer", &buffer.name, &buffer.shape, &buffer.init)?;
        }
        Ok(())
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::new(format!("the plan has a {what} without a name")));
        }
        if seen.contains(&name) {
            return Err(Error::new(format!("the plan declares {what} {name:?} twice")));
        }
        seen.push(name);
    }
    Ok(())
}

fn initial(what: &str, name: &str, shape: &[usize], init: &Init) -> Result<(), Error> {
    if shape.len() > MAX_RANK {
        return Err(Error::new(format!(
            "{what} {name:?} has {} dimensions, at most {MAX_RANK} are possible",
            shape.len()
        )));
    }
    let elements: usize = shape.iter().product();
    match init {
        Init::Values(values) if values.len() != elements => Err(Error::new(format!(
            "{what} {name:?} of shape {shape:?} has {elements} elements, but {} initial values",
            values.len()
        ))),
        Init::Constant(value) | Init::Normal(value) | Init::Uniform(value) if !value.is_finite() => Err(Error::new(
            format!("{what} {name:?} has an initial value that is not finite"),
        )),
        _ => Ok(()),
    }
}

/// The error for something that a plan did not declare.
pub(crate) fn undeclared(what: &str, asked: &str, declared: impl IntoIterator<Item = impl std::fmt::Debug>) -> Error {
    Error::new(format!(
        "{what} {asked} was not declared in the plan (declared: {})",
        listed(declared)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(plan: Plan) -> String {
        plan.check().unwrap_err().to_string()
    }

    #[test]
    fn names_are_unique() {
        let plan = Plan::new()
            .parameter("w", [1], Init::ZEROS)
            .frozen("w", [1], Init::ZEROS);
        assert_eq!(error(plan), "the plan declares parameter \"w\" twice");
    }

    #[test]
    fn values_must_fill_the_shape() {
        let plan = Plan::new().parameter("w", [2, 3], Init::Values(vec![0.0; 5]));
        assert!(error(plan).contains("has 6 elements, but 5 initial values"));
    }

    #[test]
    fn what_came_later_needs_its_minor_version() {
        let minor = |plan: Plan| plan.required_minor;
        assert_eq!(minor(Plan::new().tap(1).output().teacher(2).ema(2)), 0);
        assert_eq!(minor(Plan::new().setting("w", 1.0, SettingMeaning::Plain)), 0);
        assert_eq!(minor(Plan::new().attention(1)), 1);
        for plan in [
            Plan::new().teacher_output(),
            Plan::new().ema_output().attention(1),
            Plan::new().frozen("w", [1], Init::Uniform(0.1)),
            Plan::new().buffer(Buffer::new("b", [1], Init::Uniform(0.1))),
        ] {
            assert_eq!(minor(plan), 2);
        }
    }

    #[test]
    fn a_tap_or_field_asked_twice_is_one() {
        let plan = Plan::new().tap(2).tap(2).field("z").field("z");
        assert_eq!((plan.taps.len(), plan.fields.len()), (1, 1));
    }
}
