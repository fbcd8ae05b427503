//! Parts of networks.

use burn::tensor::FloatDType;

use super::*;

#[test]
fn should_multiply_matrices() {
    let (whole, shared): (Tensor<3>, Tensor<3>) = (tensor([2, 4, 5], &cpu()), tensor([1, 4, 5], &cpu()));
    let (left, full): (Tensor<3>, Tensor<3>) = (tensor([1, 3, 4], &cpu()), a());
    for (a, b) in [
        (a(), whole.clone()),
        (a(), shared),
        (left, whole),
        (tensor([1, 2, 3], &cpu()), full),
    ] {
        let ([_, m, k], [_, _, n]) = (a.dims(), b.dims());
        agrees(Operation::Matmul, a, &[lent(&b)], &(), |a: Tensor<3>| {
            a.expand([2, m, k]).matmul(b.clone().expand([2, k, n]))
        });
    }
}

#[test]
fn should_apply_a_linear_map_as_pytorch_stores_it() {
    let (weight, bias): (Tensor<2>, Tensor<1>) = (tensor([5, 4], &cpu()), tensor([5], &cpu()));
    let direct =
        |x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>| x.matmul(weight.transpose().unsqueeze()) + bias.unsqueeze();
    let parts = [lent(&weight), lent(&bias)];
    agrees(Operation::Linear, a(), &parts, &(), |x| {
        direct(x, weight.clone(), bias.clone())
    });
    agrees(Operation::Linear, a(), &parts[..1], &(), |x| {
        direct(x, weight.clone(), bias.zeros_like())
    });
    // Gradients of weight and bias.
    let (weight, bias) = (weight.require_grad(), bias.require_grad());
    let mut bench = Bench::new();
    let inputs = [lent(&a()), lent(&weight), lent(&bias)].map(|t| bench.lend_raw(t));
    let y = bench.one(Operation::Linear, &inputs, &());
    let gradients = |y: Tensor<3>| (y * tensor([2, 3, 5], &cpu())).sum().backward();
    let found = gradients(bench.float(y));
    let wanted = gradients(direct(a(), weight.clone(), bias.clone()));
    close(weight.grad(&found).unwrap(), weight.grad(&wanted).unwrap());
    close(bias.grad(&found).unwrap(), bias.grad(&wanted).unwrap());
}

#[test]
fn should_round_the_operands_of_a_linear_map_where_the_student_computes_in_a_half() {
    let x: Tensor<2> = tensor([3, 4], &cpu()).require_grad();
    let weight: Tensor<2> = tensor([5, 4], &cpu()).require_grad();
    let mut bench = Bench::new();
    bench.0.context.precision = Precision::Bf16;
    let inputs = [lent(&x), lent(&weight)].map(|t| bench.lend_raw(t));
    let y = bench.one(Operation::Linear, &inputs, &());
    assert_eq!(bench.spec(y).dtype, DType::F32);
    let rounded = |x: Tensor<2>| x.cast(FloatDType::BF16).cast(FloatDType::F32);
    let wanted = rounded(rounded(x.clone()).matmul(rounded(weight.clone()).transpose()));
    let found: Tensor<2> = bench.float(y);
    assert_eq!(found.to_data(), wanted.to_data());
    let gradients = found.square().sum().backward();
    for gradient in [x.grad(&gradients).unwrap(), weight.grad(&gradients).unwrap()] {
        assert_eq!(gradient.dtype(), burn::tensor::DType::F32);
    }
}

#[test]
fn should_attend() {
    let q: Tensor<4> = tensor([2, 2, 3, 4], &cpu());
    let (k, v): (Tensor<4>, Tensor<4>) = (tensor([2, 2, 5, 4], &cpu()), tensor([2, 2, 5, 6], &cpu()));
    agrees(Operation::Attention, q, &[lent(&k), lent(&v)], &scalar(0.7), |q| {
        activation::softmax(q.matmul(k.clone().swap_dims(2, 3)) * 0.7, 3).matmul(v.clone())
    });
}

#[test]
fn should_normalise() {
    let (weight, bias): (Tensor<1>, Tensor<1>) = (tensor([4], &cpu()) + 1.0, tensor([4], &cpu()));
    let direct = |x: Tensor<3>| {
        let centred = x.clone() - x.mean_dim(2);
        centred.clone() / (centred.square().mean_dim(2) + 1e-3).sqrt()
    };
    agrees(Operation::LayerNorm, a(), &[], &scalar(1e-3), direct);
    agrees(
        Operation::LayerNorm,
        a(),
        &[lent(&weight), lent(&bias)],
        &scalar(1e-3),
        |x| direct(x) * weight.clone().unsqueeze() + bias.clone().unsqueeze(),
    );
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
    let mut attributes = abi::Conv2d::blank();
    (attributes.stride, attributes.padding) = ([2, 1], [1, 0]);
    (attributes.dilation, attributes.groups) = ([1, 2], 2);
    let options = burn::tensor::ops::ConvOptions::new([2, 1], [1, 0], [1, 2], 2);
    agrees(
        Operation::Conv2d,
        x.clone(),
        &[lent(&weight), lent(&bias)],
        &attributes,
        |x| module::conv2d(x, weight.clone(), Some(bias.clone()), options.clone()),
    );
    let resize = |height, width, align_corners| {
        let mut resize = abi::Interpolate::blank();
        (resize.height, resize.width) = (height, width);
        (resize.mode, resize.align_corners) = (abi::Interpolation::Bilinear as u32, align_corners);
        resize
    };
    // Linear in x, so the gradient of a constant image's resized sum spreads over all pixels.
    let mut bench = Bench::new();
    let x = x.require_grad();
    let h = bench.lend(&x);
    let y = bench.one(Operation::Interpolate, &[h], &resize(7, 3, 1));
    assert_eq!(bench.spec(y).shape, [2, 4, 7, 3]);
    let y: Tensor<4> = bench.float(y);
    let corner = x.clone().slice([0..2, 0..4, 4..5, 5..6]);
    close(y.clone().slice([0..2, 0..4, 6..7, 2..3]), corner);
    let gradient = x.grad(&y.sum().backward()).unwrap();
    let pixels = Tensor::from_data([2.0 * 4.0 * 7.0 * 3.0], &Device::flex());
    close(gradient.sum(), pixels);
    let y = bench.one(Operation::Interpolate, &[h], &resize(10, 12, 0));
    close(bench.float::<4>(y).mean(), x.mean());
}
