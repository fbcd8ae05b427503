//! A trained encoder: network and provenance.

use super::error::EncoderError;
use super::network::Network;
use crate::network::{fingerprint, not_finite, parse_safetensors, write_safetensors};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use sextant_data::{Dataset, Field, Pictures, Standardisation, Stream};
use sextant_recipe::{EncoderConfig, KeyError, TargetEncoder};
use std::collections::BTreeMap;
use std::path::Path;

/// The encoder that ships inside the binary: `configs/encoder.toml`, trained. At most 2 MB.
pub const EMBEDDED_ENCODER: &[u8] = include_bytes!("../../../assets/encoder.safetensors");

/// The batch field that holds an encoder's features.
pub const FEATURES: &str = "features";

/// Images that are encoded together.
const CHUNK: usize = 64;

/// A frozen encoder, trained on the training part of the data: whose features a guidance source can align to, or a judge's.
#[derive(Debug, Clone)]
pub struct Encoder {
    pub(super) network: Network,
    origin: Origin,
}

/// Origin of an encoder; the `json` entry of its file's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The recipe, whole.
    pub recipe: EncoderConfig,
    /// [`Dataset::fingerprint`] of the data it was trained on.
    pub data: String,
    /// [`Dataset::split_fingerprint`] of that data.
    pub split: String,
    /// Standardisation of its pixels. Files from before this was kept lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardisation: Option<Standardisation>,
}

impl Origin {
    /// The result of training by `recipe` on `dataset`.
    pub(super) fn of(recipe: &EncoderConfig, dataset: &Dataset) -> Self {
        Self {
            recipe: recipe.clone(),
            data: dataset.fingerprint().into(),
            split: dataset.split_fingerprint(),
            standardisation: dataset.standardisation(),
        }
    }
}

impl Encoder {
    /// A frozen copy of `network` on `device`, trained on `dataset`.
    pub(super) fn new(
        network: &Network,
        recipe: &EncoderConfig,
        dataset: &Dataset,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        Self::assemble(Origin::of(recipe, dataset), &network.tensors(), "in memory", device)
    }

    /// An encoder with its initial weights: what training has to beat.
    pub fn untrained(config: &EncoderConfig, dataset: &Dataset, device: &Device) -> Result<Self, EncoderError> {
        config.validate()?;
        Self::new(&initial(config, device), config, dataset, device)
    }

    /// This encoder before its training: its recipe with no steps, and so its initial weights.
    fn reset(self, device: &Device) -> Self {
        let (mut origin, network) = (self.origin.clone(), initial(&self.origin.recipe, device));
        origin.recipe.training.steps = 0;
        Self { network, origin }
    }

    /// Reads a file that [`Encoder::save`] wrote.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, EncoderError> {
        let path = path.as_ref();
        let unread = |source| EncoderError::Io {
            path: path.into(),
            source,
        };
        let bytes = std::fs::read(path).map_err(unread)?;
        Self::from_bytes(&bytes, &path.display().to_string(), device)
    }

    /// Reads the bytes of such a file; `origin` names them in errors.
    pub fn from_bytes(bytes: &[u8], origin: &str, device: &Device) -> Result<Self, EncoderError> {
        let (tensors, metadata) = parse_safetensors(bytes, Path::new(origin))?;
        let format = |reason: String| EncoderError::Format {
            origin: origin.into(),
            reason,
        };
        let json = metadata.get("json").ok_or_else(|| {
            format("its metadata lacks the key `json`; was it written by `sextant encoder train`?".into())
        })?;
        let provenance: Origin =
            serde_json::from_str(json).map_err(|e| format(format!("its metadata cannot be read: {e}")))?;
        provenance.recipe.network.validate()?;
        if let Some((name, data)) = tensors.iter().find(|(_, data)| data.dtype() != DType::F32) {
            return Err(format(format!("tensor `{name}` holds {:?}, not F32", data.dtype())));
        }
        if let Some((name, value)) = not_finite(&tensors) {
            return Err(format(format!(
                "tensor `{name}` holds {value}; train one anew, or take another file"
            )));
        }
        Self::assemble(provenance, &tensors, origin, device)
    }

    fn assemble(
        origin: Origin,
        tensors: &BTreeMap<String, TensorData>,
        name: &str,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        // The draws are overwritten; they only give the network its shape.
        let mut rng = Stream::new(0, "encoder/shape").at(&[]);
        let network = Network::init(&origin.recipe.network, &mut rng, device);
        let network = network.with(tensors).map_err(|source| EncoderError::Weights {
            origin: name.into(),
            source,
        })?;
        Ok(Self { network, origin })
    }

    /// Writes weights and provenance as safetensors, whole or not at all; weights that are not numbers not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), EncoderError> {
        let tensors = self.network.tensors();
        if let Some((name, value)) = not_finite(&tensors) {
            let name = name.to_owned();
            return Err(EncoderError::Diverged { name, value });
        }
        let json = serde_json::to_string(&self.origin)
            .map_err(|e| KeyError(format!("the recipe cannot be written as JSON: {e}")))?;
        let metadata = BTreeMap::from([("json".to_owned(), json)]);
        Ok(write_safetensors(path, &tensors, &metadata)?)
    }

    /// True if it is what training by `recipe` on `dataset` ends in.
    pub fn is_of(&self, recipe: &EncoderConfig, dataset: &Dataset) -> bool {
        self.origin == Origin::of(recipe, dataset)
    }

    /// The recipe and the data behind the weights.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// SHA-256 (hex) of architecture and weights: equal for equal networks, wherever their files lie.
    pub fn fingerprint(&self) -> String {
        let network = &self.origin.recipe.network;
        // The family by its own name, and what shapes of tensors do not tell.
        let (family, input, patch) = (network.family, network.input, network.patch());
        let architecture = format!("{family:?}, input {input}, patch {patch}");
        fingerprint(&architecture, &self.network.tensors())
    }

    /// Number of scalars in its parameters.
    pub fn parameter_count(&self) -> usize {
        let tensors = self.network.tensors();
        tensors.values().map(TensorData::num_elements).sum()
    }

    /// `[T, E]`: shape of the features of one image.
    pub fn shape(&self) -> [usize; 2] {
        let network = &self.origin.recipe.network;
        [network.grid().pow(2), network.output]
    }

    /// Tokens `[B, T, E]`, row by row, of standardised images `[B, 3, H, W]`.
    ///
    /// Images of another size than `network.input` are resized (bilinear), as REPA resizes for DINOv2. Panics
    /// unless there are three channels.
    pub fn features(&self, images: Tensor<4>) -> Tensor<3> {
        let input = self.origin.recipe.network.input;
        let [_, _, height, width] = images.dims();
        if [height, width] == [input; 2] {
            return self.network.forward(images);
        }
        let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
        self.network
            .forward(interpolate(images, options.with_output_size([input; 2])))
    }

    /// Checks that it may see the images of `dataset`; answers how their pixels are standardised for it.
    ///
    /// # Errors
    /// A data set split differently from the one the encoder was trained on (it would have seen held-out images); latents whose images
    /// are not there.
    pub fn check(&self, dataset: &Dataset) -> Result<Standardisation, EncoderError> {
        let split = dataset.split_fingerprint();
        // What was never trained has seen nothing.
        if split != self.origin.split && self.origin.recipe.training.steps > 0 {
            let short = |hash: &str| hash.chars().take(12).collect();
            return Err(EncoderError::Split {
                trained: short(&self.origin.split),
                data: short(&split),
            });
        }
        dataset.source_side()?;
        let standardisation = dataset.standardisation().or(self.origin.standardisation);
        Ok(standardisation.unwrap_or(Standardisation::RANGE))
    }

    /// The features of every image of `dataset`, `[N, T, E]`, row-major.
    ///
    /// # Errors
    /// As [`Encoder::check`]; an image that cannot be read.
    pub fn encode(&self, dataset: &Dataset, device: &Device) -> Result<Vec<f32>, EncoderError> {
        let standardisation = self.check(dataset)?;
        let ids: Vec<usize> = (0..dataset.len()).collect();
        let mut values = Vec::with_capacity(ids.len() * self.shape().iter().product::<usize>());
        for chunk in ids.chunks(CHUNK) {
            let Pictures { side, pixels } = dataset.pictures(chunk)?;
            let standardised = standardisation.standardise(&pixels, [3, side, side]);
            let data = TensorData::new(standardised, [chunk.len(), 3, side, side]);
            let features = self.features(Tensor::from_data(data, device)).into_data();
            values.extend(features.iter::<f32>());
        }
        Ok(values)
    }

    /// Adds the features of every image to `dataset` as the batch field [`FEATURES`], `[T, E]` a sample.
    ///
    /// Errors: those of [`Encoder::encode`].
    pub fn add_features(&self, dataset: &mut Dataset, device: &Device) -> Result<(), EncoderError> {
        let values = self.encode(dataset, device)?;
        let shape = self.shape().to_vec();
        Ok(dataset.insert_field(FEATURES, Field { shape, values })?)
    }
}

/// A recipe's network with its initial weights.
fn initial(recipe: &EncoderConfig, device: &Device) -> Network {
    let mut rng = Stream::new(recipe.training.seed, "encoder/init").at(&[]);
    Network::init(&recipe.network, &mut rng, device)
}

/// The encoder that a recipe's `[encoder]` section names.
pub fn target_encoder(config: &TargetEncoder, device: &Device) -> Result<Encoder, EncoderError> {
    match config.weights.as_str() {
        "embedded" => Encoder::from_bytes(EMBEDDED_ENCODER, "embedded", device),
        "untrained" => Ok(Encoder::from_bytes(EMBEDDED_ENCODER, "embedded", device)?.reset(device)),
        path => Encoder::load(path, device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_data::load;
    use sextant_recipe::DataConfig;

    const RECIPE: &str = include_str!("../../../../configs/encoder.toml");

    fn embedded() -> Encoder {
        target_encoder(&TargetEncoder::default(), &Device::flex()).unwrap()
    }

    fn emoji(size: usize, split_seed: u64) -> Dataset {
        load(&DataConfig::emoji(size, split_seed)).unwrap()
    }

    #[test]
    fn should_ship_a_guide_of_this_recipe_and_this_data() {
        let recipe: EncoderConfig = toml::from_str(RECIPE).unwrap();
        recipe.validate().unwrap();
        let dataset = load(&recipe.data).unwrap();
        let encoder = embedded();
        assert_eq!(encoder.origin().recipe, recipe);
        assert_eq!(encoder.origin().data, dataset.fingerprint());
        assert!(EMBEDDED_ENCODER.len() <= 2_000_000);
    }

    #[test]
    fn should_add_finite_features_of_the_declared_shape_at_every_size() {
        for size in [32, 16] {
            let mut dataset = emoji(size, 0);
            embedded().add_features(&mut dataset, &Device::flex()).unwrap();
            assert_eq!(dataset.fields().collect::<Vec<_>>(), [(FEATURES, [64, 96].as_slice())]);
            let batch = dataset.batch(0, 0, 64).unwrap();
            assert!(batch.fields[FEATURES].values.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn should_be_its_untrained_self_by_name() {
        let (dataset, device) = (emoji(32, 0), Device::flex());
        let config = TargetEncoder {
            weights: "untrained".into(),
            ..TargetEncoder::default()
        };
        let named = target_encoder(&config, &device).unwrap();
        let wanted = Encoder::untrained(&embedded().origin().recipe, &dataset, &device).unwrap();
        assert_eq!(named.network.tensors(), wanted.network.tensors());
        assert_ne!(named.network.tensors(), embedded().network.tensors());
        // It has seen no image, so no split can be wrong.
        named.encode(&emoji(8, 1), &device).unwrap();
    }

    #[test]
    fn should_treat_each_image_alone() {
        let (dataset, device) = (emoji(32, 0), Device::flex());
        let encode = |ids: &[usize]| -> Vec<f32> {
            let data = TensorData::new(dataset.gather(ids).unwrap(), [ids.len(), 3, 32, 32]);
            let features = embedded().features(Tensor::from_data(data, &device));
            features.into_data().try_to_vec().unwrap()
        };
        let (alone, together) = (encode(&[7]), encode(&[3, 7, 900]));
        let same = &together[alone.len()..2 * alone.len()];
        assert!(alone.iter().zip(same).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn should_come_back_from_its_file_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encoder.safetensors");
        embedded().save(&path).unwrap();
        let again = Encoder::load(&path, &Device::flex()).unwrap();
        assert_eq!(again.origin(), embedded().origin());
        assert_eq!(again.network.tensors(), embedded().network.tensors());
        assert_eq!(again.fingerprint(), embedded().fingerprint());
    }

    #[test]
    fn should_refuse_data_that_is_split_differently() {
        let error = embedded().encode(&emoji(32, 1), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("data.split_seed"), "{error}");
    }

    #[test]
    fn should_say_what_is_wrong_with_a_file() {
        let device = Device::flex();
        let refused = |bytes: &[u8], part: &str| {
            let error = Encoder::from_bytes(bytes, "my.safetensors", &device).unwrap_err();
            assert!(error.to_string().contains(part), "{part} in {error}");
        };
        refused(b"no tensors here", "my.safetensors");
        let empty = [] as [(&str, safetensors::tensor::TensorView); 0];
        let bare = safetensors::serialize(empty, None);
        refused(&bare.unwrap(), "`json`");
        let json = serde_json::to_string(embedded().origin()).unwrap();
        let empty = [] as [(&str, safetensors::tensor::TensorView); 0];
        let hollow = safetensors::serialize(empty, Some([("json".to_owned(), json)].into()));
        refused(&hollow.unwrap(), "missing");
        let mut tensors = embedded().network.tensors();
        let (name, data) = tensors
            .first_key_value()
            .map(|(name, data)| (name.clone(), data.clone()))
            .unwrap();
        let mut values: Vec<f32> = data.iter::<f32>().collect();
        values[0] = f32::NAN;
        tensors.insert(name.clone(), TensorData::new(values, data.shape().to_vec()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.safetensors");
        let json = serde_json::to_string(embedded().origin()).unwrap();
        write_safetensors(&path, &tensors, &[("json".to_owned(), json)].into()).unwrap();
        let broken = Encoder::load(&path, &device).unwrap_err().to_string();
        assert!(
            broken.contains("broken.safetensors") && broken.contains(&format!("`{name}` holds NaN")),
            "{broken}"
        );
        let unsaved = Encoder {
            network: embedded().network.with(&tensors).unwrap(),
            origin: embedded().origin,
        };
        let path = folder.path().join("unsaved.safetensors");
        let refused = unsaved.save(&path).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("`{name}` became NaN")) && !path.exists(),
            "{refused}"
        );
        let absent = TargetEncoder {
            weights: "/nowhere/guide".into(),
            ..TargetEncoder::default()
        };
        let absent = target_encoder(&absent, &device).unwrap_err().to_string();
        assert!(absent.contains("/nowhere/guide"), "{absent}");
    }
}
