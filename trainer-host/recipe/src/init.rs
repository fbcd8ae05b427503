//! The beginning of a phase's student.

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Convention, Import, Take, Weights};

/// Source of a phase's first weights. As text `"fresh"` or `"continue"`, or a table with `from`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Init {
    /// New weights, drawn from the seed.
    #[default]
    Fresh,
    /// The weights and moving average with which the phase before ended.
    Continue,
    /// The weights of a file; the moving average begins as they are.
    File(InitFile),
}

/// A file of weights that a student begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitFile {
    /// The file, or the folder of a run's checkpoint.
    pub from: String,
    /// Weights of it that are taken, by default the trained ones.
    #[serde(default)]
    pub weights: Option<Weights>,
    /// The convention of a file that does not tell.
    #[serde(default)]
    pub convention: Option<Convention>,
    /// All of the network, or what fits.
    #[serde(default)]
    pub take: Take,
}

impl InitFile {
    /// The weights that it names.
    pub fn import(&self) -> Import {
        Import {
            from: self.from.clone(),
            weights: self.weights,
            convention: self.convention,
        }
    }
}

impl Serialize for Init {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fresh => serializer.serialize_str("fresh"),
            Self::Continue => serializer.serialize_str("continue"),
            Self::File(file) => file.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Init {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Beginning;
        impl<'de> Visitor<'de> for Beginning {
            type Value = Init;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("\"fresh\", \"continue\", or a table such as { from = \"last.pt\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Init, E> {
                match text {
                    "fresh" => Ok(Init::Fresh),
                    "continue" => Ok(Init::Continue),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Init, M::Error> {
                InitFile::deserialize(MapAccessDeserializer::new(map)).map(Init::File)
            }
        }
        deserializer.deserialize_any(Beginning)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Recipe, RecipeError, parse_resolved};

    fn recipe(phases: &str) -> Result<Recipe, RecipeError> {
        let text = format!(
            "data = {{ kind = \"emoji\", size = 8 }}\nmodel = {{ patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }}\n\
             phases = [{phases}]"
        );
        parse_resolved(Path::new("recipe.toml"), &text)
    }

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        let recipe = recipe(
            "{ name = \"a\", steps = 1, init = { from = \"last.pt\", weights = \"ema\", convention = \"sit\", take = \"fits\" } }",
        )
        .unwrap();
        let Init::File(file) = &recipe.phases[0].init else {
            panic!("{:?}", recipe.phases[0].init)
        };
        let wanted = (Some(Weights::Ema), Some(Convention::Sit), Take::Fits);
        assert_eq!((file.weights, file.convention, file.take), wanted);
        let again = parse_resolved(Path::new("again"), &toml::to_string(&recipe).unwrap()).unwrap();
        assert_eq!(again.phases[0].init, recipe.phases[0].init);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key() {
        for (phase, words) in [
            (
                "init = \"new\"",
                "phases.0.init: invalid value: string \"new\", expected \"fresh\"",
            ),
            ("init = { form = \"a.pt\" }", "phases.0.init: missing field `from`"),
            ("init = { from = \"\" }", "phases.0.init.from is empty"),
            ("init = { from = \"a.pt\", wieghts = \"ema\" }", "did you mean weights?"),
            ("init = { from = \"a.pt\", take = \"some\" }", "phases.0.init.take"),
            ("teacher = { weights = \"ema\" }", "phases.0.teacher needs either phase"),
            (
                "teacher = { phase = \"a\", from = \"a.pt\" }",
                "phases.0.teacher needs either phase",
            ),
            ("teacher = { phase = \"b\" }", "phases.0.teacher.phase is \"b\""),
            ("teacher = { from = \"\" }", "phases.0.teacher.from is empty"),
        ] {
            let message = recipe(&format!("{{ name = \"a\", steps = 1, {phase} }}"))
                .unwrap_err()
                .to_string();
            assert!(message.contains(words), "{phase}: {message}");
        }
    }
}
