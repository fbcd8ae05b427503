//! A disk that is full for the first rank, which writes: all end, within a time, with a message that names the file.

use std::path::Path;
use std::process::Command;

use super::super::full_disk::{Job, TRAIN, fill_of};
use super::of_ranks;
use sextant_tests::started_by;

/// Seconds after which ranks that have not ended hang.
const LIMIT: &str = "60";

const RANKS: Job = Job {
    name: "train on several ranks",
    kinds: &["run.json", "student.safetensors"],
    at: |pages| (1..8).step_by(2).map(|eighth| pages * eighth / 8).chain([1]).collect(),
    ..TRAIN
};

fn on_two(mut starter: Command, folder: &Path, arguments: &[&str]) -> Command {
    starter.args(["timeout", "--kill-after=5", LIMIT, "mpirun"]);
    started_by(of_ranks(starter, 2), folder, arguments)
}

#[test]
fn ranks_end_where_the_disk_of_the_first_is_full() {
    // Where no file may grow, mpirun itself does not begin.
    fill_of(&RANKS, on_two, &[]);
}
