//! The name of a new source.

use crate::Error;

/// Packages of this name would be those that a source's crate depends on.
const RESERVED: [&str; 2] = ["plugin-api", "plugin-testkit"];

const LONGEST: usize = 64;

/// A name as recipes write it: lower-case letters and digits in parts that are joined by `-`, a letter first.
///
/// Packages, libraries and files are named `sextant-NAME` or `sextant_NAME`, so a word that is reserved in Rust or by Cargo is a
/// name like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName(String);

impl SourceName {
    /// # Errors
    /// If `text` is not such a name; the message has a name that would be.
    pub fn new(text: &str) -> Result<Self, Error> {
        let fault = |reason: String| {
            Err(Error::Input(format!(
                "{text:?} cannot be the name of a source: {reason}"
            )))
        };
        if text.len() > LONGEST {
            return fault(format!("it is longer than {LONGEST} letters"));
        }
        if RESERVED.contains(&text) {
            return fault(format!("its crate would be sextant-{text}, which it depends on"));
        }
        let suggestion = kebab_case(text);
        match suggestion.as_str() {
            "" => fault("use lower-case letters, digits and `-`, and a letter first, such as my-source".into()),
            right if right != text => fault(format!(
                "use lower-case letters, digits and `-`, and a letter first, such as {right}"
            )),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// As recipes write it: `my-source`.
    pub fn kebab(&self) -> &str {
        &self.0
    }

    /// As files and libraries write it: `my_source`.
    pub fn snake(&self) -> String {
        self.0.replace('-', "_")
    }
}

/// The nearest name: `MySource`, `my_source` and `2 my  source` become `my-source`. Empty if there is no letter.
fn kebab_case(text: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let word_begins = c.is_ascii_uppercase() && !before.is_ascii_uppercase();
        if (word_begins || !c.is_ascii_alphanumeric()) && !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
        if c.is_ascii_alphabetic() || (c.is_ascii_digit() && !name.is_empty()) {
            name.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    name.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_take_kebab_case_keywords_included() {
        for text in ["repa", "token-norm", "dino-v2", "x", "match", "self", "test", "cargo"] {
            let name = SourceName::new(text).unwrap();
            assert_eq!((name.kebab(), name.snake()), (text, text.replace('-', "_")));
        }
    }

    #[test]
    fn should_say_what_would_be_right() {
        for (wrong, right) in [
            ("", "such as my-source"),
            ("42", "such as my-source"),
            ("TokenNorm", "such as token-norm"),
            ("token_norm", "such as token-norm"),
            ("token--norm", "such as token-norm"),
            ("-token-norm-", "such as token-norm"),
            ("2token", "such as token"),
            ("tökens", "such as t-kens"),
            ("../tokens", "such as tokens"),
            ("a b", "such as a-b"),
            ("plugin-api", "sextant-plugin-api, which it depends on"),
        ] {
            let error = SourceName::new(wrong).unwrap_err().to_string();
            assert!(error.contains(right) && error.contains(wrong), "{wrong}: {error}");
        }
        assert!(SourceName::new(&"a".repeat(65)).is_err());
    }
}
