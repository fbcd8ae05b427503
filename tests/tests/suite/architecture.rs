//! The map of the crates against the manifests that Cargo reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sextant_tests::files;

/// Dependencies that a crate knows: others of the workspace, and burn.
#[derive(Debug, PartialEq, Eq)]
struct Knows {
    crates: BTreeSet<String>,
    burn: bool,
}

#[test]
fn crates_know_what_the_architecture_says() {
    let (written, found) = (written(), found());
    assert_eq!(
        written.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>(),
        "the table of docs/architecture.md, and the crates below trainer-host"
    );
    for (name, knows) in &found {
        assert_eq!(&written[name], knows, "{name}: docs/architecture.md, and its manifest");
    }
}

/// A clock that is set back must end no run and make nothing wait: the time of day is written down for people, and nothing else is
/// made of it. What is measured or waited for is told by `Instant`.
#[test]
fn the_time_of_day_is_only_written_down() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer-host");
    let asks = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        ["SystemTime", "Timestamp::now", "Zoned::now", ".modified()"]
            .iter()
            .any(|word| text.contains(word))
    };
    let sources = files(&host)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs") && asks(path));
    let mut found: Vec<_> = sources
        .map(|path| path.strip_prefix(&host).unwrap().to_owned())
        .collect();
    found.sort();
    let known = [
        // Whether a file was written again, which any other time says.
        "check/src/isolation.rs",
        // The time of an event, by which TensorBoard orders nothing.
        "records/src/events.rs",
        // The times at which something was changed, locked, or made.
        "records/src/history.rs",
        "records/src/lock.rs",
        "report/src/comparison/assemble.rs",
    ];
    assert_eq!(found, known.map(Path::new));
}

/// The rows of the table.
fn written() -> BTreeMap<String, Knows> {
    let lines = include_str!("../../../docs/architecture.md").lines();
    let rows = lines.filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `sextant")?.split('|').map(str::trim).collect();
        let [name, crates, burn, ""] = cells[..] else {
            return None;
        };
        let crates = crates.split(", ").map(|name| name.trim_matches('`'));
        let crates = crates.filter(|name| !name.is_empty());
        let knows = Knows {
            crates: crates.map(|name| format!("sextant-{name}")).collect(),
            burn: burn == "yes",
        };
        Some((format!("sextant{}", name.trim_end_matches('`')), knows))
    });
    rows.collect()
}

/// Dependencies of the host's crates by their manifests, development and build left out.
fn found() -> BTreeMap<String, Knows> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("Cargo runs this test");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata are JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let host = packages.iter().filter(|package| {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        Path::new(manifest)
            .components()
            .any(|part| part.as_os_str() == "trainer-host")
    });
    let knows = |package: &Value| {
        let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        let names: BTreeSet<String> = normal.filter_map(|d| Some(d["name"].as_str()?.to_owned())).collect();
        Knows {
            burn: names.contains("burn"),
            crates: names.into_iter().filter(|name| name.starts_with("sextant")).collect(),
        }
    };
    host.map(|package| (package["name"].as_str().unwrap_or_default().to_owned(), knows(package)))
        .collect()
}
