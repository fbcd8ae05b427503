//! Progress that a person sees while runs go on: bars on a terminal, a line every so often in a pipe.

mod dashboard;
mod run;

pub use run::{RunProgress, Runs};

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
    /// Lines on standard error: other runs go on beside.
    Lines,
    /// burn-train's dashboard, which takes the whole terminal.
    Dashboard,
    /// Nothing: another program reads the output.
    Quiet,
}

impl ProgressMode {
    /// Starts the display of a phase that has done `done` of `total` steps.
    pub fn start(self, label: &str, done: u64, total: u64) -> Progress {
        let show = match self {
            Self::Auto if std::io::stderr().is_terminal() => Show::Bar(drawn(ProgressBar::new(total), label, done)),
            Self::Auto | Self::Lines => Show::Lines { last: Instant::now() },
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
    /// Name of what is counted, in the singular.
    unit: &'static str,
    total: u64,
    first: u64,
    started: Instant,
    values: String,
    done: u64,
    /// Time of the last step's end.
    since: Instant,
    /// The steps until this one take longer than others.
    warm: u64,
    /// Why, in a few words.
    why: String,
    /// The run that the phase is of, where there are several.
    run: Option<RunProgress>,
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
            unit: "step",
            total,
            first: done,
            started: Instant::now(),
            values: String::new(),
            done,
            since: Instant::now(),
            warm: done,
            why: String::new(),
            run: None,
        }
    }

    /// A bar among `lines`.
    fn below(lines: &MultiProgress, label: &str, done: u64, total: u64) -> Self {
        // Added before it is drawn, so that the lines do not overwrite each other.
        let bar = lines.add(ProgressBar::new(total));
        Self::new(Show::Bar(drawn(bar, label, done)), label, done, total)
    }

    /// The same of something else than steps.
    #[must_use]
    pub fn counting(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Says of the steps until `step`, in a few words, why they take longer than others, and leaves them out of all estimates.
    #[must_use]
    pub fn warming_up(mut self, step: u64, why: &str) -> Self {
        if self.done < step {
            match &self.show {
                Show::Bar(bar) => bar.set_message(why.to_owned()),
                Show::Lines { .. } => interrupt::say(&format!("{}  {why}", self.label)),
                Show::Dashboard(_) | Show::Nothing => {}
            }
        }
        self.warm = step;
        self.why = why.into();
        self
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
        let (steps, seconds) = (done - self.done, self.since.elapsed().as_secs_f64());
        (self.done, self.since) = (done, Instant::now());
        let warm = done > self.warm;
        let whole = self.run.as_ref().map(|run| run.stepped(steps, warm.then_some(seconds)));
        if !warm && done < self.total {
            (self.first, self.started) = (done, self.since);
        }
        match &mut self.show {
            Show::Bar(bar) => {
                bar.set_message(if warm { self.values.clone() } else { self.why.clone() });
                bar.set_position(done);
                if !warm {
                    bar.reset_eta();
                }
            }
            Show::Lines { last } if done == self.total || warm && last.elapsed() >= EVERY => {
                let unit = self.unit;
                *last = Instant::now();
                let rate = (done - self.first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
                let left = (self.total - done) as f64 / rate.max(1e-9);
                interrupt::say(&format!(
                    "{}  {unit} {done}/{}  {rate:.2} {unit}s/s  {} left{}  {}",
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

impl Drop for Progress {
    fn drop(&mut self) {
        match (&self.show, &self.run) {
            (Show::Bar(bar), None) => bar.abandon(),
            // Of several runs only the one that goes on has a line.
            (Show::Bar(bar), Some(_)) => bar.finish_and_clear(),
            (Show::Lines { .. } | Show::Dashboard(_) | Show::Nothing, _) => {}
        }
        if let Some(run) = &self.run {
            run.ended();
        }
    }
}

fn drawn(bar: ProgressBar, label: &str, done: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}  {bar:30} {pos}/{len}  {per_sec}  {eta} left  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar.with_style(style).with_prefix(label.to_owned());
    bar.set_position(done);
    bar.reset_eta();
    bar
}
