//! Ranks that are processes of MPI, on this machine: `cargo test -p sextant-tests --features mpi --test suite mpi::`.

mod full_disk;
mod kills;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use sextant_records::checkpoint::list;
use sextant_tests::{sextant, started_by, stderr, stdout, tiny};
use sextant_train::checkpoint::SavedTensors;

use super::ranks::failing_on;
use super::runs::{same, succeed};

/// The program on so many ranks of one thread, with these arguments.
fn on(ranks: usize, folder: &Path, arguments: &[&str]) -> Command {
    started_by(mpirun(ranks), folder, arguments)
}

fn mpirun(ranks: usize) -> Command {
    of_ranks(Command::new("mpirun"), ranks)
}

/// A starter, such as mpirun, of so many ranks of one thread. As root too, and on fewer processors: it is a test.
fn of_ranks(mut starter: Command, ranks: usize) -> Command {
    starter
        .args(["-n", &ranks.to_string(), "--oversubscribe", "--mca", "btl", "self,tcp"])
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("RAYON_NUM_THREADS", "1");
    starter
}

fn train<'a>(tiny: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", tiny, "--out", out, "--device", "cpu"], more].concat()
}

fn finished(ranks: usize, folder: &Path, arguments: &[&str]) -> Output {
    let output = on(ranks, folder, arguments).output().expect("mpirun starts");
    succeed(&output);
    output
}

/// Ranks under way, all ended when this is dropped.
struct Ranks(Child);

impl Ranks {
    fn start(ranks: usize, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = on(ranks, folder, arguments);
        let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(started.expect("mpirun starts"))
    }

    fn until_it_logs(&mut self, run: &Path) {
        let since = Instant::now();
        while fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 3 {
            assert!(self.0.try_wait().unwrap().is_none(), "it ended before it logged");
            assert!(since.elapsed() < Duration::from_secs(60), "no log");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to one of the ranks, once it has begun. False where all have ended before.
    fn signal(&mut self, rank: usize, signal: &str) -> bool {
        loop {
            let process = self.process(rank);
            let sent = process.map(|process| Command::new("kill").args([format!("-{signal}"), process]).output());
            if sent.is_some_and(|sent| sent.unwrap().status.success()) {
                return true;
            }
            if self.0.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The process of a rank.
    fn process(&self, rank: usize) -> Option<String> {
        let own = format!("OMPI_COMM_WORLD_RANK={rank}");
        let is_rank = |process: &String| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == own.as_bytes())
        };
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.0.id())).ok()?;
        children.split_whitespace().map(str::to_owned).find(is_rank)
    }

    /// Its output, after at most so long.
    fn end(mut self, limit: Duration) -> Output {
        let since = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < limit, "it hangs");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut output = Output {
            status: self.0.wait().unwrap(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let read = |from: &mut dyn std::io::Read, to: &mut Vec<u8>| from.read_to_end(to).unwrap();
        read(self.0.stdout.as_mut().unwrap(), &mut output.stdout);
        read(self.0.stderr.as_mut().unwrap(), &mut output.stderr);
        output
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        // Whatever it has started ends with it.
        let _ = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.wait();
    }
}

/// What the ranks say of sums of theirs.
fn sums(ranks: usize, what: &str) -> Output {
    let mut command = mpirun(ranks);
    command.args([env!("CARGO_BIN_EXE_sums-of-mpi"), what]);
    command.output().expect("mpirun starts")
}

#[test]
fn sums_of_any_length_are_right_on_one_to_five_ranks() {
    for ranks in 1..=5 {
        let output = sums(ranks, "check");
        succeed(&output);
        assert!(stdout(&output).contains(&format!("sums of {ranks} ranks are right")));
    }
}

#[test]
fn a_rank_that_stands_still_in_the_middle_of_a_sum_is_missed() {
    let output = sums(3, "stop");
    let said = stdout(&output);
    assert!(!output.status.success());
    for rank in 0..2 {
        assert!(
            said.contains(&format!("rank {rank} misses [2]")),
            "{said}{}",
            stderr(&output)
        );
    }
}

#[test]
fn processes_train_what_threads_do_and_one_of_them_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let variant = ["--variant", "self-transcendence"];
    // So narrow that some ranks have no sample inside, and a buffer of each agreement.
    let sources = [
        "--variant",
        "none",
        "--set",
        "optimiser.batch=12",
        "--set",
        r#"phases.0.guidance=[{ plugin = "vae-align", config = { depth = 1, projector_width = 16, t_min = 0.4, t_max = 0.6 } }, { plugin = "test-memory" }]"#,
    ];
    let parts = [&variant[..], &["--set", "ranks.sharded=true"]].concat();
    for ranks in 1..=4 {
        let devices = ["cpu"; 4][..ranks].join(",");
        let kinds = [("sources", &sources[..]), ("taught", &variant), ("parts", &parts)];
        // Three cannot share eight samples, and parts are of several.
        let kinds = kinds.into_iter().filter(|(kind, _)| match ranks {
            1 => *kind != "parts",
            3 => *kind == "sources",
            _ => true,
        });
        for (kind, more) in kinds {
            let [processes, threads] = ["processes", "threads"].map(|run| format!("{kind}-{run}-{ranks}"));
            let output = finished(ranks, at, &train(&tiny, &processes, more));
            assert_eq!(stdout(&output).matches("validation loss").count(), 1);
            succeed(&sextant(
                at,
                &[&["train", &tiny, "--out", &threads, "--device", &devices], more].concat(),
            ));
            same(&at.join(&processes), &at.join(&threads), 8);
        }
    }
    // Three cannot share eight samples.
    let output = on(3, at, &train(&tiny, "three", &variant)).output().unwrap();
    let said = stderr(&output);
    assert!(
        !output.status.success() && said.matches("1, 2, 4, 8 ranks").count() == 1,
        "{said}"
    );
    let output = on(2, at, &["bench", &tiny]).output().unwrap();
    assert!(stderr(&output).contains("without mpirun"), "{}", stderr(&output));
    succeed(&finished(2, at, &["compare", &tiny, "--out", "all", "--device", "cpu"]));
    assert!(at.join("all/report.html").exists());
}

#[test]
fn a_source_that_fails_on_one_rank_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    for (how, words, step) in [
        ("error", "asked to fail", 6),
        ("panic", "asked to panic", 6),
        ("nan", "step 7", 4),
    ] {
        let faulty = failing_on(2, how);
        let ranks = Ranks::start(4, at, &train(&tiny, how, &["--variant", "none", "--set", &faulty]));
        let output = ranks.end(Duration::from_secs(60));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        // One of them says it.
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
        assert!(said.contains("rank 2") && said.contains(words), "{said}");
        let saved = list(&at.join(how).join("phases/train")).pop().expect("a checkpoint");
        saved.read_all().unwrap();
        assert_eq!(saved.step, step);
    }
}

#[test]
fn a_rank_that_is_killed_or_stands_still_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let long = [
        "--variant",
        "aligned",
        "--set",
        "phases.0.steps=20000",
        "--set",
        "ranks.patience=3",
    ];
    for (signal, rank) in [("KILL", 1), ("KILL", 0), ("STOP", 2), ("STOP", 0)] {
        let run = format!("{signal}-{rank}");
        let mut ranks = Ranks::start(4, at, &train(&tiny, &run, &long));
        ranks.until_it_logs(&at.join(&run));
        assert!(ranks.signal(rank, signal));
        // The patience of those that wait, as much again in which the first may save and say something, and the pauses of mpirun.
        let output = ranks.end(Duration::from_secs(2 * 3 + 24));
        let said = stderr(&output);
        assert!(
            !output.status.success() && said.contains(&format!("rank {rank} ")),
            "{run}: {said}"
        );
        let saved = list(&at.join(&run).join("phases/train")).pop().expect("a checkpoint");
        saved.read_all().unwrap_or_else(|error| panic!("{run}: {error}"));
    }
}

#[test]
fn a_request_to_stop_that_reaches_one_rank_stops_all_after_the_same_step() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let settings = [
        "--variant",
        "aligned",
        "--set",
        "phases.0.steps=20000",
        "--set",
        "output.checkpoint_every=0",
    ];
    let mut ranks = Ranks::start(2, at, &train(&tiny, "run", &settings));
    ranks.until_it_logs(&at.join("run"));
    assert!(ranks.signal(1, "TERM"));
    let output = ranks.end(Duration::from_secs(60));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("stopped after step") && said.contains("go on with"),
        "{said}"
    );
    let saved = list(&at.join("run/phases/train"));
    assert_eq!(saved.len(), 1);
    saved[0].read_all().unwrap();
}

#[test]
fn processes_measure_and_draw_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    succeed(&sextant(at, &train(&tiny, "run", &["--variant", "none"])));
    let quality = "evaluation.quality={ samples = 150, sweep_samples = 70, scales = [1.0, 2.0] }";
    let eval = |out: &'static str| {
        [
            "eval", "run", "--json", "--out", out, "--device", "cpu", "--set", quality,
        ]
    };
    let alone = sextant(at, &eval("one"));
    succeed(&alone);
    let several = finished(3, at, &eval("several"));
    assert_eq!(stdout(&alone), stdout(&several));
    let samples = |folder: &str| fs::read(at.join(folder).join("samples-1.npz")).unwrap();
    assert!(samples("one") == samples("several"));

    let sample = |npz: &'static str, steps: &'static str| {
        [
            "sample", "run", "--device", "cpu", "--steps", steps, "--batch", "8", "--count", "100", "--npz", npz,
        ]
    };
    succeed(&sextant(at, &sample("one.npz", "3")));
    finished(3, at, &sample("several.npz", "3"));
    assert!(fs::read(at.join("one.npz")).unwrap() == fs::read(at.join("several.npz")).unwrap());
    // A request to stop that reaches another than the first.
    let mut ranks = Ranks::start(2, at, &sample("stopped.npz", "20000"));
    let since = Instant::now();
    while !at.join("stopped.npz.partial").exists() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(ranks.signal(1, "TERM"));
    let output = ranks.end(Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(at.join("stopped.npz.partial").exists() && !at.join("stopped.npz").exists());
}

#[test]
fn groups_of_processes_train_variants_and_stop_together() {
    let folder = tempfile::tempdir().unwrap();
    let (at, tiny) = (folder.path(), tiny());
    let compare = |out: &'static str, more: &[&'static str]| [&["compare", tiny.as_str(), "--out", out], more].concat();
    let output = finished(4, at, &compare("processes", &["--device", "cpu", "--groups", "2"]));
    assert_eq!(stdout(&output).matches("report.html").count(), 1, "{}", stdout(&output));
    succeed(&sextant(at, &compare("threads", &["--device", "cpu,cpu"])));
    for variant in ["none", "aligned", "self-transcendence"] {
        same(
            &at.join("processes").join(variant),
            &at.join("threads").join(variant),
            8,
        );
    }
    let long = ["--device", "cpu", "--groups", "2", "--set", "phases.0.steps=20000"];
    let mut ranks = Ranks::start(2, at, &compare("stopped", &long));
    ranks.until_it_logs(&at.join("stopped/none"));
    ranks.until_it_logs(&at.join("stopped/aligned"));
    ranks.signal(1, "TERM");
    let output = ranks.end(Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    for variant in ["none", "aligned"] {
        let saved = list(&at.join("stopped").join(variant).join("phases/train"));
        saved.last().expect("a checkpoint").read_all().unwrap();
    }
}
