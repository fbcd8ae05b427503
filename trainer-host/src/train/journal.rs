//! `metrics.jsonl`: one JSON object a line, `{"phase": …, "step": …, name: value, …}`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::Error;

/// The file, open for appending.
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Name of the phase.
    pub phase: String,
    /// Optimiser steps done.
    pub step: u64,
    /// Means and measurements by name.
    pub values: BTreeMap<String, f64>,
}

impl Journal {
    /// Opens the file to go on after `step` of `phase`: lines of that phase beyond it, and an unfinished last line,
    /// are dropped, since those steps will be done again.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn open(path: &Path, phase: &str, step: u64) -> Result<Self, Error> {
        let kept: String = read(path)
            .iter()
            .filter(|line| line.phase != phase || line.step <= step)
            .map(|line| text(&line.phase, line.step, &line.values))
            .collect();
        super::checkpoint::write_whole(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|e| Error::file(path, e))?;
        Ok(Self {
            path: path.into(),
            file,
        })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn append(&mut self, phase: &str, step: u64, values: &BTreeMap<String, f64>) -> Result<(), String> {
        self.file
            .write_all(text(phase, step, values).as_bytes())
            .map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

fn text(phase: &str, step: u64, values: &BTreeMap<String, f64>) -> String {
    let mut line = Map::new();
    line.insert("phase".into(), json!(phase));
    line.insert("step".into(), json!(step));
    line.extend(values.iter().map(|(name, value)| (name.clone(), json!(value))));
    format!("{}\n", Value::Object(line))
}

/// The lines of a file; those that are not whole are left out.
pub fn read(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut map: Map<String, Value> = serde_json::from_str(line).ok()?;
    let phase = map.remove("phase")?.as_str()?.to_owned();
    let step = map.remove("step")?.as_u64()?;
    // JSON has no NaN: a null is one.
    let values = map
        .into_iter()
        .map(|(name, value)| (name, value.as_f64().unwrap_or(f64::NAN)))
        .collect();
    Some(Line { phase, step, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(v: f64) -> BTreeMap<String, f64> {
        [("denoising".to_owned(), v)].into()
    }

    #[test]
    fn reopening_drops_what_will_be_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut journal = Journal::open(&path, "train", 0).unwrap();
        journal.append("align", 50, &values(2.0)).unwrap();
        journal.append("train", 10, &values(1.0)).unwrap();
        journal.append("train", 20, &values(0.5)).unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut f| f.write_all(b"{\"phase\": \"tr"))
            .unwrap();
        drop(journal);
        Journal::open(&path, "train", 10).unwrap();
        let steps: Vec<_> = read(&path).into_iter().map(|l| (l.phase, l.step)).collect();
        assert_eq!(steps, [("align".to_owned(), 50), ("train".to_owned(), 10)]);
    }

    #[test]
    fn a_value_that_is_not_a_number_reads_back_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        Journal::open(&path, "a", 0)
            .unwrap()
            .append("a", 1, &values(f64::NAN))
            .unwrap();
        assert!(read(&path)[0].values["denoising"].is_nan());
    }
}
