//! The declared range of times.

use crate::violation::{broken, discard};
use crate::{Case, Evidence, Harness, Input, Invariant, PluginUnderTest, Violation};

/// See its sentence.
pub const T_RANGE: Invariant = Invariant::new(
    "t-range",
    "Outside the declared range of times, both ends of which belong to it, a sample's loss and its gradient are \
     exactly 0, and no other network is run on it; at an end the loss is what it is just inside.",
    examine,
)
.asked_where(applies);

fn applies(plugin: &PluginUnderTest) -> Result<(), Violation> {
    match plugin.plan().t_range {
        Some(_) => Ok(()),
        None => discard("the plan declares no range of times"),
    }
}

fn examine(plugin: &PluginUnderTest, case: &Case, _: &mut Evidence) -> Result<(), Violation> {
    let mut harness = Harness::new(plugin, case)?;
    let Some(range) = harness.plan().t_range else {
        return Ok(());
    };
    // Times are float32, and are compared as such.
    let [min, max] = range.map(|end| end as f32);
    let outside = |t: f32| t < min || t > max;
    let outcome = harness.differentiate()?;
    for (i, sample) in case.samples.iter().enumerate().filter(|(_, sample)| outside(sample.t)) {
        let of = format!("sample {i}, whose t = {} lies outside [{min}, {max}],", sample.t);
        if outcome.loss[i] != 0.0 {
            return broken(format!("{of} has the loss {}", outcome.loss[i]));
        }
        let rows = outcome
            .gradients
            .iter()
            .filter(|(input, _)| !matches!(input, Input::Parameter(_)));
        for (input, gradient) in rows {
            let width = gradient.len() / case.samples.len();
            if gradient[i * width..(i + 1) * width].iter().any(|value| *value != 0.0) {
                return broken(format!("{of} has a gradient with respect to {input}"));
            }
        }
        if let Some(forward) = outcome
            .trace
            .forwards
            .iter()
            .find(|forward| forward.samples.contains(&i))
        {
            return broken(format!("the {:?} network is run on {of} for nothing", forward.network));
        }
    }
    ends(plugin, case, [(min, min.next_up()), (max, max.next_down())])
}

/// A loss that vanishes smoothly at an end is next to 0 just inside; one that jumps has lost its end.
fn ends(plugin: &PluginUnderTest, case: &Case, ends: [(f32, f32); 2]) -> Result<(), Violation> {
    let [(min, _), (max, _)] = ends;
    let inside = |t: f32| t >= min && t <= max && (0.0..=1.0).contains(&t);
    // One end a case is enough, and half the price.
    let (end, within) = ends[case.numbers as usize % 2];
    if !inside(end) || !inside(within) {
        return Ok(());
    }
    let loss = |t: f32| Ok::<_, Violation>(Harness::new(plugin, &case.at_time(t))?.guide()?.loss);
    let (at, near) = (loss(end)?, loss(within)?);
    for (i, (at, near)) in at.iter().zip(&near).enumerate() {
        if *at == 0.0 && near.abs() > 1e-3 {
            return broken(format!(
                "sample {i} has the loss 0 at t = {end}, an end of the declared range, which belongs to it, but {near} \
                 at t = {within}"
            ));
        }
    }
    Ok(())
}
