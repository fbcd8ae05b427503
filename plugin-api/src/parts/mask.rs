//! Selection of the samples that a loss counts, by their time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Plan, Step, Tensor, TimeRange, rows_inside};

/// Ways in which a range of times becomes a weight on each sample's loss. The host takes the mean over the batch after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mask {
    /// 1 inside the range, 0 outside: the batch mean divides by all samples.
    #[default]
    Sample,
    /// The fraction inside, for every sample: what the released Self-Transcendence trainer computes, whose mask
    /// broadcasts over the batch. Couples the batch, and guides samples outside the range.
    Released,
    /// Like `Sample`, divided by the number inside rather than the batch. Couples the batch.
    Inside,
}

/// A [`Mask`] with its range: runs a loss on the rows that count, and puts the weights on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeMask {
    mask: Mask,
    range: TimeRange,
}

impl TimeMask {
    /// A mask of the times from `t_min` to `t_max`, both inclusive.
    ///
    /// # Errors
    /// If the ends are not finite, or in the wrong order.
    pub fn new(mask: Mask, t_min: f64, t_max: f64) -> Result<Self, Error> {
        let range = TimeRange::new(t_min, t_max)?;
        Ok(Self { mask, range })
    }

    /// Tells the host what the mask means for it.
    pub fn declare(&self, plan: Plan) -> Plan {
        match self.mask {
            Mask::Sample => plan.t_range(self.range),
            Mask::Inside => plan.t_range(self.range).batch_coupled(),
            Mask::Released => plan.batch_coupled(),
        }
    }

    /// The samples whose loss is needed: those inside; with `Released` all, if any is inside.
    pub fn rows(&self, times: &[f32]) -> Vec<u32> {
        let inside = rows_inside(times, self.range);
        match self.mask {
            Mask::Released if !inside.is_empty() => (0..times.len() as u32).collect(),
            _ => inside,
        }
    }

    /// The weight of each of [`Self::rows`], the same for all of them.
    pub fn weight(&self, times: &[f32]) -> f64 {
        let inside = rows_inside(times, self.range).len() as f64;
        match self.mask {
            Mask::Sample => 1.0,
            Mask::Released => inside / times.len() as f64,
            Mask::Inside if inside == 0.0 => 0.0,
            Mask::Inside => times.len() as f64 / inside,
        }
    }

    /// The masked loss `[B]`, where `loss` is given the [`Self::rows`] and answers the loss of each, `[R]`. It is not
    /// called when there are none: the loss is then 0.
    ///
    /// # Errors
    /// Those of `loss`.
    #[track_caller]
    pub fn masked(&self, step: &Step, loss: impl FnOnce(&[u32]) -> Result<Tensor, Error>) -> Result<Tensor, Error> {
        let rows = self.rows(step.times());
        if rows.is_empty() {
            return Ok(step.zeros_per_sample());
        }
        let weight = self.weight(step.times());
        let loss = loss(&rows)?;
        let loss = if weight == 1.0 { loss } else { loss * weight };
        Ok(loss.scatter(0, &rows, step.batch()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two of four inside [0.4, 0.7], one of them on its end.
    const TIMES: [f32; 4] = [0.1, 0.4, 0.9, 0.5];

    fn mask(mask: Mask) -> TimeMask {
        TimeMask::new(mask, 0.4, 0.7).unwrap()
    }

    #[test]
    fn sample_counts_those_inside_with_weight_one() {
        let mask = mask(Mask::Sample);
        assert_eq!((mask.rows(&TIMES), mask.weight(&TIMES)), (vec![1, 3], 1.0));
    }

    #[test]
    fn released_counts_all_with_the_fraction_inside() {
        let mask = mask(Mask::Released);
        assert_eq!((mask.rows(&TIMES), mask.weight(&TIMES)), (vec![0, 1, 2, 3], 0.5));
        assert_eq!((mask.rows(&[0.1, 0.9]), mask.weight(&[0.1, 0.9])), (vec![], 0.0));
    }

    #[test]
    fn inside_undoes_the_batch_mean() {
        let mask = mask(Mask::Inside);
        assert_eq!((mask.rows(&TIMES), mask.weight(&TIMES)), (vec![1, 3], 2.0));
        assert_eq!((mask.rows(&[0.1]), mask.weight(&[0.1])), (vec![], 0.0));
    }

    #[test]
    fn the_plan_learns_what_the_mask_means() {
        let declared = |kind| {
            let plan = mask(kind).declare(Plan::new());
            (plan.t_range.is_some(), plan.batch_coupled)
        };
        assert_eq!(declared(Mask::Sample), (true, false));
        assert_eq!(declared(Mask::Released), (false, true));
        assert_eq!(declared(Mask::Inside), (true, true));
    }

    #[test]
    fn masks_are_spelt_in_lower_case() {
        let mask: Mask = serde_json::from_str("\"released\"").unwrap();
        assert_eq!(mask, Mask::Released);
    }
}
