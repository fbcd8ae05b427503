//! Networks that lie in a file by themselves, such as a published checkpoint: to be drawn from and measured without a run.

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;
use sextant_data::{Codec, Dataset, Standardisation, Stream};
use sextant_model::autoencoder::Autoencoder;
use sextant_model::checkpoint::{CheckpointError, Fault, Imported, WeightsFile};
use sextant_model::{Sit, SitConfig, frozen_copy};
use sextant_recipe::{Convention, DiffusionRecipe, Recipe, Take, Weights};
use sextant_records::FileIdentity;

use super::Error;

/// A network of a file, whose tensors are not read yet.
pub struct BareNetwork {
    imported: Imported,
    config: SitConfig,
    weights: Option<Weights>,
    identity: FileIdentity,
}

/// Knowledge of a file beside its tensors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The weights of it that are meant.
    pub weights: Option<Weights>,
    /// Its convention.
    pub convention: Option<Convention>,
    /// Attention heads.
    pub heads: Option<usize>,
    /// A recipe of such a network, which is asked where nothing else tells the heads.
    pub recipe: Option<&'a Recipe>,
}

impl BareNetwork {
    /// Opens a file. Of its weights the moving average is meant where nothing else is said and it has one, as published samplers do it.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no network that is whole and can be sampled from.
    pub fn open(file: &Path, known: Known) -> Result<Self, Error> {
        let open = WeightsFile::open(file)?;
        let average = open.sets().flatten().find(|set| *set == Weights::Ema);
        let weights = known.weights.or(average);
        let imported = Imported::of(open, weights, known.convention)?;
        let heads = known.heads.or_else(|| heads_of(&imported, known.recipe?));
        Ok(Self {
            config: imported.config(heads.or(imported.geometry.num_heads))?,
            identity: FileIdentity::of(file)?,
            imported,
            weights,
        })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.imported.file().path()
    }

    /// Its name and its SHA-256.
    pub fn identity(&self) -> &FileIdentity {
        &self.identity
    }

    /// The weights of it that are meant; none where they have no name in it.
    pub fn weights(&self) -> Option<Weights> {
        self.weights
    }

    /// Optimiser steps that were done, where the file says so.
    pub fn step(&self) -> Option<u64> {
        self.imported.file().step()
    }

    /// The diffusion that the file says it was trained for; what it does not say is as published.
    pub fn diffusion(&self) -> DiffusionRecipe {
        let published = DiffusionRecipe::default();
        let dropout = ["cfg_prob", "class_dropout_prob"]
            .iter()
            .find_map(|key| self.imported.file().args().get(*key));
        DiffusionRecipe {
            path: self.imported.path.unwrap_or(published.path),
            prediction: self.imported.prediction.unwrap_or(published.prediction),
            label_dropout: dropout.and_then(Value::as_f64).unwrap_or(published.label_dropout),
            ..published
        }
    }

    /// True if the file says both what its network predicts and on which path it was trained.
    pub fn says_its_diffusion(&self) -> bool {
        self.imported.path.is_some() && self.imported.prediction.is_some()
    }

    /// Stands for data that are not here: classes are numbers, samples are latents of the autoencoder `vae`, or else pixels in [-1, 1].
    ///
    /// # Errors
    /// An autoencoder that cannot be read, or is of other latents; latents without one.
    pub fn without_data(&self, vae: Option<&str>, device: &Device) -> Result<Dataset, Error> {
        let SitConfig {
            in_channels,
            input_size,
            num_classes,
            ..
        } = self.config;
        let shape = [in_channels, input_size, input_size];
        match vae {
            Some(vae) => {
                let device = &device.clone().inner();
                let autoencoder = Autoencoder::named(vae, device)?;
                let scale = autoencoder.config().scaling_factor;
                let latents = Dataset::absent(shape, num_classes, Codec::Latents { scale });
                Ok(autoencoder.decoding(vae, latents, device)?)
            }
            None if in_channels == 3 => Ok(Dataset::absent(shape, num_classes, Codec::Pixels(Standardisation::RANGE))),
            None => Err(self.refused(format!(
                "it draws latents of {in_channels} channels, and pictures of them are made by the autoencoder that it was trained with: \
                 give --vae hf:stabilityai/sd-vae-ft-ema, or another, or a --recipe whose data.vae names it"
            ))),
        }
    }

    /// Checks that it is a network of these data and this diffusion, as far as the file says.
    ///
    /// # Errors
    /// Samples of another shape, another number of classes, another path or prediction.
    pub fn fits(&self, dataset: &Dataset, diffusion: &DiffusionRecipe) -> Result<(), Error> {
        self.imported.matches(diffusion)?;
        let (config, [channels, side, _]) = (&self.config, dataset.shape());
        let classes = dataset.class_names().len();
        let own = (config.in_channels, config.input_size, config.num_classes);
        match own == (channels, side, classes) {
            true => Ok(()),
            false => Err(self.refused(format!(
                "it is of samples of {} x {2} x {2} and of {1} classes, and the data of the recipe are {channels} x {side} x {side} of \
                 {classes} (data.classes says how many there are, where the labels do not show all)",
                config.in_channels, config.num_classes, config.input_size
            ))),
        }
    }

    /// Reads the network, ready to be drawn from and measured.
    ///
    /// # Errors
    /// Values that cannot be read, or are no numbers.
    pub fn network(&mut self, device: &Device) -> Result<Sit, Error> {
        let network = Sit::init(&self.config, &mut Stream::new(0, "replaced").at(&[]), device)?;
        Ok(self.imported.load(frozen_copy(&network), Take::All)?)
    }

    fn refused(&self, reason: String) -> Error {
        let fault = Box::new(Fault::Network(reason));
        let path = self.file().to_owned();
        CheckpointError { path, fault }.into()
    }
}

/// The heads of a recipe's network, where the file does not tell and the two are of one width.
fn heads_of(imported: &Imported, recipe: &Recipe) -> Option<usize> {
    let geometry = &imported.geometry;
    let (side, channels) = (geometry.input_size, geometry.in_channels);
    let config = SitConfig::of(&recipe.model, side, channels, geometry.num_classes).ok()?;
    (geometry.num_heads.is_none() && config.hidden_size == geometry.hidden_size).then_some(config.num_heads)
}
