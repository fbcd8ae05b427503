//! All tests that go through the program, in one binary: each binary more would link and optimise all of burn once more, and
//! would run after the others instead of beside them. The tests share a process, so none may change its environment, its folder
//! or a static; what needs a process of its own starts the program.

mod abi;
mod architecture;
mod at_once;
mod bare;
mod bench;
mod checkpoints;
mod comparison;
mod controls;
mod data;
mod evaluation;
mod fid;
mod files;
#[cfg(unix)]
mod full_disk;
mod guide;
mod hostile;
mod imagenet;
mod input;
#[cfg(unix)]
mod interrupts;
mod kills;
mod lock;
mod memory;
#[cfg(feature = "mpi")]
mod mpi;
mod on_the_fly;
mod parity_diffusion;
mod parity_guidance;
mod parity_model;
mod parity_training;
mod plugin_check;
mod plugin_kit;
mod precision;
mod prepare;
mod ranks;
mod report;
mod resume;
mod runs;
mod samples;
mod sharded;
mod sources;
mod spread;
mod sweep;
#[cfg(feature = "wgpu")]
mod synchronisation;
mod vae;
mod warnings;
mod watching;
