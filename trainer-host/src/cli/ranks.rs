//! The ranks that share a training: processes that mpirun starts, or several devices of this one.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use burn::tensor::Device;

use super::sweep::SweepArgs;
use super::{Command, CompareArgs, ComputeArgs, TrainArgs, commands, log, resume};
use crate::{Error, compare};
use sextant_evaluation as evaluation;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_recipe::{self as recipe, KeyError, Recipe};
use sextant_train::reduce::{Watched, follow, on_devices};
use sextant_train::{Options, ProgressMode, RankError, Ranks};

/// One of several processes, as their launcher tells it.
struct Launched {
    /// How many there are.
    count: usize,
    /// Its number, from 0.
    rank: usize,
    /// Its number among those of its host.
    local: usize,
}

/// The variables by which launchers tell how many processes there are, which one this is, and which of its host: of Open MPI, of
/// MPICH and its relatives, and of a step of Slurm.
const LAUNCHERS: [[&str; 3]; 3] = [
    [
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
    ],
    ["PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"],
    // Slurm's own number within the host is there too where it starts processes of either of the others' kind.
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"],
];

/// The launcher's word, where it has started several processes.
fn launched(variable: impl Fn(&str) -> Option<String>) -> Option<Launched> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    let of_several = |size| number(size).filter(|count| *count > 1);
    let mut launchers = LAUNCHERS.iter();
    let (count, [_, rank, local]) = launchers.find_map(|names| Some((of_several(names[0])?, names)))?;
    let [.., [_, _, of_slurm]] = LAUNCHERS;
    Some(Launched {
        count,
        rank: number(rank).unwrap_or(0),
        local: number(local).or_else(|| number(of_slurm)).unwrap_or(0),
    })
}

fn of_this_process() -> Option<Launched> {
    launched(|name| std::env::var(name).ok())
}

/// Has all processes but the first say nothing, where several are started together.
pub fn hush_others() {
    interrupt::hush(of_this_process().is_some_and(|launched| launched.rank > 0));
}

/// Does the work of a command. Of several processes the first does it, and the others take part in what ranks share.
pub fn run(mut command: Command) -> Result<(), Error> {
    take_devices(&mut command);
    if of_this_process().is_none() {
        return commands::run(command);
    }
    let (compute, groups, limit) = match &mut command {
        Command::Train(args) => (&mut args.compute, NonZeroUsize::MIN, args.limit.max_time),
        Command::Eval(args) => (&mut args.compute, NonZeroUsize::MIN, args.limit.max_time),
        Command::Compare(args) => (&mut args.compute, args.groups.groups, args.limit.max_time),
        Command::Sweep(args) => (&mut args.compute, args.groups.groups, args.limit.max_time),
        Command::Sample(args) => {
            args.ranks = joined()?;
            let ranks = args.ranks.clone();
            let _hold = (!ranks.leads()).then(interrupt::hold);
            let done = commands::run(command);
            leave(&ranks);
            return match ranks.leads() {
                true => done,
                false => ended(&ranks, ranks.lost()),
            };
        }
        _ => {
            return Err(Error::Input(
                "several processes share a training or an evaluation (train, compare, sweep, sample, eval), and nothing else; start this \
                 command once, without mpirun"
                    .into(),
            ));
        }
    };
    let world = joined()?;
    // What keeps one from beginning is known to all before anything is written.
    let options = options(compute, true, "").map_err(|error| KeyError(error.to_string()).into());
    let options = world.agreed_at_leisure::<_, sextant_train::Error>(options.and_then(|options| {
        check_groups(world.count(), groups)?;
        Ok(options)
    }));
    if !world.leads() {
        // A request to stop is answered by all together.
        let _hold = interrupt::hold();
        commands::listen(limit)?;
        let Ok(options) = options else { return Ok(()) };
        let ranks = world.clone();
        let done = taken_part(Options { ranks, ..options }, groups);
        leave(&world);
        return ended(&world, done.err());
    }
    options.map_err(Error::from)?;
    (compute.ranks, compute.firsts) = grouped(&world, groups)?;
    let (own, firsts) = (compute.ranks.clone(), compute.firsts.clone());
    let done = commands::run(command);
    firsts.dismiss();
    own.dismiss();
    leave(&world);
    done
}

/// Ends a process's part in a world. Of one that is broken no end is made: MPI would wait for all, and nobody hear of the reason meanwhile.
fn leave(world: &Ranks) {
    if world.is_broken() {
        std::mem::forget(world.clone());
    }
}

/// Takes part in the work of the first rank of all: as one of the ranks behind that of its group, or as the first of another group.
fn taken_part(options: Options, groups: NonZeroUsize) -> Result<(), String> {
    let words = |error: &dyn Display| error.to_string();
    let (ranks, firsts) = grouped(&options.ranks, groups).map_err(|error| words(&error))?;
    let options = Options { ranks, ..options };
    if firsts.count() == 1 {
        return follow(&options, evaluation::take_part).map_err(|error| words(&error));
    }
    // Of threads the first has the log of all.
    let log = match of_this_process() {
        Some(_) => log::write_to,
        None => log::write_own_to,
    };
    let done = compare::lead(&firsts, &options, log);
    options.ranks.dismiss();
    done.map_err(|error| words(&error))
}

/// The end of a rank behind the first, with those that are lost, in words.
fn ended(ranks: &Ranks, lost: Option<String>) -> Result<(), Error> {
    let Some(lost) = lost else { return Ok(()) };
    // The launcher ends all when one ends so, and the first has a step to save and something to say.
    if ranks.is_broken() && !ranks.is_headless() {
        std::thread::sleep(ranks.patience());
    }
    in_turn(ranks);
    interrupt::hush(false);
    Err(Error::Failed(lost))
}

/// Waits, the later ranks longer, so that one of them speaks before all end.
fn in_turn(ranks: &Ranks) {
    std::thread::sleep(Duration::from_millis(100) * ranks.rank() as u32);
}

/// Checks that the ranks can be cut into so many groups.
fn check_groups(count: usize, groups: NonZeroUsize) -> Result<(), KeyError> {
    if count.is_multiple_of(groups.get()) {
        return Ok(());
    }
    let counts = (1..=count).filter(|groups| count.is_multiple_of(*groups));
    let counts: Vec<String> = counts.map(|groups| groups.to_string()).collect();
    Err(KeyError(format!(
        "--groups {groups}: {count} {} cannot be cut into groups of equally many; there can be {}",
        if count == 1 { "rank" } else { "ranks" },
        counts.join(", ")
    )))
}

/// The group of this rank, and the first ranks of all groups, if it is one of them.
fn grouped(world: &Ranks, groups: NonZeroUsize) -> Result<(Ranks, Ranks), RankError> {
    match groups.get() {
        1 => Ok((world.clone(), Ranks::default())),
        groups => world.in_groups(groups),
    }
}

/// Has a training that is told of no device take those that its recipe names.
fn take_devices(command: &mut Command) {
    let (recipe, compute) = match command {
        Command::Train(TrainArgs { compute, .. })
        | Command::Compare(CompareArgs { compute, .. })
        | Command::Sweep(SweepArgs { compute, .. })
            if compute.device.is_some() =>
        {
            return;
        }
        Command::Train(args) => {
            let recipe = match (&args.resume, &args.recipe) {
                (Some(resume), _) => resume::recipe(args, resume),
                (None, Some(path)) => recipe_of(path, &args.set, args.variant.as_deref()),
                (None, None) => return,
            };
            (recipe, &mut args.compute)
        }
        Command::Compare(args) => (recipe_of(&args.recipe, &args.set, None), &mut args.compute),
        Command::Sweep(args) => (recipe_of(&args.recipe, &args.set, None), &mut args.compute),
        _ => return,
    };
    // A recipe that cannot be read says so when the command reads it.
    let named = recipe.map(|recipe| recipe.ranks.devices).unwrap_or_default();
    if !named.is_empty() {
        compute.device = Some(named.join(","));
        compute.of_recipe = true;
    }
}

/// A variant of a recipe, or its base.
fn recipe_of(path: &Path, set: &[String], variant: Option<&str>) -> Result<Recipe, Error> {
    let file = recipe::load(path, set)?;
    Ok(match variant {
        Some(name) => file.variant(file.find_variant(name)?)?,
        None => file.base()?,
    })
}

#[cfg(feature = "mpi")]
fn joined() -> Result<Ranks, Error> {
    use sextant_train::reduce::Reduce as _;
    let process = sextant_train::reduce::mpi::Process::begin().map_err(|error| Error::Failed(error.to_string()))?;
    let (launched, joined) = (of_this_process().map_or(1, |launched| launched.count), process.ranks());
    if launched != joined {
        return Err(Error::Input(format!(
            "{launched} processes were started together, and this program's library of MPI knows of {joined}: start it with the mpirun of that \
             library, or with `srun --mpi=pmix`"
        )));
    }
    let host = sextant_train::reduce::mpi::host();
    Ranks::join(Box::new(process), &host)
        .map_err(|missing| Error::Failed(format!("ranks {:?} did not begin", missing.0)))
}

#[cfg(not(feature = "mpi"))]
fn joined() -> Result<Ranks, Error> {
    let count = of_this_process().map_or(1, |launched| launched.count);
    Err(Error::Input(format!(
        "mpirun, or srun, started {count} processes, and this binary was built without MPI: they would be as many trainings in one \
         folder; build it with --features mpi, or start it once (--device cuda:0,cuda:1 takes several devices of one machine)"
    )))
}

/// The devices that are named.
pub fn names(compute: &ComputeArgs) -> Vec<&str> {
    compute.device.as_deref().unwrap_or("auto").split(',').collect()
}

/// Opens a device of this name.
pub fn open(compute: &ComputeArgs, name: &str) -> Result<Device, Error> {
    let opened = device::open(name);
    let opened = opened.map_err(|error| {
        if compute.of_recipe {
            error.of_key("ranks.devices")
        } else {
            error
        }
    });
    Ok(opened?)
}

/// The name of this process's device: of several, the one of its place on its host, whether they are named or not.
pub fn device_of(compute: &ComputeArgs) -> Result<String, Error> {
    let names = names(compute);
    match (&names[..], of_this_process()) {
        ([name], None) => Ok((*name).to_owned()),
        ([name], Some(launched)) => Ok(device::name_at(name, launched.local)),
        (names, Some(launched)) => Ok(names[launched.local % names.len()].to_owned()),
        (_, None) => Err(Error::Input(format!(
            "--device {}: several devices share a training or an evaluation (train, compare, sweep, sample, eval of a network), and nothing \
             else; name one",
            names.join(",")
        ))),
    }
}

/// The options of a training or an evaluation, which several devices may share.
pub fn options(compute: &ComputeArgs, quiet: bool, label: &str) -> Result<Options, Error> {
    Ok(in_groups(compute, NonZeroUsize::MIN, quiet, label)?.0)
}

/// The options of runs that so many groups of ranks share, for the first group; and the first ranks of all.
pub fn in_groups(
    compute: &ComputeArgs,
    groups: NonZeroUsize,
    quiet: bool,
    label: &str,
) -> Result<(Options, Ranks), Error> {
    let shown = |options: Options| match options.progress {
        _ if groups.get() == 1 => options,
        ProgressMode::Quiet => options,
        _ => Options {
            progress: ProgressMode::Lines,
            ..options
        },
    };
    let names = names(compute);
    let [own, others @ ..] = &names[..] else {
        return Ok((commands::options(compute, quiet, label)?, Ranks::default()));
    };
    if of_this_process().is_some() {
        return Ok((shown(commands::options(compute, quiet, label)?), compute.firsts.clone()));
    }
    let first = ComputeArgs {
        device: Some((*own).to_owned()),
        plugin_dir: compute.plugin_dir.clone(),
        ranks: Ranks::default(),
        firsts: Ranks::default(),
        ..*compute
    };
    let options = shown(Options {
        device_name: names.join(","),
        ..commands::options(&first, quiet, label)?
    });
    if others.is_empty() {
        check_groups(1, groups)?;
        return Ok((options, Ranks::default()));
    }
    check_groups(names.len(), groups)?;
    let others = others.iter().map(|name| Ok((open(compute, name)?, (*name).to_owned())));
    let others = others.collect::<Result<Vec<_>, Error>>()?;
    let progress = options.progress;
    let first = Arc::new(OnceLock::new());
    let seen = first.clone();
    let options = on_devices(options, own, others, move |options| {
        beside(options, groups, progress, &seen);
    });
    let options = options.map_err(|error| Error::Failed(format!("a rank does not start: {error}")))?;
    let _ = first.set(options.ranks.watched());
    let (ranks, firsts) = grouped(&options.ranks, groups)?;
    Ok((Options { ranks, ..options }, firsts))
}

/// Does a work on every device of `names`, which begins and ends alike on all; answers how it ended for the first.
///
/// # Errors
/// A device that is not there, a thread that the system does not start; as `work`.
pub fn on_all(
    names: &str,
    options: impl Fn(&str) -> Result<Options, Error>,
    work: impl Fn(Options) -> Result<(), Error> + Clone + Send + 'static,
) -> Result<(), Error> {
    let mut names = names.split(',');
    let own = names.next().unwrap_or_default();
    let first = options(own)?;
    let others = names.map(|name| Ok((device::open(name)?, name.to_owned())));
    let others = others.collect::<Result<Vec<_>, Error>>()?;
    if others.is_empty() {
        return work(first);
    }
    let beside = work.clone();
    let options = on_devices(first, own, others, move |options| {
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
            // The first says how it ended.
            let _ = beside(options);
        });
    });
    work(options.map_err(|error| Error::Failed(format!("a rank does not start: {error}")))?)
}

/// Does the work of a thread beside the `first` rank.
fn beside(options: Options, groups: NonZeroUsize, progress: ProgressMode, first: &OnceLock<Watched>) {
    let leads = options.ranks.rank().is_multiple_of(options.ranks.count() / groups);
    let options = match leads {
        true => Options { progress, ..options },
        false => options,
    };
    let ranks = options.ranks.clone();
    let take_part = || {
        let Err(words) = taken_part(options, groups) else {
            return;
        };
        if !ranks.is_headless() {
            return;
        }
        // It may come back to end all by itself, with what it has to save. A thread that stands still nobody can end, but with the process.
        std::thread::sleep(ranks.patience());
        in_turn(&ranks);
        if first.get().is_some_and(Watched::is_there) {
            interrupt::say(&format!("error: {words}"));
            interrupt::end(1);
        }
    };
    match leads {
        true => take_part(),
        // The first logs.
        false => tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), take_part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_is_known_by_its_variables() {
        let of = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                set.iter()
                    .find(|(own, _)| *own == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            launched(variable).map(|launched| (launched.count, launched.rank, launched.local))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("OMPI_COMM_WORLD_SIZE", "1"), ("OMPI_COMM_WORLD_RANK", "0")]),
            None
        );
        let openmpi = [
            ("OMPI_COMM_WORLD_SIZE", "8"),
            ("OMPI_COMM_WORLD_RANK", "5"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
        ];
        assert_eq!(of(&openmpi), Some((8, 5, 1)));
        let pmi = [("PMI_SIZE", "2"), ("PMI_RANK", "1")];
        assert_eq!(of(&pmi), Some((2, 1, 0)));
        assert_eq!(of(&[&pmi[..], &[("SLURM_LOCALID", "3")]].concat()), Some((2, 1, 3)));
        // A batch script of Slurm is one process, whatever it asks for.
        assert_eq!(of(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
    }
}
