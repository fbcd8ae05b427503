//! The ranks behind the first: they take part in the runs that it carries out.

use std::io;
use std::path::PathBuf;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use sextant_recipe::Recipe;
use sextant_records::RunFolder;

use super::collective::Connected;
use super::threads::threads;
use super::{Missing, Ranks, Reduce};
use crate::error::RankError;
use crate::{Error, Options, ProgressMode, Run};

/// Stack of a thread that computes: as large as a process's first.
const STACK: usize = 8 << 20;

/// A run that is to be trained.
#[derive(Serialize, Deserialize)]
struct Begun {
    recipe: Recipe,
    folder: PathBuf,
}

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
        let begun = Begun {
            recipe: recipe.clone(),
            folder: path,
        };
        let begun = serde_json::to_vec(&begun).map_err(|error| RankError::Lost(error.to_string()))?;
        self.said(|| begun)?;
        self.agreed_at_leisure(Ok(()))
    }

    /// Lets the others go: no run comes any more.
    pub fn dismiss(&self) {
        if self.count() > 1 && self.leads() && !self.is_broken() {
            // Whoever is gone does not hear it.
            let _ = self.said(Vec::new);
        }
    }
}

/// Takes part in every run of the first rank, until that lets the others go.
///
/// # Errors
/// Ranks that are lost.
pub fn follow(options: &Options) -> Result<(), Error> {
    let ranks = &options.ranks;
    loop {
        let begun = ranks.said(Vec::new)?;
        if begun.is_empty() {
            return Ok(());
        }
        let made = serde_json::from_slice::<Begun>(&begun)
            .map_err(|error| RankError::Lost(error.to_string()).into())
            .and_then(|Begun { recipe, folder }| {
                ranks.be_patient(&recipe.ranks);
                Ok((Run::prepare(recipe, options.clone())?, RunFolder::new(folder)))
            });
        // How a run ends is known to the first, which says it.
        let _ = ranks
            .agreed_at_leisure(made)
            .and_then(|(run, folder)| run.train(&folder));
        if let Some(words) = ranks.lost() {
            return Err(RankError::Lost(words).into());
        }
    }
}

/// Ranks of this process on several devices. `options` are those of the first, whose own device is named `own`; each of the others is a
/// thread that follows.
///
/// # Errors
/// A thread that the system does not start.
pub fn on_devices(options: Options, own: &str, others: Vec<(Device, String)>) -> io::Result<Options> {
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
        let name = format!("rank {}", link.rank());
        std::thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn(move || {
                // The first logs.
                tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
                    let ranks = Ranks::join(Box::new(link), &other.device_name);
                    // Without the first there is nobody to hear of it.
                    let _ = ranks.map(|ranks| follow(&Options { ranks, ..other }));
                });
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
