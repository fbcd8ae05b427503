//! Numbers in and out, draws, networks and the path.

use super::*;

#[test]
fn should_make_tensors_of_numbers_and_read_them_back() {
    let mut bench = Bench::new();
    let mut full = abi::Full::blank();
    (full.value, full.dtype, full.shape) = (2.5, DType::F32 as u32, shape(&[2, 2]));
    let h = bench.one(Operation::Full, &[], &full);
    close(bench.float(h), Tensor::<2>::ones([2, 2], &cpu()) * 2.5);
    let numbers = [1i64, -2, 3];
    let h = bench.one(Operation::Upload, &[], &upload(&[3], &numbers));
    assert_eq!(bench.spec(h).bounds, Some((-2, 3)));
    let mut back = [0i64; 3];
    let mut download = abi::Download::blank();
    (download.data, download.bytes) = (back.as_mut_ptr().cast(), 24);
    assert!(bench.ask(Operation::Download, &[h], &download).unwrap().is_empty());
    assert_eq!(back, numbers);
    download.bytes = 23;
    bench.refuses(Operation::Download, &[h], &download, "needs 24");
    let short = upload(&[4], &numbers);
    bench.refuses(Operation::Upload, &[], &short, "3 numbers are given for the 4");
}

#[test]
fn should_draw_numbers_that_follow_the_sample() {
    let draw = |ids: &[u64], tag: &'static str, distribution: u32| {
        let mut bench = Bench::new();
        bench.0.context.ids = ids.to_vec();
        let mut random = abi::Random::blank();
        (random.distribution, random.tag, random.shape) = (distribution, lend_text(tag), shape(&[2, 50]));
        let h = bench.one(Operation::Random, &[], &random);
        bench.float::<3>(h)
    };
    let (first, second) = (draw(&[10, 20, 30], "n", 0), draw(&[30, 10], "n", 0));
    close(first.clone().narrow(0, 0, 1), second.clone().narrow(0, 1, 1));
    close(first.clone().narrow(0, 2, 1), second.narrow(0, 0, 1));
    assert_ne!(first.to_data(), draw(&[10, 20, 30], "other", 0).to_data());
    let uniform = draw(&[1, 2, 3], "u", 1);
    let [low, high] = [uniform.clone().min(), uniform.max()].map(Tensor::into_scalar::<f32>);
    assert!((0.0..0.1).contains(&low) && (0.9..1.0).contains(&high), "{low} {high}");
}

#[test]
fn should_run_a_network_on_chosen_rows_under_chosen_conditions() {
    let mut bench = Bench::new();
    let x: Tensor<4> = tensor([3, 3, 4, 4], &cpu()).require_grad();
    let t: Tensor<1> = tensor([3], &cpu()) + 0.5;
    let inputs = [bench.lend(&x), bench.lend(&t)];
    // Own label of sample 1, none, and sample 1 after dropout (which took its label).
    let asked = forward(&[2, 0], &[1, 1, 1], &[0, 1, 2]);
    let found = bench.ask(Operation::Forward, &inputs, &asked).unwrap();
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
    let counted = (counters.rows, counters.padded_rows, counters.calls);
    assert_eq!(counted, (3, 0, 1), "a whole batch needs no padding");
}

#[test]
fn should_give_the_output_of_a_network_among_its_tokens() {
    let x: Tensor<4> = tensor([5, 3, 4, 4], &Device::flex());
    let t: Tensor<1> = tensor([5], &Device::flex()) + 0.5;
    let kinds = [0u32, 1, 0];
    for pad in [false, true] {
        let mut bench = Bench::new();
        bench.0.context.pad_rows = pad;
        let inputs = [bench.lend(&x), bench.lend(&t)];
        // The output's depth is ignored.
        let mut asked = forward(&[2, 77, 0], &[0, 1, 2, 0, 1], &[0, 0, 0, 1, 1]);
        asked.kinds = lend_list(&kinds);
        let found = bench.ask(Operation::Forward, &inputs, &asked).unwrap();
        let labels = Tensor::<1, Int>::from_data([0, 1, 2, 5, 5], &Device::flex());
        let whole = network(2).forward(x.clone(), t.clone(), labels, &[2, 0]);
        let largest: f32 = whole.output.clone().abs().max().into_scalar();
        assert!(largest > 1e-3, "an output that says nothing");
        close(bench.float::<4>(found[1]), whole.output);
        close(bench.float::<3>(found[0]), whole.taps[0].clone());
        close(bench.float::<3>(found[2]), whole.taps[1].clone());
        assert_eq!(bench.spec(found[1]).shape, [5, 3, 4, 4]);
        // A library of 1.1 ends before the kinds: what lies there is not its own.
        asked.size = std::mem::offset_of!(abi::Forward, kinds) as u64;
        bench.refuses(Operation::Forward, &inputs, &asked, "but not 77");
    }
}

#[test]
fn should_pad_rows_and_cut_them_off_again() {
    let x: Tensor<4> = tensor([5, 3, 4, 4], &Device::flex());
    let t: Tensor<1> = tensor([5], &Device::flex());
    let run = |pad: bool| {
        let mut bench = Bench::new();
        bench.0.context.pad_rows = pad;
        let inputs = [bench.lend(&x), bench.lend(&t)];
        let asked = forward(&[2], &[0, 1, 2, 0, 1], &[0, 0, 0, 1, 1]);
        let found = bench.one(Operation::Forward, &inputs, &asked);
        assert_eq!(bench.spec(found).shape, [5, 4, 8]);
        let padded = bench.0.context.counters.padded_rows;
        assert_eq!(padded, u64::from(pad), "5 rows become 6 with a batch of 3");
        bench.float::<3>(found)
    };
    close(run(true), run(false));
}

#[test]
fn should_refuse_networks_depths_and_rows_that_the_plan_does_not_declare() {
    let mut bench = Bench::new();
    let inputs = [
        bench.lend(&tensor::<4>([1, 3, 4, 4], &cpu())),
        bench.lend(&tensor::<1>([1], &cpu())),
    ];
    let plain = |depths: &[u32]| forward(depths, &[0], &[0]);
    let of = |network: abi::Network| {
        let mut asked = plain(&[2]);
        asked.network = network as u32;
        asked
    };
    let kinds = |kinds: &[u32], depths: &[u32]| {
        let mut asked = plain(depths);
        asked.kinds = lend_list(kinds);
        asked
    };
    for (attributes, part) in [
        (kinds(&[1], &[2, 0]), "1 kinds are given for 2 depths"),
        (kinds(&[2], &[2]), "taps of kind 2"),
        (of(abi::Network::Ema), "no tap of the Ema network"),
        (of(abi::Network::Student), "through taps only"),
        (plain(&[]), "no depth"),
        (plain(&[1]), "declares depths [0, 2]"),
        (forward(&[2], &[3], &[0]), "row 3 is asked for, but the batch has 3"),
        (forward(&[2], &[0], &[9]), "condition 9"),
        (forward(&[2], &[0], &[0, 0]), "2 conditions"),
        (forward(&[2], &[0, 1], &[0, 0]), "for 2 rows"),
    ] {
        bench.refuses(Operation::Forward, &inputs, &attributes, part);
    }
    bench.0.context.networks.get_mut(&abi::Network::Teacher).unwrap().output = false;
    let asked = kinds(&[1], &[0]);
    bench.refuses(
        Operation::Forward,
        &inputs,
        &asked,
        "does not declare the output of the Teacher",
    );
    assert_eq!(bench.0.context.counters.calls, 0);
}

#[test]
fn should_know_the_path() {
    for path in [Path::Linear, Path::Cosine] {
        let mut bench = Bench::new();
        bench.0.context.path = path;
        let times = [0.0f32, 0.3, 1.0];
        let t = bench.lend(&Tensor::<1>::from_data(times, &cpu()));
        let found = bench.ask(Operation::PathCoefficients, &[t], &()).unwrap();
        for (row, time) in times.iter().enumerate() {
            let c = path.coefficients(f64::from(*time));
            for (handle, wanted) in found.iter().zip([c.alpha, c.sigma, c.d_alpha, c.d_sigma]) {
                let value = bench.float::<1>(*handle).narrow(0, row, 1).into_scalar::<f32>();
                assert!((f64::from(value) - wanted).abs() < 1e-6, "{path:?} at {time}");
            }
        }
        let (x, n): (Tensor<4>, Tensor<4>) = (tensor([3, 2, 2, 2], &cpu()), tensor([3, 2, 2, 2], &cpu()) * 3.0);
        let (hx, hn) = (bench.lend(&x), bench.lend(&n));
        let found = bench.one(Operation::Diffuse, &[hx, hn, t], &());
        close(bench.float(found), path.diffuse(x, n, &times));
    }
}
