//! `sextant encoder`: encoders and judges.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::commands::{listen, print_json};
use super::pretraining::{self, PretrainingArgs, Shown};
use crate::Error;
use sextant_data as data;
use sextant_model::device;
use sextant_model::encoder::{EncoderError, train_encoder};
use sextant_recipe::EncoderConfig;
use sextant_records::{FileError, FolderLock, remove_leftovers};

#[derive(Subcommand)]
pub enum EncoderCommand {
    /// Train an encoder or a judge on the training part of the data.
    #[command(after_help = "Examples:
  sextant encoder train configs/encoder.toml --out encoder.safetensors
  sextant encoder train configs/judge.toml --out judge.safetensors")]
    Train(EncoderArgs),
}

#[derive(Args)]
pub struct EncoderArgs {
    /// The encoder's recipe (TOML).
    recipe: PathBuf,
    /// File for the weights (safetensors). A training that was stopped left FILE.checkpoint, from which the same command goes on.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    training: PretrainingArgs,
}

/// Runs a command.
pub fn run(command: EncoderCommand) -> Result<(), Error> {
    match command {
        EncoderCommand::Train(args) => train(args),
    }
}

fn train(args: EncoderArgs) -> Result<(), Error> {
    let PretrainingArgs { device, limit, output } = args.training;
    listen(limit.max_time)?;
    let config: EncoderConfig = pretraining::read(&args.recipe)?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if args.out.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(FileError::new(
            &args.out,
            "the weights cannot be written there: --out names a file in a folder that is there",
        )
        .into());
    }
    let _lock = FolderLock::of_file(&args.out)?;
    remove_leftovers(&args.out);
    let device = device::open(&device)?;
    let dataset = data::load(&config.data)?;
    let mut checkpoint = args.out.clone().into_os_string();
    checkpoint.push(".checkpoint");
    let shown = Shown::new(checkpoint.into(), &output);
    let progress = shown.progress("encoder", config.training.steps);
    let encoder = train_encoder(&config, &dataset, &device, shown.checkpoint(), progress);
    let encoder = encoder.map_err(|error| match error {
        EncoderError::Config(key) => FileError::new(&args.recipe, key).into(),
        other => Error::Encoder(other),
    })?;
    encoder.save(&args.out)?;
    shown.finish()?;
    if output.json {
        print_json(&json!({ "weights": args.out, "origin": encoder.origin() }));
    } else {
        println!("{}", args.out.display());
    }
    Ok(())
}
