//! What networks are made of.

use super::*;

#[test]
fn should_multiply_matrices() {
    let b: Tensor<3> = tensor([2, 4, 5], &cpu());
    agrees(Operation::Matmul, a(), &[b.clone().into_dispatch()], &(), |a| {
        a.matmul(b.clone())
    });
    let shared: Tensor<3> = tensor([1, 4, 5], &cpu());
    agrees(Operation::Matmul, a(), &[shared.clone().into_dispatch()], &(), |a| {
        a.matmul(shared.clone().expand([2, 4, 5]))
    });
    let left: Tensor<3> = tensor([1, 3, 4], &cpu());
    agrees(Operation::Matmul, left, &[b.clone().into_dispatch()], &(), |a| {
        a.expand([2, 3, 4]).matmul(b.clone())
    });
    let full = a();
    agrees(
        Operation::Matmul,
        tensor([1, 2, 3], &cpu()),
        &[full.clone().into_dispatch()],
        &(),
        |l: Tensor<3>| l.expand([2, 2, 3]).matmul(full.clone()),
    );
}

#[test]
fn should_apply_a_linear_map_as_pytorch_stores_it() {
    let weight: Tensor<2> = tensor([5, 4], &cpu());
    let bias: Tensor<1> = tensor([5], &cpu());
    let direct =
        |x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>| x.matmul(weight.transpose().unsqueeze()) + bias.unsqueeze();
    let lent = [weight.clone().into_dispatch(), bias.clone().into_dispatch()];
    agrees(Operation::Linear, a(), &lent, &(), |x| {
        direct(x, weight.clone(), bias.clone())
    });
    agrees(Operation::Linear, a(), &lent[..1], &(), |x| {
        direct(x, weight.clone(), bias.zeros_like())
    });
    // Gradients of weight and bias.
    let (weight, bias) = (weight.require_grad(), bias.require_grad());
    let mut bench = Bench::new();
    let inputs = [
        a().into_dispatch(),
        weight.clone().into_dispatch(),
        bias.clone().into_dispatch(),
    ]
    .map(|t| bench.lend(t));
    let y = bench.one(Operation::Linear, &inputs, &());
    let gradients = |y: Tensor<3>| (y * tensor([2, 3, 5], &cpu())).sum().backward();
    let (found, wanted) = (
        gradients(bench.float(y)),
        gradients(direct(a(), weight.clone(), bias.clone())),
    );
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
    agrees(Operation::LayerNorm, a(), &lent, &scalar(1e-3), |x| {
        direct(x) * weight.clone().unsqueeze() + bias.clone().unsqueeze()
    });
    agrees(Operation::Softmax, a(), &[], &dim(1), |a| activation::softmax(a, 1));
    agrees(Operation::LogSoftmax, a(), &[], &dim(2), |a| {
        activation::log_softmax(a, 2)
    });
}

#[test]
fn should_convolve_and_resize_images() {
    let x: Tensor<4> = tensor([2, 4, 5, 6], &cpu());
    let weight: Tensor<4> = tensor([6, 2, 3, 3], &cpu());
    let bias: Tensor<1> = tensor([6], &cpu());
    let attributes = abi::Conv2d {
        size: size_of::<abi::Conv2d>() as u64,
        stride: [2, 1],
        padding: [1, 0],
        dilation: [1, 2],
        groups: 2,
    };
    let options = burn::tensor::ops::ConvOptions::new([2, 1], [1, 0], [1, 2], 2);
    let lent = [weight.clone().into_dispatch(), bias.clone().into_dispatch()];
    agrees(Operation::Conv2d, x.clone(), &lent, &attributes, |x| {
        module::conv2d(x, weight.clone(), Some(bias.clone()), options.clone())
    });
    let resize = abi::Interpolate {
        size: size_of::<abi::Interpolate>() as u64,
        height: 7,
        width: 3,
        mode: 1,
        align_corners: 1,
        reserved: [0; 3],
    };
    // Linear in x, so the gradient of a constant image's resized sum spreads over all pixels.
    let mut bench = Bench::new();
    let x = x.require_grad();
    let h = bench.lend(x.clone().into_dispatch());
    let y = bench.one(Operation::Interpolate, &[h], &resize);
    assert_eq!(bench.spec(y).shape, [2, 4, 7, 3]);
    let y: Tensor<4> = bench.float(y);
    close(
        y.clone().slice([0..2, 0..4, 6..7, 2..3]),
        x.clone().slice([0..2, 0..4, 4..5, 5..6]),
    );
    let gradient = x.grad(&y.sum().backward()).unwrap();
    close(
        gradient.sum(),
        Tensor::from_data([2.0 * 4.0 * 7.0 * 3.0], &Device::flex()),
    );
    let half = abi::Interpolate {
        height: 10,
        width: 12,
        align_corners: 0,
        ..resize
    };
    let y = bench.one(Operation::Interpolate, &[h], &half);
    close(bench.float::<4>(y).mean(), x.mean());
}
