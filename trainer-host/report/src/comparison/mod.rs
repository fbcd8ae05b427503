//! From run folders to a [`Report`]: the runs that belong together, and what they are compared by.

mod assemble;
pub mod difference;
mod entry;
mod frame;
mod gather;
mod measured;
mod metric;
mod pictures;
pub mod protocol;
pub mod record;
#[cfg(test)]
mod report_tests;
mod speed_up;
#[cfg(test)]
mod verdict_tests;

use std::path::PathBuf;

pub use assemble::{assemble, write};
pub use entry::Entry;
pub use frame::{Request, distinct};
pub use gather::RunSet;

use crate::{Error, Report};

/// The report of finished runs: of a comparison's folder, of several, of single runs, put together. Writes nothing; see [`write()`].
///
/// # Errors
/// Folders without runs; runs that cannot be read or do not belong together, with what differs.
pub fn report(folders: &[PathBuf], request: &Request) -> Result<Report, Error> {
    let sets = folders.iter().map(|folder| RunSet::read(folder));
    let sets = sets.collect::<Result<Vec<_>, _>>()?;
    for set in &sets {
        for run in set.unlisted() {
            tracing::warn!(
                "{} is left out: it is not of the comparison that comparison.json describes; name it to have it in",
                run.display()
            );
        }
    }
    assemble::assemble(sets, request)
}
