//! `sextant watch`.

use std::path::PathBuf;

use clap::Args;

use crate::Error;
use crate::watch::{self, Watched};

/// What `sextant watch` takes.
#[derive(Args)]
pub struct WatchArgs {
    /// A run, or a folder of runs such as that of a comparison or a sweep.
    folder: PathBuf,
    /// Print a table with small charts once, and end; so it is where there is no terminal.
    #[arg(long)]
    once: bool,
    /// The curve to show, by its name in metrics.jsonl; guidance and guidance_share are sums over sources.
    #[arg(long, value_name = "NAME")]
    curve: Option<String>,
}

/// Runs the command.
pub fn run(args: WatchArgs) -> Result<(), Error> {
    #[cfg(feature = "tui")]
    {
        use std::io::IsTerminal;
        if !args.once && std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
            return watch::show(&args.folder, args.curve.as_deref());
        }
    }
    #[cfg(not(feature = "tui"))]
    if !args.once {
        tracing::warn!("this sextant is built without the feature \"tui\": the table is printed once");
    }
    print!("{}", watch::once(&Watched::look(&args.folder)?, args.curve.as_deref())?);
    Ok(())
}
