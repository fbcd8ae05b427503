//! A case on the device: an instance, planned, and every tensor of the step.

use std::collections::{BTreeMap, BTreeSet};

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{Int, Shape, Tensor, TensorData};
use sextant_guidance::plan::{Network, TapKind};

use super::case::Case;
use super::outcome::{Input, Outcome, floats, reached, read};
use super::plugin::{self, NAME, PluginUnderTest};
use super::violation::{Violation, broken};
use super::{network, numbers};
use sextant_guidance::{Buffers, GuidanceStep, Services, SourceLoss, SourceParams, SourcePlan, Sources, traced};
use sextant_model::diffusion::Interpolant;
use sextant_model::{Sit, TrainBatch};
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
    x: Tensor<4>,
    noise: Tensor<4>,
    x_t: Tensor<4>,
    velocity: Tensor<4>,
    t: Tensor<1>,
    labels: Tensor<1, Int>,
    dropped: Tensor<1, Int>,
    taps: BTreeMap<usize, Tensor<3>>,
    attention: BTreeMap<usize, Tensor<4>>,
    output: Tensor<4>,
    fields: BTreeMap<String, Field>,
    parameters: SourceParams,
    buffers: Buffers,
    teacher: Sit,
    ema: Sit,
}

/// A field's leaf, and the same in its own rank.
struct Field {
    leaf: Tensor<1>,
    tensor: DispatchTensor,
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
        let leaf4 = |values: Vec<f32>, shape| Tensor::<4>::from_data(TensorData::new(values, shape), device);
        let x = leaf4(numbers::normal(case, "x", pixels), image);
        let noise = leaf4(numbers::normal(case, "noise", pixels), image);
        let (x_t, velocity) = case.path.interpolate(x.clone(), noise.clone(), &case.times());
        let counted = |values: Vec<i64>| Tensor::from_data(TensorData::new(values, [batch]), device);
        let taps = (0..=case.depth).map(|depth| {
            let values = numbers::features(case, &format!("tap/{depth}"), tokens * width);
            let tap = Tensor::<3>::from_data(TensorData::new(values, [batch, tokens, width]), device);
            (depth, tap.require_grad())
        });
        let maps = heads * tokens * tokens;
        let attention = (1..=case.depth).map(|depth| {
            let values = numbers::probabilities(case, &format!("attention/{depth}"), maps, tokens);
            (depth, leaf4(values, [batch, heads, tokens, tokens]).require_grad())
        });
        let fields = plugin.fields().iter().map(|field| {
            let (shape, values) = (field.shape(case), numbers::field(case, field));
            let leaf = Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), device).require_grad();
            let shape = Shape::from([vec![batch], shape].concat());
            let tensor = Dispatch::float_reshape(leaf.clone().into_dispatch(), shape);
            (field.name.clone(), Field { leaf, tensor })
        });
        Ok(Self {
            plugin,
            x_t: x_t.detach().require_grad(),
            velocity: velocity.detach().require_grad(),
            x: x.require_grad(),
            noise: noise.require_grad(),
            t: Tensor::<1>::from_data(TensorData::new(case.times(), [batch]), device).require_grad(),
            labels: counted(case.labels()),
            dropped: counted(case.dropped()),
            taps: taps.collect(),
            attention: attention.collect(),
            output: leaf4(numbers::features(case, "output", pixels), image).require_grad(),
            fields: fields.collect(),
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
            let mut keep = |input, gradient: Option<Vec<f32>>| {
                if let Some(gradient) = gradient {
                    outcome.gradients.insert(input, gradient);
                }
            };
            for (depth, tap) in &self.taps {
                keep(Input::Tap(*depth), tap.grad(&gradients).map(read));
            }
            for (depth, maps) in &self.attention {
                keep(Input::Attention(*depth), maps.grad(&gradients).map(read));
            }
            for (input, image) in [
                (Input::Output, &self.output),
                (Input::X, &self.x),
                (Input::Noise, &self.noise),
                (Input::Xt, &self.x_t),
                (Input::Velocity, &self.velocity),
            ] {
                keep(input, image.grad(&gradients).map(read));
            }
            keep(Input::T, self.t.grad(&gradients).map(read));
            for (name, field) in &self.fields {
                keep(Input::Field(name.clone()), field.leaf.grad(&gradients).map(read));
            }
            for (path, gradient) in reached(&self.parameters, &gradients) {
                let name = path.strip_prefix(NAME).unwrap_or(&path).trim_start_matches('.');
                keep(Input::Parameter(name.to_owned()), Some(gradient));
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
        let fields = self
            .fields
            .iter()
            .map(|(name, field)| (name.clone(), field.tensor.clone()));
        let batch = TrainBatch {
            step: index,
            x: self.x.clone(),
            noise: self.noise.clone(),
            t: self.t.clone(),
            labels: self.labels.clone(),
            dropped: self.dropped.clone(),
            fields: fields.collect(),
            ids: case.ids(),
            times: case.times(),
            label_values: case.labels(),
            dropped_values: case.dropped(),
            share: 1.0,
        };
        let mut counters = TeacherCounters::default();
        let step = GuidanceStep {
            batch: &batch,
            x_t: &self.x_t,
            velocity: &self.velocity,
            taps: &self.taps,
            attention: &self.attention,
            output: Some(&self.output),
        };
        let services = Services {
            teacher: Some(&self.teacher),
            ema: Some(&self.ema),
            path: case.path,
            seed: case.seed,
            null_class: case.classes as i64,
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
        let mut lent = BTreeMap::new();
        for (name, image) in [
            ("x", &self.x),
            ("the noise", &self.noise),
            ("x_t", &self.x_t),
            ("the velocity", &self.velocity),
            ("the student's output", &self.output),
        ] {
            lent.insert(name.to_owned(), read(image.clone().inner()));
        }
        lent.insert("t".into(), read(self.t.clone().inner()));
        for (depth, tap) in &self.taps {
            lent.insert(Input::Tap(*depth).to_string(), read(tap.clone().inner()));
        }
        for (depth, maps) in &self.attention {
            lent.insert(Input::Attention(*depth).to_string(), read(maps.clone().inner()));
        }
        for (name, field) in &self.fields {
            lent.insert(Input::Field(name.clone()).to_string(), read(field.leaf.clone().inner()));
        }
        for (name, value) in self.parameters.named() {
            lent.insert(format!("parameter `{name}`"), floats(&value));
        }
        for (name, value) in self.buffers.named()? {
            lent.insert(format!("buffer `{name}`"), floats(&value));
        }
        Ok(lent)
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
        let plan = &self.plan;
        let of = |kind| {
            let taps = plan
                .taps
                .iter()
                .filter(move |tap| tap.network == Network::Student && tap.kind == kind);
            taps.map(|tap| tap.depth).collect::<BTreeSet<_>>()
        };
        let (blocks, maps) = (of(TapKind::Block), of(TapKind::Attention));
        for (_, tap) in self.taps.iter_mut().filter(|(depth, _)| !blocks.contains(depth)) {
            *tap = tap.clone().inner().mul_scalar(f32::NAN);
        }
        for (_, attention) in self.attention.iter_mut().filter(|(depth, _)| !maps.contains(depth)) {
            *attention = attention.clone().inner().mul_scalar(f32::NAN);
        }
        if !plan.needs_output(Network::Student) {
            self.output = self.output.clone().inner().mul_scalar(f32::NAN);
        }
        for (_, field) in self.fields.iter_mut().filter(|(name, _)| !plan.fields.contains(name)) {
            let shape = Shape::from(burn::backend::TensorMetadata::shape(&field.tensor).to_vec());
            field.leaf = field.leaf.clone().inner().mul_scalar(f32::NAN);
            field.tensor = Dispatch::float_reshape(field.leaf.clone().into_dispatch(), shape);
        }
        let deepest = |network| plan.depths(network).last().copied();
        self.teacher = network::poisoned(self.teacher.clone(), deepest(Network::Teacher));
        self.ema = network::poisoned(self.ema.clone(), deepest(Network::Ema));
    }

    /// The values of an input that a loss may be differentiated by.
    pub(super) fn values(&self, input: &Input) -> Option<Vec<f32>> {
        Some(match input {
            Input::Tap(depth) => read(self.taps.get(depth)?.clone().inner()),
            Input::Attention(depth) => read(self.attention.get(depth)?.clone().inner()),
            Input::Output => read(self.output.clone().inner()),
            Input::Parameter(name) => floats(&self.parameters.named().remove(&path(name))?),
            _ => return None,
        })
    }

    /// Sets such an input to these values, as many as it has.
    pub(super) fn set_values(&mut self, input: &Input, values: Vec<f32>) -> Result<(), Violation> {
        let device = self.plugin.device();
        let (parameters, taps, attention) = (&mut self.parameters, &mut self.taps, &mut self.attention);
        match input {
            Input::Tap(depth) => {
                if let Some(tap) = taps.get_mut(depth) {
                    *tap = Tensor::from_data(TensorData::new(values, tap.dims()), device).require_grad();
                }
            }
            Input::Attention(depth) => {
                if let Some(maps) = attention.get_mut(depth) {
                    *maps = Tensor::from_data(TensorData::new(values, maps.dims()), device).require_grad();
                }
            }
            Input::Output => {
                let shape = self.output.dims();
                self.output = Tensor::from_data(TensorData::new(values, shape), device).require_grad();
            }
            Input::Parameter(name) => {
                let mut named = parameters.named();
                if let Some(value) = named.get_mut(&path(name)) {
                    *value = TensorData::new(values, value.shape().clone());
                }
                *parameters = std::mem::take(parameters).load_named(&named)?;
            }
            _ => {}
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
