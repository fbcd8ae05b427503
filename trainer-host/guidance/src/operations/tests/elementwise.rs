//! Arithmetic, masks and element types.

use super::*;

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
    let range = abi::Range {
        size: size_of::<abi::Range>() as u64,
        min: -0.2,
        max: f64::INFINITY,
    };
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
    agrees(O::Floor, a() * 7.0, &[], &(), |a| a.floor());
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
        assert_eq!(
            mask(&bench, found),
            direct(a.clone(), b.clone()).into_data(),
            "{operation:?}"
        );
    }
    let greater = bench.one(Operation::Greater, &[ha, hb], &());
    let lower = bench.one(Operation::Lower, &[ha, hb], &());
    let either = bench.one(Operation::Or, &[greater, lower], &());
    let both = bench.one(Operation::And, &[greater, lower], &());
    let equal = bench.one(Operation::Equal, &[ha, hb], &());
    let differs = bench.one(Operation::Not, &[equal], &());
    assert_eq!(mask(&bench, either), mask(&bench, differs));
    assert_eq!(
        mask(&bench, both),
        Tensor::<3>::zeros([2, 3, 4], &cpu()).greater_elem(0.5).into_data()
    );
    let chosen = bench.one(Operation::Where, &[greater, ha, hb], &());
    close(bench.float(chosen), a.clone().max_pair(b.clone()));
    let error = bench.ask(Operation::Add, &[greater, lower], &()).unwrap_err();
    assert!(error.contains("no arithmetic"), "{error}");
    let error = bench.ask(Operation::Where, &[ha, ha, hb], &()).unwrap_err();
    assert!(error.contains("mask must be a mask"), "{error}");
}

#[test]
fn should_convert_element_types() {
    let mut bench = Bench::new();
    let to = |dtype: DType| abi::Cast {
        size: size_of::<abi::Cast>() as u64,
        dtype: dtype as u32,
        reserved: 0,
    };
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
    assert!(
        bench
            .ask(Operation::Add, &[h, half], &())
            .unwrap_err()
            .contains("element types differ")
    );
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
