//! Memory of a network, from its shapes: its parameters, what autodiff keeps of a forward pass, and what a pass needs while it
//! goes on. All in bytes of f32.
//!
//! The counts follow the code beside this file, operation by operation. burn keeps the operands of a product whose other operand
//! has a gradient, the argument of an exponential, a root and a reciprocal, and both operands of a quotient; of sums, changes of
//! shape and products with a number it keeps nothing. Views share what they are views of.

use super::config::{SitConfig, TIME_FEATURES};

/// Bytes of a value.
const VALUE: u64 = 4;

impl SitConfig {
    /// All parameters, the position table too.
    pub fn parameter_bytes(&self) -> u64 {
        VALUE * self.parameter_count() as u64
    }

    /// Kept by autodiff between a forward and a backward pass with `samples`.
    pub fn kept_bytes(&self, samples: usize) -> u64 {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        let entry = tokens * self.patch_width() + TIME_FEATURES + 6 * width;
        // The modulated norm, the patches, and their difference from the target.
        let exit = self.norm_values() + 2 * width + 2 * tokens * self.patch_width();
        VALUE * (samples * (entry + self.depth * self.block_values() + exit)) as u64
    }

    /// At work within a backward pass with `samples`, beyond what is kept: gradients of one block's widest tokens.
    pub fn backward_bytes(&self, samples: usize) -> u64 {
        let tokens = self.tokens();
        let values = 2 * tokens * self.mlp_width() + 6 * tokens * self.hidden_size + self.attention_values();
        VALUE * (samples * values) as u64
    }

    /// At work within a forward pass with `samples` whose gradient nobody asks for: one block.
    pub fn forward_bytes(&self, samples: usize) -> u64 {
        let tokens = self.tokens();
        let attending = 8 * tokens * self.hidden_size + self.attention_values();
        let mixing = 3 * tokens * self.hidden_size + 3 * tokens * self.mlp_width();
        VALUE * (samples * attending.max(mixing)) as u64
    }

    /// The tokens of `samples` at one depth.
    pub fn token_bytes(&self, samples: usize) -> u64 {
        VALUE * (samples * self.tokens() * self.hidden_size) as u64
    }

    /// Kept of a block, for one sample.
    fn block_values(&self) -> usize {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        // Shifts, scales and gates, and the scales with one added.
        let modulation = 9 * width;
        // Queries, scaled, keys and values. Normalised, the two are kept centred and with their deviation divided out, too.
        let normalised = if self.qk_norm {
            4 * tokens * width + 6 * tokens * self.num_heads
        } else {
            0
        };
        let projected = 3 * tokens * width + normalised;
        // The softmax keeps its exponents, their exponentials and their sums; the product behind it keeps the probabilities.
        let softmax = 3 * self.attention_values() + tokens * self.num_heads;
        let mixed = tokens * width;
        // The slope of the activation, and its value.
        let mlp = 2 * tokens * self.mlp_width();
        // Each branch before its gate.
        let branches = 2 * tokens * width;
        2 * self.norm_values() + modulation + projected + softmax + mixed + mlp + branches
    }

    /// A modulated norm: the tokens centred, divided by their deviation, and modulated; and the deviations.
    fn norm_values(&self) -> usize {
        3 * self.tokens() * self.hidden_size + 3 * self.tokens()
    }

    /// A number for every head and pair of tokens.
    fn attention_values(&self) -> usize {
        self.num_heads * self.tokens() * self.tokens()
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
        let norm = 3 * 32 + 3 * 4;
        let block = 2 * norm + 9 * 8 + 3 * 32 + 3 * 32 + 8 + 32 + 2 * 4 * 32 + 2 * 32;
        let entry = 4 * 12 + 256 + 48;
        let exit = norm + 16 + 2 * 48;
        assert_eq!(config.kept_bytes(1), 4 * (entry + 2 * block + exit));
        assert_eq!(config.kept_bytes(5), 5 * config.kept_bytes(1));
        assert_eq!(normed.kept_bytes(1) - config.kept_bytes(1), 4 * 2 * (4 * 32 + 6 * 8));
        assert_eq!(config.token_bytes(3), 4 * 3 * 32);
        assert!(config.forward_bytes(1) < config.kept_bytes(1));
    }
}
