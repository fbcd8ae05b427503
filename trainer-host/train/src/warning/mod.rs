//! Warnings: settings that are possible and hardly meant, found before the first step.

mod encoding;
mod evaluation;
#[cfg(test)]
mod fixture;
mod guidance;
mod optimiser;

use sextant_guidance::SourcePlan;
use sextant_guidance::plan::{Network, SettingMeaning};
use sextant_recipe::{Init, Recipe, SamplerConfig};

pub(super) use encoding::of_encoding;
pub use evaluation::of_sampler;
use guidance::{Guiding, steps_on};

/// A cause for a warning. Its text names the key at fault and says what would be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Warning {
    /// A training that may not fit into memory; the text has the estimate.
    #[error("{0}")]
    Memory(String),
    /// A source of coefficient 0.
    #[error("{key}.coefficient is 0: source \"{name}\" never guides; leave it out, or give it a coefficient above 0")]
    NoCoefficient {
        /// The source's place in the recipe.
        key: String,
        /// Its name.
        name: String,
    },
    /// A source that begins when its phase is over.
    #[error(
        "{key}.start_step is {start}, and the phase has {steps} steps: source \"{name}\" never guides; it must start below {steps}"
    )]
    StartsTooLate {
        /// The source's place in the recipe.
        key: String,
        /// Its name.
        name: String,
        /// The first step that it would guide, counted from 0.
        start: u64,
        /// The steps of its phase.
        steps: u64,
    },
    /// A source that counts at times which no sample has.
    #[error(
        "{key}.config: source \"{name}\" guides at times from {} to {} alone, and none of the {samples} times that are drawn while it is on can be expected there; widen that range",
        range[0], range[1]
    )]
    NoTime {
        /// The source's place in the recipe.
        key: String,
        /// Its name.
        name: String,
        /// The times outside which its loss is 0.
        range: [f64; 2],
        /// Samples of the steps in which it is on.
        samples: f64,
    },
    /// A coefficient that rises beyond the end.
    #[error(
        "{key}.warmup_steps is {warmup}, and source \"{name}\" is on for {steps} steps: it never reaches its coefficient; warm it up in fewer"
    )]
    CoefficientNotReached {
        /// The source's place in the recipe.
        key: String,
        /// Its name.
        name: String,
        /// Steps of the warm-up.
        warmup: u64,
        /// Steps in which it is on.
        steps: u64,
    },
    /// A coefficient that falls when its source is off already.
    #[error(
        "{key}.decay_start is {start}, and source \"{name}\" is on until step {end}: its coefficient never decays; begin below {end}, or leave decay_start and decay_steps out"
    )]
    NeverDecays {
        /// The source's place in the recipe.
        key: String,
        /// Its name.
        name: String,
        /// The step from which it would decay.
        start: u64,
        /// The first step in which it is off.
        end: u64,
    },
    /// A source that couples the samples of a batch, and sees one at a time.
    #[error(
        "{key}: source \"{name}\" couples the samples of a micro-batch, which has one (optimiser.batch = {batch}, optimiser.accumulation = {batch}): there is none beside it; a micro-batch must have at least two"
    )]
    OneSample {
        /// The source's place in the recipe.
        key: String,
        /// Its name.
        name: String,
        /// Samples of a step, and parts that they are cut into.
        batch: usize,
    },
    /// A learning rate of 0.
    #[error("optimiser.lr is 0: nothing is trained; it must be above 0, such as 1e-4")]
    NoRate,
    /// A learning rate that rises beyond the end.
    #[error(
        "optimiser.warmup_steps is {warmup}, and phase \"{phase}\" has {steps} steps: it never reaches optimiser.lr; warm up in fewer"
    )]
    RateNotReached {
        /// The phase's name.
        phase: String,
        /// Steps of the warm-up.
        warmup: u64,
        /// Steps of the phase.
        steps: u64,
    },
    /// A final learning rate that no step has.
    #[error(
        "optimiser.final_lr is {last:?}, and optimiser.schedule is \"constant\": the learning rate stays optimiser.lr; set the schedule to \"cosine\" or \"linear\", or leave final_lr out"
    )]
    NoFinalRate {
        /// The final rate.
        last: f64,
    },
    /// A schedule that rises.
    #[error(
        "optimiser.final_lr is {last:?}, and optimiser.lr is {lr:?}: the learning rate rises to the end; a schedule falls to a final_lr below lr"
    )]
    RateRises {
        /// Rate after the warm-up.
        lr: f64,
        /// The final rate.
        last: f64,
    },
    /// An epsilon beside which no gradient counts.
    #[error(
        "optimiser.eps is {eps:?}, and optimiser.max_grad_norm {norm:?}: no part of a gradient is larger than eps, and steps are far below optimiser.lr; eps must lie far below max_grad_norm, such as 1e-8 and 1"
    )]
    LargeEpsilon {
        /// AdamW's epsilon.
        eps: f64,
        /// Largest norm of a gradient.
        norm: f64,
    },
    /// An epsilon that does not guard the division.
    #[error(
        "optimiser.eps is {eps:?}: the squares of gradients below {least:.0e} are 0 in 32 bits, so that a step divides such a gradient by eps alone and may be any number of times optimiser.lr; it must be above {least:.0e}, such as 1e-8"
    )]
    SmallEpsilon {
        /// AdamW's epsilon.
        eps: f64,
        /// The least gradient whose second moment is a number above 0.
        least: f64,
    },
    /// Weight decay that takes away more than there is.
    #[error(
        "optimiser.lr times optimiser.weight_decay is {product}: a step takes that many times each weight away from it; it must be far below 1"
    )]
    Overshoots {
        /// The part of a weight that a step takes away.
        product: f64,
    },
    /// Exceptions from a decay that there is not.
    #[error(
        "optimiser.no_decay names {}, and optimiser.weight_decay is 0: nothing decays; give a weight_decay above 0, or leave no_decay out",
        .names.join(", ")
    )]
    NoDecayOfNothing {
        /// Ends of the names of what is not to decay.
        names: Vec<String>,
    },
    /// An average that is mostly what it began with.
    #[error(
        "optimiser.ema_decay is {decay} without optimiser.ema_warmup: after the {steps} steps of phase \"{phase}\" its moving average still holds {:.0} % of the weights that it began with; set optimiser.ema_warmup = true, or a decay of at most {:.6}",
        100.0 * share, 0.1f64.powf(1.0 / *steps as f64)
    )]
    MovingAverage {
        /// The phase's name.
        phase: String,
        /// Its steps.
        steps: u64,
        /// The decay.
        decay: f64,
        /// Part of the average that is initial weights, 0 to 1.
        share: f64,
    },
    /// Guidance by classes of a network that never saw the null class.
    #[error(
        "diffusion.label_dropout is {dropout}: the null class is never trained, and is used by {}; train with it above 0, such as 0.1, or leave guidance out: scale 1",
        users.join(", ")
    )]
    UntrainedNullClass {
        /// Probability that a label becomes the null class.
        dropout: f64,
        /// Settings that tell a network the null class: keys of the recipe, or options.
        users: Vec<String>,
    },
    /// Labels that no network ever sees.
    #[error(
        "diffusion.label_dropout is 1: no class but the null class is ever trained, and samples and the validation loss are of classes; it must be below 1, such as 0.1"
    )]
    UntrainedClasses,
    /// A sampler whose guidance is on at none of its times.
    #[error(
        "{key} is {}, and none of its {} steps lies at a time from {} to {}: there is no guidance; widen guidance_low and guidance_high, or take more steps",
        sampler.cfg_scale, sampler.steps, sampler.guidance_low, sampler.guidance_high
    )]
    NoGuidedStep {
        /// The key or option that sets the scale.
        key: String,
        /// The sampler.
        sampler: SamplerConfig,
    },
    /// Times of a guidance that there is not.
    #[error(
        "{keys}: guidance would be on at times from {low} to {high}, and {scale} is 1, which is none; give a scale above 1, or leave those times out"
    )]
    IdleInterval {
        /// The keys or options that set the times.
        keys: String,
        /// The time from which guidance would be on.
        low: f64,
        /// The time up to which it would be.
        high: f64,
        /// The key or option that sets the scale.
        scale: String,
    },
    /// A teacher that nobody asks.
    #[error("{key}.teacher: no source of this phase that is on asks a teacher; leave it out, or add one that does")]
    IdleTeacher {
        /// The phase's place in the recipe.
        key: String,
    },
    /// A phase whose network is not used.
    #[error(
        "{key}: no later phase goes on from phase \"{phase}\" or has it as its teacher, so that it is trained for nothing; leave it out, or name it in a teacher.phase"
    )]
    IdlePhase {
        /// The phase's place in the recipe.
        key: String,
        /// Its name.
        phase: String,
    },
    /// A validation set that is larger than what there is.
    #[error(
        "evaluation.images is {asked}, and the data hold out {there}: the loss is measured on those; ask for at most {there}"
    )]
    FewHeldOut {
        /// Images asked for.
        asked: usize,
        /// Images that are held out.
        there: usize,
    },
    /// Fewer samples than a covariance of features has dimensions.
    #[error(
        "evaluation.quality.samples is {samples}, and judge \"{judge}\" has {width} features: the covariance of so few samples is singular, and the Frechet distance mostly bias; it must be above {width}, better several times that"
    )]
    FewSamples {
        /// Samples that are scored.
        samples: usize,
        /// The judge.
        judge: String,
        /// Its features.
        width: usize,
    },
    /// A network that sees each image again and again, where what it makes of them is little.
    #[error(
        "{key}: each image is encoded about {times} times in this training, and what comes of all of them is {size}; {instead}"
    )]
    EncodedAgain {
        /// The key that makes it so.
        key: &'static str,
        /// Times that it sees an image.
        times: u64,
        /// Size of what it makes of all of them.
        size: String,
        /// What would be faster.
        instead: &'static str,
    },
    /// A scale that is named more than once.
    #[error("evaluation.quality.scales names {scale} twice: it is tried once; leave one out")]
    ScaleTwice {
        /// The scale of classifier-free guidance.
        scale: f64,
    },
    /// More pictures than there are images to make them of.
    #[error(
        "evaluation.representations.pictures is {asked}, and the data hold out {there}: so many are shown; ask for at most {there}"
    )]
    FewPictures {
        /// Images asked for.
        asked: usize,
        /// Images that are held out.
        there: usize,
    },
    /// Classes that a probe is never shown.
    #[error(
        "evaluation.representations.images is {images}: {missing} of the {classes} classes that probes name have no image among them and are left out; it must be more, or 0 for all"
    )]
    ClassesNotShown {
        /// Images that probes are fitted on.
        images: usize,
        /// Classes without one.
        missing: usize,
        /// Classes that are large enough to be probed.
        classes: usize,
    },
}

impl Warning {
    /// True if it is of what is measured of a network, whatever trained it.
    pub fn is_of_evaluation(&self) -> bool {
        matches!(
            self,
            Self::UntrainedNullClass { .. }
                | Self::UntrainedClasses
                | Self::NoGuidedStep { .. }
                | Self::IdleInterval { .. }
                | Self::FewHeldOut { .. }
                | Self::FewSamples { .. }
                | Self::ScaleTwice { .. }
                | Self::FewPictures { .. }
                | Self::ClassesNotShown { .. }
        )
    }
}

/// All that is to be said of a recipe whose sources, phase by phase, have these plans; `held_out` images are there to validate on.
pub(super) fn of_training(recipe: &Recipe, plans: &[Vec<(&str, &SourcePlan)>], held_out: usize) -> Vec<Warning> {
    let mut warnings = optimiser::warnings(recipe);
    let mut users = Vec::new();
    for (i, (phase, plans)) in recipe.phases.iter().zip(plans).enumerate() {
        let mut asks_teacher = false;
        for (j, (source, (name, plan))) in phase.guidance.iter().zip(plans).enumerate() {
            let of = Guiding {
                key: format!("phases.{i}.guidance.{j}"),
                name,
                source,
                plan,
                steps: steps_on(source, phase.steps),
            };
            warnings.extend(of.warnings(phase, &recipe.optimiser, &recipe.diffusion));
            asks_teacher |= of.steps > 0 && plan.needs(Network::Teacher);
            // f_u + w (f_c - f_u) has no f_u where w is 1.
            let scale = plan.setting(SettingMeaning::FeatureGuidance);
            if of.steps > 0 && scale.is_some_and(|scale| scale != 1.0) {
                users.push(format!("source \"{name}\" ({})", of.key));
            }
        }
        let key = format!("phases.{i}");
        if phase.teacher.is_some() && !asks_teacher {
            warnings.push(Warning::IdleTeacher { key: key.clone() });
        }
        let mut later = recipe.phases[i + 1..].iter();
        let goes_on = recipe.phases.get(i + 1).is_none_or(|next| next.init == Init::Continue);
        let teaches = later.any(|later| {
            later
                .teacher
                .as_ref()
                .is_some_and(|teacher| teacher.phase.as_ref() == Some(&phase.name))
        });
        if !goes_on && !teaches {
            warnings.push(Warning::IdlePhase {
                key,
                phase: phase.name.clone(),
            });
        }
    }
    warnings.extend(evaluation::warnings(recipe, users, held_out));
    warnings
}

#[cfg(test)]
mod tests {
    use super::fixture::*;
    use super::*;

    #[test]
    fn a_sound_recipe_is_not_warned_of() {
        assert_eq!(of(&recipe(), &plans()), []);
    }

    #[test]
    fn settings_that_train_nothing_are_named() {
        type Change = fn(&mut Recipe);
        let cases: [(&str, Change); 4] = [
            ("optimiser.lr is 0", |r| r.optimiser.lr = 0.0),
            ("optimiser.lr times optimiser.weight_decay is 1000", |r| {
                (r.optimiser.lr, r.optimiser.weight_decay) = (1e3, 1.0);
            }),
            ("evaluation.images is 301, and the data hold out 300", |r| {
                r.evaluation.images = 301;
            }),
            ("phases.0: no later phase goes on from phase \"align\"", |r| {
                let mut other = r.phases[0].clone();
                other.name = "other".into();
                r.phases[1].teacher.as_mut().unwrap().phase = Some("other".into());
                r.phases.insert(1, other);
            }),
        ];
        for (words, change) in cases {
            let mut recipe = recipe();
            change(&mut recipe);
            recipe.validate().unwrap();
            let [a, b] = plans();
            let mut plans = vec![vec![("a", &a)], vec![("b", &b)]];
            if recipe.phases.len() == 3 {
                plans.insert(1, vec![("a", &a)]);
            }
            let found = of_training(&recipe, &plans, 300);
            let [warning] = &found[..] else { panic!("{found:?}") };
            assert!(warning.to_string().contains(words), "{words}: {warning}");
        }
        let mut recipe = recipe();
        recipe.optimiser.warmup_steps = 101;
        assert_eq!(of(&recipe, &plans()).len(), 2, "of either phase");
    }
}
