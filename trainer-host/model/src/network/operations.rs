//! Floating-point operations of a network, from its shapes.
//!
//! Matrix products and attention count, a multiplication and an addition being two; what is linear in the size of the tokens
//! (norms, activations, sums) does not. Papers' "Gflops" of these networks are half of it: they take the two for one.

use super::config::{SitConfig, TIME_FEATURES};

impl SitConfig {
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

    /// Forward and backward for one sample, with every parameter trained: three times the forward pass (each product has a
    /// gradient for each of its two operands), less the gradients of what enters, which nobody asks for.
    pub fn training_operations(&self) -> u64 {
        3 * self.forward_operations() - self.entry_operations()
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
        // Scores and mixing, all heads together.
        let attention = product(tokens, width, tokens) + product(tokens, tokens, width);
        let mlp = product(tokens, width, self.mlp_width()) + product(tokens, self.mlp_width(), width);
        modulation + projections + attention + mlp
    }
}

/// `[rows, inputs]` times `[inputs, outputs]`.
fn product(rows: usize, inputs: usize, outputs: usize) -> u64 {
    2 * rows as u64 * inputs as u64 * outputs as u64
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // 4 tokens of width 8 in 2 blocks, patches of 12 values, an MLP of 32.
        let config = SitConfig {
            input_size: 4,
            patch_size: 2,
            in_channels: 3,
            hidden_size: 8,
            depth: 2,
            num_heads: 2,
            num_classes: 3,
            qk_norm: true,
            mlp_ratio: 4.0,
        };
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
}
