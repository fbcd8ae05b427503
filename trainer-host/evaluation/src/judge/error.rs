//! Errors of a judge.

use sextant_data::DataError;
use sextant_model::checkpoint::CheckpointError;
use sextant_model::encoder::EncoderError;
use sextant_stats::measure::MeasureError;

/// A judge that cannot be had, or that must not judge.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// A judge's file cannot be read.
    #[error("evaluation.quality.judges names {judge:?}, which cannot be read: {source}")]
    Encoder {
        /// As the recipe names it.
        judge: String,
        /// The fault of the file.
        source: EncoderError,
    },
    /// The file of an Inception network cannot be read.
    #[error("evaluation.quality.judges names {judge:?}, which cannot be read: {source}")]
    Inception {
        /// As the recipe names it.
        judge: String,
        /// The fault of the file.
        source: CheckpointError,
    },
    /// A judge saw images that this data holds out, or another set altogether.
    #[error(
        "evaluation.quality.judges names {judge:?}, which was trained on another split (its {trained}, the data's {data}), \
         so it may have seen held-out images; set data.split_seed to its recipe's, or train one for this data with \
         `sextant encoder train`"
    )]
    Split {
        /// As the recipe names it.
        judge: String,
        /// Fingerprint of the judge's split, shortened.
        trained: String,
        /// Fingerprint of the data's split, shortened.
        data: String,
    },
    /// Two names of one network, which would count its opinion twice.
    #[error("evaluation.quality.judges names {first:?} and {second:?}, which are the same network; leave one out")]
    Twice {
        /// The earlier name.
        first: String,
        /// The later name.
        second: String,
    },
    /// A judge that is an encoder as well.
    #[error(
        "evaluation.quality.judges names {judge:?}, but encoder.weights is the same network: samples that it guided would be \
         judged by it; name another judge, such as \"embedded\" or \"untrained\""
    )]
    TargetEncoder {
        /// As the recipe names the judge.
        judge: String,
    },
    /// Bytes that are no whole images.
    #[error("{bytes} bytes are no whole RGB images of {side} x {side} pixels, {image} bytes each, or none")]
    Pixels {
        /// Bytes given.
        bytes: usize,
        /// Pixels a side.
        side: usize,
        /// Bytes of one image.
        image: usize,
    },
    /// Images that cannot be read, or made of latents.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A judge's features of some images are not finite, or too few for a measure.
    #[error("judge {judge:?}: {source}")]
    Measure {
        /// As the recipe names it.
        judge: String,
        /// Why there is no number.
        source: MeasureError,
    },
}
