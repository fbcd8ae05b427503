//! The sources of `sextant-plugin-api`, as the program carries them.
//!
//! *Rationale.* The crate is not on crates.io, and a source is written without Sextant's repository. A copy beside the source
//! also means that it builds next year against the contract that it was written for.

use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::{File, texts};

static API: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugin-api/src");
const API_MANIFEST: &str = include_str!("../../../plugin-api/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const LICENCES: [(&str, &str); 2] = [
    ("LICENSE-APACHE", include_str!("../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../LICENSE-MIT")),
];

const NOTE: &str = "# A copy that `sextant plugin new` wrote. It stands alone: versions are those of Sextant's workspace.\n\n";

/// The crate's files, below a folder of its name.
pub(super) fn files() -> Vec<File> {
    let mut files = vec![File::new("sextant-plugin-api/Cargo.toml", manifest(API_MANIFEST))];
    files.extend(LICENCES.map(|(name, text)| File::new(format!("sextant-plugin-api/{name}"), text)));
    files.extend(texts(&API).map(|(path, text)| File::new(format!("sextant-plugin-api/src/{path}"), text)));
    files
}

/// A package's manifest without its workspace: what it inherits is written out; its tests and lints stay at home.
fn manifest(text: &str) -> String {
    let workspace: Table = WORKSPACE.parse().expect("our own manifest, which a test reads");
    let mut manifest: Table = text.parse().expect("our own manifest, which a test reads");
    for absent in ["dev-dependencies", "lints"] {
        manifest.remove(absent);
    }
    for (section, source) in [("package", &["package"][..]), ("dependencies", &["dependencies"])] {
        let inherited = source.iter().fold(&workspace["workspace"], |table, key| &table[*key]);
        for (key, value) in manifest[section].as_table_mut().into_iter().flatten() {
            if value.get("workspace").is_some() {
                *value = inherit(value, &inherited[key.as_str()]);
            }
        }
    }
    format!("{NOTE}{manifest}")
}

/// `inherited`, with the keys that `own` adds to `workspace = true`.
fn inherit(own: &Value, inherited: &Value) -> Value {
    let more: Table = own.as_table().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut more: Table = more.into_iter().filter(|(key, _)| key != "workspace").collect();
    match inherited {
        Value::Table(table) => {
            more.extend(table.clone());
            Value::Table(more)
        }
        version if more.is_empty() => version.clone(),
        version => {
            more.insert("version".into(), version.clone());
            Value::Table(more)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_carry_the_whole_crate() {
        let files = files();
        for path in ["Cargo.toml", "LICENSE-MIT", "src/lib.rs", "src/abi/layout.rs", "src/parts/mlp.rs"] {
            let path = format!("sextant-plugin-api/{path}");
            assert!(files.iter().any(|f| f.path.to_string_lossy() == path), "{path}");
        }
    }

    #[test]
    fn should_write_out_what_the_manifest_inherits() {
        let text = manifest(API_MANIFEST);
        let table: Table = text.parse().unwrap();
        assert_eq!(table["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        assert!(table["dependencies"]["serde"]["version"].is_str());
        assert!(!text.contains("workspace ="), "{text}");
        assert!(!table.contains_key("lints") && !table.contains_key("dev-dependencies"));
    }
}
