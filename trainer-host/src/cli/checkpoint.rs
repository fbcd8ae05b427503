//! `sextant checkpoint`: files of weights, of PyTorch and of Sextant, looked at and converted.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::commands::print_json;
use super::{ConventionName, OutputArgs};
use crate::Error;
use sextant_model::checkpoint::{Format, Imported, WeightsFile, metadata};
use sextant_model::write_safetensors;
use sextant_recipe::{Import, Weights};
use sextant_records::remove_leftovers;

pub const EXAMPLES: &str = "Examples:
  sextant checkpoint info 0400000.pt
  sextant checkpoint info runs/first/phases/train/step-000500 --json
  sextant checkpoint convert 0400000.pt repa-xl.safetensors --weights ema
  sextant checkpoint convert SiT-XL-2-256x256.pt sit-xl.safetensors --convention sit

A recipe takes such a file as it is: init = { from = \"0400000.pt\" } in a phase, or teacher = { from = \"0400000.pt\" }.";

/// Commands on a file of weights.
#[derive(Subcommand)]
pub enum CheckpointCommand {
    /// Say what a file of weights holds: kind, network, tensors, parameters, steps, settings.
    Info(InfoArgs),
    /// Write the weights of a file as safetensors with the published names, in the convention of REPA, which PyTorch reads with
    /// safetensors.torch.load_file.
    Convert(ConvertArgs),
}

/// The weights that are meant.
#[derive(Args)]
struct FileArgs {
    /// A checkpoint of PyTorch (.pt, .pth), a safetensors file, or a run's checkpoint (RUN/phases/PHASE/step-000400).
    file: PathBuf,
    /// Weights of it that are meant: the trained ones (model) or their moving average (ema); by default the trained ones, or those that
    /// there are.
    #[arg(long)]
    weights: Option<Weights>,
    /// Whose conventions the network has, where the file does not tell: repa, sit (the original one), or dit.
    #[arg(long)]
    convention: Option<ConventionName>,
}

#[derive(Args)]
pub struct InfoArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    file: FileArgs,
    /// The file to write (.safetensors).
    out: PathBuf,
    /// Attention heads, where the file does not tell.
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn run(command: CheckpointCommand) -> Result<(), Error> {
    match command {
        CheckpointCommand::Info(args) => info(&args),
        CheckpointCommand::Convert(args) => convert(&args),
    }
}

impl FileArgs {
    fn open(&self) -> Result<Imported, Error> {
        let import = Import {
            from: self.file.display().to_string(),
            weights: self.weights,
            convention: self.convention.map(Into::into),
        };
        Ok(Imported::open(&import)?)
    }
}

/// The sets of weights of a file, in words.
fn sets(file: &WeightsFile) -> Vec<String> {
    let name = |weights: Option<Weights>| weights.map_or("one without a name".into(), |weights| weights.to_string());
    file.sets().map(name).collect()
}

fn info(args: &InfoArgs) -> Result<(), Error> {
    let imported = args.file.open()?;
    let (file, geometry) = (imported.file(), &imported.geometry);
    let format = match file.format() {
        Format::PyTorch => "a checkpoint of PyTorch",
        Format::Safetensors => "safetensors",
    };
    // With some number of heads, for where none is known: it changes no shape.
    let heads = geometry.num_heads.unwrap_or(1);
    let misfit = imported.fits(&geometry.config(heads), Default::default());
    let misfit = misfit.err().map(|error| error.fault.to_string());
    if args.output.json {
        print_json(&json!({
            "file": file.path(), "format": format, "weights": sets(file), "convention": imported.convention, "network": geometry,
            "tensors": imported.tensor_count(), "parameters": imported.parameter_count(), "projectors": imported.projectors.keys().collect::<Vec<_>>(),
            "prediction": imported.prediction, "path": imported.path, "step": file.step(), "optimiser": file.has_optimiser(),
            "args": file.args(), "misfit": misfit,
        }));
        return Ok(());
    }
    let line = |name: &str, value: String| println!("{name:<12} {value}");
    line("file", format!("{}, {format}", file.path().display()));
    line("weights", sets(file).join(", "));
    line("convention", imported.convention.key().to_owned());
    line(
        "network",
        format!(
            "depth {}, width {}, {} heads, patch {}, MLP ratio {}{}",
            geometry.depth,
            geometry.hidden_size,
            geometry
                .num_heads
                .map_or("unknown number of".into(), |heads| heads.to_string()),
            geometry.patch_size,
            geometry.mlp_ratio,
            if geometry.qk_norm { ", qk_norm" } else { "" },
        ),
    );
    let (side, channels) = (geometry.input_size, geometry.in_channels);
    line(
        "latents",
        format!("{channels} x {side} x {side}, {} classes", geometry.num_classes),
    );
    line(
        "parameters",
        format!("{} in {} tensors", imported.parameter_count(), imported.tensor_count()),
    );
    if !imported.projectors.is_empty() {
        line(
            "projectors",
            format!("{} tensors, which are left out", imported.projectors.len()),
        );
    }
    if let Some(prediction) = imported.prediction {
        line("prediction", format!("{prediction:?}").to_lowercase());
    }
    if let Some(path) = imported.path {
        line("path", format!("{path:?}").to_lowercase());
    }
    if let Some(step) = file.step() {
        line("step", step.to_string());
    }
    if file.has_optimiser() {
        line("optimiser", "there, and not read".into());
    }
    for (name, value) in file.args() {
        line("args", format!("{name} = {value}"));
    }
    if let Some(misfit) = misfit {
        line("but", misfit);
    }
    Ok(())
}

fn convert(args: &ConvertArgs) -> Result<(), Error> {
    let out = &args.out;
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Error::Input(format!(
            "{}: safetensors are written, which PyTorch reads with safetensors.torch.load_file; name a file that ends in .safetensors",
            out.display()
        )));
    }
    if out.exists() {
        return Err(Error::Input(format!(
            "{}: this file is there already; name another",
            out.display()
        )));
    }
    let mut imported = args.file.open()?;
    let config = imported.config(args.heads)?;
    let step = imported.file().step();
    let tensors = imported.tensors(&config)?;
    remove_leftovers(out);
    write_safetensors(out, &tensors, &metadata(&config, step))?;
    if args.output.json {
        print_json(&json!({ "file": out, "network": config, "tensors": tensors.len(), "step": step }));
    } else {
        println!("{}", out.display());
    }
    Ok(())
}
