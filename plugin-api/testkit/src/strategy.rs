//! Strategies for proptest: sizes, times, features.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use sextant_plugin_api::{DType, Geometry, NetworkGeometry};

use crate::Value;

/// Settings of proptest under which a run repeats: the same cases each time, unless `PROPTEST_RNG_SEED` says otherwise;
/// `PROPTEST_CASES` sets how many. A case that failed is not written down, since the next run finds it again.
pub fn repeatable() -> ProptestConfig {
    let config = ProptestConfig::default();
    let rng_seed = match std::env::var_os("PROPTEST_RNG_SEED") {
        Some(_) => config.rng_seed,
        None => RngSeed::Fixed(0),
    };
    ProptestConfig {
        rng_seed,
        failure_persistence: None,
        ..config
    }
}

/// A small model with everything that a source may ask for: latents [2, 4, 4] in patches of 2 (4 tokens), a student of 6
/// blocks of width 8 with 2 heads, a teacher of the same sizes, a moving average, and a field `features`, `[4, 8]`.
pub fn small() -> Geometry {
    let network = network(6, 2, 4, [2, 2]);
    model([3, 2, 2], network, network, 8, 5)
}

fn network(depth: u32, heads: usize, head_width: usize, grid: [usize; 2]) -> NetworkGeometry {
    NetworkGeometry {
        depth,
        width: heads * head_width,
        heads,
        prefix_tokens: 0,
        grid,
    }
}

fn model(
    [batch, channels, patch]: [usize; 3],
    student: NetworkGeometry,
    teacher: NetworkGeometry,
    features: usize,
    classes: usize,
) -> Geometry {
    let latent = [channels, student.grid[0] * patch, student.grid[1] * patch];
    let mut geometry = Geometry::new(batch, latent, patch, student)
        .with_teacher(teacher)
        .with_ema()
        .with_field("features", DType::F32, &[student.tokens(), features]);
    geometry.classes = classes;
    geometry
}

/// Models of 4 to 9 blocks and 1 to 9 tokens, with a teacher of its own depth and width, a moving average, and a batch field
/// `features` of a width of its own.
pub fn geometries() -> impl Strategy<Value = Geometry> {
    let sizes = (
        [1..=4usize, 1..=3usize, 1..=2usize],
        [1..=3usize, 1..=3usize],
        1..=3usize,
    );
    let depth_and_head = || (4..=9u32, 1..=4usize);
    let networks = (depth_and_head(), depth_and_head());
    (sizes, networks, 1..=7usize, 1..=4usize).prop_map(|((sizes, grid, heads), networks, features, classes)| {
        let ((depth, width), (teacher_depth, teacher_width)) = networks;
        let student = network(depth, heads, width, grid);
        let teacher = network(teacher_depth, heads, teacher_width, grid);
        model(sizes, student, teacher, features, classes)
    })
}

/// The f32 below and above a time.
pub fn neighbours(t: f32) -> [f32; 2] {
    [t.next_down(), t.next_up()]
}

/// Times of a batch of 1 to 6: anywhere in [0, 1], both ends of it, and the ends of `range` with their nearest neighbours on
/// either side, as often as not.
pub fn times(range: (f64, f64)) -> impl Strategy<Value = Vec<f32>> {
    let ends = [range.0 as f32, range.1 as f32];
    let mut exact = vec![0.0, 1.0];
    for end in ends {
        exact.push(end);
        exact.extend(neighbours(end));
    }
    exact.retain(|t| (0.0..=1.0).contains(t));
    prop::collection::vec(prop_oneof![0.0..=1.0f32, ends[0]..=ends[1], select(exact)], 1..=6)
}

/// Ranges of time, ends in order, not always within f32.
pub fn ranges() -> impl Strategy<Value = (f64, f64)> {
    [0.0..=1.0f64, 0.0..=1.0f64].prop_map(|[a, b]| (a.min(b), a.max(b)))
}

/// Features of a shape: elements in [-3, 3], multiples of 1/1024, so that sums and differences of a few are exact.
pub fn features(shape: impl AsRef<[usize]>) -> impl Strategy<Value = Value> {
    let shape = shape.as_ref().to_vec();
    let count: usize = shape.iter().product();
    let element = (-3072..=3072i32).prop_map(|n| f64::from(n) / 1024.0);
    prop::collection::vec(element, count).prop_map(move |data| Value::new(&shape, data))
}

/// Two tensors of tokens `[B, T, D]` of one shape.
pub fn pairs() -> impl Strategy<Value = [Value; 2]> {
    [1..=3usize, 1..=5usize, 1..=6usize].prop_flat_map(|shape| [features(shape), features(shape)])
}

/// Five positive factors, from a thousandth to a thousand.
pub fn factors() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-3.0..=3.0f64).prop_map(|exponent| 10f64.powf(exponent)), 5)
}
