//! Differences between two recipes.

use std::path::Path;

use serde_json::{Map, Value};

use sextant_recipe::{Change, Recipe, value_changes};

/// A difference in words: both values, each with the folder that has it.
pub fn between(difference: &Change, first: &Path, second: &Path) -> String {
    let Change { key, from, to } = difference;
    format!(
        "{key} is {from} in {} and {to} in {}",
        first.display(),
        second.display()
    )
}

/// The first key on which two values differ; `path` is that of the values themselves, empty for whole recipes.
pub fn first(one: &Value, other: &Value, path: &str) -> Option<Change> {
    value_changes(one, other, path).into_iter().next()
}

/// The path of a key in the table at `path`.
fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// A recipe as a value.
pub fn value(recipe: &Recipe) -> Value {
    serde_json::to_value(recipe).expect("a recipe is plain data with names as keys")
}

/// The part of a recipe on the training and of the validation curve. Left out are its title, what is written, and what is
/// measured of the finished network: a run can be measured in another way without being trained again.
pub fn training(recipe: &Recipe) -> Value {
    let mut value = value(recipe);
    let mut remove = |table: &str, keys: &[&str]| {
        if let Some(Value::Object(table)) = value.pointer_mut(table) {
            table.retain(|key, _| !keys.contains(&key.as_str()));
        }
    };
    remove("", &["title", "output"]);
    let measured = ["quality", "representations", "samples", "columns", "sampler", "primary"];
    remove("/evaluation", &measured);
    value
}

/// The keys that have to be added to `base` to get `recipe`, as TOML: tables key by key, everything else whole; keys that only
/// `base` has as comments. Title and seed are left out, since a variant has neither.
pub fn overlay(base: &Recipe, recipe: &Recipe) -> String {
    let [base, recipe] = [base, recipe].map(|recipe| {
        let mut value = value(recipe);
        for key in ["title", "seed"] {
            value[key].take();
        }
        value
    });
    let mut without = Vec::new();
    let changed = changes(&base, &recipe, "", &mut without);
    let without: String = without.iter().map(|key| format!("# without {key}\n")).collect();
    without + &toml::to_string(&changed).expect("without nulls, a table is TOML")
}

/// The entries of `new` that `old` has not, or has otherwise; TOML has no null, so that what is gone is listed apart.
fn changes(old: &Value, new: &Value, path: &str, without: &mut Vec<String>) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return present(new);
    };
    let mut changed = Map::new();
    let keys = new.keys().chain(old.keys().filter(|key| !new.contains_key(*key)));
    for key in keys {
        let here = below(path, key);
        let (before, after) = (
            old.get(key).unwrap_or(&Value::Null),
            new.get(key).unwrap_or(&Value::Null),
        );
        if before == after {
            continue;
        }
        match after {
            Value::Null => without.push(here),
            after => match changes(before, after, &here, without) {
                Value::Object(table) if table.is_empty() => {}
                change => {
                    changed.insert(key.clone(), change);
                }
            },
        }
    }
    Value::Object(changed)
}

/// The value without what is null.
fn present(value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let entries = table.iter().filter(|(_, value)| !value.is_null());
            Value::Object(entries.map(|(key, value)| (key.clone(), present(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(present).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture;

    #[test]
    fn the_first_difference_has_its_key_and_both_values() {
        let one = json!({"a": {"x": 1, "y": [1, {"z": 2}]}});
        let other = json!({"a": {"x": 1, "y": [1, {"z": 3}]}});
        let difference = first(&one, &other, "").unwrap();
        assert_eq!((difference.key.as_str(), &difference.from), ("a.y.1.z", &json!(2)));
        assert_eq!(
            between(&difference, Path::new("A"), Path::new("B")),
            "a.y.1.z is 2 in A and 3 in B"
        );
        assert_eq!(first(&one, &one, ""), None);
        assert_eq!(first(&json!({}), &json!({"k": 1}), "recipe").unwrap().key, "recipe.k");
    }

    #[test]
    fn measuring_is_not_training() {
        let recipe = fixture::recipe(0, None);
        let mut other = recipe.clone();
        other.evaluation.samples += 1;
        other.evaluation.quality = Some(Default::default());
        other.output.keep += 1;
        assert_eq!(training(&recipe), training(&other));
        for change in [
            (|r| r.evaluation.every += 1) as fn(&mut Recipe),
            |r| r.evaluation.images += 1,
            |r| r.evaluation.times += 1,
            |r| r.optimiser.lr *= 2.0,
            |r| r.seed += 1,
        ] {
            let mut other = recipe.clone();
            change(&mut other);
            assert_ne!(training(&recipe), training(&other));
        }
    }

    #[test]
    fn an_overlay_has_what_changed_and_names_what_is_gone() {
        let base = fixture::recipe(0, None);
        let mut guided = fixture::recipe(7, Some("repa"));
        guided.optimiser.lr = 0.5;
        guided.title = "another".into();
        let overlay_text = overlay(&base, &guided);
        let table: toml::Table = overlay_text.parse().unwrap();
        assert_eq!(table["optimiser"].as_table().unwrap().len(), 1);
        assert_eq!(table["phases"][0]["guidance"][0]["plugin"].as_str(), Some("repa"));
        assert!(
            !table.contains_key("title") && !table.contains_key("seed"),
            "{overlay_text}"
        );
        assert_eq!(overlay(&base, &base), "");
        let mut sized = base.clone();
        sized.model.patch_size = None;
        assert_eq!(overlay(&base, &sized), "# without model.patch_size\n");
    }
}
