//! `sextant plan`: what a training will need.

use std::fmt::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::commands::{listen, print_json};
use super::ranks::names;
use super::{ComputeArgs, OutputArgs};
use crate::Error;
use sextant_guidance::SearchPath;
use sextant_model::device;
use sextant_recipe as recipe;
use sextant_train::memory::Gigabytes;
use sextant_train::{PhasePlan, RunPlan};

pub(super) const EXAMPLES: &str = "Examples:
  sextant plan configs/emoji-quick.toml
  sextant plan configs/emoji.toml --variant repa --set optimiser.batch=64 --set optimiser.accumulation=4
  sextant plan configs/imagenet/xl2-256.toml --ranks 8 --set ranks.sharded=true

Every variant of a recipe is planned, or its base where it has none.";

/// Arguments of `sextant plan`.
#[derive(Args)]
pub struct PlanArgs {
    /// The recipe (TOML).
    recipe: PathBuf,
    /// Plan this variant of the recipe alone.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// Set a key of the recipe, such as optimiser.batch=64; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Tell the memory of one of so many ranks that share each batch; by default as many as devices are named.
    #[arg(long, value_name = "N")]
    ranks: Option<NonZeroUsize>,
    #[command(flatten)]
    compute: ComputeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The plan of a variant, on the devices that it names.
struct Planned<'a> {
    /// The variant's name; of the base, none.
    variant: Option<&'a str>,
    ranks: usize,
    /// How many of the ranks share the first one's device.
    on_first: usize,
    plan: RunPlan,
}

/// Plans, and prints.
pub fn run(args: &PlanArgs) -> Result<(), Error> {
    listen(None)?;
    let file = recipe::load(&args.recipe, &args.set)?;
    let variants = match &args.variant {
        Some(name) => vec![file.find_variant(name)?],
        None => file.variants.iter().collect(),
    };
    let recipes = match variants.as_slice() {
        [] => vec![(None, file.base()?)],
        variants => variants
            .iter()
            .map(|variant| Ok((Some(variant.name.as_str()), file.variant(variant)?)))
            .collect::<Result<_, Error>>()?,
    };
    let named = names(&args.compute);
    let device = device::open(named[0])?;
    let search = SearchPath::new(&args.compute.plugin_dir);
    let plans = recipes.iter().map(|(name, recipe)| {
        let devices = match args.compute.device {
            None if !recipe.ranks.devices.is_empty() => recipe.ranks.devices.iter().map(String::as_str).collect(),
            _ => named.clone(),
        };
        let ranks = args.ranks.map_or(devices.len(), NonZeroUsize::get);
        Ok(Planned {
            variant: *name,
            ranks,
            on_first: devices.iter().filter(|name| **name == devices[0]).count(),
            plan: RunPlan::read(recipe, &search, &device, ranks)?,
        })
    });
    let plans = plans.collect::<Result<Vec<_>, Error>>()?;
    if args.output.json {
        let plans = plans.iter().map(|planned| {
            let RunPlan { phases, samples, .. } = &planned.plan;
            json!({ "variant": planned.variant, "ranks": planned.ranks, "phases": phases, "samples": samples })
        });
        print_json(&plans.collect());
        return Ok(());
    }
    for planned in &plans {
        let plan = &planned.plan;
        for phase in &plan.phases {
            println!("{}", text(planned.variant, phase, planned.ranks));
        }
        match plan.check(&device, planned.on_first) {
            Ok(None) => {}
            Ok(Some(warning)) => println!("warning: {warning}\n"),
            Err(refusal) => println!("warning: {refusal}\n"),
        }
        if let Err(refusal) = plan.check_samples() {
            println!("warning: {refusal}\n");
        }
    }
    Ok(())
}

/// A phase's plan, as a table of its parts.
fn text(variant: Option<&str>, plan: &PhasePlan, ranks: usize) -> String {
    let name = match variant {
        Some(variant) => format!("{variant} · {}", plan.phase),
        None => plan.phase.clone(),
    };
    let memory = &plan.memory;
    let mut text = format!(
        "{name}: {} steps, {} parameters{}, {:.3e} operations of the student a step{}\n",
        plan.steps,
        plan.student_parameters,
        match plan.guidance_parameters {
            0 => String::new(),
            guidance => format!(" and {guidance} of its sources"),
        },
        plan.operations_per_step as f64,
        match ranks {
            1 => String::new(),
            ranks => format!("; memory of one of {ranks} ranks"),
        }
    );
    let parts = [
        ("weights", memory.weights),
        ("gradients", memory.gradients),
        ("moments", memory.moments),
        ("moving averages", memory.averages),
        ("teacher", memory.teacher),
        ("autoencoder, encoder", memory.encoders),
        ("buffers of sources", memory.buffers),
        ("images and features", memory.features),
        ("activations", memory.activations),
        ("at work beside them", memory.working),
        ("peak of a step", memory.peak),
        ("peak of a checkpoint", memory.checkpoint),
    ];
    for (part, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
        // Writing into a text does not fail.
        let _ = writeln!(text, "  {part:<20} {:>9}", Gigabytes(bytes).to_string());
    }
    text
}
