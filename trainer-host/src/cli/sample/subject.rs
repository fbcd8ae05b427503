//! The network that is drawn from: of a run, or of a file.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::SampleArgs;
use crate::Error;
use crate::cli::command_line;
use crate::cli::place::{check_writable, run_or_checkpoint};
use sextant_data::Dataset;
use sextant_evaluation as evaluation;
use sextant_model::Sit;
use sextant_model::diffusion::SamplerConfig;
use sextant_recipe::{self as recipe, DiffusionRecipe, EvaluationRecipe, Recipe, Weights};
use sextant_records::checkpoint::Saved;
use sextant_records::{FileIdentity, RunFolder};
use sextant_train::checkpoint::SavedTensors;
use sextant_train::sample::{BATCH, Drawing};
use sextant_train::{BareNetwork, Known, Warning, check_data, explained_to, of_sampler, trained};

/// A network, and what samples of it are drawn by where nothing else is asked for.
pub struct Subject {
    /// Sampler, path, prediction, seed.
    pub drawing: Drawing,
    /// Samples of a grid.
    pub count: usize,
    /// Columns of it.
    pub columns: usize,
    /// Share of the labels that it was trained without.
    pub label_dropout: f64,
    /// Optimiser steps of the network, where that is known.
    pub step: Option<u64>,
    /// File of its weights.
    pub file: PathBuf,
    place: Place,
}

/// Place of the network.
enum Place {
    Run {
        folder: RunFolder,
        recipe: Box<Recipe>,
        saved: Saved,
        weights: Weights,
    },
    File {
        network: Box<BareNetwork>,
        recipe: Option<Box<Recipe>>,
        vae: Option<String>,
    },
}

impl Subject {
    /// Finds the network that the arguments mean, and reads nothing large.
    ///
    /// # Errors
    /// Neither a run, a checkpoint of one, nor a file of weights; options that are for the other kind.
    pub fn find(args: &SampleArgs) -> Result<Self, Error> {
        match args.target.is_file() {
            true => Self::of_file(args),
            false => Self::of_run(args),
        }
    }

    fn of_run(args: &SampleArgs) -> Result<Self, Error> {
        let (folder, checkpoint) = run_or_checkpoint(&args.target, ", nor a file of weights")?;
        let given = [
            ("--recipe", args.recipe.is_some()),
            ("--vae", args.vae.is_some()),
            ("--convention", args.convention.is_some()),
            ("--heads", args.heads.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            return Err(Error::Input(format!(
                "{option} is for a file of weights; a run's own recipe says that already"
            )));
        }
        let recipe = folder.unedited()?;
        let saved = evaluation::saved(&folder, &recipe, checkpoint.as_ref())?;
        let weights = args.weights.unwrap_or(Weights::Ema);
        recipe.kept(weights)?;
        Ok(Self::new(
            &recipe.evaluation.clone(),
            &recipe.diffusion.clone(),
            recipe.seed,
            Place::Run {
                folder,
                recipe: Box::new(recipe),
                saved,
                weights,
            },
        ))
    }

    fn of_file(args: &SampleArgs) -> Result<Self, Error> {
        let recipe = match &args.recipe {
            Some(path) => Some(Box::new(recipe::load(path, &args.set)?.base()?)),
            None => None,
        };
        let known = Known {
            weights: args.weights,
            convention: args.convention.map(Into::into),
            heads: args.heads,
            recipe: recipe.as_deref(),
        };
        let network = Box::new(BareNetwork::open(&args.target, known)?);
        let (evaluation, diffusion, seed) = match &recipe {
            Some(recipe) => (recipe.evaluation.clone(), recipe.diffusion.clone(), recipe.seed),
            None => (EvaluationRecipe::default(), network.diffusion(), 0),
        };
        let vae = args.vae.clone();
        Ok(Self::new(
            &evaluation,
            &diffusion,
            seed,
            Place::File { network, recipe, vae },
        ))
    }

    fn new(evaluation: &EvaluationRecipe, diffusion: &DiffusionRecipe, seed: u64, place: Place) -> Self {
        let (step, file) = match &place {
            Place::Run { saved, weights, .. } => (Some(saved.step), saved.file(*weights)),
            Place::File { network, .. } => (network.step(), network.file().to_owned()),
        };
        Self {
            drawing: Drawing {
                sampler: evaluation.sampler.clone(),
                path: diffusion.path,
                prediction: diffusion.prediction,
                seed,
                batch: BATCH,
            },
            count: evaluation.samples,
            columns: evaluation.columns,
            label_dropout: diffusion.label_dropout,
            step,
            file,
            place,
        }
    }

    /// The folder of its grids, where none is named.
    ///
    /// # Errors
    /// A run that cannot be written into.
    pub fn out(&self) -> Result<PathBuf, Error> {
        match &self.place {
            Place::Run { folder, .. } => check_writable(folder.path()).map(|()| folder.samples()),
            Place::File { .. } => Ok("samples".into()),
        }
    }

    /// Its data; of a file without a recipe what stands for them.
    ///
    /// # Errors
    /// Data that cannot be read, or are not those of the network.
    pub fn dataset(&self, device: &Device) -> Result<Dataset, Error> {
        match &self.place {
            Place::Run { folder, recipe, .. } => {
                let dataset = sextant_train::dataset(&recipe.data, device)?;
                check_data(folder, &dataset)?;
                Ok(dataset)
            }
            Place::File {
                network,
                recipe: Some(recipe),
                ..
            } => {
                let dataset = sextant_train::dataset(&recipe.data, device)?;
                network.fits(&dataset, &recipe.diffusion)?;
                Ok(dataset)
            }
            Place::File { network, vae, .. } => Ok(network.without_data(vae.as_deref(), device)?),
        }
    }

    /// Reads the network of `target`, as the command line names it.
    ///
    /// # Errors
    /// Weights that cannot be read or do not fit the recipe.
    pub fn network(&mut self, target: &Path, dataset: &Dataset, device: &Device) -> Result<Sit, Error> {
        match &mut self.place {
            Place::Run {
                folder,
                recipe,
                saved,
                weights,
            } => {
                let network = trained(recipe, dataset, saved, *weights, device);
                let of_checkpoint = |saved: &Path| command_line::own_of(target, saved);
                Ok(network.map_err(|error| explained_to(error, folder, recipe, of_checkpoint))?)
            }
            Place::File { network, .. } => Ok(network.network(device)?),
        }
    }

    /// Warnings about samples that `sampler`, changed by the arguments, draws.
    pub fn warnings(&self, sampler: &SamplerConfig, args: &SampleArgs) -> Vec<Warning> {
        let recipe = match &self.place {
            Place::Run { recipe, .. } => Some(recipe),
            Place::File { recipe, .. } => recipe.as_ref(),
        };
        let scaled_by = args.cfg.map_or("evaluation.sampler.cfg_scale", |_| "--cfg");
        let times = [
            args.guidance_low.map(|_| "--guidance-low"),
            args.guidance_high.map(|_| "--guidance-high"),
        ];
        let times: Vec<&str> = times.into_iter().flatten().collect();
        of_sampler(recipe.map(Box::as_ref), sampler, scaled_by, &times)
    }

    /// Name of the weights that are drawn with; none where they have no name in their file.
    pub fn weights(&self) -> Option<Weights> {
        match &self.place {
            Place::Run { weights, .. } => Some(*weights),
            Place::File { network, .. } => network.weights(),
        }
    }

    /// The network's origin in words.
    pub fn origin(&self) -> String {
        let weights = self.weights().map_or("weights".into(), |weights| weights.to_string());
        match self.step {
            Some(step) => format!("{weights} after step {step}"),
            None => weights,
        }
    }

    /// The file, where it is no run's.
    pub fn identity(&self) -> Option<&FileIdentity> {
        match &self.place {
            Place::Run { .. } => None,
            Place::File { network, .. } => Some(network.identity()),
        }
    }

    /// The settings by which samples of a file are drawn, in words: nobody has written a recipe of it.
    pub fn said(&self, drawing: &Drawing) -> Option<String> {
        let Place::File { network, recipe, .. } = &self.place else {
            return None;
        };
        let source = match (recipe, network.says_its_diffusion()) {
            (Some(_), _) => "by the recipe",
            (None, true) => "by the file",
            (None, false) => "as published, since the file does not say all of it",
        };
        let sampler = &drawing.sampler;
        Some(format!(
            "{}: {}; it predicts {} on the {} path, {source}; {}, {} steps, guidance scale {} for t in [{}, {}], seed {}",
            self.file.display(),
            self.origin(),
            words(drawing.prediction),
            words(drawing.path),
            words(sampler.method),
            sampler.steps,
            sampler.cfg_scale,
            sampler.guidance_low,
            sampler.guidance_high,
            drawing.seed
        ))
    }
}

fn words(name: impl std::fmt::Debug) -> String {
    format!("{name:?}").to_lowercase()
}
