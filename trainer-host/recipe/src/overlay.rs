//! Variants: small overlays on a base recipe.

use serde_json::{Map, Value};

use super::KeyError;

/// One variant of a comparison: a name, and the keys that it changes.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name; its run lies in a folder of this name.
    pub name: String,
    /// The overlay, without the name.
    pub overlay: Value,
}

/// Lays `over` upon `base`: tables merge key by key, but for one that names another `kind`; everything else is replaced. A list of tables that
/// all have a `name` (the phases) is the overlay's list, in its order, in which an entry that the base has
/// under the same name begins as the base's.
pub fn overlay(base: &Value, over: &Value) -> Value {
    match (base, over) {
        (Value::Object(base), Value::Object(over))
            if over.get("kind").is_none_or(|kind| base.get("kind") == Some(kind)) =>
        {
            let mut merged = base.clone();
            for (key, value) in over {
                let value = match base.get(key) {
                    Some(old) => overlay(old, value),
                    None => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(base), Value::Array(over)) if named(base) && named(over) => Value::Array(
            over.iter()
                .map(|entry| match base.iter().find(|b| b["name"] == entry["name"]) {
                    Some(old) => overlay(old, entry),
                    None => entry.clone(),
                })
                .collect(),
        ),
        _ => over.clone(),
    }
}

fn named(list: &[Value]) -> bool {
    list.iter().all(|entry| entry.get("name").is_some())
}

/// Takes `[[variants]]` out of a recipe's table.
///
/// # Errors
/// An entry without a name, with one that is not a folder's, or with one that is there twice.
pub(super) fn take_variants(recipe: &mut Map<String, Value>) -> Result<Vec<Variant>, KeyError> {
    let Some(list) = recipe.remove("variants") else {
        return Ok(Vec::new());
    };
    let Value::Array(list) = list else {
        return Err(KeyError(
            "variants is not a list: write each as a [[variants]] table".into(),
        ));
    };
    let mut variants: Vec<Variant> = Vec::new();
    for (i, mut entry) in list.into_iter().enumerate() {
        let name = entry
            .as_object_mut()
            .and_then(|t| t.remove("name"))
            .and_then(|n| n.as_str().map(str::to_owned))
            .ok_or_else(|| {
                KeyError(format!(
                    "variants.{i} has no name: give it one, such as name = \"repa\""
                ))
            })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(KeyError(format!(
                "variants.{i}.name is {name:?}: use letters, digits, -, _ and ., since it names a folder"
            )));
        }
        if variants.iter().any(|v| v.name == name) {
            return Err(KeyError(format!("variants.{i}.name: {name:?} is there twice")));
        }
        variants.push(Variant { name, overlay: entry });
    }
    Ok(variants)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_merge_and_lists_are_replaced() {
        let base = json!({"a": {"x": 1, "y": 2}, "l": [1, 2]});
        let over = json!({"a": {"y": 3}, "l": [9]});
        assert_eq!(overlay(&base, &over), json!({"a": {"x": 1, "y": 3}, "l": [9]}));
        let data = json!({"data": {"kind": "emoji", "size": 8}});
        let other = json!({"data": {"kind": "packed", "path": "p"}});
        assert_eq!(overlay(&data, &other), other);
        assert_eq!(overlay(&data, &data), data);
    }

    #[test]
    fn named_phases_begin_as_the_base_has_them() {
        let base = json!({"phases": [{"name": "train", "steps": 10, "guidance": []}]});
        let over = json!({"phases": [{"name": "align", "steps": 3}, {"name": "train", "guidance": [{"plugin": "x"}]}]});
        let merged = overlay(&base, &over);
        assert_eq!(merged["phases"][0], json!({"name": "align", "steps": 3}));
        assert_eq!(merged["phases"][1]["steps"], 10);
        assert_eq!(merged["phases"][1]["guidance"][0]["plugin"], "x");
    }

    #[test]
    fn variants_need_names_that_are_folders_and_differ() {
        let refused = |v: Value| {
            take_variants(&mut v.as_object().unwrap().clone())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(json!({"variants": [{}]})).contains("variants.0 has no name"));
        assert!(refused(json!({"variants": [{"name": "a/b"}]})).contains("names a folder"));
        assert!(refused(json!({"variants": [{"name": "a"}, {"name": "a"}]})).contains("twice"));
    }
}
