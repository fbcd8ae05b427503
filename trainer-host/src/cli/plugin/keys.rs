//! The keys of a configuration, read from its JSON Schema.
//!
//! A reader for people, not a validator: what it does not understand it calls by what it is called, and the source itself
//! refuses what is wrong.

use serde::Serialize;
use serde_json::Value;

/// Deeper than any configuration is; a schema that refers to itself ends here.
const DEEPEST: usize = 8;

/// One key of a source's `config` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Key {
    /// Its name, with dots for tables in tables.
    pub name: String,
    /// Kind of its value, in the words of the configuration reference.
    #[serde(rename = "type")]
    pub kind: String,
    /// True if it must be given.
    pub required: bool,
    /// Its value if left out; none also where it is then absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The author's words.
    pub description: String,
}

/// The keys that `schema` describes, in its order.
pub fn keys(schema: &Value) -> Vec<Key> {
    let mut keys = Vec::new();
    collect(schema, schema, &schema["default"], "", DEEPEST, &mut keys);
    keys
}

/// `defaults` are those of the whole table, which win: they are what the table is when it is left out.
fn collect(root: &Value, table: &Value, defaults: &Value, prefix: &str, depth: usize, keys: &mut Vec<Key>) {
    let required = table["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (name, schema) in table["properties"].as_object().into_iter().flatten() {
        let target = resolve(root, schema);
        let default = [&defaults[name], &schema["default"], &target["default"]]
            .into_iter()
            .find(|value| !value.is_null());
        let name_here = format!("{prefix}{name}");
        if depth > 0 && target["properties"].is_object() {
            let defaults = default.unwrap_or(&Value::Null);
            collect(root, target, defaults, &format!("{name_here}."), depth - 1, keys);
            continue;
        }
        keys.push(Key {
            name: name_here,
            kind: kind(root, schema, depth),
            required: required.contains(&Value::String(name.clone())),
            default: default.cloned(),
            description: words(&schema["description"], &target["description"]),
        });
    }
}

/// One line of what the author wrote over several.
fn words(own: &Value, referred: &Value) -> String {
    let text = own.as_str().or(referred.as_str()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The schema behind a reference, also where null is the only other choice.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = match alternatives(schema)[..] {
        [only] => only,
        _ => schema,
    };
    let path = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    path.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

/// Choices that `anyOf`, `oneOf` or `allOf` offer, but for null.
fn alternatives(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|key| schema[*key].as_array())
        .flatten()
        .filter(|choice| choice["type"] != "null")
        .collect()
}

fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    let mut kinds = kinds_of(root, schema, depth);
    let mut seen = std::collections::BTreeSet::new();
    kinds.retain(|kind| seen.insert(kind.clone()));
    match kinds.split_last() {
        None => "any value".into(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

fn kinds_of(root: &Value, schema: &Value, depth: usize) -> Vec<String> {
    let target = resolve(root, schema);
    if let Some(value) = target.get("const") {
        return vec![value.to_string()];
    }
    if let Some(values) = target["enum"].as_array() {
        return values.iter().filter(|v| !v.is_null()).map(Value::to_string).collect();
    }
    let choices = alternatives(target);
    if depth > 0 && !choices.is_empty() {
        let kinds = choices.into_iter().map(|choice| kinds_of(root, choice, depth - 1));
        return kinds.flatten().collect();
    }
    let types = match &target["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => Vec::from_iter(one.as_str()),
    };
    let types = types.into_iter().filter(|name| *name != "null");
    types.map(|name| simple(root, target, name, depth)).collect()
}

fn simple(root: &Value, schema: &Value, name: &str, depth: usize) -> String {
    match name {
        "boolean" => "truth value".into(),
        "string" => "text".into(),
        "object" => "table".into(),
        "array" if depth > 0 && schema["items"].is_object() => {
            format!("list of {}", kind(root, &schema["items"], depth - 1))
        }
        "array" => "list".into(),
        "integer" | "number" => match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
            (Some(least), Some(most)) => format!("{name} from {least} to {most}"),
            (Some(least), None) => format!("{name} ≥ {least}"),
            (None, Some(most)) => format!("{name} ≤ {most}"),
            (None, None) => name.into(),
        },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Schema that schemars 1 derives, and a few forms that other generators write.
    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "depth": { "description": "Block;\n half if left out.", "type": ["integer", "null"], "format": "uint32",
                           "minimum": 0, "default": null },
                "size": { "type": "number", "default": 1.0 },
                "name": { "type": "string" },
                "flag": { "type": "boolean", "default": false },
                "small": { "type": "integer", "minimum": 0, "maximum": 255 },
                "mask": { "description": "Which.", "$ref": "#/$defs/Mask", "default": "sample" },
                "maybe": { "anyOf": [{ "$ref": "#/$defs/Mask" }, { "type": "null" }] },
                "widths": { "type": "array", "items": { "type": "integer" }, "default": [1, 2] },
                "inner": { "$ref": "#/$defs/Inner", "default": { "a": 4 } },
                "loop": { "$ref": "#/$defs/Loop" },
                "free": true
            },
            "$defs": {
                "Mask": { "description": "How.", "oneOf": [
                    { "const": "sample", "type": "string" }, { "enum": ["inside", "released"], "type": "string" } ] },
                "Inner": { "type": "object", "properties": {
                    "a": { "type": "integer", "default": 3 }, "b": { "type": "object" } } },
                "Loop": { "type": "object", "properties": { "again": { "$ref": "#/$defs/Loop" } } }
            }
        })
    }

    #[test]
    fn should_say_types_as_the_reference_does_and_defaults_and_words() {
        let mask = "\"sample\", \"inside\" or \"released\"";
        for (name, kind, default, words) in [
            ("depth", "integer ≥ 0", None, "Block; half if left out."),
            ("size", "number", Some(json!(1.0)), ""),
            ("name", "text", None, ""),
            ("flag", "truth value", Some(json!(false)), ""),
            ("small", "integer from 0 to 255", None, ""),
            ("mask", mask, Some(json!("sample")), "Which."),
            ("maybe", mask, None, "How."),
            ("widths", "list of integer", Some(json!([1, 2])), ""),
            ("inner.a", "integer", Some(json!(4)), ""),
            ("inner.b", "table", None, ""),
            ("free", "any value", None, ""),
        ] {
            let expected = Key {
                name: name.into(),
                kind: kind.into(),
                required: name == "name",
                default,
                description: words.into(),
            };
            let found = keys(&schema()).into_iter().find(|key| key.name == name);
            assert_eq!(found, Some(expected));
        }
    }

    #[test]
    fn should_end_with_a_schema_that_refers_to_itself() {
        let keys_of_loop = keys(&schema()).into_iter().filter(|key| key.name.starts_with("loop"));
        assert_eq!(keys_of_loop.count(), 1);
        assert_eq!(keys(&json!("nonsense")), []);
    }
}
