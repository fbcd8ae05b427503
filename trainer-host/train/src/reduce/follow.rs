//! The ranks behind the first: they take part in the runs that it carries out.

use std::io;
use std::path::PathBuf;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sextant_recipe::Recipe;
use sextant_records::RunFolder;

use super::collective::Connected;
use super::threads::threads;
use super::{Missing, Ranks, Reduce};
use crate::error::RankError;
use crate::{Error, Options, ProgressMode, Run};

/// Stack of a thread that computes: as large as a process's first.
const STACK: usize = 8 << 20;

/// A work to which the first rank calls all others.
#[derive(Serialize, Deserialize)]
enum Call {
    /// The training of a run.
    Training { recipe: Box<Recipe>, folder: PathBuf },
    /// Another, which whoever [follows](follow) knows.
    Other(Value),
}

/// Takes part in a work that is no training. How it ends is known to the first rank.
pub type TakePart = fn(Value, &Options);

impl Ranks {
    /// Has all others take part in the training of the run in `folder`, once each has made it ready.
    ///
    /// # Errors
    /// The reason that keeps one of them from it, with its name.
    pub(crate) fn begin(&self, recipe: &Recipe, folder: &RunFolder) -> Result<(), Error> {
        if self.count() == 1 {
            return Ok(());
        }
        self.be_patient(&recipe.ranks);
        let path = std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().into());
        self.call_to(&Call::Training {
            recipe: Box::new(recipe.clone()),
            folder: path,
        })?;
        self.agreed_at_leisure(Ok(()))
    }

    /// Has all others take part in a work that is no training, by the [`TakePart`] that they follow with.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn call(&self, work: Value) -> Result<(), RankError> {
        self.call_to(&Call::Other(work))
    }

    fn call_to(&self, call: &Call) -> Result<(), RankError> {
        let call = serde_json::to_vec(call).map_err(|error| RankError::Lost(error.to_string()))?;
        self.said(|| call)?;
        Ok(())
    }

    /// Lets the others go: no run comes any more.
    pub fn dismiss(&self) {
        if self.count() > 1 && self.leads() && !self.is_broken() {
            // Whoever is gone does not hear it.
            let _ = self.said(Vec::new);
        }
    }
}

/// Takes part in every training of the first rank, and by `other` in every other work, until that lets the others go.
///
/// # Errors
/// Ranks that are lost.
pub fn follow(options: &Options, other: TakePart) -> Result<(), Error> {
    let ranks = &options.ranks;
    loop {
        let call = ranks.said(Vec::new)?;
        if call.is_empty() {
            return Ok(());
        }
        match serde_json::from_slice(&call).map_err(|error| RankError::Lost(error.to_string()))? {
            Call::Training { recipe, folder } => {
                ranks.be_patient(&recipe.ranks);
                let made = Run::prepare(*recipe, options.clone());
                // How a run ends is known to the first, which says it.
                let _ = ranks
                    .agreed_at_leisure(made)
                    .and_then(|run| run.take_part(&RunFolder::new(folder)));
            }
            Call::Other(work) => other(work, options),
        }
        if let Some(words) = ranks.lost() {
            return Err(RankError::Lost(words).into());
        }
    }
}

/// Ranks of this process on several devices. `options` are those of the first, whose own device is named `own`; each of the others is a
/// thread that does `body` and shows nothing.
///
/// # Errors
/// A thread that the system does not start.
pub fn on_devices(
    options: Options,
    own: &str,
    others: Vec<(Device, String)>,
    body: impl Fn(Options) + Clone + Send + 'static,
) -> io::Result<Options> {
    let devices: Vec<Device> = std::iter::once(&options.device)
        .chain(others.iter().map(|(device, _)| device))
        .map(|device| device.clone().inner())
        .collect();
    let collective = Connected::of(devices);
    let links = threads(1 + others.len()).into_iter();
    let mut links = links.map(|link| link.with(collective.clone()));
    let first = links.next();
    for ((device, device_name), link) in others.into_iter().zip(links) {
        let other = Options {
            device,
            device_name,
            progress: ProgressMode::Quiet,
            among: None,
            ..options.clone()
        };
        let body = body.clone();
        let name = format!("rank {}", link.rank());
        std::thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn(move || {
                let ranks = Ranks::join(Box::new(link), &other.device_name);
                // Without the first there is nobody to hear of it.
                let _ = ranks.map(|ranks| body(Options { ranks, ..other }));
            })?;
    }
    let joined = |link| Ranks::join(Box::new(link), own);
    let ranks = first
        .map(joined)
        .transpose()
        .map_err(|Missing(ranks)| io::Error::other(format!("ranks {ranks:?} did not begin")))?;
    Ok(Options {
        ranks: ranks.unwrap_or_default(),
        ..options
    })
}
