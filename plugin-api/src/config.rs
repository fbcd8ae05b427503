//! Reading a source's configuration so that every error names the key at fault.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Error;

/// Reads `json`, an object (empty text counts as `{}`), as a configuration.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, Error> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    let value: Value =
        serde_json::from_str(json).map_err(|error| Error::new(format!("the configuration is not JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Error::new("the configuration must be an object"));
    };
    serde_json::from_value(Value::Object(object.clone()))
        .map_err(|error| culprit::<C>(object).unwrap_or_else(|| Error::new(error.to_string())))
}

/// The keys, their types, defaults and documentation as JSON Schema.
pub(crate) fn schema<C: JsonSchema>() -> String {
    schemars::schema_for!(C).as_value().to_string()
}

/// serde says what is wrong with a value but not under which key it stood: each key is tried alone.
fn culprit<C: DeserializeOwned>(object: Map<String, Value>) -> Option<Error> {
    object.into_iter().find_map(|(key, value)| {
        let alone = Value::Object(Map::from_iter([(key.clone(), value)]));
        let error = serde_json::from_value::<C>(alone).err()?.to_string();
        if error.starts_with("missing field") {
            None
        } else if error.starts_with("unknown field") {
            Some(Error::new(error))
        } else {
            Some(Error::new(format!("`{key}`: {error}")))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        /// Number of a block.
        depth: Option<u32>,
        scale: f64,
    }

    impl Default for Config {
        fn default() -> Self {
            Self {
                depth: None,
                scale: 30.0,
            }
        }
    }

    fn error(json: &str) -> String {
        parse::<Config>(json).unwrap_err().to_string()
    }

    #[test]
    fn absent_keys_take_their_defaults() {
        assert_eq!(parse::<Config>("").unwrap(), Config::default());
        let given = parse::<Config>(r#"{"depth": 3}"#).unwrap();
        assert_eq!((given.depth, given.scale), (Some(3), 30.0));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        assert_eq!(
            error(r#"{"scale": 1.0, "dept": 3}"#),
            "unknown field `dept`, expected `depth` or `scale`"
        );
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        assert_eq!(
            error(r#"{"depth": 2, "scale": "big"}"#),
            "`scale`: invalid type: string \"big\", expected f64"
        );
        assert!(error(r#"{"depth": -1}"#).starts_with("`depth`: invalid value: integer `-1`"));
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        assert_eq!(error("[1]"), "the configuration must be an object");
        assert!(error("{").starts_with("the configuration is not JSON"));
    }

    #[test]
    fn the_schema_has_keys_types_defaults_and_documentation() {
        let schema: Value = serde_json::from_str(&schema::<Config>()).unwrap();
        let keys = &schema["properties"];
        assert_eq!(keys["scale"]["type"], "number");
        assert_eq!(keys["scale"]["default"], 30.0);
        assert_eq!(keys["depth"]["description"], "Number of a block.");
        assert_eq!(keys["depth"]["default"], Value::Null);
        assert_eq!(schema["additionalProperties"], false);
    }
}
