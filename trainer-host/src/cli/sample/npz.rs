//! `sextant sample --npz`: samples for an evaluation.

use std::path::Path;

use serde_json::json;

use crate::Error;
use crate::cli::commands::print_json;
use sextant_interrupt as interrupt;
use sextant_train::ProgressMode;
use sextant_train::sample::{Drawn, SampleJob};

/// Draws into `npz`, and says what became of it. `weights` is the network's file, for messages.
pub fn run(job: &SampleJob, npz: &Path, weights: &Path, json: bool) -> Result<(), Error> {
    if npz.extension().is_none_or(|ending| ending != "npz") {
        return Err(Error::Input(format!(
            "--npz {}: the name must end in .npz, by which sextant eval knows samples",
            npz.display()
        )));
    }
    let progress = match json || !job.ranks.leads() {
        true => ProgressMode::Quiet,
        false => ProgressMode::Auto,
    };
    let ended = job.run(npz, progress).map_err(|error| error.of_network(weights))?;
    let Some((drawn, settings)) = ended else {
        return Ok(());
    };
    let missing: Vec<String> = match &drawn {
        Drawn::Before | Drawn::Written => Vec::new(),
        Drawn::Part { missing } => missing.iter().map(ToString::to_string).collect(),
    };
    if json {
        print_json(&json!({
            "npz": npz,
            "whole": missing.is_empty(),
            "part": job.part.to_string(),
            "missing": missing,
            "settings": settings,
        }));
    } else if missing.is_empty() {
        if drawn == Drawn::Before {
            interrupt::say("these samples were drawn before");
        }
        println!("{}", npz.display());
    } else {
        interrupt::say(&format!(
            "part {} of {} is drawn; still to be drawn: {}; the last one joins them",
            job.part,
            npz.display(),
            missing.join(", ")
        ));
    }
    Ok(())
}
