//! A forward pass of which little is kept: backward computes each block again (activation checkpointing, arXiv 1604.06174).
//!
//! Blocks run outside the graph, and what others see of them (tokens, attention, the last tokens for the output) are leaves where their
//! graph ends. Once a loss has gone backward to those leaves, the blocks go backward from the last to the first: each runs again, now in
//! a graph, on the input that was kept of it, and takes the gradient with respect to its tokens. So there is one block's graph at a time.
//! Values are those of the plain pass to the bit; gradients but for the order in which those of one tensor are added up.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Int, Tensor};

use super::sit::{Sit, SitOutput, at_depths};

/// The way back through blocks that are to be computed again.
#[derive(Debug)]
pub struct WayBack {
    /// The embedded patches, in the graph of their embedder.
    embedded: Tensor<3>,
    /// The activated conditioning, in the graph of its embedders.
    conditioning: Tensor<2>,
    /// The conditioning as blocks and final layer saw it: a leaf.
    activated: Tensor<2>,
    /// The input of each block, outside any graph.
    inputs: Vec<Tensor<3>>,
    /// The tokens that were seen, by depth: leaves.
    tokens: BTreeMap<usize, Tensor<3>>,
    /// The attention that was seen, by depth: leaves.
    attention: BTreeMap<usize, Tensor<4>>,
}

impl Sit {
    /// As [`forward_attending`](Sit::forward_attending), of which blocks keep their inputs alone. A backward pass from what it gives ends
    /// at these tensors; [`WayBack::follow`] goes on from there.
    pub fn forward_recomputing(
        &self,
        x: Tensor<4>,
        t: Tensor<1>,
        y: Tensor<1, Int>,
        taps: &[usize],
        attention: &[usize],
    ) -> (SitOutput, WayBack) {
        let conditioning = self.conditioning(t, y);
        let embedded = self.embed(x);
        let last = self.blocks.len();
        let activated = leaf(&conditioning);
        let outside = activated.clone().detach().set_require_grad(false);
        let mut h = embedded.clone().detach();
        let mut way = WayBack {
            embedded,
            conditioning,
            activated,
            inputs: Vec::with_capacity(last),
            tokens: BTreeMap::new(),
            attention: BTreeMap::new(),
        };
        for depth in 0..=last {
            if depth > 0 {
                way.inputs.push(h.clone());
                // On a device with autodiff still, so that these are the operations of the pass to come.
                let block = self.blocks[depth - 1].clone().no_grad();
                let keep = attention.contains(&depth);
                let (next, attended) = block.forward(h, outside.clone(), keep, self.precision());
                h = next;
                way.attention.extend(attended.map(|attended| (depth, leaf(&attended))));
            }
            if depth == last || taps.contains(&depth) {
                way.tokens.insert(depth, leaf(&h));
            }
        }
        let output = SitOutput {
            output: self.image(way.tokens[&last].clone(), way.activated.clone()),
            taps: at_depths(taps, &way.tokens),
            attention: at_depths(attention, &way.attention),
        };
        (output, way)
    }
}

impl WayBack {
    /// Goes on from the `gradients` of a loss, and adds those of embedders and blocks of `sit`, which went this way, to `found`. What the
    /// loss does not depend on has none, as ever.
    pub fn follow(mut self, sit: &Sit, mut gradients: Gradients, found: &mut GradientsParams) {
        let seen = std::mem::take(&mut self.tokens).into_iter();
        let seen = seen.filter_map(|(depth, tokens)| Some((depth, tokens.grad_remove(&mut gradients)?)));
        let mut seen: BTreeMap<usize, Tensor<3>> = seen.collect();
        let mut of_conditioning = self.activated.grad_remove(&mut gradients);
        let mut gradient = seen.remove(&sit.blocks.len());
        for (index, block) in sit.blocks.iter().enumerate().rev() {
            let input = self.inputs.pop().expect("one for each block");
            let attended = self.attention.remove(&(index + 1));
            let of_attention = attended.and_then(|attended| attended.grad_remove(&mut gradients));
            if gradient.is_some() || of_attention.is_some() {
                let (input, activated) = (leaf(&input), leaf(&self.activated));
                let keep = of_attention.is_some();
                let (tokens, attended) = block.forward(input.clone(), activated.clone(), keep, sit.precision());
                let terms = [
                    gradient.take().map(|gradient| pulled(tokens, gradient)),
                    attended.zip(of_attention).map(|(map, gradient)| pulled(map, gradient)),
                ];
                let sum = terms.into_iter().flatten().reduce(|sum, term| sum + term);
                let mut within = sum.expect("one of the two is there").backward();
                collect(block, &mut within, found);
                gradient = input.grad_remove(&mut within);
                of_conditioning = sum_of(of_conditioning, activated.grad_remove(&mut within));
            }
            gradient = sum_of(gradient, seen.remove(&index));
        }
        if let Some(gradient) = gradient {
            let mut within = pulled(self.embedded, gradient).backward();
            collect(&sit.x_embedder, &mut within, found);
        }
        if let Some(gradient) = of_conditioning {
            let mut within = pulled(self.conditioning, gradient).backward();
            collect(&sit.t_embedder, &mut within, found);
            collect(&sit.y_embedder, &mut within, found);
        }
    }
}

/// The same values as the beginning of a graph.
fn leaf<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    tensor.clone().detach().require_grad()
}

/// A scalar whose gradient with respect to `tensor` is `gradient`.
fn pulled<const D: usize>(tensor: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    (tensor * Tensor::from_inner(gradient)).sum()
}

fn sum_of<const D: usize>(one: Option<Tensor<D>>, other: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// Moves the gradients of a module's parameters.
fn collect(module: &impl Module, gradients: &mut Gradients, found: &mut GradientsParams) {
    struct Collector<'a> {
        gradients: &'a mut Gradients,
        found: &'a mut GradientsParams,
    }
    impl ModuleVisitor for Collector<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad_remove(self.gradients) {
                self.found.register(param.id, gradient);
            }
        }
    }
    module.visit(&mut Collector { gradients, found });
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use sextant_recipe::Precision;

    use super::super::SitConfig;
    use super::*;

    /// A network none of whose parameters is 0.
    fn network(qk_norm: bool, precision: Precision) -> Sit {
        use burn::module::ModuleMapper;
        struct Shaken(ChaCha8Rng);
        impl ModuleMapper for Shaken {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                param.map(|old| {
                    let tracked = old.is_require_grad();
                    let values: Vec<f32> = old
                        .to_data()
                        .iter::<f32>()
                        .map(|v| v + self.0.random_range(-0.1..0.1))
                        .collect();
                    let shaken = TensorData::new(values, old.dims());
                    Tensor::from_data(shaken, &old.device()).set_require_grad(tracked)
                })
            }
        }
        let config = SitConfig {
            hidden_size: 24,
            depth: 4,
            num_heads: 2,
            qk_norm,
            ..SitConfig::named("S/2", 8, 4, 3, true).unwrap()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sit = Sit::init(&config, &mut rng, &Device::flex().autodiff()).unwrap();
        sit.map(&mut Shaken(rng)).computing_in(precision)
    }

    /// The value of a loss of some of the output, and every gradient.
    fn gradients(sit: &Sit, recomputed: bool, loss: impl Fn(&SitOutput) -> Tensor<1>) -> Vec<Option<TensorData>> {
        let device = Device::flex().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let values: Vec<f32> = (0..2 * 4 * 8 * 8).map(|_| rng.random_range(-1.0..1.0)).collect();
        let x = Tensor::from_data(TensorData::new(values, [2, 4, 8, 8]), &device);
        let (t, y) = (
            Tensor::from_data([0.2, 0.7], &device),
            Tensor::from_data([1, 3], &device),
        );
        let (taps, attention) = (&[0, 2, 4], &[1, 3]);
        let mut found = GradientsParams::new();
        let value = if recomputed {
            let (output, way) = sit.forward_recomputing(x, t, y, taps, attention);
            let loss = loss(&output);
            let mut gradients = loss.backward();
            collect(sit, &mut gradients, &mut found);
            way.follow(sit, gradients, &mut found);
            loss
        } else {
            let loss = loss(&sit.forward_attending(x, t, y, taps, attention));
            collect(sit, &mut loss.backward(), &mut found);
            loss
        };
        struct Reader(GradientsParams, Vec<Option<TensorData>>);
        impl ModuleVisitor for Reader {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.1.push(self.0.remove::<D>(param.id).map(Tensor::into_data));
            }
        }
        let mut reader = Reader(found, vec![Some(value.into_data())]);
        sit.visit(&mut reader);
        reader.1
    }

    #[test]
    fn should_have_the_gradients_of_the_plain_pass() {
        let whole = |out: &SitOutput| {
            let taps = out.taps.iter().map(|tap| tap.clone().square().mean());
            let maps = out.attention.iter().map(|map| map.clone().square().sum());
            taps.chain(maps)
                .fold(out.output.clone().square().mean(), |sum, term| sum + term)
        };
        let output = |out: &SitOutput| out.output.clone().square().mean();
        let shallow = |out: &SitOutput| out.taps[1].clone().square().mean();
        let embedding = |out: &SitOutput| out.taps[0].clone().square().mean();
        let map = |out: &SitOutput| out.attention[1].clone().square().sum();
        let losses: [&dyn Fn(&SitOutput) -> Tensor<1>; 5] = [&whole, &output, &shallow, &embedding, &map];
        for (qk_norm, precision, tolerance) in [
            (true, Precision::F32, 1e-5),
            (false, Precision::F32, 1e-5),
            (true, Precision::Bf16, 0.02),
            (false, Precision::F16, 0.004),
        ] {
            let sit = network(qk_norm, precision);
            for (i, loss) in losses.into_iter().enumerate() {
                let (found, wanted) = (gradients(&sit, true, loss), gradients(&sit, false, loss));
                assert_eq!(found[0], wanted[0], "the loss");
                let largest =
                    |data: &TensorData| data.iter::<f32>().fold(0.0, |most: f32, value| most.max(value.abs()));
                let of_all = wanted[1..].iter().flatten().map(largest).fold(0.0, f32::max);
                for (parameter, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                    assert_eq!(found.is_some(), wanted.is_some(), "loss {i}, parameter {parameter}");
                    let (Some(found), Some(wanted)) = (found, wanted) else {
                        continue;
                    };
                    assert_eq!(found.dtype(), burn::tensor::DType::F32);
                    // Some are 0 but for rounding, such as those of the keys' offsets.
                    let least = if precision == Precision::F32 { 0.01 } else { 1.0 };
                    let size = largest(wanted).max(least * of_all);
                    let pairs = found.iter::<f32>().zip(wanted.iter::<f32>());
                    let off = pairs.fold(0.0, |most: f32, (found, wanted)| most.max((found - wanted).abs()));
                    assert!(
                        off <= tolerance * size,
                        "loss {i}, parameter {parameter}: {off} of {size}"
                    );
                }
            }
        }
    }
}
