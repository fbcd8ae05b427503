//! Every operation against a direct computation with burn, most with their gradients.
#![allow(unsafe_code)]

use std::ffi::c_void;

use burn::backend::DispatchTensor;
use burn::tensor::{Bool, Device, Int, Tensor, activation, module};
use sextant_plugin_api::abi::{self, DType, Handle, MAX_RANK, Operand, Operation, Shape};

use super::*;
use crate::diffusion::Path;
use crate::guidance::boundary::{NO_LIST, lend_list, lend_text};
use crate::guidance::fixture::{network, tensor};
use crate::guidance::session::{OperationCall, Session};
use crate::guidance::step::TeacherCounters;
use crate::guidance::table::{Table, Value};

/// A session to ask for operations, without a plugin.
struct Bench(Session);

fn cpu() -> Device {
    Device::flex().autodiff()
}

impl Bench {
    fn new() -> Self {
        let frozen = Frozen { network: network(2), depths: vec![0, 2] };
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
        let value = Value { spec: Spec::of(&tensor), tensor: Some(tensor) };
        self.0.table.insert(value).unwrap()
    }

    fn lend_empty(&mut self, dtype: DType, shape: &[usize]) -> Handle {
        let value = Value { spec: Spec::new(dtype, shape.to_vec()), tensor: None };
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
            operands: inputs.iter().map(|&handle| Operand { handle, consumed: 0, reserved: [0; 7] }).collect(),
            // SAFETY: a size-first struct that outlives the call.
            attributes: unsafe { Attributes::new(pointer) },
            capacity: 8,
            place: "test.rs:1".into(),
        };
        match self.0.operate(&call) {
            Some(references) => Ok(references.iter().map(|r| r.handle).collect()),
            None => Err(self.0.first_error.clone().unwrap_or_default()),
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
    found.into_data().assert_approx_eq::<f32>(&wanted.into_data(), Default::default());
}

fn shape(dims: &[usize]) -> Shape {
    let mut all = [0; MAX_RANK];
    all.iter_mut().zip(dims).for_each(|(to, from)| *to = *from as u64);
    Shape { rank: dims.len() as u32, reserved: 0, dims: all }
}

fn scalar(value: f64) -> abi::Scalar {
    abi::Scalar { size: size_of::<abi::Scalar>() as u64, value }
}

fn dim(dim: u32) -> abi::Dim {
    abi::Dim { size: size_of::<abi::Dim>() as u64, dim, reserved: 0 }
}

fn dims(dims: &[u32], keep: bool) -> abi::Dims {
    let mut all = [0; MAX_RANK];
    all[..dims.len()].copy_from_slice(dims);
    abi::Dims { size: size_of::<abi::Dims>() as u64, len: dims.len() as u32, keep: u8::from(keep), reserved: [0; 3], dims: all }
}

fn new_shape(dims: &[usize]) -> abi::NewShape {
    abi::NewShape { size: size_of::<abi::NewShape>() as u64, shape: shape(dims) }
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

#[test]
fn should_do_arithmetic_with_broadcasting() {
    use Operation::{Add, Div, Mul, Sub};
    let b: Tensor<3> = tensor([2, 1, 4], &cpu()) + 2.0;
    let other = [b.clone().into_dispatch()];
    agrees(Add, a(), &other, &(), |a| a + b.clone());
    agrees(Sub, a(), &other, &(), |a| a - b.clone());
    agrees(Mul, a(), &other, &(), |a| a * b.clone());
    agrees(Div, a(), &other, &(), |a| a / b.clone());
    // The operand that is broadcast gets a gradient, too.
    let full = a();
    agrees(Mul, b, &[full.clone().into_dispatch()], &(), |b| b * full.clone());
}

#[test]
fn should_do_arithmetic_with_numbers() {
    agrees(Operation::AddScalar, a(), &[], &scalar(1.5), |a| a + 1.5);
    agrees(Operation::MulScalar, a(), &[], &scalar(-2.0), |a| a * -2.0);
    agrees(Operation::PowScalar, a(), &[], &scalar(2.0), |a| a.clone() * a);
    agrees(Operation::PowScalar, a() + 1.0, &[], &scalar(0.5), |a| a.sqrt());
    let range = abi::Range { size: size_of::<abi::Range>() as u64, min: -0.2, max: f64::INFINITY };
    agrees(Operation::Clamp, a(), &[], &range, |a| a.clamp_min(-0.2));
    let range = abi::Range { max: 0.1, ..range };
    agrees(Operation::Clamp, a(), &[], &range, |a| a.clamp(-0.2, 0.1));
}

#[test]
fn should_apply_elementwise_functions() {
    use Operation as O;
    agrees(O::Neg, a(), &[], &(), |a| -a);
    agrees(O::Exp, a(), &[], &(), |a| a.exp());
    agrees(O::Log, a() + 1.0, &[], &(), |a| a.log());
    agrees(O::Sqrt, a() + 1.0, &[], &(), |a| a.sqrt());
    agrees(O::Abs, a(), &[], &(), |a| a.abs());
    agrees(O::Sin, a(), &[], &(), |a| a.sin());
    agrees(O::Cos, a(), &[], &(), |a| a.cos());
    agrees(O::Tanh, a(), &[], &(), |a| a.tanh());
    agrees(O::Sigmoid, a(), &[], &(), activation::sigmoid);
    agrees(O::Relu, a(), &[], &(), activation::relu);
    agrees(O::Silu, a(), &[], &(), activation::silu);
    agrees(O::Gelu, a(), &[], &(), activation::gelu);
    agrees(O::Erf, a(), &[], &(), |a| a.erf());
}

#[test]
fn should_compare_choose_and_combine_masks() {
    let (a, b) = (a(), a().flip([2]));
    let mut bench = Bench::new();
    let [ha, hb] = [&a, &b].map(|t| bench.lend(t.clone().into_dispatch()));
    type Direct = fn(Tensor<3>, Tensor<3>) -> Tensor<3, Bool>;
    let cases: [(Operation, Direct); 5] = [
        (Operation::Equal, |a, b| a.equal(b)),
        (Operation::Greater, |a, b| a.greater(b)),
        (Operation::GreaterEqual, |a, b| a.greater_equal(b)),
        (Operation::Lower, |a, b| a.lower(b)),
        (Operation::LowerEqual, |a, b| a.lower_equal(b)),
    ];
    let mask = |bench: &Bench, handle| Tensor::<3, Bool>::from_dispatch(bench.raw(handle)).into_data();
    for (operation, direct) in cases {
        let found = bench.one(operation, &[ha, hb], &());
        assert_eq!(mask(&bench, found), direct(a.clone(), b.clone()).into_data(), "{operation:?}");
    }
    let greater = bench.one(Operation::Greater, &[ha, hb], &());
    let lower = bench.one(Operation::Lower, &[ha, hb], &());
    let either = bench.one(Operation::Or, &[greater, lower], &());
    let both = bench.one(Operation::And, &[greater, lower], &());
    let equal = bench.one(Operation::Equal, &[ha, hb], &());
    let differs = bench.one(Operation::Not, &[equal], &());
    assert_eq!(mask(&bench, either), mask(&bench, differs));
    assert_eq!(mask(&bench, both), Tensor::<3>::zeros([2, 3, 4], &cpu()).greater_elem(0.5).into_data());
    let chosen = bench.one(Operation::Where, &[greater, ha, hb], &());
    close(bench.float(chosen), a.clone().max_pair(b.clone()));
    let error = bench.ask(Operation::Add, &[greater, lower], &()).unwrap_err();
    assert!(error.contains("no arithmetic"), "{error}");
    let error = bench.ask(Operation::Where, &[ha, ha, hb], &()).unwrap_err();
    assert!(error.contains("mask must be a mask"), "{error}");
}

#[test]
fn should_reduce_over_any_dimensions() {
    use Operation::{Max, Mean, Min, Sum};
    agrees(Sum, a(), &[], &dims(&[1, 2], false), |a| a.sum_dims(&[1, 2]).reshape([2]));
    agrees(Sum, a(), &[], &dims(&[0, 2], true), |a| a.sum_dims(&[0, 2]));
    agrees(Mean, a(), &[], &dims(&[2, 1], true), |a| a.mean_dims(&[1, 2]));
    agrees(Mean, a(), &[], &dims(&[0], false), |a| a.mean_dim(0).reshape([3, 4]));
    agrees(Max, a(), &[], &dims(&[2], false), |a| a.max_dim(2).reshape([2, 3]));
    agrees(Min, a(), &[], &dims(&[1, 2], false), |a| a.min_dim(2).min_dim(1).reshape([2]));
    agrees(Sum, a(), &[], &dims(&[], false), |a| a);
}

#[test]
fn should_treat_a_tensor_without_dimensions_as_a_number() {
    let mut bench = Bench::new();
    let a = a();
    let h = bench.lend(a.clone().into_dispatch());
    let sum = bench.one(Operation::Sum, &[h], &dims(&[0, 1, 2], false));
    assert_eq!(bench.spec(sum).shape, [0; 0]);
    let twice = bench.one(Operation::Add, &[sum, sum], &());
    let column = bench.one(Operation::Reshape, &[twice], &new_shape(&[1, 1]));
    let wide = bench.one(Operation::Expand, &[column], &new_shape(&[2, 3]));
    close(bench.float::<2>(wide), Tensor::ones([2, 3], &cpu()) * a.sum().unsqueeze() * 2.0);
}

#[test]
fn should_arrange_elements() {
    agrees(Operation::Reshape, a(), &[], &new_shape(&[4, 6]), |a| a.reshape([4, 6]));
    agrees(Operation::Permute, a(), &[], &dims(&[2, 0, 1], false), |a| a.permute([2, 0, 1]));
    let thin: Tensor<3> = tensor([2, 1, 4], &cpu());
    agrees(Operation::Expand, thin, &[], &new_shape(&[2, 5, 4]), |a| a.expand([2, 5, 4]));
    let slice = |start, end, step| abi::Slice { size: size_of::<abi::Slice>() as u64, dim: 2, reserved: 0, start, end, step };
    agrees(Operation::Slice, a(), &[], &slice(1, 3, 1), |a| a.narrow(2, 1, 2));
    agrees(Operation::Slice, a(), &[], &slice(0, 4, 3), |a| {
        Tensor::cat(vec![a.clone().narrow(2, 0, 1), a.narrow(2, 3, 1)], 2)
    });
    let b: Tensor<3> = tensor([2, 2, 4], &cpu());
    agrees(Operation::Concat, a(), &[b.clone().into_dispatch()], &dim(1), |a| Tensor::cat(vec![a, b.clone()], 1));
}

#[test]
fn should_gather_and_scatter_rows() {
    let rows = Tensor::<1, Int>::from_data([1, 0, 1], &cpu());
    let lent = [rows.clone().into_dispatch()];
    agrees(Operation::Gather, a(), &lent, &dim(0), |a| a.select(0, rows.clone()));
    let to = abi::ScatterTo { size: size_of::<abi::ScatterTo>() as u64, dim: 1, reserved: 0, count: 5 };
    agrees(Operation::Scatter, a(), &lent, &to, |a| {
        let part = |i| a.clone().narrow(1, i, 1);
        let zeros = Tensor::zeros([2, 3, 4], &cpu());
        Tensor::cat(vec![part(1), part(0) + part(2), zeros], 1)
    });
}

#[test]
fn should_multiply_matrices() {
    let b: Tensor<3> = tensor([2, 4, 5], &cpu());
    agrees(Operation::Matmul, a(), &[b.clone().into_dispatch()], &(), |a| a.matmul(b.clone()));
    let shared: Tensor<3> = tensor([1, 4, 5], &cpu());
    agrees(Operation::Matmul, a(), &[shared.clone().into_dispatch()], &(), |a| a.matmul(shared.clone().expand([2, 4, 5])));
    let left: Tensor<3> = tensor([1, 3, 4], &cpu());
    agrees(Operation::Matmul, left, &[b.clone().into_dispatch()], &(), |a| a.expand([2, 3, 4]).matmul(b.clone()));
    let full = a();
    agrees(Operation::Matmul, tensor([1, 2, 3], &cpu()), &[full.clone().into_dispatch()], &(), |l: Tensor<3>| {
        l.expand([2, 2, 3]).matmul(full.clone())
    });
}

#[test]
fn should_apply_a_linear_map_as_pytorch_stores_it() {
    let weight: Tensor<2> = tensor([5, 4], &cpu());
    let bias: Tensor<1> = tensor([5], &cpu());
    let direct = |x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>| {
        x.matmul(weight.transpose().unsqueeze()) + bias.unsqueeze()
    };
    let lent = [weight.clone().into_dispatch(), bias.clone().into_dispatch()];
    agrees(Operation::Linear, a(), &lent, &(), |x| direct(x, weight.clone(), bias.clone()));
    agrees(Operation::Linear, a(), &lent[..1], &(), |x| direct(x, weight.clone(), bias.zeros_like()));
    // Gradients of weight and bias.
    let (weight, bias) = (weight.require_grad(), bias.require_grad());
    let mut bench = Bench::new();
    let inputs = [a().into_dispatch(), weight.clone().into_dispatch(), bias.clone().into_dispatch()].map(|t| bench.lend(t));
    let y = bench.one(Operation::Linear, &inputs, &());
    let gradients = |y: Tensor<3>| (y * tensor([2, 3, 5], &cpu())).sum().backward();
    let (found, wanted) = (gradients(bench.float(y)), gradients(direct(a(), weight.clone(), bias.clone())));
    close(weight.grad(&found).unwrap(), weight.grad(&wanted).unwrap());
    close(bias.grad(&found).unwrap(), bias.grad(&wanted).unwrap());
}

#[test]
fn should_attend() {
    let q: Tensor<4> = tensor([2, 2, 3, 4], &cpu());
    let (k, v): (Tensor<4>, Tensor<4>) = (tensor([2, 2, 5, 4], &cpu()), tensor([2, 2, 5, 6], &cpu()));
    let lent = [k.clone().into_dispatch(), v.clone().into_dispatch()];
    agrees(Operation::Attention, q, &lent, &scalar(0.7), |q| {
        activation::softmax(q.matmul(k.clone().swap_dims(2, 3)) * 0.7, 3).matmul(v.clone())
    });
}

#[test]
fn should_normalise() {
    let weight: Tensor<1> = tensor([4], &cpu()) + 1.0;
    let bias: Tensor<1> = tensor([4], &cpu());
    let direct = |x: Tensor<3>| {
        let centred = x.clone() - x.mean_dim(2);
        centred.clone() / (centred.square().mean_dim(2) + 1e-3).sqrt()
    };
    agrees(Operation::LayerNorm, a(), &[], &scalar(1e-3), direct);
    let lent = [weight.clone().into_dispatch(), bias.clone().into_dispatch()];
    agrees(Operation::LayerNorm, a(), &lent, &scalar(1e-3), |x| direct(x) * weight.clone().unsqueeze() + bias.clone().unsqueeze());
    agrees(Operation::Softmax, a(), &[], &dim(1), |a| activation::softmax(a, 1));
    agrees(Operation::LogSoftmax, a(), &[], &dim(2), |a| activation::log_softmax(a, 2));
}

#[test]
fn should_convolve_and_resize_images() {
    let x: Tensor<4> = tensor([2, 4, 5, 6], &cpu());
    let weight: Tensor<4> = tensor([6, 2, 3, 3], &cpu());
    let bias: Tensor<1> = tensor([6], &cpu());
    let attributes = abi::Conv2d { size: size_of::<abi::Conv2d>() as u64, stride: [2, 1], padding: [1, 0], dilation: [1, 2], groups: 2 };
    let options = burn::tensor::ops::ConvOptions::new([2, 1], [1, 0], [1, 2], 2);
    let lent = [weight.clone().into_dispatch(), bias.clone().into_dispatch()];
    agrees(Operation::Conv2d, x.clone(), &lent, &attributes, |x| {
        module::conv2d(x, weight.clone(), Some(bias.clone()), options.clone())
    });
    let resize = abi::Interpolate { size: size_of::<abi::Interpolate>() as u64, height: 7, width: 3, mode: 1, align_corners: 1, reserved: [0; 3] };
    // Linear in x, so the gradient of a constant image's resized sum spreads over all pixels.
    let mut bench = Bench::new();
    let x = x.require_grad();
    let h = bench.lend(x.clone().into_dispatch());
    let y = bench.one(Operation::Interpolate, &[h], &resize);
    assert_eq!(bench.spec(y).shape, [2, 4, 7, 3]);
    let y: Tensor<4> = bench.float(y);
    close(y.clone().slice([0..2, 0..4, 6..7, 2..3]), x.clone().slice([0..2, 0..4, 4..5, 5..6]));
    let gradient = x.grad(&y.sum().backward()).unwrap();
    close(gradient.sum(), Tensor::from_data([2.0 * 4.0 * 7.0 * 3.0], &Device::flex()));
    let half = abi::Interpolate { height: 10, width: 12, align_corners: 0, ..resize };
    let y = bench.one(Operation::Interpolate, &[h], &half);
    close(bench.float::<4>(y).mean(), x.mean());
}

#[test]
fn should_make_tensors_of_numbers_and_read_them_back() {
    let mut bench = Bench::new();
    let full = abi::Full { size: size_of::<abi::Full>() as u64, value: 2.5, dtype: DType::F32 as u32, reserved: 0, shape: shape(&[2, 2]) };
    let h = bench.one(Operation::Full, &[], &full);
    close(bench.float(h), Tensor::<2>::ones([2, 2], &cpu()) * 2.5);
    let numbers = [1i64, -2, 3];
    let upload = abi::Upload { size: size_of::<abi::Upload>() as u64, dtype: DType::Int as u32, reserved: 0, shape: shape(&[3]), data: lend_list(&numbers) };
    let h = bench.one(Operation::Upload, &[], &upload);
    assert_eq!(bench.spec(h).bounds, Some((-2, 3)));
    let mut back = [0i64; 3];
    let mut download = abi::Download { size: size_of::<abi::Download>() as u64, data: back.as_mut_ptr().cast(), bytes: 24 };
    assert!(bench.ask(Operation::Download, &[h], &download).unwrap().is_empty());
    assert_eq!(back, numbers);
    download.bytes = 23;
    assert!(bench.ask(Operation::Download, &[h], &download).unwrap_err().contains("needs 24"));
    let short = abi::Upload { shape: shape(&[4]), ..upload };
    assert!(bench.ask(Operation::Upload, &[], &short).unwrap_err().contains("3 numbers are given for the 4"));
}

#[test]
fn should_convert_element_types() {
    let mut bench = Bench::new();
    let to = |dtype: DType| abi::Cast { size: size_of::<abi::Cast>() as u64, dtype: dtype as u32, reserved: 0 };
    let a = Tensor::<1>::from_data([0.0, 1.0, -2.7], &cpu()).require_grad();
    let h = bench.lend(a.clone().into_dispatch());
    let int = bench.one(Operation::Cast, &[h], &to(DType::Int));
    assert_eq!(bench.spec(int).dtype, DType::Int);
    let mask = bench.one(Operation::Cast, &[int], &to(DType::Bool));
    let back = bench.one(Operation::Cast, &[mask], &to(DType::F32));
    close(bench.float(back), Tensor::<1>::from_data([0.0, 1.0, 1.0], &cpu()));
    let number = bench.one(Operation::Cast, &[mask], &to(DType::Int));
    let float = bench.one(Operation::Cast, &[number], &to(DType::F32));
    close(bench.float(float), Tensor::<1>::from_data([0.0, 1.0, 1.0], &cpu()));
    let half = bench.one(Operation::Cast, &[h], &to(DType::BF16));
    assert!(bench.ask(Operation::Add, &[h, half], &()).unwrap_err().contains("element types differ"));
    let again = bench.one(Operation::Cast, &[half], &to(DType::F32));
    let gradient = a.grad(&bench.float::<1>(again).sum().backward()).unwrap();
    close(gradient, Tensor::ones([3], &Device::flex()));
}

#[test]
fn should_leave_the_graph_when_detached() {
    let mut bench = Bench::new();
    let a = a().require_grad();
    let h = bench.lend(a.clone().into_dispatch());
    let detached = bench.one(Operation::Detach, &[h], &());
    assert!(!bench.float::<3>(detached).is_autodiff());
    let product = bench.one(Operation::Mul, &[h, detached], &());
    let gradient = a.grad(&bench.float::<3>(product).sum().backward()).unwrap();
    close(gradient, a.inner());
}

#[test]
fn should_draw_numbers_that_follow_the_sample() {
    let draw = |ids: &[u64], tag: &'static str, distribution: u32| {
        let mut bench = Bench::new();
        bench.0.context.ids = ids.to_vec();
        let random = abi::Random { size: size_of::<abi::Random>() as u64, distribution, reserved: 0, tag: lend_text(tag), shape: shape(&[2, 50]) };
        let h = bench.one(Operation::Random, &[], &random);
        bench.float::<3>(h)
    };
    let (first, second) = (draw(&[10, 20, 30], "n", 0), draw(&[30, 10], "n", 0));
    close(first.clone().narrow(0, 0, 1), second.clone().narrow(0, 1, 1));
    close(first.clone().narrow(0, 2, 1), second.narrow(0, 0, 1));
    assert_ne!(first.to_data(), draw(&[10, 20, 30], "other", 0).to_data());
    let uniform = draw(&[1, 2, 3], "u", 1);
    let (low, high) = (uniform.clone().min().into_scalar::<f32>(), uniform.max().into_scalar::<f32>());
    assert!((0.0..0.1).contains(&low) && (0.9..1.0).contains(&high), "{low} {high}");
}

fn forward(depths: &[u32], rows: &[u32], conditions: &[u32]) -> abi::Forward {
    abi::Forward {
        size: size_of::<abi::Forward>() as u64,
        network: abi::Network::Teacher as u32,
        reserved: 0,
        depths: lend_list(depths),
        rows: lend_list(rows),
        conditions: lend_list(conditions),
    }
}

#[test]
fn should_run_a_network_on_chosen_rows_under_chosen_conditions() {
    let mut bench = Bench::new();
    let x: Tensor<4> = tensor([3, 3, 4, 4], &cpu()).require_grad();
    let t: Tensor<1> = tensor([3], &cpu()) + 0.5;
    let inputs = [bench.lend(x.clone().into_dispatch()), bench.lend(t.clone().into_dispatch())];
    // Own label of sample 1, none, and sample 1 after dropout (which took its label).
    let found = bench.ask(Operation::Forward, &inputs, &forward(&[2, 0], &[1, 1, 1], &[0, 1, 2])).unwrap();
    let labels = Tensor::<1, Int>::from_data([1, 5, 5], &Device::flex());
    let wanted = network(2).features(x.inner(), t.inner(), labels, &[2, 0]);
    for (found, wanted) in found.iter().zip(wanted) {
        let found: Tensor<3> = bench.float(*found);
        assert!(!found.is_autodiff());
        close(found, wanted);
    }
    let deep: Tensor<3> = bench.float(found[0]);
    let at = |rows: [i64; 2]| deep.clone().select(0, Tensor::from_data(rows, &Device::flex()));
    let labels_matter = (at([0, 0]) - at([1, 2])).abs().max().into_scalar::<f32>();
    assert!(labels_matter > 1e-4, "{labels_matter}");
    let counters = bench.0.context.counters;
    assert_eq!((counters.rows, counters.padded_rows, counters.calls), (3, 0, 1), "a whole batch needs no padding");
}

#[test]
fn should_pad_rows_and_cut_them_off_again() {
    let x: Tensor<4> = tensor([5, 3, 4, 4], &Device::flex());
    let t: Tensor<1> = tensor([5], &Device::flex());
    let run = |pad: bool| {
        let mut bench = Bench::new();
        bench.0.context.pad_rows = pad;
        let inputs = [bench.lend(x.clone().into_dispatch()), bench.lend(t.clone().into_dispatch())];
        let found = bench.ask(Operation::Forward, &inputs, &forward(&[2], &[0, 1, 2, 0, 1], &[0, 0, 0, 1, 1])).unwrap();
        assert_eq!(bench.spec(found[0]).shape, [5, 4, 8]);
        assert_eq!(bench.0.context.counters.padded_rows, u64::from(pad), "5 rows become 6 with a batch of 3");
        bench.float::<3>(found[0])
    };
    close(run(true), run(false));
}

#[test]
fn should_refuse_networks_depths_and_rows_that_the_plan_does_not_declare() {
    let mut bench = Bench::new();
    let x: Tensor<4> = tensor([1, 3, 4, 4], &cpu());
    let inputs = [bench.lend(x.into_dispatch()), bench.lend(tensor::<1>([1], &cpu()).into_dispatch())];
    let ema = abi::Forward { network: abi::Network::Ema as u32, ..forward(&[2], &[0], &[0]) };
    let student = abi::Forward { network: abi::Network::Student as u32, ..ema };
    let none = abi::Forward { depths: NO_LIST, ..forward(&[], &[0], &[0]) };
    for (attributes, part) in [
        (ema, "no tap of the Ema network"),
        (student, "through taps only"),
        (none, "no depth"),
        (forward(&[1], &[0], &[0]), "declares depths [0, 2]"),
        (forward(&[2], &[3], &[0]), "row 3 is asked for, but the batch has 3"),
        (forward(&[2], &[0], &[9]), "condition 9"),
        (forward(&[2], &[0], &[0, 0]), "2 conditions"),
        (forward(&[2], &[0, 1], &[0, 0]), "for 2 rows"),
    ] {
        let error = bench.ask(Operation::Forward, &inputs, &attributes).unwrap_err();
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(bench.0.context.counters.calls, 0);
}

#[test]
fn should_know_the_path() {
    for path in [Path::Linear, Path::Cosine] {
        let mut bench = Bench::new();
        bench.0.context.path = path;
        let times = [0.0f32, 0.3, 1.0];
        let t = bench.lend(Tensor::<1>::from_data(times, &cpu()).into_dispatch());
        let found = bench.ask(Operation::PathCoefficients, &[t], &()).unwrap();
        for (row, time) in times.iter().enumerate() {
            let c = path.coefficients(f64::from(*time));
            for (handle, wanted) in found.iter().zip([c.alpha, c.sigma, c.d_alpha, c.d_sigma]) {
                let value = bench.float::<1>(*handle).narrow(0, row, 1).into_scalar::<f32>();
                assert!((f64::from(value) - wanted).abs() < 1e-6, "{path:?} at {time}");
            }
        }
        let (x, n): (Tensor<4>, Tensor<4>) = (tensor([3, 2, 2, 2], &cpu()), tensor([3, 2, 2, 2], &cpu()) * 3.0);
        let (hx, hn) = (bench.lend(x.clone().into_dispatch()), bench.lend(n.clone().into_dispatch()));
        let found = bench.one(Operation::Diffuse, &[hx, hn, t], &());
        close(bench.float(found), path.diffuse(x, n, &times));
    }
}

#[test]
fn should_take_tensors_without_rows() {
    let mut bench = Bench::new();
    let none = bench.lend_empty(DType::F32, &[0, 4]);
    let rows = bench.lend_empty(DType::Int, &[0]);
    let weight = bench.lend(tensor::<2>([5, 4], &cpu()).into_dispatch());
    let y = bench.one(Operation::Linear, &[none, weight], &());
    assert_eq!(bench.spec(y).shape, [0, 5]);
    let squared = bench.one(Operation::Mul, &[y, y], &());
    let mean = bench.one(Operation::Mean, &[squared], &dims(&[1], false));
    assert_eq!(bench.spec(mean).shape, [0]);
    let to = abi::ScatterTo { size: size_of::<abi::ScatterTo>() as u64, dim: 0, reserved: 0, count: 3 };
    let loss = bench.one(Operation::Scatter, &[mean, rows], &to);
    close(bench.float(loss), Tensor::<1>::zeros([3], &cpu()));
    let sum = bench.one(Operation::Sum, &[none], &dims(&[0], false));
    close(bench.float(sum), Tensor::<1>::zeros([4], &cpu()));
    let whole = bench.lend(tensor::<2>([2, 4], &cpu()).into_dispatch());
    let joined = bench.one(Operation::Concat, &[none, whole, none], &dim(0));
    close(bench.float(joined), tensor::<2>([2, 4], &cpu()));
    let picked = bench.one(Operation::Gather, &[whole, rows], &dim(0));
    assert_eq!(bench.spec(picked).shape, [0, 4]);
    let error = bench.ask(Operation::Mean, &[none], &dims(&[0], false)).unwrap_err();
    assert!(error.contains("dimension 0 is empty"), "{error}");
    let images = bench.lend_empty(DType::F32, &[0, 3, 4, 4]);
    let times = bench.lend_empty(DType::F32, &[0]);
    let features = bench.ask(Operation::Forward, &[images, times], &forward(&[2], &[], &[])).unwrap();
    assert_eq!(bench.spec(features[0]).shape, [0, 4, 8]);
    assert_eq!(bench.0.context.counters, TeacherCounters::default(), "no rows, no pass");
}

#[test]
fn should_refuse_shapes_that_do_not_fit() {
    let mut bench = Bench::new();
    let a = bench.lend(a().into_dispatch());
    let b = bench.lend(tensor::<3>([2, 2, 4], &cpu()).into_dispatch());
    let rows = [5i64];
    let upload = abi::Upload { size: size_of::<abi::Upload>() as u64, dtype: DType::Int as u32, reserved: 0, shape: shape(&[1]), data: lend_list(&rows) };
    let rows = bench.one(Operation::Upload, &[], &upload);
    let int = bench.lend(Tensor::<3, Int>::zeros([2, 3, 4], &cpu()).into_dispatch());
    use Operation as O;
    for (error, part) in [
        (bench.ask(O::Add, &[a, b], &()), "extents 3 and 2 of dimension 1"),
        (bench.ask(O::Add, &[a, int], &()), "element types differ"),
        (bench.ask(O::Exp, &[int], &()), "float elements"),
        (bench.ask(O::Matmul, &[a, b], &()), "a has 4 columns, b has 2 rows"),
        (bench.ask(O::Linear, &[a, a], &()), "weight must have 2 dimensions"),
        (bench.ask(O::Reshape, &[a], &new_shape(&[5])), "24 elements do not make [5]"),
        (bench.ask(O::Permute, &[a], &dims(&[0, 1, 1], false)), "each of the 3 dimensions once"),
        (bench.ask(O::Expand, &[a], &new_shape(&[2, 3, 8])), "does not expand"),
        (bench.ask(O::Concat, &[a, b], &dim(0)), "part 1 has shape [2, 2, 4]"),
        (bench.ask(O::Gather, &[a, rows], &dim(0)), "row numbers run from 5 to 5, but there are 2 rows"),
        (bench.ask(O::Softmax, &[a], &dim(3)), "dimension 3 does not exist"),
        (bench.ask(O::MulScalar, &[a], &scalar(f64::NAN)), "not finite"),
        (bench.ask(O::AddScalar, &[int], &scalar(0.5)), "0.5 is no integer"),
    ] {
        let error = error.unwrap_err();
        assert!(error.contains(part) && error.contains("test.rs:1"), "{part} in {error}");
    }
}

#[test]
fn should_move_consumed_operands_out_of_the_table() {
    let mut bench = Bench::new();
    let a = bench.lend(a().into_dispatch());
    let consumed = Operand { handle: a, consumed: 1, reserved: [0; 7] };
    let mut call = OperationCall {
        opcode: Operation::Mul as u32,
        operands: vec![consumed, consumed],
        attributes: Attributes::NONE,
        capacity: 1,
        place: String::new(),
    };
    assert!(bench.0.operate(&call).is_some(), "an operand may occur twice");
    assert!(bench.0.table.get(a).is_err());
    assert_eq!(bench.0.table.len(), 1);
    // Dead even if the operation fails.
    let b = bench.lend(tensor::<1>([3], &cpu()).into_dispatch());
    call.operands = vec![Operand { handle: b, ..consumed }];
    assert!(bench.0.operate(&call).is_none());
    assert!(bench.0.table.get(b).is_err());
}

#[test]
fn should_turn_a_panic_of_the_backend_into_an_error() {
    let mut bench = Bench::new();
    let a = bench.lend(tensor::<1>([3], &Device::flex()).into_dispatch());
    // Rows computed on the device are not looked at before.
    let rows = bench.lend(Tensor::<1, Int>::from_data([7], &Device::flex()).into_dispatch());
    let error = bench.ask(Operation::Gather, &[a, rows], &dim(0)).unwrap_err();
    assert!(error.contains("the backend failed"), "{error}");
    assert!(bench.ask(Operation::Neg, &[a], &()).is_ok(), "the session goes on");
}

#[test]
fn should_know_every_operation_of_the_table() {
    let mut bench = Bench::new();
    for info in abi::OPERATIONS {
        let outcome = bench.ask(Operation::from_code(info.code).unwrap(), &[], &());
        let error = outcome.unwrap_err();
        assert!(error.contains(&format!("`{}`", info.name)), "{error}");
    }
    let call = OperationCall { opcode: 999, operands: vec![], attributes: Attributes::NONE, capacity: 0, place: String::new() };
    bench.0.first_error = None;
    assert!(bench.0.operate(&call).is_none());
    assert!(bench.0.first_error.unwrap().contains("number 999"));
}
