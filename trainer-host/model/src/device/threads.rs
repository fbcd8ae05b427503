//! The threads that compute on the CPU.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Has this thread compute too, one of `count` in all; without a count, of as many as there are processors, or as `RAYON_NUM_THREADS` says.
///
/// A thread that only waits for others hands over each of the hundreds of operations of a training step, and is woken after it. Whatever
/// this one waits for must not need all the others: so it is left out where it would be the only one.
///
/// # Errors
/// Threads that the system does not give, or that compute already.
pub fn compute_here(count: Option<usize>) -> Result<(), rayon::ThreadPoolBuildError> {
    let set = || std::env::var("RAYON_NUM_THREADS").ok()?.parse().ok();
    let there = || available_parallelism().map_or(1, NonZeroUsize::get);
    let count = count.or_else(set).filter(|count| *count > 0).unwrap_or_else(there);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count);
    match count {
        1 => pool.build_global(),
        _ => pool.use_current_thread().build_global(),
    }
}
