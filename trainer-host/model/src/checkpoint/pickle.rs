//! The pickle of a PyTorch checkpoint, read as data.
//!
//! A pickle is a program for a stack machine that may call any function of Python's. This machine knows the handful of
//! instructions and names with which `torch.save` writes tensors, dictionaries, numbers, text and `argparse.Namespace`; it calls
//! nothing, and refuses every other name. Values are entries of one list and refer to one another by index, so that what a file
//! can make is at most as long as the file: sharing copies nothing, and depth costs no stack.

use std::collections::HashMap;
use std::fmt;

use burn::tensor::{BoolStore, DType};

/// Fault of bytes that are no pickle that is read here.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The bytes end within an instruction, or before the last one.
    #[error("the pickle ends at byte {0}, before its end")]
    Truncated(usize),
    /// An instruction that `torch.save` does not write.
    #[error("byte {at} of the pickle is {code:#04x}, an instruction that torch.save does not write")]
    Instruction {
        /// Its place.
        at: usize,
        /// Its code.
        code: u8,
    },
    /// A name that is not one of a checkpoint's.
    #[error(
        "the pickle asks for `{0}`, and nothing of a pickle is executed here: tensors, dictionaries, numbers, text and \
         argparse.Namespace are read. Where you trust the file, load it in Python and save its state dicts alone: \
         torch.save({{\"model\": …, \"ema\": …}}, path)"
    )]
    Refused(String),
    /// An instruction that does not fit what stands before it.
    #[error("byte {at} of the pickle does not fit what stands before it: {wanted} is wanted there")]
    Order {
        /// Place of the instruction.
        at: usize,
        /// The operands that it takes.
        wanted: &'static str,
    },
}

/// Most arguments of a call, and most sides of a tensor.
const MOST_ARGUMENTS: usize = 8;

/// Longest name of a storage, which are numbers.
const LONGEST_KEY: usize = 64;

/// A value of a pickle, by its place in [`Pickle::values`].
pub(super) type Id = usize;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in the order in which they were set; of a key that is there twice the last counts.
    Dict(Vec<(Id, Id)>),
    /// An `argparse.Namespace`, with its attributes once they are set.
    Namespace(Option<Id>),
    /// A name that may be called.
    Name(Name),
    Storage(Storage),
    Tensor(StoredTensor),
}

/// The names that a checkpoint's pickle may ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Name {
    OrderedDict,
    Namespace,
    RebuildTensor,
    RebuildParameter,
    /// A class of storage, with the type of its elements.
    Elements(DType),
}

impl Name {
    fn of(module: &str, name: &str) -> Result<Self, PickleError> {
        let elements = |dtype| Ok(Self::Elements(dtype));
        match (module, name) {
            ("collections", "OrderedDict") => Ok(Self::OrderedDict),
            ("argparse", "Namespace") => Ok(Self::Namespace),
            ("torch._utils", "_rebuild_tensor_v2") => Ok(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Ok(Self::RebuildParameter),
            ("torch", "DoubleStorage") => elements(DType::F64),
            ("torch", "FloatStorage") => elements(DType::F32),
            ("torch", "HalfStorage") => elements(DType::F16),
            ("torch", "BFloat16Storage") => elements(DType::BF16),
            ("torch", "LongStorage") => elements(DType::I64),
            ("torch", "IntStorage") => elements(DType::I32),
            ("torch", "ShortStorage") => elements(DType::I16),
            ("torch", "CharStorage") => elements(DType::I8),
            ("torch", "ByteStorage") => elements(DType::U8),
            ("torch", "BoolStorage") => elements(DType::Bool(BoolStore::Native)),
            _ => Err(PickleError::Refused(format!("{module}.{name}"))),
        }
    }
}

/// A run of numbers in an entry of its own of the archive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    /// Name of the entry below `data/`.
    pub key: String,
    /// Type of the numbers.
    pub dtype: DType,
    /// Number of them.
    pub count: usize,
}

/// A tensor as a view of a storage. Its values lie within, and are no more than the storage has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredTensor {
    pub storage: Storage,
    /// Number of the first value.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Steps in the storage from one index to the next, in values.
    pub strides: Vec<usize>,
}

/// All values of a pickle.
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl fmt::Debug for Pickle {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "a pickle of {} values", self.values.len())
    }
}

impl Pickle {
    /// The value that was pickled.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// The entries of a dictionary, or of a namespace, whose keys are text; none of another value.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let dict = match self.get(id) {
            Value::Namespace(Some(attributes)) => *attributes,
            _ => id,
        };
        let entries: &[(Id, Id)] = match self.get(dict) {
            Value::Dict(entries) => entries,
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| match self.get(*key) {
            Value::Text(key) => Some((key.as_str(), *value)),
            _ => None,
        })
    }

    /// The value of a key, the last one that was set.
    pub fn entry(&self, id: Id, key: &str) -> Option<Id> {
        self.entries(id)
            .filter(|(name, _)| *name == key)
            .last()
            .map(|(_, value)| value)
    }

    /// The entries of a list that are text.
    pub fn texts(&self, id: Id) -> impl Iterator<Item = &str> {
        let items: &[Id] = match self.get(id) {
            Value::List(items) => items,
            _ => &[],
        };
        items.iter().filter_map(|item| match self.get(*item) {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// All storages that it names.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// Runs a pickle's instructions.
    ///
    /// # Errors
    /// The first that cannot be followed, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, PickleError> {
        Ok(Self::parse_first(bytes)?.0)
    }

    /// [`Pickle::parse`] of the first of several pickles, and its length in bytes.
    ///
    /// # Errors
    /// As there.
    pub fn parse_first(bytes: &[u8]) -> Result<(Self, usize), PickleError> {
        let mut machine = Machine {
            bytes,
            at: 0,
            instruction: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        let root = machine.run()?;
        let pickle = Self {
            values: machine.values,
            root,
        };
        Ok((pickle, machine.at))
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Place of the instruction that is being followed.
    instruction: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks that are open.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl Machine<'_> {
    /// Follows the instructions to the last one; the names in comments are those of Python's `pickletools`.
    fn run(&mut self) -> Result<Id, PickleError> {
        loop {
            self.instruction = self.at;
            let [code] = self.take()?;
            match code {
                0x80 => drop(self.take::<1>()?),             // PROTO
                0x95 => drop(self.take::<8>()?),             // FRAME
                b'.' => return self.pop(),                   // STOP
                b'(' => self.marks.push(self.stack.len()),   // MARK
                b'0' => drop(self.pop()?),                   // POP
                b'N' => self.push(Value::None),              // NONE
                0x88 => self.push(Value::Bool(true)),        // NEWTRUE
                0x89 => self.push(Value::Bool(false)),       // NEWFALSE
                b'}' => self.push(Value::Dict(Vec::new())),  // EMPTY_DICT
                b']' => self.push(Value::List(Vec::new())),  // EMPTY_LIST
                b')' => self.push(Value::Tuple(Vec::new())), // EMPTY_TUPLE
                b'K' => {
                    let [value] = self.take()?; // BININT1
                    self.push(Value::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?); // BININT2
                    self.push(Value::Int(value.into()));
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?); // BININT
                    self.push(Value::Int(value.into()));
                }
                0x8a => self.long()?, // LONG1
                b'G' => {
                    let value = f64::from_be_bytes(self.take()?); // BINFLOAT
                    self.push(Value::Float(value));
                }
                0x8c => {
                    let [length] = self.take()?; // SHORT_BINUNICODE
                    self.text(length.into())?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.take()?); // BINUNICODE
                    self.text(length as usize)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?); // GLOBAL
                    self.push(Value::Name(Name::of(&module, &name)?));
                }
                0x93 => self.stack_name()?, // STACK_GLOBAL
                b'q' => {
                    let [place] = self.take()?; // BINPUT
                    self.keep(place.into())?;
                }
                b'r' => {
                    let place = u32::from_le_bytes(self.take()?); // LONG_BINPUT
                    self.keep(place as usize)?;
                }
                0x94 => self.keep(self.memo.len())?, // MEMOIZE
                b'h' => {
                    let [place] = self.take()?; // BINGET
                    self.recall(place.into())?;
                }
                b'j' => {
                    let place = u32::from_le_bytes(self.take()?); // LONG_BINGET
                    self.recall(place as usize)?;
                }
                b't' => {
                    let items = self.since_mark()?; // TUPLE
                    self.push(Value::Tuple(items));
                }
                0x85..=0x87 => {
                    let count = usize::from(code - 0x84); // TUPLE1, TUPLE2, TUPLE3
                    let at = self.stack.len().checked_sub(count).filter(|at| *at >= self.floor());
                    let at = at.ok_or(self.order("a value for each place of a tuple"))?;
                    let items = self.stack.split_off(at);
                    self.push(Value::Tuple(items));
                }
                b'a' => {
                    let item = self.pop()?; // APPEND
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?; // APPENDS
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?; // SETITEMS
                    self.set(&items)?;
                }
                b'Q' => self.storage()?, // BINPERSID
                b'R' => self.reduce()?,  // REDUCE
                0x81 => self.object()?,  // NEWOBJ
                b'b' => self.build()?,   // BUILD
                code => {
                    return Err(PickleError::Instruction {
                        at: self.instruction,
                        code,
                    });
                }
            }
        }
    }

    fn order(&self, wanted: &'static str) -> PickleError {
        PickleError::Order {
            at: self.instruction,
            wanted,
        }
    }

    fn slice(&mut self, length: usize) -> Result<&[u8], PickleError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(PickleError::Truncated(self.bytes.len()))?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.slice(N)?);
        Ok(taken)
    }

    fn text(&mut self, length: usize) -> Result<(), PickleError> {
        let text = std::str::from_utf8(self.slice(length)?).map(str::to_owned);
        let text = text.map_err(|_| self.order("text in UTF-8"))?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        let length = length.ok_or(PickleError::Truncated(self.bytes.len()))?;
        let line = String::from_utf8_lossy(self.slice(length)?).into_owned();
        self.at += 1;
        Ok(line)
    }

    fn long(&mut self) -> Result<(), PickleError> {
        let [length] = self.take()?;
        let bytes = self.slice(length.into())?.to_owned();
        let mut value = match bytes.last() {
            Some(last) if last & 0x80 != 0 => [0xff; 8],
            _ => [0; 8],
        };
        if bytes.len() > value.len() {
            return Err(self.order("an integer of at most 64 bits"));
        }
        value[..bytes.len()].copy_from_slice(&bytes);
        self.push(Value::Int(i64::from_le_bytes(value)));
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Height below which an open mark guards the stack.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let guarded = self.stack.len() <= self.floor();
        let top = if guarded { None } else { self.stack.pop() };
        top.ok_or(self.order("a value"))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or(self.order("a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self, wanted: &'static str) -> Result<&mut Value, PickleError> {
        let error = self.order(wanted);
        let guarded = self.stack.len() <= self.floor();
        let top = self.stack.last().filter(|_| !guarded).ok_or(error)?;
        Ok(&mut self.values[*top])
    }

    fn keep(&mut self, place: usize) -> Result<(), PickleError> {
        let top = self.stack.last().copied().filter(|_| self.stack.len() > self.floor());
        self.memo.insert(place, top.ok_or(self.order("a value"))?);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<(), PickleError> {
        let kept = self
            .memo
            .get(&place)
            .ok_or(self.order("a value that was kept before"))?;
        self.stack.push(*kept);
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let error = self.order("a list");
        match self.top("a list")? {
            Value::List(list) => list.extend(items),
            _ => return Err(error),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let error = self.order("a dictionary, and a value for each key");
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(error);
        };
        match self.top("a dictionary")? {
            Value::Dict(dict) => dict.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(error),
        }
        Ok(())
    }

    fn stack_name(&mut self) -> Result<(), PickleError> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.values[module], &self.values[name]) {
            (Value::Text(module), Value::Text(name)) => {
                let name = Name::of(module, name)?;
                self.push(Value::Name(name));
                Ok(())
            }
            _ => Err(self.order("a name as text")),
        }
    }

    /// The tuple on top, which is taken off. Of arguments and shapes there are few: longer ones, shared, could make a tensor out of
    /// a byte.
    fn arguments(&mut self) -> Result<Vec<Id>, PickleError> {
        let top = self.pop()?;
        match &self.values[top] {
            Value::Tuple(items) if items.len() <= MOST_ARGUMENTS => Ok(items.clone()),
            _ => Err(self.order("a tuple of at most eight values")),
        }
    }

    fn whole(&self, id: Id) -> Result<usize, PickleError> {
        match &self.values[id] {
            Value::Int(value) => usize::try_from(*value).map_err(|_| self.order("a number of at least 0")),
            _ => Err(self.order("a whole number")),
        }
    }

    fn wholes(&self, id: Id) -> Result<Vec<usize>, PickleError> {
        match &self.values[id] {
            Value::Tuple(items) if items.len() <= MOST_ARGUMENTS => items.iter().map(|id| self.whole(*id)).collect(),
            _ => Err(self.order("a tuple of at most eight whole numbers")),
        }
    }

    /// `("storage", class, key, device, count)`; on which device it was is of no matter here. Before PyTorch 1.6 a sixth said of which
    /// storage it was a part; a whole one says None.
    fn storage(&mut self) -> Result<(), PickleError> {
        let arguments = self.arguments()?;
        let (kind, class, key, count) = match arguments[..] {
            [kind, class, key, _, count] => (kind, class, key, count),
            [kind, class, key, _, count, whole] if self.values[whole] == Value::None => (kind, class, key, count),
            _ => return Err(self.order("a storage")),
        };
        match [kind, class, key].map(|id| &self.values[id]) {
            [Value::Text(kind), Value::Name(Name::Elements(dtype)), Value::Text(key)]
                if kind == "storage" && key.len() <= LONGEST_KEY =>
            {
                let storage = Storage {
                    key: key.clone(),
                    dtype: *dtype,
                    count: self.whole(count)?,
                };
                self.push(Value::Storage(storage));
                Ok(())
            }
            _ => Err(self.order("a storage")),
        }
    }

    fn reduce(&mut self) -> Result<(), PickleError> {
        let arguments = self.arguments()?;
        let callable = self.pop()?;
        let wanted = self.order("an OrderedDict without items, or a tensor");
        match (&self.values[callable], &arguments[..]) {
            (Value::Name(Name::OrderedDict), []) => self.push(Value::Dict(Vec::new())),
            (Value::Name(Name::RebuildTensor), [storage, offset, shape, strides, ..]) => {
                let Value::Storage(storage) = &self.values[*storage] else {
                    return Err(wanted);
                };
                let tensor = StoredTensor {
                    storage: storage.clone(),
                    offset: self.whole(*offset)?,
                    shape: self.wholes(*shape)?,
                    strides: self.wholes(*strides)?,
                };
                match tensor.lies_within() {
                    true => self.push(Value::Tensor(tensor)),
                    false => return Err(self.order("a tensor that lies within its storage")),
                }
            }
            (Value::Name(Name::RebuildParameter), [tensor, ..]) if matches!(self.values[*tensor], Value::Tensor(_)) => {
                self.stack.push(*tensor);
            }
            _ => return Err(wanted),
        }
        Ok(())
    }

    fn object(&mut self) -> Result<(), PickleError> {
        let arguments = self.arguments()?;
        let class = self.pop()?;
        match (&self.values[class], &arguments[..]) {
            (Value::Name(Name::Namespace), []) => self.push(Value::Namespace(None)),
            _ => return Err(self.order("an argparse.Namespace")),
        }
        Ok(())
    }

    fn build(&mut self) -> Result<(), PickleError> {
        let state = self.pop()?;
        let error = self.order("a dictionary, for an argparse.Namespace");
        let is_dict = matches!(self.values[state], Value::Dict(_));
        match self.top("a value")? {
            Value::Namespace(attributes) if is_dict => *attributes = Some(state),
            // Attributes of a state dict: the versions of its modules.
            Value::Dict(_) => {}
            _ => return Err(error),
        }
        Ok(())
    }
}

impl StoredTensor {
    /// True if every value is one of the storage's, and there are no more of them than the storage has: a view may repeat values,
    /// and a few bytes could stand for any number of them.
    fn lies_within(&self) -> bool {
        let Self { shape, strides, .. } = self;
        let product = |a: usize, b: &usize| a.checked_mul(*b);
        let Some(count) = shape.iter().try_fold(1, product) else {
            return false;
        };
        let last = shape.iter().zip(strides).try_fold(self.offset, |last, (side, stride)| {
            last.checked_add(side.saturating_sub(1).checked_mul(*stride)?)
        });
        let within = count == 0 || last.is_some_and(|last| last < self.storage.count);
        shape.len() == strides.len() && count <= self.storage.count && within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(bytes: &[u8]) -> String {
        Pickle::parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn code_is_refused_by_name_and_never_run() {
        // os.system("touch /tmp/…"), as `__reduce__` writes it, and by the names on the stack as protocol 4 does.
        let call = b"\x80\x02cposix\nsystem\nX\x05\x00\x00\x00touch\x85R.";
        let from_stack = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x031+1\x85R.";
        let hidden = b"\x80\x02}X\x05\x00\x00\x00modelctorch.nn.modules.linear\nLinear\n)\x81s.";
        for (bytes, name) in [
            (&call[..], "`posix.system`"),
            (from_stack, "`builtins.eval`"),
            (hidden, "`torch.nn.modules.linear.Linear`"),
        ] {
            let message = refusal(bytes);
            assert!(message.contains(name) && message.contains("executed"), "{message}");
        }
    }

    #[test]
    fn a_namespace_has_its_attributes_and_a_dict_its_last_value() {
        let bytes = b"\x80\x02cargparse\nNamespace\n)\x81}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bG\x3f\xe0\0\0\0\0\0\0X\x01\x00\x00\x00aM\x00\x02ub.";
        let pickle = Pickle::parse(bytes).unwrap();
        let value = |key| pickle.get(pickle.entry(pickle.root(), key).unwrap());
        assert_eq!(value("a"), &Value::Int(512));
        assert_eq!(value("b"), &Value::Float(0.5));
    }

    #[test]
    fn a_shared_value_is_shared_and_a_circle_is_no_loop() {
        // A list that holds itself twice; and a dictionary that was kept before it was filled.
        let pickle = Pickle::parse(b"]q\x00h\x00ah\x00a.").unwrap();
        assert_eq!(pickle.get(pickle.root()), &Value::List(vec![0, 0]));
        let pickle = Pickle::parse(b"}q\x00X\x01\0\0\0aK\x07s0h\x00.").unwrap();
        assert_eq!(pickle.entries(pickle.root()).count(), 1);
    }

    #[test]
    fn what_does_not_fit_names_its_byte() {
        for (bytes, words) in [
            (&b""[..], "ends at byte 0"),
            (b"\x80\x02}", "ends at byte 3"),
            (b"X\xff\xff\xff\xff", "ends at byte 5"),
            (b"cposix", "ends at byte 6"),
            (b"\x80\x02\x90.", "0x90"),
            (b"(.", "byte 1 of the pickle does not fit"),
            (b"K\x01(0.", "byte 3"),
            (b"h\x07.", "kept before"),
            (b"K\x01K\x02a.", "a list"),
            (b"}(K\x01u.", "a value for each key"),
            (b"cargparse\nNamespace\nK\x01\x85R.", "OrderedDict"),
            (b"\x8a\x09123456789.", "64 bits"),
            (b"X\x01\x00\x00\x00\xff.", "UTF-8"),
        ] {
            let message = refusal(bytes);
            assert!(message.contains(words), "{bytes:?}: {message}");
        }
    }

    #[test]
    fn a_tensor_lies_within_its_storage() {
        let tensor = |count, offset, shape: &[usize], strides: &[usize]| {
            let storage = Storage {
                key: "0".into(),
                dtype: DType::F32,
                count,
            };
            let (shape, strides) = (shape.to_vec(), strides.to_vec());
            let tensor = StoredTensor {
                storage,
                offset,
                shape,
                strides,
            };
            tensor.lies_within()
        };
        assert!(tensor(6, 0, &[2, 3], &[3, 1]));
        assert!(tensor(6, 0, &[3, 2], &[1, 3]), "transposed");
        assert!(tensor(6, 6, &[0], &[1]) && tensor(1, 0, &[], &[]));
        assert!(!tensor(6, 1, &[2, 3], &[3, 1]));
        assert!(!tensor(1, 0, &[1 << 40], &[0]), "a value repeated");
        assert!(!tensor(6, 0, &[usize::MAX, 2], &[1, 1]) && !tensor(6, 0, &[2], &[usize::MAX]));
        assert!(!tensor(6, 0, &[2, 3], &[1]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn bytes_are_a_pickle_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::parse(&bytes);
        }

        // Instructions that are known, so that more than the first few are followed.
        #[test]
        fn instructions_are_a_pickle_or_an_error(
            bytes in prop::collection::vec(prop::sample::select(b"\x80\x95.(0N\x88\x89}])KMJ\x8aG\x8cXcqr\x94hjt\x85\x86\x87aesuQR\x81b\x93\n\x00\x01".to_vec()), 0..200)
        ) {
            if let Ok(pickle) = Pickle::parse(&bytes) {
                prop_assert!(pickle.values.len() <= bytes.len());
            }
        }
    }
}
