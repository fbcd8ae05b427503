//! Sums of processes of MPI, for the tests and to be timed:
//!
//! - `mpirun -n 3 sums-of-mpi check` compares sums of many lengths with what they should be;
//! - `mpirun -n 3 sums-of-mpi stop` stops the last rank in the middle of a sum, and prints whom the others miss;
//! - `mpirun -n 2 sums-of-mpi time 7200000` times sums of so many values; `time-mpi` times `MPI_Allreduce`.

use std::process::Command;
use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::traits::{Communicator, CommunicatorCollectives};
use sextant_train::reduce::mpi::Process;
use sextant_train::reduce::{Reduce, Wait};

/// Sums that are timed.
const TIMED: usize = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["check"] => check(),
        ["stop"] => stop(),
        ["time", count] => time(count.parse().expect("a number")),
        ["time-mpi", count] => time_mpi(count.parse().expect("a number")),
        _ => panic!("check, stop, time or time-mpi, and not {arguments:?}"),
    }
}

fn value(rank: usize, i: usize) -> f32 {
    ((rank * 31 + i * 7) as f32).sin() * 1e3
}

fn values(rank: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| value(rank, i)).collect()
}

fn check() {
    let mut process = Process::begin().expect("MPI");
    let (rank, ranks) = (process.rank(), process.ranks());
    let wait = Wait::Answer(Duration::from_secs(60));
    // Some shorter than there are ranks, some longer than what is added at once.
    let lengths = [
        0,
        1,
        2,
        3,
        4,
        5,
        29,
        1 << 17,
        (1 << 17) * ranks + 1,
        (1 << 18) * ranks - 1,
        1_000_003,
    ];
    let wanted = |count: usize| -> Vec<f32> {
        let sum = |i| (1..ranks).fold(value(0, i), |sum, r| sum + value(r, i));
        (0..count).map(sum).collect()
    };
    for count in lengths {
        let mut own = values(rank, count);
        process.sum(&mut own, wait).expect("all ranks");
        assert!(own == wanted(count), "rank {rank} of {ranks}: {count} values");
    }
    // Several under way.
    for count in lengths {
        process.add_up(values(rank, count), wait);
    }
    for count in lengths {
        assert!(process.summed().expect("all ranks") == wanted(count), "{count} values");
    }
    let told = process.gather(vec![7; rank], wait).expect("all ranks");
    assert!(told.iter().map(|told| told.len()).eq(0..ranks));
    if rank == 0 {
        println!("{} sums of {ranks} ranks are right", 2 * lengths.len());
    }
}

fn stop() {
    let mut process = Process::begin().expect("MPI");
    let (rank, ranks) = (process.rank(), process.ranks());
    let wait = Wait::Answer(Duration::from_secs(2));
    process.sum(&mut values(rank, 29), wait).expect("all ranks");
    let own = values(rank, 30_000_000);
    process.sum(&mut vec![1.0], wait).expect("all ranks");
    let began = Instant::now();
    process.add_up(own, wait);
    if rank + 1 == ranks {
        // A moment later, since a signal to the process stops all of its threads.
        std::thread::sleep(Duration::from_millis(10));
        let own = std::process::id().to_string();
        let _ = Command::new("kill").args(["-STOP", &own]).status();
    }
    let missing = process.summed().expect_err("nobody is missed").0;
    println!(
        "rank {rank} misses {missing:?} after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    // Until all have said it: the launcher ends all with the first.
    std::thread::sleep(Duration::from_secs(3));
    std::process::exit(3);
}

fn tell(rank: usize, what: &str, ranks: usize, count: usize, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    let [best, median] = [seconds[0], seconds[seconds.len() / 2]].map(|seconds| seconds * 1e3);
    if rank == 0 {
        println!("{what}, {count} values of {ranks} ranks: best {best:.1} ms, median {median:.1} ms");
    }
}

fn time(count: usize) {
    let mut process = Process::begin().expect("MPI");
    let (rank, ranks) = (process.rank(), process.ranks());
    let wait = Wait::Answer(Duration::from_secs(60));
    let mut own = values(rank, count);
    let seconds = (0..TIMED).map(|_| {
        // Together.
        process.sum(&mut vec![1.0], wait).expect("all ranks");
        let began = Instant::now();
        process.sum(&mut own, wait).expect("all ranks");
        began.elapsed().as_secs_f64()
    });
    let seconds = seconds.collect();
    tell(rank, "sum", ranks, count, seconds);
}

fn time_mpi(count: usize) {
    let universe = mpi::initialize().expect("MPI");
    let world = universe.world();
    let (rank, ranks) = (world.rank() as usize, world.size() as usize);
    let own = values(rank, count);
    let mut sum = vec![0f32; count];
    let seconds = (0..TIMED).map(|_| {
        world.barrier();
        let began = Instant::now();
        world.all_reduce_into(&own[..], &mut sum[..], SystemOperation::sum());
        began.elapsed().as_secs_f64()
    });
    let seconds = seconds.collect();
    tell(rank, "MPI_Allreduce", ranks, count, seconds);
}
