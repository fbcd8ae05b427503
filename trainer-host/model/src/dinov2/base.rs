//! The network and its file.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};

use super::block::Block;
use super::config::Dinov2Config;
use super::positions::Resampling;
use crate::hub::{Content, FolderError, Layout};
use crate::network::norm::LayerNorm;
use crate::network::unfilled::{layer_norm, padded, parameter};
use crate::network::{apply, collect, fingerprint};

/// The layout of its folder.
pub static LAYOUT: Layout = Layout {
    network: "a DINOv2",
    class: "a DINOv2",
    library: "transformers",
    weights: "model.safetensors",
};

/// Mean and standard deviation of ImageNet's channels, red, green, blue, for pixels in 0 to 1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A frozen DINOv2.
#[derive(Module, Debug)]
pub struct Dinov2 {
    embeddings: Embeddings,
    encoder: Encoder,
    layernorm: LayerNorm,
    #[module(skip)]
    config: Dinov2Config,
}

/// Tokens, and their places.
#[derive(Module, Debug)]
struct Embeddings {
    cls_token: Param<Tensor<3>>,
    /// `[1, registers, D]`
    register_tokens: Option<Param<Tensor<3>>>,
    patch_embeddings: Patches,
    /// `[1, 1 + native grid^2, D]`: of the class token, then of the patches row by row. The registers have none.
    position_embeddings: Param<Tensor<3>>,
}

#[derive(Module, Debug)]
struct Patches {
    projection: Conv2d,
}

#[derive(Module, Debug)]
struct Encoder {
    layer: Vec<Block>,
}

/// Output of a DINOv2.
#[derive(Debug, Clone)]
pub struct Dinov2Output {
    /// The class token after the final norm, `[B, D]`.
    pub class: Tensor<2>,
    /// The patch tokens after the final norm, row by row, `[B, T, D]`.
    pub patches: Tensor<3>,
    /// For each block that was asked for, in that order, its attention logits `Q K^T / sqrt(d)` between all tokens (class,
    /// registers, patches), `[B, heads, N, N]`: their softmax over the last axis is the attention.
    pub logits: Vec<Tensor<4>>,
    /// Tokens before the patches: the class token and the registers.
    prefix: usize,
}

impl Dinov2Output {
    /// The attention probabilities of the `index`-th block that was asked for, between all tokens.
    pub fn probabilities(&self, index: usize) -> Tensor<4> {
        burn::tensor::activation::softmax(self.logits[index].clone(), 3)
    }

    /// The logits between patches alone, as HASTE's loss has them before its softmax: `[B, blocks, heads, T, T]`. Panics if no
    /// block was asked for.
    pub fn patch_logits(&self) -> Tensor<5> {
        let among = |logits: &Tensor<4>| {
            let patches = logits.dims()[2] - self.prefix;
            logits
                .clone()
                .narrow(2, self.prefix, patches)
                .narrow(3, self.prefix, patches)
        };
        Tensor::stack(self.logits.iter().map(among).collect(), 1)
    }
}

impl Dinov2 {
    /// Reads the folder that `config.json` and `model.safetensors` lie in, of any float type; weights are f32 here.
    ///
    /// # Errors
    /// Files that cannot be read, a configuration of something else, tensors that do not fit it: all of them.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let Content { config, tensors, .. } = LAYOUT.read(folder, Dinov2Config::validate)?;
        let network = apply(Self::unfilled(&config, device), &as_today(tensors));
        let network = network.map_err(|source| LAYOUT.misfit(folder, source))?;
        Ok(network.no_grad())
    }

    fn unfilled(config: &Dinov2Config, device: &Device) -> Self {
        let (width, patch, grid) = (config.hidden_size, config.patch_size, config.native_grid());
        let registers = config.registers();
        Self {
            embeddings: Embeddings {
                cls_token: parameter([1, 1, width], device),
                register_tokens: (registers > 0).then(|| parameter([1, registers, width], device)),
                patch_embeddings: Patches {
                    projection: padded(
                        [config.num_channels, width],
                        patch,
                        patch,
                        PaddingConfig2d::Valid,
                        device,
                    ),
                },
                position_embeddings: parameter([1, 1 + grid * grid, width], device),
            },
            encoder: Encoder {
                layer: (0..config.num_hidden_layers)
                    .map(|_| Block::new(config, device))
                    .collect(),
            },
            layernorm: layer_norm(width, config.layer_norm_eps, device),
            config: config.clone(),
        }
    }

    /// Images `[B, 3, H, W]` in 0 to 1 as REPA gives them to DINOv2: normalised by ImageNet's mean and deviation, then resized
    /// (bicubic, not antialiased) to `grid` patches a side. REPA's grid is `16 * resolution / 256`.
    pub fn preprocess(&self, images: Tensor<4>, grid: usize) -> Tensor<4> {
        let device = images.device();
        let [mean, std] = [MEAN, STD].map(|values| Tensor::<1>::from_data(values, &device).reshape([1, 3, 1, 1]));
        let side = grid * self.config.patch_size;
        let [_, _, height, width] = images.dims();
        let normalised = (images - mean) / std;
        if [height, width] == [side; 2] {
            return normalised;
        }
        let options = InterpolateOptions::new(InterpolateMode::Bicubic).with_align_corners(false);
        interpolate(normalised, options.with_output_size([side; 2]))
    }

    /// Tokens of preprocessed images `[B, 3, side, side]`, whose side is a multiple of the patch's, and the attention logits of
    /// `blocks`, counted from 1. Each row is of its own image alone.
    ///
    /// `resampling` says how the position table comes to another grid than its own. Panics at other channels than 3, or images
    /// that are not square.
    pub fn forward(&self, images: Tensor<4>, resampling: Resampling, blocks: &[usize]) -> Dinov2Output {
        let (width, prefix) = (self.config.hidden_size, 1 + self.config.registers());
        let patches: Tensor<4> = self.embeddings.patch_embeddings.projection.forward(images);
        let [batch, _, grid, _] = patches.dims();
        let patches = patches.reshape([batch, width, grid * grid]).swap_dims(1, 2);
        let class = self.embeddings.cls_token.val().expand([batch, 1, width]);
        let mut x = Tensor::cat(vec![class, patches], 1) + self.positions(grid, resampling);
        if let Some(registers) = &self.embeddings.register_tokens {
            let registers = registers.val().expand([batch, prefix - 1, width]);
            let patches = x.clone().narrow(1, 1, grid * grid);
            x = Tensor::cat(vec![x.narrow(1, 0, 1), registers, patches], 1);
        }
        let mut kept = BTreeMap::new();
        for (index, block) in self.encoder.layer.iter().enumerate() {
            let (tokens, logits) = block.forward(x, blocks.contains(&(index + 1)));
            kept.extend(logits.map(|logits| (index + 1, logits)));
            x = tokens;
        }
        let x = self.layernorm.forward(x);
        Dinov2Output {
            class: x.clone().narrow(1, 0, 1).reshape([batch, width]),
            patches: x.narrow(1, prefix, grid * grid),
            logits: blocks.iter().filter_map(|block| kept.get(block).cloned()).collect(),
            prefix,
        }
    }

    /// `[1, 1 + grid^2, D]`.
    fn positions(&self, grid: usize, resampling: Resampling) -> Tensor<3> {
        let (table, native) = (self.embeddings.position_embeddings.val(), self.config.native_grid());
        if grid == native {
            return table;
        }
        let width = self.config.hidden_size;
        let patches = table.clone().narrow(1, 1, native * native);
        let values: Vec<f32> = patches.into_data().iter::<f32>().collect();
        let resampled = TensorData::new(resampling.apply(&values, native, grid, width), [1, grid * grid, width]);
        Tensor::cat(
            vec![
                table.clone().narrow(1, 0, 1),
                Tensor::from_data(resampled, &table.device()),
            ],
            1,
        )
    }

    /// Geometry.
    pub fn config(&self) -> &Dinov2Config {
        &self.config
    }

    /// Number of scalars in its parameters.
    pub fn parameter_count(&self) -> usize {
        self.num_params()
    }

    /// SHA-256 (hex) of architecture and weights: equal for equal networks, wherever their files lie.
    pub fn fingerprint(&self) -> String {
        // What shapes of tensors do not tell.
        let architecture = format!("DINOv2, {} heads", self.config.num_attention_heads);
        fingerprint(&architecture, &collect(self))
    }
}

/// Tensors under the names of today's transformers: the files on the hub are older. The mask token, which only training uses, is
/// left out; the first layer of a gated perceptron was one and is taken apart.
fn as_today(tensors: BTreeMap<String, TensorData>) -> BTreeMap<String, TensorData> {
    const NAMES: [(&str, &str); 5] = [
        (".attention.attention.query.", ".attention.q_proj."),
        (".attention.attention.key.", ".attention.k_proj."),
        (".attention.attention.value.", ".attention.v_proj."),
        (".attention.output.dense.", ".attention.o_proj."),
        (".mlp.weights_out.", ".mlp.down_proj."),
    ];
    const GATED: &str = ".mlp.weights_in.";
    let mut today = BTreeMap::new();
    for (name, data) in tensors {
        if name == "embeddings.mask_token" {
            continue;
        }
        let shape = data.shape().to_vec();
        match shape.first() {
            Some(rows) if name.contains(GATED) && rows.is_multiple_of(2) => {
                let mut half = shape.clone();
                half[0] /= 2;
                let bytes = data.as_bytes();
                let (gate, up) = bytes.split_at(bytes.len() / 2);
                for (part, bytes) in [(".mlp.gate_proj.", gate), (".mlp.up_proj.", up)] {
                    let data = TensorData::from_bytes_vec(bytes.to_vec(), half.clone(), data.dtype());
                    today.insert(name.replace(GATED, part), data);
                }
            }
            _ => {
                let name = NAMES.iter().fold(name, |name, (old, new)| name.replace(old, new));
                today.insert(name, data);
            }
        }
    }
    today
}

#[cfg(test)]
mod tests;
