//! A comparison or a sweep that is spread over groups of ranks. Each carries out every N-th run, as if its ranks were all.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::PlannedRun;
use crate::Error;
use sextant_interrupt as interrupt;
use sextant_recipe::Recipe;
use sextant_records::LockError;
use sextant_train::reduce::Crossing;
use sextant_train::{Options, RankError, Ranks};

/// The runs' purpose, which decides what is done of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A comparison: they are trained and evaluated, and what another process holds is left to it.
    Comparison,
    /// A sweep: they are trained, all by the same command.
    Sweep,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// It is finished.
    Done,
    /// It failed, for this reason, which its folder has too.
    Failed(String),
    /// Another process is at it: its message.
    Held(String),
}

/// Runs, as the first rank of all hands them to the first of each group.
#[derive(Serialize, Deserialize)]
struct Handed {
    purpose: Purpose,
    runs: Vec<HandedRun>,
}

/// A run that is ready, without what belongs to the group that carries it out.
#[derive(Serialize, Deserialize)]
pub struct HandedRun {
    pub name: String,
    pub folder: PathBuf,
    pub recipe: Recipe,
    pub label: String,
    pub first: bool,
}

/// Carries out `runs`, each by one of the groups whose first ranks `firsts` are; this is the first of them. Answers the end of each. `begins` is
/// told before the first of the own runs begins, `entering` is told the folder of each.
///
/// # Errors
/// Anything that must end all: an interrupt, a folder that cannot be written, ranks that are lost.
pub fn spread(
    firsts: &Ranks,
    purpose: Purpose,
    runs: &[PlannedRun],
    begins: impl FnOnce() -> Result<(), Error>,
    entering: &impl Fn(&Path),
) -> Result<Vec<Ended>, Error> {
    // The other groups may have something to save yet, once this one has been asked to stop.
    let _hold = (firsts.count() > 1).then(interrupt::hold);
    be_patient(firsts, runs);
    if firsts.count() > 1 {
        let runs = runs.iter().map(PlannedRun::handed).collect();
        let handed = serde_json::to_vec(&Handed { purpose, runs }).map_err(lost)?;
        firsts.said(|| handed)?;
    }
    let ends = shared(firsts, carry_out(firsts, purpose, runs, begins, entering))?;
    let mut ends: Vec<_> = ends.into_iter().map(Vec::into_iter).collect();
    let groups = ends.len();
    Ok((0..runs.len()).filter_map(|run| ends[run % groups].next()).collect())
}

/// Leads a group other than the first: carries out its share of what the first rank hands out, until that lets it go.
///
/// # Errors
/// Ranks that are lost.
pub fn lead(firsts: &Ranks, options: &Options, entering: impl Fn(&Path)) -> Result<(), Error> {
    loop {
        let handed = firsts.said(Vec::new)?;
        if handed.is_empty() {
            return Ok(());
        }
        let Handed { purpose, runs } = serde_json::from_slice(&handed).map_err(lost)?;
        let runs: Vec<PlannedRun> = runs.into_iter().map(|run| PlannedRun::taken(run, options)).collect();
        be_patient(firsts, &runs);
        let ended = carry_out(firsts, purpose, &runs, || Ok(()), &entering);
        // What ends all is known to the first, which says it.
        let _ = shared(firsts, ended);
        if let Some(words) = firsts.lost() {
            return Err(RankError::Lost(words).into());
        }
    }
}

/// Groups wait for each other as long as the ranks of the first run do.
fn be_patient(firsts: &Ranks, runs: &[PlannedRun]) {
    if let Some(run) = runs.first() {
        firsts.be_patient(&run.recipe().ranks);
    }
}

/// The ends of the runs of each group, in the order of groups.
fn shared(firsts: &Ranks, own: Result<Vec<Ended>, Error>) -> Result<Vec<Vec<Ended>>, Error> {
    let own = firsts.agreed_at_leisure(own)?;
    let ends = firsts.gather(serde_json::to_vec(&own).map_err(lost)?)?;
    ends.iter()
        .map(|ends| serde_json::from_slice(ends).map_err(lost))
        .collect()
}

/// Carries out the runs of this rank's group, one after another. Where there are others, what ends one run does not end theirs.
fn carry_out(
    firsts: &Ranks,
    purpose: Purpose,
    runs: &[PlannedRun],
    begins: impl FnOnce() -> Result<(), Error>,
    entering: &impl Fn(&Path),
) -> Result<Vec<Ended>, Error> {
    let mut begins = Some(begins);
    let mut ends: Vec<Option<Ended>> = Vec::new();
    let own = runs.iter().skip(firsts.rank()).step_by(firsts.count());
    // What is held is asked for once more at the end: it may be finished by then, or its process dead.
    let mut left: VecDeque<(usize, &PlannedRun, bool)> =
        own.enumerate().map(|(place, run)| (place, run, false)).collect();
    ends.resize(left.len(), None);
    while let Some((place, run, again)) = left.pop_front() {
        let ended = match run.lock() {
            Ok(lock) => {
                if let Some(begins) = begins.take() {
                    begins()?;
                }
                match purpose {
                    Purpose::Comparison => run.carry_out(&lock, entering),
                    Purpose::Sweep => run.train(&lock, entering).map(|ended| ended.map(|_| ())),
                }
            }
            Err(LockError::Held { .. }) if purpose == Purpose::Comparison && !again => {
                tracing::warn!(
                    "variant {}: another process is at it; the others come first",
                    run.name()
                );
                left.push_back((place, run, true));
                continue;
            }
            Err(held @ LockError::Held { .. }) if purpose == Purpose::Comparison => {
                ends[place] = Some(Ended::Held(held.to_string()));
                continue;
            }
            Err(other) => Err(other.into()),
        };
        ends[place] = Some(match ended {
            Err(error) if firsts.count() == 1 || run.ends_others(&error) => return Err(error),
            Ok(Ok(())) => Ended::Done,
            Ok(Err(error)) | Err(error) => Ended::Failed(error.to_string()),
        });
    }
    Ok(ends.into_iter().flatten().collect())
}

fn lost(error: serde_json::Error) -> Error {
    RankError::Lost(error.to_string()).into()
}

impl Crossing for Error {
    fn is_stop(&self) -> bool {
        self.is_interrupt()
    }
}
