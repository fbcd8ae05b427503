//! `sextant encoder`: encoders and judges of our own.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::commands::{listen, print_json};
use super::{LimitArgs, OutputArgs};
use crate::Error;
use sextant_data as data;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_model::encoder::{Encoder, EncoderError, EncoderWarning, train_encoder};
use sextant_recipe::EncoderConfig;
use sextant_records::{FileError, FolderLock, remove_leftovers};
use sextant_train::ProgressMode;

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
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a command.
pub fn run(command: EncoderCommand) -> Result<(), Error> {
    match command {
        EncoderCommand::Train(args) => train(&args),
    }
}

fn train(args: &TrainArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    let config = EncoderConfig::load(&args.recipe)?;
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if args.out.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(FileError::new(
            &args.out,
            "the weights cannot be written there: --out names a file in a folder that is there",
        )
        .into());
    }
    let device = device::open(&args.device)?;
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
    let mode = if args.output.json {
        ProgressMode::Quiet
    } else {
        ProgressMode::Auto
    };
    let mut checkpoint = args.out.clone().into_os_string();
    checkpoint.push(".checkpoint");
    let checkpoint = PathBuf::from(checkpoint);
    remove_leftovers(&checkpoint);
    if checkpoint.exists() && mode == ProgressMode::Auto {
        interrupt::say(&format!("going on from {}", checkpoint.display()));
    }
    let mut progress = mode.start("encoder", 0, config.training.steps);
    let encoder = train_encoder(&config, &dataset, &device, &checkpoint, |at| {
        progress.log(
            &[
                ("objective".to_owned(), f64::from(at.objective)),
                ("reconstruction".to_owned(), f64::from(at.reconstruction)),
            ]
            .into(),
        );
        progress.step(at.step);
    });
    let encoder = encoder.map_err(|error| match error {
        EncoderError::Config(key) => FileError::new(&args.recipe, key).into(),
        other => Error::Encoder(other),
    })?;
    drop(progress);
    encoder.save(&args.out)?;
    match std::fs::remove_file(&checkpoint) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(FileError::new(&checkpoint, e).into()),
        _ => {}
    }
    print(args, &encoder);
    Ok(())
}

fn print(args: &TrainArgs, encoder: &Encoder) {
    match args.output.json {
        true => print_json(&json!({ "weights": args.out, "origin": encoder.origin() })),
        false => println!("{}", args.out.display()),
    }
}
