//! From the conventions of others to Sextant's: which one a file has, and its weights in ours.
//!
//! The original SiT has t = 1 for data, v = x - n and 2C outputs. In terms of its network f, ours is `-f(x, 1 - t, y)`, of the first
//! C outputs. All three can be had by weights alone. Outputs and sign are rows of the last Linear. Time enters by 256 sinusoids and a
//! Linear upon them, and
//!
//! ```text
//! cos((1 - t) w) = cos(w) cos(t w) + sin(w) sin(t w)
//! sin((1 - t) w) = sin(w) cos(t w) - cos(w) sin(t w)
//! ```
//!
//! so that the sinusoids of 1 - t are a linear map of those of t, which that Linear takes in. What comes out is a network like any
//! other: samplers, sources and losses need not know where it came from. In f32 the two differ by rounding.

use std::collections::BTreeMap;

use burn::tensor::{DType, TensorData};
use serde_json::{Map, Value};
use sextant_recipe::{Convention, Path, Prediction};

use super::error::Fault;
use super::geometry::Geometry;
use crate::network::config::TIME_FEATURES;

/// The first Linear of the time embedding.
pub(super) const TIME: &str = "t_embedder.mlp.0.weight";

/// The last Linear.
pub(super) const LAST: [&str; 2] = ["final_layer.linear.weight", "final_layer.linear.bias"];

/// The convention of a network: as it is asked for, or as the number of its outputs and the settings beside it tell.
pub(super) fn of(
    geometry: &Geometry,
    args: &Map<String, Value>,
    asked: Option<Convention>,
) -> Result<Convention, Fault> {
    let outputs = geometry.outputs_per_channel;
    let model = args.get("model").and_then(Value::as_str).unwrap_or_default();
    let found = match (outputs, asked) {
        (1, Some(Convention::Dit)) | (2, Some(Convention::Repa)) => {
            return Err(Fault::Network(format!(
                "its convention cannot be \"{}\": it has {outputs} outputs a channel",
                asked.map(Convention::key).unwrap_or_default()
            )));
        }
        (1 | 2, Some(asked)) => asked,
        (1, None) => Convention::Repa,
        (2, None) if model.starts_with("DiT") => Convention::Dit,
        (2, None) if model.starts_with("SiT") || args.contains_key("path_type") => Convention::Sit,
        (2, None) => {
            return Err(Fault::Network(
                "it has two outputs a channel, as the original SiT and DiT have, and nothing in it says which of the two it is: say \
                 convention = \"sit\" or \"dit\" (--convention on the command line)"
                    .into(),
            ));
        }
        _ => {
            return Err(Fault::Network(format!(
                "it has {outputs} outputs a channel, which no published SiT or DiT has"
            )));
        }
    };
    Ok(found)
}

/// The quantity that a network predicts and the path that it was trained on, where the settings beside it say so.
pub(super) fn diffusion(args: &Map<String, Value>) -> Result<(Option<Prediction>, Option<Path>), Fault> {
    let text = |key: &str| args.get(key).and_then(Value::as_str);
    let unknown = |key: &str, value: &str| {
        Fault::Network(format!(
            "its {key} is {value:?}, which Sextant has not: nothing could be sampled from it"
        ))
    };
    let prediction = match text("prediction") {
        None => None,
        Some("v" | "velocity") => Some(Prediction::Velocity),
        Some("noise") => Some(Prediction::Noise),
        Some(other) => return Err(unknown("prediction", other)),
    };
    let path = match text("path_type").or(text("path-type")) {
        None => None,
        Some("linear" | "Linear") => Some(Path::Linear),
        Some("cosine" | "GVP") => Some(Path::Cosine),
        Some(other) => return Err(unknown("path_type", other)),
    };
    Ok((prediction, path))
}

/// Makes the weights of an original SiT, which predicts `prediction`, those of a network of Sextant's convention.
pub(super) fn reverse(tensors: &mut BTreeMap<String, TensorData>, geometry: &Geometry, prediction: Prediction) {
    if let Some(time) = tensors.get_mut(TIME) {
        *time = reversed_time(time);
    }
    // Noise is noise whichever way time runs; the velocity turns round.
    let sign = if prediction == Prediction::Velocity { -1.0 } else { 1.0 };
    for name in LAST {
        if let Some(last) = tensors.get_mut(name) {
            *last = first_outputs(last, geometry, sign);
        }
    }
}

/// `[D, 256]`: the weights upon the sinusoids of t that those of 1 - t had.
fn reversed_time(weights: &TensorData) -> TensorData {
    let half = TIME_FEATURES / 2;
    let mut values: Vec<f64> = weights.iter::<f64>().collect();
    // As the embedding computes them, rounded to f32.
    let scale = -(10000f64.ln()) as f32;
    for row in values.chunks_mut(TIME_FEATURES) {
        for i in 0..half {
            let frequency = f64::from((scale * i as f32 / half as f32).exp());
            let (sine, cosine) = frequency.sin_cos();
            let (of_cosine, of_sine) = (row[i], row[half + i]);
            row[i] = of_cosine * cosine + of_sine * sine;
            row[half + i] = of_cosine * sine - of_sine * cosine;
        }
    }
    TensorData::new(values, weights.shape().clone()).convert_dtype(DType::F32)
}

/// Rows (row, column, channel) of the first C of 2C channels, times `sign`.
fn first_outputs(last: &TensorData, geometry: &Geometry, sign: f64) -> TensorData {
    let mut shape = last.shape().to_vec();
    let width: usize = shape[1..].iter().product();
    let (channels, outputs) = (
        geometry.in_channels,
        geometry.in_channels * geometry.outputs_per_channel,
    );
    let values: Vec<f64> = last.iter::<f64>().collect();
    let rows = values.chunks(width).enumerate();
    let kept = rows.filter(|(row, _)| row % outputs < channels);
    let kept: Vec<f64> = kept.flat_map(|(_, row)| row.iter().map(|value| sign * value)).collect();
    shape[0] /= geometry.outputs_per_channel;
    TensorData::new(kept, shape).convert_dtype(DType::F32)
}
