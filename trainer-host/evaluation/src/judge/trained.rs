//! An encoder that `sextant encoder train` made, as a judge.

use super::base::Backbone;
use burn::tensor::Tensor;
use sextant_data::{Dataset, Standardisation};
use sextant_model::encoder::Encoder;
use sextant_recipe::{Family, Objective};

/// The mean token of an encoder.
#[derive(Debug)]
pub(super) struct Trained {
    encoder: Encoder,
    standardisation: Standardisation,
    classes: usize,
}

impl Trained {
    /// `encoder`, which was trained on the split of `dataset`. Pixels are standardised as in its training; an old file does not
    /// say how that was, and then as in `dataset`.
    pub fn new(encoder: Encoder, dataset: &Dataset) -> Self {
        let kept = encoder.origin().standardisation;
        Self {
            standardisation: kept.or(dataset.standardisation()).unwrap_or(Standardisation::RANGE),
            classes: dataset.subclass_names().len(),
            encoder,
        }
    }
}

impl Backbone for Trained {
    fn description(&self) -> String {
        let recipe = &self.encoder.origin().recipe;
        let family = match recipe.network.family {
            Family::Convolution => "convolution network",
            Family::Patches => "patch network",
        };
        let objective = match recipe.objective.kind {
            Objective::Contrast => "self-supervised".to_owned(),
            Objective::Classes => format!("supervised on {} classes", self.classes),
        };
        format!("{family}, {objective}, {} features", self.width())
    }

    fn fingerprint(&self) -> String {
        self.encoder.fingerprint()
    }

    fn width(&self) -> usize {
        self.encoder.shape()[1]
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let Standardisation { mean, std } = self.standardisation;
        let standardised = (images * 2.0 - (1.0 + mean)) / std;
        let tokens = self.encoder.features(standardised);
        let [count, _, width] = tokens.dims();
        tokens.mean_dim(1).reshape([count, width])
    }
}
