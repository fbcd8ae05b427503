//! The loss of an autoencoder: distance of an image from its reconstruction, and divergence of its posterior from a standard normal.
//!
//! As the first stage of latent diffusion (arXiv 2112.10752), without its perceptual term (LPIPS) and without its discriminator: both
//! stand on networks that were trained on photographs.

use burn::tensor::Tensor;
use sextant_recipe::{Distance, VaeObjective};

use super::{Autoencoder, Moments};
use crate::pretraining::Terms;

/// The loss of images `[N, 3, H, W]` in [-1, 1], whose latents are drawn with `noise` of the latents' shape.
///
/// Distance and divergence are summed over an image, as published, and both divided by the number of its values: that changes no
/// minimum, and the distance reads as one of a pixel. Reported are the latter, and the divergence of an image in nats.
pub(super) fn terms(network: &Autoencoder, images: Tensor<4>, noise: Tensor<4>, config: &VaeObjective) -> Terms {
    let moments = network.encode(images.clone());
    let divergence = divergence(&moments);
    let gap = network.decode(moments.mean + moments.std * noise) - images.clone();
    let reconstruction = match config.reconstruction {
        Distance::L1 => gap.abs().mean(),
        Distance::L2 => gap.square().mean(),
    };
    let [_, channels, height, width] = images.dims();
    let weight = config.kl_weight / (channels * height * width) as f64;
    Terms {
        loss: reconstruction.clone() + divergence.clone() * weight,
        named: [("reconstruction", reconstruction), ("divergence", divergence)],
    }
}

/// The Kullback-Leibler divergence of the posteriors from a standard normal, `sum (mean^2 + std^2 - 1) / 2 - ln std` over an image's
/// latents, as the mean over the images.
fn divergence(Moments { mean, std }: &Moments) -> Tensor<1> {
    let count = mean.dims()[0];
    let squares = mean.clone().square() + std.clone().square();
    ((squares - 1.0) * 0.5 - std.clone().log()).sum() / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoencoder::AutoencoderConfig;
    use crate::network::collect;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Distribution};

    fn of(mean: f64, std: f64) -> f32 {
        let ones = Tensor::<4>::ones([2, 1, 2, 3], &Device::flex());
        let moments = Moments {
            mean: ones.clone() * mean,
            std: ones * std,
        };
        divergence(&moments).into_scalar()
    }

    #[test]
    fn a_standard_normal_does_not_diverge_from_itself() {
        assert_eq!(of(0.0, 1.0), 0.0);
    }

    #[test]
    fn another_normal_diverges_by_the_formula_in_every_latent_of_an_image() {
        // Six latents an image, each (4 + 0.25 - 1) / 2 - ln 0.5.
        let wanted = 6.0 * (1.625 + 2.0f32.ln());
        assert!((of(2.0, 0.5) - wanted).abs() < 1e-4);
        assert!((of(-2.0, 0.5) - wanted).abs() < 1e-4);
        assert!(of(0.0, 1.1) > 0.0 && of(0.0, 0.9) > 0.0);
    }

    #[test]
    fn every_parameter_has_a_gradient_and_the_weight_counts() {
        let device = Device::flex().autodiff();
        let config = AutoencoderConfig {
            block_out_channels: vec![4, 8],
            norm_num_groups: 2,
            latent_channels: 2,
            ..AutoencoderConfig::default()
        };
        let network = Autoencoder::init(&config, 1, &device).unwrap();
        let images = Tensor::<4>::random([2, 3, 8, 8], Distribution::Uniform(-1.0, 1.0), &device);
        let noise = Tensor::<4>::random([2, 2, 4, 4], Distribution::Default, &device);
        let of = |reconstruction, kl_weight| {
            let objective = VaeObjective {
                reconstruction,
                kl_weight,
            };
            terms(&network, images.clone(), noise.clone(), &objective)
        };
        for distance in [Distance::L1, Distance::L2] {
            let free = of(distance, 0.0);
            let [reconstruction, divergence] = free.named.map(|(_, value)| value.into_scalar::<f32>());
            assert_eq!(free.loss.into_scalar::<f32>(), reconstruction);
            let weighted = of(distance, 0.5).loss;
            let wanted = reconstruction + 0.5 * divergence / 192.0;
            assert!((weighted.clone().into_scalar::<f32>() - wanted).abs() < 1e-4);
            let gradients = GradientsParams::from_grads(weighted.backward(), &network);
            assert_eq!(gradients.len(), collect(&network).len());
        }
    }
}
