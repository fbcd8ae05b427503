//! The stack machine that a pickle is a program for.

use std::collections::HashMap;

use super::error::PickleError;
use super::values::{Id, Name, Pickle, Storage, StoredTensor, Value};

/// Most arguments of a call, and most sides of a tensor.
const MOST_ARGUMENTS: usize = 8;

/// Longest name of a storage, which are numbers.
const LONGEST_KEY: usize = 64;

impl Pickle {
    /// Runs a pickle's instructions.
    ///
    /// # Errors
    /// The first that cannot be followed, with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, PickleError> {
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
        Ok(Self {
            values: machine.values,
            root,
        })
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

    /// `("storage", class, key, device, count)`; on which device it was is of no matter here.
    fn storage(&mut self) -> Result<(), PickleError> {
        let arguments = self.arguments()?;
        let [kind, class, key, _, count] = arguments[..] else {
            return Err(self.order("a storage"));
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
