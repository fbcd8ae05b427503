//! An autoencoder: both halves, their configuration, their files.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use sextant_data::Stream;

use super::config::{AutoencoderConfig, PIXELS};
use super::error::AutoencoderError;
use super::network::{Decoder, Encoder};
use super::train::Origin;
use crate::hub::{Content, FolderError, Layout};
use crate::network::naming::name_parameters;
use crate::network::tensor_file::replace;
use crate::network::unfilled::{convolution, drawn};
use crate::network::{apply, collect, fingerprint, not_finite, write_safetensors};

/// The layout of its folder.
pub static LAYOUT: Layout = Layout {
    network: "an autoencoder",
    class: "an AutoencoderKL",
    library: "diffusers",
    weights: "diffusion_pytorch_model.safetensors",
};

/// The autoencoder that ships inside the binary, its configuration and its weights: `configs/vae.toml`, trained. At most 2 MB.
pub(super) const EMBEDDED: [&[u8]; 2] = [
    include_bytes!("../../../assets/vae/config.json"),
    include_bytes!("../../../assets/vae/diffusion_pytorch_model.safetensors"),
];

/// The entry of the weights' metadata that holds the [`Origin`].
const ORIGIN: &str = "sextant";

/// Logarithms of variances are kept within these, as diffusers does.
const LOG_VARIANCE: [f64; 2] = [-30.0, 20.0];

/// diffusers' `AutoencoderKL`. A module: what trains it gives it to an optimiser.
#[derive(Module, Debug)]
pub struct Autoencoder {
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    #[module(skip)]
    config: AutoencoderConfig,
    /// Of what [`train_autoencoder`](super::train_autoencoder) made.
    #[module(skip)]
    origin: Option<Origin>,
}

/// A normal distribution of latents z, independent in every place and channel.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[N, C, h, w]`
    pub mean: Tensor<4>,
    /// Standard deviation, `[N, C, h, w]`.
    pub std: Tensor<4>,
}

impl Autoencoder {
    /// Reads the folder `config.json` and `diffusion_pytorch_model.safetensors` lie in, of any float type; weights are f32 here.
    ///
    /// On a device with autodiff it can be trained.
    ///
    /// # Errors
    /// Files that cannot be read, a configuration of something else, tensors that do not fit it: all of them.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, AutoencoderError> {
        Self::assemble(folder, LAYOUT.read(folder, AutoencoderConfig::validate)?, device)
    }

    /// The network that a recipe's `data.vae` names: `embedded`, a folder, or `hf:owner/name`.
    ///
    /// # Errors
    /// As [`Autoencoder::load`]; a name of the hub that is not found.
    pub fn named(name: &str, device: &Device) -> Result<Self, AutoencoderError> {
        if name != "embedded" {
            return Self::load(&LAYOUT.locate(name)?.path, device);
        }
        let folder = Path::new(name);
        let [config, weights] = EMBEDDED;
        let content = LAYOUT.parse(folder, config, weights, AutoencoderConfig::validate)?;
        Self::assemble(folder, content, device)
    }

    fn assemble(folder: &Path, content: Content<AutoencoderConfig>, device: &Device) -> Result<Self, AutoencoderError> {
        let origin = content.metadata.get(ORIGIN).map(|json| serde_json::from_str(json));
        let origin = origin.transpose().map_err(|source| FolderError::Config {
            path: folder.join(LAYOUT.weights),
            reason: format!("its metadata's `{ORIGIN}` cannot be read: {source}"),
        })?;
        let tensors = content.tensors.into_iter().map(|(name, data)| renamed(name, data));
        let network = apply(Self::unfilled(&content.config, device), &tensors.collect());
        let network = network.map_err(|source| LAYOUT.misfit(folder, source))?;
        Ok(Self { origin, ..network })
    }

    /// A network with PyTorch's own initialisation, as diffusers begins: a function of configuration and seed alone.
    ///
    /// # Errors
    /// A configuration that cannot be built: its first fault.
    pub fn init(config: &AutoencoderConfig, seed: u64, device: &Device) -> Result<Self, String> {
        config.validate()?;
        let mut rng = Stream::new(seed, "autoencoder/init").at(&[]);
        Ok(drawn(Self::unfilled(config, device), &mut rng))
    }

    fn unfilled(config: &AutoencoderConfig, device: &Device) -> Self {
        let (latents, moments) = (config.latent_channels, 2 * config.latent_channels);
        let quant = |wanted: bool, channels| wanted.then(|| convolution([channels; 2], 1, device));
        let network = Self {
            encoder: Encoder::new(config, device),
            decoder: Decoder::new(config, device),
            quant_conv: quant(config.use_quant_conv, moments),
            post_quant_conv: quant(config.use_post_quant_conv, latents),
            config: config.spelt_out(),
            origin: None,
        };
        name_parameters(network, "autoencoder")
    }

    /// Writes the folder's two files, in f32, each whole or not at all; weights that are not numbers not at all.
    ///
    /// # Errors
    /// A folder that cannot be made or written; weights that are not finite.
    pub fn save(&self, folder: &Path) -> Result<(), AutoencoderError> {
        let tensors = collect(self);
        if let Some((name, value)) = not_finite(&tensors) {
            let name = name.to_owned();
            return Err(AutoencoderError::Diverged { name, value });
        }
        std::fs::create_dir_all(folder).map_err(|source| LAYOUT.io(folder, source))?;
        // PyTorch's loaders ask what framework a file was written for.
        let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        if let Some(origin) = &self.origin {
            let json = serde_json::to_string(origin).map_err(|source| LAYOUT.json(folder, source))?;
            metadata.insert(ORIGIN.to_owned(), json);
        }
        write_safetensors(folder.join(LAYOUT.weights), &tensors, &metadata).map_err(FolderError::from)?;
        let path = folder.join(Layout::CONFIG);
        let mut text = serde_json::to_vec_pretty(&self.config).map_err(|source| LAYOUT.json(&path, source))?;
        text.push(b'\n');
        Ok(replace(&path, &text).map_err(|source| LAYOUT.io(&path, source))?)
    }

    /// The distribution of the latents of images `[N, 3, H, W]` in [-1, 1].
    ///
    /// The latents are `[N, C, H / f, W / f]`, rounded down, with f the [`factor`](AutoencoderConfig::factor); each row is of
    /// its own image alone. Panics if the images have other channels than the configuration says, or a side below f.
    pub fn encode(&self, images: Tensor<4>) -> Moments {
        let [_, _, height, width] = images.dims();
        let moments = in_parts(images, height * width, |part| {
            let hidden = self.encoder.forward(part);
            match &self.quant_conv {
                Some(convolution) => convolution.forward(hidden),
                None => hidden,
            }
        });
        let channels = self.config.latent_channels;
        let [lowest, highest] = LOG_VARIANCE;
        let log_variance = moments.clone().narrow(1, channels, channels).clamp(lowest, highest);
        Moments {
            mean: moments.narrow(1, 0, channels),
            std: (log_variance * 0.5).exp(),
        }
    }

    /// Images `[N, 3, f h, f w]`, about in [-1, 1], of the network's own latents z `[N, C, h, w]`: those that a diffusion
    /// transformer answers go through [`Autoencoder::unscaled`] first.
    ///
    /// Panics if they have other channels than the configuration says.
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = latents.dims();
        let pixels = height * width * self.config.factor().pow(2);
        in_parts(latents, pixels, |part| {
            let z = match &self.post_quant_conv {
                Some(convolution) => convolution.forward(part),
                None => part,
            };
            self.decoder.forward(z)
        })
    }

    /// Latents as a diffusion transformer is trained on them, `(z - shift factor) * scaling factor`.
    pub fn scaled(&self, z: Tensor<4>) -> Tensor<4> {
        (z - self.config.shift_factor.unwrap_or(0.0)) * self.config.scaling_factor
    }

    /// z of what a diffusion transformer answers, `x / scaling factor + shift factor`.
    pub fn unscaled(&self, latents: Tensor<4>) -> Tensor<4> {
        latents / self.config.scaling_factor + self.config.shift_factor.unwrap_or(0.0)
    }

    /// Geometry, and the factor between z and what is trained on.
    pub fn config(&self) -> &AutoencoderConfig {
        &self.config
    }

    /// Bytes of its parameters.
    pub fn parameter_bytes(&self) -> u64 {
        4 * self.num_params() as u64
    }

    /// The recipe and the data behind the weights, where `sextant vae train` made them.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The same network after its training, with the factor that it comes to.
    pub(super) fn trained(mut self, origin: Origin, scaling_factor: f64) -> Self {
        self.config.scaling_factor = scaling_factor;
        self.origin = Some(origin);
        self
    }

    /// SHA-256 (hex) of configuration and weights: equal for equal networks, wherever their files lie.
    pub fn fingerprint(&self) -> String {
        let config = &self.config;
        // What shapes of tensors do not tell.
        let architecture = format!(
            "AutoencoderKL, {} groups, scale {}, shift {:?}",
            config.norm_num_groups, config.scaling_factor, config.shift_factor
        );
        fingerprint(&architecture, &collect(self))
    }
}

/// `map` of as many rows of `input` together as [`PIXELS`] allows, each of `pixels`.
fn in_parts(input: Tensor<4>, pixels: usize, map: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    let count = input.dims()[0];
    let together = (PIXELS / pixels.max(1)).max(1);
    if count <= together {
        return map(input);
    }
    let starts = (0..count).step_by(together);
    let parts = starts.map(|start| map(input.clone().narrow(0, start, together.min(count - start))));
    Tensor::cat(parts.collect(), 0)
}

/// Attention's maps under the names of today's diffusers, as matrices: older files have other names, and some convolutions of
/// 1 x 1.
fn renamed(name: String, data: TensorData) -> (String, TensorData) {
    const NAMES: [(&str, &str); 4] = [
        ("query", "to_q"),
        ("key", "to_k"),
        ("value", "to_v"),
        ("proj_attn", "to_out.0"),
    ];
    let mut parts: Vec<&str> = name.split('.').collect();
    let Some(at) = parts.iter().position(|part| *part == "attentions").map(|at| at + 2) else {
        return (name, data);
    };
    if let Some(part) = parts.get_mut(at)
        && let Some((_, today)) = NAMES.iter().find(|(old, _)| old == part)
    {
        *part = today;
    }
    let data = match data.shape().to_vec()[..] {
        [outputs, inputs, 1, 1] => {
            TensorData::from_bytes_vec(data.as_bytes().to_vec(), [outputs, inputs], data.dtype())
        }
        _ => data,
    };
    (parts.join("."), data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::referee::Referee;
    use burn::tensor::Distribution;

    const FIXTURE: &[u8] = include_bytes!("../../../../tests/fixtures/autoencoder_kl.safetensors");

    fn referee() -> Referee {
        Referee::read(FIXTURE, &LAYOUT)
    }

    fn load(referee: &Referee) -> Result<Autoencoder, AutoencoderError> {
        Autoencoder::load(referee.folder.path(), &Device::flex())
    }

    #[test]
    fn should_encode_and_decode_as_diffusers_does() {
        let referee = referee();
        let autoencoder = load(&referee).unwrap();
        let Moments { mean, std } = autoencoder.encode(referee.tensor("in.image"));
        referee.agrees(mean.clone(), "out.mean");
        referee.agrees(std.clone(), "out.std");
        referee.agrees(Tensor::cat(vec![mean, std], 1), "out.moments_mean_std");
        referee.agrees(autoencoder.decode(referee.tensor("out.mean")), "out.decoded");
    }

    #[test]
    fn should_know_the_names_of_older_files() {
        let referee = referee();
        let wanted = load(&referee).unwrap().fingerprint();
        let old = referee.model().into_iter().map(|(name, data)| {
            let names = [
                ("to_q", "query"),
                ("to_k", "key"),
                ("to_v", "value"),
                ("to_out.0", "proj_attn"),
            ];
            let old = names
                .iter()
                .fold(name.clone(), |name, (today, old)| name.replace(today, old));
            match data.shape().to_vec()[..] {
                [outputs, inputs] if old != name => {
                    let values = data.iter::<f32>().collect::<Vec<_>>();
                    (old, TensorData::new(values, [outputs, inputs, 1, 1]))
                }
                _ => (old, data),
            }
        });
        referee.write(&old.collect());
        assert_eq!(load(&referee).unwrap().fingerprint(), wanted);
    }

    #[test]
    fn should_come_back_from_its_folder_bit_for_bit() {
        let config = AutoencoderConfig {
            block_out_channels: vec![8, 12],
            norm_num_groups: 2,
            latent_channels: 2,
            shift_factor: Some(0.5),
            mid_block_add_attention: false,
            use_quant_conv: false,
            ..AutoencoderConfig::default()
        };
        let device = Device::flex();
        let made = Autoencoder::init(&config, 3, &device).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/vae");
        made.save(&path).unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2, "a sibling was left");
        let read = Autoencoder::load(&path, &device).unwrap();
        assert_eq!(read.config(), made.config());
        assert_eq!(collect(&read), collect(&made));
        let names = ["_class_name", "down_block_types", "up_block_types"];
        let text = std::fs::read_to_string(path.join(Layout::CONFIG)).unwrap();
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
        assert_ne!(
            made.fingerprint(),
            Autoencoder::init(&config, 4, &device).unwrap().fingerprint()
        );
    }

    #[test]
    fn should_begin_with_bounded_weights_and_norms_that_do_nothing() {
        let config = AutoencoderConfig {
            block_out_channels: vec![32],
            ..AutoencoderConfig::default()
        };
        let tensors = collect(&Autoencoder::init(&config, 0, &Device::flex()).unwrap());
        let values = |name: &str| tensors[name].iter::<f32>().collect::<Vec<_>>();
        let bound = (27f32).sqrt().recip();
        for name in ["encoder.conv_in.weight", "encoder.conv_in.bias"] {
            let largest = values(name).into_iter().fold(0f32, |most, value| most.max(value.abs()));
            assert!(largest <= bound && largest > 0.8 * bound, "{name}: {largest}, {bound}");
        }
        assert!(values("decoder.conv_norm_out.weight").iter().all(|&value| value == 1.0));
        assert!(values("decoder.conv_norm_out.bias").iter().all(|&value| value == 0.0));
    }

    #[test]
    fn should_treat_many_images_in_parts_and_each_alone() {
        let autoencoder = load(&referee()).unwrap();
        let images = Tensor::<4>::random([9, 3, 256, 256], Distribution::Uniform(-1.0, 1.0), &Device::flex());
        let together = autoencoder.encode(images.clone()).mean;
        assert_eq!(together.dims(), [9, 4, 64, 64]);
        let alone = autoencoder.encode(images.narrow(0, 8, 1)).mean;
        let gap = (together.narrow(0, 8, 1) - alone).abs().max().into_scalar::<f32>();
        assert!(gap < 1e-4, "{gap}");
    }

    #[test]
    fn should_have_a_gradient_in_every_parameter() {
        let device = Device::flex().autodiff();
        let autoencoder = Autoencoder::load(referee().folder.path(), &device).unwrap();
        let image = Tensor::<4>::random([1, 3, 16, 16], Distribution::Uniform(-1.0, 1.0), &device);
        let Moments { mean, std } = autoencoder.encode(image.clone());
        let loss = (autoencoder.decode(mean + std.clone()) - image).square().mean() + std.mean();
        let gradients = loss.backward();
        let gradients = burn::optim::GradientsParams::from_grads(gradients, &autoencoder);
        assert_eq!(gradients.len(), collect(&autoencoder).len());
    }

    #[test]
    fn should_go_between_the_two_scales_of_latents() {
        let config = AutoencoderConfig {
            shift_factor: Some(0.1159),
            scaling_factor: 0.3611,
            norm_num_groups: 4,
            ..AutoencoderConfig::default()
        };
        let autoencoder = Autoencoder::init(&config, 0, &Device::flex()).unwrap();
        let z = Tensor::<4>::ones([1, 4, 1, 1], &Device::flex());
        let x = autoencoder.scaled(z.clone());
        let value = x.clone().max().into_scalar::<f32>();
        assert!((value - (1.0 - 0.1159) * 0.3611).abs() < 1e-6);
        assert!((autoencoder.unscaled(x) - z).abs().max().into_scalar::<f32>() < 1e-6);
    }

    #[test]
    fn should_name_the_file_and_all_that_is_wrong_with_it() {
        let referee = referee();
        let config = referee.folder.path().join(Layout::CONFIG);
        let text = std::fs::read_to_string(&config).unwrap();
        let refused = |parts: &[&str]| {
            let message = load(&referee).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{part} in {message}");
            }
        };
        for (from, to, parts) in [
            ("\"silu\"", "\"relu\"", ["act_fn", "relu", "silu"]),
            (
                "\"norm_num_groups\":4",
                "\"norm_num_groups\":5",
                ["norm_num_groups is 5", "has 8", "multiple"],
            ),
            (
                "\"layers_per_block\":1",
                "\"layers_per_block\":0",
                ["layers_per_block = 0", "1 to", "config.json"],
            ),
            ("[8,16,16]", "[]", ["block_out_channels", "0 levels", "3 names"]),
            (
                "\"latents_std\":null",
                "\"latents_std\":[1.0]",
                ["latents_std", "not supported", "config.json"],
            ),
            (
                "{",
                "{\"_class_name\":\"VQModel\",",
                ["VQModel", "AutoencoderKL", "config.json"],
            ),
            ("[8,16,16]", "8", ["config.json", "no configuration", "sequence"]),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            std::fs::write(&config, text.replacen(from, to, 1)).unwrap();
            refused(&parts);
        }
        std::fs::write(
            &config,
            text.replace("\"use_quant_conv\":true", "\"use_quant_conv\":false"),
        )
        .unwrap();
        let mut tensors = referee.model();
        tensors.remove("decoder.conv_in.bias");
        referee.write(&tensors);
        refused(&[
            "3 tensors",
            "`decoder.conv_in.bias` [16] is missing",
            "`quant_conv.weight`",
            LAYOUT.weights,
        ]);
        std::fs::remove_file(&config).unwrap();
        refused(&["config.json", "No such file", LAYOUT.weights]);
    }
}
