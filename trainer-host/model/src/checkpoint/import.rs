//! A network of a file, in Sextant's convention: what it is, whether it fits, and its tensors.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::TensorData;
use sextant_recipe::{Convention, DiffusionRecipe, Import, Path, Prediction, Take, Weights};

use super::convention::{self, LAST};
use super::error::{CheckpointError, Fault, NotFinite};
use super::file::WeightsFile;
use super::geometry::Geometry;
use crate::network::shapes::{Shapes, differences};
use crate::network::{Difference, Sit, SitConfig, WeightsError, apply, collect};

/// Parts of the published trainers that are dropped after the training.
const PROJECTORS: &str = "projectors.";

/// A network in a file, whose tensors are not read yet.
pub struct Imported {
    file: WeightsFile,
    weights: Option<Weights>,
    /// Its convention in the file.
    pub convention: Convention,
    /// Its geometry in the file.
    pub geometry: Geometry,
    /// The quantity that it predicts, where the file says so.
    pub prediction: Option<Prediction>,
    /// The path that it was trained on, where the file says so.
    pub path: Option<Path>,
    /// Names and shapes of what it gives to a network here.
    shapes: Shapes,
    /// Names and shapes of its projectors, which are left out.
    pub projectors: Shapes,
}

impl Imported {
    /// Opens the file that a recipe names.
    ///
    /// # Errors
    /// A file that cannot be read; weights that it has not; tensors that are no SiT or DiT.
    pub fn open(import: &Import) -> Result<Self, CheckpointError> {
        let file = WeightsFile::open(import.file())?;
        Self::of(file, import.within(), import.convention)
    }

    /// A network of an open file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(file: WeightsFile, weights: Option<Weights>, asked: Option<Convention>) -> Result<Self, CheckpointError> {
        let read = || {
            let all = file.shapes(weights)?.into_iter();
            let (projectors, mut shapes): (Shapes, Shapes) = all.partition(|(name, _)| name.starts_with(PROJECTORS));
            let geometry = Geometry::of(&shapes, file.args())?;
            let convention = convention::of(&geometry, file.args(), asked)?;
            let (prediction, path) = match convention {
                Convention::Dit => (None, None),
                _ => convention::diffusion(file.args())?,
            };
            match convention {
                Convention::Repa => {}
                Convention::Sit => {
                    for name in LAST {
                        let rows = shapes.get_mut(name).and_then(|shape| shape.first_mut());
                        // Others are left as they are, for those who compare shapes to name.
                        if let Some(rows) = rows.filter(|rows| rows.is_multiple_of(geometry.outputs_per_channel)) {
                            *rows /= geometry.outputs_per_channel;
                        }
                    }
                }
                Convention::Dit => shapes.retain(|name, _| is_trunk(name)),
            }
            Ok((convention, geometry, prediction, path, shapes, projectors))
        };
        match read() {
            Ok((convention, geometry, prediction, path, shapes, projectors)) => Ok(Self {
                file,
                weights,
                convention,
                geometry,
                prediction,
                path,
                shapes,
                projectors,
            }),
            Err(fault) => Err(file.error(fault)),
        }
    }

    /// The file.
    pub fn file(&self) -> &WeightsFile {
        &self.file
    }

    /// Number of scalars that it gives to a network here.
    pub fn parameter_count(&self) -> usize {
        self.shapes.values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Number of tensors that it gives to a network here.
    pub fn tensor_count(&self) -> usize {
        self.shapes.len()
    }

    /// The geometry of the whole network, by its own number of heads or else by `num_heads`.
    ///
    /// # Errors
    /// No number of heads, or another one than its own; a geometry that no network has; tensors that are missing or too many.
    pub fn config(&self, num_heads: Option<usize>) -> Result<SitConfig, CheckpointError> {
        let heads = match (self.geometry.num_heads, num_heads) {
            (Some(own), Some(given)) if own != given => {
                Err(Fault::Network(format!("its network has {own} attention heads, and {given} are asked for")))
            }
            (own, given) => own.or(given).ok_or_else(|| {
                Fault::Network(
                    "no shape tells the number of attention heads, nothing in the file does, and it is of no published size: give \
                     model.num_heads in a recipe, or --heads on the command line"
                        .into(),
                )
            }),
        };
        let config = heads.map(|heads| self.geometry.config(heads)).and_then(|config| {
            config.validate().map_err(|error| Fault::Network(error.0))?;
            Ok(config)
        });
        let config = config.map_err(|fault| self.file.error(fault))?;
        self.fits(&config, Take::All)?;
        Ok(config)
    }

    /// Checks the network against one that is to take its weights; answers what stays as it was drawn, or is left out.
    ///
    /// # Errors
    /// All tensors that are missing, unexpected or of another shape; what only a trunk cannot be.
    pub fn fits(&self, config: &SitConfig, take: Take) -> Result<Vec<Difference>, CheckpointError> {
        let refused = |fault| Err(self.file.error(fault));
        if self.convention == Convention::Dit && take == Take::All {
            return refused(Fault::Network(
                "it is a DiT, which predicts the noise of another diffusion at one of a thousand steps: its blocks, patches, positions \
                 and labels can begin a training (take = \"fits\"), but it can neither be sampled from nor teach here"
                    .into(),
            ));
        }
        let own = self.geometry.num_heads.filter(|heads| *heads != config.num_heads);
        if let Some(heads) = own.filter(|_| self.geometry.hidden_size == config.hidden_size) {
            return refused(Fault::Network(format!(
                "its network has {heads} attention heads, and model.num_heads is {}",
                config.num_heads
            )));
        }
        let differences = differences(&self.shapes, &config.parameter_shapes());
        match take {
            Take::All => match WeightsError::of(differences) {
                Ok(()) => Ok(Vec::new()),
                Err(error) => refused(Fault::Weights(error)),
            },
            Take::Fits if !self.taken(config).any(|name| name.starts_with("blocks.")) => {
                refused(Fault::Network(format!(
                    "none of its blocks fits: it has width {}, the network here {}",
                    self.geometry.hidden_size, config.hidden_size
                )))
            }
            Take::Fits => Ok(differences),
        }
    }

    /// Checks that it was trained for this diffusion, as far as the file says.
    ///
    /// # Errors
    /// Another path or prediction.
    pub fn matches(&self, diffusion: &DiffusionRecipe) -> Result<(), CheckpointError> {
        let path = self.path.filter(|path| *path != diffusion.path);
        let prediction = self.prediction.filter(|prediction| *prediction != diffusion.prediction);
        let fault = match (path, prediction) {
            (Some(path), _) => format!(
                "it was trained on the path {path:?}, and diffusion.path is {:?}",
                diffusion.path
            ),
            (_, Some(found)) => format!(
                "it predicts {found:?}, and diffusion.prediction is {:?}",
                diffusion.prediction
            ),
            _ => return Ok(()),
        };
        Err(self.file.error(Fault::Network(fault)))
    }

    /// Names of the tensors that a network of this geometry takes.
    fn taken(&self, config: &SitConfig) -> impl Iterator<Item = &str> {
        let wanted = config.parameter_shapes();
        let fits = move |(name, shape): &(&String, &Vec<usize>)| wanted.get(*name) == Some(*shape);
        self.shapes.iter().filter(fits).map(|(name, _)| name.as_str())
    }

    /// Checks the values that a network of this geometry takes. They are read one tensor after another, and not kept.
    ///
    /// # Errors
    /// Values that cannot be read; all tensors with values that are no numbers.
    pub fn are_numbers(&mut self, config: &SitConfig) -> Result<(), CheckpointError> {
        let names: Vec<String> = self.taken(config).map(str::to_owned).collect();
        let mut faults = Vec::new();
        for name in names {
            let read = self.file.read(self.weights, |other| other == name);
            let tensor = read.map_err(|fault| self.file.error(fault))?;
            faults.extend(NotFinite::of(&tensor));
        }
        self.refused(faults)
    }

    fn refused(&self, faults: Vec<NotFinite>) -> Result<(), CheckpointError> {
        match faults.is_empty() {
            true => Ok(()),
            false => Err(self.file.error(Fault::NotFinite(faults))),
        }
    }

    /// The tensors that a network of this geometry takes, in Sextant's convention.
    ///
    /// # Errors
    /// Values that cannot be read, or are no numbers.
    pub fn tensors(&mut self, config: &SitConfig) -> Result<BTreeMap<String, TensorData>, CheckpointError> {
        let names: BTreeSet<String> = self.taken(config).map(str::to_owned).collect();
        let read = self.file.read(self.weights, |name| names.contains(name));
        let mut tensors = read.map_err(|fault| self.file.error(fault))?;
        self.refused(NotFinite::of(&tensors).collect())?;
        if self.convention == Convention::Sit {
            let prediction = self.prediction.unwrap_or(Prediction::Velocity);
            convention::reverse(&mut tensors, &self.geometry, prediction);
        }
        Ok(tensors)
    }

    /// `network` with the weights that it takes of the file.
    ///
    /// # Errors
    /// As [`fits`](Self::fits) and [`tensors`](Self::tensors).
    pub fn load(&mut self, network: Sit, take: Take) -> Result<Sit, CheckpointError> {
        let config = network.config().clone();
        self.fits(&config, take)?;
        let mut tensors = match take {
            Take::All => BTreeMap::new(),
            Take::Fits => collect(&network),
        };
        tensors.extend(self.tensors(&config)?);
        apply(network, &tensors).map_err(|error| self.file.error(Fault::Weights(error)))
    }
}

/// True for what means the same in a DiT: all but time and outputs.
fn is_trunk(name: &str) -> bool {
    !name.starts_with("t_embedder.") && !name.starts_with("final_layer.")
}

/// The metadata of a file of this network: its geometry, from which it can be read again, and how long it was trained.
pub fn metadata(config: &SitConfig, step: Option<u64>) -> BTreeMap<String, String> {
    let json = serde_json::json!({ "network": config, "step": step });
    BTreeMap::from([("json".to_owned(), json.to_string())])
}

impl std::fmt::Debug for Imported {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{:?} network of {}", self.convention, self.file.path().display())
    }
}
