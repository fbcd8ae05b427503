//! Ranks that are threads of one process: a device each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use super::{Collective, Message, Missing, Reduce, Wait, add, part};

/// Values that are added at once: few enough for a processor's cache.
const AT_ONCE: usize = 1 << 13;

/// A rank that is a thread of this process.
pub struct Thread {
    rank: usize,
    messages: Ends<Message>,
    values: Ends<Arc<Vec<f32>>>,
    /// Own values of sums that have begun.
    begun: VecDeque<(Vec<f32>, Wait)>,
    collective: Option<Arc<dyn Collective>>,
}

/// So many ranks, each for a thread of its own.
pub fn threads(ranks: usize) -> Vec<Thread> {
    let ends = ends(ranks).into_iter().zip(self::ends(ranks)).enumerate();
    let thread = |(rank, (messages, values))| Thread {
        rank,
        messages,
        values,
        begun: VecDeque::new(),
        collective: None,
    };
    ends.map(thread).collect()
}

impl Thread {
    /// The same rank, whose device adds up tensors with those of the others.
    #[must_use]
    pub fn with(self, collective: Option<Arc<dyn Collective>>) -> Self {
        Self { collective, ..self }
    }
}

impl Reduce for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.messages.to.len()
    }

    fn exchange(&mut self, messages: Vec<Message>, lengths: Vec<usize>, wait: Wait) -> Result<Vec<Message>, Missing> {
        let messages = messages
            .into_iter()
            .map(|message| (!message.is_empty()).then_some(message));
        let received = self
            .messages
            .exchange(self.rank, messages.collect(), |r| lengths[r] > 0, wait)?;
        Ok(received.into_iter().map(Option::unwrap_or_default).collect())
    }

    fn add_up(&mut self, values: Vec<f32>, wait: Wait) {
        self.begun.push_back((values, wait));
    }

    fn summed(&mut self) -> Result<Vec<f32>, Missing> {
        let (rank, ranks) = (self.rank, self.ranks());
        let (own, wait) = self.begun.pop_front().ok_or(Missing(vec![rank]))?;
        let count = own.len();
        let own = Arc::new(own);
        let to_all = |values: &Arc<Vec<f32>>| vec![Some(values.clone()); ranks];
        // Nothing is copied: all read the values of all.
        let mut all = self.values.exchange(rank, to_all(&own), |_| true, wait)?;
        all[rank] = Some(own.clone());
        let all: Vec<Arc<Vec<f32>>> = all.into_iter().flatten().collect();
        let mut total = Vec::with_capacity(part(rank, ranks, count).len());
        for start in part(rank, ranks, count).step_by(AT_ONCE) {
            let now = start..part(rank, ranks, count).end.min(start + AT_ONCE);
            let done = total.len();
            total.extend_from_slice(&all[0][now.clone()]);
            for values in &all[1..] {
                add(&mut total[done..], &values[now.clone()]);
            }
        }
        // Before the others hear of the sum: who has the sums of all is alone with its own values.
        drop(all);
        let total = Arc::new(total);
        let mut totals = self.values.exchange(rank, to_all(&total), |_| true, wait)?;
        totals[rank] = Some(total);
        let mut sum = Arc::unwrap_or_clone(own);
        for (r, total) in totals.into_iter().flatten().enumerate() {
            sum[part(r, ranks, count)].copy_from_slice(&total);
        }
        Ok(sum)
    }

    fn collective(&self) -> Option<Arc<dyn Collective>> {
        self.collective.clone()
    }
}

/// One rank's ends of the channels between all.
struct Ends<T> {
    to: Vec<Sender<T>>,
    from: Vec<Receiver<T>>,
}

fn ends<T>(ranks: usize) -> Vec<Ends<T>> {
    let mut from: Vec<Vec<Receiver<T>>> = (0..ranks).map(|_| Vec::new()).collect();
    let senders = (0..ranks).map(|_| {
        let to = from.iter_mut().map(|from| {
            let (sender, receiver) = channel();
            from.push(receiver);
            sender
        });
        to.collect::<Vec<_>>()
    });
    let senders: Vec<_> = senders.collect();
    senders
        .into_iter()
        .zip(from)
        .map(|(to, from)| Ends { to, from })
        .collect()
}

impl<T> Ends<T> {
    /// Sends to each other rank what there is for it, and answers what those have sent that are waited for.
    fn exchange(
        &self,
        rank: usize,
        messages: Vec<Option<T>>,
        is_awaited: impl Fn(usize) -> bool,
        wait: Wait,
    ) -> Result<Vec<Option<T>>, Missing> {
        let sent = messages.into_iter().enumerate().filter(|(r, _)| *r != rank);
        // Whoever has ended its end of the channel is gone. What it said before still counts where it is awaited: a rank that gave up here would
        // leave others, who had sent in time, without its next message, and they would name it too.
        let mut missing: Vec<usize> = sent
            .filter_map(|(r, message)| (self.to[r].send(message?).is_err() && !is_awaited(r)).then_some(r))
            .collect();
        let until = match wait {
            Wait::Answer(limit) => Some(Instant::now() + limit),
            // A thread lives as long as its process, or hangs up.
            Wait::Life(_) => None,
        };
        let mut received: Vec<Option<T>> = self.to.iter().map(|_| None).collect();
        for (r, received) in received.iter_mut().enumerate().filter(|(r, _)| *r != rank) {
            if !is_awaited(r) {
                continue;
            }
            let answer = match until {
                Some(until) => self.from[r].recv_timeout(until.saturating_duration_since(Instant::now())),
                None => self.from[r].recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match answer {
                Ok(message) => *received = Some(message),
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rank_that_is_gone_or_silent_in_the_middle_of_a_sum_is_named() {
        let wait = Wait::Answer(Duration::from_secs(1));
        for is_silent in [false, true] {
            let (all, left, answered) = (threads(3), Barrier::new(2), Barrier::new(3));
            std::thread::scope(|scope| {
                for mut link in all {
                    let (left, answered) = (&left, &answered);
                    scope.spawn(move || {
                        if link.rank == 2 {
                            // Its values arrive, and its sums do not: the second has sent its own by then, the first not yet.
                            let own = vec![Some(Arc::new(vec![1.0; 7])); 3];
                            let sent = link.values.exchange(2, own, |r| r == 1, wait);
                            let _silent = is_silent.then_some(link);
                            left.wait();
                            answered.wait();
                            assert!(sent.is_ok());
                        } else {
                            if link.rank == 0 {
                                left.wait();
                            }
                            link.add_up(vec![1.0; 7], wait);
                            let missing = link.summed();
                            // Who has heard nothing is still there for the others.
                            answered.wait();
                            assert_eq!(missing, Err(Missing(vec![2])));
                        }
                    });
                }
            });
        }
    }
}
