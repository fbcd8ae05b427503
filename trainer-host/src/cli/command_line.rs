//! The command that this process was started with, and those that do what is left of its work.

use std::ffi::OsStr;
use std::path::Path;

use sextant_records::quoted;

/// The option that ends a command before its work is done.
const LIMIT: &str = "--max-time";

/// The command itself: the environment that changes a recipe, and every word.
pub fn own() -> String {
    written(words())
}

/// The command without its time limit, for work that has to be done in one go.
pub fn own_without_limit() -> String {
    written(without_limit(words()))
}

/// The command with `other` in the place of the `target` that it looks at.
pub fn own_of(target: &Path, other: &Path) -> String {
    written(replaced(words(), target, other))
}

/// The environment that changes a recipe, as words before a command.
pub fn environment() -> Vec<String> {
    let set = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with("SEXTANT__"))?;
        Some(format!("{name}={}", quoted(value.to_str()?)))
    });
    let mut words: Vec<String> = set.collect();
    words.sort();
    words
}

fn words() -> Vec<String> {
    let words = std::env::args_os().skip(1);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

fn written(words: Vec<String>) -> String {
    let mut line = environment();
    line.push("sextant".into());
    line.extend(words.iter().map(|word| quoted(word)));
    line.join(" ")
}

fn without_limit(words: Vec<String>) -> Vec<String> {
    let mut words = words.into_iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix(LIMIT) {
            // Its value is the next word, or follows within this one.
            Some("") => drop(words.next()),
            Some(value) if value.starts_with('=') => {}
            _ => kept.push(word),
        }
    }
    kept
}

fn replaced(mut words: Vec<String>, target: &Path, other: &Path) -> Vec<String> {
    let is_target = |i: &usize| OsStr::new(&words[*i]) == target.as_os_str();
    // What is looked at may also be where something is written.
    let is_written = |i: &usize| *i > 0 && words[*i - 1] == "--out";
    let place = (0..words.len()).find(|i| is_target(i) && !is_written(i));
    if let Some(place) = place {
        words[place] = other.display().to_string();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_limit_is_taken_out_however_it_is_written() {
        for line in [
            "sample run --max-time 3s --count 4",
            "sample run --max-time=3s --count 4",
            "sample run --count 4 --max-time 3s",
            "sample run --count 4",
        ] {
            assert_eq!(without_limit(words(line)), words("sample run --count 4"), "{line}");
        }
    }

    #[test]
    fn a_target_is_replaced_and_nothing_else() {
        let (run, saved) = (Path::new("run"), Path::new("run/phases/train/step-000004"));
        for (line, wanted) in [
            (
                "eval run --device cpu",
                "eval run/phases/train/step-000004 --device cpu",
            ),
            ("sample --out run run", "sample --out run run/phases/train/step-000004"),
            ("sample run --out run", "sample run/phases/train/step-000004 --out run"),
        ] {
            assert_eq!(replaced(words(line), run, saved), words(wanted), "{line}");
        }
    }
}
