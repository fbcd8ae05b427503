//! The types of a network's numbers: one policy, by which all its layers go.
//!
//! It is that of PyTorch's autocast. Operands and results of products (dense layers, attention) are [`rounded`] to the network's
//! [`Precision`], and so is what lies in between within a perceptron; everything else is [`full`], f32: parameters and their
//! gradients, norms, the conditioning, softmax, the sum of the branches, and so the tokens that others see, and the output. Gradients
//! pass a cast as a cast.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, FloatDType, Tensor};
use sextant_recipe::Precision;

/// `x` as an operand of a product of this precision.
pub fn rounded<const D: usize>(x: Tensor<D>, to: Precision) -> Tensor<D> {
    x.cast(dtype(to))
}

/// `x` in f32.
pub fn full<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(FloatDType::F32)
}

/// burn's name of the type.
pub fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 => FloatDType::F32,
        Precision::Bf16 => FloatDType::BF16,
        Precision::F16 => FloatDType::F16,
    }
}

/// A frozen network with its matrices in this type, whose products are computed in it then; they are nearly all of its memory.
pub fn held_in<M: Module>(network: M, precision: Precision) -> M {
    struct Holder(Precision);
    impl ModuleMapper for Holder {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match D {
                2 => param.map(|values| rounded(values, self.0)),
                _ => param,
            }
        }
    }
    network.map(&mut Holder(precision))
}

/// Tells whether a type has fewer bits than f32.
pub fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::BF16 | DType::F16)
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleVisitor;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::network::{Sit, SitConfig, frozen_copy};

    fn network(qk_norm: bool) -> Sit {
        let config = SitConfig {
            hidden_size: 32,
            depth: 2,
            num_heads: 2,
            ..SitConfig::named("S/2", 8, 4, 3, qk_norm).unwrap()
        };
        Sit::init(&config, &mut ChaCha8Rng::seed_from_u64(4), &Device::flex().autodiff()).unwrap()
    }

    /// The tokens of its last block, and their gradients.
    fn tokens(sit: &Sit) -> Tensor<3> {
        let device = sit.pos_embed.val().device();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let values: Vec<f32> = (0..2 * 4 * 8 * 8).map(|_| rng.random_range(-1.0..1.0)).collect();
        let x = Tensor::from_data(TensorData::new(values, [2, 4, 8, 8]), &device);
        let (t, y) = (
            Tensor::from_data([0.3, 0.8], &device),
            Tensor::from_data([1, 2], &device),
        );
        let out = sit.forward_attending(x, t, y, &[0, 2], &[1]);
        assert_eq!(out.output.dtype(), DType::F32);
        assert_eq!(out.attention[0].dtype(), DType::F32);
        assert!(out.taps.iter().all(|tap| tap.dtype() == DType::F32));
        out.taps[1].clone()
    }

    /// Norm of the difference over the norm.
    fn off(found: &Tensor<3>, wanted: &Tensor<3>) -> f32 {
        let norm = |tensor: Tensor<3>| tensor.without_autodiff().square().sum().sqrt().into_scalar::<f32>();
        norm(found.clone() - wanted.clone()) / norm(wanted.clone())
    }

    #[test]
    fn should_round_products_and_nothing_that_others_see() {
        for qk_norm in [false, true] {
            let sit = network(qk_norm);
            let wanted = tokens(&sit);
            for (precision, least, most) in [(Precision::Bf16, 1e-4, 1e-2), (Precision::F16, 1e-5, 1e-3)] {
                let sit = sit.clone().computing_in(precision);
                let found = tokens(&sit);
                let off = off(&found, &wanted);
                assert!((least..most).contains(&off), "{precision:?} is off by {off}");
                struct InF32(GradientsParams, usize);
                impl ModuleVisitor for InF32 {
                    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                        assert_eq!(param.val().dtype(), DType::F32);
                        if let Some(gradient) = self.0.remove::<D>(param.id) {
                            assert_eq!(gradient.dtype(), DType::F32);
                            self.1 += 1;
                        }
                    }
                }
                let gradients = GradientsParams::from_grads(found.square().sum().backward(), &sit);
                let mut visitor = InF32(gradients, 0);
                sit.visit(&mut visitor);
                assert!(visitor.1 > 20, "{} gradients", visitor.1);
            }
        }
    }

    #[test]
    fn should_hold_matrices_alone_and_compute_in_their_type() {
        let sit = frozen_copy(&network(true));
        let held = held_in(sit.clone(), Precision::Bf16).computing_in(Precision::Bf16);
        let off = off(&tokens(&held), &tokens(&sit));
        assert!((1e-4..1e-2).contains(&off), "off by {off}");
        struct Bytes(u64);
        impl ModuleVisitor for Bytes {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let value = param.val();
                self.0 += (value.dtype().size() * value.shape().num_elements()) as u64;
            }
        }
        let mut bytes = Bytes(0);
        held.visit(&mut bytes);
        assert_eq!(bytes.0, sit.config().held_bytes(Precision::Bf16));
    }
}
