//! `sextant plugin`: what concerns a source without a training.

mod check;
mod info;
mod keys;
mod list;
mod needs;
mod new;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::OutputArgs;
use super::commands::{listen, print_json};
use crate::Error;
use sextant_guidance::SearchPath;
use sextant_records::FileError;

/// Commands of `sextant plugin`.
#[derive(Subcommand)]
pub enum PluginCommand {
    /// Begin a source of your own: a project with everything that it needs to build, to be checked and to train.
    #[command(after_help = "Examples:
  sextant plugin new token-norm
  sextant plugin new token-norm --lang c --path ~/sources")]
    New(new::NewArgs),
    /// Show what a source is, what can be configured, and what it needs.
    #[command(after_help = "Examples:
  sextant plugin info repa
  sextant plugin info ./target/release/libsextant_token_norm.so --config settings.toml
  sextant plugin info repa --recipe configs/emoji-quick.toml --json")]
    Info(info::InfoArgs),
    /// Try the invariants of the contract on a source, each in a process of its own.
    #[command(after_help = "Examples:
  sextant plugin check repa
  sextant plugin check ./target/release/libsextant_token_norm.so --config settings.toml --cases 256
  sextant plugin check repa --only permutation --json

Exit code: 0 if every invariant holds or does not apply, 1 if one is broken, 2 if there is nothing to check.")]
    Check(check::CheckArgs),
    /// List what the search path holds, with the reason beside each that cannot be loaded.
    List(list::ListArgs),
}

/// Runs a command.
pub fn run(command: PluginCommand) -> Result<(), Error> {
    listen(None)?;
    match command {
        PluginCommand::New(args) => new::new(args),
        PluginCommand::Info(args) => info::info(args),
        PluginCommand::Check(args) => check::check(args),
        PluginCommand::List(args) => list::list(args),
    }
}

/// Search path of plugins.
#[derive(Args)]
struct SearchArgs {
    /// Search here first; may be given more than once. Then SEXTANT_PLUGIN_PATH, then beside this program.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
}

impl SearchArgs {
    fn path(&self) -> SearchPath {
        SearchPath::new(&self.plugin_dir)
    }
}

/// A source's keys from a file: TOML as below `config` in a recipe, or JSON where the name ends so.
fn read_config(path: &Path) -> Result<toml::Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| FileError::new(path, e))?;
    match path.extension().is_some_and(|e| e == "json") {
        true => serde_json::from_str(&text).map_err(|e| FileError::new(path, e).into()),
        false => toml::from_str(&text).map_err(|e| FileError::new(path, e).into()),
    }
}
