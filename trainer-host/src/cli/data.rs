//! `sextant data`: sets on disk.

mod prepare;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::commands::{keep_nothing, listen, print_json};
use super::{LimitArgs, OutputArgs};
use crate::Error;
use sextant_data::{self as data, DataFacts, PackOptions};
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_recipe::{self as recipe, DataConfig, HeldOut};
use sextant_records::quoted;
use sextant_train::ProgressMode;

/// Commands on data.
#[derive(Subcommand)]
pub enum DataCommand {
    /// Say what there is: samples, classes, shapes, statistics; or the first fault.
    #[command(after_help = "Examples:
  sextant data info /data/imagenet256              a folder in the layout of REPA, with vae-sd/dataset.json
  sextant data info photos --size 64               a folder of images, with or without a sub-folder a class
  sextant data info configs/imagenet/b2-256.toml    the [data] of a recipe
  sextant data info packed --verify                every checksum too")]
    Info(InfoArgs),
    /// Write a set as a few large files, which train faster and travel better than a million small ones.
    #[command(after_help = "Examples:
  sextant data pack /data/imagenet256 /data/imagenet256.packed --dtype f16
  sextant data pack photos photos.packed --size 64 --held-out 0.1
  sextant data pack configs/emoji.toml emoji.packed

Samples, fields, mirrored forms, labels and the held-out part go along. The folder appears whole or not at all; a recipe then
says [data] kind = \"packed\", path = \"…\".")]
    Pack(PackArgs),
    /// Make training data of a folder of photographs: squares of one size, and what networks see in them.
    #[command(after_help = prepare::EXAMPLES)]
    Prepare(prepare::PrepareArgs),
}

/// A data set on the command line.
#[derive(Args)]
struct SourceArgs {
    /// A folder of latents, images or packed data; or a recipe, whose [data] is meant; or "emoji".
    source: PathBuf,
    /// Set a key of the recipe, such as data.size=64; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Pixels a side of images; by default the shorter side of the first.
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Number of classes, where it is more than the labels show.
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// A field beside the samples, such as features; may be given more than once.
    #[arg(long = "field", value_name = "NAME")]
    fields: Vec<String>,
    /// Samples that are held out: a share such as 0.1, a file with a name a line, or a folder of the same layout.
    #[arg(long, value_name = "SHARE|PATH")]
    held_out: Option<String>,
    /// Chooses a held-out share.
    #[arg(long, value_name = "SEED")]
    split_seed: Option<u64>,
}

/// Arguments of `sextant data info`.
#[derive(Args)]
pub struct InfoArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Read everything: every checksum of packed data, every sample of other data.
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `sextant data pack`.
#[derive(Args)]
pub struct PackArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The new folder.
    out: PathBuf,
    /// Type of latents and fields; f16 takes half the room.
    #[arg(long, default_value = "f32")]
    dtype: FloatType,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum FloatType {
    F16,
    F32,
}

/// Runs a command.
pub fn run(command: DataCommand) -> Result<(), Error> {
    match command {
        DataCommand::Info(args) => info(&args),
        DataCommand::Pack(args) => pack(&args),
        DataCommand::Prepare(args) => prepare::run(args),
    }
}

impl SourceArgs {
    /// The `[data]` section that is meant.
    fn config(&self) -> Result<DataConfig, Error> {
        let is_recipe = self.source.is_file();
        if !is_recipe && !self.set.is_empty() {
            return Err(Error::Input(format!(
                "--set goes with a recipe, and {} is none; --size, --classes, --field, --held-out and --split-seed go with data",
                self.source.display()
            )));
        }
        let mut config = match is_recipe {
            true => recipe::load(&self.source, &self.set)?.base()?.data,
            false if self.source == Path::new("emoji") && !self.source.exists() => DataConfig::default(),
            false => data::recognise(&self.source)?,
        };
        let mut unused = Vec::new();
        let mut kept = None;
        let (size, classes, fields, held_out, split_seed) = match &mut config {
            DataConfig::Emoji { size, split_seed, .. } => (Some(size), None, None, None, split_seed),
            DataConfig::Latents {
                classes,
                fields,
                held_out,
                split_seed,
                ..
            } => (None, Some(classes), Some(fields), Some(held_out), split_seed),
            DataConfig::Images {
                size,
                classes,
                held_out,
                split_seed,
                ..
            } => (Some(size), Some(classes), None, Some(held_out), split_seed),
            DataConfig::Packed {
                fields,
                held_out,
                split_seed,
                ..
            } => {
                if self.held_out.is_some() {
                    kept = Some(held_out.insert(HeldOut::default()));
                }
                (None, None, Some(fields), kept, split_seed)
            }
        };
        set(size, self.size, "--size", &mut unused);
        set(classes, self.classes.map(Some), "--classes", &mut unused);
        let given = (!self.fields.is_empty()).then(|| self.fields.clone());
        set(fields, given, "--field", &mut unused);
        set(
            held_out,
            self.held_out.as_deref().map(parse_held_out),
            "--held-out",
            &mut unused,
        );
        set(Some(split_seed), self.split_seed, "--split-seed", &mut unused);
        match unused.as_slice() {
            [] => Ok(config),
            [option, ..] => Err(Error::Input(format!(
                "{option} means nothing for {}",
                self.source.display()
            ))),
        }
    }
}

/// Takes the `value` of an `option` to where it belongs.
fn set<T>(place: Option<&mut T>, value: Option<T>, option: &'static str, unused: &mut Vec<&str>) {
    match (place, value) {
        (Some(place), Some(value)) => *place = value,
        (None, Some(_)) => unused.push(option),
        (_, None) => {}
    }
}

fn parse_held_out(text: &str) -> HeldOut {
    match text.parse() {
        Ok(share) => HeldOut::Share(share),
        Err(_) => HeldOut::Path(text.into()),
    }
}

fn info(args: &InfoArgs) -> Result<(), Error> {
    listen(None)?;
    keep_nothing();
    let config = args.source.config()?;
    config.validate()?;
    let dataset = sextant_train::dataset(&config, &device::open("cpu")?)?;
    let facts = data::facts(&config, &dataset)?;
    if args.verify {
        if let DataConfig::Packed { path, .. } = &config {
            data::verify(path, |file| {
                tracing::info!("reading {file}");
                !interrupt::is_requested()
            })?;
        }
        let mode = mode(&args.output);
        let mut progress = mode.start("verify", 0, dataset.len() as u64).counting("sample");
        data::read_all(&dataset, |done| {
            progress.step(done as u64);
            !interrupt::is_requested()
        })?;
    }
    match args.output.json {
        true => print_json(&json!(facts)),
        false => print(&facts, args.verify),
    }
    Ok(())
}

fn print(facts: &DataFacts, verified: bool) {
    let [channels, height, width] = facts.shape;
    let path = facts.path.as_ref().map(|path| format!(" in {}", path.display()));
    println!(
        "{} samples{}, {} to train on and {} held out",
        facts.samples,
        path.unwrap_or_default(),
        facts.train,
        facts.held_out
    );
    match facts.samples_of_a_class {
        [fewest, most] if fewest == most => println!("classes      {}, of {most} training samples", facts.classes),
        [fewest, most] => println!("classes      {}, of {fewest} to {most} training samples", facts.classes),
    }
    let what = match (facts.scale, facts.encoded_from) {
        (Some(scale), Some(side)) => format!("latents of {side} x {side} pixels, by its autoencoder, times {scale}"),
        (Some(scale), None) => format!("latents, times {scale}"),
        (None, _) => "pixels".to_owned(),
    };
    println!("samples      {channels} x {height} x {width}, {what} ({})", facts.kind);
    for (name, shape) in &facts.fields {
        println!("field        {name} {shape:?}");
    }
    println!("mirrored     {}", if facts.flipped { "there too" } else { "not there" });
    let of = &facts.statistics;
    println!("mean, std    {:.4}, {:.4} over {} samples", of.mean, of.std, of.samples);
    for (i, (mean, std)) in of.channel_means.iter().zip(&of.channel_stds).enumerate() {
        println!("  channel {i}  {mean:.4}, {std:.4}");
    }
    println!("fingerprint  {}", facts.fingerprint);
    if verified {
        println!("everything was read, and nothing is damaged");
    }
}

fn pack(args: &PackArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    keep_nothing();
    let config = args.source.config()?;
    config.validate()?;
    let dataset = data::load(&config)?;
    let options = PackOptions {
        half: matches!(args.dtype, FloatType::F16),
        ..PackOptions::default()
    };
    let mode = mode(&args.output);
    let mut progress = mode.start("pack", 0, dataset.len() as u64).counting("sample");
    let packed = data::pack(&dataset, &args.out, options, |done| {
        progress.step(done as u64);
        !interrupt::is_requested()
    });
    drop(progress);
    let packed = packed?;
    if let DataConfig::Latents { path, .. } = &config
        && path.join("images").is_dir()
    {
        eprintln!(
            "packed are latents and fields; the images beside them are a set of their own: sextant data pack {} OUT",
            quoted(&path.join("images").display().to_string())
        );
    }
    match args.output.json {
        true => print_json(&json!({ "out": args.out, "samples": packed.samples, "bytes": packed.bytes })),
        false => println!(
            "{}: {} samples, {:.1} MB",
            args.out.display(),
            packed.samples,
            packed.bytes as f64 / 1e6
        ),
    }
    Ok(())
}

fn mode(output: &OutputArgs) -> ProgressMode {
    match output.json {
        true => ProgressMode::Quiet,
        false => ProgressMode::Auto,
    }
}
