//! Small networks whose features depend on time and label, as those of a trained one do.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_distr::StandardNormal;

use super::case::Case;
use super::violation::Violation;
use sextant_data::Stream;
use sextant_model::network::linear::Linear;
use sextant_model::{Sit, frozen_copy};

/// A network of the case, trainable on a device with autodiff. Networks with different `what` differ.
///
/// # Errors
/// A discard of a case that has no such network.
pub fn draw(case: &Case, depth: usize, what: &str, device: &Device) -> Result<Sit, Violation> {
    let mut rng = Stream::new(case.numbers, &format!("check/network/{what}")).at(&[]);
    let mut sit = Sit::init(&case.network(depth), &mut rng, device).map_err(|error| Violation::Discard(error.0))?;
    // A new network is the identity with output 0, and hardly looks at time and label.
    let mut set = |linear: &mut Linear, deviation: f32| {
        linear.weight = redrawn(&linear.weight, deviation, &mut rng);
    };
    set(&mut sit.t_embedder.mlp._0, 0.06);
    set(&mut sit.t_embedder.mlp._2, 0.3);
    for block in &mut sit.blocks {
        set(&mut block.adaLN_modulation._1, 0.3);
    }
    set(&mut sit.final_layer.adaLN_modulation._1, 0.3);
    set(&mut sit.final_layer.linear, 0.2);
    let table = &mut sit.y_embedder.embedding_table.weight;
    *table = redrawn(table, 0.5, &mut rng);
    Ok(sit)
}

/// The same network frozen, on a device without autodiff.
///
/// # Errors
/// As [`draw`].
pub fn frozen(case: &Case, depth: usize, what: &str, device: &Device) -> Result<Sit, Violation> {
    Ok(frozen_copy(&draw(case, depth, what, &device.clone().inner())?))
}

fn redrawn(weight: &Param<Tensor<2>>, deviation: f32, rng: &mut impl Rng) -> Param<Tensor<2>> {
    weight.clone().map(|weight| {
        let shape = weight.dims();
        let values: Vec<f32> = (0..shape[0] * shape[1])
            .map(|_| rng.sample::<f32, _>(StandardNormal) * deviation)
            .collect();
        let tracked = weight.is_require_grad();
        Tensor::from_data(TensorData::new(values, shape), &weight.device()).set_require_grad(tracked)
    })
}

/// The network with the output of every block deeper than `deepest` not a number; with all of them if that is none.
pub fn poisoned(mut sit: Sit, deepest: Option<usize>) -> Sit {
    let poison = |bias: &Param<Tensor<1>>| bias.clone().map(|bias| bias.mul_scalar(f32::NAN));
    for block in sit.blocks.iter_mut().skip(deepest.unwrap_or(0)) {
        block.mlp.fc2.bias = poison(&block.mlp.fc2.bias);
    }
    if deepest.is_none() {
        sit.x_embedder.proj.bias = poison(&sit.x_embedder.proj.bias);
    }
    sit
}
