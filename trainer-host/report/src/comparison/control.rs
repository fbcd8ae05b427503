//! Variants that are there to rule something out.

use super::entry::{Entry, unguided};
use sextant_recipe::SourceConfig;
use sextant_recipe::{Phase, Recipe};

/// A variant that rules something out, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The variant.
    pub name: String,
    /// Its nature, in words that follow its name.
    pub what: String,
    /// Set where it is trained without guidance for longer than the baseline: it reaches what the steps alone do.
    pub is_longer: bool,
}

/// The controls among the variants, told by their recipes.
pub fn controls(variants: &[String], entries: &[Entry], baseline: &str) -> Vec<Control> {
    let recipe = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.variant == name)
            .map(|entry| &entry.recipe)
    };
    let Some(base) = recipe(baseline) else {
        return Vec::new();
    };
    let others = variants.iter().filter(|name| *name != baseline);
    let control = |name: &String| {
        let (what, is_longer) = control(recipe(name)?, base)?;
        let name = name.clone();
        Some(Control { name, what, is_longer })
    };
    others.filter_map(control).collect()
}

fn steps(recipe: &Recipe) -> u64 {
    recipe.phases.iter().map(|phase| phase.steps).sum()
}

fn control(recipe: &Recipe, base: &Recipe) -> Option<(String, bool)> {
    if unguided(recipe) {
        let longer = steps(recipe) > steps(base);
        return longer.then(|| (format!("{} steps without guidance", steps(recipe)), true));
    }
    let untrained = |recipe: &Recipe| recipe.guide.as_ref().is_some_and(|guide| guide.weights == "untrained");
    if untrained(recipe) && !untrained(base) {
        return Some(("an untrained encoder".into(), false));
    }
    let last = recipe.phases.last()?;
    let teacher = last.teacher.as_ref()?;
    let scale = |source: &SourceConfig| {
        let scale = source.config.get("scale")?;
        scale.as_float().or_else(|| Some(scale.as_integer()? as f64))
    };
    if last.guidance.iter().any(|source| scale(source) == Some(1.0)) {
        return Some(("guided features at scale 1".into(), false));
    }
    let mask = |source: &SourceConfig| Some(source.config.get("mask")?.as_str()?.to_owned());
    if let Some(mask) = last.guidance.iter().find_map(mask).filter(|mask| mask != "sample") {
        return Some((format!("the mask \"{mask}\""), false));
    }
    let teacher = recipe.phases.iter().find(|phase| phase.name == teacher.phase)?;
    if teacher.shuffle_labels {
        return Some(("a teacher trained on shuffled labels".into(), false));
    }
    let aligned = |phase: &Phase| {
        phase
            .guidance
            .iter()
            .any(|source| source.plugin != "none" && source.coefficient != 0.0)
    };
    (!aligned(teacher)).then(|| ("a teacher that nothing was aligned with".into(), false))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn of(change: impl Fn(&mut Recipe)) -> Option<(String, bool)> {
        let base = fixture::recipe(0, None);
        let mut recipe = fixture::recipe(0, Some("self-transcendence"));
        let mut align = recipe.phases[0].clone();
        align.name = "align".into();
        align.guidance[0].plugin = "vae-align".into();
        recipe.phases.insert(0, align);
        recipe.phases[1].teacher = toml::from_str("phase = \"align\"").unwrap();
        change(&mut recipe);
        control(&recipe, &base)
    }

    #[test]
    fn a_strategy_is_no_control() {
        assert_eq!(of(|_| {}), None);
        let scaled = |r: &mut Recipe| r.phases[1].guidance[0].config = "scale = 30.0".parse().unwrap();
        assert_eq!(of(scaled), None);
        let same = fixture::recipe(0, None);
        assert_eq!(control(&same, &same), None);
    }

    #[test]
    fn controls_are_told_by_what_they_leave_out() {
        for scale in ["scale = 1", "scale = 1.0"] {
            let (what, _) = of(|r| r.phases[1].guidance[0].config = scale.parse().unwrap()).unwrap();
            assert!(what.contains("scale 1"), "{what}");
        }
        let (what, _) = of(|r| r.phases[1].guidance[0].config = "mask = \"released\"".parse().unwrap()).unwrap();
        assert!(what.contains("mask \"released\""), "{what}");
        let (what, _) = of(|r| r.phases[0].guidance.clear()).unwrap();
        assert!(what.contains("nothing was aligned"), "{what}");
        let (what, _) = of(|r| r.phases[0].shuffle_labels = true).unwrap();
        assert!(what.contains("shuffled labels"), "{what}");
        let (what, _) = of(|r| r.guide = Some(toml::from_str("weights = \"untrained\"").unwrap())).unwrap();
        assert!(what.contains("untrained encoder"), "{what}");
        let mut longer = fixture::recipe(0, None);
        longer.phases[0].steps = 999;
        let expected = Some(("999 steps without guidance".to_owned(), true));
        assert_eq!(control(&longer, &fixture::recipe(0, None)), expected);
    }
}
