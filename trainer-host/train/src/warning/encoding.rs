//! Warnings of networks that see the same images again and again, where what they make of them could be kept.

use sextant_data::Dataset;
use sextant_guidance::Sources;
use sextant_recipe::{DataConfig, Recipe};

use super::Warning;
use crate::encoders::Target;
use crate::memory::Gigabytes;

/// Bytes that any machine has room for.
const LITTLE: u64 = 1 << 30;

/// Passes over the images from which on there is something to save.
const SEVERAL: u64 = 2;

/// Warnings of the networks that see the images of each step: the data's autoencoder, and `target`.
pub fn of_encoding(recipe: &Recipe, planned: &[Sources], dataset: &Dataset, target: Option<&Target>) -> Vec<Warning> {
    let images = dataset.train().len() as u64;
    let times = |sees: &dyn Fn(&Sources) -> bool| {
        let phases = recipe.phases.iter().zip(planned).filter(|(_, sources)| sees(sources));
        let seen: u64 = phases
            .map(|(phase, _)| phase.steps * recipe.optimiser.batch as u64)
            .sum();
        seen / images.max(1)
    };
    let size = |values: usize| 4 * (dataset.len() * values) as u64;
    let mut warnings = Vec::new();
    // Of other data there is no way to files of moments.
    if dataset.is_encoded() && matches!(recipe.data, DataConfig::Images { .. }) {
        let instead = "`sextant data prepare` does it once, and data.kind = \"latents\" trains on that";
        warnings.extend(again(
            "data.vae",
            times(&|_| true),
            size(2 * dataset.sample_len()),
            instead,
        ));
    }
    // Mirrored images have no fields that were made before.
    if let Some(target) = target.filter(|_| !dataset.has_flips()) {
        let names = target.names();
        let read: Vec<String> = planned.iter().flat_map(Sources::fields).collect();
        let times = times(&|sources| sources.reads_from(0, &names));
        let instead = "\"before\" does it once, and keeps it in memory";
        warnings.extend(again("encoder.when", times, size(target.values(&read)), instead));
    }
    warnings
}

/// The warning where images are encoded several `times`, and all that comes of them is little.
fn again(key: &'static str, times: u64, bytes: u64, instead: &'static str) -> Option<Warning> {
    (times >= SEVERAL && bytes <= LITTLE).then(|| Warning::EncodedAgain {
        key,
        times,
        size: Gigabytes(bytes).to_string(),
        instead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_little_and_seen_again_is_warned_of() {
        let warning = again("encoder.when", 10, 5_000_000, "do it once").unwrap().to_string();
        for words in ["encoder.when", "about 10 times", "5.0 MB", "do it once"] {
            assert!(warning.contains(words), "{words} in {warning}");
        }
        assert_eq!(again("encoder.when", 1, 5_000_000, ""), None);
        assert_eq!(again("encoder.when", 10, 2 << 30, ""), None);
    }
}
