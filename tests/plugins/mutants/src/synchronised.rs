//! `layersync`: shallow tokens against deeper ones.

use std::sync::atomic::{AtomicI32, Ordering};

use sextant_plugin_api::parts::cosine_alignment;
use sextant_plugin_api::{Error, Geometry, Plan, Step, Tensor};

use crate::{Config, Mutant};

fn depths(geometry: &Geometry) -> [u32; 2] {
    let student = geometry.student();
    [student.depth_at(2.0 / 7.0), student.depth_at(4.0 / 7.0)]
}

pub(crate) fn plan(config: &Config, geometry: &Geometry) -> Result<Plan, Error> {
    let [shallow, deep] = depths(geometry);
    let plan = Plan::new().tap(shallow);
    Ok(if config.is(Mutant::UndeclaredRead) {
        plan
    } else {
        plan.tap(deep)
    })
}

pub(crate) fn loss(config: &Config, step: &Step) -> Result<Tensor, Error> {
    let [shallow, deep] = depths(step.geometry());
    let (h, target) = (step.tap(shallow)?, step.tap(deep)?);
    let target = if config.is(Mutant::TeacherNotDetached) {
        target
    } else {
        target.detach()
    };
    let tokens = h.shape()[1] as f64;
    Ok(match config.mutant {
        Some(Mutant::WrongAxis) => cosine_alignment(h.transpose(1, 2), target.transpose(1, 2)),
        Some(Mutant::SummedLoss) => cosine_alignment(h, target) * tokens,
        Some(Mutant::StaticState) => cosine_alignment(h, target) * warm_up(),
        Some(Mutant::NanAtZero) => cosine_alignment(h, target) * (step.t() / step.t()),
        _ => cosine_alignment(h, target),
    })
}

/// From 0.1 towards 1 with every call in the process.
fn warm_up() -> f64 {
    static CALLS: AtomicI32 = AtomicI32::new(0);
    1.0 - 0.9f64.powi(CALLS.fetch_add(1, Ordering::Relaxed) + 1)
}
