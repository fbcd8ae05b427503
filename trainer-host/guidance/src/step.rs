//! Things that the training loop hands to its sources in a step, and those that it gets back.

use std::collections::BTreeMap;

use burn::backend::DispatchTensor;
use burn::tensor::Tensor;
use sextant_recipe::Precision;
use sextant_records::TeacherCounters;

use sextant_model::diffusion::Path;
use sextant_model::{Sit, TrainBatch};

/// One micro-batch of one optimiser step, and what the student made of it; B samples.
///
/// Tensors are on one device. Those with autodiff keep their graph: gradients of a source's loss reach `taps` and `output`.
#[derive(Clone, Copy, Debug)]
pub struct GuidanceStep<'a> {
    /// Data, noise, times and labels.
    pub batch: &'a TrainBatch,
    /// The student's input `[B, C, H, W]`.
    pub x_t: &'a Tensor<4>,
    /// Velocity of the path `[B, C, H, W]`.
    pub velocity: &'a Tensor<4>,
    /// The student's tokens `[B, T, D]`, by depth: at least those of [`Sources::student_depths`](super::Sources::student_depths).
    pub taps: &'a BTreeMap<usize, Tensor<3>>,
    /// The student's attention probabilities `[B, heads, T, T]`, by depth: at least those of
    /// [`Sources::attention_depths`](super::Sources::attention_depths).
    pub attention: &'a BTreeMap<usize, Tensor<4>>,
    /// The student's output `[B, C, H, W]`, where a source needs it.
    pub output: Option<&'a Tensor<4>>,
}

/// Services that sources may ask of the host in a step, besides tensor operations.
#[derive(Debug)]
pub struct Services<'a> {
    /// The frozen teacher, without autodiff ([`frozen_copy`](sextant_model::frozen_copy)).
    pub teacher: Option<&'a Sit>,
    /// The moving average of the student as it stood before this step, without autodiff.
    pub ema: Option<&'a Sit>,
    /// The path of this run.
    pub path: Path,
    /// The run's seed, or the phase's: keys the sources' draws.
    pub seed: u64,
    /// The label that stands for no label.
    pub null_class: i64,
    /// Type in which dense layers that sources ask for are computed. What sources see is f32.
    pub precision: Precision,
    /// Pad the rows given to a network to a few sizes, so that tuning and compilation do not start anew for each.
    pub pad_rows: bool,
    /// Added to by every forward pass.
    pub counters: &'a mut TeacherCounters,
}

/// The answer of one source.
#[derive(Clone, Debug)]
pub struct SourceLoss {
    /// Instance name.
    pub name: String,
    /// The weight on the mean of the loss at this step; above 0.
    pub coefficient: f64,
    /// Loss per sample `[B]`, f32. It may be a constant, without a graph.
    pub loss: Tensor<1>,
    /// Weight on the denoising loss per sample `[B]`, f32.
    pub denoising_weight: Option<Tensor<1>>,
    /// Scalars for the log, `[1]`, f32, without autodiff: name and value.
    pub metrics: Vec<(String, Tensor<1>)>,
    /// New values of the source's buffers, without autodiff, for [`Buffers::commit`](super::Buffers::commit).
    pub buffers: Vec<(String, DispatchTensor)>,
}
