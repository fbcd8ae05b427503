//! Memory of a network, from its shapes: its parameters, what autodiff keeps of a forward pass, and what a pass needs while it
//! goes on. All in bytes of f32, but for operands of products in a half.
//!
//! The counts follow the operations of `ops` as they are written out for the CPU: each keeps its inputs, and views
//! share what they are views of. On other devices they are composed, and keep more.

use sextant_recipe::{ComputeRecipe, Precision, Recompute};

use super::config::{SitConfig, TIME_FEATURES};

/// Bytes of a value.
const VALUE: u64 = 4;

impl SitConfig {
    /// All parameters, the position table too.
    pub fn parameter_bytes(&self) -> u64 {
        VALUE * self.parameter_count() as u64
    }

    /// All parameters, of which matrices are held in this type.
    pub fn held_bytes(&self, precision: Precision) -> u64 {
        self.parameter_bytes() - (VALUE - precision.bytes()) * self.matrix_count() as u64
    }

    /// Kept by autodiff between a forward and a backward pass with `samples`. Where blocks are computed again, this is their inputs, and
    /// one of them at the time of its own backward pass.
    pub fn kept_bytes(&self, samples: usize, compute: &ComputeRecipe) -> u64 {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        let entry = tokens * self.patch_width() + TIME_FEATURES + 6 * width;
        // The tokens before and behind the modulated norm, the patches, and their difference from the target.
        let exit = 2 * tokens * width + 2 * width + 2 * tokens * self.patch_width();
        // Of halves, operands of products are kept beside the f32 from which they were rounded; so are the matrices.
        let product = compute.precision.bytes();
        let rounded = if product < VALUE {
            product * self.matrix_count() as u64
        } else {
            0
        };
        let block = samples as u64 * self.block_bytes(product) + rounded / self.depth as u64;
        let blocks = match compute.recompute {
            Recompute::Off => self.depth as u64 * block,
            Recompute::Blocks => self.depth as u64 * self.token_bytes(samples) + block,
        };
        VALUE * (samples * (entry + exit)) as u64 + blocks
    }

    /// Scalars in matrices: nearly all.
    fn matrix_count(&self) -> usize {
        let shapes = self.parameter_shapes().into_values();
        shapes
            .filter(|shape| shape.len() == 2)
            .flat_map(|shape| shape.into_iter().reduce(|a, b| a * b))
            .sum()
    }

    /// At work within a backward pass with `samples`, beyond what is kept: gradients of one block's widest tokens.
    pub fn backward_bytes(&self, samples: usize) -> u64 {
        // In the place of each value is its gradient.
        self.forward_bytes(samples)
    }

    /// At work within a forward pass with `samples` whose gradient nobody asks for: one block.
    pub fn forward_bytes(&self, samples: usize) -> u64 {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        // The trunk, and queries, keys and values, which go in packed and come back head by head, in backward woven again. Those that are
        // normalised are so in their place.
        let attending = 8 * tokens * width;
        let mixing = tokens * (3 * width + self.mlp_width());
        VALUE * (samples * attending.max(mixing)) as u64
    }

    /// The tokens of `samples` at one depth.
    pub fn token_bytes(&self, samples: usize) -> u64 {
        VALUE * (samples * self.tokens() * self.hidden_size) as u64
    }

    /// Kept of a block, for one sample, operands of products taking `product` bytes.
    fn block_bytes(&self, product: u64) -> u64 {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        let values = tokens * width;
        // Shifts, scales and gates.
        let modulation = 6 * width;
        // For each branch the tokens before the norm, and the branch before its gate; those behind the norm enter a product.
        let branches = 2 * 2 * values;
        // Queries, keys and values, the logarithm of each row's denominator, and the value.
        let attention = 4 * values + tokens * self.num_heads;
        // Queries, keys and values before the norm of heads; those behind it are what attention keeps.
        let normalised = if self.qk_norm { 3 * values } else { 0 };
        // Behind the activation, it enters a product.
        let activation = tokens * self.mlp_width();
        let mut operands = 2 * values + activation;
        if product < VALUE {
            // The mixed values, rounded.
            operands += values;
        }
        VALUE * (modulation + branches + attention + normalised + activation) as u64 + product * operands as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_agree_with_a_count_by_hand() {
        let normed = SitConfig::countable();
        let config = SitConfig {
            qk_norm: false,
            ..normed.clone()
        };
        let block = 6 * 8 + 6 * 32 + 4 * 32 + 4 * 2 + 2 * 4 * 32;
        let entry = 4 * 12 + 256 + 48;
        let exit = 2 * 32 + 16 + 2 * 48;
        let compute = ComputeRecipe::default();
        let kept = |config: &SitConfig, samples| config.kept_bytes(samples, &compute);
        assert_eq!(kept(&config, 1), 4 * (entry + 2 * block + exit));
        assert_eq!(kept(&config, 5), 5 * kept(&config, 1));
        let again = ComputeRecipe {
            recompute: Recompute::Blocks,
            ..compute.clone()
        };
        let inputs = 2 * 4 * 8;
        assert_eq!(config.kept_bytes(1, &again), 4 * (entry + inputs + block + exit));
        assert_eq!(kept(&normed, 1) - kept(&config, 1), 4 * 2 * 3 * 32);
        assert_eq!(config.token_bytes(3), 4 * 3 * 32);
        assert!(config.forward_bytes(1) < kept(&config, 1));
    }
}
