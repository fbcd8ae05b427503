//! `sextant bench`: how long a training step takes, and where its time goes.

mod synthetic;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::commands::{listen, options, print_json};
use super::{ComputeArgs, OutputArgs};
use crate::Error;
use sextant_model::device::compute_here;
use sextant_recipe::{self as recipe, Phase, Recipe};
use sextant_train::memory::Gigabytes;
use sextant_train::{BenchSteps, MeasuredStep, Ranks, Run};

use synthetic::SyntheticArgs;

pub(super) const EXAMPLES: &str = "Examples:
  sextant bench configs/emoji-quick.toml --variant repa
  sextant bench --model S/2 --batch 4 --threads 2
  sextant bench --model B/2 --batch 2 --guidance self-transcendence --json
  sextant bench --model S/2 --batch 16 --sampling 10

Nothing is written, and earlier phases are not run: their networks are untrained here. benches/versus-pytorch compares with PyTorch.";

/// Arguments of `sextant bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// The recipe (TOML), whose last phase is timed on its data.
    #[arg(required_unless_present = "model", conflicts_with = "model")]
    recipe: Option<PathBuf>,
    /// Time this variant of the recipe instead of its base.
    #[arg(long, value_name = "NAME", requires = "recipe")]
    variant: Option<String>,
    #[command(flatten)]
    synthetic: SyntheticArgs,
    /// Set a key of the recipe, such as optimiser.batch=64; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// In place of training steps, time drawing a batch of images by Euler's method of so many steps, without guidance.
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u16).range(1..))]
    sampling: Option<u16>,
    /// Steps, or batches drawn, that are timed; what is printed are their medians.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,
    /// Steps before them that are not.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    warmup: u64,
    /// Threads that compute; by default one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    /// Search plugins here first; may be given more than once. Then SEXTANT_PLUGIN_PATH, then beside this program.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Times, and prints.
pub fn run(args: &BenchArgs) -> Result<(), Error> {
    listen(None)?;
    if let Some(threads) = args.threads {
        compute_here(Some(threads.into())).map_err(|e| Error::Failed(format!("--threads {threads}: {e}")))?;
    }
    let steps = BenchSteps {
        warmup: args.warmup,
        timed: args.steps,
    };
    let compute = ComputeArgs {
        device: Some(args.device.clone()),
        of_recipe: false,
        plugin_dir: args.plugin_dir.clone(),
        tui: false,
        ranks: Ranks::default(),
        firsts: Ranks::default(),
    };
    let options = |label: &str| options(&compute, args.output.json, label);
    let run = match (&args.recipe, &args.synthetic.model) {
        (Some(path), _) => {
            let file = recipe::load(path, &args.set)?;
            let recipe = match &args.variant {
                Some(name) => file.variant(file.find_variant(name)?)?,
                None => file.base()?,
            };
            let options = options(&recipe.title)?;
            Run::prepare(lasting(recipe, steps), options)?
        }
        (None, Some(model)) => {
            let (recipe, dataset) = args.synthetic.recipe_and_data(model, &args.set)?;
            Run::prepare_on(dataset, lasting(recipe, steps), options(model)?)?
        }
        (None, None) => return Err(Error::Input("give a recipe, or --model SIZE/PATCH".into())),
    };
    if let Some(sampling) = args.sampling {
        let seconds = run.bench_sampling(sampling.into(), steps)?;
        let facts = Facts::of(&run);
        match args.output.json {
            true => print_json(&facts.sampling_json(seconds, sampling)),
            false => print!("{}", facts.sampling_text(seconds, sampling)),
        }
        return Ok(());
    }
    if let Some(warning) = run.check_memory()? {
        tracing::warn!("{warning}");
    }
    let measured = run.bench(steps)?;
    let facts = Facts::of(&run);
    match args.output.json {
        true => print_json(&facts.json(&measured, steps)),
        false => print!("{}", facts.text(&measured, steps)),
    }
    Ok(())
}

/// The recipe, its last phase at least so long that all steps are its own.
fn lasting(mut recipe: Recipe, steps: BenchSteps) -> Recipe {
    if let Some(phase) = recipe.phases.last_mut() {
        phase.steps = phase.steps.max(steps.warmup + steps.timed);
    }
    recipe
}

/// The subject of the measurement: the numbers that do not depend on time.
#[derive(Serialize)]
struct Facts {
    who: String,
    model: String,
    batch: usize,
    tokens: usize,
    guidance: String,
    #[serde(rename = "dtype")]
    precision: &'static str,
    device: String,
    threads: usize,
    parameters: usize,
}

impl Facts {
    fn of(run: &Run) -> Self {
        let (info, recipe, network) = (run.info(), run.recipe(), run.network());
        Self {
            who: format!("sextant {} (burn {})", info.sextant, info.burn),
            model: run.options().label.clone(),
            batch: recipe.optimiser.batch,
            tokens: network.tokens(),
            guidance: recipe.phases.last().map_or_else(String::new, guidance),
            precision: recipe.compute.precision.key(),
            device: run.options().device_name.clone(),
            threads: rayon::current_num_threads(),
            parameters: network.parameter_count(),
        }
    }

    /// The keys of `benches/torch_step.py`, and more.
    fn json(&self, measured: &MeasuredStep, steps: BenchSteps) -> Value {
        let MeasuredStep {
            seconds, operations, ..
        } = measured;
        self.with(json!({
            "step_s": seconds.step,
            "forward_s": measured.forward,
            "backward_s": seconds.backward,
            "update_s": seconds.clip + seconds.update,
            "peak_bytes": measured.device_bytes.or(measured.resident_bytes),
            "steps": steps.timed,
            "warmup": steps.warmup,
            "range_s": measured.range,
            "parts_s": parts(measured).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "resident_bytes": measured.resident_bytes,
            "device_bytes": measured.device_bytes,
            "estimated_bytes": measured.estimate,
            "operations": operations,
            "operations_per_s": operations.sum() / seconds.step,
            "product_operations_per_s": measured.product_speed,
            "share_of_peak": measured.share_of_peak(),
        }))
    }

    /// As [`json`](Self::json), of images drawn.
    fn sampling_json(&self, seconds: f64, steps: u16) -> Value {
        self.with(json!({
            "sampling_steps": steps,
            "sampling_s": seconds,
            "images_per_s": self.batch as f64 / seconds,
        }))
    }

    fn with(&self, numbers: Value) -> Value {
        #[derive(Serialize)]
        struct Both<'a> {
            #[serde(flatten)]
            facts: &'a Facts,
            #[serde(flatten)]
            numbers: Value,
        }
        json!(Both { facts: self, numbers })
    }

    fn sampling_text(&self, seconds: f64, steps: u16) -> String {
        format!(
            "{}\n{:.4} images a second: {seconds:.4} s a batch, {steps} steps of Euler's method\n",
            self.heading(),
            self.batch as f64 / seconds,
        )
    }

    fn heading(&self) -> String {
        format!(
            "{} · guidance {} · batch {} of {} tokens · {} parameters · {} · {} · {} threads",
            self.model,
            self.guidance,
            self.batch,
            self.tokens,
            self.parameters,
            self.precision,
            self.device,
            self.threads,
        )
    }

    fn text(&self, measured: &MeasuredStep, steps: BenchSteps) -> String {
        let MeasuredStep {
            seconds, operations, ..
        } = measured;
        let [fastest, slowest] = measured.range;
        let mut text = format!(
            "{}\n{:.4} s a step: median of {} after {} of warm-up; {fastest:.4} to {slowest:.4}\n",
            self.heading(),
            seconds.step,
            steps.timed,
            steps.warmup,
        );
        for (part, spent) in parts(measured) {
            // Writing into a text does not fail.
            let _ = writeln!(
                text,
                "  {part:<10} {spent:>9.4} s {:>5.1} %",
                100.0 * spent / seconds.step
            );
        }
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| Gigabytes(bytes).to_string());
        if let Some(resident) = bytes(measured.resident_bytes) {
            let estimate = Gigabytes(measured.estimate.peak);
            let _ = writeln!(text, "{resident} resident at the fullest ({estimate} were estimated)");
        }
        if let Some(of_device) = bytes(measured.device_bytes) {
            let _ = writeln!(text, "{of_device} of the device");
        }
        let _ = writeln!(
            text,
            "{:.3e} operations a step, {:.3e} a second: {:.0} % of the {:.3e} that matrix products reach here",
            operations.sum(),
            operations.sum() / seconds.step,
            100.0 * measured.share_of_peak(),
            measured.product_speed,
        );
        text
    }
}

/// The parts of a step in their order, with what is in none.
fn parts(measured: &MeasuredStep) -> [(&'static str, f64); 9] {
    let seconds = &measured.seconds;
    [
        ("data", seconds.data),
        ("encoding", seconds.encoding),
        ("student", seconds.student),
        ("teacher", seconds.teacher),
        ("guidance", seconds.guidance),
        ("backward", seconds.backward),
        ("clip", seconds.clip),
        ("update", seconds.update),
        ("rest", measured.rest),
    ]
}

/// The sources of a phase in words.
fn guidance(phase: &Phase) -> String {
    let names: Vec<&str> = phase.guidance.iter().map(|source| source.plugin.as_str()).collect();
    match names.as_slice() {
        [] => "none".into(),
        names => names.join("+"),
    }
}
