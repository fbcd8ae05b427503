//! Measurements of what was never trained, or of less than was asked for.

use sextant_model::diffusion::sampler::times;
use sextant_recipe::{Recipe, SamplerConfig};

use super::Warning;

/// Warnings about samples that `sampler` draws from a network of `recipe`, where there is one; `key` is the key or option that set its
/// scale, `times` are the options that set the times of guidance, empty where they are the recipe's.
pub fn of_sampler(recipe: Option<&Recipe>, sampler: &SamplerConfig, key: &str, times: &[&str]) -> Vec<Warning> {
    let guides = sampler.cfg_scale > 1.0;
    let user = guides.then(|| key.to_owned());
    let mut warnings: Vec<Warning> = recipe.and_then(|recipe| untrained(recipe, user)).into_iter().collect();
    warnings.extend(no_guided_step(sampler, key));
    warnings.extend(idle_interval(sampler, guides, times, key));
    warnings
}

/// A warning where `times` set when guidance is on, and it is at no time.
fn idle_interval(sampler: &SamplerConfig, guides: bool, times: &[&str], scale: &str) -> Option<Warning> {
    (!guides && !times.is_empty()).then(|| Warning::IdleInterval {
        keys: times.join(", "),
        low: sampler.guidance_low,
        high: sampler.guidance_high,
        scale: scale.into(),
    })
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

/// Warnings of what is measured; `users` are the sources that tell a network the null class.
pub fn warnings(recipe: &Recipe, mut users: Vec<String>, held_out: usize) -> Vec<Warning> {
    let evaluation = &recipe.evaluation;
    let mut used = |used: bool, key: &str| {
        if used {
            users.push(key.to_owned());
        }
    };
    used(evaluation.sampler.cfg_scale > 1.0, "evaluation.sampler.cfg_scale");
    let scales = evaluation.quality.iter().flat_map(|quality| &quality.scales);
    used(scales.clone().any(|scale| *scale > 1.0), "evaluation.quality.scales");
    used(evaluation.representations.is_some(), "evaluation.representations");
    let mut warnings: Vec<Warning> = untrained(recipe, users).into_iter().collect();
    warnings.extend(no_guided_step(&evaluation.sampler, "evaluation.sampler.cfg_scale"));
    // The scales that are tried are guided at these times too.
    let guides = evaluation.sampler.cfg_scale > 1.0 || scales.clone().any(|scale| *scale > 1.0);
    let (own, usual) = (&evaluation.sampler, SamplerConfig::default());
    let set = [
        (
            own.guidance_low != usual.guidance_low,
            "evaluation.sampler.guidance_low",
        ),
        (
            own.guidance_high != usual.guidance_high,
            "evaluation.sampler.guidance_high",
        ),
    ];
    let set: Vec<&str> = set
        .into_iter()
        .filter_map(|(is_set, key)| is_set.then_some(key))
        .collect();
    warnings.extend(idle_interval(own, guides, &set, "evaluation.sampler.cfg_scale"));
    let mut scales: Vec<f64> = scales.copied().collect();
    scales.sort_by(f64::total_cmp);
    if let Some(twice) = scales.windows(2).find(|two| two[0] == two[1]) {
        warnings.push(Warning::ScaleTwice { scale: twice[0] });
    }
    let pictures = evaluation.representations.as_ref().map(|asked| asked.pictures);
    if let Some(asked) = pictures.filter(|asked| *asked > held_out) {
        warnings.push(Warning::FewPictures { asked, there: held_out });
    }
    if evaluation.images > held_out {
        warnings.push(Warning::FewHeldOut {
            asked: evaluation.images,
            there: held_out,
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use sextant_guidance::plan::{Setting, SettingMeaning};
    use sextant_recipe::{QualityRecipe, RepresentationsRecipe};

    use super::super::fixture::*;
    use super::*;

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
        assert_eq!(of_sampler(Some(&recipe), &sampler, "--cfg", &[]), []);
        sampler.cfg_scale = 2.0;
        assert_eq!(of_sampler(Some(&recipe), &sampler, "--cfg", &[]).len(), 1);
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
            of_sampler(Some(&recipe()), &sampler, "--cfg", &[])
        };
        assert!(matches!(at(0.6, 0.7)[..], [Warning::NoGuidedStep { .. }]));
        // Its end, where the network is not asked any more.
        assert!(matches!(at(0.0, 0.1)[..], [Warning::NoGuidedStep { .. }]));
        assert_eq!(at(0.7, 0.8), []);
    }

    #[test]
    fn times_of_guidance_are_of_some_guidance() {
        let idle = one(|r, _| r.evaluation.sampler.guidance_low = 0.2);
        assert!(idle.starts_with("evaluation.sampler.guidance_low: "), "{idle}");
        let idle = one(|r, _| {
            r.evaluation.sampler.guidance_high = 0.7;
            r.evaluation.quality = Some(QualityRecipe {
                scales: vec![1.0],
                ..QualityRecipe::default()
            });
        });
        assert!(idle.contains("at times from 0 to 0.7"), "{idle}");
        // The scales that are tried by default are above 1.
        let mut recipe = recipe();
        recipe.evaluation.sampler.guidance_high = 0.7;
        recipe.evaluation.quality = Some(QualityRecipe::default());
        assert_eq!(of(&recipe, &plans()), []);
        // The recipe's times mean nothing of one that draws without guidance; those that are asked for do.
        let sampler = recipe.evaluation.sampler.clone();
        assert_eq!(of_sampler(Some(&recipe), &sampler, "--cfg", &[]), []);
        let asked = of_sampler(Some(&recipe), &sampler, "--cfg", &["--guidance-high"]);
        assert!(matches!(asked[..], [Warning::IdleInterval { .. }]));
    }

    #[test]
    fn scales_are_named_once_and_pictures_are_of_images() {
        let scales = one(|r, _| {
            let scales = vec![2.0, 1.0, 2.0];
            r.evaluation.quality = Some(QualityRecipe {
                scales,
                ..QualityRecipe::default()
            });
        });
        assert!(scales.contains("scales names 2 twice"), "{scales}");
        let pictures = one(|r, _| {
            r.evaluation.representations = Some(RepresentationsRecipe {
                pictures: 301,
                ..RepresentationsRecipe::default()
            });
        });
        assert!(
            pictures.contains("pictures is 301, and the data hold out 300"),
            "{pictures}"
        );
    }
}
