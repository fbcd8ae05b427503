//! Floating-point operations, counted from shapes: the formulas for what networks are made of, and the sums over our networks.
//!
//! Matrix products, convolutions and attention count, a multiplication and an addition being two; what is linear in the size of
//! the tokens (norms, activations, sums) does not. Papers' "Gflops" of these networks are half of it: they take the two for one.

use sextant_recipe::{Family, NetworkConfig};

use crate::autoencoder::AutoencoderConfig;
use crate::dinov2::Dinov2Config;
use crate::encoder::{EXPANSION, Encoder};
use crate::network::SitConfig;
use crate::network::config::TIME_FEATURES;

/// `[rows, inputs]` times `[inputs, outputs]`: a matrix product, and a linear layer.
pub fn product(rows: usize, inputs: usize, outputs: usize) -> u64 {
    let factors = [inputs, outputs].map(|n| n as u64);
    factors.into_iter().fold(2 * rows as u64, u64::saturating_mul)
}

/// A convolution with `places` places in its result: a product of the patches under its kernel, of `kernel` places each.
pub fn convolution(places: usize, inputs: usize, outputs: usize, kernel: usize) -> u64 {
    product(places, inputs * kernel, outputs)
}

/// Attention, all samples and heads together: `queries` in all, each to `keys` of width `width`, whose values are `value_width`
/// wide. The scores are a product, and so is the mixing.
pub fn attention(queries: usize, keys: usize, width: usize, value_width: usize) -> u64 {
    product(queries, width, keys) + product(queries, keys, value_width)
}

/// Forward and backward: a product's gradient costs as much as the product for each of its two factors that has one.
pub fn with_gradients(forward: u64, factors: usize) -> u64 {
    forward.saturating_mul(1 + factors as u64)
}

impl SitConfig {
    /// A forward pass for one sample that ends with the tokens at `deepest`, or with the output.
    pub fn pass_operations(&self, deepest: usize, output: bool) -> u64 {
        match output {
            true => self.forward_operations(),
            false => self.feature_operations(deepest),
        }
    }

    /// A forward pass for one sample.
    pub fn forward_operations(&self) -> u64 {
        let width = self.hidden_size;
        let final_layer = product(1, width, 2 * width) + product(self.tokens(), width, self.patch_width());
        self.feature_operations(self.depth) + final_layer
    }

    /// A forward pass for one sample that ends with the tokens at `depth`.
    pub fn feature_operations(&self, depth: usize) -> u64 {
        let time = product(1, self.hidden_size, self.hidden_size);
        self.entry_operations() + time + depth as u64 * self.block_operations()
    }

    /// Forward and backward for one sample, with every parameter trained, less the gradients of what enters, which nobody asks
    /// for.
    pub fn training_operations(&self) -> u64 {
        with_gradients(self.forward_operations(), 2) - self.entry_operations()
    }

    /// The products that act on the image's patches and on the sinusoids of its time.
    fn entry_operations(&self) -> u64 {
        let width = self.hidden_size;
        product(self.tokens(), self.patch_width(), width) + product(1, TIME_FEATURES, width)
    }

    fn block_operations(&self) -> u64 {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        let modulation = product(1, width, 6 * width);
        let projections = product(tokens, width, 3 * width) + product(tokens, width, width);
        // As wide as all heads together.
        let mixing = attention(tokens, tokens, width, width);
        let mlp = product(tokens, width, self.mlp_width()) + product(tokens, self.mlp_width(), width);
        modulation + projections + mixing + mlp
    }
}

impl Encoder {
    /// Floating-point operations of encoding `images` images.
    pub fn encoding_operations(&self, images: usize) -> f64 {
        of_encoder(&self.origin().recipe.network) as f64 * images as f64
    }

    /// Floating-point operations of the training that its recipe describes: forward and backward for two views of each image of
    /// each batch. 0 for an untrained one.
    pub fn training_operations(&self) -> f64 {
        let training = &self.origin().recipe.training;
        let views = 2 * training.steps * training.batch_size as u64;
        3.0 * views as f64 * of_encoder(&self.origin().recipe.network) as f64
    }
}

impl Dinov2Config {
    /// A forward pass for one image of `grid` patches a side.
    pub fn operations(&self, grid: usize) -> u64 {
        let (width, hidden, patches) = (self.hidden_size, self.mlp_width(), grid * grid);
        let tokens = 1 + self.registers() + patches;
        let projections = 4 * product(tokens, width, width);
        let maps = if self.use_swiglu_ffn { 3 } else { 2 };
        let block = projections + attention(tokens, tokens, width, width) + maps * product(tokens, width, hidden);
        convolution(patches, self.num_channels, width, self.patch_size.pow(2)) + self.num_hidden_layers as u64 * block
    }
}

impl AutoencoderConfig {
    /// The encoder's pass for one image of `side` pixels a side.
    pub fn encoding_operations(&self, side: usize) -> u64 {
        let widths = &self.block_out_channels;
        let places = |level: usize| (side >> level).pow(2);
        let residual = |places, from, to| {
            let shortcut = if from == to {
                0
            } else {
                convolution(places, from, to, 1)
            };
            convolution(places, from, to, square(3)) + convolution(places, to, to, square(3)) + shortcut
        };
        let (mut from, mut sum) = (
            widths[0],
            convolution(places(0), self.in_channels, widths[0], square(3)),
        );
        for (level, &to) in widths.iter().enumerate() {
            for _ in 0..self.layers_per_block {
                sum += residual(places(level), from, to);
                from = to;
            }
            if level + 1 < widths.len() {
                sum += convolution(places(level + 1), to, to, square(3));
            }
        }
        let (last, moments) = (places(widths.len() - 1), 2 * self.latent_channels);
        let mixing = match self.mid_block_add_attention {
            true => 4 * product(last, from, from) + attention(last, last, from, from),
            false => 0,
        };
        let quant = if self.use_quant_conv {
            convolution(last, moments, moments, 1)
        } else {
            0
        };
        sum + 2 * residual(last, from, from) + mixing + convolution(last, from, moments, square(3)) + quant
    }
}

fn square(side: usize) -> usize {
    side * side
}

/// An encoder's convolutions or perceptrons on one image of its input's size.
fn of_encoder(network: &NetworkConfig) -> u64 {
    match network.family {
        Family::Convolution => {
            let (mut side, mut channels, mut sum) = (network.input, 3, 0);
            for (stage, blocks) in network.blocks.iter().enumerate() {
                let width = network.width << stage;
                side /= 2;
                let of_width = |inputs| convolution(square(side), inputs, width, square(3));
                sum += of_width(channels) + 2 * *blocks as u64 * of_width(width);
                channels = width;
            }
            sum + product(square(side), channels, network.output)
        }
        Family::Patches => {
            let (tokens, width) = (square(network.grid()), network.width);
            let blocks: usize = network.blocks.iter().sum();
            // Two dense layers over the places of each channel, two over the channels of each place.
            let places = 2 * product(width, tokens, EXPANSION * tokens);
            let channels = 2 * product(tokens, width, EXPANSION * width);
            convolution(tokens, 3, width, square(network.patch()))
                + blocks as u64 * (places + channels)
                + product(tokens, width, network.output)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::target_encoder;
    use burn::tensor::Device;
    use sextant_recipe::TargetEncoder;

    #[test]
    fn should_count_a_vision_transformer_as_its_papers_do() {
        // ViT-B/16 at 224 pixels, 197 tokens: 17.6 10^9 pairs of a multiplication and an addition (DeiT, arXiv 2012.12877).
        let config = Dinov2Config {
            model_type: "dinov2".into(),
            ..Dinov2Config::default()
        };
        let off = config.operations(14) as f64 / 2e9 / 17.6 - 1.0;
        assert!(off.abs() < 0.01, "{off}");
    }

    #[test]
    fn should_agree_with_a_count_of_an_autoencoder_by_hand() {
        let config = AutoencoderConfig {
            block_out_channels: vec![4, 8],
            latent_channels: 2,
            ..AutoencoderConfig::default()
        };
        let entry = 2 * 64 * (27 * 4) + 2 * (2 * 64 * (36 * 4)) + 2 * 16 * (36 * 4);
        // The second level, whose first block changes the channels; the middle; its attention; the moments.
        let second = 2 * 16 * (36 * 8 + 72 * 8 + 4 * 8);
        let middle = 2 * 2 * (2 * 16 * (72 * 8)) + 4 * 2 * 16 * 64 + 2 * (2 * 16 * 16 * 8);
        let exit = 2 * 16 * (72 * 4) + 2 * 16 * (4 * 4);
        assert_eq!(config.encoding_operations(8), entry + second + middle + exit);
    }

    #[test]
    fn should_be_twice_the_published_figures() {
        // Table 4 of the DiT paper (arXiv 2212.09748), in 10^9 pairs of a multiplication and an addition.
        for (name, published) in [
            ("S/2", 6.06),
            ("B/2", 23.01),
            ("L/2", 80.71),
            ("XL/2", 118.64),
            ("XL/8", 7.39),
        ] {
            let count = SitConfig::named(name, 32, 4, 1000, false).unwrap().forward_operations();
            let off = count as f64 / 2e9 / published - 1.0;
            assert!(off.abs() < 0.005, "{name}: {count}, off by {off}");
        }
    }

    #[test]
    fn should_agree_with_a_count_by_hand() {
        let config = SitConfig::countable();
        let entry = 2 * (4 * 12 * 8 + 256 * 8);
        // Modulation, qkv, scores and mixing, projection, the two layers of the MLP.
        let block = 2 * (8 * 48 + 4 * 8 * 24 + 2 * 4 * 4 * 8 + 4 * 8 * 8 + 2 * 4 * 8 * 32);
        let features = entry + 2 * 8 * 8;
        assert_eq!(config.feature_operations(0), features);
        assert_eq!(config.feature_operations(1), features + block);
        let whole = features + 2 * block + 2 * (8 * 16 + 4 * 8 * 12);
        assert_eq!(config.forward_operations(), whole);
        assert_eq!(config.training_operations(), 3 * whole - entry);
    }

    #[test]
    fn should_agree_with_a_count_of_convolutions_by_hand() {
        let network = NetworkConfig {
            family: Family::Convolution,
            patch: None,
            input: 8,
            width: 8,
            blocks: vec![1, 2],
            output: 5,
        };
        let first = 2 * 16 * (3 * 8 * 9) + 2 * 2 * 16 * (8 * 8 * 9);
        let second = 2 * 4 * (8 * 16 * 9) + 4 * 2 * 4 * (16 * 16 * 9);
        assert_eq!(of_encoder(&network), first + second + 2 * 4 * 16 * 5);
    }

    #[test]
    fn should_agree_with_a_count_of_patches_by_hand() {
        let network = NetworkConfig {
            family: Family::Patches,
            patch: Some(2),
            input: 8,
            width: 10,
            blocks: vec![3],
            output: 5,
        };
        let embedding = 16 * 2 * (12 * 10);
        let (places, channels) = (10 * 2 * (16 * 32 + 32 * 16), 16 * 2 * (10 * 20 + 20 * 10));
        assert_eq!(
            of_encoder(&network),
            embedding + 3 * (places + channels) + 16 * 2 * (10 * 5)
        );
    }

    #[test]
    fn should_cost_no_training_where_there_was_none() {
        let of = |weights: &str| {
            let config = TargetEncoder {
                weights: weights.into(),
                ..TargetEncoder::default()
            };
            target_encoder(&config, &Device::flex()).unwrap()
        };
        let (trained, untrained) = (of("embedded"), of("untrained"));
        assert_eq!(untrained.training_operations(), 0.0);
        let recipe = &trained.origin().recipe;
        let views = 2.0 * recipe.training.steps as f64 * recipe.training.batch_size as f64;
        assert_eq!(
            trained.training_operations(),
            3.0 * views * trained.encoding_operations(1)
        );
        assert_eq!(trained.parameter_count(), untrained.parameter_count());
    }
}
