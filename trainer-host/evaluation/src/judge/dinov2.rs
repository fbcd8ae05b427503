//! A published DINOv2 as a judge.

use burn::tensor::Tensor;
use sextant_model::dinov2::{Dinov2, Resampling};

use super::base::Backbone;

/// Patches a side, as in DINOv2's own evaluations (224 pixels in patches of 14).
const GRID: usize = 16;

/// The class token of a DINOv2 after its final norm: what the published Frechet distance on DINOv2 (Stein et al. 2023, arXiv
/// 2306.04675) is measured in, and what the network was trained to tell images apart by.
///
/// Images of any side are resized to 224 pixels as REPA does it, bicubic without antialiasing; the published measure resizes with
/// Pillow, whose bicubic kernel is another, so its figures are near these and not the same. Its network is DINOv2-L without registers.
#[derive(Debug)]
pub(super) struct ClassToken {
    network: Dinov2,
}

impl ClassToken {
    pub fn new(network: Dinov2) -> Self {
        Self { network }
    }
}

impl Backbone for ClassToken {
    fn description(&self) -> String {
        let config = self.network.config();
        let registers = match config.registers() {
            0 => String::new(),
            count => format!(" with {count} registers"),
        };
        format!(
            "DINOv2 of {} blocks{registers}, {} features (class token)",
            config.num_hidden_layers,
            self.width()
        )
    }

    fn fingerprint(&self) -> String {
        self.network.fingerprint()
    }

    fn width(&self) -> usize {
        self.network.config().hidden_size
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let images = self.network.preprocess(images, GRID);
        let resampling = match self.network.config().registers() {
            0 => Resampling::Plain,
            _ => Resampling::Antialiased,
        };
        self.network.forward(images, resampling, &[]).class
    }
}
