//! `self-transcendence`: tokens against guided features of a frozen teacher, within a range of times.

use sextant_plugin_api::parts::{Mlp, feature_cfg, squared_error};
use sextant_plugin_api::{Condition, Error, Geometry, Network, Plan, Step, Tensor, rows_inside};

use crate::{Config, Mutant};

fn depths(geometry: &Geometry) -> Result<[u32; 2], Error> {
    let (student, teacher) = (geometry.student(), geometry.network(Network::Teacher)?);
    Ok([student.depth_at(1.0 / 2.0), teacher.depth_at(2.0 / 3.0)])
}

pub(crate) fn plan(config: &Config, geometry: &Geometry) -> Result<Plan, Error> {
    let [shallow, deep] = depths(geometry)?;
    let (width, hidden) = (geometry.student().width, config.projector_width);
    let teacher = geometry.network(Network::Teacher)?.width;
    let plan = Plan::new().tap(shallow).teacher(deep).t_range(config.range()?);
    Mlp::projector("").declare(plan, &[width, hidden, hidden, teacher])
}

pub(crate) fn loss(config: &Config, step: &Step) -> Result<Tensor, Error> {
    let mut rows = rows_inside(step.times(), config.range()?);
    if config.is(Mutant::MaskOffByOne) {
        rows.retain(|row| step.times()[*row as usize] < config.t_max as f32);
    }
    if rows.is_empty() {
        return Ok(step.zeros_per_sample());
    }
    let [shallow, deep] = depths(step.geometry())?;
    let [conditional, unconditional] = features(config, step, deep, &rows)?;
    let target = match config.mutant {
        Some(Mutant::ForgottenCoefficient) => &unconditional + conditional * config.scale - &unconditional,
        _ => feature_cfg(conditional, unconditional, config.scale),
    };
    let h = Mlp::projector("").forward(step, step.tap(shallow)?.gather(0, &rows))?;
    Ok(squared_error(h, target).scatter(0, &rows, step.batch()))
}

/// The teacher's features with the label and without it.
fn features(config: &Config, step: &Step, depth: u32, rows: &[u32]) -> Result<[Tensor; 2], Error> {
    let (count, twice) = (rows.len(), [rows, rows].concat());
    let own = if config.is(Mutant::LabelAfterDropout) {
        Condition::Dropped
    } else {
        Condition::Own
    };
    let conditions = [vec![own; count], vec![Condition::Null; count]].concat();
    let (x_t, t) = (step.x_t().gather(0, &twice), step.t().gather(0, &twice));
    let mut both = step.forward(Network::Teacher, x_t, t, &[depth], &twice, &conditions)?;
    let both = both.remove(0);
    Ok([both.clone().slice(0, 0..count), both.slice(0, count..2 * count)])
}
