//! Work that the first rank does for all, and work of which each rank does its turns.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use sextant_interrupt as interrupt;
use sextant_model::device::panic_text;

use super::ranks::{Ranks, World};
use super::word::{Crossing, LENGTH, Word, Work};
use super::{Message, Wait, number};
use crate::error::RankError;

/// Something that one rank has for all, where state is sharded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// The steps of the moments of each parameter of the rank's part, in the order of the module: 0 where it has none.
    Times,
    /// The values of a parameter's first or second moment, by its id.
    Moment(usize, u64),
    /// The values of a parameter in one of the averages, by its id.
    Average(usize, u64),
}

impl Ranks {
    /// Has the first rank do something for all. The others wait for it, and have no value.
    ///
    /// # Errors
    /// That of the first rank, ranks that are lost.
    pub fn led<T, E: Crossing>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<Option<T>, E> {
        self.led_answering(&mut (), |()| work(), |(), _| Vec::new())
    }

    /// The same of work on some state, in which the first asks for what others have ([`ask`](Self::ask)), and they `answer`.
    ///
    /// # Errors
    /// As [`led`](Self::led).
    pub fn led_answering<S, T, E: Crossing>(
        &self,
        state: &mut S,
        work: impl FnOnce(&mut S) -> Result<T, E>,
        answer: impl Fn(&S, Wanted) -> Vec<u8>,
    ) -> Result<Option<T>, E> {
        let Some(world) = &self.0 else {
            return work(state).map(Some);
        };
        if world.rank == 0 {
            let done = work(state);
            // What is done is done, if nobody is left to hear of it.
            if !self.is_broken() {
                world.tell(Word::on(Work::of(&done)).encode())?;
            }
            return done.map(Some);
        }
        loop {
            match Word::decode(&world.hear(LENGTH)?).work {
                Work::Good => return Ok(None),
                Work::Left => return Err(interrupt::Interrupted.into()),
                Work::Failed(reason) => return Err(self.failed(0, reason).into()),
                Work::Wants(words) => match serde_json::from_str::<(usize, Wanted)>(&words) {
                    Ok((rank, wanted)) if rank == world.rank => world.reply(answer(state, wanted))?,
                    _ => {}
                },
            }
        }
    }

    /// Asks another rank, in work that the first does for all, for what it has: so many bytes.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn ask(&self, rank: usize, wanted: Wanted, bytes: usize) -> Result<Message, RankError> {
        let Some(world) = &self.0 else {
            return Ok(Message::default());
        };
        let words = serde_json::to_string(&(rank, wanted)).map_err(|error| RankError::Lost(error.to_string()))?;
        world.tell(Word::on(Work::Wants(words)).encode())?;
        let count = self.count();
        let lengths = (0..count).map(|r| if r == rank { bytes } else { 0 });
        let mut heard = world.exchange(vec![Message::default(); count], lengths.collect(), Wait::Answer)?;
        Ok(heard.swap_remove(rank))
    }

    /// Does the parts of a work from 0 to `parts`, which all ranks know: each rank does every N-th of them by `act`, and the first has what
    /// came of each, in the order of the parts and as they come, by `take`, which the others are not asked for.
    ///
    /// # Errors
    /// A failure of any rank, a request to stop that reached any, ranks that are lost: after the parts that are under way.
    pub fn share<E: Crossing>(
        &self,
        parts: usize,
        mut act: impl FnMut(usize) -> Result<Vec<u8>, E>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut taken = Ok(());
        for first in (0..parts).step_by(self.count()) {
            let own = first + self.rank();
            let done = taken.and_then(|()| match own < parts {
                true => self.acted(|| act(own)),
                false => Ok(Vec::new()),
            });
            let done = self.agreed_at_leisure(done)?;
            let parts = self.handed(done)?;
            taken = parts.iter().try_for_each(|part| take(part));
        }
        self.agreed_at_leisure(taken)
    }

    /// Does a rank's part of a shared work. Where others wait for it, a panic of the backend is an error that they hear of.
    fn acted<T, E: Crossing>(&self, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        match self.count() {
            1 => act(),
            _ => catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
                let reason = format!("the backend failed: {}", panic_text(panic.as_ref()));
                Err(RankError::Lost(reason).into())
            }),
        }
    }

    /// The bytes of every rank that has some, in their order, for the first; nothing for the others.
    fn handed(&self, own: Vec<u8>) -> Result<Vec<Message>, RankError> {
        let Some(world) = &self.0 else {
            return Ok(vec![own.into()]);
        };
        let count = self.count();
        let hand = |message: Vec<u8>, lengths: Vec<usize>| {
            let mut messages = vec![Message::default(); count];
            messages[0] = message.into();
            world.exchange(messages, lengths, Wait::Answer)
        };
        let length = if self.leads() { size_of::<u64>() } else { 0 };
        let lengths = hand((own.len() as u64).to_le_bytes().to_vec(), vec![length; count])?;
        let lengths = lengths.iter().map(|length| number(length) as usize).collect();
        if !self.leads() {
            hand(own, lengths)?;
            return Ok(Vec::new());
        }
        let mut all = hand(Vec::new(), lengths)?;
        all[0] = own.into();
        all.retain(|part| !part.is_empty());
        Ok(all)
    }

    /// What the first rank says, to all.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn said(&self, say: impl FnOnce() -> Vec<u8>) -> Result<Message, RankError> {
        let Some(world) = &self.0 else { return Ok(say().into()) };
        if world.rank == 0 {
            let said = say();
            world.tell((said.len() as u64).to_le_bytes().to_vec())?;
            if !said.is_empty() {
                world.tell(said.clone())?;
            }
            return Ok(said.into());
        }
        let length = world.hear(size_of::<u64>())?;
        match number(&length) {
            0 => Ok(Message::default()),
            length => world.hear(length as usize),
        }
    }

    /// The same of a number of steps, if there is one.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn said_step(&self, say: impl FnOnce() -> Option<u64>) -> Result<Option<u64>, RankError> {
        let said = self.said(|| say().map_or(Vec::new(), |step| step.to_le_bytes().to_vec()))?;
        Ok(said.as_slice().try_into().ok().map(u64::from_le_bytes))
    }
}

impl World {
    /// Tells all others.
    fn tell(&self, words: Vec<u8>) -> Result<(), RankError> {
        let count = self.places.len();
        self.exchange(vec![words.into(); count], vec![0; count], Wait::Answer)?;
        Ok(())
    }

    /// Tells the first alone.
    fn reply(&self, bytes: Vec<u8>) -> Result<(), RankError> {
        let mut messages = vec![Message::default(); self.places.len()];
        messages[0] = bytes.into();
        let lengths = vec![0; messages.len()];
        self.exchange(messages, lengths, Wait::Answer)?;
        Ok(())
    }

    /// The words of the first rank, which has something to do first.
    fn hear(&self, length: usize) -> Result<Message, RankError> {
        let count = self.places.len();
        let lengths = (0..count).map(|rank| if rank == 0 { length } else { 0 });
        let mut heard = self.exchange(vec![Message::default(); count], lengths.collect(), Wait::Life)?;
        Ok(heard.swap_remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranks::tests::on_ranks;
    use crate::error::Error;

    #[test]
    fn the_parts_of_a_work_come_to_the_first_in_their_order_whoever_does_them() {
        for count in 1..=4 {
            for parts in [0, 1, 3, 8] {
                let all = on_ranks(count, |ranks| {
                    let (mut done, mut taken) = (Vec::new(), Vec::new());
                    let act = |part: usize| {
                        done.push(part);
                        Ok::<_, Error>(vec![part as u8; part + 1])
                    };
                    let take = |part: &[u8]| {
                        taken.push(part.to_vec());
                        Ok(())
                    };
                    ranks.share(parts, act, take).unwrap();
                    (done, taken)
                });
                let wanted: Vec<Vec<u8>> = (0..parts).map(|part| vec![part as u8; part + 1]).collect();
                assert_eq!(all[0].1, wanted, "{count} ranks");
                assert!(all[1..].iter().all(|(_, taken)| taken.is_empty()));
                let mut done: Vec<usize> = all.into_iter().flat_map(|(done, _)| done).collect();
                done.sort_unstable();
                assert!(done.into_iter().eq(0..parts), "each once");
            }
        }
    }

    #[test]
    fn a_shared_work_ends_for_all_where_a_part_fails_or_cannot_be_taken() {
        let said = |fails: fn(usize) -> bool, panics: bool, full: bool| {
            let said = on_ranks(2, |ranks| {
                let mut done = 0;
                let act = |part: usize| {
                    done += 1;
                    match (fails(part), panics) {
                        (true, true) => panic!("no memory"),
                        (true, false) => Err(Error::Pixels(format!("part {part}"))),
                        _ => Ok(vec![0]),
                    }
                };
                let take = |_: &[u8]| {
                    if full {
                        Err(Error::Pixels("full".into()))
                    } else {
                        Ok(())
                    }
                };
                let error = ranks.share(100, act, take).unwrap_err().to_string();
                assert!(!ranks.is_broken());
                (error, done)
            });
            assert!(said.iter().all(|(_, done)| *done < 5), "{said:?}");
            said.into_iter().map(|(error, _)| error).collect::<Vec<_>>()
        };
        let failed = said(|part| part == 3, false, false);
        assert_eq!(failed, ["rank 1 on host1: part 3", "part 3"]);
        let panicked = said(|part| part == 2, true, false);
        assert_eq!(panicked[1], format!("rank 0 on host0: {}", panicked[0]));
        assert!(panicked[0].contains("no memory"), "{panicked:?}");
        assert_eq!(said(|_| false, false, true), ["full", "rank 0 on host0: full"]);
    }
}
