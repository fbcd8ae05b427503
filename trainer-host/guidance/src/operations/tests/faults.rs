//! Refusals, and what tensors without elements do.

use super::*;

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
    let to = abi::ScatterTo {
        size: size_of::<abi::ScatterTo>() as u64,
        dim: 0,
        reserved: 0,
        count: 3,
    };
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
    let features = bench
        .ask(Operation::Forward, &[images, times], &forward(&[2], &[], &[]))
        .unwrap();
    assert_eq!(bench.spec(features[0]).shape, [0, 4, 8]);
    assert_eq!(bench.0.context.counters, TeacherCounters::default(), "no rows, no pass");
}

#[test]
fn should_refuse_shapes_that_do_not_fit() {
    let mut bench = Bench::new();
    let a = bench.lend(a().into_dispatch());
    let b = bench.lend(tensor::<3>([2, 2, 4], &cpu()).into_dispatch());
    let rows = [5i64];
    let upload = abi::Upload {
        size: size_of::<abi::Upload>() as u64,
        dtype: DType::Int as u32,
        reserved: 0,
        shape: shape(&[1]),
        data: lend_list(&rows),
    };
    let rows = bench.one(Operation::Upload, &[], &upload);
    let int = bench.lend(Tensor::<3, Int>::zeros([2, 3, 4], &cpu()).into_dispatch());
    use Operation as O;
    for (error, part) in [
        (bench.ask(O::Add, &[a, b], &()), "extents 3 and 2 of dimension 1"),
        (bench.ask(O::Add, &[a, int], &()), "element types differ"),
        (bench.ask(O::Exp, &[int], &()), "float elements"),
        (bench.ask(O::Matmul, &[a, b], &()), "a has 4 columns, b has 2 rows"),
        (bench.ask(O::Linear, &[a, a], &()), "weight must have 2 dimensions"),
        (
            bench.ask(O::Reshape, &[a], &new_shape(&[5])),
            "24 elements do not make [5]",
        ),
        (
            bench.ask(O::Permute, &[a], &dims(&[0, 1, 1], false)),
            "each of the 3 dimensions once",
        ),
        (bench.ask(O::Expand, &[a], &new_shape(&[2, 3, 8])), "does not expand"),
        (bench.ask(O::Concat, &[a, b], &dim(0)), "part 1 has shape [2, 2, 4]"),
        (
            bench.ask(O::Gather, &[a, rows], &dim(0)),
            "row numbers run from 5 to 5, but there are 2 rows",
        ),
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
    let given = Operand {
        handle: a,
        consumed: 1,
        reserved: [0; 7],
    };
    let mut call = OperationCall {
        opcode: Operation::Mul as u32,
        operands: vec![given; 2],
        attributes: Attributes::NONE,
        capacity: 1,
        place: String::new(),
    };
    assert!(bench.0.operate(&call).is_some(), "an operand may occur twice");
    assert!(bench.0.table.get(a).is_err());
    assert_eq!(bench.0.table.len(), 1);
    // One mark is enough, wherever it stands: nothing that was given away stays behind.
    for marks in [[1, 0], [0, 1]] {
        let b = bench.lend(tensor::<1>([3], &cpu()).into_dispatch());
        call.operands = marks
            .map(|consumed| Operand {
                handle: b,
                consumed,
                ..given
            })
            .to_vec();
        let product = bench.0.operate(&call).expect("it is there at both places")[0];
        assert!(bench.0.table.get(b).is_err(), "{marks:?}");
        assert!(bench.0.table.get(product.handle).is_ok(), "{marks:?}");
    }
    assert_eq!(bench.0.table.len(), 3, "three products, and no operand");
    // Dead even if the operation fails.
    let b = bench.lend(tensor::<1>([3], &cpu()).into_dispatch());
    call.operands = vec![Operand { handle: b, ..given }];
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
    let call = OperationCall {
        opcode: 999,
        operands: vec![],
        attributes: Attributes::NONE,
        capacity: 0,
        place: String::new(),
    };
    bench.0.first_error = None;
    assert!(bench.0.operate(&call).is_none());
    assert!(bench.0.first_error.unwrap().to_string().contains("number 999"));
}
