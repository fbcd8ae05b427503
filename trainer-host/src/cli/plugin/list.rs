//! `sextant plugin list`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::{OutputArgs, SearchArgs, print_json};
use crate::Error;
use sextant_guidance::{GuidanceError, Library, plugin_name};

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints every source that a recipe can name.
pub fn list(args: ListArgs) -> Result<(), Error> {
    let search = args.search.path();
    let found = search.list();
    if args.output.json {
        let rows: Vec<Value> = found.iter().map(|(path, library)| json_row(path, library)).collect();
        print_json(&json!(rows));
        return Ok(());
    }
    if found.is_empty() {
        println!("no plugins; searched:");
        search.folders().iter().for_each(|dir| println!("  {}", dir.display()));
    }
    for (path, library) in &found {
        let said = match library {
            Ok(library) => format!("{:<9}ABI {:<6}{}", library.version(), abi(library), library.summary()),
            Err(error) => format!("cannot be loaded: {error}"),
        };
        println!("{:<20} {said}\n{:<20} {}", named(path), "", path.display());
    }
    Ok(())
}

fn json_row(path: &Path, library: &Result<Library, GuidanceError>) -> Value {
    match library {
        Ok(library) => json!({
            "path": path, "plugin": named(path), "name": library.name(), "version": library.version(),
            "abi": abi(library), "sha256": library.sha256(), "summary": library.summary(),
        }),
        Err(error) => json!({ "path": path, "plugin": named(path), "error": error.to_string() }),
    }
}

/// A recipe's name for it, which is its file's and need not be its own.
fn named(path: &Path) -> String {
    let file = path.file_name().and_then(|name| name.to_str());
    file.and_then(plugin_name).unwrap_or_default()
}

fn abi(library: &Library) -> String {
    let (major, minor) = library.abi();
    format!("{major}.{minor}")
}
