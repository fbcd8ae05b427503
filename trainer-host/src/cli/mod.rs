//! The command line.

mod bench;
mod checkpoint;
mod commands;
mod data;
mod eval;
mod log;
mod place;
mod plan;
mod plugin;
mod report;
mod resume;
mod samples;
mod sweep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::Error;
use sextant_interrupt as interrupt;
use sextant_model::device::panic_text;
use sextant_recipe::Weights;
use sextant_train::sample::Part;

/// Train diffusion transformers with guidance that is a plugin.
#[derive(Parser)]
#[command(name = "sextant", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sextant compare configs/emoji-quick.toml              three strategies side by side, ending in a report
  sextant plan configs/emoji-quick.toml                 parameters and memory, before anything runs
  sextant bench configs/emoji-quick.toml                where the time of a step goes
  sextant report runs/emoji-quick                       its report again, or of several folders together
  sextant sweep configs/emoji-quick.toml --lr 3e-4,1e-3 the same tuning budget for every variant
  sextant train configs/emoji.toml --variant repa       one of them alone
  sextant train --resume runs/emoji                     go on with an interrupted run
  sextant sample runs/emoji-quick/none --cfg 2 --sampler heun
  sextant data pack photos photos.packed --size 64      a folder of images as a few large files
  sextant plugin list                                   what guidance there is
  sextant plugin new token-norm                         begin a source of your own
  sextant plugin check repa                             try the laws of the contract on a source
  sextant devices                                       what --device can be

Logs: set SEXTANT_LOG=info (or debug) to see them; each run keeps its own in log.txt.";

#[derive(Subcommand)]
enum Command {
    /// Train one recipe, or go on with a run.
    #[command(after_help = "Examples:
  sextant train configs/emoji.toml --out runs/first --set optimiser.lr=2e-4
  sextant train configs/emoji-quick.toml --variant self-transcendence
  sextant train configs/emoji-quick.toml --set phases.0.guidance.0.plugin=repa
  sextant train --resume runs/first
  sextant train --resume runs/first --steps 2000 --set optimiser.lr=1e-4
  sextant train --resume runs/first@500 --out runs/second --set phases.0.guidance.0.stop_step=800")]
    Train(TrainArgs),
    /// Print parameters, operations and memory of a training before it runs, from shapes alone.
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::PlanArgs),
    /// Time a training step: where its time goes, its memory, and its share of the machine's speed.
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Train every variant of a recipe, then print a table and write report.html.
    #[command(after_help = "Examples:
  sextant compare configs/emoji-quick.toml
  sextant compare configs/emoji.toml --out runs/night --set seed=1
  sextant compare configs/emoji-quick.toml --out runs/seeds --seeds 0,1,2

A variant that is finished is not run again; an interrupted one goes on where it stopped.")]
    Compare(CompareArgs),
    /// Make the report of finished runs again, or one of runs of different folders.
    #[command(after_help = report::EXAMPLES)]
    Report(report::ReportArgs),
    /// Try the same number of settings, such as learning rates, for every variant, and write the recipe with the best of each.
    #[command(after_help = "Examples:
  sextant sweep configs/emoji-quick.toml --lr 3e-4,1e-3,3e-3 --steps 200
  sextant sweep configs/emoji.toml --lr 1e-3,2e-3 --vary phases.train.guidance.0.coefficient=0.25,0.5,1
  sextant sweep configs/emoji-quick.toml --vary-in none:optimiser.lr=3e-4,1e-3,3e-3 \\
      --vary-in repa:phases.train.guidance.0.coefficient=0.25,0.5,1 \\
      --vary-in self-transcendence:phases.train.guidance.0.coefficient=0.25,0.5,1

Budgets that differ are refused. A run that is finished is not run again; an interrupted one goes on where it stopped.")]
    Sweep(sweep::SweepArgs),
    /// Draw samples from a run's network.
    #[command(after_help = "Examples:
  sextant sample runs/emoji-quick/none
  sextant sample runs/emoji/repa --sampler sde --steps 250 --cfg 1.8 --guidance-high 0.7 --count 81 --out samples
  sextant sample runs/emoji/repa --sampler sde --steps 250 --labels random --count 50000 --npz samples.npz
  sextant sample runs/emoji/repa --count 50000 --npz samples.npz --part 2/8

With --npz samples are written as they come: after a stop the same command goes on.")]
    Sample(SampleArgs),
    /// Look at files of weights, of PyTorch and of Sextant, and convert them.
    #[command(subcommand, after_help = checkpoint::EXAMPLES)]
    Checkpoint(checkpoint::CheckpointCommand),
    /// Measure a run, one of its checkpoints or an .npz of samples as a comparison does.
    #[command(after_help = "Examples:
  sextant eval runs/emoji-quick/none
  sextant eval runs/emoji/seed-0/repa/phases/train/step-000400 --json
  sextant eval samples.npz --recipe configs/emoji.toml")]
    Eval(eval::EvalArgs),
    /// Data on disk: look at them, pack them.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Small encoders of images: the encoder whose features REPA uses, and the judge that samples are scored by.
    #[command(subcommand)]
    Encoder(EncoderCommand),
    /// Guidance sources: begin one, look at them, check them.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// List what --device can be with this binary on this machine.
    Devices(OutputArgs),
}

#[derive(Subcommand)]
enum EncoderCommand {
    /// Train an encoder or a judge on the training part of the data.
    #[command(after_help = "Examples:
  sextant encoder train configs/encoder.toml --out encoder.safetensors
  sextant encoder train configs/judge.toml --out judge.safetensors")]
    Train(EncoderArgs),
}

#[derive(Args)]
struct ComputeArgs {
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    /// Search plugins here first; may be given more than once. Then SEXTANT_PLUGIN_PATH, then beside this program.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// Show burn-train's dashboard instead of a progress bar, where there is a terminal.
    #[arg(long)]
    tui: bool,
}

#[derive(Args)]
struct LimitArgs {
    /// Stop after this time, such as 11h50m, as on Ctrl-C: with a checkpoint, from which the same work goes on.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
}

#[derive(Args)]
struct OutputArgs {
    /// Print JSON on standard output, and no progress.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct TrainArgs {
    /// The recipe (TOML).
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    recipe: Option<PathBuf>,
    /// Go on with the run in this folder; RUN@STEP (or RUN@PHASE:STEP) begins another one, in --out, at one of its checkpoints.
    #[arg(long, value_name = "RUN[@STEP]")]
    resume: Option<PathBuf>,
    /// Go on until the last phase has done this many steps in all.
    #[arg(long, value_name = "N", requires = "resume")]
    steps: Option<u64>,
    /// Go on without the guidance source of this name, in every phase; may be given more than once.
    #[arg(long, value_name = "NAME", requires = "resume")]
    without: Vec<String>,
    /// Train this variant of the recipe instead of its base.
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    variant: Option<String>,
    /// Set a key of the recipe, such as optimiser.lr=2e-4 or phases.0.steps=100; may be given more than once. A run that goes on
    /// takes what does not decide what was trained already.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the run; by default runs/RECIPE[-VARIANT].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make warnings errors: what is possible and hardly meant ends with exit code 2, before anything is written.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    compute: ComputeArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
struct CompareArgs {
    /// The recipe (TOML) with [[variants]].
    recipe: PathBuf,
    /// Set a key of the base recipe (or of one variant: variants.0.…); may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Train every variant with each of these seeds, such as 0,1,2; by default the recipe's one. Three or more give a verdict.
    #[arg(long, value_name = "SEEDS", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Folder of the comparison; by default runs/RECIPE.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make warnings errors: what is possible and hardly meant ends with exit code 2, before anything is written.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    compute: ComputeArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

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

#[derive(Args)]
struct SampleArgs {
    /// The run's folder, or one checkpoint of it (RUN/phases/PHASE/step-000400).
    run: PathBuf,
    /// Equation and order; by default the recipe's.
    #[arg(long)]
    sampler: Option<SamplerName>,
    /// Steps from noise to data; by default the recipe's.
    #[arg(long)]
    steps: Option<usize>,
    /// Scale of classifier-free guidance; 1 means none.
    #[arg(long)]
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
    /// Weights to draw with: the trained ones (model), their moving average (ema), or a further one (ema-0.999).
    #[arg(long, default_value_t = Weights::Ema)]
    weights: Weights,
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
    /// Folder for NAME.png and NAME.npz; by default RUN/samples.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the files, without an ending.
    #[arg(long, default_value = "drawn")]
    name: String,
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
struct EncoderArgs {
    /// The encoder's recipe (TOML).
    recipe: PathBuf,
    /// File for the weights (safetensors). A training that was stopped left FILE.checkpoint, from which the same command goes on.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::install();
    // What is caught is reported where it is caught; what is not, here.
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
    let outcome = catch_unwind(AssertUnwindSafe(|| commands::run(cli.command)));
    let outcome = outcome.unwrap_or_else(|panic| {
        // Whoever read the output has had enough of it: `sextant … | head`.
        let text = panic_text(panic.as_ref());
        if text.contains("Broken pipe") {
            return Ok(());
        }
        if let Some(reason) = text.strip_prefix("failed printing to stdout: ") {
            return Err(Error::Failed(format!("standard output cannot be written: {reason}")));
        }
        Err(Error::Failed(format!(
            "a fault of Sextant's own: {} (SEXTANT_LOG=debug says where; please report it)",
            panic_text(panic.as_ref())
        )))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = match error.is_interrupt() {
                true => interrupt::advice(),
                false => String::new(),
            };
            interrupt::say(&format!("error: {error}{advice}"));
            ExitCode::from(error.exit_code())
        }
    }
}
