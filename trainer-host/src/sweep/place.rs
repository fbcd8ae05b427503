//! A value put into a variant's overlay, so that the overlay laid upon the base has it.

use serde_json::{Map, Value};

/// A key a part of which is no entry of its list.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The list's entries have no names.
    #[error("{key}: there is no entry {part}; there are {count}, counted from 0")]
    Counted {
        /// The key.
        key: String,
        /// The part.
        part: String,
        /// Number of entries.
        count: usize,
    },
    /// The list's entries have names.
    #[error("{key}: there is no entry {part}; there are: {names}")]
    Named {
        /// The key.
        key: String,
        /// The part.
        part: String,
        /// Names of the entries.
        names: String,
    },
}

/// Sets `key` in `over`, an overlay that laid upon its base gives `merged`. A part of the key is a key of a table, the index of
/// a list's entry, or the `name` of one.
///
/// # Errors
/// A key that leads to an entry which a list does not have. Keys that a table does not know are found when the recipe is read.
pub fn set(over: &mut Value, merged: &Value, key: &str, value: &Value) -> Result<(), PlaceError> {
    let (mut over, mut merged) = (over, merged);
    for part in key.split('.') {
        if let Value::Array(entries) = merged {
            let index = entry(entries, key, part)?;
            // An overlay replaces a list as a whole, so that it begins as what is there. One that it has already has the same
            // entries in the same order, if not all keys of each.
            if !over.is_array() {
                *over = merged.clone();
            }
            (over, merged) = (&mut over[index], &entries[index]);
        } else {
            if !over.is_object() {
                *over = Value::Object(Map::new());
            }
            (over, merged) = (&mut over[part], merged.get(part).unwrap_or(&Value::Null));
        }
    }
    *over = value.clone();
    Ok(())
}

fn entry(entries: &[Value], key: &str, part: &str) -> Result<usize, PlaceError> {
    let named = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(part);
    let index = part.parse().ok().filter(|index| *index < entries.len());
    index.or_else(|| entries.iter().position(named)).ok_or_else(|| {
        let names: Vec<_> = entries.iter().filter_map(|entry| entry["name"].as_str()).collect();
        let (key, part) = (key.to_owned(), part.to_owned());
        match names.as_slice() {
            [] => PlaceError::Counted {
                key,
                part,
                count: entries.len(),
            },
            names => PlaceError::Named {
                key,
                part,
                names: names.join(", "),
            },
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use sextant_recipe::overlay;

    /// The base with the overlay on it, after a key was set.
    fn placed(over: Value, key: &str, value: Value) -> Result<(Value, Value), PlaceError> {
        let base = json!({
            "optimiser": {"lr": 1e-4, "batch": 8},
            "phases": [{"name": "train", "steps": 10, "guidance": [{"plugin": "none", "coefficient": 1.0}]}],
        });
        let merged = overlay(&base, &over);
        let mut changed = over;
        set(&mut changed, &merged, key, &value)?;
        Ok((merged, overlay(&base, &changed)))
    }

    #[test]
    fn only_the_key_changes_wherever_it_lies() {
        let two = json!({"phases": [{"name": "align", "steps": 3}, {"name": "train", "teacher": {"phase": "align"}}]});
        for (over, key, pointer) in [
            (json!({}), "optimiser.lr", "/optimiser/lr"),
            (json!({"optimiser": {"batch": 4}}), "optimiser.lr", "/optimiser/lr"),
            (
                json!({}),
                "phases.0.guidance.0.coefficient",
                "/phases/0/guidance/0/coefficient",
            ),
            (
                two.clone(),
                "phases.train.guidance.0.coefficient",
                "/phases/1/guidance/0/coefficient",
            ),
            (two.clone(), "phases.1.steps", "/phases/1/steps"),
            (two, "phases.align.steps", "/phases/0/steps"),
        ] {
            let (before, after) = placed(over, key, json!(77)).unwrap();
            let mut wanted = before;
            *wanted.pointer_mut(pointer).unwrap() = json!(77);
            assert_eq!(after, wanted, "{key}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_made() {
        let (_, after) = placed(json!({}), "evaluation.sampler.steps", json!(5)).unwrap();
        assert_eq!(after["evaluation"]["sampler"]["steps"], 5);
    }

    #[test]
    fn an_entry_that_is_not_there_is_named() {
        let error = placed(json!({}), "phases.align.steps", json!(1))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "phases.align.steps: there is no entry align; there are: train");
        let error = placed(json!({}), "phases.0.guidance.3.coefficient", json!(1))
            .unwrap_err()
            .to_string();
        assert!(error.contains("there are 1, counted from 0"), "{error}");
    }
}
