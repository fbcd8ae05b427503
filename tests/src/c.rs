//! Guidance sources in C, built as a stranger builds them: `cc`, the header, one file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the repository.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Builds `source` into the shared library `library`, with the headers in `include` and further flags.
///
/// # Panics
/// Any complaint of the compiler.
pub fn build(source: &Path, include: &Path, library: &Path, flags: &[&str]) {
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-fPIC",
            "-shared",
        ])
        .args(flags)
        .arg("-I")
        .arg(include)
        .arg("-o")
        .args([library, source])
        .args(["-lm", "-lpthread"])
        .output()
        .expect("a C compiler, which Rust needs to link anyway");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {flags:?}: {said}", source.display());
}
