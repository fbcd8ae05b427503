//! What the training loop hands to its sources in a step, and what it gets back.

use std::collections::BTreeMap;

use burn::backend::DispatchTensor;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use sextant_model::diffusion::Path;
use sextant_model::Sit;

/// One micro-batch of one optimiser step; B samples.
///
/// Tensors are on one device. Those with autodiff keep their graph: gradients of a source's loss reach `taps` and `output`.
/// The plain numbers are the same as the tensors beside them, so that reading them costs no synchronisation.
#[derive(Clone, Copy, Debug)]
pub struct GuidanceStep<'a> {
    /// Optimiser step, counted from 0.
    pub index: u64,
    /// Clean latents `[B, C, H, W]`.
    pub x: &'a Tensor<4>,
    /// Noise `[B, C, H, W]`.
    pub noise: &'a Tensor<4>,
    /// The student's input `[B, C, H, W]`.
    pub x_t: &'a Tensor<4>,
    /// Times `[B]`.
    pub t: &'a Tensor<1>,
    /// Velocity of the path `[B, C, H, W]`.
    pub velocity: &'a Tensor<4>,
    /// Labels before dropout `[B]`.
    pub labels: &'a Tensor<1, Int>,
    /// Labels after dropout `[B]`.
    pub dropped: &'a Tensor<1, Int>,
    /// The student's tokens `[B, T, D]`, by depth: at least those of [`Sources::student_depths`](super::Sources::student_depths).
    pub taps: &'a BTreeMap<usize, Tensor<3>>,
    /// The student's attention probabilities `[B, heads, T, T]`, by depth: at least those of
    /// [`Sources::attention_depths`](super::Sources::attention_depths).
    pub attention: &'a BTreeMap<usize, Tensor<4>>,
    /// The student's output `[B, C, H, W]`, where a source [needs it](super::Sources::needs_output).
    pub output: Option<&'a Tensor<4>>,
    /// Batch fields `[B, …]`, by name.
    pub fields: &'a BTreeMap<String, DispatchTensor>,
    /// Identities of the samples: B.
    pub ids: &'a [u64],
    /// Times: B.
    pub times: &'a [f32],
    /// Labels before dropout: B.
    pub label_values: &'a [i64],
    /// Labels after dropout: B.
    pub dropped_values: &'a [i64],
}

/// What sources may ask the host for in a step, besides tensor operations.
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
    /// Whether rows given to a network are padded to a few sizes, so that tuning and compilation do not start anew for each.
    pub pad_rows: bool,
    /// Added to by every forward pass.
    pub counters: &'a mut TeacherCounters,
}

/// Work of frozen networks on behalf of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TeacherCounters {
    /// Rows that sources asked for.
    pub rows: u64,
    /// Rows run beyond those, to fill up a size.
    pub padded_rows: u64,
    /// Forward passes.
    pub calls: u64,
    /// Wall time of the passes as the host saw it; on an asynchronous device the time to queue them.
    pub seconds: f64,
}

impl TeacherCounters {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.padded_rows += other.padded_rows;
        self.calls += other.calls;
        self.seconds += other.seconds;
    }
}

/// What one source answered.
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
