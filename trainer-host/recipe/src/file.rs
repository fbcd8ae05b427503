//! Recipes from file, environment and command line; and what is wrong with them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::assign::{AssignError, assign, value};
use super::base::on_its_base;
use super::data::WHOLE;
use super::overlay::take_variants;
use super::paths::make_absolute;
use super::{Recipe, Variant, overlay};

/// The sections that every recipe has.
const SECTIONS: [&str; 3] = ["data", "model", "phases"];

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
            let mut key = e.path().to_string().replace(['['], ".").replace(']', "");
            // Within a section that has a `kind`, serde forgets the key.
            if key == "data"
                && let Some(inner) = not_whole(&value["data"])
            {
                key = format!("data.{inner}");
            }
            let reason = in_words(&e.inner().to_string());
            wrong(match key.as_str() {
                "." => reason,
                key => format!("{key}: {reason}"),
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

/// The first key of the `[data]` section that must be a whole number and is none.
fn not_whole(data: &Value) -> Option<&str> {
    let mut keys = WHOLE.into_iter();
    keys.find(|key| data.get(key).is_some_and(|value| value.as_u64().is_none()))
}

/// The error of a type, in words for those who do not know Rust's.
fn in_words(error: &str) -> String {
    let number = "expected a whole number of at least 0";
    error
        .replace("expected u64", number)
        .replace("expected usize", number)
        .replace("expected f64", "expected a number")
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
    let mut table = on_its_base(path, text)?;
    // Else what is said is what the first assignment makes of nothing.
    if table.is_empty() {
        return Err(RecipeError::File {
            path: path.into(),
            reason: format!("is empty; a recipe has at least {}", SECTIONS.join(", ")),
        });
    }
    for (key, variable, text) in variables {
        assign(&mut table, &key, value(&text)).map_err(|e| RecipeError::File {
            path: path.into(),
            reason: format!("{variable}: {e}"),
        })?;
    }
    for assignment in sets {
        let wrong = |reason: String| RecipeError::Set {
            assignment: assignment.clone(),
            reason,
        };
        let (key, text) = assignment
            .split_once('=')
            .ok_or_else(|| wrong("write it as key=value, such as optimiser.lr=2e-4".into()))?;
        assign(&mut table, key.trim(), value(text.trim())).map_err(|e: AssignError| wrong(e.to_string()))?;
    }
    make_absolute(&mut table, Path::new(""));
    let mut table = json(path, table)?;
    let variants = take_variants(&mut table).map_err(|fault| RecipeError::Key {
        path: path.into(),
        reason: fault.to_string(),
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
    let file = RecipeFile {
        path: path.into(),
        base: Value::Object(json(path, table(path, text)?)?),
        variants: Vec::new(),
    };
    file.base()
}

pub(super) fn table(path: &Path, text: &str) -> Result<toml::Table, RecipeError> {
    text.parse().map_err(|e: toml::de::Error| {
        let mut reason = e.to_string();
        if integer_too_large(&e, text) {
            reason += "integers of TOML end at 9223372036854775807; write a larger seed in quotes";
        }
        RecipeError::File {
            path: path.into(),
            reason,
        }
    })
}

/// True if the error is about a number of digits alone: one that 64 bits with a sign do not hold.
fn integer_too_large(error: &toml::de::Error, text: &str) -> bool {
    let number = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// A recipe as a run has written it, with assignments of `--set`; the environment does not change it.
///
/// # Errors
/// As [`load`].
pub fn parse_changed(path: &Path, text: &str, sets: &[String]) -> Result<Recipe, RecipeError> {
    // Else an assignment into what is not there would be what is complained of.
    let kept = table(path, text)?;
    let missing = SECTIONS.into_iter().find(|section| !kept.contains_key(*section));
    if let Some(section) = missing.filter(|_| !kept.is_empty()) {
        return Err(RecipeError::File {
            path: path.into(),
            reason: format!("is not the recipe of a run: it has no `{section}`"),
        });
    }
    merged(path, text, Vec::new(), sets)?.base()
}

/// The table as JSON, which has no NaN and no infinity.
pub(super) fn json(path: &Path, table: toml::Table) -> Result<Map<String, Value>, RecipeError> {
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
        // Not published: without it the average of a short training is mostly its initial weights.
        assert!(recipe.optimiser.ema_warmup);
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
    fn a_file_that_is_no_recipe_is_not_blamed_on_an_assignment() {
        let sets = ["phases.0.steps=9".to_owned()];
        for (text, words) in [
            ("", "recipe.toml: is empty; a recipe has at least data, model, phases"),
            ("# nothing", "recipe.toml: is empty;"),
            (
                "title = \"x\"",
                "recipe.toml: is not the recipe of a run: it has no `data`",
            ),
        ] {
            let error = parse_changed(Path::new("recipe.toml"), text, &sets)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(words), "{error}");
        }
        let error = recipe("", &["phases.0.steps=9"]).unwrap_err();
        assert!(error.contains("is empty"), "{error}");
    }

    #[test]
    fn a_wrong_type_names_its_key() {
        let error = recipe(MINIMAL, &["optimiser.batch=many"]).unwrap_err();
        assert!(error.starts_with("test.toml: optimiser.batch: "), "{error}");
    }

    #[test]
    fn the_first_phase_has_none_before_it() {
        let error = recipe(MINIMAL, &["phases.0.init=continue"]).unwrap_err();
        assert!(error.contains("phases.0.init"), "{error}");
    }

    /// Every section and every key that holds a number.
    const FULL: &str = r#"
        seed = 1
        data = { kind = "emoji" }
        model = { patch_size = 4, hidden_size = 32, depth = 2, num_heads = 2 }
        optimiser = { further_ema_decays = [0.5] }
        evaluation = { quality = {}, representations = {} }
        [[phases]]
        name = "train"
        steps = 3
        [[phases.guidance]]
        plugin = "x"
        coefficient = 0.5
        stop_step = 2
        decay_start = 1
        decay_steps = 1.0
    "#;

    /// Whole numbers, and values of theirs that no run can have; and what is no whole number at all.
    const WHOLE_NUMBERS: [(&str, &[&str]); 33] = [
        ("seed", &[]),
        ("data.size", &[]),
        ("data.split_seed", &[]),
        ("model.patch_size", &["0", "1000000000000000000"]),
        ("model.hidden_size", &["0", "1000000000000000000"]),
        ("model.depth", &["0", "1000000000000000000"]),
        ("model.num_heads", &["0", "1000000000000000000"]),
        ("optimiser.warmup_steps", &[]),
        ("optimiser.batch", &["0", "1000000000000000000"]),
        ("optimiser.accumulation", &["0", "3", "1000000000000000000"]),
        ("phases.0.steps", &["0", "9000000000000000000"]),
        ("phases.0.guidance.0.start_step", &[]),
        ("phases.0.guidance.0.stop_step", &["0"]),
        ("phases.0.guidance.0.warmup_steps", &[]),
        ("phases.0.guidance.0.decay_start", &[]),
        ("evaluation.every", &[]),
        ("evaluation.images", &["0"]),
        ("evaluation.times", &["0", "1000000000000"]),
        ("evaluation.samples", &["0", "1000000000000"]),
        ("evaluation.columns", &["0"]),
        ("evaluation.sampler.steps", &["0", "1000000000000"]),
        ("evaluation.quality.samples", &["0", "19", "1000000000000"]),
        ("evaluation.quality.sweep_samples", &["0", "19", "1000000000000"]),
        ("evaluation.representations.images", &["1", "19"]),
        ("evaluation.representations.pictures", &["0"]),
        ("output.log_every", &["0"]),
        ("output.share_every", &[]),
        ("output.samples_every", &[]),
        ("output.checkpoint_every", &[]),
        ("output.keep", &["0"]),
        ("ranks.patience", &["0", "1000000000000"]),
        ("optimiser.batch", &["-1000000000000000000"]),
        ("phases.0.steps", &["-9000000000000000000"]),
    ];

    /// The other numbers; and what is no number at all.
    const NUMBERS: [(&str, &[&str]); 18] = [
        ("model.mlp_ratio", &["0", "-1", "1e300"]),
        ("diffusion.label_dropout", &["-0.1", "1.1"]),
        ("optimiser.lr", &["-1e-4", "1e4"]),
        ("optimiser.final_lr", &["-1e-4", "1e4"]),
        ("optimiser.further_ema_decays.0", &["-0.1", "1.1"]),
        ("optimiser.betas.0", &["-0.1", "1", "1.5", "0.99999999999"]),
        ("optimiser.betas.1", &["-1e-50", "1", "0.99999999999"]),
        ("optimiser.eps", &["0", "-1e-8", "1e-50", "2"]),
        ("optimiser.weight_decay", &["-1", "1e4"]),
        ("optimiser.max_grad_norm", &["0", "-1", "1e-300", "1e300"]),
        ("optimiser.ema_decay", &["-0.1", "1.1"]),
        ("phases.0.guidance.0.coefficient", &["-1", "1e300"]),
        ("phases.0.guidance.0.decay_steps", &["0", "-1"]),
        ("evaluation.sampler.cfg_scale", &["0", "0.5", "-1", "1e300"]),
        ("evaluation.sampler.guidance_low", &["-0.1", "1.1"]),
        ("evaluation.sampler.guidance_high", &["-0.1", "1.1"]),
        ("evaluation.quality.scales.0", &["0", "0.5", "1e300"]),
        ("evaluation.representations.times.0", &["0", "1", "-0.1", "1.1"]),
    ];

    #[test]
    fn a_value_that_no_run_can_have_is_an_error_that_names_the_key() {
        let full = toml::to_string(&recipe(FULL, &[]).unwrap()).unwrap();
        let no_whole: &[&str] = &["-1", "1.5", "nan", "inf", "some", "true"];
        let no_number: &[&str] = &["nan", "inf", "-inf", "some", "true"];
        let whole = WHOLE_NUMBERS.iter().map(|(key, bad)| (key, bad, no_whole));
        let others = NUMBERS.iter().map(|(key, bad)| (key, bad, no_number));
        for (key, bad, never) in whole.chain(others) {
            for value in bad.iter().chain(never) {
                let set = format!("{key}={value}");
                let error = match recipe(&full, &[&set]) {
                    Err(error) => error,
                    Ok(_) => panic!("{set} is accepted"),
                };
                // A list is named as a whole, a source by its name beside its place.
                let (section, name) = key
                    .trim_end_matches(".0")
                    .trim_end_matches(".1")
                    .rsplit_once('.')
                    .unwrap_or(("", key));
                assert!(error.contains(section) && error.contains(name), "{set}: {error}");
                assert!(
                    !error.contains("u64") && !error.contains("usize") && !error.contains("f64"),
                    "{set}: {error}"
                );
            }
        }
    }

    #[test]
    fn the_tables_of_impossible_values_have_every_number_of_a_recipe() {
        fn numbers(value: &Value, path: &str, found: &mut Vec<String>) {
            let below = |key: &str| format!("{path}.{key}").trim_start_matches('.').to_owned();
            match value {
                Value::Number(_) => found.push(path.to_owned()),
                Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_number) => found.push(below("0")),
                Value::Array(list) => (0..list.len()).for_each(|i| numbers(&list[i], &below(&i.to_string()), found)),
                Value::Object(table) => table.iter().for_each(|(key, value)| numbers(value, &below(key), found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        numbers(
            &serde_json::to_value(recipe(FULL, &[]).unwrap()).unwrap(),
            "",
            &mut found,
        );
        assert!(found.len() > 40);
        let known: Vec<&str> = WHOLE_NUMBERS.iter().chain(&NUMBERS).map(|(key, _)| *key).collect();
        for key in found {
            assert!(known.contains(&key.as_str()), "{key} is in no table");
        }
    }

    #[test]
    fn data_on_disk_have_sensible_values() {
        let data = |kind: &str, keys: &str| {
            let text = MINIMAL.replace("kind = \"emoji\"", &format!("kind = \"{kind}\"\npath = \"x\"\n{keys}"));
            recipe(&text, &[])
        };
        data("latents", "classes = 1000\nfields = [\"features\", \"attention\"]").unwrap();
        data("images", "size = 32\nheld_out = \"list.txt\"").unwrap();
        data("packed", "").unwrap();
        for (kind, keys, key) in [
            ("images", "size = 0", "data.size is 0"),
            ("images", "size = 1.5", "data.size: "),
            ("latents", "classes = 0", "data.classes is 0"),
            ("latents", "classes = -1", "data.classes: "),
            ("latents", "scale = 0", "data.scale is 0"),
            ("latents", "scale = nan", "data.scale is not finite"),
            ("latents", "held_out = 1.0", "data.held_out is 1"),
            ("packed", "held_out = 0.0", "data.held_out is 0"),
            (
                "packed",
                "fields = [\"../features\"]",
                "data.fields.0 is \"../features\"",
            ),
            ("latents", "fields = [\"a\", \"a\"]", "data.fields.1 is \"a\""),
        ] {
            let error = data(kind, keys).unwrap_err();
            assert!(error.contains(key), "{keys}: {error}");
        }
    }

    #[test]
    fn the_ends_of_the_ranges_are_allowed() {
        for set in [
            "diffusion.label_dropout=0",
            "diffusion.label_dropout=1",
            "optimiser.lr=0",
            "optimiser.betas=[0, 0]",
            "optimiser.betas=[0.9999, 0.999999]",
            "optimiser.eps=1e-30",
            "optimiser.max_grad_norm=1e30",
            "optimiser.ema_decay=0",
            "optimiser.ema_decay=1",
            "phases.0.steps=1000000000000",
            "evaluation.sampler.cfg_scale=1",
            "evaluation.columns=1000000000",
        ] {
            recipe(MINIMAL, &[set]).unwrap();
        }
    }

    #[test]
    fn a_place_that_a_list_does_not_have_is_named_with_the_assignment() {
        for set in [
            "phases.5.steps=3",
            "phases.0.guidance.3.plugin=none",
            "variants.1.name=x",
        ] {
            let error = recipe(MINIMAL, &[set]).unwrap_err();
            assert!(error.starts_with(&format!("--set {set}: ")), "{error}");
        }
        let more = recipe(MINIMAL, &["phases.0.guidance.1.plugin=repa"]).unwrap();
        assert_eq!(more.phases[0].guidance.len(), 2);
    }

    #[test]
    fn any_seed_is_set_written_and_read_back() {
        for seed in [0, 7, i64::MAX as u64, 1 << 63, u64::MAX] {
            let sets = [format!("seed={seed}"), format!("data.split_seed={seed}")];
            let first = recipe(MINIMAL, &sets.each_ref().map(String::as_str)).unwrap();
            assert_eq!(first.seed, seed);
            let text = toml::to_string(&first).unwrap();
            let again = parse_resolved(Path::new("recipe.toml"), &text).unwrap();
            assert_eq!(again.seed, seed);
            assert_eq!(again.data, first.data);
            let quoted = recipe(&format!("seed = \"{seed}\"\n{MINIMAL}"), &[]).unwrap();
            assert_eq!(quoted.seed, seed);
        }
    }

    #[test]
    fn a_seed_that_is_none_says_what_one_is() {
        let error = recipe(MINIMAL, &["seed=-1"]).unwrap_err();
        assert!(error.contains("seed: ") && error.contains("from 0 to"), "{error}");
        let unquoted = format!("seed = {}\n{MINIMAL}", u64::MAX);
        let error = recipe(&unquoted, &[]).unwrap_err();
        assert!(error.contains("in quotes"), "{error}");
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
