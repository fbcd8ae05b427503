//! Memory of a network, from its shapes: its parameters, what autodiff keeps of a forward pass, and what a pass needs while it
//! goes on. All in bytes of f32.
//!
//! The counts follow the operations of `ops` as they are written out for the CPU: each keeps its inputs, and views
//! share what they are views of. Composed operations keep more: queries and keys that are normalised here, and all of them on other
//! devices.

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
        // The tokens before and behind the modulated norm, the patches, and their difference from the target.
        let exit = 2 * tokens * width + 2 * width + 2 * tokens * self.patch_width();
        VALUE * (samples * (entry + self.depth * self.block_values() + exit)) as u64
    }

    /// At work within a backward pass with `samples`, beyond what is kept: gradients of one block's widest tokens.
    pub fn backward_bytes(&self, samples: usize) -> u64 {
        // In the place of each value is its gradient.
        self.forward_bytes(samples)
    }

    /// At work within a forward pass with `samples` whose gradient nobody asks for: one block.
    pub fn forward_bytes(&self, samples: usize) -> u64 {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        // The trunk, and queries, keys and values, which go in packed and come back head by head, in backward woven again.
        let attending = 8 * tokens * width + if self.qk_norm { self.attention_values() } else { 0 };
        let mixing = tokens * (3 * width + self.mlp_width());
        VALUE * (samples * attending.max(mixing)) as u64
    }

    /// The tokens of `samples` at one depth.
    pub fn token_bytes(&self, samples: usize) -> u64 {
        VALUE * (samples * self.tokens() * self.hidden_size) as u64
    }

    /// Kept of a block, for one sample.
    fn block_values(&self) -> usize {
        let (tokens, width) = (self.tokens(), self.hidden_size);
        let values = tokens * width;
        // Shifts, scales and gates.
        let modulation = 6 * width;
        // For each branch the tokens before and behind the norm, and the branch before its gate.
        let branches = 2 * 3 * values;
        let attention = if self.qk_norm {
            // Queries, scaled, keys and values; the two centred and with their deviation divided out, too. The softmax keeps its
            // exponents, their exponentials and their sums; the product behind it keeps the probabilities.
            let normalised = 7 * values + 6 * tokens * self.num_heads;
            normalised + 3 * self.attention_values() + tokens * self.num_heads + values
        } else {
            // Queries, keys and values, the logarithm of each row's denominator, and the value.
            4 * values + tokens * self.num_heads
        };
        // Before and behind the activation.
        let mlp = 2 * tokens * self.mlp_width();
        modulation + branches + attention + mlp
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
        let block = 6 * 8 + 6 * 32 + 4 * 32 + 4 * 2 + 2 * 4 * 32;
        let entry = 4 * 12 + 256 + 48;
        let exit = 2 * 32 + 16 + 2 * 48;
        assert_eq!(config.kept_bytes(1), 4 * (entry + 2 * block + exit));
        assert_eq!(config.kept_bytes(5), 5 * config.kept_bytes(1));
        assert_eq!(
            normed.kept_bytes(1) - config.kept_bytes(1),
            4 * 2 * (4 * 32 + 6 * 8 + 3 * 32)
        );
        assert_eq!(config.token_bytes(3), 4 * 3 * 32);
        assert!(config.forward_bytes(1) < config.kept_bytes(1));
    }
}
