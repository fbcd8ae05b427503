//! `kill -9` of one rank at random moments: all end within the watchdog, and what goes on ends as if nobody had been killed.
//!
//! Four kills; `SEXTANT_KILLS=50` for more, `SEXTANT_KILL_SEED` for other moments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sextant_records::{checkpoint::list, journal};
use sextant_tests::{stderr, tiny};
use sextant_train::checkpoint::SavedTensors;

use super::super::kills::outcome;
use super::{Ranks, finished, train};

/// Seconds of `ranks.patience`.
const PATIENCE: u64 = 20;

/// The longest that all may take to end: the watchdog, and a while for what a machine does besides.
const LIMIT: Duration = Duration::from_secs(PATIENCE + 12);

/// A training of several ranks with checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    ranks: usize,
    /// Steps from one checkpoint to the next.
    every: u64,
}

impl Case {
    /// Its arguments, by what is in the folder.
    fn arguments(self, folder: &Path) -> Vec<String> {
        if folder.join("run/recipe.toml").exists() {
            return ["train", "--resume", "run", "--device", "cpu"]
                .map(str::to_owned)
                .into();
        }
        let settings = [
            "phases.0.steps=40".to_owned(),
            "optimiser.batch=12".to_owned(),
            format!("output.checkpoint_every={}", self.every),
            format!("ranks.patience={PATIENCE}"),
        ];
        let tiny = tiny();
        let begin = train(&tiny, "run", &["--variant", "aligned"]);
        begin
            .into_iter()
            .map(str::to_owned)
            .chain(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]))
            .collect()
    }

    fn finish(self, folder: &Path) {
        let arguments = self.arguments(folder);
        finished(
            self.ranks,
            folder,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }

    /// The seconds from a kill to the end of all; none where they had ended well before.
    fn killed(self, folder: &Path, rank: usize, after: Duration) -> Option<f64> {
        let arguments = self.arguments(folder);
        let mut ranks = Ranks::start(
            self.ranks,
            folder,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        std::thread::sleep(after);
        let was_killed = ranks.signal(rank, "KILL");
        let since = Instant::now();
        let output = ranks.end(LIMIT);
        let said = stderr(&output);
        if !was_killed {
            assert!(output.status.success(), "{said}");
            return None;
        }
        // What has ended, and mpirun has not noticed yet, can be sent a signal, too.
        if folder.join("run/result.json").exists() {
            return None;
        }
        assert!(said.contains(&format!("rank {rank} ")), "{said}");
        Some(since.elapsed().as_secs_f64())
    }

    /// Wants every checkpoint to be whole, and none to be missing that was due before the last line of the log. The step of the latest.
    fn kept(self, folder: &Path) -> u64 {
        let run = folder.join("run");
        let saved = list(&run.join("phases/train"));
        for saved in &saved {
            saved.read_all().unwrap_or_else(|error| panic!("{self:?}: {error}"));
        }
        let latest = saved.last().map_or(0, |saved| saved.step);
        let logged = journal::read(&run.join("metrics.jsonl"))
            .last()
            .map_or(0, |line| line.step);
        // A line comes before the checkpoint of its step.
        let due = logged.saturating_sub(1) / self.every * self.every;
        assert!(
            latest >= due,
            "{self:?}: a checkpoint of step {latest}, and a log to step {logged}"
        );
        latest
    }
}

/// What an undisturbed run leaves, and how long it takes.
struct Whole {
    outcome: BTreeMap<PathBuf, Vec<u8>>,
    length: Duration,
}

impl Whole {
    fn of(case: Case) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let since = Instant::now();
        case.finish(folder.path());
        Self {
            length: since.elapsed(),
            outcome: outcome(folder.path()),
        }
    }
}

#[test]
fn a_rank_that_is_killed_costs_no_more_than_the_steps_since_the_last_checkpoint() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (kills, seed) = (number("SEXTANT_KILLS", 4), number("SEXTANT_KILL_SEED", 1));
    println!("SEXTANT_KILLS={kills} SEXTANT_KILL_SEED={seed}");
    let mut moments = ChaCha8Rng::seed_from_u64(seed);
    let mut wholes = BTreeMap::new();
    let (mut left, mut ends) = (kills, Vec::new());
    while left > 0 {
        let case = Case {
            ranks: moments.random_range(2..=4),
            every: [1, 3][moments.random_range(0..2)],
        };
        let whole = wholes.entry(case).or_insert_with(|| Whole::of(case));
        let folder = tempfile::tempdir().unwrap();
        while left > 0 {
            let (rank, after) = (
                moments.random_range(0..case.ranks),
                whole.length.mul_f64(moments.random()),
            );
            let Some(seconds) = case.killed(folder.path(), rank, after) else {
                break;
            };
            let step = case.kept(folder.path());
            println!(
                "{case:?}: rank {rank} killed after {after:.2?}, all ended {seconds:.2} s later, checkpoint of step {step}"
            );
            ends.push(seconds);
            left -= 1;
        }
        case.finish(folder.path());
        let got = outcome(folder.path());
        assert!(got.keys().eq(whole.outcome.keys()), "{case:?}: {:?}", got.keys());
        for (path, content) in &got {
            assert!(*content == whole.outcome[path], "{case:?}: {} differs", path.display());
        }
    }
    let longest = ends.iter().fold(0.0, |most: f64, end| most.max(*end));
    println!("{} kills, all had ended after at most {longest:.2} s", ends.len());
}
