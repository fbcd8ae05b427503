//! Cases for proptest, which shrinks each number towards the left of its range.

use proptest::prelude::*;
use proptest::sample::select;

use super::case::{Case, Sample};
use super::plugin::PluginUnderTest;
use sextant_model::diffusion::Path;

/// The largest batch.
const BATCH: usize = 6;

/// Standard deviations of features, from the ordinary to what only training in bfloat16 meets.
const MAGNITUDES: [f32; 8] = [1.0, 3.0, 0.1, 30.0, 1e-3, 1e3, 3e4, 1e-6];

/// Cases for a source.
pub fn cases(plugin: &PluginUnderTest) -> impl Strategy<Value = Case> + use<> {
    let least = plugin.depth();
    // Sources with depths of their own, such as 8 of 12, need networks as deep.
    let depths = || match least {
        4 => 2..=6usize,
        _ => least..=least + 2,
    };
    let geometry = (
        depths(),
        depths(),
        select(vec![8usize, 16, 32]),
        select(vec![1usize, 2, 4]),
        2..=4usize,
        1..=2usize,
        1..=4usize,
        1..=10usize,
    );
    let times = select(special_times(plugin));
    let time = prop_oneof![4 => (0..=64u32).prop_map(|n| n as f32 / 64.0), 3 => times];
    let sample = (time, any::<u8>(), any::<bool>());
    let batch = (proptest::collection::vec(sample, 0..=BATCH), 0..1000u64, 0..8u8);
    let rest = (
        select(vec![Path::Linear, Path::Cosine]),
        select(MAGNITUDES.to_vec()),
        any::<bool>(),
        select(vec![0.0f32, 0.5]),
        prop_oneof![0..=3u64, 0..1_000_000u64],
        0..1000u64,
        0..1_000_000u64,
    );
    (geometry, batch, rest).prop_map(|(geometry, (samples, first, all_null), rest)| {
        let (depth, teacher_depth, width, heads, grid, patch, channels, classes) = geometry;
        let (path, magnitude, bf16, parameter_noise, step, seed, numbers) = rest;
        let samples = samples
            .into_iter()
            .zip(first..)
            .map(|((t, label, dropped), id)| Sample {
                id,
                t,
                label: i64::from(label) % classes as i64,
                // One batch in eight has no label left.
                dropped: dropped || all_null == 7,
            });
        Case {
            depth,
            teacher_depth,
            width,
            heads,
            grid,
            patch,
            channels,
            classes,
            path,
            samples: samples.collect(),
            magnitude,
            bf16,
            parameter_noise,
            step,
            seed,
            numbers,
        }
    })
}

/// Both ends of the path, and the ends of the source's range, just inside and just outside.
fn special_times(plugin: &PluginUnderTest) -> Vec<f32> {
    let mut times = vec![0.0f32, 1.0];
    if let Some([min, max]) = plugin.plan().t_range {
        let (min, max) = (min as f32, max as f32);
        times.extend([min, max, min.next_down(), min.next_up(), max.next_down(), max.next_up()]);
        times.push(0.5 * (min + max));
    }
    times.retain(|t| (0.0..=1.0).contains(t));
    times
}
