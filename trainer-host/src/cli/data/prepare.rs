//! `sextant data prepare`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::Error;
use crate::cli::commands::{listen, print_json};
use crate::cli::{LimitArgs, OutputArgs};
use crate::prepare::{Request, Summary, prepare};
use sextant_model::device;

pub const EXAMPLES: &str = "Examples:
  sextant data prepare ILSVRC/Data/CLS-LOC/train imagenet256 --vae sd-vae-ft-mse
  sextant data prepare photos photos64 --size 64            squares alone, to train on in pixels
  sextant data prepare imagenet256x256.zip imagenet256 --vae sd-vae-ft-mse    an archive, as EDM's and StyleGAN's dataset_tool make it
  sextant data prepare photos photos256 --vae sd-vae-ft-mse --encoder hf:facebook/dinov2-base --flips --device cuda:0

The new folder has the layout of REPA: images/ with PNG files and vae-sd/ with moments, each with a dataset.json; features/ beside them
holds an encoder's tokens. Stopped, it goes on where it was; images that cannot be read are named in skipped.csv.";

/// Arguments of `sextant data prepare`.
#[derive(Args)]
pub struct PrepareArgs {
    /// A folder of JPEG, PNG and WebP files, or a ZIP archive of them: a class a sub-folder, or labels in its dataset.json, or no classes.
    source: PathBuf,
    /// The new folder, or one that was begun with the same settings.
    out: PathBuf,
    /// Pixels a side: images are scaled so that the shorter side fits, and cropped in the middle, as ADM does it.
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    size: u32,
    /// Write the moments of this autoencoder too: a folder in diffusers' layout, hf:owner/name, or the one of the emoji ("embedded").
    #[arg(long, value_name = "PATH|hf:NAME")]
    vae: Option<String>,
    /// Write the tokens of this DINOv2 too, for REPA: a folder in transformers' layout, or hf:owner/name. At 256 pixels they take
    /// 0.8 MB an image.
    #[arg(long, value_name = "PATH|hf:NAME", requires = "vae")]
    encoder: Option<String>,
    /// Write the encoder's attention in these blocks too, such as 9,10,11,12, for HASTE. At 256 pixels each takes 3 MB an image.
    #[arg(long, value_name = "BLOCKS", value_delimiter = ',', requires = "encoder")]
    attention: Vec<usize>,
    /// Tokens a side of the network that features are for; by default one for 16 pixels, as those with patches of 2 latents have.
    #[arg(long, value_name = "TOKENS", requires = "encoder", value_parser = clap::value_parser!(u32).range(1..=256))]
    grid: Option<u32>,
    /// Write moments and features of mirrored images too.
    #[arg(long, requires = "vae")]
    flips: bool,
    /// Images that go through a network together.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// End with the first image that cannot be read, instead of naming it in skipped.csv.
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

/// Prepares, and says what was done.
pub fn run(args: PrepareArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    let request = Request {
        source: args.source,
        out: args.out,
        size: args.size as usize,
        autoencoder: args.vae,
        encoder: args.encoder,
        attention: args.attention,
        grid: args.grid.unwrap_or(args.size / 16).max(1) as usize,
        flips: args.flips,
        batch: args.batch as usize,
        strict: args.strict,
    };
    let device = device::open(&args.device)?;
    let summary = prepare(&request, &device, super::mode(&args.output))?;
    match args.output.json {
        true => print_json(&json!({ "out": request.out, "summary": summary })),
        false => print(&request, &summary),
    }
    Ok(())
}

fn print(request: &Request, summary: &Summary) {
    let Summary { images, skipped, .. } = summary;
    println!("{}: {} images of {images}", request.out.display(), images - skipped);
    if *skipped > 0 {
        println!(
            "{skipped} cannot be read: {}",
            request.out.join("skipped.csv").display()
        );
    }
    if summary.done_now > 0 {
        println!(
            "{} in {:.1} s, {:.1} images/s; reading and cropping alone could do {:.0} images/s on this machine",
            summary.done_now, summary.seconds, summary.rate, summary.reading_limit
        );
    }
}
