//! Refusals, and what tensors without elements do.

use super::*;

#[test]
fn should_take_tensors_without_rows() {
    let mut bench = Bench::new();
    let none = bench.lend_empty(DType::F32, &[0, 4]);
    let rows = bench.lend_empty(DType::Int, &[0]);
    let weight = bench.lend(&tensor::<2>([5, 4], &cpu()));
    let y = bench.one(Operation::Linear, &[none, weight], &());
    assert_eq!(bench.spec(y).shape, [0, 5]);
    let squared = bench.one(Operation::Mul, &[y, y], &());
    let mean = bench.one(Operation::Mean, &[squared], &dims(&[1], false));
    assert_eq!(bench.spec(mean).shape, [0]);
    let loss = bench.one(Operation::Scatter, &[mean, rows], &scatter_to(0, 3));
    close(bench.float(loss), Tensor::<1>::zeros([3], &cpu()));
    let sum = bench.one(Operation::Sum, &[none], &dims(&[0], false));
    close(bench.float(sum), Tensor::<1>::zeros([4], &cpu()));
    let whole = bench.lend(&tensor::<2>([2, 4], &cpu()));
    let joined = bench.one(Operation::Concat, &[none, whole, none], &dim(0));
    close(bench.float(joined), tensor::<2>([2, 4], &cpu()));
    let picked = bench.one(Operation::Gather, &[whole, rows], &dim(0));
    assert_eq!(bench.spec(picked).shape, [0, 4]);
    bench.refuses(Operation::Mean, &[none], &dims(&[0], false), "dimension 0 is empty");
    let images = bench.lend_empty(DType::F32, &[0, 3, 4, 4]);
    let times = bench.lend_empty(DType::F32, &[0]);
    let features = bench.one(Operation::Forward, &[images, times], &forward(&[2], &[], &[]));
    assert_eq!(bench.spec(features).shape, [0, 4, 8]);
    assert_eq!(bench.0.context.counters, TeacherCounters::default(), "no rows, no pass");
}

#[test]
fn should_refuse_shapes_that_do_not_fit() {
    let mut bench = Bench::new();
    let a = bench.lend(&a());
    let b = bench.lend(&tensor::<3>([2, 2, 4], &cpu()));
    let rows = bench.one(Operation::Upload, &[], &upload(&[1], &[5]));
    let int = bench.lend_raw(Tensor::<3, Int>::zeros([2, 3, 4], &cpu()).into_dispatch());
    use Operation as O;
    bench.refuses(O::Add, &[a, b], &(), "extents 3 and 2 of dimension 1");
    bench.refuses(O::Add, &[a, int], &(), "element types differ");
    bench.refuses(O::Exp, &[int], &(), "float elements");
    bench.refuses(O::Matmul, &[a, b], &(), "a has 4 columns, b has 2 rows");
    bench.refuses(O::Linear, &[a, a], &(), "weight must have 2 dimensions");
    bench.refuses(O::Reshape, &[a], &new_shape(&[5]), "24 elements do not make [5]");
    let twice = dims(&[0, 1, 1], false);
    bench.refuses(O::Permute, &[a], &twice, "each of the 3 dimensions once");
    bench.refuses(O::Expand, &[a], &new_shape(&[2, 3, 8]), "does not expand");
    bench.refuses(O::Concat, &[a, b], &dim(0), "part 1 has shape [2, 2, 4]");
    let range = "row numbers run from 5 to 5, but there are 2 rows";
    bench.refuses(O::Gather, &[a, rows], &dim(0), range);
    bench.refuses(O::Softmax, &[a], &dim(3), "dimension 3 does not exist");
    bench.refuses(O::MulScalar, &[a], &scalar(f64::NAN), "not finite");
    bench.refuses(O::AddScalar, &[int], &scalar(0.5), "0.5 is no integer");
    bench.refuses(O::PowScalar, &[int], &scalar(2.0), "float elements");
}

#[test]
fn should_move_consumed_operands_out_of_the_table() {
    let mut bench = Bench::new();
    let given = |handle| Operand {
        consumed: 1,
        ..kept(handle)
    };
    let a = bench.lend(&a());
    let mut call = OperationCall {
        opcode: Operation::Mul as u32,
        operands: vec![given(a); 2],
        attributes: Attributes::NONE,
        capacity: 1,
        place: String::new(),
    };
    assert!(bench.0.operate(&call).is_some(), "an operand may occur twice");
    assert!(bench.0.table.get(a).is_err());
    assert_eq!(bench.0.table.len(), 1);
    // One mark is enough, wherever it stands: nothing that was given away stays behind.
    for last in [false, true] {
        let b = bench.lend(&tensor::<1>([3], &cpu()));
        call.operands = vec![given(b), kept(b)];
        if last {
            call.operands.reverse();
        }
        let product = bench.0.operate(&call).expect("it is there at both places")[0];
        assert!(bench.0.table.get(b).is_err(), "{last}");
        assert!(bench.0.table.get(product.handle).is_ok(), "{last}");
    }
    assert_eq!(bench.0.table.len(), 3, "three products, and no operand");
    // Dead even if the operation fails.
    let b = bench.lend(&tensor::<1>([3], &cpu()));
    call.operands = vec![given(b)];
    assert!(bench.0.operate(&call).is_none());
    assert!(bench.0.table.get(b).is_err());
}

#[test]
fn should_turn_a_panic_of_the_backend_into_an_error() {
    let mut bench = Bench::new();
    let a = bench.lend(&tensor::<1>([3], &Device::flex()));
    // Rows computed on the device are not looked at before.
    let rows = bench.lend_raw(Tensor::<1, Int>::from_data([7], &Device::flex()).into_dispatch());
    bench.refuses(Operation::Gather, &[a, rows], &dim(0), "the backend failed");
    assert!(bench.ask(Operation::Neg, &[a], &()).is_ok(), "the session goes on");
}

#[test]
fn should_know_every_operation_of_the_table() {
    let mut bench = Bench::new();
    for info in abi::OPERATIONS {
        let operation = Operation::from_code(info.code).unwrap();
        bench.refuses(operation, &[], &(), &format!("`{}`", info.name));
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
