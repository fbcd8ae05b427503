//! Ranks as the loop sees them: who there is, one word of all on each step, and their sums.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sextant_interrupt as interrupt;
use sextant_recipe::{KeyError, OptimiserRecipe, RanksRecipe};

use super::group::Group;
use super::word::{Crossing, LENGTH, Word, Work};
use super::{Collective, Message, Missing, Reduce, Wait};
use crate::error::RankError;

/// The ranks of a run, as one of them sees it. Copies are the same rank. By default a world of one, in which nothing is exchanged.
#[derive(Clone, Default)]
pub struct Ranks(pub(super) Option<Arc<World>>);

/// A rank, seen from another thread.
pub struct Watched(Weak<World>);

impl Watched {
    /// True while any copy of it is left: its work is not at an end.
    pub fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
}

pub(super) struct World {
    link: Mutex<Box<dyn Reduce>>,
    collective: Option<Arc<dyn Collective>>,
    pub(super) rank: usize,
    /// The number of each rank, as messages tell it: those of a group are numbered as all are.
    numbers: Vec<usize>,
    /// The place of each rank, such as its host.
    pub(super) places: Vec<String>,
    /// Seconds until a rank that does not answer is lost, as of all groups that this rank is in.
    patience: Arc<AtomicU64>,
    /// Somebody asked a rank to stop.
    stop: AtomicBool,
    /// Somebody asked a rank to save.
    save: AtomicBool,
    /// Ranks that are lost, and the same in words: nothing can be exchanged any more.
    lost: Mutex<Option<(Vec<usize>, String)>>,
    /// The first rank whose gradient was not finite; no rank's number where none was.
    unsound: AtomicUsize,
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.count())
    }
}

impl Ranks {
    /// The rank that has this link to the others, in a `place` of which messages tell, such as its host.
    ///
    /// # Errors
    /// Ranks that do not answer.
    pub fn join(link: Box<dyn Reduce>, place: &str) -> Result<Self, Missing> {
        let numbers = (0..link.ranks()).collect();
        let patience = Arc::new(AtomicU64::new(RanksRecipe::default().patience));
        Self::join_as(numbers, link, place, patience)
    }

    fn join_as(
        numbers: Vec<usize>,
        mut link: Box<dyn Reduce>,
        place: &str,
        patience: Arc<AtomicU64>,
    ) -> Result<Self, Missing> {
        let wait = Wait::Life(Duration::from_secs(patience.load(SeqCst)));
        let places = link.gather(place.as_bytes().to_vec(), wait)?;
        Ok(Self(Some(Arc::new(World {
            rank: link.rank(),
            numbers,
            places: places
                .iter()
                .map(|place| String::from_utf8_lossy(place).into_owned())
                .collect(),
            collective: link.collective(),
            link: Mutex::new(link),
            patience,
            stop: AtomicBool::new(false),
            save: AtomicBool::new(false),
            lost: Mutex::new(None),
            unsound: AtomicUsize::new(usize::MAX),
        }))))
    }

    /// The number of ranks: 1 where there is nobody else.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |world| world.places.len())
    }

    /// The number of this one, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |world| world.rank)
    }

    /// The number of ranks of the run at this one's place, itself included.
    pub fn count_here(&self) -> usize {
        let world = self.0.as_ref();
        world.map_or(1, |world| {
            let own = &world.places[world.rank];
            world.places.iter().filter(|place| *place == own).count()
        })
    }

    /// True for the first, which writes, logs and shows.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// True once a rank was lost.
    pub fn is_broken(&self) -> bool {
        self.0.as_ref().is_some_and(|world| world.lost().is_some())
    }

    /// The ranks that were lost, in words; none where none was.
    pub fn lost(&self) -> Option<String> {
        self.0.as_ref()?.lost().as_ref().map(|(_, words)| words.clone())
    }

    /// Tells from now on whether any copy of this rank is left.
    pub fn watched(&self) -> Watched {
        Watched(self.0.as_ref().map_or_else(Weak::new, Arc::downgrade))
    }

    /// True once the first rank is lost, which says how all end otherwise.
    pub fn is_headless(&self) -> bool {
        let world = self.0.as_ref();
        world.is_some_and(|world| world.lost().as_ref().is_some_and(|(lost, _)| lost.contains(&0)))
    }

    /// Exchanges nothing any more, for a reason: whoever waits for this rank finds it lost.
    pub(super) fn give_up(&self, reason: &str) {
        if let Some(world) = &self.0 {
            let rank = world.name(world.rank);
            let words = format!("{rank} has given up in the middle of an exchange: {reason}");
            world.lost().get_or_insert((vec![world.rank], words));
        }
    }

    /// Remembers a rank whose gradient is not finite, if it is the first.
    pub(super) fn note_unsound(&self, rank: usize) {
        if let Some(world) = &self.0 {
            let _ = world.unsound.compare_exchange(usize::MAX, rank, SeqCst, SeqCst);
        }
    }

    /// The first rank, in words, whose gradient was not finite; none where none was, or there is one rank.
    pub fn unsound(&self) -> Option<String> {
        let rank = self.0.as_ref()?.unsound.load(SeqCst);
        (rank < self.count()).then(|| self.name(rank))
    }

    /// A rank in words: its number, and its place.
    pub fn name(&self, rank: usize) -> String {
        match &self.0 {
            Some(world) => world.name(rank),
            None => format!("rank {rank}"),
        }
    }

    /// The groups of equally many ranks that follow one another, as this rank sees them: its own group, and the first ranks of all groups,
    /// if it is one of them. Nothing is exchanged among all until the groups have exchanged their last.
    ///
    /// # Errors
    /// Ranks that do not answer.
    pub fn in_groups(&self, groups: usize) -> Result<(Self, Self), RankError> {
        let Some(world) = &self.0 else {
            return Ok((Self::default(), Self::default()));
        };
        let size = self.count() / groups;
        let first = self.rank() / size * size;
        let join = |members: Vec<usize>| {
            let link = Box::new(Group::new(world.clone(), members.clone()));
            let joined = Self::join_as(members, link, &world.places[self.rank()], world.patience.clone());
            joined.map_err(|_| RankError::Lost(self.lost().unwrap_or_default()))
        };
        // One rank alone is a world of one, which exchanges nothing and asks its own process whether to stop.
        let own = match size {
            1 => Self::default(),
            _ => join((first..first + size).collect())?,
        };
        let firsts = match own.leads() {
            true => join((0..groups).map(|group| group * size).collect())?,
            false => Self::default(),
        };
        Ok((own, firsts))
    }

    /// The fault of a rank, as the others have it.
    pub(super) fn failed(&self, rank: usize, reason: String) -> RankError {
        let rank = self.name(rank);
        RankError::Failed { rank, reason }
    }

    /// A device in words, as a run's record has it: of several ranks, how many there are.
    pub fn describe(&self, device: String, recipe: &RanksRecipe) -> String {
        match self.count() {
            1 => device,
            count => format!(
                "{count} ranks on {}, the first on {device}, gradients added up {}; a source that couples samples sees its rank's (ranks.coupled = \"local\")",
                self.places(),
                match self.collective() {
                    Some(_) if !recipe.sharded => "on the devices",
                    _ => "through the host",
                }
            ),
        }
    }

    /// The places of all, each with the number of ranks in a row there.
    fn places(&self) -> String {
        let places = self.0.iter().flat_map(|world| world.places.chunk_by(PartialEq::eq));
        let words = places.map(|same| match same {
            [place] => place.clone(),
            same => format!("{} ({})", same[0], same.len()),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// Waits so long for others from now on.
    pub fn be_patient(&self, recipe: &RanksRecipe) {
        if let Some(world) = &self.0 {
            world.patience.store(recipe.patience, SeqCst);
        }
    }

    /// The samples of a batch of `batch` that are this rank's.
    pub fn slice(&self, batch: usize) -> Range<usize> {
        let size = batch / self.count();
        self.rank() * size..(self.rank() + 1) * size
    }

    /// Checks that a step's batch can be cut into a micro-batch for each rank and accumulation.
    ///
    /// # Errors
    /// A batch that cannot be cut so, with the numbers of ranks by which it can.
    pub fn check(&self, optimiser: &OptimiserRecipe) -> Result<(), KeyError> {
        check(optimiser, self.count())
    }

    /// The optimiser's settings as one rank's micro-batches are cut: as if one rank had them all.
    pub fn cut(&self, optimiser: &OptimiserRecipe) -> OptimiserRecipe {
        cut(optimiser, self.count())
    }

    /// True once somebody asked to stop: where there are several ranks, any of them, as all of them know since the last step.
    pub fn is_stopping(&self) -> bool {
        match &self.0 {
            Some(world) => world.stop.load(SeqCst),
            None => interrupt::is_requested(),
        }
    }

    /// True if somebody asked to save since this was asked last, likewise.
    pub fn take_save(&self) -> bool {
        match &self.0 {
            Some(world) => world.save.swap(false, SeqCst),
            None => interrupt::take_save(),
        }
    }

    /// A piece of work that is done if every rank has done its own. Where one has failed, all have; the first of them is named.
    ///
    /// # Errors
    /// A failure of any rank, a request to stop that reached any, ranks that are lost.
    pub fn agreed<T, E: Crossing>(&self, own: Result<T, E>) -> Result<T, E> {
        self.agreed_within(own, Wait::Answer)
    }

    /// The same of work that takes each its own time.
    ///
    /// # Errors
    /// As [`agreed`](Self::agreed).
    pub fn agreed_at_leisure<T, E: Crossing>(&self, own: Result<T, E>) -> Result<T, E> {
        self.agreed_within(own, Wait::Life)
    }

    fn agreed_within<T, E: Crossing>(&self, own: Result<T, E>, wait: fn(Duration) -> Wait) -> Result<T, E> {
        let Some(world) = &self.0 else { return own };
        let word = Arc::new(Word::of(&own).encode());
        let count = self.count();
        let mut heard = world.exchange(vec![word.clone(); count], vec![LENGTH; count], wait)?;
        heard[world.rank] = word;
        let words: Vec<Word> = heard.iter().map(|word| Word::decode(word)).collect();
        let any = |of: fn(&Word) -> bool| words.iter().any(of);
        world.stop.fetch_or(any(|word| word.stop), SeqCst);
        world.save.fetch_or(any(|word| word.save), SeqCst);
        if any(|word| word.stop) {
            interrupt::stop();
        }
        let failed = words.iter().enumerate().find_map(|(rank, word)| match &word.work {
            Work::Failed(reason) => Some((rank, reason.clone())),
            _ => None,
        });
        match failed {
            Some((rank, _)) if rank == world.rank => own,
            Some((rank, reason)) => Err(self.failed(rank, reason).into()),
            None if any(|word| word.work == Work::Left) => Err(interrupt::Interrupted.into()),
            None => own,
        }
    }

    /// Sends `messages[r]` to every other rank r, and answers what each has sent here, which are `lengths[r]` bytes.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub(super) fn exchange(&self, messages: Vec<Message>, lengths: Vec<usize>) -> Result<Vec<Message>, RankError> {
        match &self.0 {
            Some(world) => world.exchange(messages, lengths, Wait::Answer),
            None => Ok(messages),
        }
    }

    /// Adds up values of all ranks, in place.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn sum(&self, values: &mut Vec<f32>) -> Result<(), RankError> {
        let Some(world) = &self.0 else { return Ok(()) };
        world.with(|link, patience| link.sum(values, Wait::Answer(patience)))
    }

    /// Begins to add up values of all ranks; nothing else is exchanged until [`summed`](Self::summed) has answered.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub(super) fn add_up(&self, values: Vec<f32>) -> Result<(), RankError> {
        let Some(world) = &self.0 else { return Ok(()) };
        world.with(|link, patience| {
            link.add_up(values, Wait::Answer(patience));
            Ok(())
        })
    }

    /// The sum that began first of those under way.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub(super) fn summed(&self) -> Result<Vec<f32>, RankError> {
        let Some(world) = &self.0 else { return Ok(Vec::new()) };
        world.with(|link, _| link.summed())
    }

    /// What adds up tensors on the devices of all ranks, if they can do that among themselves.
    pub(super) fn collective(&self) -> Option<Arc<dyn Collective>> {
        self.0.as_ref()?.collective.clone()
    }

    /// The time that others are given to answer.
    pub fn patience(&self) -> Duration {
        let patience = self.0.as_ref().map(|world| world.patience.load(SeqCst));
        patience.map_or(Duration::MAX, Duration::from_secs)
    }

    /// The bytes of every rank, in their order.
    ///
    /// # Errors
    /// Ranks that are lost.
    pub fn gather(&self, own: Vec<u8>) -> Result<Vec<Message>, RankError> {
        let Some(world) = &self.0 else {
            return Ok(vec![own.into()]);
        };
        world.with(|link, patience| link.gather(own, Wait::Answer(patience)))
    }
}

/// [`Ranks::check`] for so many ranks.
///
/// # Errors
/// As there.
pub(crate) fn check(optimiser: &OptimiserRecipe, ranks: usize) -> Result<(), KeyError> {
    let OptimiserRecipe {
        batch, accumulation, ..
    } = optimiser;
    if batch.is_multiple_of(accumulation * ranks) {
        return Ok(());
    }
    let counts = (1..=batch / accumulation).filter(|ranks| batch.is_multiple_of(ranks * accumulation));
    let counts: Vec<String> = counts.map(|ranks| ranks.to_string()).collect();
    Err(KeyError(format!(
        "optimiser.batch is {batch}, which cannot be cut into {ranks} ranks times optimiser.accumulation = {accumulation}; with this \
         batch and accumulation there can be {} ranks",
        counts.join(", ")
    )))
}

/// [`Ranks::cut`] for so many ranks.
pub(crate) fn cut(optimiser: &OptimiserRecipe, ranks: usize) -> OptimiserRecipe {
    OptimiserRecipe {
        accumulation: optimiser.accumulation * ranks,
        ..optimiser.clone()
    }
}

impl World {
    fn name(&self, rank: usize) -> String {
        format!("rank {} on {}", self.numbers[rank], self.places[rank])
    }

    pub(super) fn lost(&self) -> MutexGuard<'_, Option<(Vec<usize>, String)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges something, unless a rank is lost already.
    pub(super) fn with<T>(
        &self,
        exchange: impl FnOnce(&mut dyn Reduce, Duration) -> Result<T, Missing>,
    ) -> Result<T, RankError> {
        if let Some((_, words)) = &*self.lost() {
            return Err(RankError::Lost(words.clone()));
        }
        let patience = Duration::from_secs(self.patience.load(SeqCst));
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        exchange(link.as_mut(), patience).map_err(|Missing(ranks)| {
            let names: Vec<String> = ranks.iter().map(|rank| self.name(*rank)).collect();
            let who = match &names[..] {
                [] => "a rank of another group is".into(),
                [one] => format!("{one} is"),
                several => format!("{} are", several.join(", ")),
            };
            let seconds = patience.as_secs();
            let words = format!("{who} gone, or did not answer for {seconds} s (ranks.patience)");
            self.lost().get_or_insert((ranks, words.clone()));
            RankError::Lost(words)
        })
    }

    pub(super) fn exchange(
        &self,
        messages: Vec<Message>,
        lengths: Vec<usize>,
        wait: fn(Duration) -> Wait,
    ) -> Result<Vec<Message>, RankError> {
        self.with(|link, patience| link.exchange(messages, lengths, wait(patience)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::threads::threads;
    use super::*;
    use crate::error::{Error, StepError};

    /// What each of so many ranks does, in their order.
    pub fn on_ranks<T: Send>(count: usize, act: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let act = &act;
            let started = threads(count).into_iter().map(|link| {
                scope.spawn(move || {
                    let place = format!("host{}", link.rank());
                    act(Ranks::join(Box::new(link), &place).unwrap())
                })
            });
            let started: Vec<_> = started.collect();
            started.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn sums_are_the_same_on_all_ranks_and_in_their_order() {
        let value = |rank: usize, i: usize| ((rank * 31 + i * 7) as f32).sin() * 1e3;
        for count in 1..=5 {
            for length in [0, 1, 3, 4, 29, 70_003] {
                let sums = on_ranks(count, |ranks| {
                    let mut values: Vec<f32> = (0..length).map(|i| value(ranks.rank(), i)).collect();
                    ranks.sum(&mut values).unwrap();
                    values
                });
                let wanted: Vec<f32> = (0..length)
                    .map(|i| (1..count).fold(value(0, i), |sum, r| sum + value(r, i)))
                    .collect();
                assert!(sums.iter().all(|sum| *sum == wanted), "{count} ranks, {length} values");
            }
        }
    }

    #[test]
    fn sums_under_way_are_answered_in_their_order() {
        let sums = on_ranks(3, |ranks| {
            let of = |length: usize| vec![ranks.rank() as f32; length];
            let lengths = [5, 20_000, 2, 0, 1];
            lengths.iter().for_each(|length| ranks.add_up(of(*length)).unwrap());
            let sums: Vec<Vec<f32>> = lengths.iter().map(|_| ranks.summed().unwrap()).collect();
            assert!(
                lengths
                    .iter()
                    .zip(&sums)
                    .all(|(length, sum)| *sum == vec![3.0; *length])
            );
            sums
        });
        assert_eq!(sums.len(), 3);
    }

    #[test]
    fn everybody_has_what_everybody_gathers_and_what_the_first_says() {
        for ranks in on_ranks(3, |ranks| {
            let gathered = ranks.gather(vec![7; ranks.rank()]).unwrap();
            assert_eq!(gathered.iter().map(|of| of.len()).collect::<Vec<_>>(), [0, 1, 2]);
            for words in [&b"start"[..], b""] {
                assert_eq!(*ranks.said(|| words.to_vec()).unwrap(), words);
            }
            let led = ranks.led::<_, Error>(|| Ok(5)).unwrap();
            assert_eq!(led, ranks.leads().then_some(5));
            ranks
        }) {
            assert_eq!(ranks.slice(12).len(), 4);
        }
    }

    #[test]
    fn a_failure_of_one_is_one_of_all_and_names_the_first() {
        let said = on_ranks(4, |ranks| {
            let own = match ranks.rank() {
                0 => Ok(()),
                1 => Err(StepError::Interrupted(interrupt::Interrupted)),
                rank => Err(StepError::Backend(format!("fault {rank}"))),
            };
            ranks.agreed(own).unwrap_err().to_string()
        });
        assert!(
            said[0].contains("rank 2 on host2") && said[0].contains("fault 2"),
            "{said:?}"
        );
        assert_eq!((&said[0], &said[0]), (&said[1], &said[3]));
        let led = on_ranks(2, |ranks| {
            ranks.led::<(), _>(|| Err(Error::NoPhase)).unwrap_err().to_string()
        });
        assert!(
            led[1].contains("rank 0 on host0") && led[1].contains(&led[0]),
            "{led:?}"
        );
    }

    #[test]
    fn groups_are_worlds_of_their_own_whose_first_ranks_know_each_other() {
        for (group, firsts) in on_ranks(6, |ranks| {
            let (group, firsts) = ranks.in_groups(3).unwrap();
            let mut values = vec![ranks.rank() as f32];
            group.sum(&mut values).unwrap();
            assert_eq!(values[0] as usize, 4 * (ranks.rank() / 2) + 1);
            assert_eq!((group.count(), group.rank()), (2, ranks.rank() % 2));
            assert_eq!(group.name(1), format!("rank {0} on host{0}", ranks.rank() / 2 * 2 + 1));
            let said = group.leads().then(|| firsts.gather(vec![ranks.rank() as u8]).unwrap());
            let failed = group.agreed::<_, StepError>(match ranks.rank() {
                3 => Err(StepError::NoBatch),
                _ => Ok(()),
            });
            assert_eq!(failed.is_err(), ranks.rank() / 2 == 1);
            (said, firsts.count())
        }) {
            match group {
                Some(said) => assert_eq!(said.iter().map(|of| of[0]).collect::<Vec<_>>(), [0, 2, 4]),
                None => assert_eq!(firsts, 1),
            }
        }
    }

    #[test]
    fn a_group_of_one_is_a_world_of_one() {
        for (own, firsts) in on_ranks(2, |ranks| ranks.in_groups(2).unwrap()) {
            assert!(own.0.is_none() && own.leads());
            assert_eq!(firsts.count(), 2);
        }
    }

    #[test]
    fn who_is_gone_or_silent_is_named() {
        let said = on_ranks(3, |ranks| {
            ranks.be_patient(&RanksRecipe {
                patience: 1,
                ..RanksRecipe::default()
            });
            match ranks.rank() {
                2 => String::new(),
                _ => {
                    let lost = ranks.agreed::<_, StepError>(Ok(())).unwrap_err().to_string();
                    assert!(ranks.is_broken() && ranks.agreed::<_, StepError>(Ok(())).is_err());
                    lost
                }
            }
        });
        assert!(
            said[0].contains("rank 2 on host2") && said[1].contains("rank 2"),
            "{said:?}"
        );
    }

    #[test]
    fn a_batch_that_cannot_be_cut_says_by_what_it_can() {
        let said = on_ranks(3, |ranks| {
            let cut = |batch, accumulation| {
                ranks.check(&OptimiserRecipe {
                    batch,
                    accumulation,
                    ..OptimiserRecipe::default()
                })
            };
            cut(12, 2).unwrap();
            cut(8, 2).unwrap_err().to_string()
        });
        assert!(said[0].contains("there can be 1, 2, 4 ranks"), "{said:?}");
    }
}
