//! Shared parts of the tests: fixtures, plugins, the program.

pub mod c;
pub mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::{Device, TensorData};
use sextant_guidance::SearchPath;

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

/// The search path of the tests.
pub fn plugins() -> SearchPath {
    SearchPath::new(&[plugin_folder()])
}

/// A recipe of this package.
pub fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name)
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
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(folder)
        .env("SEXTANT_PLUGIN_PATH", plugin_folder())
        // Nothing of a test stays in the user's cache, and nothing that is there decides it.
        .env("SEXTANT_CACHE", "");
    command
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
