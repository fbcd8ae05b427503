//! `sra`: tokens against those of the moving average at a little less noise.

use sextant_plugin_api::parts::Mlp;
use sextant_plugin_api::{Condition, Distribution, Error, Geometry, Network, Plan, Step, Tensor};

use crate::{Config, Mutant};

const SHIFT: f64 = 0.2;
const BETA: f64 = 0.05;

fn depths(geometry: &Geometry) -> Result<[u32; 2], Error> {
    let (student, ema) = (geometry.student(), geometry.network(Network::Ema)?);
    Ok([student.depth_at(1.0 / 3.0), ema.depth_at(2.0 / 3.0)])
}

pub(crate) fn plan(geometry: &Geometry) -> Result<Plan, Error> {
    let [shallow, deep] = depths(geometry)?;
    let width = geometry.student().width;
    Mlp::new("", 2).declare(Plan::new().tap(shallow).ema(deep), &[width, 2 * width, width])
}

pub(crate) fn loss(config: &Config, step: &Step) -> Result<Tensor, Error> {
    let batch = step.batch();
    if batch == 0 {
        return Ok(step.zeros_per_sample());
    }
    let [shallow, deep] = depths(step.geometry())?;
    let u = match config.is(Mutant::ForeignRandom) {
        true => step.upload(&own_draws(step.index(), batch), [batch]),
        false => step.random("shift", Distribution::Uniform, []),
    };
    let t = (step.t() - u * SHIFT).clamp(0.0, 1.0);
    let x_t = step.diffuse(step.x(), step.noise(), &t);
    let rows: Vec<u32> = (0..batch as u32).collect();
    let conditions = vec![Condition::Dropped; batch];
    let z = step
        .forward(Network::Ema, x_t, t, &[deep], &rows, &conditions)?
        .remove(0);
    let d = (Mlp::new("", 2).forward(step, step.tap(shallow)?)? - z).abs();
    let square = d.clone().square() / (2.0 * BETA);
    Ok(d.lower(BETA).choose(square, d - BETA / 2.0).mean_per_sample())
}

/// A generator of the source's own: Knuth's, seeded with the step, a draw a row.
fn own_draws(step: u64, count: usize) -> Vec<f32> {
    let next = |state: &mut u64| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 40) as f32 / (1u64 << 24) as f32)
    };
    let mut state = step;
    std::iter::from_fn(|| next(&mut state)).take(count).collect()
}
