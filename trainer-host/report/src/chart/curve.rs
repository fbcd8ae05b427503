//! Curves made ready to be drawn: seeds side by side, in order, thinned, smoothed, and with words for what cannot be drawn.

use crate::content::Point;
use crate::number;

/// One variant's curve with each seed, by rising step, at most so many values in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The steps at which it has values.
    pub steps: Vec<u64>,
    /// The values with each seed, one a step. Where one is not finite, all are NaN: a mean of the others would be of the lucky seeds.
    pub runs: Vec<Vec<f64>>,
    /// The number of logged steps.
    logged: usize,
    /// The number of those at which a value is not finite.
    gaps: usize,
    /// The first of them.
    first_gap: Option<u64>,
    /// Seeds that ended before the others, and where.
    left_out: Vec<(u64, u64)>,
}

impl Curve {
    /// The curve of what was logged with each seed. Of several points at one step the last counts (a resumed run logs some twice). A seed whose
    /// points end before those of others is left out, so that a mean is of the same seeds at every step. Keeps at most `most` values.
    pub fn new(logged: &[(u64, &[Point])], most: usize) -> Self {
        let ordered: Vec<(u64, Vec<Point>)> = logged
            .iter()
            .filter(|(_, points)| !points.is_empty())
            .map(|(seed, points)| (*seed, ordered(points)))
            .collect();
        let end = |points: &[Point]| points.last().map_or(0, |point| point.step);
        let last = ordered.iter().map(|(_, points)| end(points)).max().unwrap_or(0);
        let (kept, short): (Vec<_>, Vec<_>) = ordered.into_iter().partition(|(_, points)| end(points) == last);
        let mut steps: Vec<u64> = kept
            .first()
            .map_or_else(Vec::new, |(_, points)| points.iter().map(|p| p.step).collect());
        steps.retain(|step| kept.iter().all(|(_, points)| at(points, *step).is_some()));
        let mut runs: Vec<Vec<f64>> = kept
            .iter()
            .map(|(_, points)| steps.iter().filter_map(|step| at(points, *step)).collect())
            .collect();
        let gaps: Vec<usize> = (0..steps.len())
            .filter(|&i| runs.iter().any(|run| !run[i].is_finite()))
            .collect();
        for &gap in &gaps {
            runs.iter_mut().for_each(|run| run[gap] = f64::NAN);
        }
        let mut curve = Self {
            logged: steps.len(),
            gaps: gaps.len(),
            first_gap: gaps.first().map(|&i| steps[i]),
            left_out: short.iter().map(|(seed, points)| (*seed, end(points))).collect(),
            steps,
            runs,
        };
        curve.thin(most / curve.runs.len().max(1));
        curve
    }

    /// The mean over seeds.
    pub fn mean(&self) -> Vec<[f64; 2]> {
        let mean = |i: usize| self.runs.iter().map(|run| run[i]).sum::<f64>() / self.runs.len() as f64;
        self.each(mean)
    }

    /// The least and the largest value over seeds at each step; nothing for a single seed.
    pub fn band(&self) -> Vec<[f64; 3]> {
        if self.runs.len() < 2 {
            return Vec::new();
        }
        let values = |i: usize| self.runs.iter().map(move |run| run[i]);
        let low = self.each(|i| values(i).fold(f64::NAN, f64::min));
        let high = self.each(|i| values(i).fold(f64::NAN, f64::max));
        low.iter()
            .zip(&high)
            .map(|(low, high)| [low[0], low[1], high[1]])
            .collect()
    }

    fn each(&self, value: impl Fn(usize) -> f64) -> Vec<[f64; 2]> {
        let steps = self.steps.iter().enumerate();
        steps.map(|(i, step)| [*step as f64, value(i)]).collect()
    }

    /// Remarks on what a reader cannot see, without their subject: `has one point only`.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        match self.logged {
            0 => remarks.push("has no points".to_string()),
            1 => remarks.push("has one point only".to_string()),
            _ => {}
        }
        if let Some(step) = self.first_gap {
            let step = number::count(step);
            remarks.push(match self.gaps {
                gaps if gaps == self.logged => "has no finite value".to_string(),
                1 => format!("has a value that is not finite, at step {step}: a gap in the line"),
                gaps => format!("has {gaps} values that are not finite, the first at step {step}: gaps in the line"),
            });
        }
        for (seed, end) in &self.left_out {
            remarks.push(format!(
                "has no values with seed {seed} after step {}: that seed is left out",
                number::count(*end)
            ));
        }
        remarks
    }

    /// The same curve as a moving average that forgets with a time constant of `steps`, seed by seed; gaps stay gaps and do not
    /// count.
    pub fn smoothed(&self, steps: f64) -> Self {
        let mut smooth = self.clone();
        if steps > 0.0 {
            smooth.runs.iter_mut().for_each(|run| average(&self.steps, run, steps));
        }
        smooth
    }

    /// Keeps at most `most` steps: of every stretch the mean's extremes and its first gap, and the curve's two ends.
    fn thin(&mut self, most: usize) {
        let count = self.steps.len();
        if count <= most {
            return;
        }
        let mean = self.mean();
        let stretch = count.div_ceil((most.max(5) - 2) / 3);
        let mut kept = vec![0, count - 1];
        for start in (0..count).step_by(stretch) {
            let indices = start..count.min(start + stretch);
            let by_value = |a: &usize, b: &usize| mean[*a][1].total_cmp(&mean[*b][1]);
            let finite = || indices.clone().filter(|&i| mean[i][1].is_finite());
            kept.extend(finite().min_by(by_value));
            kept.extend(finite().max_by(by_value));
            kept.extend(indices.clone().find(|&i| !mean[i][1].is_finite()));
        }
        kept.sort_unstable();
        kept.dedup();
        self.steps = kept.iter().map(|&i| self.steps[i]).collect();
        for run in &mut self.runs {
            *run = kept.iter().map(|&i| run[i]).collect();
        }
    }
}

/// By rising step, of several at one step the last.
fn ordered(points: &[Point]) -> Vec<Point> {
    let mut points = points.to_vec();
    points.sort_by_key(|point| point.step);
    points.reverse();
    points.dedup_by_key(|point| point.step);
    points.reverse();
    points
}

fn at(points: &[Point], step: u64) -> Option<f64> {
    let found = points.binary_search_by_key(&step, |point| point.step);
    found.ok().map(|i| points[i].value)
}

fn average(steps: &[u64], values: &mut [f64], constant: f64) {
    let (mut sum, mut weight, mut before) = (0.0, 0.0, None);
    for (step, value) in steps.iter().zip(values) {
        if !value.is_finite() {
            continue;
        }
        let keep = before.map_or(0.0, |before: u64| (-((step - before) as f64) / constant).exp());
        before = Some(*step);
        sum = sum * keep + *value;
        weight = weight * keep + 1.0;
        *value = sum / weight;
    }
}

/// The stretches of points between those with a value that is not finite.
pub fn segments<const N: usize>(points: &[[f64; N]]) -> impl Iterator<Item = &[[f64; N]]> {
    points
        .split(|point| point.iter().any(|value| !value.is_finite()))
        .filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        (1..).zip(values).map(|(step, &value)| Point { step, value }).collect()
    }

    fn single(values: &[f64]) -> Curve {
        Curve::new(&[(0, &points(values))], 2000)
    }

    #[test]
    fn a_long_curve_keeps_its_extremes_its_gaps_and_its_ends() {
        let mut values: Vec<f64> = (0..100_000).map(|i| f64::from(i % 97)).collect();
        values[31_415] = 1e6;
        values[27_182] = -1e6;
        values[50_000] = f64::NAN;
        let curve = single(&values);
        assert!(curve.steps.len() <= 2000);
        for step in [1, 31_416, 27_183, 50_001, 100_000] {
            assert!(curve.steps.contains(&step), "step {step} is gone");
        }
        assert!(curve.steps.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(curve.remarks().len(), 1);
        let logged = points(&values);
        let seeds = Curve::new(&[(0, &logged), (1, &logged), (2, &logged)], 2000);
        assert!(seeds.steps.len() * 3 <= 2000, "{} steps", seeds.steps.len());
    }

    #[test]
    fn gaps_split_a_curve_and_are_said() {
        let curve = single(&[1.0, 2.0, f64::NAN, f64::INFINITY, 3.0]);
        let mean = curve.mean();
        let lengths: Vec<usize> = segments(&mean).map(<[_]>::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(
            curve.remarks(),
            ["has 2 values that are not finite, the first at step 3: gaps in the line"]
        );
    }

    #[test]
    fn empty_and_one_point_curves_are_said() {
        assert_eq!(Curve::new(&[], 2000).remarks(), ["has no points"]);
        assert_eq!(single(&[1.0]).remarks(), ["has one point only"]);
    }

    #[test]
    fn of_points_at_one_step_the_last_counts() {
        let logged = [(5, 1.0), (3, 2.0), (5, 4.0)].map(|(step, value)| Point { step, value });
        let curve = Curve::new(&[(0, &logged)], 2000);
        assert_eq!(curve.mean(), [[3.0, 2.0], [5.0, 4.0]]);
    }

    #[test]
    fn seeds_have_a_mean_and_a_band_and_one_that_diverged_is_a_gap_of_all() {
        let (one, other) = (points(&[1.0, 2.0, 3.0]), points(&[3.0, f64::NAN, 7.0]));
        let curve = Curve::new(&[(4, &one), (5, &other)], 2000);
        assert_eq!((curve.mean()[0], curve.mean()[2]), ([1.0, 2.0], [3.0, 5.0]));
        assert_eq!((curve.band()[0], curve.band()[2]), ([1.0, 1.0, 3.0], [3.0, 3.0, 7.0]));
        assert!(curve.mean()[1][1].is_nan() && curve.band()[1][1].is_nan());
        assert!(single(&[1.0, 2.0]).band().is_empty());
    }

    #[test]
    fn a_seed_that_ended_early_is_left_out_and_named() {
        let (whole, short) = (points(&[1.0, 2.0, 3.0]), points(&[9.0, 9.0]));
        let curve = Curve::new(&[(4, &whole), (7, &short), (8, &[])], 2000);
        assert_eq!(curve.runs, [[1.0, 2.0, 3.0]]);
        assert_eq!(
            curve.remarks(),
            ["has no values with seed 7 after step 2: that seed is left out"]
        );
    }

    #[test]
    fn smoothing_averages_each_seed_and_leaves_a_constant_alone() {
        let smooth = single(&[2.0; 9]).smoothed(3.0);
        assert!(smooth.runs[0].iter().all(|value| (value - 2.0).abs() < 1e-12));
        let noisy = single(&[0.0, 1.0, 0.0, f64::NAN, 1.0]);
        let smooth = noisy.smoothed(1e9);
        assert!((smooth.runs[0][4] - 0.5).abs() < 1e-6 && smooth.runs[0][3].is_nan());
        assert_eq!(noisy.smoothed(0.0).runs[0][..3], noisy.runs[0][..3]);
        let (up, down) = (points(&[0.0, 2.0]), points(&[2.0, 0.0]));
        let band = Curve::new(&[(0, &up), (1, &down)], 2000).smoothed(1e9).band();
        assert!(
            (band[1][2] - band[1][1]).abs() < 1e-6,
            "the band is of smooth curves: {band:?}"
        );
    }
}
