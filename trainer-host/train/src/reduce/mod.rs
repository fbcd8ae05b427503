//! Ranks: several workers, each with its slice of every batch, whose run is the one of a single worker.
//!
//! [`Reduce`] is what carries bytes between them, and adds gradients up; [`Ranks`] is what the loop sees: one word of all on each step,
//! and what the first rank does for all. A world of one has neither.

mod collective;
mod follow;
mod group;
#[cfg(feature = "mpi")]
pub mod mpi;
mod ranks;
pub mod shards;
mod step;
mod sums;
pub mod threads;
mod turns;
mod word;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use collective::{Collective, Summed};
pub use follow::{TakePart, follow, on_devices};
#[cfg(test)]
pub(crate) use ranks::tests::on_ranks;
pub use ranks::{Ranks, Watched};
pub(crate) use ranks::{check, cut};
pub use shards::Shards;
pub use turns::Wanted;
pub use word::Crossing;

/// Bytes from one rank to another. Several ranks may be sent the same.
pub type Message = Arc<Vec<u8>>;

/// The time that others are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// They are about to answer: they are lost if they have not by then.
    Answer(Duration),
    /// They have something to do first, for hours maybe: they are lost if they do not live any more, and have not for so long.
    Life(Duration),
}

/// Ranks that did not answer in time, or are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<usize>);

/// One rank's way to the others.
///
/// Sums are added in the order of ranks, and each part of one by one rank alone: so all ranks have the same bits, and every run with as
/// many ranks has them again.
pub trait Reduce: Send {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn ranks(&self) -> usize;

    /// Sends `messages[r]` to every other rank r, and answers what each has sent here, which are `lengths[r]` bytes. What is empty is not
    /// sent, and what has no bytes not waited for.
    ///
    /// # Errors
    /// Ranks that do not answer. Nothing can be exchanged after that.
    fn exchange(&mut self, messages: Vec<Message>, lengths: Vec<usize>, wait: Wait) -> Result<Vec<Message>, Missing>;

    /// The bytes of every rank, in their order.
    ///
    /// # Errors
    /// Ranks that do not answer.
    fn gather(&mut self, own: Vec<u8>, wait: Wait) -> Result<Vec<Message>, Missing> {
        let ranks = self.ranks();
        let length = Arc::new((own.len() as u64).to_le_bytes().to_vec());
        let lengths = self.exchange(vec![length; ranks], vec![size_of::<u64>(); ranks], wait)?;
        let mut lengths: Vec<usize> = lengths.iter().map(|length| number(length) as usize).collect();
        let own = Arc::new(own);
        let rank = self.rank();
        lengths[rank] = 0;
        let mut all = self.exchange(vec![own.clone(); ranks], lengths, wait)?;
        all[rank] = own;
        Ok(all)
    }

    /// Begins to add up values of all ranks, which are equally many. Several sums may be under way; nothing else is exchanged until
    /// [`summed`](Self::summed) has answered all of them.
    fn add_up(&mut self, values: Vec<f32>, wait: Wait);

    /// The sum that began first of those under way, in the memory of this rank's own values.
    ///
    /// # Errors
    /// Ranks that do not answer.
    fn summed(&mut self) -> Result<Vec<f32>, Missing>;

    /// Adds up the values of all ranks, which are equally many, in place.
    ///
    /// # Errors
    /// Ranks that do not answer; the values are gone then.
    fn sum(&mut self, values: &mut Vec<f32>, wait: Wait) -> Result<(), Missing> {
        self.add_up(std::mem::take(values), wait);
        *values = self.summed()?;
        Ok(())
    }

    /// What adds up tensors where they are, if the devices of all ranks can do that among themselves.
    fn collective(&self) -> Option<Arc<dyn Collective>> {
        None
    }
}

/// The part of so many values that a rank adds up.
fn part(rank: usize, ranks: usize, count: usize) -> Range<usize> {
    rank * count / ranks..(rank + 1) * count / ranks
}

/// Adds values to others, one by one.
fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The sum of as many values of each rank, in the order of ranks: this one's `own`, and what the others have sent.
fn sum_of(rank: usize, own: &[f32], received: &[Message]) -> Vec<f32> {
    let mut sums = vec![0.0; own.len()];
    for (r, message) in received.iter().enumerate() {
        match r == rank {
            true => add(&mut sums, own),
            false => sums
                .iter_mut()
                .zip(floats(message))
                .for_each(|(sum, value)| *sum += value),
        }
    }
    sums
}

/// The number in a message of eight bytes, such as a length; 0 in another.
fn number(message: &[u8]) -> u64 {
    message.try_into().map_or(0, u64::from_le_bytes)
}

/// Numbers as the bytes that go from rank to rank.
pub fn bytes(values: &[f32]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

/// The numbers of such bytes.
pub fn floats(message: &[u8]) -> impl Iterator<Item = f32> {
    let (values, _) = message.as_chunks::<4>();
    values.iter().map(|bytes| f32::from_ne_bytes(*bytes))
}
