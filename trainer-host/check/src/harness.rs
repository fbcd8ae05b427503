//! A case on the device: an instance, planned, and every tensor of the step.

use std::collections::BTreeMap;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Device, Int, Shape, Tensor, TensorData};
use sextant_guidance::plan::Network;

use super::case::Case;
use super::outcome::{Input, Outcome, floats, reached, read};
use super::plugin::{self, NAME, PluginUnderTest};
use super::violation::{Violation, broken};
use super::{network, numbers};
use sextant_guidance::{Buffers, GuidanceStep, Services, SourceLoss, SourceParams, SourcePlan, Sources, traced};
use sextant_model::diffusion::Interpolant;
use sextant_model::{Sit, TrainBatch};
use sextant_recipe::Precision;
use sextant_records::TeacherCounters;

/// One case, ready to be guided, as often as one likes.
///
/// Taps, attention and output are independent leaves of the autodiff graph, and so is everything else: a gradient that
/// reached what it should not can be read.
pub struct Harness<'a> {
    plugin: &'a PluginUnderTest,
    case: Case,
    sources: Sources,
    plan: SourcePlan,
    leaves: BTreeMap<Input, Leaf>,
    labels: Tensor<1, Int>,
    dropped: Tensor<1, Int>,
    parameters: SourceParams,
    buffers: Buffers,
    teacher: Sit,
    ema: Sit,
}

/// A leaf of the autodiff graph, flat, and the shape in which it is lent.
struct Leaf {
    flat: Tensor<1>,
    shape: Vec<usize>,
}

impl Leaf {
    fn new(values: Vec<f32>, shape: Vec<usize>, device: &Device) -> Self {
        let data = TensorData::new(values, [shape.iter().product::<usize>()]);
        Self {
            flat: Tensor::from_data(data, device).require_grad(),
            shape,
        }
    }

    fn values(&self) -> Vec<f32> {
        read(self.flat.clone().inner())
    }

    fn lent(&self) -> DispatchTensor {
        Dispatch::float_reshape(self.flat.clone().into_dispatch(), Shape::from(self.shape.clone()))
    }
}

impl<'a> Harness<'a> {
    /// Plans for the case with a new instance, and draws its tensors.
    ///
    /// # Errors
    /// A discard where the plan refuses the geometry.
    pub fn new(plugin: &'a PluginUnderTest, case: &Case) -> Result<Self, Violation> {
        let sources = plugin.sources(Some(plugin.config().clone()), case)?;
        let device = plugin.device();
        let batch = case.samples.len();
        let (tokens, width, heads) = (case.tokens(), case.width, case.heads);
        let image = [batch, case.channels, case.side(), case.side()];
        let pixels = image[1] * image[2] * image[3];
        let [x, noise] = ["x", "noise"].map(|what| numbers::normal(case, what, pixels));
        let plain = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), image);
            Tensor::<4>::from_data(data, &device.clone().inner())
        };
        let (x_t, velocity) = case.path.interpolate(plain(&x), plain(&noise), &case.times());
        let mut values = vec![
            (Input::X, x, image.to_vec()),
            (Input::Noise, noise, image.to_vec()),
            (Input::Xt, read(x_t), image.to_vec()),
            (Input::Velocity, read(velocity), image.to_vec()),
            (Input::T, case.times(), vec![batch]),
            (Input::Output, numbers::features(case, "output", pixels), image.to_vec()),
        ];
        values.extend((0..=case.depth).map(|depth| {
            let tap = numbers::features(case, &format!("tap/{depth}"), tokens * width);
            (Input::Tap(depth), tap, vec![batch, tokens, width])
        }));
        values.extend((1..=case.depth).map(|depth| {
            let (what, maps) = (format!("attention/{depth}"), heads * tokens * tokens);
            let maps = numbers::probabilities(case, &what, maps, tokens);
            (Input::Attention(depth), maps, vec![batch, heads, tokens, tokens])
        }));
        values.extend(plugin.fields().iter().map(|field| {
            let shape = [vec![batch], field.shape(case)].concat();
            (Input::Field(field.name.clone()), numbers::field(case, field), shape)
        }));
        let leaf = |(input, values, shape)| (input, Leaf::new(values, shape, device));
        let counted = |values: Vec<i64>| Tensor::from_data(TensorData::new(values, [batch]), device);
        Ok(Self {
            plugin,
            leaves: values.into_iter().map(leaf).collect(),
            labels: counted(case.labels()),
            dropped: counted(case.dropped()),
            parameters: numbers::parameters(case, &sources, device),
            buffers: sources.init_buffers(case.seed, device),
            teacher: network::frozen(case, case.teacher_depth, "teacher", device)?,
            ema: network::frozen(case, case.depth, "ema", device)?,
            plan: plugin::plan(&sources),
            sources,
            case: case.clone(),
        })
    }

    /// The plan of the source for this geometry.
    pub fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    /// The case.
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// Calls the source.
    ///
    /// # Errors
    /// A failure of `guide`.
    pub fn guide(&mut self) -> Result<Outcome, Violation> {
        Ok(self.answer(self.case.step)?.1)
    }

    /// Calls the source with these tensors, but with the step, seed and identities of another case with as many samples.
    pub(super) fn guide_as(&mut self, case: &Case) -> Result<Outcome, Violation> {
        let own = std::mem::replace(&mut self.case, case.clone());
        let outcome = self.guide();
        self.case = own;
        outcome
    }

    /// Calls the source, and differentiates the sum of its losses by everything that a gradient might reach.
    ///
    /// # Errors
    /// A failure of `guide`.
    pub fn differentiate(&mut self) -> Result<Outcome, Violation> {
        let (answer, mut outcome) = self.answer(self.case.step)?;
        // A loss that is a constant has no graph.
        if answer.loss.is_tracked() && !self.case.samples.is_empty() {
            let gradients = answer.loss.sum().backward();
            let leaves = self.leaves.iter();
            let reached_leaves = leaves.filter_map(|(input, leaf)| {
                let gradient = leaf.flat.grad(&gradients)?;
                Some((input.clone(), read(gradient)))
            });
            outcome.gradients.extend(reached_leaves);
            for (path, gradient) in reached(&self.parameters, &gradients) {
                let name = path.strip_prefix(NAME).unwrap_or(&path).trim_start_matches('.');
                outcome.gradients.insert(Input::Parameter(name.to_owned()), gradient);
            }
            for (what, network) in [("teacher", &self.teacher), ("moving average", &self.ema)] {
                if let Some(name) = reached(network, &gradients).keys().next() {
                    return broken(format!("a gradient reaches `{name}` of the {what}"));
                }
            }
        }
        Ok(outcome)
    }

    /// Calls the source at another optimiser step, and takes over its buffers.
    pub(super) fn advance(&mut self, step: u64) -> Result<(), Violation> {
        let (answer, _) = self.answer(step)?;
        self.buffers.commit(&[answer]);
        Ok(())
    }

    /// Puts the buffers back to their beginning.
    pub(super) fn rewind(&mut self) {
        self.buffers = self.sources.init_buffers(self.case.seed, self.plugin.device());
    }

    fn answer(&mut self, index: u64) -> Result<(SourceLoss, Outcome), Violation> {
        let case = &self.case;
        let image = |input: &Input| Tensor::<4>::from_dispatch(self.leaves[input].lent());
        let (mut taps, mut attention, mut fields) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (input, leaf) in &self.leaves {
            match input {
                Input::Tap(depth) => drop(taps.insert(*depth, Tensor::from_dispatch(leaf.lent()))),
                Input::Attention(depth) => drop(attention.insert(*depth, Tensor::from_dispatch(leaf.lent()))),
                Input::Field(name) => drop(fields.insert(name.clone(), leaf.lent())),
                _ => {}
            }
        }
        let batch = TrainBatch {
            step: index,
            x: image(&Input::X),
            noise: image(&Input::Noise),
            t: self.leaves[&Input::T].flat.clone(),
            labels: self.labels.clone(),
            dropped: self.dropped.clone(),
            pictures: None,
            fields,
            ids: case.ids(),
            times: case.times(),
            label_values: case.labels(),
            dropped_values: case.dropped(),
            share: 1.0,
        };
        let mut counters = TeacherCounters::default();
        let step = GuidanceStep {
            batch: &batch,
            x_t: &image(&Input::Xt),
            velocity: &image(&Input::Velocity),
            taps: &taps,
            attention: &attention,
            output: Some(&image(&Input::Output)),
        };
        let services = Services {
            teacher: Some(&self.teacher),
            ema: Some(&self.ema),
            path: case.path,
            seed: case.seed,
            null_class: case.classes as i64,
            precision: Precision::F32,
            pad_rows: sextant_model::device::compiles_kernels(self.plugin.device()),
            counters: &mut counters,
        };
        let (sources, parameters, buffers) = (&mut self.sources, &self.parameters, &self.buffers);
        let (losses, trace) = traced(|| sources.guide(step, parameters, buffers, services));
        self.plugin.beat();
        let answer = losses?.into_iter().next().expect("the source is active at every step");
        let outcome = Outcome {
            loss: read(answer.loss.clone().inner()),
            denoising_weight: answer.denoising_weight.clone().map(|weight| read(weight.inner())),
            metrics: answer
                .metrics
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into_scalar::<f32>()))
                .collect(),
            buffers: self.read_buffers(&answer)?,
            gradients: BTreeMap::new(),
            trace,
        };
        Ok((answer, outcome))
    }

    /// The values that buffers would have after the step, of those that it gave anew.
    fn read_buffers(&self, answer: &SourceLoss) -> Result<BTreeMap<String, TensorData>, Violation> {
        if answer.buffers.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut buffers = self.buffers.clone();
        buffers.commit(std::slice::from_ref(answer));
        Ok(buffers.named()?)
    }

    /// Every value that is lent to the source, by what it is: a step may change none of them.
    pub(super) fn lent(&self) -> Result<BTreeMap<String, Vec<f32>>, Violation> {
        let leaves = self.leaves.iter();
        let leaves = leaves.map(|(input, leaf)| (input.to_string(), leaf.values()));
        let kept = |what: &'static str, tensors: BTreeMap<String, TensorData>| {
            tensors
                .into_iter()
                .map(move |(name, value)| (format!("{what} `{name}`"), floats(&value)))
        };
        let parameters = kept("parameter", self.parameters.named());
        Ok(leaves
            .chain(parameters)
            .chain(kept("buffer", self.buffers.named()?))
            .collect())
    }

    /// The most tensors that the instance has held at once.
    pub(super) fn handle_slots(&self) -> usize {
        self.sources.handle_slots()
    }

    /// Makes teacher and moving average trainable, so that a gradient could reach them.
    pub(super) fn train_networks(&mut self) -> Result<(), Violation> {
        let (case, device) = (&self.case, self.plugin.device());
        self.teacher = network::draw(case, case.teacher_depth, "teacher", device)?;
        self.ema = network::draw(case, case.depth, "ema", device)?;
        Ok(())
    }

    /// Replaces by NaN whatever the plan does not declare.
    pub(super) fn poison_undeclared(&mut self) {
        let (plan, declared) = (&self.plan, Input::declared(&self.plan));
        for (input, leaf) in &mut self.leaves {
            let poison = match input {
                Input::Tap(_) | Input::Attention(_) | Input::Output => !declared.contains(input),
                Input::Field(name) => !plan.fields.contains(name),
                _ => false,
            };
            if poison {
                leaf.flat = leaf.flat.clone().inner().mul_scalar(f32::NAN);
            }
        }
        let deepest = |network| plan.depths(network).last().copied();
        self.teacher = network::poisoned(self.teacher.clone(), deepest(Network::Teacher));
        self.ema = network::poisoned(self.ema.clone(), deepest(Network::Ema));
    }

    /// The values of an input that a loss may be differentiated by.
    pub(super) fn values(&self, input: &Input) -> Option<Vec<f32>> {
        match input {
            Input::Parameter(name) => Some(floats(&self.parameters.named().remove(&path(name))?)),
            other => self.leaves.get(other).map(Leaf::values),
        }
    }

    /// Sets such an input to these values, as many as it has.
    pub(super) fn set_values(&mut self, input: &Input, values: Vec<f32>) -> Result<(), Violation> {
        if let Some(leaf) = self.leaves.get_mut(input) {
            *leaf = Leaf::new(values, leaf.shape.clone(), self.plugin.device());
        } else if let Input::Parameter(name) = input {
            let mut named = self.parameters.named();
            if let Some(value) = named.get_mut(&path(name)) {
                *value = TensorData::new(values, value.shape().clone());
            }
            self.parameters = std::mem::take(&mut self.parameters).load_named(&named)?;
        }
        Ok(())
    }
}

fn path(parameter: &str) -> String {
    format!("{NAME}.{parameter}")
}

impl PluginUnderTest {
    /// Plans and guides one case with a new instance, and differentiates the sum of the losses.
    ///
    /// # Errors
    /// A discard where the plan refuses the geometry; a failure of `guide`.
    pub fn guide(&self, case: &Case) -> Result<Outcome, Violation> {
        Harness::new(self, case)?.differentiate()
    }
}
