//! The work of each command.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::place::{check_writable, run_or_checkpoint};
use super::{
    Command, CompareArgs, ComputeArgs, EncoderArgs, EncoderCommand, LabelsName, SampleArgs, SamplerName, TrainArgs,
    bench, checkpoint, eval, log, plan, plugin, report, resume, samples, sweep,
};
use crate::Error;
use crate::compare::{self, Status};
use sextant_data as data;
use sextant_evaluation as evaluation;
use sextant_guidance::SearchPath;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_model::diffusion::SamplerMethod;
use sextant_model::encoder::{EncoderError, train_encoder};
use sextant_recipe::{self as recipe, EncoderConfig, Recipe, RecipeFile};
use sextant_records::FileError;
use sextant_records::{FolderLock, RunFolder, RunResult, duration, quoted, remove_leftovers};
use sextant_train::checkpoint::SavedTensors;
use sextant_train::memory;
use sextant_train::sample::{self, Drawing, Labels, Part, SampleJob, SamplesNeed};
use sextant_train::{Options, ProgressMode, Run, check_data, explained_to, of_sampler, write_samples};

/// Runs a command.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Train(args) => train(args),
        Command::Compare(args) => compare(args),
        Command::Plan(args) => plan::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Report(args) => report::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Sample(args) => draw(args),
        Command::Checkpoint(command) => checkpoint::run(command),
        Command::Eval(args) => eval::run(args),
        Command::Data(command) => super::data::run(command),
        Command::Encoder(EncoderCommand::Train(args)) => encoder(args),
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
        eprintln!(
            "{}: all {} steps are done, and nothing is left to train; --steps N goes on to step N",
            folder.path().display(),
            result.steps
        );
    }
    interrupt::goes_on_with(resumption(&args.compute, &folder));
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

/// The command that goes on with an interrupted run.
fn resumption(compute: &ComputeArgs, folder: &RunFolder) -> String {
    let path = |path: &Path| quoted(&path.display().to_string());
    let mut words = vec![format!("sextant train --resume {}", path(folder.path()))];
    if compute.device != "auto" {
        words.push(format!("--device {}", quoted(&compute.device)));
    }
    words.extend(
        compute
            .plugin_dir
            .iter()
            .map(|dir| format!("--plugin-dir {}", path(dir))),
    );
    words.join(" ")
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
        ..options(&args.compute, args.output.json, &label)?
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
    println!("samples: {}", folder.samples().join("final.png").display());
}

fn compare(args: CompareArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    let file = recipe::load(&args.recipe, &args.set)?;
    let folder = args.out.clone().unwrap_or_else(|| default_out(&file, None));
    let options = Options {
        strict: args.strict,
        ..options(&args.compute, args.output.json, "compare")?
    };
    let command = command_line(&args);
    let comparison = compare::compare(&file, &folder, &args.seeds, &options, command, log::write_to)?;
    report::show(comparison.report, &folder, args.output.json);
    if !comparison.held.is_empty() {
        for held in &comparison.held {
            eprintln!("left to another: {held}");
        }
        eprintln!(
            "the report has what is finished; once the rest is, make it again with: sextant report {}",
            quoted(&folder.display().to_string())
        );
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
fn command_line(args: &CompareArgs) -> String {
    let mut words = environment();
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

/// The environment that changes a recipe, as words before a command.
fn environment() -> Vec<String> {
    let set = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| name.starts_with("SEXTANT__"))?;
        Some(format!("{name}={}", quoted(value.to_str()?)))
    });
    let mut words: Vec<String> = set.collect();
    words.sort();
    words
}

/// Listens to requests to stop from now on, and after `limit` asks to. What goes on from then is the same command, until there is
/// one that is shorter.
pub(super) fn listen(limit: Option<Duration>) -> Result<(), Error> {
    let mut words = environment();
    words.push("sextant".into());
    let arguments = std::env::args_os().skip(1);
    words.extend(arguments.map(|word| quoted(&word.to_string_lossy())));
    interrupt::goes_on_with(words.join(" "));
    interrupt::listen(limit).map_err(|e| Error::Failed(format!("signals cannot be listened to: {e}")))
}

fn draw(args: SampleArgs) -> Result<(), Error> {
    listen(None)?;
    if Path::new(&args.name).file_name() != Some(args.name.as_ref()) {
        return Err(Error::Input(format!(
            "--name {:?}: it names two files in one folder, so that it must not be empty or have a / in it (--out DIR names another folder)",
            args.name
        )));
    }
    let (folder, checkpoint) = run_or_checkpoint(&args.run, "")?;
    let recipe = folder.unedited()?;
    let saved = evaluation::saved(&folder, &recipe, checkpoint.as_ref())?;
    let out = match args.out {
        Some(out) if out.is_file() => {
            return Err(FileError::new(&out, "is a file; --out names a folder").into());
        }
        Some(out) => out,
        None => check_writable(folder.path()).map(|()| folder.samples())?,
    };
    let compute = ComputeArgs {
        device: args.device,
        plugin_dir: Vec::new(),
        tui: false,
    };
    let mut sampler = recipe.evaluation.sampler.clone();
    if let Some(name) = args.sampler {
        sampler.method = match name {
            SamplerName::Euler => SamplerMethod::Euler,
            SamplerName::Heun => SamplerMethod::Heun,
            SamplerName::Sde => SamplerMethod::Sde,
        };
    }
    sampler.steps = args.steps.unwrap_or(sampler.steps);
    sampler.cfg_scale = args.cfg.unwrap_or(sampler.cfg_scale);
    sampler.guidance_low = args.guidance_low.unwrap_or(sampler.guidance_low);
    sampler.guidance_high = args.guidance_high.unwrap_or(sampler.guidance_high);
    sampler.validate()?;
    let options = options(&compute, true, "sample")?;
    let dataset = sextant_train::dataset(&recipe.data, &options.device)?;
    check_data(&folder, &dataset)?;
    let classes = dataset.class_names().len();
    let count = args.count.unwrap_or(recipe.evaluation.samples);
    let columns = args.columns.unwrap_or(recipe.evaluation.columns);
    // A grid is made in memory.
    let most = if args.npz.is_some() { 1_000_000_000 } else { 1_000_000 };
    for (option, number, most) in [
        ("--count", count, most),
        ("--columns", columns, most),
        ("--batch", args.batch, 1_000_000),
    ] {
        if !(1..=most).contains(&number) {
            return Err(Error::Input(format!(
                "{option} is {number}; it must be from 1 to {most}"
            )));
        }
    }
    let side = dataset.picture_side()?;
    // Those of an .npz are written as they come.
    if let Some(free) = memory::available().filter(|_| args.npz.is_none()) {
        SamplesNeed::of_grid("--count", count, [3, side, side]).check(free)?;
    }
    recipe.kept(args.weights)?;
    let labels = match (&args.class, args.labels) {
        (Some(class), _) => Labels::Class(label(class, dataset.class_names(), &recipe)?),
        (None, LabelsName::Balanced) => Labels::Balanced,
        (None, LabelsName::Random) => Labels::Random,
    };
    let drawing = Drawing {
        sampler,
        seed: args.seed.unwrap_or(recipe.seed),
        batch: args.batch,
        ..Drawing::of(&recipe)
    };
    let network = sextant_train::trained(&recipe, &dataset, &saved, args.weights, &options.device);
    let network = network.map_err(|error| explained_to("sextant sample", error, &folder, &recipe))?;
    let scaled_by = args.cfg.map_or("evaluation.sampler.cfg_scale", |_| "--cfg");
    for warning in of_sampler(&recipe, &drawing.sampler, scaled_by) {
        tracing::warn!("{warning}");
    }
    if let Some(npz) = &args.npz {
        let job = SampleJob {
            network: &network,
            origin: format!("{} after step {}", args.weights, saved.step),
            drawing,
            dataset: &dataset,
            side,
            device: &options.device,
            labels,
            count: count as u64,
            part: args.part.unwrap_or(Part::WHOLE),
        };
        return samples::run(&job, npz, &saved.file(args.weights), args.output.json);
    }
    let of = |index| labels.of(index, classes, drawing.seed);
    let labels: Vec<usize> = (0..count as u64).map(of).collect();
    let drawn = sample::draw(&network, &drawing, &labels, &dataset, &options.device);
    let pixels = drawn.map_err(|error| error.of_network(&saved.file(args.weights)))?;
    let png = write_samples(&out, &args.name, &pixels, side, columns)?;
    if args.output.json {
        print_json(
            &json!({ "png": png, "npz": png.with_extension("npz"), "labels": labels, "step": saved.step, "weights": args.weights }),
        );
    } else {
        println!("{}", png.display());
    }
    Ok(())
}

/// The label that `--class` means: a class by number or name, or none, which a network can draw whose null class was trained.
fn label(class: &str, names: &[String], recipe: &Recipe) -> Result<usize, Error> {
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
    if recipe.diffusion.label_dropout == 0.0 {
        return Err(Error::Input(
            "--class none: this network was trained with diffusion.label_dropout = 0, so that it never learned to draw without a class".into(),
        ));
    }
    Ok(names.len())
}

fn encoder(args: EncoderArgs) -> Result<(), Error> {
    listen(None)?;
    let text = std::fs::read_to_string(&args.recipe).map_err(|e| FileError::new(&args.recipe, e))?;
    let config: EncoderConfig = toml::from_str(&text).map_err(|e| FileError::new(&args.recipe, e))?;
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
    let device = device::open(&args.device)?;
    let dataset = data::load(&config.data)?;
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
    if args.output.json {
        print_json(&json!({ "weights": args.out, "origin": encoder.origin() }));
    } else {
        println!("{}", args.out.display());
    }
    Ok(())
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
    Ok(Options {
        device: device::open(&compute.device)?,
        device_name: compute.device.clone(),
        plugins: SearchPath::new(&compute.plugin_dir),
        progress,
        label: label.into(),
        among: None,
        strict: false,
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
