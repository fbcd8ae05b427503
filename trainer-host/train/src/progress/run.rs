//! The progress of several runs that follow one another, above that of the one that goes on, and how long the rest takes.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sextant_recipe::Recipe;
use sextant_records::{RunFolder, duration};

use super::{EVERY, Progress, ProgressMode};

/// Runs that follow one another, such as those of a comparison.
#[derive(Clone)]
pub struct Runs(Arc<Mutex<Whole>>);

/// One run's progress among them.
#[derive(Clone)]
pub struct RunProgress {
    runs: Runs,
    run: usize,
}

struct Whole {
    mode: ProgressMode,
    steps: Vec<Steps>,
    step_pace: Pace,
    evaluation_pace: Pace,
    /// The run that goes on.
    run: usize,
    /// Since when its evaluation goes on.
    evaluating: Option<Instant>,
    /// When a line of it was last printed in a pipe.
    printed: Option<Instant>,
    screen: Option<Screen>,
}

/// Steps of one run, over all its phases.
struct Steps {
    done: u64,
    total: u64,
    /// Finished with its evaluation, or failed: it takes no more time.
    over: bool,
}

/// A count, and the seconds that it took.
#[derive(Clone, Copy, Default)]
struct Pace {
    count: f64,
    seconds: f64,
}

/// Two lines on a terminal: the whole, and below it the run that goes on.
struct Screen {
    lines: MultiProgress,
    whole: ProgressBar,
}

impl Runs {
    /// No runs yet.
    pub fn new(mode: ProgressMode) -> Self {
        Self(Arc::new(Mutex::new(Whole {
            mode,
            steps: Vec::new(),
            step_pace: Pace::default(),
            evaluation_pace: Pace::default(),
            run: 0,
            evaluating: None,
            printed: None,
            screen: None,
        })))
    }

    /// Adds a run after the others. What is done of it is read from its folder.
    pub fn add(&self, recipe: &Recipe, folder: &RunFolder) -> RunProgress {
        let done = |name: &str, steps| folder.latest(name).map_or(0, |saved| saved.step.min(steps));
        let mut whole = self.lock();
        whole.steps.push(Steps {
            done: recipe.phases.iter().map(|phase| done(&phase.name, phase.steps)).sum(),
            total: recipe.phases.iter().map(|phase| phase.steps).sum(),
            over: folder.result().is_some(),
        });
        RunProgress {
            runs: self.clone(),
            run: whole.steps.len() - 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Whole> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl RunProgress {
    /// Starts the display of a phase of this run that has done `done` of `total` steps.
    pub fn start(&self, label: &str, done: u64, total: u64) -> Progress {
        let mut whole = self.runs.lock();
        let mut progress = match whole.begin(self.run) {
            Some(lines) => Progress::below(&lines, label, done, total),
            None => whole.mode.start(label, done, total),
        };
        progress.run = Some(self.clone());
        progress
    }

    /// The evaluation of this run has come to `what`, a few words. All between its last step and the first phase of the next
    /// run counts as its evaluation, said or not.
    pub fn evaluating(&self, what: &str) {
        let mut whole = self.runs.lock();
        if self.run > whole.run {
            whole.begin(self.run);
        }
        whole.evaluating.get_or_insert_with(Instant::now);
        let line = format!("evaluating: {what} · {}", whole.summary());
        whole.show(&line);
        let quiet = whole.mode != ProgressMode::Auto || whole.screen.is_some();
        if !quiet && whole.printed.is_none_or(|printed| printed.elapsed() >= EVERY) {
            whole.printed = Some(Instant::now());
            sextant_interrupt::say(&line);
        }
    }

    /// `steps` more are done, and took `seconds`; none where others will take less. Returns the whole in a few words.
    pub(super) fn stepped(&self, steps: u64, seconds: Option<f64>) -> String {
        let mut whole = self.runs.lock();
        whole.steps[self.run].done += steps;
        if let Some(seconds) = seconds {
            whole.step_pace.add(steps as f64, seconds);
        }
        let summary = whole.summary();
        whole.show(&summary);
        summary
    }

    /// A phase has ended, well or not.
    pub(super) fn ended(&self) {
        let mut whole = self.runs.lock();
        if whole.steps[self.run].done >= whole.steps[self.run].total {
            whole.evaluating = Some(Instant::now());
            let line = format!("evaluating · {}", whole.summary());
            whole.show(&line);
        }
    }
}

impl Whole {
    /// A run begins or goes on: those before it are over. Returns the lines of the terminal, if there is one.
    fn begin(&mut self, run: usize) -> Option<MultiProgress> {
        if run != self.run
            && let Some(since) = self.evaluating
        {
            self.evaluation_pace.add(1.0, since.elapsed().as_secs_f64());
        }
        self.evaluating = None;
        self.steps[..run].iter_mut().for_each(|steps| steps.over = true);
        self.run = run;
        if self.screen.is_none() && self.mode == ProgressMode::Auto && std::io::stderr().is_terminal() {
            self.screen = Some(Screen::new());
        }
        let summary = self.summary();
        self.show(&summary);
        self.screen.as_ref().map(|screen| screen.lines.clone())
    }

    /// The run that goes on, and the time for all that is left: each step and each evaluation takes as long as those seen so
    /// far on average; without the evaluations, "at least", while none was seen.
    fn summary(&self) -> String {
        let place = format!("run {} of {}", self.run + 1, self.steps.len());
        let open = || self.steps.iter().filter(|steps| !steps.over);
        let Some(step) = self.step_pace.mean() else {
            return place;
        };
        let training = open().map(|steps| (steps.total - steps.done) as f64).sum::<f64>() * step;
        match self.evaluation_pace.mean() {
            Some(evaluation) => {
                let left = training + open().count() as f64 * evaluation;
                format!("{place}, {} left for all", duration(left))
            }
            None => format!("{place}, at least {} left for all", duration(training)),
        }
    }

    fn show(&self, line: &str) {
        if let Some(screen) = &self.screen {
            let done = |steps: &Steps| if steps.over { steps.total } else { steps.done };
            screen
                .whole
                .set_length(self.steps.iter().map(|steps| steps.total).sum());
            screen.whole.set_position(self.steps.iter().map(done).sum());
            screen.whole.set_message(line.to_owned());
        }
    }
}

impl Pace {
    fn add(&mut self, count: f64, seconds: f64) {
        self.count += count;
        self.seconds += seconds;
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.seconds / self.count)
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
        let all = Runs::new(ProgressMode::Quiet);
        let [none, repa, last] =
            ["none", "repa", "last"].map(|name| all.add(&recipe, &RunFolder::new(folder.path().join(name))));
        assert_eq!(
            all.lock().summary(),
            "run 1 of 3",
            "nothing is claimed before the first step"
        );
        let first = none.start("none", 0, 4);
        assert_eq!(
            none.stepped(1, None),
            "run 1 of 3",
            "nor from one that compiles kernels"
        );
        assert_eq!(
            none.stepped(2, Some(20.0)),
            "run 1 of 3, at least 1 min 30 s left for all"
        );
        none.stepped(1, Some(10.0));
        drop(first);
        let second = repa.start("repa", 0, 4);
        // The evaluation between them took no time to speak of.
        assert_eq!(repa.stepped(1, Some(10.0)), "run 2 of 3, 1 min 10 s left for all");
        // It fails after a step: the next has only its own to do.
        drop(second);
        let _third = last.start("last", 0, 4);
        assert_eq!(last.stepped(1, Some(10.0)), "run 3 of 3, 30 s left for all");
    }
}
