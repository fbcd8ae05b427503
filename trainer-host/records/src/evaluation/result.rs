//! Results of an evaluation, as plain data: `evaluation/*.json` of a run.

use serde::{Deserialize, Serialize};

use crate::ValidationLoss;

/// Everything that was measured of one network after its training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Optimiser steps of the network that was measured.
    pub step: u64,
    /// The judges, in the recipe's order; the first decides.
    pub judges: Vec<JudgeIdentity>,
    /// The set that samples are compared with in place of the data's training part, where the recipe names it.
    pub reference: Option<ReferenceIdentity>,
    /// Choice of the scale of classifier-free guidance.
    pub sweep: Option<ScaleSweep>,
    /// Scores by judge and scale: at scale 1 and, where it is another, at the chosen one. Empty where quality is not measured.
    pub quality: Vec<Quality>,
    /// Scores of real images against real images, by judge, with as many of them as there are samples. None where a reference is
    /// named and fewer images than that are held out.
    pub floors: Vec<Quality>,
    /// Copies of training images among the samples, at the chosen scale.
    pub copies: Option<Copies>,
    /// Content of each depth's tokens.
    pub representations: Option<Representations>,
    /// Why there are no representations although the recipe asks for them: a measure that is not defined for this network.
    pub trouble: Option<String>,
    /// Denoising loss on the fixed validation set. `sextant eval` measures it; a training has it in its own result.
    pub validation: Option<ValidationLoss>,
}

/// A network that judges samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgeIdentity {
    /// As the recipe names it.
    pub name: String,
    /// SHA-256 of its weights and architecture, in hexadecimal.
    pub fingerprint: String,
    /// Family, objective and width in words: `patch network, supervised on 58 subclasses, 64 features`.
    pub description: String,
}

/// A set of real images, or its statistics, that samples are compared with in place of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceIdentity {
    /// As the recipe names it.
    pub path: String,
    /// SHA-256 of its content, in hexadecimal.
    pub fingerprint: String,
    /// Its kind in words: `10000 images and statistics`.
    pub description: String,
}

/// Scores at several scales of classifier-free guidance on samples of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScaleSweep {
    /// The judge whose kernel distance decides.
    pub judge: String,
    /// Samples for each scale.
    pub samples: usize,
    /// One a scale, in rising order; none where the recipe names one scale and there is no kernel distance to choose by.
    pub points: Vec<SweepPoint>,
    /// The scale with the smallest kernel distance.
    pub chosen: f64,
}

/// One scale of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// Scale of classifier-free guidance; 1 is none.
    pub scale: f64,
    /// Kernel distance, unbiased.
    pub kernel: f64,
    /// Its standard error.
    pub kernel_error: f64,
}

/// The scores of one judge at one scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The judge's name.
    pub judge: String,
    /// Scale of classifier-free guidance; 1 is none. For a floor 1, and without meaning.
    pub scale: f64,
    /// Samples that were scored.
    pub samples: usize,
    /// Its scores.
    pub scores: Scores,
}

/// Distances of samples from the data, and how each covers the other. What takes rows of features is none against a reference of
/// statistics alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Frechet distance between Gaussians (FID in Inception's features); lower is better; biased upward where samples are few.
    pub frechet: f64,
    /// Kernel distance (KID): squared maximum mean discrepancy, unbiased; lower is better, and below 0 is noise.
    pub kernel: Option<f64>,
    /// Its standard error.
    pub kernel_error: Option<f64>,
    /// Share of samples within the data's manifold, 0 to 1.
    pub precision: Option<f64>,
    /// Share of the data within the samples' manifold, 0 to 1.
    pub recall: Option<f64>,
}

/// Nearness of samples to training images, in the pixels themselves (root mean square difference on the scale 0 to 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Copies {
    /// Samples that were looked at.
    pub samples: usize,
    /// Scale of classifier-free guidance that they were drawn with.
    pub scale: f64,
    /// Share of the samples that are copies, by `rule`.
    pub fraction: f64,
    /// Share of the held-out images that the same rule calls copies: the floor.
    pub held_out_fraction: f64,
    /// Median distance of a sample to its nearest training image.
    pub distance: f64,
    /// The same of held-out images.
    pub held_out_distance: f64,
    /// Median ratio of a sample's distances to the nearest training image and to the nearest of another group.
    pub ratio: f64,
    /// The same of held-out images.
    pub held_out_ratio: f64,
    /// The rule for a copy.
    pub rule: CopyRule,
}

/// The rule for a copy: it lies within `distance` of a training image, as only the nearest `quantile` of the held-out
/// images do, and at most `ratio` times as far from it as from the nearest training image of another group of
/// near-duplicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CopyRule {
    /// The largest distance of a copy, which the held-out images gave.
    pub distance: f64,
    /// The share of the held-out images within it, about.
    pub quantile: f64,
    /// The largest distance of a copy, in distances to the nearest image of another group.
    pub ratio: f64,
}

/// Content of each depth, at several times, with the null class fed to the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Representations {
    /// Training images on which probes were fitted.
    pub training: usize,
    /// Held-out images on which everything was measured.
    pub held_out: usize,
    /// Linear probes, by depth and time.
    pub probes: Vec<Probing>,
    /// The network that features were compared with, which guided nobody: a judge's name.
    pub compared_with: String,
    /// Alignment with it, by depth and time.
    pub alignment: Vec<Alignment>,
    /// Pictures of features, beside this file.
    pub maps: Vec<Map>,
}

/// A linear classifier on mean-pooled tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probing {
    /// Depth, 0 (the embedded patches) to the number of blocks.
    pub depth: usize,
    /// Time of the diffused images.
    pub t: f64,
    /// Accuracy on held-out images, 0 to 1.
    pub accuracy: f64,
    /// Accuracy of always naming the commonest class.
    pub chance: f64,
}

/// Likeness of what two networks see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// Depth, 0 to the number of blocks.
    pub depth: usize,
    /// Time of the diffused images; the other network sees them clean.
    pub t: f64,
    /// CKNNA with k = 10 (arXiv 2405.07987).
    pub cknna: f64,
}

/// One picture: images side by side, their tokens' first three principal components as red, green and blue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// Whose tokens.
    pub of: MapOf,
    /// Depth of the tokens.
    pub depth: usize,
    /// Time of the diffused images.
    pub t: f64,
    /// PNG file, below the run's folder `evaluation`.
    pub file: String,
    /// Share of the tokens' variance that the three components hold, 0 to 1.
    pub explained: f64,
}

/// Whose tokens a picture shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapOf {
    /// The images themselves, as they are and diffused (depth 0).
    Images,
    /// The trained network, with the null class.
    #[default]
    Student,
    /// The last phase's teacher, with the image's label.
    TeacherConditional,
    /// The teacher's features sharpened by classifier-free guidance, f_u + w (f_c - f_u).
    TeacherGuided,
}
