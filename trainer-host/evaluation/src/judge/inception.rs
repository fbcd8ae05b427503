//! The Inception network of FID as a judge.

use burn::tensor::Tensor;
use sextant_model::inception::Inception;

use super::base::Backbone;

/// pool3 of pytorch-fid's Inception v3. With the reference's statistics, the Frechet distance in it is FID (Heusel et al. 2017, arXiv
/// 1706.08500).
#[derive(Debug)]
pub(super) struct Pool3 {
    network: Inception,
}

impl Pool3 {
    pub fn new(network: Inception) -> Self {
        Self { network }
    }
}

impl Backbone for Pool3 {
    fn description(&self) -> String {
        format!("Inception v3 of FID, {} features (pool3)", self.width())
    }

    fn fingerprint(&self) -> String {
        self.network.fingerprint().to_owned()
    }

    fn width(&self) -> usize {
        self.network.width()
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.forward(images)
    }
}
