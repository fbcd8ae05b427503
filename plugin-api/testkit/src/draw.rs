//! Numbers that are a function of a key alone.

use sextant_plugin_api::Distribution;

/// A stream of numbers (splitmix64) that depends on a tag and a few integers, and on nothing that was drawn before.
pub(crate) struct Draws(u64);

impl Draws {
    /// The stream of a key.
    pub fn new(tag: &str, key: &[u64]) -> Self {
        // FNV-1a over the tag, then each integer mixed in.
        let hash = tag.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut draws = Self(hash);
        for part in key {
            draws.0 = draws.bits() ^ part;
        }
        draws
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Several of a distribution.
    pub fn many(&mut self, distribution: Distribution, count: usize) -> Vec<f64> {
        let draw = |_| match distribution {
            Distribution::Normal => self.normal(),
            Distribution::Uniform => self.uniform(),
        };
        (0..count).map(draw).collect()
    }
}
