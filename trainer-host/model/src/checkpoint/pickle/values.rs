//! Values of a pickle, and the names that it may ask for.

use std::fmt;

use burn::tensor::{BoolStore, DType};

use super::error::PickleError;

/// A value of a pickle, by its place in [`Pickle::values`].
pub type Id = usize;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
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
pub enum Name {
    OrderedDict,
    Namespace,
    RebuildTensor,
    RebuildParameter,
    /// A class of storage, with the type of its elements.
    Elements(DType),
}

impl Name {
    /// The name in a module; an error where it is another one.
    pub fn of(module: &str, name: &str) -> Result<Self, PickleError> {
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
pub struct Storage {
    /// Name of the entry below `data/`.
    pub key: String,
    /// Type of the numbers.
    pub dtype: DType,
    /// Number of them.
    pub count: usize,
}

/// A tensor as a view of a storage. Its values lie within, and are no more than the storage has.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    pub storage: Storage,
    /// Number of the first value.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// Steps in the storage from one index to the next, in values.
    pub strides: Vec<usize>,
}

/// All values of a pickle.
pub struct Pickle {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
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
}

impl StoredTensor {
    /// True if every value is one of the storage's, and there are no more of them than the storage has: a view may repeat values,
    /// and a few bytes could stand for any number of them.
    pub fn lies_within(&self) -> bool {
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
}
