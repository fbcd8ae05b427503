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
use sextant_plugin_api::abi::{self, DType, Handle, MAX_RANK, Operand, Operation, Shape};

use super::*;
use crate::boundary::{NO_LIST, lend_list, lend_text};
use crate::fixture::{network, tensor};
use crate::session::{OperationCall, Session};
use crate::table::{Table, Value};
use sextant_model::diffusion::{Interpolant, Path};
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
            networks: [(abi::Network::Teacher, frozen)].into(),
            path: Path::Cosine,
            pad_rows: true,
            counters: TeacherCounters::default(),
        };
        Self(Session::new(Table::default(), context))
    }

    fn lend(&mut self, tensor: DispatchTensor) -> Handle {
        let value = Value {
            spec: Spec::of(&tensor),
            tensor: Some(tensor),
        };
        self.0.table.insert(value).unwrap()
    }

    fn lend_empty(&mut self, dtype: DType, shape: &[usize]) -> Handle {
        let value = Value {
            spec: Spec::new(dtype, shape.to_vec()),
            tensor: None,
        };
        self.0.table.insert(value).unwrap()
    }

    fn ask<A>(&mut self, operation: Operation, inputs: &[Handle], attributes: &A) -> Result<Vec<Handle>, String> {
        self.0.first_error = None;
        let pointer: *const c_void = match size_of::<A>() {
            0 => std::ptr::null(),
            _ => std::ptr::from_ref(attributes).cast(),
        };
        let call = OperationCall {
            opcode: operation as u32,
            operands: inputs
                .iter()
                .map(|&handle| Operand {
                    handle,
                    consumed: 0,
                    reserved: [0; 7],
                })
                .collect(),
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

fn shape(dims: &[usize]) -> Shape {
    let mut all = [0; MAX_RANK];
    all.iter_mut().zip(dims).for_each(|(to, from)| *to = *from as u64);
    Shape {
        rank: dims.len() as u32,
        reserved: 0,
        dims: all,
    }
}

fn scalar(value: f64) -> abi::Scalar {
    abi::Scalar {
        size: size_of::<abi::Scalar>() as u64,
        value,
    }
}

fn dim(dim: u32) -> abi::Dim {
    abi::Dim {
        size: size_of::<abi::Dim>() as u64,
        dim,
        reserved: 0,
    }
}

fn dims(dims: &[u32], keep: bool) -> abi::Dims {
    let mut all = [0; MAX_RANK];
    all[..dims.len()].copy_from_slice(dims);
    abi::Dims {
        size: size_of::<abi::Dims>() as u64,
        len: dims.len() as u32,
        keep: u8::from(keep),
        reserved: [0; 3],
        dims: all,
    }
}

fn new_shape(dims: &[usize]) -> abi::NewShape {
    abi::NewShape {
        size: size_of::<abi::NewShape>() as u64,
        shape: shape(dims),
    }
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
    let mut inputs = vec![bench.lend(a.clone().into_dispatch())];
    inputs.extend(others.iter().map(|other| bench.lend(other.clone())));
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

fn forward(depths: &[u32], rows: &[u32], conditions: &[u32]) -> abi::Forward {
    abi::Forward {
        size: size_of::<abi::Forward>() as u64,
        network: abi::Network::Teacher as u32,
        reserved: 0,
        depths: lend_list(depths),
        rows: lend_list(rows),
        conditions: lend_list(conditions),
        kinds: NO_LIST,
    }
}
