//! Sources that never guide, or not as they were meant to.

use sextant_guidance::SourcePlan;
use sextant_recipe::{DiffusionRecipe, OptimiserRecipe, Phase, SourceConfig, TimeSampling};

use super::Warning;

/// Steps of a phase of `steps` in which a source is called.
pub fn steps_on(source: &SourceConfig, steps: u64) -> u64 {
    let end = source.stop_step.unwrap_or(steps).min(steps);
    match source.coefficient() {
        0.0 => 0,
        _ => end.saturating_sub(source.start_step),
    }
}

/// A source in its phase.
pub struct Guiding<'a> {
    /// Its place in the recipe.
    pub key: String,
    /// Its name.
    pub name: &'a str,
    /// Its schedule.
    pub source: &'a SourceConfig,
    /// What it declared.
    pub plan: &'a SourcePlan,
    /// Steps in which it is called.
    pub steps: u64,
}

impl Guiding<'_> {
    /// The reason why it never guides; else whatever is odd about how it does.
    pub fn warnings(&self, phase: &Phase, optimiser: &OptimiserRecipe, diffusion: &DiffusionRecipe) -> Vec<Warning> {
        let (key, name) = (self.key.clone(), self.name.to_owned());
        if self.source.coefficient() == 0.0 {
            return vec![Warning::NoCoefficient { key, name }];
        }
        if self.steps == 0 {
            return vec![Warning::StartsTooLate {
                key,
                name,
                start: self.source.start_step,
                steps: phase.steps,
            }];
        }
        let mut warnings = Vec::new();
        let samples = self.steps as f64 * optimiser.batch as f64;
        if let Some(range) = self.plan.t_range
            && share_of_times(diffusion, range) * samples < 1.0
        {
            warnings.push(Warning::NoTime {
                key: key.clone(),
                name: name.clone(),
                range,
                samples,
            });
        }
        if self.source.warmup_steps > self.steps {
            warnings.push(Warning::CoefficientNotReached {
                key: key.clone(),
                name: name.clone(),
                warmup: self.source.warmup_steps,
                steps: self.steps,
            });
        }
        let end = self.source.start_step + self.steps;
        if let Some(start) = self.source.decay_start.filter(|start| *start >= end) {
            warnings.push(Warning::NeverDecays {
                key: key.clone(),
                name: name.clone(),
                start,
                end,
            });
        }
        if self.plan.batch_coupled && optimiser.batch == optimiser.accumulation {
            warnings.push(Warning::OneSample {
                key,
                name,
                batch: optimiser.batch,
            });
        }
        warnings
    }
}

/// Probability that a training time lies in `range`.
fn share_of_times(diffusion: &DiffusionRecipe, [low, high]: [f64; 2]) -> f64 {
    let (low, high) = (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0));
    match diffusion.time {
        TimeSampling::Uniform => high - low,
        TimeSampling::LogNormal => {
            // The logarithm of noise over data is standard normal.
            let [low, high] = [low, high].map(|t| {
                let at = diffusion.path.coefficients(t);
                (at.sigma / at.alpha).ln().clamp(-8.0, 8.0)
            });
            let cells = 512;
            let width = (high - low) / f64::from(cells);
            let density = |i| (-0.5 * (low + (f64::from(i) + 0.5) * width).powi(2)).exp();
            (0..cells).map(density).sum::<f64>() * width / std::f64::consts::TAU.sqrt()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use sextant_recipe::Recipe;

    #[test]
    fn guidance_that_can_never_act_is_named() {
        type Change = fn(&mut Recipe, &mut [SourcePlan; 2]);
        let cases: [(&str, Change); 7] = [
            ("phases.0.guidance.0.coefficient is 0", |r, _| {
                r.phases[0].guidance[0].coefficient = Some(0.0);
            }),
            (
                "phases.0.guidance.0.start_step is 100, and the phase has 100 steps",
                |r, _| {
                    r.phases[0].guidance[0].start_step = 100;
                },
            ),
            ("times from 0.5 to 0.5 alone", |_, p| p[0].t_range = Some([0.5, 0.5])),
            ("times from 1 to 2 alone", |_, p| p[0].t_range = Some([1.0, 2.0])),
            ("times from 0.999 to 1 alone", |r, p| {
                r.diffusion.time = TimeSampling::LogNormal;
                p[0].t_range = Some([0.999, 1.0]);
            }),
            ("phases.0.guidance.0.warmup_steps is 51", |r, _| {
                r.phases[0].guidance[0].stop_step = Some(50);
                r.phases[0].guidance[0].warmup_steps = 51;
            }),
            ("phases.0.guidance.0.decay_start is 50", |r, _| {
                r.phases[0].guidance[0].stop_step = Some(50);
                (r.phases[0].guidance[0].decay_start, r.phases[0].guidance[0].decay_steps) = (Some(50), Some(10.0));
            }),
        ];
        for (words, change) in cases {
            let warning = one(change);
            assert!(warning.contains(words), "{words}: {warning}");
        }
    }

    #[test]
    fn a_source_that_is_off_needs_no_teacher() {
        let (mut recipe, plans) = (recipe(), plans());
        recipe.phases[1].guidance[0].coefficient = Some(0.0);
        let found = of(&recipe, &plans);
        assert!(
            matches!(found[..], [Warning::NoCoefficient { .. }, Warning::IdleTeacher { .. }]),
            "{found:?}"
        );
    }

    #[test]
    fn one_sample_has_nothing_to_be_compared_with() {
        for (batch, accumulation) in [(1, 1), (4, 4)] {
            let warning = one(|r, p| {
                (r.optimiser.batch, r.optimiser.accumulation) = (batch, accumulation);
                p[0].batch_coupled = true;
            });
            assert!(warning.contains("at least two"), "{warning}");
        }
        let mut plans = plans();
        plans[0].batch_coupled = true;
        assert_eq!(of(&recipe(), &plans), []);
    }

    #[test]
    fn times_are_as_likely_as_they_are_drawn() {
        let mut diffusion = DiffusionRecipe::default();
        assert!((share_of_times(&diffusion, [0.4, 0.7]) - 0.3).abs() < 1e-12);
        assert_eq!(share_of_times(&diffusion, [-1.0, 2.0]), 1.0);
        diffusion.time = TimeSampling::LogNormal;
        for path in [sextant_recipe::Path::Linear, sextant_recipe::Path::Cosine] {
            diffusion.path = path;
            assert!((share_of_times(&diffusion, [0.0, 1.0]) - 1.0).abs() < 1e-3);
            assert!((share_of_times(&diffusion, [0.0, 0.5]) - 0.5).abs() < 1e-3);
        }
    }
}
