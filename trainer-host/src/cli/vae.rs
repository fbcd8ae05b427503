//! `sextant vae`: autoencoders.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::commands::{listen, print_json};
use super::pretraining::{PretrainingArgs, Shown};
use crate::Error;
use burn::tensor::Device;
use sextant_data::{self as data, Dataset};
use sextant_model::autoencoder::{self, Autoencoder, AutoencoderError, psnr, train_autoencoder};
use sextant_model::device;
use sextant_model::hub::Layout;
use sextant_recipe::VaeConfig;
use sextant_records::{FileError, FolderLock, make_folder, remove_leftovers, write_whole};
use sextant_train::sample::grid_png;

/// Files of the folder beside the network's own two.
const LOG: &str = "training.json";
const PICTURE: &str = "reconstructions.png";

/// Held-out images in the picture, and how many stand in a row; their reconstructions are below them.
const SHOWN: usize = 60;
const SHOWN_ACROSS: usize = 20;

#[derive(Subcommand)]
pub enum VaeCommand {
    /// Train a small AutoencoderKL on the training part of the data.
    #[command(after_help = "Examples:
  sextant vae train configs/vae.toml --out vae
  sextant train configs/emoji-latent.toml --set data.vae=vae")]
    Train(VaeArgs),
}

#[derive(Args)]
pub struct VaeArgs {
    /// The autoencoder's recipe (TOML).
    recipe: PathBuf,
    /// Folder for the network in diffusers' layout, its log (training.json) and held-out images above their reconstructions
    /// (reconstructions.png). A training that was stopped left `checkpoint` there, from which the same command goes on.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    #[command(flatten)]
    training: PretrainingArgs,
}

/// Runs a command.
pub fn run(command: VaeCommand) -> Result<(), Error> {
    match command {
        VaeCommand::Train(args) => train(args),
    }
}

fn train(args: VaeArgs) -> Result<(), Error> {
    let PretrainingArgs { device, limit, output } = args.training;
    listen(limit.max_time)?;
    let config = VaeConfig::load(&args.recipe)?;
    let of_recipe = |error| match error {
        AutoencoderError::Config(key) => FileError::new(&args.recipe, key).into(),
        other => Error::Autoencoder(other),
    };
    let beside = args.recipe.parent().unwrap_or(Path::new(""));
    let dataset = data::load(&config.data.clone().seen_from(beside))?;
    autoencoder::check(&config, &dataset).map_err(of_recipe)?;
    let device = device::open(&device)?;
    let out = args.out.as_path();
    make_folder(out)?;
    let _lock = FolderLock::take(out)?;
    for file in [Layout::CONFIG, autoencoder::LAYOUT.weights, LOG, PICTURE] {
        remove_leftovers(&out.join(file));
    }
    let shown = Shown::new(out.join("checkpoint"), &output);
    let progress = shown.progress("autoencoder", config.training.steps);
    let trained = train_autoencoder(&config, &dataset, &device, shown.checkpoint(), progress).map_err(of_recipe)?;
    trained.network.save(out)?;
    let psnr = reconstructed(&trained.network, &dataset, &device, out)?;
    let facts = json!({
        "origin": trained.network.origin(),
        "scaling_factor": trained.network.config().scaling_factor,
        "held_out": dataset.held_out().len(),
        "psnr": psnr,
        "log": trained.log,
    });
    write_whole(&out.join(LOG), format!("{facts:#}\n").as_bytes())?;
    shown.finish()?;
    if output.json {
        let mut facts = facts;
        facts["folder"] = json!(out);
        print_json(&facts);
        return Ok(());
    }
    if let Some(psnr) = psnr {
        println!("{psnr:.2} dB of {} held-out images", dataset.held_out().len());
    }
    println!("{}", out.display());
    Ok(())
}

/// The peak signal-to-noise ratio of held-out images, some of which are drawn; none where nothing is held out.
fn reconstructed(network: &Autoencoder, dataset: &Dataset, device: &Device, out: &Path) -> Result<Option<f64>, Error> {
    let ids = dataset.held_out();
    if ids.is_empty() {
        return Ok(None);
    }
    let (images, made) = (dataset.pictures(ids)?, network.reconstructions(dataset, ids, device)?);
    let len = 3 * images.side * images.side;
    let count = ids.len().min(SHOWN);
    // Spread over all of them.
    let places: Vec<usize> = (0..count).map(|i| i * ids.len() / count).collect();
    let mut pixels = Vec::new();
    for row in places.chunks(SHOWN_ACROSS) {
        for source in [&images.pixels, &made.pixels] {
            row.iter()
                .for_each(|place| pixels.extend_from_slice(&source[place * len..(place + 1) * len]));
            // A short last row is filled with white, so that each image stays above its own.
            pixels.resize(pixels.len() + (SHOWN_ACROSS - row.len()) * len, 255);
        }
    }
    let png = grid_png(&pixels, images.side, SHOWN_ACROSS)?;
    write_whole(&out.join(PICTURE), &png)?;
    Ok(Some(psnr(&images, &made)))
}
