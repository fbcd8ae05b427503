//! The halves of the network and what both are made of. Field names are those of diffusers' parameters.

mod attention;
mod decoder;
mod encoder;
mod residual;

pub use decoder::Decoder;
pub use encoder::Encoder;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use self::attention::Attention;
use self::residual::Residual;
use super::config::AutoencoderConfig;

/// Inside the square root of every norm.
const EPSILON: f64 = 1e-6;

/// The middle of either half, at the smallest side: two residual blocks, attention between them.
#[derive(Module, Debug)]
struct Middle {
    resnets: Vec<Residual>,
    /// One, or none.
    attentions: Vec<Attention>,
}

impl Middle {
    fn new(config: &AutoencoderConfig, channels: usize, device: &Device) -> Self {
        let groups = config.norm_num_groups;
        let residual = || Residual::new([channels; 2], groups, device);
        let attention = || Attention::new(channels, groups, device);
        Self {
            resnets: vec![residual(), residual()],
            attentions: config.mid_block_add_attention.then(attention).into_iter().collect(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut hidden = self.resnets[0].forward(x);
        for attention in &self.attentions {
            hidden = attention.forward(hidden);
        }
        self.resnets[1].forward(hidden)
    }
}
