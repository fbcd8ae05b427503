//! The work of each command.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::{
    Command, CompareArgs, ComputeArgs, TrainArgs, bench, checkpoint, command_line, encoder, eval, log, plan, plugin,
    ranks, report, resume, sample, sweep, vae,
};
use crate::Error;
use crate::compare::{self, Status};
use sextant_evaluation as evaluation;
use sextant_guidance::SearchPath;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_recipe::{self as recipe, RecipeFile};
use sextant_records::{FolderLock, RunFolder, RunResult, duration, quoted};
use sextant_train::{Options, ProgressMode, Run};

/// Runs a command.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Train(args) => train(args),
        Command::Compare(args) => compare(args),
        Command::Plan(args) => plan::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Report(args) => report::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Checkpoint(command) => checkpoint::run(command),
        Command::Eval(args) => eval::run(args),
        Command::Data(command) => super::data::run(command),
        Command::Encoder(command) => encoder::run(command),
        Command::Vae(command) => vae::run(command),
        Command::Plugin(command) => plugin::run(command),
        Command::Devices(args) => devices(args.json),
    }
}

fn train(args: TrainArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    if args.resume.is_none() && (args.steps.is_some() || !args.without.is_empty()) {
        return Err(Error::Input(
            "--steps and --without go with --resume RUN; a new run takes --set phases.N.steps=STEPS".into(),
        ));
    }
    let (run, folder, _lock) = match (&args.resume, &args.recipe) {
        (Some(resume), _) => resume::ready(&args, resume)?,
        (None, Some(path)) => begun(&args, path)?,
        (None, None) => return Err(Error::Input("give a recipe, or --resume RUN".into())),
    };
    if let Some(result) = folder.result().filter(|_| !run.lost_its_end(&folder)) {
        interrupt::say(&format!(
            "{}: all {} steps are done, and nothing is left to train; --steps N goes on to step N",
            folder.path().display(),
            result.steps
        ));
    }
    let path = folder.path().display().to_string();
    interrupt::goes_on_with(&run.options().resumption(&path, &[]));
    log::write_to(folder.path());
    let result = run.execute(&folder)?;
    let evaluation = evaluation::of_run(&run, &folder, true)?;
    if args.output.json {
        print_json(&json!({ "run": folder.path(), "result": result, "evaluation": evaluation }));
    } else {
        print_result(&folder, &result);
        if let Some(evaluation) = &evaluation {
            print!("\n{}", evaluation::text(evaluation));
        }
    }
    Ok(())
}

/// A new run of a recipe, in its folder.
fn begun(args: &TrainArgs, path: &Path) -> Result<(Run, RunFolder, Option<FolderLock>), Error> {
    let file = recipe::load(path, &args.set)?;
    let recipe = match &args.variant {
        Some(name) => file.variant(file.find_variant(name)?)?,
        None => file.base()?,
    };
    let out = args.out.clone();
    let folder = RunFolder::new(out.unwrap_or_else(|| default_out(&file, args.variant.as_deref())));
    let run = evaluation::prepare(recipe, options_of(args, &folder)?)?;
    let lock = folder.lock_new()?;
    folder.create(run.recipe(), &run.info())?;
    Ok((run, folder, Some(lock)))
}

/// The options of `train`, for the run in this folder.
pub(super) fn options_of(args: &TrainArgs, folder: &RunFolder) -> Result<Options, Error> {
    let name = folder.path().file_name();
    let label = name.map_or("run".into(), |name| name.to_string_lossy());
    Ok(Options {
        strict: args.strict,
        ..ranks::options(&args.compute, args.output.json, &label)?
    })
}

fn print_result(folder: &RunFolder, result: &RunResult) {
    println!(
        "validation loss {:.4} after {} steps",
        result.validation_loss, result.steps
    );
    for (name, loss) in &result.guidance_loss {
        println!("guidance loss of {name} {loss:.4}");
    }
    println!(
        "{:.3} s a step; {} in all",
        result.seconds_per_step,
        duration(result.seconds.step + result.earlier_phases_seconds)
    );
    // Latents without their decoder have no pictures.
    let samples = folder.samples().join("final.png");
    if samples.exists() {
        println!("samples: {}", samples.display());
    }
}

fn compare(args: CompareArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    let file = recipe::load(&args.recipe, &args.set)?;
    let folder = args.out.clone().unwrap_or_else(|| default_out(&file, None));
    let (options, firsts) = ranks::in_groups(&args.compute, args.groups.groups, args.output.json, "compare")?;
    let options = Options {
        strict: args.strict,
        ..options
    };
    let command = comparison(&args);
    let comparison = compare::compare(&file, &folder, &args.seeds, &options, &firsts, command, log::write_to)?;
    report::show(comparison.report, &folder, args.output.json);
    if !comparison.held.is_empty() {
        for held in &comparison.held {
            interrupt::say(&format!("left to another: {held}"));
        }
        interrupt::say(&format!(
            "the report has what is finished; once the rest is, make it again with: sextant report {}",
            quoted(&folder.display().to_string())
        ));
    }
    match comparison.status {
        Status::Complete => Ok(()),
        Status::Failed(names) => Err(Error::Failed(format!(
            "failed: {}; the report says why",
            names.join(", ")
        ))),
    }
}

/// Command line of the same comparison: the arguments, and the environment that changes a recipe.
fn comparison(args: &CompareArgs) -> String {
    let mut words = command_line::environment();
    words.extend(["sextant compare".to_owned(), quoted(&args.recipe.display().to_string())]);
    for set in &args.set {
        words.push(format!("--set {}", quoted(set)));
    }
    if !args.seeds.is_empty() {
        let seeds: Vec<String> = args.seeds.iter().map(u64::to_string).collect();
        words.push(format!("--seeds {}", seeds.join(",")));
    }
    words.join(" ")
}

/// Listens to requests to stop from now on, and after `limit` asks to. What goes on from then is the same command, until there is
/// one that is shorter.
pub(super) fn listen(limit: Option<Duration>) -> Result<(), Error> {
    interrupt::goes_on_with(&command_line::own());
    interrupt::listen(limit).map_err(|e| Error::Failed(format!("signals cannot be listened to: {e}")))
}

/// Says, where this process is stopped from now on, that nothing of its work is kept: it takes as long once more, whatever the limit.
pub(super) fn keep_nothing() {
    interrupt::begins_anew_with(&command_line::own_without_limit());
}

fn devices(json: bool) -> Result<(), Error> {
    let devices = device::list();
    if json {
        print_json(&json!(devices));
    } else {
        devices
            .iter()
            .for_each(|d| println!("{:<10} {}", d.name, d.description));
    }
    Ok(())
}

pub(super) fn options(compute: &ComputeArgs, quiet: bool, label: &str) -> Result<Options, Error> {
    let progress = match (quiet, compute.tui) {
        (true, _) => ProgressMode::Quiet,
        // It draws on standard output, and would fill a file with escape codes.
        (false, true) if std::io::stdout().is_terminal() => ProgressMode::Dashboard,
        (false, _) => ProgressMode::Auto,
    };
    let own = ranks::device_of(compute)?;
    // Done already by a command that asks for the number of threads, or by the variant before.
    let _ = device::compute_here(None);
    Ok(Options {
        device: ranks::open(compute, &own)?,
        // As it was asked for: the command that goes on from here is for all processes.
        device_name: compute.device.clone().unwrap_or_else(|| "auto".into()),
        plugins: SearchPath::new(&compute.plugin_dir),
        progress,
        label: label.into(),
        among: None,
        strict: false,
        ranks: compute.ranks.clone(),
    })
}

pub(super) fn default_out(file: &RecipeFile, variant: Option<&str>) -> PathBuf {
    let stem = file.path().file_stem().unwrap_or_default().to_string_lossy();
    let name = match variant {
        Some(variant) => format!("{stem}-{variant}"),
        None => stem.into_owned(),
    };
    Path::new("runs").join(name)
}

/// Prints a value for a program to read.
pub fn print_json(value: &serde_json::Value) {
    println!("{value:#}");
}
