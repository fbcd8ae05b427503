//! A disk that fills, at whatever file is being written: exit code 1, a message that names the file, nothing half-written under its
//! own name, and what goes on afterwards ends as if there had been room.
//!
//! A disk is full in two ways here: no file may grow beyond a size (`ulimit -f`, everywhere), or a file system has no room left (a
//! tmpfs, where this user may mount one).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sextant_tests::{LITTLE, copy_files, files, started_by, stderr, tiny};

use super::files::succeed;
use super::kills::outcome;
use super::prepare::{autoencoder, photographs};
use super::runs::contents;

/// The folder that stands for the disk.
const DISK: &str = "disk";

/// The bytes of a block of memory, which a tmpfs gives whole.
const PAGE: u64 = 4096;

/// The limit that keeps the disk from taking everything.
#[derive(Clone, Copy, Debug)]
enum Full {
    /// Files of at most so many blocks of 512 bytes.
    Files(u64),
    /// So many pages in all.
    Disk(u64),
}

/// The most blocks that files may have: from none to more than most have.
const FILES: [u64; 6] = [0, 1, 4, 16, 128, 1024];

/// The program in a folder with its arguments, which a starter is given after its own.
pub type Start = fn(Command, &Path, &[&str]) -> Command;

/// Work that writes into [`DISK`].
pub struct Job {
    pub name: &'static str,
    /// Makes ready what it reads, beside the disk.
    pub prepare: fn(&Path),
    /// Its arguments, by what is there.
    pub arguments: fn(&Path) -> Vec<String>,
    /// Beginnings of the names of files at each of which it is to have failed.
    pub kinds: &'static [&'static str],
    /// All that has to be the same afterwards.
    pub outcome: fn(&Path) -> BTreeMap<PathBuf, Vec<u8>>,
    /// The pages at which the disk is full, of so many that are written in all.
    pub at: fn(u64) -> BTreeSet<u64>,
}

/// Full at its beginning, within, and at its end.
fn everywhere(pages: u64) -> BTreeSet<u64> {
    let within = (2..7).map(|i| pages * i / 8);
    (1..=10).chain(within).chain(pages.saturating_sub(5)..pages).collect()
}

/// Full where a comparison begins, once in the middle, and where its pages are written: what lies between is a training's.
fn of_a_comparison(pages: u64) -> BTreeSet<u64> {
    (1..=2)
        .chain([pages / 2])
        .chain(pages.saturating_sub(40)..pages)
        .step_by(5)
        .collect()
}

/// Every file but locks.
fn all_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut paths = files(folder);
    paths.retain(|path| !path.ends_with(".sextant-lock"));
    let within = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_owned();
    paths
        .iter()
        .map(|path| (within(path), fs::read(path).unwrap()))
        .collect()
}

pub const TRAIN: Job = Job {
    name: "train",
    prepare: |_| {},
    arguments: |folder| match folder.join(DISK).join("run/recipe.toml").exists() {
        true => words(&["train", "--resume", "disk/run"]),
        false => words(&[
            "train",
            &tiny(),
            "--variant",
            "aligned",
            "--out",
            "disk/run",
            "--set",
            "phases.0.steps=4",
            "--set",
            "output.checkpoint_every=0",
            "--set",
            "output.samples_every=2",
        ]),
    },
    kinds: &[
        "run.json",
        "recipe.toml",
        "metrics.jsonl",
        "events",
        "train-",
        "student.safetensors",
        "ema.safetensors",
        "optimiser.bpk",
        "state.json",
        "final.npz",
        "final.png",
        "result.json",
    ],
    outcome,
    at: everywhere,
};

const SAMPLE: Job = Job {
    name: "sample",
    prepare: |folder| trained(folder, &[]),
    arguments: |_| words(&["sample", "run", "--count", "64", "--out", "disk/drawn"]),
    kinds: &["drawn.npz", "drawn.png"],
    outcome,
    at: everywhere,
};

const EVAL: Job = Job {
    name: "eval",
    prepare: |folder| trained(folder, &LITTLE[..6]),
    arguments: |_| words(&["eval", "run", "--out", "disk/measured"]),
    kinds: &["sweep-", "samples-", "evaluation.json"],
    outcome,
    at: everywhere,
};

const REPORT: Job = Job {
    name: "report",
    prepare: |folder| succeeds(folder, &words(&["compare", &tiny(), "--out", "all"])),
    arguments: |_| words_alone(&["report", "all", "--out", "disk/page"]),
    kinds: &["report.html"],
    outcome,
    at: everywhere,
};

const COMPARE: Job = Job {
    name: "compare",
    prepare: |folder| {
        // Of one variant.
        let tiny = fs::read_to_string(tiny()).unwrap();
        let (one, _) = tiny.split_once("[[variants]]\nname = \"aligned\"").unwrap();
        fs::write(folder.join("one.toml"), one.replace("steps = 8", "steps = 2")).unwrap();
    },
    arguments: |_| words(&["compare", "one.toml", "--out", "disk/all"]),
    kinds: &["comparison.json", "report."],
    outcome,
    at: of_a_comparison,
};

const PACK: Job = Job {
    name: "pack",
    prepare: |folder| {
        photographs(folder);
        fs::remove_file(folder.join("photos/cats/broken, in half.jpg")).unwrap();
    },
    arguments: |_| {
        // Large enough that its samples take more than a page.
        words_alone(&["data", "pack", "photos/cats", "disk/packed", "--size", "40"])
    },
    kinds: &["shard-00000.bin", "labels.bin", "index.json"],
    outcome: all_files,
    at: everywhere,
};

const PREPARE: Job = Job {
    name: "prepare",
    prepare: |folder| {
        photographs(folder);
        fs::rename(autoencoder(folder, 0), folder.join("vae")).unwrap();
    },
    arguments: |_| {
        let prepare = ["data", "prepare", "photos", "disk/out", "--size", "16", "--batch", "3"];
        words(&[&prepare[..], &["--vae", "vae"]].concat())
    },
    kinds: &["prepare.json", "img0", "img-mean-std-", "skipped.csv", "dataset.json"],
    outcome: all_files,
    at: everywhere,
};

fn words(words: &[&str]) -> Vec<String> {
    words_alone(&[words, &["--device", "cpu"]].concat())
}

fn words_alone(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn succeeds(folder: &Path, arguments: &[String]) {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    succeed(folder, &arguments);
}

fn trained(folder: &Path, more: &[&str]) {
    succeeds(folder, &words(&[&["train", &tiny(), "--out", "run"], more].concat()));
}

impl Job {
    /// Its end, under this starter.
    fn output(&self, start: Start, starter: Command, folder: &Path) -> Output {
        let arguments = (self.arguments)(folder);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        start(starter, folder, &words).output().unwrap()
    }

    /// Wants it to succeed, where there is room.
    fn succeeds(&self, start: Start, folder: &Path) {
        let output = self.output(start, Command::new("env"), folder);
        assert!(output.status.success(), "{}: {}", self.name, stderr(&output));
    }
}

impl Full {
    /// Does the work with the disk full in this way.
    fn run(self, folder: &Path, job: &Job, start: Start) -> Output {
        // Ignored, SIGXFSZ is an error of the write instead of the process's end.
        let files = "trap '' XFSZ; ulimit -f $0; exec \"$@\"";
        let disk = "mount -t tmpfs -o size=$0 tmpfs disk || exit 77; \"$@\"; code=$?; cp -a disk/. kept; exit $code";
        let command = match self {
            Self::Files(blocks) => {
                let mut command = Command::new("sh");
                command.args(["-c", files, &blocks.to_string()]);
                command
            }
            Self::Disk(pages) => {
                let mut command = Command::new("unshare");
                command.args(["-rm", "sh", "-c", disk, &(pages * PAGE).to_string()]);
                fs::create_dir(folder.join("kept")).unwrap();
                command
            }
        };
        let output = job.output(start, command, folder);
        if let Self::Disk(_) = self {
            // The file system is gone with its last process.
            fs::remove_dir(folder.join(DISK)).unwrap();
            fs::rename(folder.join("kept"), folder.join(DISK)).unwrap();
        }
        output
    }
}

/// Tells whether this user may mount a file system.
fn can_mount() -> bool {
    let script = "mount -t tmpfs -o size=64k tmpfs /mnt";
    let tried = Command::new("unshare").args(["-rm", "sh", "-c", script]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Wants every file that is there under its own name to be whole.
fn whole(folder: &Path, wanted: &Path) {
    for path in files(folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let place = path.strip_prefix(folder).unwrap();
        let whole = match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors" | "bpk" | "npz" | "png" | "toml" | "npy" | "bin") => {
                contents(&path) == contents(&wanted.join(place))
            }
            Some("json") => serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).is_ok(),
            Some("html") => fs::read_to_string(&path).unwrap().trim_end().ends_with("</html>"),
            // These grow line by line, and a last one that is cut is left out.
            Some("jsonl" | "txt" | "sextant") => true,
            _ => !name.contains("partial"),
        };
        assert!(whole, "{} is half of itself", place.display());
    }
}

/// The file that the message names, without the folder.
fn named(said: &str) -> String {
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors[..] else {
        panic!("one error: {said}")
    };
    assert!(!said.contains("failed.json"), "{said}");
    // A comparison sums up, and its log has said of which file.
    let of_variant = said.lines().find_map(|line| line.split_once("variant none: "));
    let words = match error.strip_prefix("error: failed: ") {
        Some(_) => of_variant.unwrap().1,
        None => error.strip_prefix("error: ").unwrap(),
    };
    let path = words.split(": ").next().unwrap();
    let path = PathBuf::from(path);
    assert!(path.starts_with(DISK), "{said} names no file of the disk");
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Fills the disk at every file of a job, and goes on with room.
fn fill(job: &Job) {
    fill_of(job, started_by, &FILES);
}

/// The same of a job that is started otherwise, with files of at most so many blocks.
pub fn fill_of(job: &Job, start: Start, files_of: &[u64]) {
    let mounts = can_mount();
    if !mounts {
        let is_ci = std::env::var_os("CI").is_some();
        assert!(
            !is_ci || !files_of.is_empty(),
            "{}: nothing to fill can be mounted",
            job.name
        );
        println!("no file system can be mounted here: files that may not grow stand for all of it");
    }
    let [prepared, wanted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    (job.prepare)(prepared.path());
    copy_files(prepared.path(), wanted.path());
    job.succeeds(start, wanted.path());
    let result = (job.outcome)(&wanted.path().join(DISK));
    assert!(job.name == "report" || !result.is_empty());
    let sizes = files(&wanted.path().join(DISK))
        .into_iter()
        .map(|path| fs::metadata(path).unwrap().len());
    let sizes: Vec<u64> = sizes.collect();
    let largest = sizes.iter().max().unwrap() / 512;
    let mut ways: Vec<Full> = files_of.iter().copied().map(Full::Files).collect();
    ways.retain(|way| matches!(way, Full::Files(blocks) if *blocks < largest));
    if mounts {
        let pages: u64 = sizes.iter().map(|size| size.div_ceil(PAGE)).sum();
        let at = (job.at)(pages).into_iter();
        ways.extend(at.filter(|at| (1..pages).contains(at)).map(Full::Disk));
    }
    let mut met = BTreeSet::new();
    for way in ways {
        let folder = tempfile::tempdir().unwrap();
        copy_files(prepared.path(), folder.path());
        fs::create_dir(folder.path().join(DISK)).unwrap();
        let output = way.run(folder.path(), job, start);
        let said = stderr(&output);
        let case = format!("{}, {way:?}", job.name);
        match output.status.code() {
            // A little less than all of it can be enough, where files are replaced.
            Some(0) => {}
            Some(1) => {
                println!("{case}: {}", said.trim_end());
                assert!(
                    !said.contains("fault of Sextant") && !said.contains("panicked"),
                    "{case}: {said}"
                );
                met.insert(named(&said));
                whole(&folder.path().join(DISK), &wanted.path().join(DISK));
            }
            code => panic!("{case} ended with {code:?}: {said}"),
        }
        job.succeeds(start, folder.path());
        let again = (job.outcome)(&folder.path().join(DISK));
        assert_eq!(
            again.keys().collect::<Vec<_>>(),
            result.keys().collect::<Vec<_>>(),
            "{case}"
        );
        for (path, content) in again {
            assert!(content == result[&path], "{case}: {} differs", path.display());
        }
    }
    println!("{}: {met:?}", job.name);
    let missing: Vec<_> = job
        .kinds
        .iter()
        .filter(|kind| !met.iter().any(|name| name.starts_with(**kind)))
        .collect();
    assert!(
        !mounts || missing.is_empty(),
        "{}: never full at {missing:?}: {met:?}",
        job.name
    );
}

#[test]
fn a_training_says_that_the_disk_is_full_and_goes_on() {
    fill(&TRAIN);
}

#[test]
fn samples_say_that_the_disk_is_full_and_are_drawn_again() {
    fill(&SAMPLE);
}

#[test]
fn an_evaluation_says_that_the_disk_is_full_and_goes_on() {
    fill(&EVAL);
}

#[test]
fn a_comparison_says_that_the_disk_is_full_and_goes_on() {
    fill(&COMPARE);
}

#[test]
fn packing_says_that_the_disk_is_full_and_leaves_nothing() {
    fill(&PACK);
}

#[test]
fn preparing_says_that_the_disk_is_full_and_goes_on() {
    fill(&PREPARE);
}

#[test]
fn a_report_says_that_the_disk_is_full_and_is_made_again() {
    fill(&REPORT);
}
