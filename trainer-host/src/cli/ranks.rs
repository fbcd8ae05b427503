//! The ranks that share a training: processes that mpirun starts, or several devices of this one.

use std::path::Path;
use std::time::Duration;

use burn::tensor::Device;

use super::{Command, ComputeArgs, commands, resume};
use crate::Error;
use sextant_interrupt as interrupt;
use sextant_model::device;
use sextant_recipe::{self as recipe, KeyError, Recipe};
use sextant_train::reduce::on_devices;
use sextant_train::{Options, Ranks};

/// One of several processes, as their launcher tells it.
struct Launched {
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
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"],
];

/// The launcher's word, where it has started several processes.
fn launched(variable: impl Fn(&str) -> Option<String>) -> Option<Launched> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    let [_, rank, local] = LAUNCHERS
        .iter()
        .find(|[size, ..]| number(size).is_some_and(|size| size > 1))?;
    Some(Launched {
        rank: number(rank).unwrap_or(0),
        local: number(local).unwrap_or(0),
    })
}

fn of_this_process() -> Option<Launched> {
    launched(|name| std::env::var(name).ok())
}

/// Has all processes but the first say nothing, where several are started together.
pub fn hush_others() {
    interrupt::hush(of_this_process().is_some_and(|launched| launched.rank > 0));
}

/// Does the work of a command. Of several processes the first does it, and the others take part in its trainings.
pub fn run(mut command: Command) -> Result<(), Error> {
    take_devices(&mut command);
    if of_this_process().is_none() {
        return commands::run(command);
    }
    let (compute, limit) = match &mut command {
        Command::Train(args) => (&mut args.compute, args.limit.max_time),
        Command::Compare(args) => (&mut args.compute, args.limit.max_time),
        Command::Sweep(args) => (&mut args.compute, args.limit.max_time),
        _ => {
            return Err(Error::Input(
                "several processes share a training (train, compare, sweep), and nothing else; start this command once, without mpirun"
                    .into(),
            ));
        }
    };
    compute.ranks = joined()?;
    let ranks = compute.ranks.clone();
    // What keeps one from beginning is known to all before anything is written.
    let options = options(compute, true, "").map_err(|error| KeyError(error.to_string()).into());
    let options = ranks.agreed_at_leisure::<_, sextant_train::Error>(options);
    if ranks.leads() {
        let done = options.map_err(Error::from).and_then(|_| commands::run(command));
        ranks.dismiss();
        return done;
    }
    // A request to stop is answered by all together.
    let _hold = interrupt::hold();
    commands::listen(limit)?;
    options.map_or(Ok(()), |options| followed(&options))
}

/// Has a training that is told of no device take those that its recipe names.
fn take_devices(command: &mut Command) {
    let (recipe, compute) = match command {
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
    if compute.device.is_none() && !named.is_empty() {
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
    let process = sextant_train::reduce::mpi::Process::begin().map_err(|error| Error::Failed(error.to_string()))?;
    let host = sextant_train::reduce::mpi::host();
    Ranks::join(Box::new(process), &host)
        .map_err(|missing| Error::Failed(format!("ranks {:?} did not begin", missing.0)))
}

#[cfg(not(feature = "mpi"))]
fn joined() -> Result<Ranks, Error> {
    Err(Error::Input(
        "mpirun, or srun, started several processes, and this binary was built without MPI: they would be as many trainings in one \
         folder; build it with --features mpi, or start it once (--device cuda:0,cuda:1 takes several devices of one machine)"
            .into(),
    ))
}

/// Follows the first rank.
fn followed(options: &Options) -> Result<(), Error> {
    let lost = match sextant_train::reduce::follow(options) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // The launcher ends all when one ends so, and the first has a step to save and something to say.
    std::thread::sleep(options.ranks.respite() + Duration::from_millis(100) * options.ranks.rank() as u32);
    interrupt::hush(false);
    Err(lost.into())
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

/// The name of this process's device: of several, the one of its place on its host.
pub fn device_of(compute: &ComputeArgs) -> Result<&str, Error> {
    let names = names(compute);
    match (&names[..], compute.ranks.count()) {
        ([name], _) => Ok(name),
        (_, 1) => Err(Error::Input(format!(
            "--device {}: several devices share a training (train, compare, sweep), and nothing else; name one",
            names.join(",")
        ))),
        (names, _) => Ok(names[of_this_process().map_or(0, |launched| launched.local) % names.len()]),
    }
}

/// The options of a training, whose batches several devices may share.
pub fn options(compute: &ComputeArgs, quiet: bool, label: &str) -> Result<Options, Error> {
    let names = names(compute);
    let [own, others @ ..] = &names[..] else {
        return commands::options(compute, quiet, label);
    };
    if others.is_empty() || compute.ranks.count() > 1 {
        return commands::options(compute, quiet, label);
    }
    let first = ComputeArgs {
        device: Some((*own).to_owned()),
        plugin_dir: compute.plugin_dir.clone(),
        ranks: Ranks::default(),
        ..*compute
    };
    let options = Options {
        device_name: names.join(","),
        ..commands::options(&first, quiet, label)?
    };
    let others = others.iter().map(|name| Ok((open(compute, name)?, (*name).to_owned())));
    let others = others.collect::<Result<Vec<_>, Error>>()?;
    on_devices(options, own, others).map_err(|error| Error::Failed(format!("a rank does not start: {error}")))
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
            launched(variable).map(|launched| (launched.rank, launched.local))
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
        assert_eq!(of(&openmpi), Some((5, 1)));
        assert_eq!(of(&[("PMI_SIZE", "2"), ("PMI_RANK", "1")]), Some((1, 0)));
        // A batch script of Slurm is one process, whatever it asks for.
        assert_eq!(of(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]), None);
    }
}
