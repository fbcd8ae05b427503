//! `sextant sample`: pictures of what a network draws.

mod npz;
mod subject;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use self::subject::Subject;
use super::commands::{keep_nothing, listen, options, print_json};
use super::{ComputeArgs, ConventionName, LimitArgs, OutputArgs, ranks};
use crate::Error;
use sextant_data::Dataset;
use sextant_model::Sit;
use sextant_model::diffusion::{SamplerConfig, SamplerMethod};
use sextant_recipe::Weights;
use sextant_records::{FileError, write_whole};
use sextant_train::memory;
use sextant_train::sample::{self, Drawing, Labels, Part, SampleJob, SamplesNeed};
use sextant_train::{Options, Ranks, write_samples};

pub const EXAMPLES: &str = "Examples:
  sextant sample runs/emoji-quick/none
  sextant sample runs/emoji/repa --sampler sde --steps 250 --cfg 1.8 --guidance-high 0.7 --count 81 --out samples
  sextant sample runs/emoji/repa --sampler sde --steps 250 --labels random --count 50000 --npz samples.npz
  sextant sample runs/emoji/repa --count 50000 --npz samples.npz --part 2/8
  sextant sample 0400000.pt --vae hf:stabilityai/sd-vae-ft-ema --sampler sde --steps 250 --cfg 1.8 --class 207
  sextant sample SiT-XL-2-256x256.pt --convention sit --vae hf:stabilityai/sd-vae-ft-ema --count 50000 --npz sit.npz

With --npz samples are written as they come: after a stop the same command goes on. Of a file its tensors tell the network; what the file
does not say is as published (velocity on the linear path), unless a --recipe says it.";

#[derive(Clone, Copy, ValueEnum)]
enum SamplerName {
    Euler,
    Heun,
    Sde,
}

#[derive(Clone, Copy, ValueEnum)]
enum LabelsName {
    Balanced,
    Random,
}

/// Arguments of `sextant sample`.
#[derive(Args)]
pub struct SampleArgs {
    /// The run's folder, one checkpoint of it (RUN/phases/PHASE/step-000400), or a file of weights (.pt, .pth, .safetensors).
    target: PathBuf,
    /// Of a file: the recipe with its data, prediction, path, autoencoder and sampler.
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    /// Set a key of that recipe, such as data.path=imagenet256; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", requires = "recipe")]
    set: Vec<String>,
    /// Of a file: the autoencoder of its latents, a folder in diffusers' layout, or hf:owner/name.
    #[arg(long, value_name = "PATH|hf:NAME", conflicts_with = "recipe")]
    vae: Option<String>,
    /// Of a file: whose conventions its network has, where the file does not tell.
    #[arg(long)]
    convention: Option<ConventionName>,
    /// Of a file: attention heads, where it does not tell.
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Equation and order; by default the recipe's.
    #[arg(long)]
    sampler: Option<SamplerName>,
    /// Steps from noise to data; by default the recipe's.
    #[arg(long)]
    steps: Option<usize>,
    /// Scale of classifier-free guidance; 1 means none.
    #[arg(long, visible_alias = "cfg-scale")]
    cfg: Option<f64>,
    /// Guidance is on from this time (0 is data, 1 is noise) …
    #[arg(long)]
    guidance_low: Option<f64>,
    /// … up to this one.
    #[arg(long)]
    guidance_high: Option<f64>,
    /// Number of images.
    #[arg(long)]
    count: Option<usize>,
    /// Columns of the grid.
    #[arg(long)]
    columns: Option<usize>,
    /// Draw this class only, by number or name, or "none" for samples without a class; by default all in turn.
    #[arg(long)]
    class: Option<String>,
    /// Draw all classes in turn (balanced), or each with the same chance (random), as published evaluations do.
    #[arg(long, conflicts_with = "class", default_value = "balanced")]
    labels: LabelsName,
    /// Weights to draw with: the trained ones (model), their moving average (ema), or a further one (ema-0.999). By default the moving
    /// average; of a file without one, the weights that there are.
    #[arg(long)]
    weights: Option<Weights>,
    /// Seed of the noise; by default the recipe's.
    #[arg(long)]
    seed: Option<u64>,
    /// Samples of one pass. Of another number a rare pixel differs by one, since matrix products round otherwise.
    #[arg(long, value_name = "N", default_value_t = sextant_train::sample::BATCH)]
    batch: usize,
    /// Write samples into this .npz alone, as they come, however many they are: uint8 arr_0 [N, side, side, 3] and int64 labels
    /// arr_1, as published evaluators read them. Until it is whole, FILE.partial lies beside it, with which the same command goes on.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "name", "columns"])]
    npz: Option<PathBuf>,
    /// Draw the K-th of N parts of --npz; another process, or this one later, draws the others, and the last one joins them.
    #[arg(long, value_name = "K/N", requires = "npz")]
    part: Option<Part>,
    /// Folder for NAME.png, NAME.npz and NAME.json, which says what they were drawn by; by default RUN/samples, of a file samples here.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the files, without an ending.
    #[arg(long, default_value = "drawn")]
    name: String,
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`); several, such as cuda:0,cuda:1, share the samples.
    #[arg(long, default_value = "auto")]
    device: String,
    /// The ranks that this process is one of.
    #[arg(skip)]
    pub(super) ranks: Ranks,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Draws, and says where the pictures are.
pub fn run(args: SampleArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    if args.npz.is_none() {
        // A grid is drawn in memory.
        keep_nothing();
    }
    if Path::new(&args.name).file_name() != Some(args.name.as_ref()) {
        return Err(Error::Input(format!(
            "--name {:?}: it names files in one folder, so that it must not be empty or have a / in it (--out DIR names another folder)",
            args.name
        )));
    }
    let ranks = args.ranks.clone();
    let options = |device: &str| {
        let compute = ComputeArgs {
            device: Some(device.to_owned()),
            of_recipe: false,
            plugin_dir: Vec::new(),
            tui: false,
            ranks: ranks.clone(),
            firsts: Ranks::default(),
        };
        options(&compute, true, "sample")
    };
    // Of processes each has one device.
    if ranks.count() > 1 {
        return drawn(&args, &ranks.agreed_at_leisure(options(&args.device))?);
    }
    let args = Arc::new(args);
    let shared = args.clone();
    ranks::on_all(&args.device, options, move |options| drawn(&shared, &options))
}

/// A network that is found and read, and what is to be drawn of it.
struct Ready {
    subject: Subject,
    out: PathBuf,
    dataset: Dataset,
    network: Sit,
    drawing: Drawing,
    labels: Labels,
    count: usize,
    columns: usize,
    side: usize,
}

impl Ready {
    fn of(args: &SampleArgs, options: &Options) -> Result<Self, Error> {
        let mut subject = Subject::find(args)?;
        let out = match &args.out {
            Some(out) if out.is_file() => {
                return Err(FileError::new(out, "is a file; --out names a folder").into());
            }
            Some(out) => out.clone(),
            None => subject.out()?,
        };
        let sampler = args.sampler(&subject.drawing.sampler);
        sampler.validate()?;
        let dataset = subject.dataset(&options.device)?;
        let [count, columns] = args.sizes(&subject)?;
        let side = dataset.picture_side()?;
        // Those of an .npz are written as they come.
        if let Some(free) = memory::available().filter(|_| args.npz.is_none()) {
            SamplesNeed::of_grid("--count", count, [3, side, side]).check(free)?;
        }
        let labels = match (&args.class, args.labels) {
            (Some(class), _) => Labels::Class(label(class, dataset.class_names(), subject.label_dropout)?),
            (None, LabelsName::Balanced) => Labels::Balanced,
            (None, LabelsName::Random) => Labels::Random,
        };
        let drawing = Drawing {
            sampler,
            seed: args.seed.unwrap_or(subject.drawing.seed),
            batch: args.batch,
            ..subject.drawing.clone()
        };
        let network = subject.network(&args.target, &dataset, &options.device)?;
        Ok(Self {
            subject,
            out,
            dataset,
            network,
            drawing,
            labels,
            count,
            columns,
            side,
        })
    }
}

/// Draws on one rank's device, of those that draw together.
fn drawn(args: &SampleArgs, options: &Options) -> Result<(), Error> {
    let ranks = &options.ranks;
    let Ready {
        subject,
        out,
        dataset,
        network,
        drawing,
        labels,
        count,
        columns,
        side,
    } = ranks.agreed_at_leisure(Ready::of(args, options))?;
    if ranks.leads() {
        for warning in subject.warnings(&drawing.sampler, args) {
            tracing::warn!("{warning}");
        }
        if let Some(said) = subject.said(&drawing).filter(|_| !args.output.json) {
            eprintln!("{said}");
        }
    }
    let job = SampleJob {
        network: &network,
        origin: subject.origin(),
        file: subject.identity(),
        drawing,
        dataset: &dataset,
        side,
        device: &options.device,
        labels,
        count: count as u64,
        part: args.part.unwrap_or(Part::WHOLE),
        ranks,
    };
    if let Some(npz) = &args.npz {
        return npz::run(&job, npz, &subject.file, args.output.json);
    }
    let classes = dataset.class_names().len();
    let of = |index| labels.of(index, classes, job.drawing.seed);
    let labels: Vec<usize> = (0..count as u64).map(of).collect();
    let drawn = sample::draw(&network, &job.drawing, &labels, &dataset, &options.device, ranks);
    let pixels = drawn.map_err(|error| error.of_network(&subject.file))?;
    if !ranks.leads() {
        return Ok(());
    }
    let png = write_samples(&out, &args.name, &pixels, side, columns)?;
    let settings = job.settings();
    write_whole(&png.with_extension("json"), format!("{settings:#}\n").as_bytes())?;
    if args.output.json {
        print_json(&json!({
            "png": png, "npz": png.with_extension("npz"), "labels": labels, "step": subject.step, "weights": subject.weights(),
            "settings": settings,
        }));
    } else {
        println!("{}", png.display());
    }
    Ok(())
}

impl SampleArgs {
    /// The sampler, which is `own` but for what is asked for.
    fn sampler(&self, own: &SamplerConfig) -> SamplerConfig {
        let method = self.sampler.map(|name| match name {
            SamplerName::Euler => SamplerMethod::Euler,
            SamplerName::Heun => SamplerMethod::Heun,
            SamplerName::Sde => SamplerMethod::Sde,
        });
        SamplerConfig {
            method: method.unwrap_or(own.method),
            steps: self.steps.unwrap_or(own.steps),
            cfg_scale: self.cfg.unwrap_or(own.cfg_scale),
            guidance_low: self.guidance_low.unwrap_or(own.guidance_low),
            guidance_high: self.guidance_high.unwrap_or(own.guidance_high),
        }
    }

    /// Number of samples, and columns of the grid.
    fn sizes(&self, subject: &Subject) -> Result<[usize; 2], Error> {
        let count = self.count.unwrap_or(subject.count);
        let columns = self.columns.unwrap_or(subject.columns);
        let most = if self.npz.is_some() { 1_000_000_000 } else { 1_000_000 };
        for (option, number, most) in [
            ("--count", count, most),
            ("--columns", columns, most),
            ("--batch", self.batch, 1_000_000),
        ] {
            if !(1..=most).contains(&number) {
                return Err(Error::Input(format!(
                    "{option} is {number}; it must be from 1 to {most}"
                )));
            }
        }
        Ok([count, columns])
    }
}

/// The label that `--class` means: a class by number or name, or none, which a network can draw whose null class was trained.
fn label(class: &str, names: &[String], label_dropout: f64) -> Result<usize, Error> {
    let number = class.parse().ok().filter(|number| *number < names.len());
    if let Some(label) = number.or_else(|| names.iter().position(|name| name == class)) {
        return Ok(label);
    }
    if class != "none" {
        return Err(Error::Input(format!(
            "--class {class}: this data has classes 0 to {}: {}; or \"none\"",
            names.len() - 1,
            names.join(", ")
        )));
    }
    if label_dropout == 0.0 {
        return Err(Error::Input(
            "--class none: this network was trained with diffusion.label_dropout = 0, so that it never learned to draw without a class".into(),
        ));
    }
    Ok(names.len())
}
