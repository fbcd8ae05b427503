//! The state of runs on a terminal, drawn anew every two seconds.

use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};
use ratatui::{DefaultTerminal, Frame};

use super::folder::{At, Watched, WatchedRun};
use super::text::{place, trouble};
use crate::Error;

const EVERY: Duration = Duration::from_secs(2);
const BAR: usize = 20;
/// Colours that a terminal has and that can be told apart on dark and on light; runs beyond them begin again.
const COLOURS: [Color; 6] = [
    Color::Cyan,
    Color::Magenta,
    Color::Green,
    Color::Yellow,
    Color::Red,
    Color::Blue,
];
const HELP: &str = " ←/→ curve   ↑/↓ runs   l logarithm   q quit";

/// Shows the runs of a folder until someone quits.
///
/// # Errors
/// Where there is no such folder, or the terminal fails.
pub fn show(folder: &Path, column: Option<&str>) -> Result<(), Error> {
    let mut watched = Watched::look(folder)?;
    let mut view = View {
        column: column.map(str::to_owned),
        ..View::default()
    };
    let failed = |e: std::io::Error| Error::Training(format!("the terminal failed: {e}; try --once"));
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let ended = watch(&mut terminal, folder, &mut watched, &mut view);
    ratatui::restore();
    ended.map_err(failed)
}

fn watch(terminal: &mut DefaultTerminal, folder: &Path, watched: &mut Watched, view: &mut View) -> std::io::Result<()> {
    let mut looked = Instant::now();
    loop {
        terminal.draw(|frame| draw(frame, watched, view))?;
        if event::poll(EVERY.saturating_sub(looked.elapsed()))?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            let interrupt = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
            if interrupt || view.press(key.code, watched) {
                return Ok(());
            }
        }
        if looked.elapsed() >= EVERY {
            // A folder that has gone away may come back: what was last seen stays.
            if let Ok(now) = Watched::look(folder) {
                *watched = now;
            }
            looked = Instant::now();
        }
    }
}

/// What a person chose to see.
#[derive(Debug, Default)]
struct View {
    /// The column; the first that there is if none was chosen.
    column: Option<String>,
    /// Whether the values' axis is logarithmic.
    logarithmic: bool,
    /// Runs above the first that is listed.
    scrolled: usize,
}

impl View {
    /// Answers a key. Returns whether it was the one that quits.
    fn press(&mut self, key: KeyCode, watched: &Watched) -> bool {
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('l') => self.logarithmic = !self.logarithmic,
            KeyCode::Right | KeyCode::Tab => self.turn(watched, 1),
            KeyCode::Left | KeyCode::BackTab => self.turn(watched, -1),
            KeyCode::Down => self.scrolled = (self.scrolled + 1).min(watched.runs.len().saturating_sub(1)),
            KeyCode::Up => self.scrolled = self.scrolled.saturating_sub(1),
            _ => {}
        }
        false
    }

    fn turn(&mut self, watched: &Watched, by: isize) {
        let columns = watched.columns();
        let current = self.column(&columns);
        let place = columns.iter().position(|column| *column == current).unwrap_or(0) as isize;
        if !columns.is_empty() {
            let next = (place + by).rem_euclid(columns.len() as isize);
            self.column = Some(columns[next as usize].clone());
        }
    }

    fn column(&self, columns: &[String]) -> String {
        let chosen = self.column.clone().filter(|column| columns.contains(column));
        chosen.or_else(|| columns.first().cloned()).unwrap_or_default()
    }
}

fn draw(frame: &mut Frame, watched: &Watched, view: &View) {
    let area = frame.area();
    let list = (watched.runs.len() as u16 + 1).min(area.height / 2).max(1);
    let [title, runs, chart, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(list),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Line::from(format!(" {}", watched.folder.display())).bold(), title);
    frame.render_widget(Line::from(HELP).dim(), help);
    if watched.runs.is_empty() {
        frame.render_widget(Paragraph::new(" waiting for runs in this folder"), runs);
        return;
    }
    let columns = watched.columns();
    let column = view.column(&columns);
    list_runs(frame, runs, watched, view, &column);
    draw_chart(frame, chart, watched, view, &column);
}

fn list_runs(frame: &mut Frame, area: Rect, watched: &Watched, view: &View, column: &str) {
    let width = watched
        .runs
        .iter()
        .map(|run| run.name.chars().count())
        .max()
        .unwrap_or(0);
    let lines = watched.runs.iter().enumerate().skip(view.scrolled).map(|(index, run)| {
        let value = run.latest(column).map_or(String::new(), |value| format!("{value:.4}"));
        let why = trouble(run).and_then(|why| why.lines().next());
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        let filled = (share_done(&run.at) * BAR as f64).round() as usize;
        let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
        Line::from(vec![
            Span::raw(" ● ").fg(colour(watched, index)),
            Span::raw(format!("{:width$}  ", run.name)),
            Span::raw(bar).fg(colour(watched, index)),
            Span::raw(format!("  {value:>9}  {}{why}", place(run))),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

/// The colour of a run. Runs of one variant with several seeds, whose folders end alike, share theirs.
fn colour(watched: &Watched, index: usize) -> Color {
    let last = |run: &WatchedRun| run.name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = Vec::new();
    for run in &watched.runs[..=index] {
        if !names.contains(&last(run)) {
            names.push(last(run));
        }
    }
    let place = names.iter().position(|name| *name == last(&watched.runs[index]));
    COLOURS[place.unwrap_or(0) % COLOURS.len()]
}

/// The share of a run's phase that is done.
fn share_done(at: &At) -> f64 {
    match at {
        At::Training { step, steps, .. } => (*step as f64 / (*steps).max(1) as f64).min(1.0),
        At::Evaluating { .. } | At::Finished { .. } => 1.0,
        At::Failed { at, .. } => share_done(at),
        At::Waiting | At::Unreadable(_) => 0.0,
    }
}

fn draw_chart(frame: &mut Frame, area: Rect, watched: &Watched, view: &View, column: &str) {
    let positive = watched.range(column).is_some_and(|(least, _)| least > 0.0);
    let logarithmic = view.logarithmic && positive;
    let scaled = |value: f64| if logarithmic { value.log10() } else { value };
    let block = Block::bordered().title(match (view.logarithmic, positive) {
        (true, true) => format!(" {column}, logarithmic "),
        (true, false) => format!(" {column} (not positive: no logarithm) "),
        (false, _) => format!(" {column} "),
    });
    let Some((least, greatest)) = watched.range(column) else {
        frame.render_widget(Paragraph::new("nothing is logged yet").block(block), area);
        return;
    };
    let curves: Vec<(usize, Vec<(f64, f64)>)> = watched
        .runs
        .iter()
        .enumerate()
        .filter_map(|(index, run)| {
            let points = run.curves.get(column)?.iter().filter(|(_, value)| value.is_finite());
            Some((index, points.map(|(step, value)| (*step, scaled(*value))).collect()))
        })
        .collect();
    let mut sets = Vec::new();
    for (index, points) in &curves {
        let (marker, kind) = match points.len() {
            1 => (Marker::Dot, GraphType::Scatter),
            _ => (Marker::Braille, GraphType::Line),
        };
        let set = Dataset::default().marker(marker).graph_type(kind);
        sets.push(set.style(Style::new().fg(colour(watched, *index))).data(points));
    }
    let (low, high) = (scaled(least), scaled(greatest));
    // A curve that does not change is a line in the middle.
    let margin = if high > low { 0.0 } else { 0.5 };
    let value = |at: f64| if logarithmic { 10f64.powf(at) } else { at };
    let labels = [low, (low + high) / 2.0, high].map(|at| format!("{:.4}", value(at)));
    let last = watched.last_step(column);
    let steps = [0.0, last / 2.0, last].map(|step| format!("{step:.0}"));
    let chart = Chart::new(sets)
        .block(block)
        .x_axis(Axis::default().title("step").bounds([0.0, last]).labels(steps))
        .y_axis(Axis::default().bounds([low - margin, high + margin]).labels(labels));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::folder::tests::{ALIGN, TRAIN, run};
    use super::*;
    use sextant_records::RunFolder;

    fn drawn(watched: &Watched, view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 20)).unwrap();
        terminal.draw(|frame| draw(frame, watched, view)).unwrap();
        terminal.backend().to_string()
    }

    fn watched() -> (tempfile::TempDir, Watched) {
        let folder = tempfile::tempdir().unwrap();
        run(&folder.path().join("none"), &format!("{ALIGN}{TRAIN}"));
        run(&folder.path().join("repa"), "");
        let watched = Watched::look(folder.path()).unwrap();
        (folder, watched)
    }

    #[test]
    fn a_chart_shows_the_curve_and_the_list_where_each_run_is() {
        let (_folder, watched) = watched();
        let screen = drawn(&watched, &View::default());
        for words in [
            " validation ",
            "train 80/100",
            "not begun",
            "████████████████░░░░",
            "0.8000",
            "0.7000",
            "q quit",
        ] {
            assert!(screen.contains(words), "{words:?} is not in\n{screen}");
        }
        assert!(
            screen.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
            "no curve in\n{screen}"
        );
    }

    #[test]
    fn a_run_that_failed_stops_where_it_was_and_says_why() {
        let (folder, _) = watched();
        RunFolder::new(folder.path().join("none")).note_failure(&Error::Training("no teacher".into()));
        let screen = drawn(&Watched::look(folder.path()).unwrap(), &View::default());
        for words in ["failed: train 80/100: no teacher", "████████████████░░░░"]
        {
            assert!(screen.contains(words), "{words:?} is not in\n{screen}");
        }
    }

    #[test]
    fn the_seeds_of_a_variant_share_a_colour() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["seed-0/none", "seed-0/repa", "seed-1/none", "seed-1/repa"] {
            run(&folder.path().join(name), "");
        }
        let watched = Watched::look(folder.path()).unwrap();
        let colours = [0, 1, 2, 3].map(|index| colour(&watched, index));
        assert_eq!(colours, [COLOURS[0], COLOURS[1], COLOURS[0], COLOURS[1]]);
    }

    #[test]
    fn keys_turn_through_the_curves_and_quit() {
        let (_folder, watched) = watched();
        let mut view = View::default();
        let mut seen = Vec::new();
        for key in [
            KeyCode::Right,
            KeyCode::Right,
            KeyCode::Left,
            KeyCode::Left,
            KeyCode::Left,
        ] {
            assert!(!view.press(key, &watched));
            seen.push(view.column.clone().unwrap());
        }
        assert_eq!(
            seen,
            [
                "denoising",
                "align/denoising",
                "denoising",
                "validation",
                "align/guidance"
            ]
        );
        view.press(KeyCode::Char('l'), &watched);
        assert!(drawn(&watched, &view).contains("align/guidance, logarithmic"));
        assert!(view.press(KeyCode::Char('q'), &watched) && view.press(KeyCode::Esc, &watched));
    }

    #[test]
    fn an_empty_folder_waits_and_a_small_terminal_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let mut watched = Watched::look(folder.path()).unwrap();
        let mut view = View::default();
        view.press(KeyCode::Right, &watched);
        assert!(drawn(&watched, &view).contains("waiting for runs"));
        run(&folder.path().join("a"), &format!("{ALIGN}{TRAIN}"));
        watched = Watched::look(folder.path()).unwrap();
        for (width, height) in [(1, 1), (3, 2), (20, 4)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &watched, &view)).unwrap();
        }
    }
}
