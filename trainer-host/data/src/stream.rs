//! The one source of randomness: ChaCha streams addressed by a key instead of by call order.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// A family of random streams for one purpose.
///
/// Two streams that differ in seed, domain or indices are independent, so a new use of randomness takes a
/// new domain and disturbs no other draw. Nothing here has state: asking again gives the same numbers,
/// which is what makes resuming exact and variants of a comparison paired.
#[derive(Debug, Clone)]
pub struct Stream {
    prefix: Sha256,
}

impl Stream {
    /// The family `domain` under the run's `seed`, for example `Stream::new(seed, "data/order")`.
    pub fn new(seed: u64, domain: &str) -> Self {
        let mut prefix = Sha256::new();
        prefix.update(b"sextant/stream/1");
        prefix.update(seed.to_le_bytes());
        // Lengths are hashed too, or a domain could run into the indices that follow it.
        prefix.update((domain.len() as u64).to_le_bytes());
        prefix.update(domain.as_bytes());
        Self { prefix }
    }

    /// The stream at `indices` (an epoch; a step and a sample; …), always from its beginning.
    pub fn at(&self, indices: &[u64]) -> ChaCha8Rng {
        let mut hash = self.prefix.clone();
        hash.update((indices.len() as u64).to_le_bytes());
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;
    use std::collections::BTreeSet;

    fn first(seed: u64, domain: &str, indices: &[u64]) -> u64 {
        Stream::new(seed, domain).at(indices).next_u64()
    }

    #[test]
    fn should_give_the_same_numbers_for_the_same_key() {
        let stream = Stream::new(7, "noise");
        let mut once = stream.at(&[3, 5]);
        let mut again = stream.at(&[3, 5]);
        assert!((0..100).all(|_| once.next_u64() == again.next_u64()));
    }

    #[test]
    fn should_differ_in_every_part_of_the_key() {
        let draws = BTreeSet::from([
            first(0, "noise", &[1, 2]),
            first(1, "noise", &[1, 2]),
            first(0, "time", &[1, 2]),
            first(0, "noise", &[2, 1]),
            first(0, "noise", &[1]),
            first(0, "noise", &[1, 2, 0]),
            first(0, "noise", &[]),
        ]);
        assert_eq!(draws.len(), 7);
    }

    #[test]
    fn should_never_change_between_versions() {
        // A changed value here breaks resuming of every run made before the change.
        assert_eq!(first(0, "", &[]), 13395861331281799815);
        assert_eq!(first(42, "draws/noise", &[6, 1905]), 16917407525531189014);
    }
}
