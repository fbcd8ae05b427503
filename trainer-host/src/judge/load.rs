//! From the names in a recipe to judges.

use super::base::{Backbone, Judge};
use super::error::JudgeError;
use super::trained::Trained;
use super::untrained::Untrained;
use crate::data::Dataset;
use crate::encoder::Encoder;
use crate::error::Error;
use burn::tensor::Device;

/// The judge that ships inside the binary: `configs/judge.toml`, trained. At most 1.5 MB.
pub const EMBEDDED_JUDGE: &[u8] = include_bytes!("../../assets/judge.safetensors");

/// The judges that `evaluation.quality.judges` names, in that order: `"embedded"`, `"untrained"`, or the path of a file that
/// `sextant encoder train` wrote.
///
/// # Errors
/// A file that cannot be read, a judge that was trained on another split than the data's, a network named twice, data that is
/// not RGB.
pub fn load(names: &[String], dataset: &Dataset, device: &Device) -> Result<Vec<Judge>, Error> {
    let [channels, _, _] = dataset.shape();
    if channels != 3 {
        return Err(JudgeError::Channels(channels).into());
    }
    let mut judges: Vec<Judge> = Vec::with_capacity(names.len());
    for name in names {
        let judge = Judge::new(name, backbone(name, dataset, device)?, device);
        let same = |other: &&Judge| other.identity().fingerprint == judge.identity().fingerprint;
        if let Some(first) = judges.iter().find(same) {
            return Err(JudgeError::Twice {
                first: first.name().into(),
                second: name.clone(),
            }
            .into());
        }
        judges.push(judge);
    }
    Ok(judges)
}

fn backbone(name: &str, dataset: &Dataset, device: &Device) -> Result<Box<dyn Backbone>, JudgeError> {
    let encoder = match name {
        "untrained" => return Ok(Box::new(Untrained::new(device))),
        "embedded" => Encoder::from_bytes(EMBEDDED_JUDGE, name, device),
        path => Encoder::load(path, device),
    };
    let encoder = encoder.map_err(|source| JudgeError::Encoder {
        judge: name.into(),
        source,
    })?;
    let (trained, data) = (&encoder.origin().split, dataset.split_fingerprint());
    if *trained != data {
        let short = |hash: &str| hash.chars().take(12).collect();
        return Err(JudgeError::Split {
            judge: name.into(),
            trained: short(trained),
            data: short(&data),
        });
    }
    Ok(Box::new(Trained::new(encoder, dataset)))
}

/// An error where one of `judges` is the network that guides: weights are compared, not names or paths.
///
/// # Errors
/// The first judge that is the guide.
pub fn refuse_guide(judges: &[Judge], guide: Option<&Encoder>) -> Result<(), JudgeError> {
    let Some(fingerprint) = guide.map(Encoder::fingerprint) else {
        return Ok(());
    };
    match judges.iter().find(|judge| judge.identity().fingerprint == fingerprint) {
        Some(judge) => Err(JudgeError::Guide {
            judge: judge.name().into(),
        }),
        None => Ok(()),
    }
}
