//! Ranks: several workers, each with its slice of every batch, whose run is the one of a single worker.
//!
//! [`Reduce`] is what carries bytes between them, and adds gradients up; [`Ranks`] is what the loop sees: one word of all on each step,
//! and what the first rank does for all. A world of one has neither.

mod follow;
#[cfg(feature = "mpi")]
pub mod mpi;
mod ranks;
pub mod shards;
mod step;
pub mod threads;
mod word;

use std::sync::Arc;
use std::time::Duration;

pub use follow::{follow, on_devices};
pub use ranks::{Ranks, Wanted};
pub(crate) use ranks::{check, cut};
pub use shards::Shards;
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
        let of = |message: &Message| message.as_slice().try_into().map_or(0, u64::from_le_bytes) as usize;
        let mut lengths: Vec<usize> = lengths.iter().map(of).collect();
        let own = Arc::new(own);
        let rank = self.rank();
        lengths[rank] = 0;
        let mut all = self.exchange(vec![own.clone(); ranks], lengths, wait)?;
        all[rank] = own;
        Ok(all)
    }

    /// Adds up the values of all ranks, which are equally many, in place: each rank adds up one part of them, and sends it to the others.
    ///
    /// # Errors
    /// Ranks that do not answer.
    fn sum(&mut self, values: &mut [f32], wait: Wait) -> Result<(), Missing> {
        let (rank, ranks, count) = (self.rank(), self.ranks(), values.len());
        let part = |r: usize| r * count / ranks..(r + 1) * count / ranks;
        let bytes = |values: &[f32]| Arc::new(bytemuck::cast_slice::<f32, u8>(values).to_vec());
        let others =
            |length: &dyn Fn(usize) -> usize| (0..ranks).map(|r| if r == rank { 0 } else { length(r) }).collect();
        let own = part(rank).len() * size_of::<f32>();
        let parts = (0..ranks).map(|r| {
            if r == rank {
                Message::default()
            } else {
                bytes(&values[part(r)])
            }
        });
        let received = self.exchange(parts.collect(), others(&|_| own), wait)?;
        let mut total = vec![0f32; part(rank).len()];
        for (r, message) in received.iter().enumerate() {
            match r == rank {
                true => total
                    .iter_mut()
                    .zip(&values[part(rank)])
                    .for_each(|(sum, value)| *sum += value),
                false => total
                    .iter_mut()
                    .zip(floats(message))
                    .for_each(|(sum, value)| *sum += value),
            }
        }
        let summed = bytes(&total);
        values[part(rank)].copy_from_slice(&total);
        let lengths = others(&|r| part(r).len() * size_of::<f32>());
        let received = self.exchange(vec![summed; ranks], lengths, wait)?;
        for (r, message) in received.iter().enumerate().filter(|(r, _)| *r != rank) {
            values[part(r)]
                .iter_mut()
                .zip(floats(message))
                .for_each(|(value, sum)| *value = sum);
        }
        Ok(())
    }
}

fn floats(message: &[u8]) -> impl Iterator<Item = f32> {
    let (values, _) = message.as_chunks::<4>();
    values.iter().map(|bytes| f32::from_ne_bytes(*bytes))
}
