//! The command line.

mod bench;
mod checkpoint;
mod command_line;
mod commands;
mod data;
mod encoder;
mod eval;
mod log;
mod place;
mod plan;
mod plugin;
mod pretraining;
mod ranks;
mod report;
mod resume;
mod sample;
mod sweep;
mod vae;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::Error;
use sextant_evaluation::Cache;
use sextant_interrupt as interrupt;
use sextant_model::device::{keep_kernels, panic_text};
use sextant_recipe::Convention;
use sextant_train::Ranks;

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
  sextant compare configs/emoji-quick.toml --device cuda:0,cuda:1,cuda:2,cuda:3 --groups 2

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
    /// Draw samples from the network of a run, or of a file of weights.
    #[command(after_help = sample::EXAMPLES)]
    Sample(sample::SampleArgs),
    /// Look at files of weights, of PyTorch and of Sextant, and convert them.
    #[command(subcommand, after_help = checkpoint::EXAMPLES)]
    Checkpoint(checkpoint::CheckpointCommand),
    /// Measure a run, one of its checkpoints, a file of weights or an .npz of samples as a comparison does.
    #[command(after_help = "Examples:
  sextant eval runs/emoji-quick/none
  sextant eval runs/emoji/seed-0/repa/phases/train/step-000400 --json
  sextant eval 0400000.pt --recipe configs/imagenet/xl2-256.toml --set data.path=imagenet256 --out measured
  sextant eval samples.npz --recipe configs/emoji.toml")]
    Eval(eval::EvalArgs),
    /// Data on disk: look at them, pack them.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Small encoders of images: the encoder whose features REPA uses, and the judge that samples are scored by.
    #[command(subcommand)]
    Encoder(encoder::EncoderCommand),
    /// Small autoencoders of images, in whose latents a diffusion transformer can train.
    #[command(subcommand)]
    Vae(vae::VaeCommand),
    /// Guidance sources: begin one, look at them, check them.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// List what --device can be with this binary on this machine.
    Devices(OutputArgs),
}

#[derive(Args)]
struct ComputeArgs {
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`). A training takes several, such as cuda:0,cuda:1, which
    /// share each batch, and an evaluation, which share its samples; of processes that mpirun starts, each takes the one of its place on its
    /// host. By default those that its recipe names (ranks.devices), or auto.
    #[arg(long)]
    device: Option<String>,
    /// The device is the recipe's choice.
    #[arg(skip)]
    of_recipe: bool,
    /// The ranks that this process is one of.
    #[arg(skip)]
    ranks: Ranks,
    /// The first ranks of all groups, if this is one of them.
    #[arg(skip)]
    firsts: Ranks,
    /// Search plugins here first; may be given more than once. Then SEXTANT_PLUGIN_PATH, then beside this program.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// Show burn-train's dashboard instead of a progress bar, where there is a terminal.
    #[arg(long)]
    tui: bool,
}

#[derive(Args)]
struct GroupArgs {
    /// Train so many runs at a time, each on its share of the devices or processes, as if there were no others.
    #[arg(long, value_name = "N", default_value = "1")]
    groups: NonZeroUsize,
}

#[derive(Args)]
struct LimitArgs {
    /// Stop after this time, such as 11h50m, as on Ctrl-C: what can be gone on with is kept, and the message names the command that
    /// does.
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
    groups: GroupArgs,
    #[command(flatten)]
    compute: ComputeArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Whose conventions a network of a file has.
#[derive(Clone, Copy, ValueEnum)]
enum ConventionName {
    Repa,
    Sit,
    Dit,
}

impl From<ConventionName> for Convention {
    fn from(name: ConventionName) -> Self {
        match name {
            ConventionName::Repa => Self::Repa,
            ConventionName::Sit => Self::Sit,
            ConventionName::Dit => Self::Dit,
        }
    }
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    ranks::hush_others();
    log::install();
    keep_kernels(Cache::standard().folder().map(|cache| cache.join("kernels")).as_deref());
    // What is caught is reported where it is caught; what is not, here.
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(words) => return asked_or_wrong(&words),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| ranks::run(cli.command)));
    let outcome = outcome.unwrap_or_else(|panic| {
        // Whoever read the output has had enough of it: `sextant … | head`.
        let text = panic_text(panic.as_ref());
        if text.contains("Broken pipe") {
            return Ok(());
        }
        if let Some(reason) = text.strip_prefix("failed printing to stdout: ") {
            return Err(Error::Output(reason.to_owned()));
        }
        Err(Error::Failed(format!(
            "a fault of Sextant's own: {} (SEXTANT_LOG=debug says where; please report it)",
            panic_text(panic.as_ref())
        )))
    });
    // What is left of a last line.
    let outcome = outcome.and_then(|()| match io::stdout().flush() {
        Err(reason) if reason.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(reason.to_string())),
        _ => Ok(()),
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

/// Prints the help or the version that was asked for, or what is wrong with the arguments.
fn asked_or_wrong(words: &clap::Error) -> ExitCode {
    let printed = words.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(reason) if !words.use_stderr() && reason.kind() != io::ErrorKind::BrokenPipe => {
            let error = Error::Output(reason.to_string());
            interrupt::say(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
        // Nobody reads what is wrong, but the code tells.
        _ => ExitCode::from(words.exit_code() as u8),
    }
}
