//! Scales and ticks.

use crate::number;

/// The largest magnitude that an axis tells apart; beyond it, differences of two values overflow.
const LARGEST: f64 = 1e300;

/// A linear scale with ticks at 1, 2, 2.5 or 5 times a power of ten.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Value at the start of the axis.
    pub low: f64,
    /// Value at its end; above `low`.
    pub high: f64,
    /// The ticks, rising, all within the axis.
    pub ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// An axis that begins and ends on ticks and covers all finite values; 0 to 1 when there is none.
    pub fn covering(values: impl IntoIterator<Item = f64>, target: usize) -> Self {
        let (low, high) = spread(extent(values));
        let step = nice_step(high - low, target);
        Self::new((low / step).floor() * step, (high / step).ceil() * step, step)
    }

    /// An axis from the smallest to the largest finite value, with ticks inside.
    pub fn within(values: impl IntoIterator<Item = f64>, target: usize) -> Self {
        let (low, high) = spread(extent(values));
        Self::new(low, high, nice_step(high - low, target))
    }

    fn new(low: f64, high: f64, step: f64) -> Self {
        // A little slack, since the ends are products that round.
        let (first, last) = ((low / step - 1e-6).ceil(), (high / step + 1e-6).floor());
        let count = (last - first).clamp(0.0, 32.0) as u32;
        // Adding 0 turns -0 into 0.
        let ticks = (0..=count)
            .map(|i| ((first + f64::from(i)) * step).clamp(low, high) + 0.0)
            .collect();
        Self { low, high, ticks, step }
    }

    /// The place of a finite value along the axis: 0 at its start, 1 at its end.
    pub fn fraction(&self, value: f64) -> f64 {
        ((value.clamp(-LARGEST, LARGEST) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// A tick's label, with just the decimals that tell ticks apart.
    pub fn label(&self, tick: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if largest >= 1e7 || self.step < 1e-5 {
            return if tick == 0.0 {
                "0".to_string()
            } else {
                format!("{tick:.2e}")
            };
        }
        let decimals = (0..8).find(|&d| {
            let scaled = self.step * 10f64.powi(d);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        });
        number::fixed(tick, decimals.unwrap_or(8) as usize)
    }
}

/// The smallest and largest finite value, if there is one.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|v| v.is_finite())
        .fold(None, |extent, value| {
            let (low, high) = extent.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        })
}

/// Ends far enough apart to put ticks between.
fn spread(extent: Option<(f64, f64)>) -> (f64, f64) {
    let Some((low, high)) = extent else {
        return (0.0, 1.0);
    };
    let (low, high) = (low.clamp(-LARGEST, LARGEST), high.clamp(-LARGEST, LARGEST));
    let largest = low.abs().max(high.abs());
    if largest < 1e-290 {
        (-0.5, 0.5)
    } else if high - low <= largest * 1e-9 {
        (low - largest * 0.05, high + largest * 0.05)
    } else {
        (low, high)
    }
}

fn nice_step(span: f64, target: usize) -> f64 {
    let raw = span / target.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|factor| factor * power >= raw * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_data() {
        let axis = Axis::covering([0.2561, 1.13, f64::NAN, 0.4], 5);
        assert_eq!(labels(&axis), ["0.2", "0.4", "0.6", "0.8", "1.0", "1.2"]);
        assert!(axis.low <= 0.2561 && axis.high >= 1.13);
        let axis = Axis::covering([-0.61, 0.0], 5);
        assert_eq!(labels(&axis), ["-0.8", "-0.6", "-0.4", "-0.2", "0.0"]);
    }

    #[test]
    fn an_axis_within_its_data_keeps_their_ends() {
        let axis = Axis::within([1.0, 1600.0], 6);
        assert_eq!((axis.low, axis.high), (1.0, 1600.0));
        assert_eq!(labels(&axis), ["500", "1000", "1500"]);
    }

    #[test]
    fn one_value_and_none_still_give_an_axis() {
        let axis = Axis::covering([0.25], 5);
        assert!(axis.low < 0.25 && axis.high > 0.25);
        let axis = Axis::covering([f64::INFINITY], 5);
        assert_eq!((axis.low, axis.high), (0.0, 1.0));
    }

    fn any_number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            -10.0..10.0,
            Just(0.0),
            Just(f64::MAX),
            Just(f64::MIN),
            Just(5e-324),
            Just(f64::NAN)
        ]
    }

    proptest! {
        #[test]
        fn no_input_breaks_an_axis(values in prop::collection::vec(any_number(), 0..12), target in 0usize..12) {
            for axis in [Axis::covering(values.clone(), target), Axis::within(values.clone(), target)] {
                prop_assert!(axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high, "{axis:?}");
                prop_assert!(axis.ticks.len() <= 33);
                prop_assert!(axis.ticks.iter().all(|t| (axis.low..=axis.high).contains(t)), "{axis:?}");
                prop_assert!(axis.ticks.windows(2).all(|w| w[0] < w[1]), "{axis:?}");
                prop_assert!(axis.ticks.iter().all(|&t| !axis.label(t).is_empty()));
                for value in values.iter().filter(|v| v.is_finite()) {
                    prop_assert!((0.0..=1.0).contains(&axis.fraction(*value)));
                }
            }
            let axis = Axis::covering(values.clone(), target);
            for value in values.into_iter().filter(|v| v.abs() < LARGEST) {
                let slack = (axis.high - axis.low) * 1e-9;
                prop_assert!(axis.low - slack <= value && value <= axis.high + slack, "{value} {axis:?}");
            }
        }
    }
}
