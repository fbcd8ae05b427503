//! Tensors as an author sees them: handles of the host's with operators and methods.

/// An attribute struct with its size filled in.
macro_rules! sized {
    ($type:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        $crate::abi::$type {
            size: size_of::<$crate::abi::$type>() as u64,
            $($field $(: $value)?),*
        }
    };
}
pub(crate) use sized;

mod method;
mod operator;
mod shape;
mod transfer;

use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::Error;
use crate::abi::{self, DType, Handle, MAX_RANK, Operation, TensorRef};
use crate::shim::{Attributes, Session};

pub use method::{Convolution, Resize};
pub use operator::{IntoTerm, Term};
pub use transfer::Element;

/// A tensor of the host's, on its device and in its autodiff graph.
///
/// Operations do not return a `Result`, so that formulas read as formulas. One that fails gives a tensor without
/// content, on which everything else fails silently; the host keeps the first error, with the author's file and
/// line, and the step ends with it.
///
/// Methods take `self`: a tensor that nobody else holds is given away to the operation, which may then work in
/// its memory. Clone it to keep it; a clone is a second name for the same tensor and copies nothing. It is not
/// `Send`, and dead when `guide` returns.
#[derive(Clone)]
#[must_use = "an operation gives a new tensor"]
pub struct Tensor {
    owned: Rc<Owned>,
    dtype: DType,
    shape: Vec<usize>,
}

/// A handle, released when the last tensor that shares it is dropped.
struct Owned {
    session: Rc<Session>,
    handle: Handle,
    given_away: std::cell::Cell<bool>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.given_away.get() {
            self.session.release(self.handle);
        }
    }
}

impl Tensor {
    pub(crate) fn new(session: &Rc<Session>, from: &TensorRef) -> Result<Self, Error> {
        let dtype = match (from.handle, DType::from_code(from.dtype)) {
            (0, _) => DType::F32,
            (_, Some(dtype)) => dtype,
            (_, None) => {
                return Err(Error::new(format!(
                    "the host handed over a tensor of element type {}, which this version does not know",
                    from.dtype
                )));
            }
        };
        Ok(Self {
            owned: Rc::new(Owned {
                session: session.clone(),
                handle: from.handle,
                given_away: std::cell::Cell::new(false),
            }),
            dtype,
            shape: from.shape.extents(),
        })
    }

    /// Extents; none for a tensor of an operation that failed.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents of a tensor that must have `N` dimensions: `let [b, c, h, w] = x.dims()?;`.
    ///
    /// # Errors
    /// If it has another number of them, or comes from an operation that failed.
    #[track_caller]
    pub fn dims<const N: usize>(&self) -> Result<[usize; N], Error> {
        let at = Location::caller();
        if self.is_failed() {
            return Err(Error::at(at, "a tensor comes from an operation that failed"));
        }
        let other = |_| format!("a tensor of {N} dimensions is needed, this has shape {:?}", self.shape);
        let shape = self.shape.as_slice().try_into().map_err(other);
        shape.map_err(|message| Error::at(at, &message))
    }

    /// True if it comes from an operation that failed.
    pub fn is_failed(&self) -> bool {
        self.handle() == 0
    }

    pub(crate) fn handle(&self) -> Handle {
        self.owned.handle
    }

    /// True if nobody else holds it, so that an operation may take it.
    pub(crate) fn is_sole(&self) -> bool {
        Rc::strong_count(&self.owned) == 1
    }

    /// Notes that an operation took it.
    pub(crate) fn give_away(&self) {
        self.owned.given_away.set(true);
    }

    pub(crate) fn session(&self) -> &Rc<Session> {
        &self.owned.session
    }

    /// Asks for an operation of this tensor and others; the session is this one's.
    #[track_caller]
    fn ask<const N: usize>(
        self,
        operation: Operation,
        others: [Option<Tensor>; N],
        attributes: &impl Attributes,
    ) -> Self {
        let session = self.session().clone();
        let operands: Vec<_> = std::iter::once(Some(self)).chain(others).collect();
        session.one(operation, &operands, attributes, Location::caller())
    }
}

impl From<&Tensor> for Tensor {
    fn from(tensor: &Tensor) -> Self {
        tensor.clone()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({:?} {:?})", self.dtype, self.shape)
    }
}

fn dim_of(dim: usize) -> abi::Dim {
    let dim = dim as u32;
    sized!(Dim { dim, reserved: 0 })
}

/// A list of dimensions in the contract's layout, unless it has too many.
fn dims_of(dims: &[usize], keep: bool) -> Option<abi::Dims> {
    let mut list = [0; MAX_RANK];
    for (to, from) in list.get_mut(..dims.len())?.iter_mut().zip(dims) {
        *to = *from as u32;
    }
    Some(sized!(Dims {
        len: dims.len() as u32,
        keep: u8::from(keep),
        reserved: [0; 3],
        dims: list,
    }))
}
