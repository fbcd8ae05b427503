//! The progress of several runs on the screen, above that of the one that goes on.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use burn::train::Interrupter;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::itinerary::{Itinerary, Left, PhaseSteps};
use super::{EVERY, Progress, ProgressMode};
use sextant_recipe::Recipe;
use sextant_records::RunFolder;
use sextant_records::duration;

/// Runs that follow one another, such as those of a comparison.
#[derive(Clone)]
pub struct Tour(Arc<Mutex<Whole>>);

/// One run's place among them.
#[derive(Clone)]
pub struct Stage {
    tour: Tour,
    run: usize,
}

struct Whole {
    mode: ProgressMode,
    itinerary: Itinerary,
    /// The run that goes on.
    run: usize,
    /// Since when its evaluation goes on.
    evaluating: Option<Instant>,
    /// When a line of it was last printed in a pipe.
    printed: Option<Instant>,
    screen: Option<Screen>,
}

/// Two lines on a terminal: the whole, and below it the run that goes on.
struct Screen {
    lines: MultiProgress,
    whole: ProgressBar,
}

impl Tour {
    /// No runs yet.
    pub fn new(mode: ProgressMode) -> Self {
        Self(Arc::new(Mutex::new(Whole {
            mode,
            itinerary: Itinerary::default(),
            run: 0,
            evaluating: None,
            printed: None,
            screen: None,
        })))
    }

    /// Adds a run after the others. What is done of it is read from its folder.
    pub fn stage(&self, variant: &str, recipe: &Recipe, folder: &RunFolder) -> Stage {
        let phases = recipe.phases.iter().map(|phase| PhaseSteps {
            name: phase.name.clone(),
            done: folder
                .latest(&phase.name)
                .map_or(0, |saved| saved.step.min(phase.steps)),
            total: phase.steps,
        });
        let steps = recipe.phases.last().map_or(0, |phase| phase.steps);
        let over = folder.result().is_some_and(|result| result.steps >= steps);
        let run = self.lock().itinerary.add(variant, phases.collect(), over);
        Stage {
            tour: self.clone(),
            run,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Whole> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Stage {
    /// Starts the display of a phase of this run that has done `done` of `total` steps.
    pub fn start(&self, label: &str, phase: &str, done: u64, total: u64, interrupter: &Interrupter) -> Progress {
        let bars = self.tour.lock().begin(self.run);
        Progress::of_stage(self.clone(), bars, label, phase, (done, total), interrupter)
    }

    /// The evaluation of this run has come to `what`, a few words. All between its last step and the first phase of the next
    /// run counts as its evaluation, said or not.
    pub fn evaluating(&self, what: &str) {
        let mut whole = self.tour.lock();
        if self.run > whole.run {
            whole.begin(self.run);
        }
        whole.evaluating.get_or_insert_with(Instant::now);
        let line = format!("evaluating: {what} · {}", whole.summary());
        whole.show(&line);
        let quiet = whole.mode != ProgressMode::Auto || whole.screen.is_some();
        if !quiet && whole.printed.is_none_or(|printed| printed.elapsed() >= EVERY) {
            whole.printed = Some(Instant::now());
            eprintln!("{line}");
        }
    }

    pub(super) fn mode(&self) -> ProgressMode {
        self.tour.lock().mode
    }

    /// The last `steps` of `done` took `seconds`. Returns the whole in a few words.
    pub(super) fn stepped(&self, phase: &str, done: u64, steps: u64, seconds: f64) -> String {
        let mut whole = self.tour.lock();
        whole.itinerary.stepped(self.run, phase, done, steps, seconds);
        let summary = whole.summary();
        whole.show(&summary);
        summary
    }

    /// A phase has ended, well or not.
    pub(super) fn ended(&self) {
        let mut whole = self.tour.lock();
        if whole.itinerary.trained(self.run) {
            whole.evaluating = Some(Instant::now());
            let line = format!("evaluating · {}", whole.summary());
            whole.show(&line);
        }
    }
}

impl Whole {
    /// A run begins or goes on. Returns the lines of the terminal, if there is one.
    fn begin(&mut self, run: usize) -> Option<MultiProgress> {
        if run != self.run
            && let Some(since) = self.evaluating.take()
        {
            self.itinerary.evaluated(self.run, since.elapsed().as_secs_f64());
        }
        self.evaluating = None;
        self.itinerary.reach(run);
        self.run = run;
        if self.screen.is_none() && self.mode == ProgressMode::Auto && std::io::stderr().is_terminal() {
            self.screen = Some(Screen::new());
        }
        let summary = self.summary();
        self.show(&summary);
        self.screen.as_ref().map(|screen| screen.lines.clone())
    }

    fn summary(&self) -> String {
        let place = format!("run {} of {}", self.run + 1, self.itinerary.runs());
        match self.itinerary.left() {
            Left::Unknown => place,
            Left::AtLeast(seconds) => format!("{place}, at least {} left for all", duration(seconds)),
            Left::About(seconds) => format!("{place}, {} left for all", duration(seconds)),
        }
    }

    fn show(&self, line: &str) {
        if let Some(screen) = &self.screen {
            let (done, total) = self.itinerary.steps();
            screen.whole.set_length(total);
            screen.whole.set_position(done);
            screen.whole.set_message(line.to_owned());
        }
    }
}

impl Screen {
    fn new() -> Self {
        let style = ProgressStyle::with_template("all  {bar:30} {pos}/{len} steps  {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let lines = MultiProgress::new();
        let whole = lines.add(ProgressBar::new(0).with_style(style));
        Self { lines, whole }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.whole.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = r#"
        [data]
        kind = "emoji"
        [model]
        patch_size = 4
        hidden_size = 32
        depth = 2
        num_heads = 2
        [[phases]]
        name = "train"
        steps = 4
    "#;

    #[test]
    fn a_line_of_a_run_says_where_all_of_them_are() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = sextant_recipe::parse_resolved(std::path::Path::new("test.toml"), RECIPE).unwrap();
        let tour = Tour::new(ProgressMode::Quiet);
        let stages = ["none", "repa"].map(|name| tour.stage(name, &recipe, &RunFolder::new(folder.path().join(name))));
        let first = stages[0].start("none", "train", 0, 4, &Interrupter::new());
        assert_eq!(
            stages[0].stepped("train", 2, 2, 20.0),
            "run 1 of 2, at least 1 min 0 s left for all"
        );
        stages[0].stepped("train", 4, 2, 20.0);
        drop(first);
        let _second = stages[1].start("repa", "train", 0, 4, &Interrupter::new());
        // The evaluation between them took no time to speak of.
        assert_eq!(stages[1].stepped("train", 1, 1, 10.0), "run 2 of 2, 30 s left for all");
    }
}
