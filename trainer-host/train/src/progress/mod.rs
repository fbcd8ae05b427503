//! Progress that a person sees while runs go on: bars on a terminal, a line every so often in a pipe.

mod dashboard;
mod itinerary;
mod tour;

pub use itinerary::{Itinerary, Left, PhaseSteps};
pub use tour::{Stage, Tour};

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sextant_interrupt as interrupt;
use sextant_records::duration;

use dashboard::Dashboard;

/// Seconds between two lines in a pipe.
const EVERY: Duration = Duration::from_secs(10);

/// The way in which progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// A bar on standard error if that is a terminal, else lines.
    Auto,
    /// burn-train's dashboard, which takes the whole terminal.
    Dashboard,
    /// Nothing: another program reads the output.
    Quiet,
}

impl ProgressMode {
    /// Starts the display of a phase that has done `done` of `total` steps.
    pub fn start(self, label: &str, done: u64, total: u64) -> Progress {
        let show = match self {
            Self::Auto if std::io::stderr().is_terminal() => Show::Bar(bar(label, done, total)),
            Self::Auto => Show::Lines { last: Instant::now() },
            Self::Dashboard => {
                Dashboard::open(label, done, total).map_or(Show::Nothing, |it| Show::Dashboard(Box::new(it)))
            }
            Self::Quiet => Show::Nothing,
        };
        Progress::new(show, label, done, total)
    }
}

/// The progress of one phase.
pub struct Progress {
    show: Show,
    label: String,
    total: u64,
    first: u64,
    started: Instant,
    values: String,
    stage: Option<PhaseOfStage>,
}

/// The place of a phase among several runs.
struct PhaseOfStage {
    stage: Stage,
    phase: String,
    done: u64,
    since: Instant,
}

enum Show {
    Bar(ProgressBar),
    Lines { last: Instant },
    Dashboard(Box<Dashboard>),
    Nothing,
}

impl Progress {
    fn new(show: Show, label: &str, done: u64, total: u64) -> Self {
        Self {
            show,
            label: label.into(),
            total,
            first: done,
            started: Instant::now(),
            values: String::new(),
            stage: None,
        }
    }

    /// The same for a phase of one of several runs, whose bar is among `lines`.
    fn of_stage(
        stage: Stage,
        lines: Option<MultiProgress>,
        label: &str,
        phase: &str,
        (done, total): (u64, u64),
    ) -> Self {
        let mut progress = match lines {
            // Added before it is drawn, so that the lines do not overwrite each other.
            Some(lines) => Self::new(
                Show::Bar(drawn(lines.add(ProgressBar::new(total)), label, done)),
                label,
                done,
                total,
            ),
            None => stage.mode().start(label, done, total),
        };
        progress.stage = Some(PhaseOfStage {
            stage,
            phase: phase.into(),
            done,
            since: Instant::now(),
        });
        progress
    }

    /// The means of a line of the log, shown from now on.
    pub fn log(&mut self, means: &BTreeMap<String, f64>) {
        if let Show::Dashboard(dashboard) = &mut self.show {
            dashboard.log(means);
        }
        let shown = |name: &str| !name.contains('.') && name != "clipped";
        self.values = means
            .iter()
            .filter(|(name, _)| shown(name))
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect::<Vec<_>>()
            .join("  ");
    }

    /// `done` steps are done.
    pub fn step(&mut self, done: u64) {
        let whole = self.stage.as_mut().map(|of| of.step(done));
        match &mut self.show {
            Show::Bar(bar) => {
                bar.set_message(self.values.clone());
                bar.set_position(done);
            }
            Show::Lines { last } if last.elapsed() >= EVERY || done == self.total => {
                *last = Instant::now();
                let rate = (done - self.first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
                let left = (self.total - done) as f64 / rate.max(1e-9);
                interrupt::say(&format!(
                    "{}  step {done}/{}  {rate:.2} steps/s  {} left{}  {}",
                    self.label,
                    self.total,
                    duration(left),
                    whole.map_or(String::new(), |whole| format!("  [{whole}]")),
                    self.values
                ));
            }
            Show::Dashboard(dashboard) => dashboard.step(done),
            Show::Lines { .. } | Show::Nothing => {}
        }
    }
}

impl PhaseOfStage {
    fn step(&mut self, done: u64) -> String {
        let steps = done - self.done;
        let seconds = self.since.elapsed().as_secs_f64();
        (self.done, self.since) = (done, Instant::now());
        self.stage.stepped(&self.phase, done, steps, seconds)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match (&self.show, &self.stage) {
            (Show::Bar(bar), None) => bar.abandon(),
            // Of several runs only the one that goes on has a line.
            (Show::Bar(bar), Some(_)) => bar.finish_and_clear(),
            (Show::Lines { .. } | Show::Dashboard(_) | Show::Nothing, _) => {}
        }
        if let Some(of) = &self.stage {
            of.stage.ended();
        }
    }
}

fn bar(label: &str, done: u64, total: u64) -> ProgressBar {
    drawn(ProgressBar::new(total), label, done)
}

fn drawn(bar: ProgressBar, label: &str, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  {bar:30} {pos}/{len}  {per_sec}  {eta} left  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar.with_style(style).with_prefix(label.to_owned());
    bar.set_position(done);
    bar.reset_eta();
    bar
}
