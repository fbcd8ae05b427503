//! Speed-up: how much sooner each variant is as good as the baseline at its end.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::measured;
use super::metric::is_sound;
use crate::spent::Spent;
use crate::{SeedRun, SpeedUps};
use sextant_stats::statistics::{Curve, Direction, SpeedUp};

/// For each of the other variants: where it reaches the baseline's final validation loss of the same seed and stays there. None
/// for those of which a curve is empty, or has a value that is not a number.
pub fn speed_ups(entries: &[Entry], runs: &[SeedRun], baseline: &str, others: &[String]) -> BTreeMap<String, SpeedUps> {
    let of = |name: &String| {
        let speed_up = |spent: Spent| {
            let [variant, baseline] = [name, baseline].map(|name| curves(entries, runs, name, spent));
            Some(SpeedUp::new(&variant?, &baseline?, Direction::LowerIsBetter))
        };
        let speed_ups = SpeedUps {
            steps: speed_up(Spent::Steps)?,
            images: speed_up(Spent::Images),
            operations: speed_up(Spent::Operations),
            seconds: speed_up(Spent::Time)?,
        };
        Some((name.clone(), speed_ups))
    };
    others.iter().filter_map(of).collect()
}

/// The validation curves of a variant's finished runs, by seed. None where one has a value that is not finite: without it
/// the others would be of the lucky seeds; and where one was never evaluated.
fn curves(entries: &[Entry], runs: &[SeedRun], name: &str, spent: Spent) -> Option<BTreeMap<u64, Curve>> {
    let mut curves = BTreeMap::new();
    for entry in entries
        .iter()
        .filter(|entry| entry.variant == name && entry.result().is_some())
    {
        let run = runs.iter().find(|run| run.variant == name && run.seed == entry.seed)?;
        let pace = measured::pace(&entry.recipe, &run.outcome);
        let logged = entry.log.iter();
        // Of two lines of one step, the last counts.
        let points: BTreeMap<u64, f64> = logged
            .filter_map(|line| Some((line.step, *line.values.get("validation")?)))
            .collect();
        let points = points
            .into_iter()
            .map(|(step, loss)| Some((spent.at(&pace, step as f64)?, loss)));
        let points = points
            .collect::<Option<Vec<(f64, f64)>>>()
            .filter(|points| !points.is_empty())?;
        let curve = Curve::new(points)
            .inspect_err(|error| tracing::debug!("{name}, seed {}, validation loss: {error}", entry.seed))
            .ok()?;
        curves.insert(entry.seed, curve);
    }
    (!curves.is_empty() && is_sound(entries, name)).then_some(curves)
}

#[cfg(test)]
mod tests {
    use super::super::RunSet;
    use super::*;
    use crate::fixture::{Written, write};
    use sextant_stats::statistics::SpeedUpOutcome;

    fn ratio(speed_up: &SpeedUp) -> f64 {
        match speed_up.outcome {
            SpeedUpOutcome::Reached { ratio, .. } => ratio.value,
            other => panic!("{other:?}"),
        }
    }

    /// The speed-ups of a variant with these evaluations, against 1.0, 0.8, 0.6 at 100, 200, 300 steps.
    fn of(curve: &[(u64, f64)], earlier_steps: u64) -> BTreeMap<String, SpeedUps> {
        let folder = tempfile::tempdir().unwrap();
        let baseline = [(100, 1.0), (200, 0.8), (300, 0.6)];
        let none = Written::new(0, None).curve(&baseline);
        let other = Written::new(0, Some("repa")).curve(curve).earlier(earlier_steps, 1.0);
        write(&[("none", 0, none), ("repa", 0, other)], None, folder.path());
        let entries = RunSet::read(folder.path()).unwrap().entries;
        let others = ["repa".to_owned()];
        let runs = measured::runs(&["none".into(), "repa".into()], &[0], &entries, Some("none"));
        speed_ups(&entries, &runs, "none", &others)
    }

    #[test]
    fn earlier_phases_are_on_the_bill() {
        // At 0.6 halfway between 100 and 200 steps: twice as fast in steps.
        let all = of(&[(100, 0.8), (200, 0.4)], 0);
        assert!((ratio(&all["repa"].steps) - 2.0).abs() < 1e-9);
        assert!((ratio(all["repa"].images.as_ref().unwrap()) - 2.0).abs() < 1e-9);
        assert!(all["repa"].operations.is_none(), "they were not counted");
        // 50 steps before them: 300 over 200.
        let all = of(&[(100, 0.8), (200, 0.4)], 50);
        assert!((ratio(&all["repa"].steps) - 2.0).abs() < 1e-9);
        assert!((ratio(all["repa"].images.as_ref().unwrap()) - 1.5).abs() < 1e-9);
        assert!((ratio(&all["repa"].seconds) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_gap_is_no_curve_a_single_step_is_a_bound_and_what_is_not_reached_is_said() {
        let all = of(&[(100, 0.8), (200, 0.7), (300, 0.65)], 0);
        let not_reached = SpeedUpOutcome::NotReached { reached: 0, seeds: 1 };
        assert_eq!(all["repa"].steps.outcome, not_reached);
        assert!(of(&[(100, 0.8), (200, f64::NAN), (300, 0.1)], 0).is_empty());
        assert!(of(&[], 0).is_empty());
        let single = of(&[(1, 0.1)], 0);
        assert!(matches!(
            single["repa"].steps.outcome,
            SpeedUpOutcome::Reached { bound: true, .. }
        ));
    }
}
