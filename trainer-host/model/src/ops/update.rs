//! A parameter's update: the square of its gradient, AdamW, the moving average.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::is_fused;

/// The numbers of a step of AdamW that are the same for all values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// AdamW's epsilon.
    pub eps: f32,
    /// Steps of the parameter, this one included: at least 1.
    pub time: usize,
}

impl AdamStep {
    /// 1 - beta^time, for both moments: what they are divided by.
    fn corrections(&self) -> [f32; 2] {
        self.betas.map(|beta| 1.0 - beta.powi(self.time as i32))
    }

    /// The share of a value that the decay leaves.
    fn kept(&self) -> f64 {
        1.0 - self.lr * self.weight_decay
    }
}

/// A step of AdamW (arXiv 1711.05101, algorithm 2) with the gradient g times `factor`, `[1]`. Answers the new value p, and the
/// new moments m and v, which begin as zeros:
///
/// ```text
/// g = factor g
/// m = beta_1 m + (1 - beta_1) g
/// v = beta_2 v + (1 - beta_2) g^2
/// p = (1 - lr decay) p - lr (m / (1 - beta_1^time)) / (sqrt(v / (1 - beta_2^time)) + eps)
/// ```
///
/// All tensors are without autodiff. Those that the caller gives away are changed in place, but for the gradient.
pub fn adam_step<const D: usize>(
    value: Tensor<D>,
    gradient: Tensor<D>,
    factor: Tensor<1>,
    moments: [Tensor<D>; 2],
    step: AdamStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let [first, second] = moments;
    if is_fused(&value) {
        let tensors = [value, gradient, first, second].map(Tensor::into_dispatch);
        let [value, gradient, first, second] = tensors;
        let updated =
            <Dispatch as UpdateOps>::fused_adam_step(value, gradient, factor.into_dispatch(), first, second, step);
        let (value, first, second) = updated;
        let moments = [first, second].map(Tensor::from_dispatch);
        return (Tensor::from_dispatch(value), moments);
    }
    composed_adam_step(value, gradient, factor, [first, second], step)
}

fn composed_adam_step<const D: usize>(
    value: Tensor<D>,
    gradient: Tensor<D>,
    factor: Tensor<1>,
    [first, second]: [Tensor<D>; 2],
    step: AdamStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let [beta_1, beta_2] = step.betas;
    let [correction_1, correction_2] = step.corrections();
    let gradient = gradient * factor.reshape([1; D]);
    let first = first.mul_scalar(beta_1) + gradient.clone().mul_scalar(1.0 - beta_1);
    let second = second.mul_scalar(beta_2) + gradient.square().mul_scalar(1.0 - beta_2);
    let root = second.clone().div_scalar(correction_2).sqrt().add_scalar(step.eps);
    let delta = first.clone().div_scalar(correction_1) / root;
    let value = value.mul_scalar(step.kept()) - delta.mul_scalar(step.lr);
    (value, [first, second])
}

/// `decay * average + (1 - decay) * value`, as PyTorch's `average.mul_(decay).add_(value, alpha=1 - decay)`; in place where the
/// average has one owner. Both are without autodiff.
pub fn moved_average<const D: usize>(average: Tensor<D>, value: Tensor<D>, decay: f64) -> Tensor<D> {
    if is_fused(&average) {
        let (average, value) = (average.into_dispatch(), value.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as UpdateOps>::fused_moved_average(average, value, decay));
    }
    composed_moved_average(average, value, decay)
}

fn composed_moved_average<const D: usize>(average: Tensor<D>, value: Tensor<D>, decay: f64) -> Tensor<D> {
    average.mul_scalar(decay) + value.mul_scalar(1.0 - decay)
}

/// The sum of all squares, `[1]`, of a tensor without autodiff.
pub fn square_sum<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    match is_fused(&x) {
        true => Tensor::from_dispatch(<Dispatch as UpdateOps>::fused_square_sum(x.into_dispatch())),
        false => x.square().sum(),
    }
}

/// The operations on a backend's own tensors, as `Dispatch` finds them.
#[backend_extension(Flex: cfg(feature = "flex"))]
trait UpdateOps: Backend {
    fn fused_adam_step(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn fused_moved_average(average: FloatTensor<Self>, value: FloatTensor<Self>, decay: f64) -> FloatTensor<Self>;

    fn fused_square_sum(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::tensor::TensorData;
    use macerator::Simd;
    use rayon::prelude::*;

    use super::{AdamStep, UpdateOps};
    use crate::ops::kernel::rows::contiguous;

    /// Values that a thread takes at once: few enough for a processor's second cache, of all tensors together.
    const BLOCK: usize = 1 << 13;

    impl UpdateOps for Flex {
        fn fused_adam_step(
            value: FlexTensor,
            gradient: FlexTensor,
            factor: FlexTensor,
            first: FlexTensor,
            second: FlexTensor,
            step: AdamStep,
        ) -> (FlexTensor, FlexTensor, FlexTensor) {
            let factor = contiguous(factor).storage::<f32>()[0];
            let [mut value, gradient, mut first, mut second] = [value, gradient, first, second].map(contiguous);
            let (values, gradients) = (value.storage_mut::<f32>(), gradient.storage::<f32>());
            let (firsts, seconds) = (first.storage_mut::<f32>(), second.storage_mut::<f32>());
            match values.len() <= BLOCK {
                true => update(values, gradients, factor, firsts, seconds, &step),
                false => {
                    let blocks = values.par_chunks_mut(BLOCK).zip(gradients.par_chunks(BLOCK));
                    let moments = firsts.par_chunks_mut(BLOCK).zip(seconds.par_chunks_mut(BLOCK));
                    blocks
                        .zip(moments)
                        .for_each(|((values, gradients), (firsts, seconds))| {
                            update(values, gradients, factor, firsts, seconds, &step);
                        });
                }
            }
            (value, first, second)
        }

        fn fused_moved_average(average: FlexTensor, value: FlexTensor, decay: f64) -> FlexTensor {
            let (mut average, value) = (contiguous(average), contiguous(value));
            let (kept, taken) = (decay as f32, (1.0 - decay) as f32);
            let (averages, values) = (average.storage_mut::<f32>(), value.storage::<f32>());
            match values.len() <= BLOCK {
                true => mix(averages, values, kept, taken),
                false => {
                    let blocks = averages.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK));
                    blocks.for_each(|(averages, values)| mix(averages, values, kept, taken));
                }
            }
            average
        }

        fn fused_square_sum(x: FlexTensor) -> FlexTensor {
            let x = contiguous(x);
            let values = x.storage::<f32>();
            let parts: Vec<f64> = match values.len() <= BLOCK {
                true => vec![squares(values)],
                false => values.par_chunks(BLOCK).map(squares).collect(),
            };
            FlexTensor::from_data(TensorData::from([parts.into_iter().sum::<f64>() as f32]))
        }
    }

    /// One block of a step, rounded as the composed form is.
    #[macerator::with_simd]
    fn update<S: Simd>(
        values: &mut [f32],
        gradients: &[f32],
        factor: f32,
        firsts: &mut [f32],
        seconds: &mut [f32],
        step: &AdamStep,
    ) {
        let [beta_1, beta_2] = step.betas;
        let [correction_1, correction_2] = step.corrections();
        let (kept, lr, eps) = (step.kept() as f32, step.lr as f32, step.eps);
        let moments = firsts.iter_mut().zip(seconds);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradients).zip(moments) {
            let gradient = gradient * factor;
            *first = *first * beta_1 + gradient * (1.0 - beta_1);
            *second = *second * beta_2 + gradient * gradient * (1.0 - beta_2);
            let delta = (*first / correction_1) / ((*second / correction_2).sqrt() + eps);
            *value = *value * kept - delta * lr;
        }
    }

    /// One block of an average, rounded as the composed form is.
    #[macerator::with_simd]
    fn mix<S: Simd>(averages: &mut [f32], values: &[f32], kept: f32, taken: f32) {
        for (average, value) in averages.iter_mut().zip(values) {
            *average = *average * kept + value * taken;
        }
    }

    /// The sum of squares of a block.
    #[macerator::with_simd]
    fn squares<S: Simd>(values: &[f32]) -> f64 {
        const LANES: usize = 16;
        let mut lanes = [0.0_f32; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += value * value;
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane += value * value;
        }
        lanes.into_iter().map(f64::from).sum()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Numbers of all sizes, as moments and gradients have them.
    fn matrix(shape: [usize; 2], seed: u64, least: f32) -> Tensor<2> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values = (0..shape[0] * shape[1]).map(|_| {
            let size = 10_f32.powf(rng.random_range(-6.0..1.0));
            size * rng.random_range(least..1.0)
        });
        Tensor::from_data(TensorData::new(values.collect(), shape), &Device::flex())
    }

    fn bits<const D: usize>(x: &Tensor<D>) -> Vec<u32> {
        x.to_data().iter::<f32>().map(f32::to_bits).collect()
    }

    fn address<const D: usize>(x: &Tensor<D>) -> *const u8 {
        let burn::backend::DispatchTensorKind::Flex(x) = x.clone().into_dispatch().kind else {
            panic!("a tensor of flex")
        };
        x.as_float().bytes().as_ptr()
    }

    fn step(time: usize, weight_decay: f64) -> AdamStep {
        AdamStep {
            lr: 1e-3,
            weight_decay,
            betas: [0.9, 0.999],
            eps: 1e-8,
            time,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn should_round_as_the_composed_form_does(
            rows in 1usize..70, columns in 1usize..300, transposed: bool, time in 1usize..2000, seed: u64, decay in 0.0..0.2,
        ) {
            let shape = [rows, columns];
            let value = matrix(shape, seed, -1.0);
            let gradient = match transposed {
                true => matrix([columns, rows], seed ^ 1, -1.0).transpose(),
                false => matrix(shape, seed ^ 1, -1.0),
            };
            let moments = || [matrix(shape, seed ^ 2, -1.0), matrix(shape, seed ^ 3, 0.0)];
            let factor = Tensor::<1>::from_data([0.37_f32], &Device::flex());
            let step = step(time, decay);
            let (wanted, [first, second]) =
                composed_adam_step(value.clone(), gradient.clone(), factor.clone(), moments(), step);
            let (found, found_moments) = adam_step(value, gradient, factor, moments(), step);
            prop_assert_eq!(bits(&found), bits(&wanted));
            prop_assert_eq!(found_moments.each_ref().map(bits), [bits(&first), bits(&second)]);
        }

        #[test]
        fn should_average_as_the_composed_form_does(
            rows in 1usize..70, columns in 1usize..300, transposed: bool, seed: u64, decay in 0.0..1.0,
        ) {
            let average = || matrix([rows, columns], seed, -1.0);
            let value = match transposed {
                true => matrix([columns, rows], seed ^ 1, -1.0).transpose(),
                false => matrix([rows, columns], seed ^ 1, -1.0),
            };
            let wanted = composed_moved_average(average(), value.clone(), decay);
            prop_assert_eq!(bits(&moved_average(average(), value, decay)), bits(&wanted));
        }

        #[test]
        fn should_sum_squares(rows in 1usize..70, columns in 1usize..300, transposed: bool, seed: u64) {
            let x = matrix([rows, columns], seed, -1.0);
            let x = if transposed { x.transpose() } else { x };
            // As its values are, however they lie.
            let in_order = Tensor::from_data(x.to_data(), &Device::flex());
            prop_assert_eq!(bits(&square_sum(x.clone())), bits(&square_sum::<2>(in_order)));
            let wanted: f64 = x.to_data().iter::<f32>().map(|x| f64::from(x).powi(2)).sum();
            let part = x.clone().narrow(0, 0, x.dims()[0].div_ceil(2));
            let wanted_part: f64 = part.to_data().iter::<f32>().map(|x| f64::from(x).powi(2)).sum();
            for (x, wanted) in [(x, wanted), (part, wanted_part)] {
                let found = f64::from(square_sum(x).into_scalar::<f32>());
                prop_assert!((found / wanted - 1.0).abs() < 1e-5, "{} for {}", found, wanted);
            }
        }
    }

    #[test]
    fn should_write_in_place_what_has_one_owner_and_leave_alone_what_has_two() {
        let shape = [130, 97];
        let (value, gradient) = (matrix(shape, 1, -1.0), matrix([97, 130], 2, -1.0).transpose());
        let moments = [matrix(shape, 3, -1.0), matrix(shape, 4, 0.0)];
        let factor = || Tensor::<1>::from_data([1.0_f32], &Device::flex());
        let places = [&value, &moments[0], &moments[1]].map(address);
        let (value, moments) = adam_step(value, gradient.clone(), factor(), moments, step(1, 0.0));
        assert_eq!([&value, &moments[0], &moments[1]].map(address), places);

        let (before, other) = (bits(&value), value.clone());
        let (value, _) = adam_step(value, gradient, factor(), moments, step(2, 0.0));
        assert_eq!(bits(&other), before);
        assert_ne!(bits(&value), before);

        let average = matrix(shape, 5, -1.0);
        let place = address(&average);
        assert_eq!(address(&moved_average(average, value, 0.9)), place);
    }

    #[test]
    fn should_depend_on_no_number_of_threads() {
        let shape = [257, 301];
        let all = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let value = matrix(shape, 1, -1.0);
                let gradient = matrix([301, 257], 2, -1.0).transpose();
                let norm = square_sum(gradient.clone());
                let moments = [matrix(shape, 3, -1.0), matrix(shape, 4, 0.0)];
                let (value, [first, second]) = adam_step(value, gradient, norm.clone(), moments, step(3, 0.1));
                let average = moved_average(matrix(shape, 5, -1.0), value.clone(), 0.99);
                (bits(&norm), [value, first, second, average].each_ref().map(bits))
            })
        };
        assert_eq!(all(1), all(3));
    }
}
