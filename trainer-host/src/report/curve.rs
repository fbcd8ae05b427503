//! Curves made ready to be drawn: in order, thinned, smoothed, and with words for what cannot be drawn.

use super::content::Point;
use super::number;

/// The most points that a curve keeps on the page.
pub const MOST_POINTS: usize = 2000;

/// One variant's curve, by rising step, at most [`MOST_POINTS`] long.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The points that are drawn. A value that is not finite is a gap.
    pub points: Vec<Point>,
    /// How many were logged.
    logged: usize,
    /// How many of those are not finite.
    gaps: usize,
    /// The first of them.
    first_gap: Option<u64>,
}

impl Curve {
    /// Orders the points, keeps the last of several at one step (a resumed run logs some twice), and thins the rest.
    pub fn new(logged: &[Point]) -> Self {
        let mut points = logged.to_vec();
        points.sort_by_key(|point| point.step);
        points.reverse();
        points.dedup_by_key(|point| point.step);
        points.reverse();
        let mut gaps = points.iter().filter(|point| !point.value.is_finite());
        let first_gap = gaps.next().map(|point| point.step);
        let gaps = gaps.count() + usize::from(first_gap.is_some());
        Self {
            logged: points.len(),
            gaps,
            first_gap,
            points: thin(points, MOST_POINTS),
        }
    }

    /// What a reader should know about this curve and cannot see, without its subject: `has one point only`.
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
        if self.points.len() < self.logged {
            let (kept, logged) = (
                number::count(self.points.len() as u64),
                number::count(self.logged as u64),
            );
            remarks.push(format!("shows {kept} of its {logged} points, the extremes among them"));
        }
        remarks
    }

    /// The same curve as a moving average that forgets with a time constant of `steps`; gaps stay gaps and do not
    /// count. `chart.js` computes the same.
    pub fn smoothed(&self, steps: f64) -> Vec<Point> {
        let (mut sum, mut weight, mut before) = (0.0, 0.0, None);
        let smooth = |point: &Point| {
            if !point.value.is_finite() {
                return *point;
            }
            let keep = before.map_or(0.0, |before: u64| (-((point.step - before) as f64) / steps).exp());
            before = Some(point.step);
            sum = sum * keep + point.value;
            weight = weight * keep + 1.0;
            Point {
                step: point.step,
                value: sum / weight,
            }
        };
        if steps > 0.0 {
            self.points.iter().map(smooth).collect()
        } else {
            self.points.clone()
        }
    }
}

/// The stretches of finite points between gaps.
pub fn segments(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points
        .split(|point| !point.value.is_finite())
        .filter(|segment| !segment.is_empty())
}

/// At most `most` of the points: of every stretch its extremes and its first gap, and the curve's two ends.
fn thin(points: Vec<Point>, most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points;
    }
    let stretch = points.len().div_ceil((most - 2) / 3);
    let mut kept = vec![0, points.len() - 1];
    for start in (0..points.len()).step_by(stretch) {
        let indices = start..points.len().min(start + stretch);
        let by_value = |a: &usize, b: &usize| points[*a].value.total_cmp(&points[*b].value);
        let finite = || indices.clone().filter(|&i| points[i].value.is_finite());
        kept.extend(finite().min_by(by_value));
        kept.extend(finite().max_by(by_value));
        kept.extend(indices.clone().find(|&i| !points[i].value.is_finite()));
    }
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|i| points[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        (1..).zip(values).map(|(step, &value)| Point { step, value }).collect()
    }

    #[test]
    fn a_long_curve_keeps_its_extremes_its_gaps_and_its_ends() {
        let mut values: Vec<f64> = (0..100_000).map(|i| f64::from(i % 97)).collect();
        values[31_415] = 1e6;
        values[27_182] = -1e6;
        values[50_000] = f64::NAN;
        let curve = Curve::new(&points(&values));
        assert!(curve.points.len() <= MOST_POINTS);
        for step in [1, 31_416, 27_183, 50_001, 100_000] {
            assert!(
                curve.points.iter().any(|point| point.step == step),
                "step {step} is gone"
            );
        }
        assert!(curve.points.windows(2).all(|pair| pair[0].step < pair[1].step));
        assert_eq!(curve.remarks().len(), 2);
    }

    #[test]
    fn gaps_split_a_curve_and_are_said() {
        let curve = Curve::new(&points(&[1.0, 2.0, f64::NAN, f64::INFINITY, 3.0]));
        let lengths: Vec<usize> = segments(&curve.points).map(<[Point]>::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(
            curve.remarks(),
            ["has 2 values that are not finite, the first at step 3: gaps in the line"]
        );
    }

    #[test]
    fn empty_and_one_point_curves_are_said() {
        assert_eq!(Curve::new(&[]).remarks(), ["has no points"]);
        assert_eq!(Curve::new(&points(&[1.0])).remarks(), ["has one point only"]);
    }

    #[test]
    fn of_points_at_one_step_the_last_counts() {
        let logged = [(5, 1.0), (3, 2.0), (5, 4.0)].map(|(step, value)| Point { step, value });
        assert_eq!(
            Curve::new(&logged).points,
            [Point { step: 3, value: 2.0 }, Point { step: 5, value: 4.0 }]
        );
    }

    #[test]
    fn smoothing_averages_and_leaves_a_constant_alone() {
        let constant = Curve::new(&points(&[2.0; 9]));
        assert!(
            constant
                .smoothed(3.0)
                .iter()
                .all(|point| (point.value - 2.0).abs() < 1e-12)
        );
        let noisy = Curve::new(&points(&[0.0, 1.0, 0.0, f64::NAN, 1.0]));
        let smooth = noisy.smoothed(1e9);
        assert!((smooth[4].value - 0.5).abs() < 1e-6);
        assert!(smooth[3].value.is_nan());
        assert_eq!(noisy.smoothed(0.0)[..3], noisy.points[..3]);
    }
}
