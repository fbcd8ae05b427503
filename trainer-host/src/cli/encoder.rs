//! `sextant encoder`: encoders and judges of our own.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::commands::{listen, print_json};
use super::pretraining::{PretrainingArgs, Shown};
use crate::Error;
use sextant_data as data;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_model::encoder::{Encoder, EncoderError, EncoderWarning, train_encoder};
use sextant_recipe::EncoderConfig;
use sextant_records::{FileError, FolderLock, remove_leftovers};

/// Commands on encoders.
#[derive(Subcommand)]
pub enum EncoderCommand {
    /// Train an encoder or a judge on the training part of the data.
    #[command(after_help = "Examples:
  sextant encoder train configs/encoder.toml --out encoder.safetensors
  sextant encoder train configs/judge.toml --out judge.safetensors")]
    Train(TrainArgs),
}

#[derive(Args)]
pub struct TrainArgs {
    /// The encoder's recipe (TOML).
    recipe: PathBuf,
    /// File for the weights (safetensors). A training that was stopped left FILE.checkpoint, from which the same command goes on.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Make warnings errors: what is possible and hardly meant ends with exit code 2, before anything is written.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    training: PretrainingArgs,
}

/// Runs a command.
pub fn run(command: EncoderCommand) -> Result<(), Error> {
    match command {
        EncoderCommand::Train(args) => train(&args),
    }
}

fn train(args: &TrainArgs) -> Result<(), Error> {
    let PretrainingArgs { device, limit, output } = &args.training;
    listen(limit.max_time)?;
    let config = EncoderConfig::load(&args.recipe)?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if args.out.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(FileError::new(
            &args.out,
            "the weights cannot be written there: --out names a file in a folder that is there",
        )
        .into());
    }
    let device = device::open(device)?;
    let beside = args.recipe.parent().unwrap_or(Path::new(""));
    let dataset = data::load(&config.data.clone().seen_from(beside))?;
    let warnings = EncoderWarning::of(&config, &dataset);
    if args.strict && !warnings.is_empty() {
        let said = warnings.iter().map(ToString::to_string).collect();
        return Err(sextant_train::Error::Strict(said).into());
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let _lock = FolderLock::of_file(&args.out)?;
    remove_leftovers(&args.out);
    // What stops by a time limit is started again and again until it is done, and once more.
    let there = Encoder::load(&args.out, &device).ok();
    if let Some(there) = there.filter(|there| there.is_of(&config, &dataset)) {
        interrupt::say(&format!(
            "{}: is trained by this recipe already, and nothing is left to do",
            args.out.display()
        ));
        print(args, &there);
        return Ok(());
    }
    let mut checkpoint = args.out.clone().into_os_string();
    checkpoint.push(".checkpoint");
    let shown = Shown::new(checkpoint.into(), output);
    let progress = shown.progress("encoder", config.training.steps);
    let encoder = train_encoder(&config, &dataset, &device, shown.checkpoint(), progress);
    let encoder = encoder.map_err(|error| match error {
        EncoderError::Config(key) => FileError::new(&args.recipe, key).into(),
        other => Error::Encoder(other),
    })?;
    encoder.save(&args.out)?;
    shown.finish()?;
    print(args, &encoder);
    Ok(())
}

fn print(args: &TrainArgs, encoder: &Encoder) {
    match args.training.output.json {
        true => print_json(&json!({ "weights": args.out, "origin": encoder.origin() })),
        false => println!("{}", args.out.display()),
    }
}
