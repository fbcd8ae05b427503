//! Recipes from file, environment and command line; and what is wrong with them.

use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};
use serde_json::{Map, Value};

use super::overlay::take_variants;
use super::paths::make_absolute;
use super::{Recipe, Variant, overlay};

/// An error of a recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read or is not TOML.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A `--set` that cannot be applied.
    #[error("--set {assignment}: {reason}")]
    Set {
        /// As it was written.
        assignment: String,
        /// The reason.
        reason: String,
    },
    /// A key that is unknown, missing, or has a wrong value.
    #[error("{path}: {reason}")]
    Key {
        /// The recipe.
        path: PathBuf,
        /// The key and what would be right.
        reason: String,
    },
}

/// A recipe file with its overrides applied, its variants still apart.
#[derive(Clone, Debug)]
pub struct RecipeFile {
    path: PathBuf,
    base: Value,
    /// The variants, in the order of the file; empty for a recipe that is no comparison.
    pub variants: Vec<Variant>,
}

impl RecipeFile {
    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe without its variants.
    ///
    /// # Errors
    /// See [`RecipeError::Key`].
    pub fn base(&self) -> Result<Recipe, RecipeError> {
        self.typed(&self.base)
    }

    /// The recipe of one variant.
    ///
    /// # Errors
    /// See [`RecipeError::Key`]; the message names the variant.
    pub fn variant(&self, variant: &Variant) -> Result<Recipe, RecipeError> {
        self.typed(&self.merged(variant)).map_err(|error| match error {
            RecipeError::Key { path, reason } => RecipeError::Key {
                path,
                reason: format!("variant {:?}: {reason}", variant.name),
            },
            other => other,
        })
    }

    /// The keys of one variant, its overlay laid upon the base; nothing is checked, and defaults are not filled in.
    pub fn merged(&self, variant: &Variant) -> Value {
        overlay(&self.base, &variant.overlay)
    }

    /// The file as TOML, overrides applied and variants last.
    ///
    /// # Errors
    /// A value that is not one of TOML's.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        let mut whole = self.base.clone();
        let named = |variant: &Variant| {
            let mut entry = Map::from_iter([("name".to_owned(), Value::from(variant.name.clone()))]);
            entry.extend(variant.overlay.as_object().cloned().unwrap_or_default());
            Value::Object(entry)
        };
        if let Some(table) = whole.as_object_mut().filter(|_| !self.variants.is_empty()) {
            table.insert("variants".into(), self.variants.iter().map(named).collect());
        }
        toml::to_string(&whole).map_err(|e| RecipeError::File {
            path: self.path.clone(),
            reason: e.to_string(),
        })
    }

    /// The variant of this name.
    ///
    /// # Errors
    /// Lists the names that there are.
    pub fn find_variant(&self, name: &str) -> Result<&Variant, RecipeError> {
        self.variants.iter().find(|v| v.name == name).ok_or_else(|| {
            let names: Vec<_> = self.variants.iter().map(|v| v.name.as_str()).collect();
            RecipeError::Key {
                path: self.path.clone(),
                reason: format!("there is no variant {name:?}; the variants are: [{}]", names.join(", ")),
            }
        })
    }

    fn typed(&self, value: &Value) -> Result<Recipe, RecipeError> {
        let wrong = |reason: String| RecipeError::Key {
            path: self.path.clone(),
            reason,
        };
        let recipe: Recipe = serde_path_to_error::deserialize(value).map_err(|e| {
            let key = e.path().to_string().replace(['['], ".").replace(']', "");
            wrong(match key.as_str() {
                "." => e.inner().to_string(),
                key => format!("{key}: {}", e.inner()),
            })
        })?;
        let known = serde_json::to_value(&recipe).map_err(|e| wrong(e.to_string()))?;
        if let Some(unknown) = unknown_key(value, &known, "") {
            return Err(wrong(unknown));
        }
        recipe.validate().map_err(|e| wrong(e.0))?;
        Ok(recipe)
    }
}

/// The first key of `given` that `known`, the same recipe written out again in full, does not have.
fn unknown_key(given: &Value, known: &Value, path: &str) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(key, value)| {
            let here = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match known.get(key) {
                Some(known) => unknown_key(value, known, &here),
                None => Some(unknown_message(&here, key, known)),
            }
        }),
        (Value::Array(given), Value::Array(known)) => given
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(i, (given, known))| unknown_key(given, known, &format!("{path}.{i}"))),
        _ => None,
    }
}

fn unknown_message(here: &str, key: &str, known: &Map<String, Value>) -> String {
    let nearest = known
        .keys()
        .map(|k| (strsim::damerau_levenshtein(k, key), k))
        .min()
        .filter(|(distance, k)| *distance <= 2.max(k.len() / 3));
    match nearest {
        Some((_, nearest)) => format!("{here} is not a key; did you mean {nearest}?"),
        None => {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            format!("{here} is not a key; known here are: {}", names.join(", "))
        }
    }
}

/// Reads a recipe: the file, then `SEXTANT__…` variables, then the assignments of `--set`.
///
/// # Errors
/// See [`RecipeError`]. Unknown keys show when the recipe is made ([`RecipeFile::base`]).
pub fn load(path: &Path, sets: &[String]) -> Result<RecipeFile, RecipeError> {
    let text = std::fs::read_to_string(path).map_err(|e| RecipeError::File {
        path: path.into(),
        reason: format!("cannot be read: {e}"),
    })?;
    parse(path, &text, sets)
}

/// Like [`load`], from the file's text.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, text: &str, sets: &[String]) -> Result<RecipeFile, RecipeError> {
    let variables =
        std::env::vars().filter_map(|(variable, value)| Some((environment_key(&variable)?, variable, value)));
    merged(path, text, variables.collect(), sets)
}

/// The file, then variables (key, name and value), then assignments. A relative path is seen from the folder of the file that names
/// it, and from the working directory where a variable or an assignment does.
fn merged(
    path: &Path,
    text: &str,
    variables: Vec<(String, String, String)>,
    sets: &[String],
) -> Result<RecipeFile, RecipeError> {
    let in_file = |reason: String| RecipeError::File {
        path: path.into(),
        reason,
    };
    // What is no TOML is said below.
    let mut table: toml::Table = text.parse().unwrap_or_default();
    let located = make_absolute(&mut table, path.parent().unwrap_or(Path::new("")));
    let located = located.then(|| toml::to_string(&table)).transpose();
    let text = located
        .map_err(|e| in_file(e.to_string()))?
        .unwrap_or_else(|| text.to_owned());
    let mut builder = Config::builder().add_source(File::from_str(&text, FileFormat::Toml));
    for (key, variable, value) in variables {
        builder = builder
            .set_override(index_syntax(&key), toml_value(&value))
            .map_err(|e| in_file(format!("{variable}: {e}")))?;
    }
    for assignment in sets {
        let wrong = |reason: String| RecipeError::Set {
            assignment: assignment.clone(),
            reason,
        };
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| wrong("write it as key=value, such as optimiser.lr=2e-4".into()))?;
        builder = builder
            .set_override(index_syntax(key.trim()), toml_value(value.trim()))
            .map_err(|e| wrong(e.to_string()))?;
    }
    let mut table: toml::Table = builder
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|e| in_file(e.to_string()))?;
    make_absolute(&mut table, Path::new(""));
    let mut table = json(path, table)?;
    let variants = take_variants(&mut table).map_err(|reason| RecipeError::Key {
        path: path.into(),
        reason,
    })?;
    Ok(RecipeFile {
        path: path.into(),
        base: Value::Object(table),
        variants,
    })
}

/// A recipe as a run has written it: neither environment nor command line changes it.
///
/// # Errors
/// As [`load`].
pub fn parse_resolved(path: &Path, text: &str) -> Result<Recipe, RecipeError> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| RecipeError::File {
        path: path.into(),
        reason: e.to_string(),
    })?;
    let file = RecipeFile {
        path: path.into(),
        base: Value::Object(json(path, table)?),
        variants: Vec::new(),
    };
    file.base()
}

/// A recipe as a run has written it, with assignments of `--set`; the environment does not change it.
///
/// # Errors
/// As [`load`].
pub fn parse_changed(path: &Path, text: &str, sets: &[String]) -> Result<Recipe, RecipeError> {
    merged(path, text, Vec::new(), sets)?.base()
}

/// The table as JSON, which has no NaN and no infinity.
fn json(path: &Path, table: toml::Table) -> Result<Map<String, Value>, RecipeError> {
    if let Some(key) = not_finite(&toml::Value::Table(table.clone()), String::new()) {
        return Err(RecipeError::Key {
            path: path.into(),
            reason: format!("{key} is not finite; it must be a number"),
        });
    }
    let table = serde_json::to_value(table).map_err(|e| RecipeError::File {
        path: path.into(),
        reason: e.to_string(),
    })?;
    match table {
        Value::Object(table) => Ok(table),
        _ => Ok(Map::new()),
    }
}

/// The key of the first number that is not finite.
fn not_finite(value: &toml::Value, path: String) -> Option<String> {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        toml::Value::Float(f) if !f.is_finite() => Some(path),
        toml::Value::Table(table) => table.iter().find_map(|(key, value)| not_finite(value, below(key))),
        toml::Value::Array(list) => {
            let mut items = list.iter().enumerate();
            items.find_map(|(i, value)| not_finite(value, below(&i.to_string())))
        }
        _ => None,
    }
}

/// The key that a variable sets: `SEXTANT__PHASES__0__STEPS` is `phases.0.steps`.
fn environment_key(variable: &str) -> Option<String> {
    let key = variable.strip_prefix("SEXTANT__")?;
    Some(key.to_lowercase().replace("__", "."))
}

/// `phases.0.steps` as the config crate writes it: `phases[0].steps`.
fn index_syntax(key: &str) -> String {
    let mut path = String::new();
    for part in key.split('.') {
        if !path.is_empty() && part.chars().all(|c| c.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(part);
        }
    }
    path
}

/// A value as TOML reads it; what is not TOML is text, so that names need no quotes.
fn toml_value(text: &str) -> config::Value {
    let parsed: Option<toml::Value> = toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut t| t.remove("v"));
    match parsed {
        Some(value) => config_value(value),
        None => text.into(),
    }
}

fn config_value(value: toml::Value) -> config::Value {
    match value {
        toml::Value::String(s) => s.into(),
        toml::Value::Integer(i) => i.into(),
        toml::Value::Float(f) => f.into(),
        toml::Value::Boolean(b) => b.into(),
        toml::Value::Datetime(d) => d.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(config_value).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(k, v)| (k, config_value(v)))
            .collect::<config::Map<String, config::Value>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        [data]
        kind = "emoji"
        [model]
        patch_size = 4
        hidden_size = 32
        depth = 2
        num_heads = 2
        [[phases]]
        name = "train"
        steps = 3
        guidance = [{ plugin = "none" }]
    "#;

    fn recipe(text: &str, sets: &[&str]) -> Result<Recipe, String> {
        let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
        parse(Path::new("test.toml"), text, &sets)
            .and_then(|f| f.base())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_the_published_ones() {
        let recipe = recipe(MINIMAL, &[]).unwrap();
        assert_eq!(recipe.optimiser.batch, 256);
        assert_eq!(recipe.optimiser.ema_decay, 0.9999);
        assert_eq!(recipe.diffusion.label_dropout, 0.1);
    }

    #[test]
    fn set_reaches_into_lists_and_needs_no_quotes() {
        let recipe = recipe(
            MINIMAL,
            &[
                "phases.0.guidance.0.plugin=repa",
                "phases.0.steps=7",
                "optimiser.lr=2e-4",
            ],
        )
        .unwrap();
        assert_eq!(recipe.phases[0].guidance[0].plugin, "repa");
        assert_eq!(recipe.phases[0].steps, 7);
        assert_eq!(recipe.optimiser.lr, 2e-4);
    }

    #[test]
    fn an_unknown_key_suggests_the_nearest() {
        let error = recipe(MINIMAL, &["optimiser.leaning_rate=1", "optimiser.bacth=3"]).unwrap_err();
        assert!(error.contains("is not a key"), "{error}");
        let error = recipe(MINIMAL, &["optimiser.bacth=3"]).unwrap_err();
        assert_eq!(error, "test.toml: optimiser.bacth is not a key; did you mean batch?");
        let error = recipe(&MINIMAL.replace("steps = 3", "steps = 3\nstep = 4"), &[]).unwrap_err();
        assert_eq!(error, "test.toml: phases.0.step is not a key; did you mean steps?");
    }

    #[test]
    fn a_variable_names_a_key_as_set_does() {
        assert_eq!(
            environment_key("SEXTANT__PHASES__0__STEPS").as_deref(),
            Some("phases.0.steps")
        );
        assert_eq!(environment_key("SEXTANT_PLUGIN_PATH"), None);
        assert_eq!(
            index_syntax("phases.0.guidance.10.plugin"),
            "phases[0].guidance[10].plugin"
        );
    }

    #[test]
    fn a_path_is_seen_from_where_it_is_named() {
        let text = format!("{MINIMAL}\n[encoder]\nweights = \"own.safetensors\"\n");
        let of = |sets: &[String]| {
            let recipe = parse(Path::new("/recipes/own.toml"), &text, sets).unwrap().base();
            recipe.unwrap().encoder.unwrap().weights
        };
        assert_eq!(of(&[]), "/recipes/own.safetensors");
        let here = std::env::current_dir().unwrap().join("other.safetensors");
        assert_eq!(
            of(&["encoder.weights=other.safetensors".into()]),
            here.to_str().unwrap()
        );
        assert_eq!(of(&["encoder.weights=untrained".into()]), "untrained");
    }

    #[test]
    fn a_run_s_recipe_takes_assignments() {
        let sets = [
            "phases.0.steps=9".to_owned(),
            "phases.0.guidance.0.coefficient=0.25".to_owned(),
        ];
        let recipe = parse_changed(Path::new("recipe.toml"), MINIMAL, &sets).unwrap();
        assert_eq!(
            (recipe.phases[0].steps, recipe.phases[0].guidance[0].coefficient),
            (9, Some(0.25))
        );
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let error = recipe(MINIMAL, &["optimiser.batch=many"]).unwrap_err();
        assert!(error.starts_with("test.toml: optimiser.batch: "), "{error}");
    }

    #[test]
    fn ranges_are_checked() {
        for (set, key) in [
            ("diffusion.label_dropout=1.5", "diffusion.label_dropout"),
            ("optimiser.accumulation=3", "optimiser.accumulation"),
            ("phases.0.steps=0", "phases.0.steps"),
            ("phases.0.init=continue", "phases.0.init"),
            ("optimiser.lr=nan", "optimiser.lr"),
        ] {
            let error = recipe(MINIMAL, &[set]).unwrap_err();
            assert!(error.contains(key), "{set}: {error}");
        }
    }

    #[test]
    fn a_file_with_variants_reads_back_the_same() {
        let text = format!("{MINIMAL}\n[[variants]]\nname = \"a\"\noptimiser = {{ lr = 1e-3, betas = [0.9, 0.95] }}\n");
        let file = parse(Path::new("test.toml"), &text, &["seed=7".into()]).unwrap();
        let written = file.to_toml().unwrap();
        let again = parse(Path::new("test.toml"), &written, &[]).unwrap();
        assert_eq!(again.merged(&again.variants[0]), file.merged(&file.variants[0]));
        assert_eq!(again.variants[0].name, "a");
        assert_eq!(again.base().unwrap().seed, 7);
        assert_eq!(again.to_toml().unwrap(), written);
    }

    #[test]
    fn the_resolved_recipe_reads_back_the_same() {
        let first = recipe(MINIMAL, &[]).unwrap();
        let text = toml::to_string(&first).unwrap();
        let again = recipe(&text, &[]).unwrap();
        assert_eq!(toml::to_string(&again).unwrap(), text);
    }
}
