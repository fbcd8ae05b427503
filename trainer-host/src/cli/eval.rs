//! `sextant eval`: the measurements of a comparison, alone.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::commands::{keep_nothing, listen, options, print_json};
use super::place::{check_writable, run_or_checkpoint};
use super::{ComputeArgs, ConventionName, LimitArgs, OutputArgs, command_line, ranks};
use crate::Error;
use sextant_evaluation as evaluation;
use sextant_recipe::{self as recipe, QualityRecipe, Recipe, RepresentationsRecipe, SamplerMethod, Weights};
use sextant_records::evaluation::{Evaluation, EvaluationFolder};
use sextant_records::{FileError, FileIdentity};
use sextant_train::sample::SampleFile;
use sextant_train::{BareNetwork, Known, check_measurement, explained_to};
use tempfile::TempDir;

/// Subject and settings of an evaluation.
#[derive(Args)]
pub struct EvalArgs {
    /// A run's folder, one checkpoint of it (RUN/phases/PHASE/step-000400), a file of weights (.pt, .pth, .safetensors), or an .npz of
    /// samples (uint8 [N, side, side, 3]).
    target: PathBuf,
    /// For an .npz: the recipe whose data and `evaluation.quality` it is measured by; by default the embedded emoji. With a reference the
    /// data is not looked at. For a file of weights: the recipe with its data, prediction and path.
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<PathBuf>,
    /// Set a key of the recipe, such as evaluation.quality.samples=1000; may be given more than once. Of a run's recipe only what
    /// measures, and the paths of files that lie elsewhere now. Then nothing is written into the run.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Judge samples by this network, in place of the recipe's: the file of FID's Inception network, for one; may be given more than once
    /// (`evaluation.quality.judges`).
    #[arg(long, value_name = "NAME")]
    judge: Vec<String>,
    /// Compare samples with this, in place of the data: an .npz of statistics or of images, or a folder of images
    /// (`evaluation.quality.reference`).
    #[arg(long, value_name = "PATH")]
    reference: Option<PathBuf>,
    /// Weights that are measured: the trained ones (model), their moving average (ema), or a further one (ema-0.999). By default the
    /// moving average; of a file without one, the weights that there are. Of others than the moving average nothing is written into a run.
    #[arg(long)]
    weights: Option<Weights>,
    /// Of a file of weights: whose conventions its network has, where the file does not tell.
    #[arg(long)]
    convention: Option<ConventionName>,
    /// Of a file of weights: attention heads, where it does not tell.
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Keep samples, pictures and numbers in this folder, a new one or an earlier evaluation's; by default RUN/evaluation for a run,
    /// nowhere otherwise.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) compute: ComputeArgs,
    #[command(flatten)]
    pub(super) limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Measures, and prints.
pub fn run(args: EvalArgs) -> Result<(), Error> {
    listen(args.limit.max_time)?;
    let is_samples = args.target.extension().is_some_and(|e| e == "npz");
    if !args.target.is_file() || is_samples {
        args.refuse_file_options()?;
    }
    let (evaluation, drawn) = match is_samples {
        true => (samples(&args)?, None),
        false if args.target.is_file() => file(&args)?,
        false => run_or_its_checkpoint(&args)?,
    };
    if args.output.json {
        print_json(&json!({ "target": args.target, "drawn": drawn, "evaluation": evaluation }));
    } else {
        if let Some(drawn) = drawn {
            println!("{drawn}");
        }
        print!("{}", evaluation::text(&evaluation));
    }
    Ok(())
}

impl EvalArgs {
    /// An error where options are given that only a file of weights has a use for.
    fn refuse_file_options(&self) -> Result<(), Error> {
        let given = [
            ("--convention", self.convention.is_some()),
            ("--heads", self.heads.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Error::Input(format!("{option} is for a file of weights"))),
            None => Ok(()),
        }
    }

    /// True if the command line says what is measured, and not the recipe.
    fn changes_recipe(&self) -> bool {
        !self.set.is_empty() || !self.judge.is_empty() || self.reference.is_some()
    }

    /// Puts its judges and its reference into a recipe. Paths are seen from the working directory.
    fn change(&self, recipe: &mut Recipe) -> Result<(), Error> {
        if self.judge.is_empty() && self.reference.is_none() {
            return Ok(());
        }
        let absolute = |path: &Path| match std::path::absolute(path) {
            Ok(absolute) => absolute.display().to_string(),
            Err(_) => path.display().to_string(),
        };
        let quality = recipe.evaluation.quality.get_or_insert_default();
        if !self.judge.is_empty() {
            let place = |name: &String| match Path::new(name) {
                path if path.exists() && !recipe::is_builtin(name) => absolute(path),
                _ => name.clone(),
            };
            quality.judges = self.judge.iter().map(place).collect();
        }
        if let Some(reference) = &self.reference {
            quality.reference = Some(absolute(reference));
        }
        Ok(recipe.validate()?)
    }
}

/// The way in which the scored samples were drawn.
#[derive(Serialize)]
struct Drawn {
    /// Weights of the network; none where they have no name in their file.
    weights: Option<Weights>,
    /// The file of the network, where it is no run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileIdentity>,
    sampler: SamplerMethod,
    steps: usize,
    /// The scales of classifier-free guidance at which they are scored, and the times between which it is on.
    cfg_scales: Vec<f64>,
    guidance_low: f64,
    guidance_high: f64,
    seed: u64,
    /// Samples for each scale.
    count: usize,
    /// Samples for each scale that was tried before.
    sweep_count: usize,
}

impl Drawn {
    /// None where no samples are scored.
    fn of(
        recipe: &Recipe,
        weights: Option<Weights>,
        file: Option<&FileIdentity>,
        evaluation: &Evaluation,
    ) -> Option<Self> {
        let (sampler, quality) = (&recipe.evaluation.sampler, recipe.evaluation.quality.as_ref()?);
        let mut cfg_scales: Vec<f64> = evaluation.quality.iter().map(|quality| quality.scale).collect();
        cfg_scales.sort_by(f64::total_cmp);
        cfg_scales.dedup();
        Some(Self {
            weights,
            file: file.cloned(),
            sampler: sampler.method,
            steps: sampler.steps,
            cfg_scales,
            guidance_low: sampler.guidance_low,
            guidance_high: sampler.guidance_high,
            seed: recipe.seed,
            count: quality.samples,
            sweep_count: quality.sweep_samples,
        })
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let scales: Vec<String> = self.cfg_scales.iter().map(f64::to_string).collect();
        write!(
            f,
            "{} samples a scale{}{}: {:?}, {} steps, guidance scale {} for t in [{}, {}], seed {}",
            self.count,
            self.weights
                .map_or(String::new(), |weights| format!(", of the weights \"{weights}\"")),
            self.file.as_ref().map_or(String::new(), |file| format!(
                ", of {} (SHA-256 {})",
                file.name, file.sha256
            )),
            self.sampler,
            self.steps,
            scales.join(" and "),
            self.guidance_low,
            self.guidance_high,
            self.seed
        )
    }
}

fn samples(args: &EvalArgs) -> Result<Evaluation, Error> {
    let samples = SampleFile::open(&args.target)?;
    let options = options(&args.compute, true, "eval")?;
    let mut recipe = match &args.recipe {
        Some(path) => recipe::load(path, &args.set)?.base()?,
        None if !args.set.is_empty() => {
            return Err(Error::Input(
                "--set changes a recipe; for an .npz give --recipe too".into(),
            ));
        }
        None if args.reference.is_some() && args.judge.is_empty() => {
            return Err(Error::Input(
                "--reference takes a judge: name the network of the reference with --judge, such as the file of FID's Inception network, or \
                 give a recipe with --recipe"
                    .into(),
            ));
        }
        // Data that is not looked at.
        None if args.reference.is_some() => emoji(32)?,
        None => emoji(samples.side())?,
    };
    args.change(&mut recipe)?;
    let place = args.out.as_ref().map(EvaluationFolder::at);
    match &place {
        Some(place) => outside(&args.target, place.path())?,
        None => keep_nothing(),
    }
    let _lock = place.as_ref().map(EvaluationFolder::lock).transpose()?;
    Ok(evaluation::of_samples(
        &samples,
        &recipe,
        &options.device,
        place.as_ref(),
    )?)
}

/// An error where the samples lie in the folder that is to be written, which would take them away.
fn outside(samples: &Path, out: &Path) -> Result<(), Error> {
    let whole = |path: &Path| path.canonicalize().ok();
    match whole(samples).zip(whole(out)) {
        Some((samples, inside)) if samples.starts_with(&inside) => {
            Err(FileError::new(out, "holds the samples themselves; name another folder with --out").into())
        }
        _ => Ok(()),
    }
}

/// The recipe of samples without one: the embedded emoji of their size, measured by the defaults.
fn emoji(side: usize) -> Result<Recipe, Error> {
    if ![32, 16, 8].contains(&side) {
        return Err(Error::Input(format!(
            "the samples are {side} pixels a side, and the embedded emoji come in 32, 16 and 8; give the recipe that they were drawn by with --recipe"
        )));
    }
    let text = format!(
        "data = {{ kind = \"emoji\", size = {side} }}\nmodel = {{ patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }}\n\
         phases = [{{ name = \"train\", steps = 1 }}]\nevaluation = {{ quality = {{}} }}"
    );
    Ok(recipe::parse_resolved(Path::new("the embedded emoji"), &text)?)
}

/// Measures the network of a file.
fn file(args: &EvalArgs) -> Result<(Evaluation, Option<Drawn>), Error> {
    let Some(path) = &args.recipe else {
        return Err(Error::Input(format!(
            "{}: samples of a network are compared with the data that it was trained on: give a recipe that names them with --recipe",
            args.target.display()
        )));
    };
    let mut recipe = recipe::load(path, &args.set)?.base()?;
    args.change(&mut recipe)?;
    measure_all(&mut recipe);
    let known = Known {
        weights: args.weights,
        convention: args.convention.map(Into::into),
        heads: args.heads,
        recipe: Some(&recipe),
    };
    let mut network = BareNetwork::open(&args.target, known)?;
    let options = ranks::options(&args.compute, args.output.json, "eval")?;
    let (place, _scratch) = place(args.out.as_deref())?;
    let _lock = args.out.as_ref().map(|_| place.lock()).transpose()?;
    let evaluation = evaluation::of_file(&mut network, &recipe, &options, &place)?;
    let drawn = Drawn::of(&recipe, network.weights(), Some(network.identity()), &evaluation);
    Ok((evaluation, drawn))
}

/// The folder of an evaluation that belongs to no run: the one that is named, or one that goes with what is answered beside it.
fn place(out: Option<&Path>) -> Result<(EvaluationFolder, Option<TempDir>), Error> {
    if let Some(out) = out {
        return Ok((EvaluationFolder::at(out), None));
    }
    keep_nothing();
    let scratch = tempfile::tempdir().map_err(|e| Error::Failed(format!("no folder for samples can be made: {e}")))?;
    Ok((EvaluationFolder::at(scratch.path().join("evaluation")), Some(scratch)))
}

/// Measures the network of a run.
fn run_or_its_checkpoint(args: &EvalArgs) -> Result<(Evaluation, Option<Drawn>), Error> {
    if args.recipe.is_some() {
        return Err(Error::Input(
            "--recipe is for an .npz or a file of weights; a run has its own recipe, which --set can change".into(),
        ));
    }
    let weights = args.weights.unwrap_or(Weights::Ema);
    let (folder, checkpoint) = run_or_checkpoint(&args.target, ", nor a file of weights, nor an .npz of samples")?;
    let own = !args.changes_recipe() && checkpoint.is_none() && weights == Weights::Ema && args.out.is_none();
    // Before anything of it is read: another process may be changing it.
    let own = own.then(|| folder.lock()).transpose()?;
    let trained = folder.unedited()?;
    let mut recipe = folder.recipe_with(&args.set)?;
    args.change(&mut recipe)?;
    check_measurement(&folder, &trained, &recipe)?;
    measure_all(&mut recipe);
    let options = ranks::options(&args.compute, args.output.json, "eval")?;
    let run = evaluation::prepare_evaluation(recipe, options)?;
    run.check_files(&folder)?;
    for warning in run.warnings().iter().filter(|warning| warning.is_of_evaluation()) {
        tracing::warn!("{warning}");
    }
    let (place, _scratch) = match own {
        Some(_) => (EvaluationFolder::of(folder.path()), None),
        None => place(args.out.as_deref())?,
    };
    let _lock = args.out.as_ref().map(|_| place.lock()).transpose()?;
    let measured = evaluation::of_network(&run, &folder, checkpoint.as_ref(), weights, &place);
    let evaluation = measured.map_err(|error| match error {
        evaluation::Error::Train(error) => {
            let command = |saved: &Path| command_line::own_of(&args.target, saved);
            explained_to(error, &folder, run.recipe(), command).into()
        }
        // What was measured before can be read wherever it lies.
        evaluation::Error::File(error) if args.out.is_none() => match check_writable(folder.path()) {
            Ok(()) => Error::from(evaluation::Error::File(error)),
            Err(read_only) => read_only,
        },
        other => other.into(),
    })?;
    let drawn = Drawn::of(run.recipe(), Some(weights), None, &evaluation);
    Ok((evaluation, drawn))
}

/// A run that asks for no evaluation is measured by the defaults.
fn measure_all(recipe: &mut Recipe) {
    let evaluation = &mut recipe.evaluation;
    if evaluation.quality.is_none() && evaluation.representations.is_none() {
        evaluation.quality = Some(QualityRecipe::default());
        evaluation.representations = Some(RepresentationsRecipe::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_never_in_the_folder_that_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let samples = folder.path().join("evaluation/samples-1.npz");
        std::fs::create_dir(folder.path().join("evaluation")).unwrap();
        std::fs::write(&samples, "").unwrap();
        assert!(outside(&samples, &folder.path().join("evaluation")).is_err());
        assert!(outside(&samples, folder.path()).is_err());
        outside(&samples, &folder.path().join("new")).unwrap();
    }
}
