//! The state of runs as text: a table with a small chart in each row.

use std::time::Duration;

use super::folder::{At, Watched, WatchedRun};
use crate::Error;
use sextant_records::duration;

/// Characters of a chart.
const WIDTH: usize = 40;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A table of the runs with a curve of each, all on one scale. `column` is the one that is shown, by default the first of
/// [`Watched::columns`].
///
/// # Errors
/// Where no run has that column; lists those that there are.
pub fn once(watched: &Watched, column: Option<&str>) -> Result<String, Error> {
    if watched.runs.is_empty() {
        return Ok(format!("waiting for runs in {}\n", watched.folder.display()));
    }
    let columns = watched.columns();
    let column = match column {
        Some(column) if columns.iter().any(|known| known == column) => column.to_owned(),
        Some(column) => {
            return Err(Error::Input(format!(
                "--curve {column}: no run has it yet; there are: {}",
                columns.join(", ")
            )));
        }
        None => columns.first().cloned().unwrap_or_default(),
    };
    let mut rows = vec![["run".to_owned(), "at".to_owned(), column.clone(), String::new()]];
    rows.extend(watched.runs.iter().map(|run| row(watched, run, &column)));
    let widths = [0, 1, 2].map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
    let line = |[name, at, value, chart]: [String; 4]| {
        let [a, b, c] = widths;
        format!("{name:a$}  {at:b$}  {value:>c$}  {chart}")
            .trim_end()
            .to_owned()
    };
    let mut lines: Vec<String> = rows.into_iter().map(line).collect();
    if let Some((least, greatest)) = watched.range(&column) {
        let steps = watched.last_step(&column);
        lines.push(format!(
            "\n{column} from {least:.4} to {greatest:.4} over steps 0 to {steps}"
        ));
    }
    let troubles = watched
        .runs
        .iter()
        .filter_map(|run| Some(format!("{}: {}", run.name, trouble(run)?)));
    lines.extend(troubles);
    Ok(lines.join("\n") + "\n")
}

fn row(watched: &Watched, run: &WatchedRun, column: &str) -> [String; 4] {
    let value = run.latest(column).map_or("—".into(), |value| format!("{value:.4}"));
    [run.name.clone(), place(run), value, chart(watched, run, column)]
}

/// Where a run is, in a few words; how long nothing was heard of it, where that is long.
pub(super) fn place(run: &WatchedRun) -> String {
    let long = run.silent.filter(|silent| *silent >= Duration::from_secs(60));
    let silent = match (&run.at, long) {
        (At::Training { .. } | At::Evaluating { .. } | At::Waiting, Some(silent)) => {
            format!(", silent for {}", duration(silent.as_secs_f64()))
        }
        _ => String::new(),
    };
    words(&run.at) + &silent
}

fn words(at: &At) -> String {
    match at {
        At::Waiting => "not begun".into(),
        At::Training { phase, step, steps } => format!("{phase} {step}/{steps}"),
        At::Evaluating { steps } => format!("evaluating after {steps}"),
        At::Finished { steps } => format!("finished {steps}"),
        At::Failed { at, .. } => format!("failed: {}", words(at)),
        At::Unreadable(_) => "unreadable".into(),
    }
}

/// Why a run does not go on; none where it does, or is done.
pub(super) fn trouble(run: &WatchedRun) -> Option<&str> {
    match &run.at {
        At::Failed { message, .. } => Some(message),
        At::Unreadable(reason) => Some(reason),
        _ => None,
    }
}

/// A curve in a line: each character is the mean over its share of the steps, or what was before it where nothing is logged
/// there; a space before the first value and after the last.
fn chart(watched: &Watched, run: &WatchedRun, column: &str) -> String {
    let (Some(curve), Some((least, greatest))) = (run.curves.get(column), watched.range(column)) else {
        return String::new();
    };
    let last = watched.last_step(column);
    let mut cells = vec![(0.0, 0usize); WIDTH];
    for (step, value) in curve.iter().filter(|(_, value)| value.is_finite()) {
        // Step s is at the end of what it is the mean of: the last step is in the last cell.
        let place = (step / last * WIDTH as f64).ceil() as usize;
        let cell = &mut cells[place.clamp(1, WIDTH) - 1];
        *cell = (cell.0 + value, cell.1 + 1);
    }
    let block = |mean: f64| {
        let share = (mean - least) / (greatest - least).max(f64::MIN_POSITIVE);
        BLOCKS[((share * BLOCKS.len() as f64) as usize).min(BLOCKS.len() - 1)]
    };
    let end = cells
        .iter()
        .rposition(|(_, count)| *count > 0)
        .map_or(0, |last| last + 1);
    let mut before = ' ';
    let mut line = String::new();
    for (sum, count) in &cells[..end] {
        if *count > 0 {
            before = block(sum / *count as f64);
        }
        line.push(before);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::{ALIGN, TRAIN, run};
    use super::*;
    use sextant_records::RunFolder;

    #[test]
    fn a_folder_that_is_empty_yet_waits() {
        let folder = tempfile::tempdir().unwrap();
        let text = once(&Watched::look(folder.path()).unwrap(), None).unwrap();
        assert_eq!(text, format!("waiting for runs in {}\n", folder.path().display()));
    }

    #[test]
    fn runs_are_shown_on_one_scale() {
        let folder = tempfile::tempdir().unwrap();
        run(&folder.path().join("new"), "");
        run(&folder.path().join("first"), &format!("{ALIGN}{TRAIN}"));
        let better = "{\"phase\":\"train\",\"step\":10,\"validation\":null}\n\
             {\"phase\":\"train\",\"step\":50,\"validation\":0.6}\n{\"phase\":\"train\",\"step\":100,\"validation\":0.4}\n";
        run(&folder.path().join("second"), better);
        let text = once(&Watched::look(folder.path()).unwrap(), None).unwrap();
        let wanted = "\
run     at                    validation
first   train 80/100              0.6000                 ████████████████▄
new     not begun                      —
second  evaluating after 100      0.4000                     ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▁

validation from 0.4000 to 0.8000 over steps 0 to 100
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn another_curve_can_be_asked_for_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &format!("{ALIGN}{TRAIN}"));
        let watched = Watched::look(folder.path()).unwrap();
        assert!(once(&watched, Some("align/guidance")).unwrap().contains("0.7500"));
        let error = once(&watched, Some("loss")).unwrap_err().to_string();
        assert!(
            error.ends_with("there are: validation, denoising, align/denoising, align/guidance"),
            "{error}"
        );
    }

    #[test]
    fn a_run_that_failed_says_where_and_why() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &format!("{ALIGN}{TRAIN}"));
        RunFolder::new(folder.path()).note_failure(&Error::Training("no teacher".into()));
        let watched = Watched::look(folder.path()).unwrap();
        let text = once(&watched, None).unwrap();
        assert!(text.contains("  failed: train 80/100  "), "{text}");
        assert!(text.ends_with(": no teacher\n"), "{text}");
        let old = WatchedRun {
            silent: Some(Duration::from_secs(190)),
            ..watched.runs[0].clone()
        };
        assert_eq!(place(&old), "failed: train 80/100", "nothing more is to be heard of it");
    }

    #[test]
    fn a_run_that_fell_silent_says_so() {
        let run = WatchedRun {
            name: "a".into(),
            at: At::Waiting,
            curves: Default::default(),
            silent: Some(Duration::from_secs(190)),
        };
        assert_eq!(place(&run), "not begun, silent for 3 min 10 s");
    }
}
