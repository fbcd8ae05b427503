//! Arithmetic, masks and element types.

use super::*;

#[test]
fn should_do_arithmetic_with_broadcasting() {
    use Operation::{Add, Div, Mul, Sub};
    let b: Tensor<3> = tensor([2, 1, 4], &cpu()) + 2.0;
    let other = [lent(&b)];
    agrees(Add, a(), &other, &(), |a| a + b.clone());
    agrees(Sub, a(), &other, &(), |a| a - b.clone());
    agrees(Mul, a(), &other, &(), |a| a * b.clone());
    agrees(Div, a(), &other, &(), |a| a / b.clone());
    // The operand that is broadcast gets a gradient, too.
    let full = a();
    agrees(Mul, b, &[lent(&full)], &(), |b| b * full.clone());
}

#[test]
fn should_do_arithmetic_with_numbers() {
    use Operation::{AddScalar, Clamp, MulScalar, PowScalar};
    agrees(AddScalar, a(), &[], &scalar(1.5), |a| a + 1.5);
    agrees(MulScalar, a(), &[], &scalar(-2.0), |a| a * -2.0);
    agrees(PowScalar, a(), &[], &scalar(2.0), |a| a.clone() * a);
    agrees(PowScalar, a() + 1.0, &[], &scalar(0.5), |a| a.sqrt());
    let mut range = abi::Range::blank();
    (range.min, range.max) = (-0.2, f64::INFINITY);
    agrees(Clamp, a(), &[], &range, |a| a.clamp_min(-0.2));
    range.max = 0.1;
    agrees(Clamp, a(), &[], &range, |a| a.clamp(-0.2, 0.1));
}

#[test]
fn should_apply_elementwise_functions() {
    use Operation as O;
    type Direct = fn(Tensor<3>) -> Tensor<3>;
    let cases: [(O, f32, f32, Direct); 14] = [
        (O::Neg, 1.0, 0.0, |a| -a),
        (O::Exp, 1.0, 0.0, |a| a.exp()),
        (O::Log, 1.0, 1.0, |a| a.log()),
        (O::Sqrt, 1.0, 1.0, |a| a.sqrt()),
        (O::Abs, 1.0, 0.0, |a| a.abs()),
        (O::Sin, 1.0, 0.0, |a| a.sin()),
        (O::Cos, 1.0, 0.0, |a| a.cos()),
        (O::Tanh, 1.0, 0.0, |a| a.tanh()),
        (O::Sigmoid, 1.0, 0.0, activation::sigmoid),
        (O::Relu, 1.0, 0.0, activation::relu),
        (O::Silu, 1.0, 0.0, activation::silu),
        (O::Gelu, 1.0, 0.0, activation::gelu),
        (O::Erf, 1.0, 0.0, |a| a.erf()),
        (O::Floor, 7.0, 0.0, |a| a.floor()),
    ];
    for (operation, factor, offset, direct) in cases {
        agrees(operation, a() * factor + offset, &[], &(), direct);
    }
}

#[test]
fn should_compare_choose_and_combine_masks() {
    use Operation as O;
    let (a, b) = (a(), a().flip([2]));
    let mut bench = Bench::new();
    let [ha, hb] = [&a, &b].map(|t| bench.lend(t));
    type Direct = fn(Tensor<3>, Tensor<3>) -> Tensor<3, Bool>;
    let cases: [(O, Direct); 5] = [
        (O::Equal, |a, b| a.equal(b)),
        (O::Greater, |a, b| a.greater(b)),
        (O::GreaterEqual, |a, b| a.greater_equal(b)),
        (O::Lower, |a, b| a.lower(b)),
        (O::LowerEqual, |a, b| a.lower_equal(b)),
    ];
    let mask = |bench: &Bench, handle| Tensor::<3, Bool>::from_dispatch(bench.raw(handle)).into_data();
    for (operation, direct) in cases {
        let found = bench.one(operation, &[ha, hb], &());
        let wanted = direct(a.clone(), b.clone()).into_data();
        assert_eq!(mask(&bench, found), wanted, "{operation:?}");
    }
    let [greater, lower, equal] = [O::Greater, O::Lower, O::Equal].map(|o| bench.one(o, &[ha, hb], &()));
    let [either, both] = [O::Or, O::And].map(|o| bench.one(o, &[greater, lower], &()));
    let differs = bench.one(O::Not, &[equal], &());
    assert_eq!(mask(&bench, either), mask(&bench, differs));
    let never = Tensor::<3>::zeros([2, 3, 4], &cpu()).greater_elem(0.5);
    assert_eq!(mask(&bench, both), never.into_data());
    let chosen = bench.one(O::Where, &[greater, ha, hb], &());
    close(bench.float(chosen), a.clone().max_pair(b.clone()));
    bench.refuses(O::Add, &[greater, lower], &(), "no arithmetic");
    bench.refuses(O::Where, &[ha, ha, hb], &(), "mask must be a mask");
}

#[test]
fn should_convert_element_types() {
    let mut bench = Bench::new();
    let a = Tensor::<1>::from_data([0.0, 1.0, -2.7], &cpu()).require_grad();
    let h = bench.lend(&a);
    let cast = |bench: &mut Bench, from: Handle, dtype: DType| {
        let mut to = abi::Cast::blank();
        to.dtype = dtype as u32;
        bench.one(Operation::Cast, &[from], &to)
    };
    let ones = || Tensor::<1>::from_data([0.0, 1.0, 1.0], &cpu());
    let int = cast(&mut bench, h, DType::Int);
    assert_eq!(bench.spec(int).dtype, DType::Int);
    let mask = cast(&mut bench, int, DType::Bool);
    let back = cast(&mut bench, mask, DType::F32);
    close(bench.float(back), ones());
    let number = cast(&mut bench, mask, DType::Int);
    let float = cast(&mut bench, number, DType::F32);
    close(bench.float(float), ones());
    let half = cast(&mut bench, h, DType::BF16);
    bench.refuses(Operation::Add, &[h, half], &(), "element types differ");
    let again = cast(&mut bench, half, DType::F32);
    let gradient = a.grad(&bench.float::<1>(again).sum().backward()).unwrap();
    close(gradient, Tensor::ones([3], &Device::flex()));
}

#[test]
fn should_leave_the_graph_when_detached() {
    let mut bench = Bench::new();
    let a = a().require_grad();
    let h = bench.lend(&a);
    let detached = bench.one(Operation::Detach, &[h], &());
    assert!(!bench.float::<3>(detached).is_autodiff());
    let product = bench.one(Operation::Mul, &[h, detached], &());
    let gradient = a.grad(&bench.float::<3>(product).sum().backward()).unwrap();
    close(gradient, a.inner());
}
