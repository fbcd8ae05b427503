//! Settings of the optimiser with which little is trained, or averages that say little of the training.

use sextant_recipe::{Init, LrSchedule, OptimiserRecipe, Phase, Recipe, Weights};

use super::Warning;
use crate::schedule::ema_decay;

/// Warnings of learning rate, AdamW and moving average.
pub fn warnings(recipe: &Recipe) -> Vec<Warning> {
    let optimiser = &recipe.optimiser;
    let mut warnings = Vec::new();
    if optimiser.lr == 0.0 {
        warnings.push(Warning::NoRate);
    }
    let product = optimiser.lr * optimiser.weight_decay;
    if product >= 1.0 {
        warnings.push(Warning::Overshoots { product });
    }
    if optimiser.weight_decay == 0.0 && !optimiser.no_decay.is_empty() {
        warnings.push(Warning::NoDecayOfNothing {
            names: optimiser.no_decay.clone(),
        });
    }
    warnings.extend(of_final_rate(optimiser));
    warnings.extend(of_epsilon(optimiser));
    let mut before = 1.0;
    for (i, phase) in recipe.phases.iter().enumerate() {
        if optimiser.warmup_steps > phase.steps {
            warnings.push(Warning::RateNotReached {
                phase: phase.name.clone(),
                warmup: optimiser.warmup_steps,
                steps: phase.steps,
            });
        }
        let begins_with = match &phase.init {
            Init::Fresh => 1.0,
            Init::File(_) => 0.0,
            Init::Continue => before,
        };
        let share = begins_with * initial_share(optimiser, phase.steps);
        before = share;
        let is_taken = |later: &Phase| {
            let teacher = later.teacher.as_ref();
            teacher.is_some_and(|teacher| {
                teacher.phase.as_ref() == Some(&phase.name) && teacher.weights == Some(Weights::Ema)
            })
        };
        let is_read = i + 1 == recipe.phases.len() || recipe.phases.iter().any(is_taken);
        if is_read && share > 0.5 {
            warnings.push(Warning::MovingAverage {
                phase: phase.name.clone(),
                steps: phase.steps,
                decay: optimiser.ema_decay,
                share,
            });
        }
    }
    warnings
}

fn of_final_rate(optimiser: &OptimiserRecipe) -> Option<Warning> {
    let (lr, last) = (optimiser.lr, optimiser.final_lr);
    match optimiser.schedule {
        LrSchedule::Constant => (last != 0.0).then_some(Warning::NoFinalRate { last }),
        LrSchedule::Cosine | LrSchedule::Linear => (last > lr).then_some(Warning::RateRises { lr, last }),
    }
}

/// AdamW divides a gradient by eps and the root of its mean square.
fn of_epsilon(optimiser: &OptimiserRecipe) -> Option<Warning> {
    let (eps, norm) = (optimiser.eps, optimiser.max_grad_norm);
    let least = (f64::from(f32::MIN_POSITIVE) / (1.0 - optimiser.betas[1])).sqrt();
    if eps >= norm {
        return Some(Warning::LargeEpsilon { eps, norm });
    }
    (eps < least).then_some(Warning::SmallEpsilon { eps, least })
}

/// Part of the moving average after `steps` that is still what it began with.
fn initial_share(optimiser: &OptimiserRecipe, steps: u64) -> f64 {
    let (decay, warmup) = (optimiser.ema_decay, optimiser.ema_warmup);
    // Before the rise is over, no more than a tenth is left.
    let risen: f64 = (0..steps.min(20)).map(|step| ema_decay(decay, warmup, step)).product();
    risen * decay.powf(steps.saturating_sub(20) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;
    use sextant_guidance::SourcePlan;

    #[test]
    fn an_average_of_initial_weights_is_warned_of_where_it_is_read() {
        let cold = |r: &mut Recipe, _: &mut [SourcePlan; 2]| r.optimiser.ema_warmup = false;
        let warning = one(cold);
        assert!(
            warning.contains("phase \"train\"") && warning.contains("99 %"),
            "{warning}"
        );
        // The decay that it advises is enough.
        let advised: f64 = warning.rsplit(' ').next().unwrap().parse().unwrap();
        let (mut recipe, plans) = (recipe(), plans());
        (recipe.optimiser.ema_warmup, recipe.optimiser.ema_decay) = (false, advised);
        assert_eq!(of(&recipe, &plans), []);
        recipe.optimiser.ema_decay = 0.9999;
        recipe.phases[1].teacher.as_mut().unwrap().weights = Some(Weights::Ema);
        assert_eq!(of(&recipe, &plans).len(), 2, "the teacher's average, too");
        for phase in &mut recipe.phases {
            phase.steps = 10_000;
        }
        assert_eq!(of(&recipe, &plans), []);
    }

    #[test]
    fn the_share_of_initial_weights_is_the_product_of_decays() {
        let share = |decay, warmup, steps| {
            let optimiser = OptimiserRecipe {
                ema_decay: decay,
                ema_warmup: warmup,
                ..OptimiserRecipe::default()
            };
            initial_share(&optimiser, steps)
        };
        assert!((share(0.9999, false, 600) - 0.9999f64.powi(600)).abs() < 1e-12);
        assert_eq!(share(1.0, false, 1 << 40), 1.0);
        assert!((share(0.9999, true, 2) - 0.1 * 2.0 / 11.0).abs() < 1e-12);
        assert!(share(1.0, true, 600) < 1e-6);
        assert_eq!(share(0.5, false, 1), 0.5);
    }

    #[test]
    fn what_is_kept_from_decay_would_decay() {
        let spared = |decay| {
            let mut recipe = recipe();
            recipe.optimiser.weight_decay = decay;
            recipe.optimiser.no_decay = vec!["bias".into()];
            of(&recipe, &plans())
        };
        assert!(matches!(spared(0.0)[..], [Warning::NoDecayOfNothing { .. }]));
        assert_eq!(spared(0.1), []);
    }

    #[test]
    fn a_final_rate_is_one_that_a_schedule_falls_to() {
        let rates = |schedule, lr, last| {
            let mut recipe = recipe();
            let optimiser = &mut recipe.optimiser;
            (optimiser.schedule, optimiser.lr, optimiser.final_lr) = (schedule, lr, last);
            of(&recipe, &plans())
        };
        for schedule in [LrSchedule::Cosine, LrSchedule::Linear] {
            assert!(matches!(rates(schedule, 1e-4, 1e-3)[..], [Warning::RateRises { .. }]));
            assert_eq!(rates(schedule, 1e-3, 1e-3), []);
            assert_eq!(rates(schedule, 1e-3, 0.0), []);
        }
        assert!(matches!(
            rates(LrSchedule::Constant, 1e-3, 1e-4)[..],
            [Warning::NoFinalRate { .. }]
        ));
    }

    #[test]
    fn an_epsilon_lies_between_what_vanishes_and_what_gradients_are() {
        let warned = |eps, norm| {
            let mut recipe = recipe();
            (recipe.optimiser.eps, recipe.optimiser.max_grad_norm) = (eps, norm);
            recipe.validate().unwrap();
            of(&recipe, &plans())
        };
        for (eps, norm) in [(1.0, 1.0), (1e-8, 1e-30)] {
            assert!(matches!(warned(eps, norm)[..], [Warning::LargeEpsilon { .. }]));
        }
        for eps in [1e-30, 1e-19] {
            assert!(matches!(warned(eps, 1.0)[..], [Warning::SmallEpsilon { .. }]));
        }
        // The published ones; a huge norm switches clipping off.
        for (eps, norm) in [(1e-8, 1.0), (1e-15, 1.0), (1e-8, 1e30)] {
            assert_eq!(warned(eps, norm), []);
        }
    }
}
