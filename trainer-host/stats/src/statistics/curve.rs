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

    /// Its evaluations.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.0
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
    fn monotone_curves_are_interpolated() {
        let falling = curve(&[(0.0, 10.0), (100.0, 6.0), (200.0, 2.0), (300.0, 1.0)]);
        assert_eq!(falling.reach(5.0, LowerIsBetter), Reach::At(125.0));
        assert_eq!(falling.reach(1.5, LowerIsBetter), Reach::At(250.0));
        let rising = curve(&[(0.0, 0.1), (100.0, 0.2), (200.0, 0.6)]);
        let Reach::At(x) = rising.reach(0.3, HigherIsBetter) else {
            panic!("not reached");
        };
        assert!((x - 125.0).abs() < 1e-9);
    }

    #[test]
    fn exactly_at_an_evaluation() {
        let falling = curve(&[(0.0, 10.0), (100.0, 6.0), (200.0, 2.0)]);
        assert_eq!(falling.reach(6.0, LowerIsBetter), Reach::At(100.0));
        assert_eq!(falling.reach(2.0, LowerIsBetter), Reach::At(200.0));
        let touching = curve(&[(0.0, 10.0), (100.0, 6.0), (200.0, 6.0), (300.0, 6.0)]);
        assert_eq!(touching.reach(6.0, LowerIsBetter), Reach::At(100.0));
    }

    #[test]
    fn a_dip_that_returns_does_not_count() {
        let dips = curve(&[(0.0, 10.0), (100.0, 4.0), (200.0, 8.0), (300.0, 4.0), (400.0, 3.0)]);
        assert_eq!(dips.reach(5.0, LowerIsBetter), Reach::At(275.0));
        let leaves = curve(&[(0.0, 10.0), (100.0, 4.0), (200.0, 8.0)]);
        assert_eq!(leaves.reach(5.0, LowerIsBetter), Reach::NotReached);
    }

    #[test]
    fn never_and_from_the_start() {
        let falling = curve(&[(10.0, 10.0), (100.0, 6.0)]);
        assert_eq!(falling.reach(5.9, LowerIsBetter), Reach::NotReached);
        assert_eq!(falling.reach(10.0, LowerIsBetter), Reach::AtOrBefore(10.0));
        assert_eq!(falling.reach(11.0, LowerIsBetter).x(), Some(10.0));
    }

    #[test]
    fn a_single_point_is_a_curve() {
        let point = curve(&[(50.0, 1.0)]);
        assert_eq!(point.end(), (50.0, 1.0));
        assert_eq!(point.reach(1.0, LowerIsBetter), Reach::AtOrBefore(50.0));
        assert_eq!(point.reach(0.5, LowerIsBetter), Reach::NotReached);
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

        /// A better target takes no less time.
        #[test]
        fn a_harder_target_is_reached_later(
            ys in proptest::collection::vec(-5.0..5.0_f64, 1..12), target in -5.0..5.0_f64, harder in 0.0..2.0_f64,
        ) {
            let curve = Curve::new(ys.iter().enumerate().map(|(i, y)| (i as f64, *y))).unwrap();
            let x = |target| curve.reach(target, LowerIsBetter).x().unwrap_or(f64::INFINITY);
            prop_assert!(x(target - harder) >= x(target) - 1e-9);
        }
    }
}
