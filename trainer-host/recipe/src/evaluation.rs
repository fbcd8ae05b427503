//! The sections `[evaluation.quality]` and `[evaluation.representations]` of a recipe.

use serde::{Deserialize, Serialize};

use super::KeyError;

/// Fewer images or samples are not measured.
const FEWEST: usize = 20;

/// More samples are not drawn.
const MOST: usize = 10_000_000;

/// Measurement of the quality of samples. Samples are drawn from the moving average with `evaluation.sampler`, with the
/// same noise and labels for every variant, labels in the data's frequencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QualityRecipe {
    /// Samples for every score, and training images that they are compared with for the floor.
    pub samples: usize,
    /// Networks in whose features samples are compared with the data: `"embedded"`, `"untrained"`, a DINOv2 or an Inception, or the
    /// path of a file that `sextant encoder train` wrote. The first is the one that scales are chosen and scores are compared by.
    pub judges: Vec<String>,
    /// The set that samples are compared with in place of the data's training part: an `.npz` of statistics or of images, or a folder of
    /// images.
    pub reference: Option<String>,
    /// Scales of classifier-free guidance among which the best is chosen for each run; 1 is measured in any case.
    pub scales: Vec<f64>,
    /// Samples for each scale of the sweep, of other noise than those that are scored.
    pub sweep_samples: usize,
}

impl Default for QualityRecipe {
    fn default() -> Self {
        Self {
            samples: 360,
            judges: vec!["embedded".into(), "untrained".into()],
            reference: None,
            scales: vec![1.0, 1.5, 2.0, 3.0],
            sweep_samples: 180,
        }
    }
}

/// Measurement of representations, at every depth of the moving average with the null class fed to the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepresentationsRecipe {
    /// Times at which images are diffused before they are shown to the network, each in (0, 1).
    pub times: Vec<f64>,
    /// Training images on which probes are fitted, at least 20; 0 for all. Held-out images are always all.
    pub images: usize,
    /// Images whose features are shown as pictures.
    pub pictures: usize,
}

impl Default for RepresentationsRecipe {
    fn default() -> Self {
        Self {
            times: vec![0.2, 0.5, 0.8],
            images: 0,
            pictures: 4,
        }
    }
}

impl QualityRecipe {
    /// Checks ranges.
    ///
    /// # Errors
    /// Names the key at fault, below `evaluation.quality`, and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        for (key, value) in [("samples", self.samples), ("sweep_samples", self.sweep_samples)] {
            if value < FEWEST {
                return Err(KeyError(format!(
                    "{key} is {value}; it must be at least {FEWEST}: nearest neighbours and spreads need some"
                )));
            }
            if value > MOST {
                return Err(KeyError(format!("{key} is {value}; it must be at most {MOST}")));
            }
        }
        if self.judges.is_empty() {
            return Err(KeyError(
                "judges is empty; name at least one, such as \"embedded\"".into(),
            ));
        }
        if let Some(twice) = (1..self.judges.len()).find(|&i| self.judges[..i].contains(&self.judges[i])) {
            return Err(KeyError(format!("judges names {:?} twice", self.judges[twice])));
        }
        if self.scales.is_empty() {
            return Err(KeyError("scales is empty; name at least one, such as 1.0".into()));
        }
        match self.scales.iter().find(|scale| !(1.0..=1e3).contains(*scale)) {
            Some(scale) => Err(KeyError(format!(
                "scales has {scale}; each must be a number from 1 (no guidance) to 1000"
            ))),
            None => Ok(()),
        }
    }
}

impl RepresentationsRecipe {
    /// Checks ranges.
    ///
    /// # Errors
    /// Names the key at fault, below `evaluation.representations`, and what would be right.
    pub fn validate(&self) -> Result<(), KeyError> {
        if self.times.is_empty() {
            return Err(KeyError("times is empty; name at least one, such as 0.5".into()));
        }
        if let Some(twice) = (1..self.times.len()).find(|&i| self.times[..i].contains(&self.times[i])) {
            return Err(KeyError(format!("times names {} twice", self.times[twice])));
        }
        if (1..FEWEST).contains(&self.images) {
            return Err(KeyError(format!(
                "images is {}; it must be at least {FEWEST}, or 0 for all: a probe needs some of each class",
                self.images
            )));
        }
        if self.pictures == 0 {
            return Err(KeyError("pictures is 0; it must be at least 1".into()));
        }
        match self.times.iter().find(|t| !(**t > 0.0 && **t < 1.0)) {
            Some(t) => Err(KeyError(format!(
                "times has {t}; each must be between 0 (data) and 1 (noise), both left out"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut RepresentationsRecipe)) -> Option<String> {
        let mut recipe = RepresentationsRecipe::default();
        change(&mut recipe);
        recipe.validate().err().map(|error| error.0)
    }

    #[test]
    fn too_few_images_for_a_probe_are_refused_and_0_is_all() {
        for few in [1, 19] {
            let message = refusal(|recipe| recipe.images = few).unwrap();
            assert!(
                message.contains(&format!("images is {few}")) && message.contains("20"),
                "{message}"
            );
        }
        for enough in [0, 20] {
            assert_eq!(refusal(|recipe| recipe.images = enough), None);
        }
    }

    #[test]
    fn times_are_named_once_each_and_lie_within() {
        for (times, words) in [
            (vec![], "times is empty"),
            (vec![0.2, 0.5, 0.2], "times names 0.2 twice"),
            (vec![0.5, 1.0], "times has 1"),
            (vec![f64::NAN], "times has NaN"),
        ] {
            let message = refusal(|recipe| recipe.times = times).unwrap();
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(refusal(|_| ()), None);
    }
}
