//! Warnings: settings that are possible and hardly meant, found before the first step.

use sextant_guidance::SourcePlan;
use sextant_guidance::plan::{Network, SettingMeaning};
use sextant_model::diffusion::sampler::times;
use sextant_recipe::{
    DiffusionRecipe, Init, OptimiserRecipe, Phase, Recipe, SamplerConfig, SourceConfig, TimeSampling, Weights,
};

use super::schedule::ema_decay;

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
    /// Weight decay that takes away more than there is.
    #[error(
        "optimiser.lr times optimiser.weight_decay is {product}: a step takes that many times each weight away from it; it must be far below 1"
    )]
    Overshoots {
        /// The part of a weight that a step takes away.
        product: f64,
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
                | Self::FewHeldOut { .. }
                | Self::FewSamples { .. }
                | Self::ClassesNotShown { .. }
        )
    }
}

/// Warnings about samples that `sampler` draws from a network of `recipe`; `key` is the key or option that set its scale.
pub fn of_sampler(recipe: &Recipe, sampler: &SamplerConfig, key: &str) -> Vec<Warning> {
    let guides = sampler.cfg_scale > 1.0;
    let mut warnings: Vec<Warning> = untrained(recipe, guides.then(|| key.to_owned())).into_iter().collect();
    warnings.extend(no_guided_step(sampler, key));
    warnings
}

fn no_guided_step(sampler: &SamplerConfig, key: &str) -> Option<Warning> {
    let steps = &times(sampler)[..sampler.steps];
    let idle = sampler.cfg_scale > 1.0 && !steps.iter().any(|t| sampler.guides(*t));
    idle.then(|| Warning::NoGuidedStep {
        key: key.into(),
        sampler: sampler.clone(),
    })
}

/// A warning where one of `users` reads what `diffusion.label_dropout` leaves untrained.
fn untrained(recipe: &Recipe, users: impl IntoIterator<Item = String>) -> Option<Warning> {
    let dropout = recipe.diffusion.label_dropout;
    let users: Vec<String> = users.into_iter().collect();
    if dropout == 1.0 {
        return Some(Warning::UntrainedClasses);
    }
    let steps: u64 = recipe.phases.iter().map(|phase| phase.steps).sum();
    let dropped = dropout * recipe.optimiser.batch as f64 * steps as f64;
    (dropped < 1.0 && !users.is_empty()).then_some(Warning::UntrainedNullClass { dropout, users })
}

/// All that is to be said of a recipe whose sources, phase by phase, have these plans; `held_out` images are there to validate on.
pub(super) fn of_training(recipe: &Recipe, plans: &[Vec<(&str, &SourcePlan)>], held_out: usize) -> Vec<Warning> {
    let mut warnings = of_optimiser(recipe);
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
    warnings.extend(of_evaluation(recipe, users, held_out));
    warnings
}

/// `users` are the sources that tell a network the null class.
fn of_evaluation(recipe: &Recipe, mut users: Vec<String>, held_out: usize) -> Vec<Warning> {
    let evaluation = &recipe.evaluation;
    let mut used = |used: bool, key: &str| {
        if used {
            users.push(key.to_owned());
        }
    };
    used(evaluation.sampler.cfg_scale > 1.0, "evaluation.sampler.cfg_scale");
    let scales = evaluation.quality.iter().flat_map(|quality| &quality.scales);
    used(scales.copied().any(|scale| scale > 1.0), "evaluation.quality.scales");
    used(evaluation.representations.is_some(), "evaluation.representations");
    let mut warnings: Vec<Warning> = untrained(recipe, users).into_iter().collect();
    warnings.extend(no_guided_step(&evaluation.sampler, "evaluation.sampler.cfg_scale"));
    if evaluation.images > held_out {
        warnings.push(Warning::FewHeldOut {
            asked: evaluation.images,
            there: held_out,
        });
    }
    warnings
}

fn of_optimiser(recipe: &Recipe) -> Vec<Warning> {
    let optimiser = &recipe.optimiser;
    let mut warnings = Vec::new();
    if optimiser.lr == 0.0 {
        warnings.push(Warning::NoRate);
    }
    let product = optimiser.lr * optimiser.weight_decay;
    if product >= 1.0 {
        warnings.push(Warning::Overshoots { product });
    }
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

/// Part of the moving average after `steps` that is still what it began with.
fn initial_share(optimiser: &OptimiserRecipe, steps: u64) -> f64 {
    let (decay, warmup) = (optimiser.ema_decay, optimiser.ema_warmup);
    // Before the rise is over, no more than a tenth is left.
    let risen: f64 = (0..steps.min(20)).map(|step| ema_decay(decay, warmup, step)).product();
    risen * decay.powf(steps.saturating_sub(20) as f64)
}

/// Steps of a phase of `steps` in which a source is called.
fn steps_on(source: &SourceConfig, steps: u64) -> u64 {
    let end = source.stop_step.unwrap_or(steps).min(steps);
    match source.coefficient() {
        0.0 => 0,
        _ => end.saturating_sub(source.start_step),
    }
}

/// A source in its phase.
struct Guiding<'a> {
    key: String,
    name: &'a str,
    source: &'a SourceConfig,
    plan: &'a SourcePlan,
    /// Steps in which it is called.
    steps: u64,
}

impl Guiding<'_> {
    /// The reason why it never guides; else whatever is odd about how it does.
    fn warnings(&self, phase: &Phase, optimiser: &OptimiserRecipe, diffusion: &DiffusionRecipe) -> Vec<Warning> {
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
    use std::path::Path;

    use sextant_guidance::plan::{Setting, TapKind, TapRequest};
    use sextant_recipe::parse_resolved;

    use super::*;

    const RECIPE: &str = r#"
        data = { kind = "emoji", size = 8 }
        model = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }
        optimiser = { batch = 8 }
        phases = [
          { name = "align", steps = 100, guidance = [{ plugin = "a", coefficient = 0.5 }] },
          { name = "train", steps = 100, teacher = { phase = "align" }, guidance = [{ plugin = "b", coefficient = 0.5 }] },
        ]
    "#;

    fn recipe() -> Recipe {
        parse_resolved(Path::new("recipe.toml"), RECIPE).unwrap()
    }

    fn plan() -> SourcePlan {
        SourcePlan {
            required_minor: 0,
            batch_coupled: false,
            t_range: None,
            taps: Vec::new(),
            fields: Vec::new(),
            parameters: Vec::new(),
            buffers: Vec::new(),
            metrics: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The plans of the recipe: one of a source without needs, one of a source that asks the teacher.
    fn plans() -> [SourcePlan; 2] {
        let teacher = TapRequest {
            network: Network::Teacher,
            kind: TapKind::Block,
            depth: 1,
        };
        let asking = SourcePlan {
            taps: vec![teacher],
            ..plan()
        };
        [plan(), asking]
    }

    fn of(recipe: &Recipe, [a, b]: &[SourcePlan; 2]) -> Vec<Warning> {
        of_training(recipe, &[vec![("a", a)], vec![("b", b)]], 300)
    }

    /// The one warning of the recipe after a change.
    fn one(change: impl FnOnce(&mut Recipe, &mut [SourcePlan; 2])) -> String {
        let (mut recipe, mut plans) = (recipe(), plans());
        change(&mut recipe, &mut plans);
        recipe.validate().unwrap();
        match of(&recipe, &plans).as_slice() {
            [warning] => warning.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sound_recipe_is_not_warned_of() {
        assert_eq!(of(&recipe(), &plans()), []);
    }

    #[test]
    fn guidance_that_can_never_act_is_named() {
        type Change = fn(&mut Recipe, &mut [SourcePlan; 2]);
        let cases: [(&str, Change); 6] = [
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
    fn the_null_class_is_trained_before_it_is_used() {
        let guided = one(|r, _| {
            r.diffusion.label_dropout = 0.0;
            r.evaluation.sampler.cfg_scale = 3.0;
        });
        assert!(guided.contains("used by evaluation.sampler.cfg_scale;"), "{guided}");
        let sharpened = |scale: f64| {
            let mut plans = plans();
            plans[1].settings = vec![Setting {
                name: "scale".into(),
                value: scale,
                meaning: SettingMeaning::FeatureGuidance,
            }];
            let mut recipe = recipe();
            recipe.diffusion.label_dropout = 0.0;
            of(&recipe, &plans)
        };
        assert!(matches!(sharpened(30.0)[..], [Warning::UntrainedNullClass { .. }]));
        assert_eq!(sharpened(1.0), []);
        let none = one(|r, _| r.diffusion.label_dropout = 1.0);
        assert!(none.contains("no class but the null class"), "{none}");
        let mut recipe = recipe();
        recipe.diffusion.label_dropout = 0.0;
        let mut sampler = SamplerConfig::default();
        assert_eq!(of_sampler(&recipe, &sampler, "--cfg"), []);
        sampler.cfg_scale = 2.0;
        assert_eq!(of_sampler(&recipe, &sampler, "--cfg").len(), 1);
    }

    #[test]
    fn a_sampler_guides_at_one_of_its_times_at_least() {
        let at = |low: f64, high: f64| {
            let sampler = SamplerConfig {
                steps: 4,
                cfg_scale: 2.0,
                guidance_low: low,
                guidance_high: high,
                ..SamplerConfig::default()
            };
            of_sampler(&recipe(), &sampler, "--cfg")
        };
        assert!(matches!(at(0.6, 0.7)[..], [Warning::NoGuidedStep { .. }]));
        // Its end, where the network is not asked any more.
        assert!(matches!(at(0.0, 0.1)[..], [Warning::NoGuidedStep { .. }]));
        assert_eq!(at(0.7, 0.8), []);
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
