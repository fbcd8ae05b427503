//! Variations: keys and their values, and the grid of them.

use serde::Serialize;
use serde_json::Value;

/// A key of the recipe and the values that are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Vary {
    /// As in `--set`; an entry of a list may be named too, such as `phases.train.guidance.0.coefficient`.
    pub key: String,
    /// Its values, each once.
    pub values: Vec<Value>,
}

/// Values of the varied keys: one cell of the grid.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Setting(Vec<Choice>);

/// One key's value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// A text that says nothing that can be varied.
#[derive(Debug, thiserror::Error)]
pub enum VaryError {
    /// A text without an equals sign.
    #[error("{0}: write it as key=value,value, such as optimiser.lr=3e-4,1e-3")]
    Form(String),
    /// The seed as the key.
    #[error("{0}: the seed cannot be varied: a setting would win by luck")]
    Seed(String),
    /// A key that is empty, or a part of it.
    #[error("{0}: name a key of the recipe before the =")]
    NoKey(String),
    /// A value that is missing.
    #[error("{0}: give at least one value, and none that is empty")]
    NoValue(String),
    /// A value that is infinite, or no number.
    #[error("{0}: a value is not finite; each must be a number")]
    NotFinite(String),
    /// A value that occurs twice.
    #[error("{text}: {value} is there twice")]
    Twice {
        /// The text.
        text: String,
        /// The value.
        value: Value,
    },
}

impl Vary {
    /// Reads `KEY=VALUE,VALUE,…`. Values are TOML; what is not is text, as in `--set`.
    ///
    /// # Errors
    /// A text of another form, or a key or values that cannot be varied.
    pub fn parse(text: &str) -> Result<Self, VaryError> {
        let whole = || text.to_owned();
        let (key, values) = text.split_once('=').ok_or_else(|| VaryError::Form(whole()))?;
        let key = key.trim().to_owned();
        if key == "seed" {
            return Err(VaryError::Seed(whole()));
        }
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(VaryError::NoKey(whole()));
        }
        let values = values_of(values);
        if values.is_empty() || values.iter().any(|value| value == "") {
            return Err(VaryError::NoValue(whole()));
        }
        if values.iter().any(Value::is_null) {
            return Err(VaryError::NotFinite(whole()));
        }
        match (1..values.len()).find(|&i| values[..i].contains(&values[i])) {
            Some(twice) => Err(VaryError::Twice {
                text: whole(),
                value: values[twice].clone(),
            }),
            None => Ok(Self { key, values }),
        }
    }
}

/// Values as TOML or, where they are none, as words. As JSON a number that is not finite is a null.
fn values_of(text: &str) -> Vec<Value> {
    let table: Option<toml::Table> = toml::from_str(&format!("v = [{text}]")).ok();
    match table.and_then(|mut table| table.remove("v")) {
        Some(list) => serde_json::to_value(list)
            .ok()
            .and_then(|list| list.as_array().cloned())
            .unwrap_or_default(),
        // One of them may be a word among numbers.
        None => text.split(',').map(value_of).collect(),
    }
}

fn value_of(word: &str) -> Value {
    let number: Option<toml::Table> = toml::from_str(&format!("v = {word}")).ok();
    let number = number.and_then(|table| serde_json::to_value(&table["v"]).ok());
    number.unwrap_or_else(|| Value::from(word.trim()))
}

/// Every combination of the values; the last key changes fastest. One setting that changes nothing, if nothing is varied.
pub fn grid(varied: &[Vary]) -> Vec<Setting> {
    varied.iter().fold(vec![Setting(Vec::new())], |settings, vary| {
        let with = |setting: &Setting| {
            let setting = setting.clone();
            vary.values.iter().map(move |value| {
                let mut choices = setting.0.clone();
                choices.push(Choice {
                    key: vary.key.clone(),
                    value: value.clone(),
                });
                Setting(choices)
            })
        };
        settings.iter().flat_map(with).collect()
    })
}

impl Setting {
    /// The values, in the order in which the keys were given.
    pub fn choices(&self) -> &[Choice] {
        &self.0
    }

    /// The value of a key, if it is varied.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|choice| choice.key == key)
            .map(|choice| &choice.value)
    }

    /// In a few words: `lr=0.001 coefficient=0.5`. A key is its last part, or whole where two would read the same.
    pub fn words(&self) -> String {
        if self.0.is_empty() {
            return "as it is".into();
        }
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let word = |choice: &Choice| {
            let short = last(&choice.key);
            let alike = self.0.iter().filter(|other| last(&other.key) == short).count();
            let key = if alike == 1 { short } else { choice.key.clone() };
            match &choice.value {
                Value::String(text) => format!("{key}={text}"),
                value => format!("{key}={value}"),
            }
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The name of its folder.
    pub fn folder(&self) -> String {
        let plain = |c: char| match c {
            ' ' if self.0.is_empty() => '-',
            ' ' => ',',
            c if c.is_alphanumeric() || "-_.=,".contains(c) => c,
            _ => '_',
        };
        self.words().chars().map(plain).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vary(text: &str) -> Vary {
        Vary::parse(text).unwrap()
    }

    #[test]
    fn values_are_toml_or_words() {
        assert_eq!(vary("optimiser.lr=3e-4, 1e-3").values, [json!(3e-4), json!(1e-3)]);
        assert_eq!(vary("optimiser.betas=[0.9,0.99],[0.9,0.95]").values.len(), 2);
        assert_eq!(vary("optimiser.lr=1e-3,abc").values, [json!(1e-3), json!("abc")]);
        assert_eq!(
            vary("diffusion.path=linear,cosine").values,
            [json!("linear"), json!("cosine")]
        );
    }

    #[test]
    fn what_cannot_be_varied_is_refused() {
        for (text, words) in [
            ("optimiser.lr", "key=value,value"),
            ("=1,2", "name a key"),
            ("a..b=1", "name a key"),
            ("optimiser.lr=", "at least one value"),
            ("optimiser.lr=1e-3,nan", "not finite"),
            ("optimiser.lr=1e-3,0.001", "0.001 is there twice"),
            ("seed=1,2", "cannot be varied"),
        ] {
            let error = Vary::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let grid = grid(&[vary("optimiser.lr=1e-4,1e-3,1e-2"), vary("a.coefficient=0.5,1.0")]);
        let words: Vec<_> = grid.iter().map(Setting::words).collect();
        assert_eq!(words.len(), 6);
        assert_eq!(words[..2], ["lr=0.0001 coefficient=0.5", "lr=0.0001 coefficient=1.0"]);
        assert_eq!(words[5], "lr=0.01 coefficient=1.0");
    }

    #[test]
    fn keys_that_end_alike_are_written_whole() {
        let setting = &grid(&[vary("a.scale=1"), vary("b.scale=2")])[0];
        assert_eq!(setting.words(), "a.scale=1 b.scale=2");
        assert_eq!(grid(&[vary("x=[1, \"a/b\"]")])[0].folder(), "x=_1,_a_b__");
        assert_eq!(grid(&[])[0].folder(), "as-it-is");
    }
}
