//! Every operation against a direct computation with burn, most with their gradients.
#![allow(unsafe_code)]

mod arrangement;
mod elementwise;
mod faults;
mod layers;
mod services;
mod work;

use std::ffi::c_void;

use burn::backend::DispatchTensor;
use burn::tensor::{Bool, Device, Int, Tensor, activation, module};
use sextant_plugin_api::abi::{self, DType, Handle, Operand, Operation};

use super::*;
use crate::boundary::{SizeFirst, lend_list, lend_text};
use crate::fixture::{dims, kept, network, shape, tensor};
use crate::session::{OperationCall, Session};
use crate::table::{Table, Value};
use sextant_model::diffusion::{Interpolant, Path};
use sextant_recipe::Precision;
use sextant_records::TeacherCounters;

/// A session to ask for operations, without a plugin.
struct Bench(Session);

fn cpu() -> Device {
    Device::flex().autodiff()
}

impl Bench {
    fn new() -> Self {
        let frozen = Frozen {
            network: network(2),
            depths: vec![0, 2],
            output: true,
        };
        let context = Context {
            device: Device::flex().as_dispatch().clone(),
            instance: "test".into(),
            seed: 1,
            step: 2,
            ids: vec![10, 20, 30],
            labels: vec![0, 1, 2],
            dropped: vec![0, 5, 2],
            null_class: 5,
            precision: Precision::F32,
            networks: [(abi::Network::Teacher, frozen)].into(),
            path: Path::Cosine,
            pad_rows: true,
            counters: TeacherCounters::default(),
        };
        Self(Session::new(Table::default(), context))
    }

    fn lend<const D: usize>(&mut self, tensor: &Tensor<D>) -> Handle {
        self.lend_raw(tensor.clone().into_dispatch())
    }

    fn lend_raw(&mut self, tensor: DispatchTensor) -> Handle {
        let (spec, tensor) = (Spec::of(&tensor), Some(tensor));
        self.0.table.insert(Value { spec, tensor }).unwrap()
    }

    fn lend_empty(&mut self, dtype: DType, shape: &[usize]) -> Handle {
        let (spec, tensor) = (Spec::new(dtype, shape.to_vec()), None);
        self.0.table.insert(Value { spec, tensor }).unwrap()
    }

    fn ask<A>(&mut self, operation: Operation, inputs: &[Handle], attributes: &A) -> Result<Vec<Handle>, String> {
        self.0.first_error = None;
        let pointer: *const c_void = match size_of::<A>() {
            0 => std::ptr::null(),
            _ => std::ptr::from_ref(attributes).cast(),
        };
        let call = OperationCall {
            opcode: operation as u32,
            operands: inputs.iter().copied().map(kept).collect(),
            // SAFETY: a size-first struct that outlives the call.
            attributes: unsafe { Attributes::new(pointer) },
            capacity: 8,
            place: "test.rs:1".into(),
        };
        match self.0.operate(&call) {
            Some(references) => Ok(references.iter().map(|r| r.handle).collect()),
            None => Err(self.0.first_error.as_ref().map(Fault::to_string).unwrap_or_default()),
        }
    }

    fn one<A>(&mut self, operation: Operation, inputs: &[Handle], attributes: &A) -> Handle {
        self.ask(operation, inputs, attributes).unwrap()[0]
    }

    /// Asks for what is refused, with words that have this part.
    fn refuses<A>(&mut self, operation: Operation, inputs: &[Handle], attributes: &A, part: &str) {
        let error = self.ask(operation, inputs, attributes).unwrap_err();
        assert!(error.contains(part) && error.contains("test.rs:1"), "{part} in {error}");
    }

    fn spec(&self, handle: Handle) -> Spec {
        self.0.table.get(handle).unwrap().spec.clone()
    }

    fn raw(&self, handle: Handle) -> DispatchTensor {
        self.0.table.get(handle).unwrap().tensor.clone().unwrap()
    }

    fn float<const D: usize>(&self, handle: Handle) -> Tensor<D> {
        Tensor::from_dispatch(self.raw(handle))
    }
}

fn close<const D: usize>(found: Tensor<D>, wanted: Tensor<D>) {
    found
        .into_data()
        .assert_approx_eq::<f32>(&wanted.into_data(), Default::default());
}

fn scalar(value: f64) -> abi::Scalar {
    let mut scalar = abi::Scalar::blank();
    scalar.value = value;
    scalar
}

fn dim(dim: u32) -> abi::Dim {
    let mut attributes = abi::Dim::blank();
    attributes.dim = dim;
    attributes
}

fn new_shape(dims: &[usize]) -> abi::NewShape {
    let mut attributes = abi::NewShape::blank();
    attributes.shape = shape(dims);
    attributes
}

fn scatter_to(dim: u32, count: u64) -> abi::ScatterTo {
    let mut attributes = abi::ScatterTo::blank();
    (attributes.dim, attributes.count) = (dim, count);
    attributes
}

fn upload(dims: &[usize], numbers: &[i64]) -> abi::Upload {
    let mut attributes = abi::Upload::blank();
    attributes.dtype = DType::Int as u32;
    (attributes.shape, attributes.data) = (shape(dims), lend_list(numbers));
    attributes
}

/// One operation on `a` against `direct`, and the gradients of a weighted sum of both.
fn agrees<const D: usize, const E: usize, A>(
    operation: Operation,
    a: Tensor<D>,
    others: &[DispatchTensor],
    attributes: &A,
    direct: impl Fn(Tensor<D>) -> Tensor<E>,
) {
    let a = a.detach().require_grad();
    let wanted = direct(a.clone());
    let mut bench = Bench::new();
    let mut inputs = vec![bench.lend(&a)];
    inputs.extend(others.iter().map(|other| bench.lend_raw(other.clone())));
    let handle = bench.one(operation, &inputs, attributes);
    let found: Tensor<E> = bench.float(handle);
    assert_eq!(bench.spec(handle).shape, wanted.dims());
    close(found.clone(), wanted.clone());
    let weights: Tensor<E> = tensor(wanted.dims(), &cpu());
    let gradient = |value: Tensor<E>| a.grad(&(value * weights.clone()).sum().backward()).unwrap();
    close(gradient(found), gradient(wanted));
}

fn a() -> Tensor<3> {
    tensor([2, 3, 4], &cpu())
}

/// As others of [`agrees`].
fn lent<const D: usize>(tensor: &Tensor<D>) -> DispatchTensor {
    tensor.clone().into_dispatch()
}

fn forward(depths: &[u32], rows: &[u32], conditions: &[u32]) -> abi::Forward {
    let mut attributes = abi::Forward::blank();
    attributes.network = abi::Network::Teacher as u32;
    (attributes.depths, attributes.rows) = (lend_list(depths), lend_list(rows));
    attributes.conditions = lend_list(conditions);
    attributes
}
