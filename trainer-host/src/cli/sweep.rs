//! `sextant sweep`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::commands::{default_out, listen, print_json};
use super::{ComputeArgs, GroupArgs, LimitArgs, OutputArgs, log, ranks};
use crate::Error;
use crate::sweep::{self, Request, Tuned, Vary};
use sextant_recipe as recipe;
use sextant_records::quoted;
use sextant_train::Options;

/// Arguments of `sextant sweep`.
#[derive(Args)]
pub struct SweepArgs {
    /// The recipe (TOML) with [[variants]].
    pub(super) recipe: PathBuf,
    /// Learning rates to try, such as 3e-4,1e-3,3e-3; short for --vary optimiser.lr=….
    #[arg(long, value_name = "VALUES")]
    lr: Option<String>,
    /// Values of a key to try in every variant; given several times, every combination is tried.
    #[arg(long, value_name = "KEY=VALUES")]
    vary: Vec<String>,
    /// Values of a key to try in one variant. Every variant must have the same number of settings in all.
    #[arg(long, value_name = "VARIANT:KEY=VALUES")]
    vary_in: Vec<String>,
    /// Train no phase for more steps than this.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Seed of all runs; not one of the comparison that the settings are for.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Set a key of the base recipe (or of one variant: variants.0.…); may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Folder of the sweep; by default runs/RECIPE-sweep.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make warnings errors: what is possible and hardly meant ends with exit code 2, before anything is written.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    pub(super) groups: GroupArgs,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(args: SweepArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    let request = request(&args)?;
    let file = recipe::load(&args.recipe, &args.set)?;
    let folder = args.out.clone().unwrap_or_else(|| default_out(&file, Some("sweep")));
    let (options, firsts) = ranks::in_groups(&args.compute, args.groups.groups, args.output.json, "sweep")?;
    let options = Options {
        strict: args.strict,
        ..options
    };
    let (sweep, tuned) = sweep::sweep(&file, &folder, &request, &options, &firsts, log::write_to)?;
    if args.output.json {
        print_json(&json!({ "sweep": sweep, "folder": folder, "tuned": tuned }));
    } else {
        println!("\n{}", sweep::terminal(&sweep));
        if let Some(tuned) = &tuned {
            println!("the best of each, to be compared on other seeds: {}", tuned.display());
        }
    }
    let without: Vec<&Tuned> = sweep.variants.iter().filter(|tuned| tuned.best.is_none()).collect();
    match without.as_slice() {
        [] => Ok(()),
        without => {
            let names: Vec<&str> = without.iter().map(|tuned| tuned.variant.as_str()).collect();
            let names = names.join(", ");
            Err(Error::Failed(format!(
                "no run was finished of: {names}; {} says why, and no recipe is written",
                folder.join("sweep.md").display()
            )))
        }
    }
}

fn request(args: &SweepArgs) -> Result<Request, Error> {
    if args.steps == Some(0) {
        return Err(Error::Input("--steps is 0; it must be at least 1".into()));
    }
    let mut vary = Vec::new();
    if let Some(values) = &args.lr {
        let is_rate = |word: &&str| word.trim().parse::<f64>().is_ok();
        if let Some(wrong) = values.split(',').find(|word| !is_rate(word)) {
            return Err(Error::Input(format!(
                "--lr {values}: {wrong:?} is no learning rate; give numbers, such as --lr 3e-4,1e-3"
            )));
        }
        vary.push(Vary::parse(&format!("optimiser.lr={values}")).map_err(|e| Error::Input(format!("--lr {e}")))?);
    }
    for text in &args.vary {
        vary.push(Vary::parse(text).map_err(|e| Error::Input(format!("--vary {e}")))?);
    }
    let vary_in = args.vary_in.iter().map(|text| {
        let wrong = |reason: String| Error::Input(format!("--vary-in {reason}"));
        let (name, vary) = text
            .split_once(':')
            .ok_or_else(|| wrong(format!("{text}: write it as VARIANT:key=value,value")))?;
        Ok((name.to_owned(), Vary::parse(vary).map_err(|e| wrong(e.to_string()))?))
    });
    Ok(Request {
        vary,
        vary_in: vary_in.collect::<Result<_, Error>>()?,
        steps: args.steps,
        seed: args.seed,
        command: command_line(args),
    })
}

fn command_line(args: &SweepArgs) -> String {
    let mut words = vec!["sextant sweep".to_owned(), quoted(&args.recipe.display().to_string())];
    let mut option = |name: &str, value: &str| words.push(format!("{name} {}", quoted(value)));
    args.lr.iter().for_each(|values| option("--lr", values));
    args.vary.iter().for_each(|text| option("--vary", text));
    args.vary_in.iter().for_each(|text| option("--vary-in", text));
    args.steps
        .iter()
        .for_each(|steps| option("--steps", &steps.to_string()));
    option("--seed", &args.seed.to_string());
    args.set.iter().for_each(|text| option("--set", text));
    words.join(" ")
}
