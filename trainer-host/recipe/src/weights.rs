//! The weights of a checkpoint that are meant: the trained ones, or one of their moving averages.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One set of a checkpoint's weights. As text: `model`, `ema`, or `ema-0.999` for a further average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Weights {
    /// The trained weights.
    #[default]
    Model,
    /// Their moving average with `optimiser.ema_decay`.
    Ema,
    /// That with this decay, one of `optimiser.further_ema_decays`.
    FurtherEma(f64),
}

/// A text that names no weights.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} names no weights: use \"model\", \"ema\", or \"ema-DECAY\" for a further average, such as \"ema-0.999\""
)]
pub struct UnknownWeights(String);

impl Weights {
    /// Name of their file in a checkpoint.
    pub fn file_name(self) -> String {
        match self {
            Self::Model => "student.safetensors".into(),
            average => format!("{average}.safetensors"),
        }
    }
}

impl Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::Ema => f.write_str("ema"),
            Self::FurtherEma(decay) => write!(f, "ema-{decay}"),
        }
    }
}

impl FromStr for Weights {
    type Err = UnknownWeights;

    fn from_str(text: &str) -> Result<Self, UnknownWeights> {
        let further = |text: &str| text.strip_prefix("ema-")?.parse().ok().map(Self::FurtherEma);
        match text {
            "model" => Ok(Self::Model),
            "ema" => Ok(Self::Ema),
            _ => further(text).ok_or_else(|| UnknownWeights(text.into())),
        }
    }
}

impl TryFrom<String> for Weights {
    type Error = UnknownWeights;

    fn try_from(text: String) -> Result<Self, UnknownWeights> {
        text.parse()
    }
}

impl From<Weights> for String {
    fn from(weights: Weights) -> Self {
        weights.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_weights_is_read_back() {
        for weights in [Weights::Model, Weights::Ema, Weights::FurtherEma(0.9999)] {
            assert_eq!(weights.to_string().parse::<Weights>().unwrap(), weights);
        }
        for wrong in ["", "EMA", "ema-", "ema-fast", "0.999"] {
            assert!(wrong.parse::<Weights>().is_err(), "{wrong}");
        }
    }
}
