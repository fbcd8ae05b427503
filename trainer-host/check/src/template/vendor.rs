//! The crates that a source is built with, as the program carries them: `sextant-plugin-api` and the testkit, or the C header.
//!
//! *Rationale.* The crates are not on crates.io, and a source is written without Sextant's repository. A copy beside the source
//! also means that it builds next year against the contract that it was written for.

use include_dir::{Dir, include_dir};
use toml::Table;

use super::{File, texts};

static API: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../plugin-api/src");
static TESTKIT: Dir = include_dir!("$CARGO_MANIFEST_DIR/../../plugin-api/testkit/src");
const API_MANIFEST: &str = include_str!("../../../../plugin-api/Cargo.toml");
const TESTKIT_MANIFEST: &str = include_str!("../../../../plugin-api/testkit/Cargo.toml");
const HEADER: &str = include_str!("../../../../plugin-api/include/sextant_guidance.h");
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const LICENCES: [(&str, &str); 2] = [
    ("LICENSE-APACHE", include_str!("../../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../../LICENSE-MIT")),
];

const NOTE: &str =
    "# A copy that `sextant plugin new` wrote. It stands alone: versions are those of Sextant's workspace.\n\n";

/// The dependencies of a source in Rust, below `vendor`.
pub(super) fn crates() -> Vec<File> {
    let mut files = package("vendor/sextant-plugin-api", API_MANIFEST, &API);
    files.extend(package("vendor/sextant-plugin-testkit", TESTKIT_MANIFEST, &TESTKIT));
    files
}

/// The header that a source in C includes.
pub(super) fn header() -> Vec<File> {
    let mut files = vec![File::new("include/sextant_guidance.h", HEADER)];
    files.extend(licences("include"));
    files
}

fn package(folder: &str, own_manifest: &str, sources: &'static Dir) -> Vec<File> {
    let mut files = vec![File::new(format!("{folder}/Cargo.toml"), manifest(own_manifest))];
    files.extend(texts(sources).map(|(path, text)| File::new(format!("{folder}/src/{path}"), text)));
    files.extend(licences(folder));
    files
}

fn licences(folder: &str) -> [File; 2] {
    LICENCES.map(|(name, text)| File::new(format!("{folder}/{name}"), text))
}

/// A package's manifest without its workspace: what it inherits is written out; its tests and lints stay at home.
fn manifest(text: &str) -> String {
    let workspace: Table = WORKSPACE.parse().expect("our own manifest, which a test reads");
    let mut manifest: Table = text.parse().expect("our own manifest, which a test reads");
    for absent in ["dev-dependencies", "lints"] {
        manifest.remove(absent);
    }
    for section in ["package", "dependencies"] {
        let inherited = &workspace["workspace"][section];
        for (key, value) in manifest[section].as_table_mut().into_iter().flatten() {
            if value.get("workspace").is_some() {
                *value = inherited[key.as_str()].clone();
                // The crates lie side by side.
                if let Some(path) = value.get_mut("path") {
                    *path = format!("../{key}").into();
                }
            }
        }
    }
    format!("{NOTE}{manifest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_carry_the_whole_crate() {
        let files = crates();
        for path in [
            "Cargo.toml",
            "LICENSE-MIT",
            "src/lib.rs",
            "src/abi/layout.rs",
            "src/parts/mlp.rs",
        ] {
            let path = format!("vendor/sextant-plugin-api/{path}");
            assert!(files.iter().any(|f| f.path.to_string_lossy() == path), "{path}");
        }
    }

    #[test]
    fn should_write_out_what_the_manifests_inherit() {
        for text in [API_MANIFEST, TESTKIT_MANIFEST] {
            assert!(
                !text.contains("features"),
                "what a dependency adds to the workspace's would be lost"
            );
            let written = manifest(text);
            assert!(!written.contains("workspace ="), "{written}");
            let table: Table = written.parse().unwrap();
            assert_eq!(table["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
            assert_eq!(table["dependencies"]["serde_json"]["version"].as_str(), Some("1"));
            assert!(!table.contains_key("lints") && !table.contains_key("dev-dependencies"));
        }
        let testkit: Table = manifest(TESTKIT_MANIFEST).parse().unwrap();
        let api = &testkit["dependencies"]["sextant-plugin-api"]["path"];
        assert_eq!(api.as_str(), Some("../sextant-plugin-api"));
    }
}
