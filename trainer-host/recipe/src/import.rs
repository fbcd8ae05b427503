//! Weights in files that something else may have written: how a recipe names them.

use serde::{Deserialize, Serialize};

use super::{KeyError, Weights};

/// Meaning of a network's input and output. Sextant's own is that of the published REPA trainers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Convention {
    /// Time 0 is data, the velocity is noise minus data, one output a channel: REPA and what descends from it.
    Repa,
    /// Time 1 is data, the velocity is data minus noise, two outputs a channel of which the first is the velocity: the original SiT,
    /// LayerSync, Dispersive Loss.
    Sit,
    /// A thousand steps of a variance-preserving diffusion, noise and its variance as outputs: DiT. Of such a network the trunk alone
    /// means something here.
    Dit,
}

impl Convention {
    /// As a recipe writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Repa => "repa",
            Self::Sit => "sit",
            Self::Dit => "dit",
        }
    }
}

/// Part of a file that a network must take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// Every parameter comes from the file, and the file has no other but projectors.
    #[default]
    All,
    /// Tensors of the name and shape of a parameter; the others stay as they were drawn. So another number of classes keeps the trunk,
    /// and another resolution has the position table of its own grid.
    Fits,
}

/// One set of weights in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The file, or the folder of a run's checkpoint.
    pub from: String,
    /// The weights that are meant, where there are several; by default the trained ones.
    pub weights: Option<Weights>,
    /// The convention, where the file does not tell.
    pub convention: Option<Convention>,
}

impl Import {
    /// The file itself: of the checkpoint of a run, a folder such as `step-000400`, that of the weights.
    pub fn file(&self) -> String {
        let name = self.from.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
        let step = name.and_then(|name| name.strip_prefix("step-"));
        match step.is_some_and(|step| !step.is_empty() && step.bytes().all(|digit| digit.is_ascii_digit())) {
            true => format!("{}/{}", self.from, self.weights.unwrap_or_default().file_name()),
            false => self.from.clone(),
        }
    }

    /// The weights that are meant within [`file`](Self::file): a checkpoint of a run has a file for each.
    pub fn within(&self) -> Option<Weights> {
        self.weights.filter(|_| self.file() == self.from)
    }

    pub(super) fn validate(&self) -> Result<(), KeyError> {
        match self.from.is_empty() {
            true => Err(KeyError(
                "from is empty; name a file (.pt, .pth or .safetensors) or a run's checkpoint".into(),
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_a_run_is_the_file_of_its_weights() {
        let import = |from: &str, weights| Import {
            from: from.into(),
            weights,
            convention: None,
        };
        let file = |from, weights| import(from, weights).file();
        let folder = "runs/a/phases/train/step-000400";
        assert_eq!(file(folder, None), format!("{folder}/student.safetensors"));
        assert_eq!(file(folder, Some(Weights::Ema)), format!("{folder}/ema.safetensors"));
        assert_eq!(import(folder, Some(Weights::Ema)).within(), None);
        assert_eq!(file("last.pt", Some(Weights::Ema)), "last.pt");
        assert_eq!(import("last.pt", Some(Weights::Ema)).within(), Some(Weights::Ema));
    }
}
