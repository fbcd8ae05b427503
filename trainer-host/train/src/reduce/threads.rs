//! Ranks that are threads of one process: a device each.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use super::{Message, Missing, Reduce, Wait};

/// A rank that is a thread of this process.
pub struct Thread {
    rank: usize,
    /// To every other rank.
    to: Vec<Sender<Message>>,
    /// From every other rank.
    from: Vec<Receiver<Message>>,
}

/// So many ranks, each for a thread of its own.
pub fn threads(ranks: usize) -> Vec<Thread> {
    let mut from: Vec<Vec<Receiver<Message>>> = (0..ranks).map(|_| Vec::new()).collect();
    let senders = (0..ranks).map(|_| {
        let to = from.iter_mut().map(|from| {
            let (sender, receiver) = channel();
            from.push(receiver);
            sender
        });
        to.collect::<Vec<_>>()
    });
    let senders: Vec<_> = senders.collect();
    let ends = senders.into_iter().zip(from).enumerate();
    ends.map(|(rank, (to, from))| Thread { rank, to, from }).collect()
}

impl Reduce for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn exchange(&mut self, messages: Vec<Message>, lengths: Vec<usize>, wait: Wait) -> Result<Vec<Message>, Missing> {
        let others = |r: &usize| *r != self.rank;
        let gone = messages
            .into_iter()
            .enumerate()
            .filter(|(r, message)| others(r) && !message.is_empty());
        // Whoever has ended its end of the channel is gone.
        let mut missing: Vec<usize> = gone
            .filter_map(|(r, message)| self.to[r].send(message).is_err().then_some(r))
            .collect();
        let until = match wait {
            Wait::Answer(limit) => Some(Instant::now() + limit),
            // A thread lives as long as its process, or hangs up.
            Wait::Life(_) => None,
        };
        let mut received = vec![Message::default(); lengths.len()];
        for r in (0..lengths.len()).filter(others).filter(|r| lengths[*r] > 0) {
            let answer = match until {
                Some(until) => self.from[r].recv_timeout(until.saturating_duration_since(Instant::now())),
                None => self.from[r].recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match answer {
                Ok(message) => received[r] = message,
                Err(_) => missing.push(r),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        match missing.is_empty() {
            true => Ok(received),
            false => Err(Missing(missing)),
        }
    }
}
