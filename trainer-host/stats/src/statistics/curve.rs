//! A score over training, and where it reaches a target.

use serde::Serialize;

use super::error::{StatisticsError, is_usable};
use super::verdict::Direction;

/// The evaluations of one run: at least one, x not negative and increasing, all numbers finite. x is steps, images,
/// operations or seconds, which the caller keeps apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Curve(Vec<(f64, f64)>);

/// Place where a curve reaches a target and stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// At this x, interpolated between the last evaluation that was worse than the target and the next.
    At(f64),
    /// At this x or before: the first evaluation was there already, and no later one was worse.
    AtOrBefore(f64),
    /// The last evaluation is worse than the target.
    NotReached,
}

impl Reach {
    /// The x, or the largest that it may be; none if not reached.
    pub fn x(self) -> Option<f64> {
        match self {
            Self::At(x) | Self::AtOrBefore(x) => Some(x),
            Self::NotReached => None,
        }
    }
}

impl Curve {
    /// The curve of these (x, score) pairs, in order.
    ///
    /// # Errors
    /// No pair; a NaN or infinity, with its place; an x that is negative or not above the one before.
    pub fn new(points: impl IntoIterator<Item = (f64, f64)>) -> Result<Self, StatisticsError> {
        let mut checked: Vec<(f64, f64)> = Vec::new();
        for (x, y) in points {
            let place = checked.len() + 1;
            if !is_usable(x) || !is_usable(y) {
                return Err(StatisticsError::CurveValue { place, x, y });
            }
            let before = checked.last().map(|(x, _)| *x);
            if before.map_or(x < 0.0, |before| x <= before) {
                let before = before.unwrap_or(0.0);
                return Err(StatisticsError::CurveOrder { place, x, before });
            }
            checked.push((x, y));
        }
        if checked.is_empty() {
            return Err(StatisticsError::EmptyCurve);
        }
        Ok(Self(checked))
    }

    /// x and score of the last evaluation.
    pub fn end(&self) -> (f64, f64) {
        self.0[self.0.len() - 1]
    }

    /// Finds where the curve becomes as good as `target` and stays so to its end, linearly interpolated. As good as the
    /// target is reached; a curve that gets there and becomes worse again has not reached it until it returns for good.
    pub fn reach(&self, target: f64, direction: Direction) -> Reach {
        let Some(last_worse) = self.0.iter().rposition(|(_, y)| direction.gain(*y, target) < 0.0) else {
            return Reach::AtOrBefore(self.0[0].0);
        };
        let Some((x_next, y_next)) = self.0.get(last_worse + 1) else {
            return Reach::NotReached;
        };
        let (x, y) = self.0[last_worse];
        let part = (target - y) / (y_next - y);
        Reach::At((x + part * (x_next - x)).min(*x_next))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Direction::{HigherIsBetter, LowerIsBetter};
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Curve {
        Curve::new(points.iter().copied()).unwrap()
    }

    #[test]
    fn a_target_is_reached_for_good_by_interpolation() {
        let falling: &[(f64, f64)] = &[(0.0, 10.0), (100.0, 6.0), (200.0, 2.0), (300.0, 1.0)];
        let touching: &[(f64, f64)] = &[(0.0, 10.0), (100.0, 6.0), (200.0, 6.0), (300.0, 6.0)];
        let dips: &[(f64, f64)] = &[(0.0, 10.0), (100.0, 4.0), (200.0, 8.0), (300.0, 4.0), (400.0, 3.0)];
        let point: &[(f64, f64)] = &[(50.0, 1.0)];
        for (points, target, wanted) in [
            (falling, 5.0, Reach::At(125.0)),
            (falling, 1.5, Reach::At(250.0)),
            (falling, 6.0, Reach::At(100.0)),
            (falling, 1.0, Reach::At(300.0)),
            (touching, 6.0, Reach::At(100.0)),
            (touching, 5.9, Reach::NotReached),
            (dips, 5.0, Reach::At(275.0)),
            (&dips[..3], 5.0, Reach::NotReached),
            (falling, 10.0, Reach::AtOrBefore(0.0)),
            (point, 1.0, Reach::AtOrBefore(50.0)),
            (point, 0.5, Reach::NotReached),
        ] {
            assert_eq!(
                curve(points).reach(target, LowerIsBetter),
                wanted,
                "{points:?} {target}"
            );
        }
        assert_eq!(curve(point).end(), (50.0, 1.0));
        assert_eq!(Reach::AtOrBefore(10.0).x(), Some(10.0));
    }

    #[test]
    fn bad_curves_name_the_place() {
        let error = Curve::new([(0.0, 1.0), (100.0, 0.5), (200.0, f64::NAN)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "evaluation 3 of the curve is x = 200, y = NaN, which cannot be computed with"
        );
        assert!(matches!(
            Curve::new([(0.0, 1.0), (f64::INFINITY, 0.5)]),
            Err(StatisticsError::CurveValue { place: 2, .. })
        ));
        assert_eq!(Curve::new([]), Err(StatisticsError::EmptyCurve));
        let order = |place, x, before| Err(StatisticsError::CurveOrder { place, x, before });
        assert_eq!(Curve::new([(5.0, 1.0), (5.0, 1.0)]), order(2, 5.0, 5.0));
        assert_eq!(Curve::new([(-1.0, 1.0)]), order(1, -1.0, 0.0));
    }

    proptest! {
        /// Against the definition: at the x found and from there on, the interpolated curve is as good as the target.
        #[test]
        fn reached_is_reached_for_good(ys in proptest::collection::vec(-5.0..5.0_f64, 1..12), target in -5.0..5.0_f64) {
            let points: Vec<_> = ys.iter().enumerate().map(|(i, y)| (10.0 * i as f64, *y)).collect();
            let curve = curve(&points);
            let mirrored = super::Curve::new(points.iter().map(|(x, y)| (*x, -y))).unwrap();
            let reach = curve.reach(target, LowerIsBetter);
            prop_assert_eq!(reach, mirrored.reach(-target, HigherIsBetter));
            match reach.x() {
                None => prop_assert!(curve.end().1 > target),
                Some(x) => {
                    prop_assert!(points.iter().all(|(at, y)| *at < x || *y <= target));
                    let worse_before = points.iter().rev().find(|(at, _)| *at < x).map(|(_, y)| *y > target);
                    prop_assert!(worse_before.unwrap_or(true));
                }
            }
        }
    }
}
