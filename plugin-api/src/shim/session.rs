//! One call of `guide`, as the operations see it.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::Location;
use std::ptr;
use std::rc::Rc;

use crate::abi::{
    self, Array, Call, Distribution, Handle, Host, Network, OK, Operand, Operation, Shape, Status, TapKind, TensorRef,
    Text,
};
use crate::tensor::{Element, sized};
use crate::{Condition, Error, Tensor};

type Run = unsafe extern "C" fn(*const Call) -> Status;
type Release = unsafe extern "C" fn(u64, Handle) -> Status;

/// The host's functions, which live as long as the process.
#[derive(Clone, Copy)]
pub(crate) struct Functions {
    run: Run,
    release: Release,
}

impl Functions {
    pub(super) fn of(host: &Host) -> Result<Self, Error> {
        match (host.op, host.release) {
            (Some(run), Some(release)) => Ok(Self { run, release }),
            _ => Err(Error::new("the host offers no operations")),
        }
    }
}

/// Attributes that hold no pointers, so that safe code may write them.
///
/// # Safety
/// `pointer` must be null or point to the size-first struct that the operation reads.
pub(crate) unsafe trait Attributes {
    /// The value of [`Call::attributes`].
    fn pointer(&self) -> *const c_void;

    /// False where the contract has no place for what was asked: a shape or list of too many dimensions.
    fn fit(&self) -> bool {
        true
    }
}

// SAFETY: no attributes.
unsafe impl Attributes for () {
    fn pointer(&self) -> *const c_void {
        ptr::null()
    }
}

// SAFETY: those that it holds, or none.
unsafe impl<A: Attributes> Attributes for Option<A> {
    fn pointer(&self) -> *const c_void {
        self.as_ref().map_or(ptr::null(), A::pointer)
    }

    fn fit(&self) -> bool {
        self.is_some()
    }
}

macro_rules! attributes {
    ($($type:ident)+) => {$(
        // SAFETY: a size-first struct of the contract, made of numbers.
        unsafe impl Attributes for abi::$type {
            fn pointer(&self) -> *const c_void {
                ptr::from_ref(self).cast()
            }
        }
    )+};
}
attributes!(Scalar Range Dim Dims NewShape Slice ScatterTo Conv2d Interpolate Full Cast);

const TOO_MANY: &str = "a shape with more dimensions than a tensor can have";

/// One call of `guide`. Tensors share it; when the call is over it is closed, and they let go of nothing more.
pub(crate) struct Session {
    functions: Functions,
    id: u64,
    open: Cell<bool>,
    error: RefCell<Option<Error>>,
}

impl Session {
    pub(super) fn new(functions: Functions, id: u64) -> Rc<Self> {
        Rc::new(Self {
            functions,
            id,
            open: Cell::new(true),
            error: RefCell::new(None),
        })
    }

    /// From here on the host owns every handle.
    pub(super) fn close(&self) {
        self.open.set(false);
    }

    /// The first failure on this side.
    pub(super) fn error(&self) -> Option<Error> {
        self.error.borrow().clone()
    }

    /// A tensor for a request that could not be put to the host; the first such is the step's error.
    pub(crate) fn failure(self: &Rc<Self>, at: &Location, message: &str) -> Tensor {
        self.error.borrow_mut().get_or_insert_with(|| Error::at(at, message));
        Tensor::new(self, &TensorRef::default()).unwrap_or_else(|_| unreachable!("no tensor"))
    }

    /// Gives a handle back.
    pub(crate) fn release(&self, handle: Handle) {
        if self.open.get() && handle != 0 {
            // SAFETY: the function lives as long as the process; a handle that is not one is the host's to refuse.
            unsafe { (self.functions.release)(self.id, handle) };
        }
    }

    /// Runs an operation with one result.
    pub(crate) fn one(
        self: &Rc<Self>,
        operation: Operation,
        operands: &[Option<Tensor>],
        attributes: &impl Attributes,
        at: &'static Location<'static>,
    ) -> Tensor {
        self.many(operation, operands, attributes, 1, at).remove(0)
    }

    /// Runs an operation with `results` results, always that many.
    pub(crate) fn many(
        self: &Rc<Self>,
        operation: Operation,
        operands: &[Option<Tensor>],
        attributes: &impl Attributes,
        results: usize,
        at: &'static Location<'static>,
    ) -> Vec<Tensor> {
        if !attributes.fit() {
            return vec![self.failure(at, TOO_MANY); results];
        }
        // SAFETY: `Attributes` promises what the operation reads.
        unsafe { self.call(operation, operands, attributes.pointer(), results, at) }
    }

    /// Copies numbers to the device.
    pub(crate) fn upload<E: Element>(
        self: &Rc<Self>,
        data: &[E],
        extents: &[usize],
        at: &'static Location<'static>,
    ) -> Tensor {
        let Some(shape) = Shape::of(extents) else {
            return self.failure(at, TOO_MANY);
        };
        let attributes = sized!(Upload {
            dtype: E::DTYPE as u32,
            reserved: 0,
            shape,
            data: Array::of(data),
        });
        // SAFETY: the attributes and the elements outlive the call; `Element` is what the type's number says.
        unsafe { self.call(Operation::Upload, &[], ptr::from_ref(&attributes).cast(), 1, at) }.remove(0)
    }

    /// Copies a tensor's numbers here; nothing if the operation fails.
    pub(crate) fn download<E: Element>(&self, tensor: Tensor, at: &'static Location<'static>) -> Option<Vec<E>> {
        if tensor.is_failed() {
            return None;
        }
        let mut data = vec![E::default(); tensor.shape().iter().product()];
        let attributes = sized!(Download {
            data: data.as_mut_ptr().cast(),
            bytes: size_of_val(data.as_slice()) as u64,
        });
        let pointer = ptr::from_ref(&attributes).cast();
        // SAFETY: the memory outlives the call and is as long as said.
        let status = unsafe { self.ask(Operation::Download, &[Some(tensor)], pointer, &mut [], at) };
        (status == OK).then_some(data)
    }

    /// Draws for each sample.
    pub(crate) fn random(
        self: &Rc<Self>,
        tag: &str,
        distribution: Distribution,
        extents: &[usize],
        at: &'static Location<'static>,
    ) -> Tensor {
        let Some(shape) = Shape::of(extents) else {
            return self.failure(at, TOO_MANY);
        };
        let attributes = sized!(Random {
            distribution: distribution as u32,
            reserved: 0,
            tag: Text::of(tag),
            shape,
        });
        // SAFETY: the attributes and the tag outlive the call.
        unsafe { self.call(Operation::Random, &[], ptr::from_ref(&attributes).cast(), 1, at) }.remove(0)
    }

    /// Runs another network; one result a tap.
    pub(crate) fn forward(
        self: &Rc<Self>,
        network: Network,
        inputs: [Tensor; 2],
        taps: &[(TapKind, u32)],
        rows: &[u32],
        conditions: &[Condition],
        at: &'static Location<'static>,
    ) -> Vec<Tensor> {
        let conditions: Vec<u32> = conditions.iter().map(|c| *c as u32).collect();
        let depths: Vec<u32> = taps.iter().map(|(_, depth)| *depth).collect();
        let kinds: Vec<u32> = taps.iter().map(|(kind, _)| *kind as u32).collect();
        let only_blocks = taps.iter().all(|(kind, _)| *kind == TapKind::Block);
        let attributes = sized!(Forward {
            network: network as u32,
            reserved: 0,
            depths: Array::of(&depths),
            rows: Array::of(rows),
            conditions: Array::of(&conditions),
            kinds: Array::of(if only_blocks { &[] } else { &kinds }),
        });
        let (inputs, pointer) = (inputs.map(Some), ptr::from_ref(&attributes).cast());
        // SAFETY: the attributes and their arrays outlive the call.
        unsafe { self.call(Operation::Forward, &inputs, pointer, taps.len(), at) }
    }

    /// # Safety
    /// `attributes` must be what the operation reads, and valid during the call.
    unsafe fn call(
        self: &Rc<Self>,
        operation: Operation,
        operands: &[Option<Tensor>],
        attributes: *const c_void,
        results: usize,
        at: &'static Location<'static>,
    ) -> Vec<Tensor> {
        let mut outputs = vec![TensorRef::default(); results];
        // A failed operand must not reach the host as handle 0: there it would read as one left out.
        if operands.iter().flatten().all(|tensor| tensor.handle() != 0) {
            // SAFETY: the caller's promise.
            let status = unsafe { self.ask(operation, operands, attributes, &mut outputs, at) };
            if status != OK {
                outputs.fill(TensorRef::default());
            }
        }
        let tensor = |output| match Tensor::new(self, output) {
            Ok(tensor) => tensor,
            Err(error) => self.failure(at, &error.to_string()),
        };
        outputs.iter().map(tensor).collect()
    }

    /// # Safety
    /// As [`Self::call`].
    unsafe fn ask(
        &self,
        operation: Operation,
        operands: &[Option<Tensor>],
        attributes: *const c_void,
        outputs: &mut [TensorRef],
        at: &'static Location<'static>,
    ) -> Status {
        let inputs: Vec<Operand> = operands
            .iter()
            .map(|operand| Operand {
                handle: operand.as_ref().map_or(0, Tensor::handle),
                consumed: u8::from(operand.as_ref().is_some_and(Tensor::is_sole)),
                reserved: [0; 7],
            })
            .collect();
        let call = sized!(Call {
            session: self.id,
            opcode: operation as u32,
            inputs_len: inputs.len() as u32,
            outputs_len: outputs.len() as u32,
            line: at.line(),
            file: Text::of(at.file()),
            inputs: inputs.as_ptr(),
            attributes,
            outputs: outputs.as_mut_ptr(),
        });
        // SAFETY: everything that the call points to outlives it; the attributes are the caller's promise.
        let status = unsafe { (self.functions.run)(&call) };
        for (operand, input) in operands.iter().zip(&inputs) {
            if let (Some(tensor), 1) = (operand, input.consumed) {
                tensor.give_away();
            }
        }
        status
    }
}
