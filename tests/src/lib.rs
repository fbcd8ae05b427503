//! Shared parts of the tests: fixtures, plugins, the program.

pub mod c;
pub mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use burn::tensor::{Device, TensorData};
use sextant_guidance::SearchPath;
use sextant_train::Ranks;
use sextant_train::reduce::threads::threads;

/// The elements of a tensor's data as f32.
pub fn floats(data: &TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}

/// The device named by `PARITY_DEVICE`, or the CPU.
///
/// # Panics
/// A device that is not there.
pub fn device() -> Device {
    let name = std::env::var("PARITY_DEVICE").unwrap_or_else(|_| "cpu".into());
    sextant_model::device::open(&name).unwrap_or_else(|e| panic!("{e}"))
}

/// The folder where Cargo put the plugins: beside the running test.
///
/// # Panics
/// A test whose own path is unknown.
pub fn plugin_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test's path");
    test.parent().expect("a folder").to_owned()
}

/// The results of so many ranks of this process, in their order; one rank is a world of its own.
///
/// # Panics
/// A rank that panics.
pub fn on_ranks<T: Send>(count: usize, act: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    if count == 1 {
        return vec![act(Ranks::default())];
    }
    std::thread::scope(|scope| {
        let act = &act;
        let started = threads(count).into_iter().enumerate().map(|(rank, link)| {
            scope.spawn(move || {
                let ranks = Ranks::join(Box::new(link), &format!("host{rank}"));
                act(ranks.expect("all ranks are there"))
            })
        });
        let started: Vec<_> = started.collect();
        started
            .into_iter()
            .map(|rank| rank.join().expect("a rank's result"))
            .collect()
    })
}

/// The search path of the tests.
pub fn plugins() -> SearchPath {
    SearchPath::new(&[plugin_folder()])
}

/// A recipe of this package.
pub fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name)
}

/// The path of the tiny recipe, as an argument.
pub fn tiny() -> String {
    recipe("tiny.toml").display().to_string()
}

/// Settings for little of everything that can be measured.
pub const LITTLE: [&str; 10] = [
    "--set",
    "evaluation.quality.samples=20",
    "--set",
    "evaluation.quality.sweep_samples=20",
    "--set",
    "evaluation.quality.scales=[1.0, 2.0]",
    "--set",
    "evaluation.representations.times=[0.5]",
    "--set",
    "evaluation.representations.images=120",
];

/// All files below a folder; none where it is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}

/// Copies all files below a folder.
///
/// # Panics
/// A file that cannot be read or written.
pub fn copy_files(from: &Path, to: &Path) {
    for path in files(from) {
        let copy = to.join(path.strip_prefix(from).expect("a file of the folder"));
        let folder = copy.parent().expect("a file has a folder");
        std::fs::create_dir_all(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        std::fs::copy(&path, &copy).unwrap_or_else(|e| panic!("{}: {e}", copy.display()));
    }
}

/// Runs the program with these arguments, with the plugins that Cargo built, in `folder`.
///
/// # Panics
/// A program that cannot be started.
pub fn sextant(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the program starts")
}

/// The program with these arguments, not started.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    ready(Command::new(program()), folder, arguments)
}

/// The program with these arguments, which a starter such as a shell is given after its own.
pub fn started_by(mut starter: Command, folder: &Path, arguments: &[&str]) -> Command {
    starter.arg(program());
    ready(starter, folder, arguments)
}

fn ready(mut command: Command, folder: &Path, arguments: &[&str]) -> Command {
    command
        .args(arguments)
        .current_dir(folder)
        .env("SEXTANT_PLUGIN_PATH", plugin_folder())
        // Nothing of a test stays in the user's cache, and nothing that is there decides it.
        .env("SEXTANT_CACHE", "");
    command
}

/// Runs a line as a shell takes it, in which `sextant` is the program.
///
/// # Panics
/// A shell that cannot be started.
pub fn in_shell(folder: &Path, line: &str) -> Output {
    let script = format!("sextant() {{ \"$0\" \"$@\"; }}\n{line}");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script);
    started_by(shell, folder, &[]).output().expect("a shell")
}

/// Runs the program with these arguments and wants exit code 2 and a message, no panic, with all of these words.
///
/// # Panics
/// Any other outcome.
pub fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = sextant(folder, arguments);
    let said = stderr(&output);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{arguments:?}: {said}{}",
        stdout(&output)
    );
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?}:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The program under test: beside the tests' folder, where Cargo puts binaries.
///
/// # Panics
/// A test whose own path is unknown.
pub fn program() -> PathBuf {
    let name = format!("sextant-under-test{}", std::env::consts::EXE_SUFFIX);
    plugin_folder().parent().expect("a folder").join(name)
}

/// A program's words on standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A program's words on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run of the program under way, ended when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    /// Starts the program.
    ///
    /// # Panics
    /// A program that cannot be started.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().expect("the program starts")))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is taken at its end")
    }

    /// Its process id.
    pub fn id(&mut self) -> u32 {
        self.child().id()
    }

    /// Waits until `what` is so.
    ///
    /// # Panics
    /// A program that ends before, or a minute.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            let ended = self.child().try_wait().expect("a child of this process");
            assert!(ended.is_none() || is_so(), "it ended before {what}: {ended:?}");
            assert!(started.elapsed() < Duration::from_secs(60), "no {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it listens to signals; one that came before would kill it.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    pub fn until_it_listens(&mut self) {
        let path = PathBuf::from(format!("/proc/{}/status", self.id()));
        if !path.exists() {
            // The system does not tell.
            std::thread::sleep(Duration::from_secs(2));
            return;
        }
        self.until("a listener", || {
            let status = std::fs::read_to_string(&path).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            // SIGUSR1, the tenth.
            mask.is_some_and(|mask| mask & (1 << 9) != 0)
        });
    }

    /// Waits until the run in `folder` has logged something.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    pub fn until_it_trains(&mut self, folder: &Path) {
        let journal = folder.join("metrics.jsonl");
        self.until("a log", || {
            std::fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() >= 3)
        });
    }

    /// Waits until it holds the lock of `folder`.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    pub fn until_it_holds(&mut self, folder: &Path) {
        let (path, id) = (folder.join(sextant_records::LOCK_FILE), self.id());
        self.until("a lock", || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let holder: Option<sextant_records::Holder> = serde_json::from_str(&text).ok();
            holder.is_some_and(|holder| holder.process == id)
        });
    }

    /// Sends a signal, such as `INT`.
    ///
    /// # Panics
    /// A program that has ended.
    pub fn signal(&mut self, signal: &str) {
        let sent = Command::new("kill")
            .args([format!("-{signal}"), self.id().to_string()])
            .status();
        assert!(sent.expect("kill starts").success(), "it has ended before {signal}");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// A program that cannot be waited for.
    pub fn end(mut self) -> Output {
        self.0
            .take()
            .and_then(|child| child.wait_with_output().ok())
            .expect("a child of this process")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails leaves nothing running.
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
