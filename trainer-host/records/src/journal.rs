//! `metrics.jsonl`: one JSON object a line, `{"phase": …, "step": …, name: value, …}`; and the same for TensorBoard.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::events::Events;
use super::{FileError, RunFolder, write_whole};

/// The log of one phase, open for appending: the run's file, and an event file in the phase's folder.
pub struct Journal {
    phase: String,
    path: PathBuf,
    file: File,
    events: Events,
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

/// Beginning of the names of an evaluation's values.
pub const EVALUATION: &str = "evaluation.";

/// Beginning of the names of what is the machine's, not the training's: speed and memory. Two runs of the same bits differ in it.
pub const MACHINE: &str = "machine.";

impl Line {
    /// Values of the training: an evaluation's are of one step, so that they make no curve, and the machine's say nothing of it.
    pub fn of_training(&self) -> impl Iterator<Item = (&str, f64)> {
        let values = self.values.iter().map(|(name, value)| (name.as_str(), *value));
        values.filter(|(name, _)| !name.starts_with(EVALUATION) && !name.starts_with(MACHINE))
    }
}

impl Journal {
    /// Opens the log to go on after `step` of `phase`: lines of that phase beyond it, and an unfinished last line,
    /// are dropped, since those steps will be done again.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(folder: &RunFolder, phase: &str, step: u64) -> Result<Self, FileError> {
        let path = folder.metrics();
        let mut lines = read(&path);
        lines.retain(|line| line.phase != phase || line.step <= step);
        write(&path, &lines)?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|e| FileError::new(&path, e))?;
        Ok(Self {
            phase: phase.into(),
            path,
            file,
            events: Events::begin(&folder.phase(phase), step + 1)?,
        })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&mut self, step: u64, values: &BTreeMap<String, f64>) -> Result<(), FileError> {
        self.file
            .write_all(text(&self.phase, step, values).as_bytes())
            .map_err(|e| FileError::new(&self.path, e))?;
        self.events.append(step, values)
    }

    /// Appends a PNG, for TensorBoard alone.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn picture(&mut self, step: u64, name: &str, png: &[u8]) -> Result<(), FileError> {
        self.events.picture(step, name, png)
    }
}

/// Adds what an evaluation measured of the network after `step` of `phase`. Values that the log has under the same names at
/// that phase and step are replaced, so that an evaluation can be done again; where they are the same, nothing is written. No journal
/// may be open meanwhile.
///
/// # Errors
/// A file that cannot be written.
pub fn record(folder: &RunFolder, phase: &str, step: u64, values: &BTreeMap<String, f64>) -> Result<(), FileError> {
    let mut lines = read(&folder.metrics());
    let there = |line: &&Line| line.phase == phase && line.step == step;
    let is_known = |(name, value)| {
        lines
            .iter()
            .filter(there)
            .any(|line| line.values.get(name) == Some(value))
    };
    if values.iter().all(is_known) {
        return Ok(());
    }
    for line in lines.iter_mut().filter(|line| line.phase == phase && line.step == step) {
        line.values.retain(|name, _| !values.contains_key(name));
    }
    lines.retain(|line| !line.values.is_empty());
    lines.push(Line {
        phase: phase.into(),
        step,
        values: values.clone(),
    });
    say_again(folder, phase, step, &lines)
}

/// Writes the log anew; what it has of `phase` from `step` on is said again to TensorBoard, which forgets all of that in every curve.
fn say_again(folder: &RunFolder, phase: &str, step: u64, lines: &[Line]) -> Result<(), FileError> {
    let mut events = Events::begin(&folder.phase(phase), step)?;
    for line in lines.iter().filter(|line| line.phase == phase && line.step >= step) {
        events.append(line.step, &line.values)?;
    }
    // Last: what the log has, nobody says again.
    write(&folder.metrics(), lines)
}

/// Keeps of the values that the log has of `step` of `phase` those whose names `keep` wants: a phase that ended there goes on.
/// No journal may be open meanwhile.
///
/// # Errors
/// A file that cannot be written.
pub fn reopen(folder: &RunFolder, phase: &str, step: u64, keep: impl Fn(&str) -> bool) -> Result<(), FileError> {
    let mut lines = read(&folder.metrics());
    for line in lines.iter_mut().filter(|line| line.phase == phase && line.step == step) {
        line.values.retain(|name, _| keep(name));
    }
    lines.retain(|line| !line.values.is_empty());
    say_again(folder, phase, step, &lines)
}

/// Begins the log of `out` with the lines of these phases up to these steps; what evaluations measured is left out.
///
/// # Errors
/// A file that cannot be written.
pub fn fork(folder: &RunFolder, out: &RunFolder, shared: &[(&str, u64)]) -> Result<(), FileError> {
    let mut lines = read(&folder.metrics());
    for line in &mut lines {
        line.values.retain(|name, _| !name.starts_with(EVALUATION));
    }
    lines.retain(|line| {
        let mut shared = shared.iter();
        !line.values.is_empty() && shared.any(|(phase, step)| line.phase == *phase && line.step <= *step)
    });
    shared
        .iter()
        .try_for_each(|(phase, _)| say_again(out, phase, 0, &lines))
}

fn write(path: &Path, lines: &[Line]) -> Result<(), FileError> {
    let text: String = lines
        .iter()
        .map(|line| text(&line.phase, line.step, &line.values))
        .collect();
    write_whole(path, text.as_bytes())
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
    use super::super::events::decode;
    use super::*;

    fn values(v: f64) -> BTreeMap<String, f64> {
        [("denoising".to_owned(), v)].into()
    }

    fn run() -> (tempfile::TempDir, RunFolder) {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        (folder, run)
    }

    fn lines(run: &RunFolder) -> Vec<(String, u64, Vec<String>)> {
        let names = |line: &Line| line.values.keys().cloned().collect();
        let lines = read(&run.metrics());
        lines.iter().map(|l| (l.phase.clone(), l.step, names(l))).collect()
    }

    #[test]
    fn reopening_drops_what_will_be_done_again() {
        let (_folder, run) = run();
        let mut journal = Journal::open(&run, "align", 0).unwrap();
        journal.append(50, &values(2.0)).unwrap();
        let mut journal = Journal::open(&run, "train", 0).unwrap();
        journal.append(10, &values(1.0)).unwrap();
        journal.append(20, &values(0.5)).unwrap();
        OpenOptions::new()
            .append(true)
            .open(run.metrics())
            .and_then(|mut f| f.write_all(b"{\"phase\": \"tr"))
            .unwrap();
        drop(journal);
        Journal::open(&run, "train", 10).unwrap();
        let steps: Vec<_> = read(&run.metrics()).into_iter().map(|l| (l.phase, l.step)).collect();
        assert_eq!(steps, [("align".to_owned(), 50), ("train".to_owned(), 10)]);
    }

    #[test]
    fn tensorboard_is_told_the_same_phase_by_phase() {
        let (_folder, run) = run();
        Journal::open(&run, "align", 0)
            .unwrap()
            .append(50, &values(2.0))
            .unwrap();
        Journal::open(&run, "train", 0)
            .unwrap()
            .append(20, &values(0.5))
            .unwrap();
        Journal::open(&run, "train", 10)
            .unwrap()
            .append(20, &values(0.25))
            .unwrap();
        let align = decode::folder(&run.phase("align"));
        let train = decode::folder(&run.phase("train"));
        assert_eq!(align[0].scalars, [(50, "denoising".to_owned(), 2.0)]);
        assert_eq!(train[0].scalars, [(20, "denoising".to_owned(), 0.5)]);
        assert_eq!((train[1].restarts[0], &train[1].scalars[0].2), (11, &0.25));
        assert_eq!((align.len(), train.len()), (1, 2));
    }

    #[test]
    fn an_evaluation_done_again_replaces_its_values() {
        let (_folder, run) = run();
        Journal::open(&run, "train", 0)
            .unwrap()
            .append(20, &values(0.5))
            .unwrap();
        let quality = |kernel: f64| [("quality.embedded.kernel@2".to_owned(), kernel)].into();
        record(&run, "train", 20, &quality(0.1)).unwrap();
        record(&run, "train", 10, &quality(0.3)).unwrap();
        record(&run, "train", 20, &quality(0.2)).unwrap();
        let kernel = vec!["quality.embedded.kernel@2".to_owned()];
        let said = [(20, vec!["denoising".to_owned()]), (10, kernel.clone()), (20, kernel)];
        assert_eq!(lines(&run), said.map(|(step, names)| ("train".to_owned(), step, names)));
        assert_eq!(read(&run.metrics())[2].values["quality.embedded.kernel@2"], 0.2);
        // The last file begins again at step 20, with the training's value in it.
        let events = decode::folder(&run.phase("train")).pop().unwrap();
        assert_eq!(events.restarts, [20]);
        let (names, values): (Vec<_>, Vec<_>) = events.scalars.iter().map(|s| (s.1.as_str(), s.2)).unzip();
        assert_eq!(names, ["denoising", "quality.embedded.kernel@2"]);
        assert_eq!(values, [0.5, 0.2]);
    }

    #[test]
    fn a_phase_that_goes_on_keeps_what_it_would_have_said() {
        let (_folder, run) = run();
        let mut journal = Journal::open(&run, "train", 0).unwrap();
        journal.append(10, &values(1.0)).unwrap();
        let last = [("denoising".to_owned(), 0.5), ("validation".to_owned(), 0.4)].into();
        journal.append(20, &last).unwrap();
        drop(journal);
        record(
            &run,
            "train",
            20,
            &[(format!("{EVALUATION}copies.fraction"), 0.0)].into(),
        )
        .unwrap();
        reopen(&run, "train", 20, |name| name == "denoising").unwrap();
        let said = [10, 20].map(|step| ("train".to_owned(), step, vec!["denoising".to_owned()]));
        assert_eq!(lines(&run), said);
        let events = decode::folder(&run.phase("train")).pop().unwrap();
        assert_eq!((events.restarts, events.scalars.len()), (vec![20], 1));
        reopen(&run, "train", 20, |_| false).unwrap();
        assert_eq!(lines(&run), said[..1]);
    }

    #[test]
    fn a_value_that_is_not_a_number_reads_back_as_one() {
        let (_folder, run) = run();
        Journal::open(&run, "a", 0)
            .unwrap()
            .append(1, &values(f64::NAN))
            .unwrap();
        assert!(read(&run.metrics())[0].values["denoising"].is_nan());
    }

    #[test]
    fn values_of_an_evaluation_are_not_of_the_training() {
        let line = Line {
            phase: "train".into(),
            step: 3,
            values: [("denoising".into(), 0.5), (format!("{EVALUATION}copies.fraction"), 0.0)].into(),
        };
        assert_eq!(line.of_training().collect::<Vec<_>>(), [("denoising", 0.5)]);
    }
}
