//! Changes of the recipe of a run that has begun: which there are, and which it can take.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Recipe;
use super::paths::{is_builtin, is_library_path};

/// A key on which a recipe differs from what it was. What one side lacks is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The key, with dots.
    pub key: String,
    /// Its value before.
    pub from: Value,
    /// Its value from now on.
    pub to: Value,
}

/// The part of a run that a key decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decides {
    /// Steps that are still to be done, each by itself.
    Steps,
    /// Things that are written, shown or measured: training does not depend on it.
    Surroundings,
    /// The place where a file lies; which file it is, is asked of its hash.
    Place,
    /// A thing that is done already, for this reason.
    Done(&'static str),
}

/// Every key of a recipe by its beginning, `*` being any place in a list. The first line that fits counts.
const KEYS: &[(&str, Decides)] = &[
    ("title", Decides::Surroundings),
    (
        "seed",
        Decides::Done("weights, batches, times and noise are drawn from it"),
    ),
    ("data.path", Decides::Place),
    ("data.vae", Decides::Place),
    (
        "data",
        Decides::Done("the network has seen these images, by this split"),
    ),
    ("encoder.weights", Decides::Place),
    (
        "encoder",
        Decides::Done("the network was guided by the features of this encoder"),
    ),
    ("model", Decides::Done("the weights and moments have this geometry")),
    (
        "diffusion.path",
        Decides::Done("the network has learned this way from images to noise"),
    ),
    (
        "diffusion.prediction",
        Decides::Done("the network has learned to predict this"),
    ),
    (
        "diffusion",
        Decides::Done("the network was trained with such times and labels"),
    ),
    ("optimiser.lr", Decides::Steps),
    ("optimiser.schedule", Decides::Steps),
    ("optimiser.final_lr", Decides::Steps),
    ("optimiser.warmup_steps", Decides::Steps),
    (
        "optimiser.batch",
        Decides::Done("which images a step sees follows from it, and some would come twice"),
    ),
    (
        "optimiser",
        Decides::Done("the moments and the moving average were gathered with it"),
    ),
    ("compute.recompute", Decides::Steps),
    ("compute.averages", Decides::Steps),
    (
        "compute",
        Decides::Done("the weights, and what taught them, were computed in it"),
    ),
    ("phases.*.steps", Decides::Steps),
    ("phases.*.guidance.*.coefficient", Decides::Steps),
    ("phases.*.guidance.*.start_step", Decides::Steps),
    ("phases.*.guidance.*.stop_step", Decides::Steps),
    ("phases.*.guidance.*.warmup_steps", Decides::Steps),
    ("phases.*.guidance.*.decay_start", Decides::Steps),
    ("phases.*.guidance.*.decay_steps", Decides::Steps),
    ("phases.*.guidance.*.sha256", Decides::Surroundings),
    ("phases.*.guidance.*.plugin", Decides::Place),
    (
        "phases.*.guidance",
        Decides::Done("parameters, buffers and draws of a source belong to it (--without NAME goes on without one)"),
    ),
    ("phases.*.init.from", Decides::Place),
    ("phases.*.teacher.from", Decides::Place),
    ("phases", Decides::Done("one phase follows from another")),
    ("evaluation.every", Decides::Steps),
    ("evaluation.images", Decides::Steps),
    ("evaluation.times", Decides::Steps),
    ("evaluation", Decides::Surroundings),
    ("output", Decides::Surroundings),
    ("ranks", Decides::Surroundings),
];

impl Change {
    fn decides(&self) -> Decides {
        let rule = KEYS.iter().find(|(beginning, _)| begins(&self.key, beginning));
        match rule.map(|(_, decides)| *decides) {
            Some(Decides::Place) if !self.is_moved() => Decides::Done(
                "another network or library would take its place; only a file that was moved can be named anew",
            ),
            Some(decides) => decides,
            None => Decides::Done("it belongs to the training"),
        }
    }

    /// True if a file that lies elsewhere now may be meant. A network's or the data's is known by its content, which whoever reads
    /// it asks for; of a library only the name tells.
    fn is_moved(&self) -> bool {
        let file = |value: &Value| {
            let path = value.as_str().filter(|path| !is_builtin(path))?;
            let name = std::path::Path::new(path).file_name()?;
            let library = self
                .key
                .ends_with(".plugin")
                .then(|| (is_library_path(path), name.to_owned()));
            Some(library)
        };
        file(&self.from).is_some() && file(&self.from) == file(&self.to)
    }

    /// The sentence that refuses it.
    fn refused(&self, reason: &str) -> String {
        let Self { key, from, to } = self;
        format!("{key} cannot become {to}, from {from}: {reason}")
    }

    /// Index of the phase whose key it is.
    fn phase(&self) -> Option<usize> {
        let (index, _) = self.key.strip_prefix("phases.")?.split_once('.')?;
        index.parse().ok()
    }
}

/// True if the key lies at or below `beginning`.
fn begins(key: &str, beginning: &str) -> bool {
    let mut parts = key.split('.');
    let mut fits = beginning.split('.').map(|wanted| {
        let part = parts.next();
        part == Some(wanted) || wanted == "*" && part.is_some_and(|part| part.parse::<usize>().is_ok())
    });
    fits.all(|fits| fits)
}

/// All keys on which `after` differs from `before`; a list that has another length is one key.
pub fn changes(before: &Recipe, after: &Recipe) -> Vec<Change> {
    let value = |recipe: &Recipe| serde_json::to_value(recipe).unwrap_or_default();
    value_changes(&value(before), &value(after), "")
}

/// The same of two values, whose own path is `path`: empty for whole recipes.
pub fn value_changes(before: &Value, after: &Value, path: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    collect(before, after, path, &mut changes);
    changes
}

fn collect(from: &Value, to: &Value, path: &str, changes: &mut Vec<Change>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (from, to) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                let [a, b] = [a, b].map(|table| table.get(key).unwrap_or(&Value::Null));
                collect(a, b, &below(key), changes);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                collect(a, b, &below(&i.to_string()), changes);
            }
        }
        (from, to) if from == to => {}
        (from, to) => changes.push(Change {
            key: path.to_owned(),
            from: from.clone(),
            to: to.clone(),
        }),
    }
}

/// The reasons, each with its key, why a run that was begun by `before` and has done `step` steps of phase `phase`, with nothing
/// of a later one, cannot go on by `after`. None where it can.
pub fn refusals(before: &Recipe, after: &Recipe, phase: usize, step: u64) -> Vec<String> {
    let over = |index: usize| match index.cmp(&phase) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => after.phases.get(index).is_some_and(|phase| step >= phase.steps),
        std::cmp::Ordering::Greater => false,
    };
    let finished = after.phases.len().checked_sub(1).is_some_and(over);
    let refusal = |change: &Change| {
        let key = &change.key;
        let reason = match (change.decides(), change.phase()) {
            (Decides::Surroundings | Decides::Place, _) => return None,
            (Decides::Done(reason), _) => reason.to_owned(),
            (Decides::Steps, Some(index)) if index == phase && key.ends_with(".steps") && over(index) => {
                format!(
                    "{step} steps are done, and that many cannot be undone or end here: ask for at least {}",
                    step + 1
                )
            }
            (Decides::Steps, Some(index)) if over(index) => "the phase is done: it would change nothing".to_owned(),
            (Decides::Steps, _) if finished => {
                "all steps are done: it would change nothing (--steps N asks for more)".to_owned()
            }
            (Decides::Steps, _) => return None,
        };
        Some(change.refused(&reason))
    };
    changes(before, after).iter().filter_map(refusal).collect()
}

/// The reasons, each with its key, why a network that was trained by `before` cannot be measured by `after`: what measures is free,
/// and what was trained is as it is. None where it can.
pub fn measuring_refusals(before: &Recipe, after: &Recipe) -> Vec<String> {
    let refusal = |change: &Change| match change.decides() {
        _ if begins(&change.key, "evaluation") => None,
        Decides::Surroundings | Decides::Place => None,
        Decides::Done(reason) => Some(change.refused(reason)),
        Decides::Steps => Some(change.refused("the steps that it bears on are done; only `sextant train` does others")),
    };
    changes(before, after).iter().filter_map(refusal).collect()
}

/// True if a change of `before` into `after` bears on steps of the training, or on the sources that guide it.
pub fn changes_training(before: &Recipe, after: &Recipe) -> bool {
    let mut decided = changes(before, after).into_iter().map(|change| change.decides());
    decided.any(|decides| matches!(decides, Decides::Steps | Decides::Done(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_changed;
    use std::path::Path;

    const RECIPE: &str = r#"
        [data]
        kind = "emoji"
        [encoder]
        weights = "/networks/encoder.safetensors"
        [model]
        patch_size = 4
        hidden_size = 32
        depth = 2
        num_heads = 2
        [evaluation.quality]
        [evaluation.representations]
        [[phases]]
        name = "align"
        steps = 4
        guidance = [{ plugin = "vae-align", config = { depth = 1 } }]
        [[phases]]
        name = "train"
        steps = 8
        teacher = { from = "/networks/last.pt" }
        guidance = [{ plugin = "/plugins/libown.so", sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }]
    "#;

    fn recipe(sets: &[&str]) -> Recipe {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        parse_changed(Path::new("/recipe.toml"), RECIPE, &sets).unwrap()
    }

    /// Reasons against these changes after `step` steps of the second phase.
    fn against(step: u64, sets: &[&str]) -> Vec<String> {
        refusals(&recipe(&[]), &recipe(sets), 1, step)
    }

    #[test]
    fn every_key_of_a_recipe_has_a_line() {
        fn leaves(value: &Value, path: &str, keys: &mut Vec<String>) {
            let below = |key: &str| {
                if path.is_empty() {
                    key.to_owned()
                } else {
                    format!("{path}.{key}")
                }
            };
            match value {
                Value::Object(table) if !table.is_empty() => {
                    table.iter().for_each(|(key, value)| leaves(value, &below(key), keys));
                }
                Value::Array(list) if !list.is_empty() => {
                    list.iter()
                        .enumerate()
                        .for_each(|(i, value)| leaves(value, &below(&i.to_string()), keys));
                }
                _ => keys.push(path.to_owned()),
            }
        }
        let mut keys = Vec::new();
        leaves(&serde_json::to_value(recipe(&[])).unwrap(), "", &mut keys);
        assert!(keys.len() > 60, "{keys:?}");
        for key in keys {
            assert!(KEYS.iter().any(|(beginning, _)| begins(&key, beginning)), "{key}");
        }
    }

    #[test]
    fn what_a_run_can_take_and_what_not() {
        for set in [
            "title=another",
            "optimiser.lr=1e-3",
            "optimiser.warmup_steps=5",
            "compute.recompute=blocks",
            "compute.averages=cpu",
            "phases.1.steps=9",
            "phases.1.guidance.0.coefficient=0.1",
            "phases.1.guidance.0.start_step=6",
            "phases.1.guidance.0.stop_step=7",
            "phases.1.guidance.0.warmup_steps=2",
            "phases.1.guidance.0.plugin=/elsewhere/libown.so",
            "encoder.weights=/elsewhere/encoder.safetensors",
            "encoder.weights=/elsewhere/under-another-name.safetensors",
            "phases.1.teacher.from=/elsewhere/under-another-name.pt",
            "evaluation.every=2",
            "evaluation.quality.samples=40",
            "evaluation.quality.judges=[\"untrained\"]",
            "evaluation.sampler.steps=3",
            "output.log_every=1",
            "output.checkpoint_every=2",
        ] {
            assert!(against(5, &[set]).is_empty(), "{set}: {:?}", against(5, &[set]));
        }
        for (set, reason) in [
            ("seed=4", "drawn from it"),
            ("data.size=16", "has seen these images"),
            ("data.split_seed=1", "split"),
            ("encoder.weights=embedded", "only a file that was moved"),
            ("model.depth=3", "geometry"),
            ("model.qk_norm=true", "geometry"),
            ("diffusion.path=cosine", "way from images to noise"),
            ("diffusion.prediction=noise", "learned to predict"),
            ("diffusion.label_dropout=0.2", "times and labels"),
            ("optimiser.batch=8", "would come twice"),
            ("optimiser.ema_decay=0.5", "gathered with it"),
            ("compute.precision=bf16", "computed in it"),
            ("compute.frozen=bf16", "computed in it"),
            ("phases.0.name=other", "phase"),
            ("phases.1.init=continue", "one phase follows from another"),
            ("phases.1.teacher.weights=ema", "one phase follows from another"),
            ("phases.1.guidance.0.plugin=repa", "only a file that was moved"),
            (
                "phases.1.guidance.0.plugin=/elsewhere/libother.so",
                "only a file that was moved",
            ),
            ("phases.1.guidance.0.name=other", "belong to it"),
            ("phases.1.guidance.0.config.depth=2", "belong to it"),
            ("phases.1.guidance=[]", "--without"),
        ] {
            let mut changed = recipe(&[]);
            if set == "phases.0.name=other" {
                changed.phases[0].name = "other".into();
            } else {
                changed = recipe(&[set]);
            }
            let key = set.split_once('=').unwrap().0;
            let [refusal] = &refusals(&recipe(&[]), &changed, 1, 5)[..] else {
                panic!("{set}: {:?}", refusals(&recipe(&[]), &changed, 1, 5));
            };
            assert!(refusal.contains(key) && refusal.contains(reason), "{refusal}");
        }
    }

    #[test]
    fn what_measures_may_change_and_what_was_trained_not() {
        let refused = |set: &str| measuring_refusals(&recipe(&[]), &recipe(&[set]));
        for set in [
            "title=another",
            "evaluation.images=20",
            "evaluation.quality.samples=40",
            "evaluation.sampler.cfg_scale=2",
            "output.keep=1",
            "encoder.weights=/elsewhere/encoder.safetensors",
            "phases.1.guidance.0.plugin=/elsewhere/libown.so",
        ] {
            assert!(refused(set).is_empty(), "{set}: {:?}", refused(set));
        }
        for (set, reason) in [
            ("seed=4", "drawn from it"),
            ("data.size=16", "has seen these images"),
            ("encoder.weights=embedded", "only a file that was moved"),
            ("model.num_heads=4", "geometry"),
            ("diffusion.path=cosine", "way from images to noise"),
            ("diffusion.prediction=noise", "learned to predict"),
            ("optimiser.lr=1e-3", "are done"),
            ("optimiser.ema_decay=0.5", "gathered with it"),
            ("phases.1.steps=9", "are done"),
            ("phases.1.guidance.0.coefficient=0.1", "are done"),
            ("phases.1.guidance.0.config.depth=2", "belong to it"),
        ] {
            let refused = refused(set);
            let key = set.split_once('=').unwrap().0;
            assert!(
                refused.len() == 1 && refused[0].contains(key) && refused[0].contains(reason),
                "{set}: {refused:?}"
            );
        }
    }

    #[test]
    fn every_refused_key_is_named() {
        assert_eq!(against(5, &["seed=4", "optimiser.lr=1e-3", "model.depth=3"]).len(), 2);
    }

    #[test]
    fn what_is_done_stays_as_it_was() {
        for (step, set, reason) in [
            (5, "phases.0.steps=6", "the phase is done"),
            (5, "phases.0.guidance.0.coefficient=1", "the phase is done"),
            (5, "phases.1.steps=5", "ask for at least 6"),
            (5, "phases.1.steps=3", "ask for at least 6"),
            (8, "phases.1.steps=7", "ask for at least 9"),
            (8, "optimiser.lr=1e-3", "all steps are done"),
            (8, "evaluation.every=2", "all steps are done"),
        ] {
            let refusals = against(step, &[set]);
            assert!(
                refusals.len() == 1 && refusals[0].contains(reason),
                "{set}: {refusals:?}"
            );
        }
        assert!(against(8, &["phases.1.steps=9", "optimiser.lr=1e-3", "evaluation.every=2"]).is_empty());
        assert!(against(8, &["output.keep=9", "evaluation.columns=3"]).is_empty());
    }

    #[test]
    fn a_change_has_its_key_and_both_values() {
        let changed = recipe(&["optimiser.lr=0.5", "phases.1.guidance.0.stop_step=7"]);
        let changes = changes(&recipe(&[]), &changed);
        let said: Vec<_> = changes
            .iter()
            .map(|c| format!("{} {} {}", c.key, c.from, c.to))
            .collect();
        assert_eq!(
            said,
            ["optimiser.lr 0.0001 0.5", "phases.1.guidance.0.stop_step null 7"]
        );
        assert!(changes_training(&recipe(&[]), &changed));
        assert!(!changes_training(&recipe(&[]), &recipe(&["title=x"])));
    }
}
