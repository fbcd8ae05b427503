//! Ranks that are processes of MPI, on one host or several.
//!
//! A thread of its own makes all calls of MPI. So it can tell the others that this process lives while that computes, and give up on
//! ranks that do not answer, where a collective of MPI would wait for ever. What it exchanges it sends from each rank to each, since then
//! it knows whose message has not come.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::request::{Request, Scope, StaticScope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Equivalence, Source};
use sextant_interrupt as interrupt;

use super::{Message, Missing, Reduce, Wait, add, part};

/// Tag of what is exchanged.
const EXCHANGED: i32 = 1;
/// Values that a rank adds up of its part at once: MPI moves them while they are in a processor's cache, and the messages are long enough
/// not to be copied on their way.
const AT_ONCE: usize = 1 << 17;
/// Tag of what only says that a process lives, and whether somebody asked it to stop.
const ALIVE: i32 = 2;
static BEATS: [[u8; 1]; 2] = [[0], [1]];
/// Time between two signs of life.
const EVERY: Duration = Duration::from_secs(2);
/// Time in which messages are looked for without a pause: MPI moves them only while it is asked.
const EAGER: Duration = Duration::from_millis(200);
/// Pauses after that, and for those that others have something to do before.
const PAUSES: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(5)];
/// Time until the longer pauses.
const WATCHFUL: Duration = Duration::from_secs(5);

/// A rank that is a process of MPI.
pub struct Process {
    rank: usize,
    ranks: usize,
    /// None once this rank has nothing to exchange any more.
    requests: Option<Sender<Job>>,
    exchanged: Receiver<Result<Vec<Message>, Missing>>,
    summed: Receiver<Result<Vec<f32>, Missing>>,
    thread: Option<JoinHandle<()>>,
    lost: bool,
}

enum Job {
    Exchange(Vec<Message>, Vec<usize>, Wait),
    Sum(Vec<f32>, Wait),
}

/// MPI that does not begin.
#[derive(Debug, thiserror::Error)]
#[error("MPI does not begin: {0}")]
pub struct MpiError(String);

impl Process {
    /// Joins the world of MPI that this process was started in. Once a process.
    ///
    /// # Errors
    /// A library of MPI that cannot be called from a thread.
    pub fn begin() -> Result<Self, MpiError> {
        let (requests, asked) = channel();
        let (exchange, exchanged) = channel();
        let (sum, summed) = channel();
        let (begun, place) = channel();
        let thread = std::thread::Builder::new().name("mpi".into()).spawn(move || {
            let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
                return;
            };
            let world = universe.world();
            let _ = begun.send((world.rank() as usize, world.size() as usize, threading));
            Link::new(world).serve(&asked, &exchange, &sum);
            // Which ends MPI, together with the others.
            drop(universe);
        });
        let thread = thread.map_err(|error| MpiError(error.to_string()))?;
        let place = place.recv();
        let (rank, ranks, threading) = place.map_err(|_| MpiError("it has begun before".into()))?;
        if !matches!(threading, Threading::Serialized | Threading::Multiple) {
            return Err(MpiError("the library was built without support for threads".into()));
        }
        Ok(Self {
            rank,
            ranks,
            requests: Some(requests),
            exchanged,
            summed,
            thread: Some(thread),
            lost: false,
        })
    }
}

impl Reduce for Process {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn exchange(&mut self, messages: Vec<Message>, lengths: Vec<usize>, wait: Wait) -> Result<Vec<Message>, Missing> {
        self.ask(Job::Exchange(messages, lengths, wait));
        self.answer(|process| &process.exchanged)
    }

    fn add_up(&mut self, values: Vec<f32>, wait: Wait) {
        self.ask(Job::Sum(values, wait));
    }

    fn summed(&mut self) -> Result<Vec<f32>, Missing> {
        self.answer(|process| &process.summed)
    }
}

impl Process {
    fn ask(&self, job: Job) {
        // A thread that has ended does not answer, and that is seen there.
        let _ = self.requests.as_ref().map(|requests| requests.send(job));
    }

    fn answer<T>(&mut self, of: fn(&Self) -> &Receiver<Result<T, Missing>>) -> Result<T, Missing> {
        let gone = || Err(Missing(vec![self.rank]));
        let answer = match self.lost {
            // The thread stands still.
            true => gone(),
            false => of(self).recv().unwrap_or_else(|_| gone()),
        };
        self.lost |= answer.is_err();
        answer
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.requests = None;
        // With ranks that are lost, or wait for one that is not well, MPI would not end.
        let ends = !self.lost && !std::thread::panicking();
        if let Some(thread) = self.thread.take().filter(|_| ends) {
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Link {
    world: SimpleCommunicator,
    rank: usize,
    ranks: usize,
    /// The latest sign of life of each rank.
    heard: Vec<Instant>,
    /// Time of this one's last, and the messages of it that are under way.
    beat: Instant,
    beating: Vec<Option<Request<'static, [u8], StaticScope>>>,
    /// Room for what is received of a part, kept, since memory that is new costs as much as adding it up.
    room: Vec<f32>,
}

impl Link {
    fn new(world: SimpleCommunicator) -> Self {
        let ranks = world.size() as usize;
        Self {
            rank: world.rank() as usize,
            ranks,
            heard: vec![Instant::now(); ranks],
            beat: Instant::now(),
            beating: (0..ranks).map(|_| None).collect(),
            room: Vec::new(),
            world,
        }
    }

    fn serve(
        mut self,
        asked: &Receiver<Job>,
        exchanged: &Sender<Result<Vec<Message>, Missing>>,
        summed: &Sender<Result<Vec<f32>, Missing>>,
    ) {
        loop {
            let answered = match asked.recv_timeout(EVERY) {
                Ok(Job::Exchange(messages, lengths, wait)) => {
                    let received = self.exchange(&messages, &lengths, wait, &|missing| {
                        let _ = exchanged.send(Err(missing));
                    });
                    exchanged.send(Ok(received)).is_ok()
                }
                Ok(Job::Sum(mut values, wait)) => {
                    self.sum(&mut values, wait, &|missing| {
                        let _ = summed.send(Err(missing));
                    });
                    summed.send(Ok(values)).is_ok()
                }
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            if !answered {
                break;
            }
            self.show_life();
        }
        for beat in self.beating.into_iter().flatten() {
            beat.wait();
        }
    }

    /// Tells the others that this process lives, and hears it from them. A request to stop goes with it, to ranks of other groups too,
    /// which exchange nothing with this one for hours.
    fn show_life(&mut self) {
        while let Some(status) = self.world.any_process().immediate_probe_with_tag(ALIVE) {
            let from = status.source_rank();
            let mut beat = [0u8];
            self.world.process_at_rank(from).receive_into_with_tag(&mut beat, ALIVE);
            self.heard[from as usize] = Instant::now();
            if beat == BEATS[1] {
                interrupt::stop();
            }
        }
        if self.beat.elapsed() < EVERY {
            return;
        }
        self.beat = Instant::now();
        let beat = &BEATS[usize::from(interrupt::is_requested())];
        for other in (0..self.ranks).filter(|other| *other != self.rank) {
            // One at a time: who does not take it gets no second.
            self.beating[other] = match self.beating[other].take().map(Request::test) {
                Some(Err(pending)) => Some(pending),
                _ => {
                    let other = self.world.process_at_rank(other as i32);
                    Some(other.immediate_send_with_tag(StaticScope, &beat[..], ALIVE))
                }
            };
        }
    }

    /// Sends and receives. Where ranks are lost it tells which, and does not return.
    fn exchange(
        &mut self,
        messages: &[Message],
        lengths: &[usize],
        wait: Wait,
        lost: &dyn Fn(Missing),
    ) -> Vec<Message> {
        let mut received: Vec<Vec<u8>> = lengths.iter().map(|length| vec![0; *length]).collect();
        received[self.rank].clear();
        let buffers = received.iter_mut().map(|buffer| &mut buffer[..]).enumerate();
        let messages = messages.iter().map(|message| &message[..]).enumerate();
        self.swap(messages, buffers, wait, lost);
        received.into_iter().map(Arc::new).collect()
    }

    /// Adds up the values of all ranks, in place. A rank has a part of them, receives the others' values of it, adds those in the order of
    /// ranks, and sends the sums; the others' sums it receives where its own values were. That is done piece by piece, and the sums of a
    /// piece are under way while the values of the next are.
    fn sum(&mut self, values: &mut [f32], wait: Wait, lost: &dyn Fn(Missing)) {
        let (rank, ranks) = (self.rank, self.ranks);
        let mut room = std::mem::take(&mut self.room);
        let mut summed: &mut [f32] = &mut [];
        for values in values.chunks_mut(AT_ONCE * ranks).chain([&mut [][..]]) {
            let length = part(rank, ranks, values.len()).len();
            room.resize(room.len().max(ranks * length), 0.0);
            let count = summed.len();
            let mut sums: Vec<&mut [f32]> = pieces(summed, (0..ranks).map(|r| part(r, ranks, count).len())).collect();
            let own: &mut [f32] = std::mem::take(&mut sums[rank]);
            let own = &*own;
            let count = values.len();
            let asked = (0..ranks).map(|r| &values[part(r, ranks, count)]);
            let messages = (0..ranks).map(|_| own).enumerate().chain(asked.enumerate());
            let rooms = pieces(&mut room, (0..ranks).map(|_| length));
            self.swap(
                messages,
                sums.into_iter().enumerate().chain(rooms.enumerate()),
                wait,
                lost,
            );
            let (before, after) = room[..ranks * length].split_at_mut(rank * length);
            let own = &mut values[part(rank, ranks, count)];
            // Of two numbers it does not matter which is added to which.
            let (first, others) = before.split_at_mut(length.min(before.len()));
            for r in 1..rank {
                add(first, &others[(r - 1) * length..][..length]);
            }
            add(own, first);
            for r in 1..ranks - rank {
                add(own, &after[r * length..][..length]);
            }
            summed = values;
        }
        self.room = room;
    }

    /// Sends messages to other ranks, and receives from them into buffers, those of a rank in the same order there and here. What is empty is
    /// not sent, and where there is no room nothing is waited for; nor is what is this rank's own. Where ranks are lost it tells which, and
    /// stands still, with the buffers of what is under way; the process can only end.
    fn swap<'a, T: Equivalence + 'a>(
        &mut self,
        messages: impl Iterator<Item = (usize, &'a [T])>,
        buffers: impl Iterator<Item = (usize, &'a mut [T])>,
        wait: Wait,
        lost: &dyn Fn(Missing),
    ) {
        let world = SimpleCommunicator::world();
        let rank = self.rank;
        scope(|scope| {
            // Messages before buffers: MPI asks before it sends what is long, and an answer that stands behind a long message comes when that is
            // through. So who comes later asks before it answers, and the other, too, answers before it sends.
            let mut under_way = Vec::new();
            for (r, message) in messages.filter(|(r, message)| *r != rank && !message.is_empty()) {
                let to = world.process_at_rank(r as i32);
                under_way.push((r, to.immediate_send_with_tag(scope, message, EXCHANGED)));
            }
            for (r, buffer) in buffers.filter(|(r, buffer)| *r != rank && !buffer.is_empty()) {
                let from = world.process_at_rank(r as i32);
                under_way.push((r, from.immediate_receive_into_with_tag(scope, buffer, EXCHANGED)));
            }
            let began = Instant::now();
            loop {
                pending(&mut under_way);
                if under_way.is_empty() {
                    return;
                }
                self.show_life();
                let is_late = |r: &usize| match wait {
                    Wait::Answer(limit) => began.elapsed() > limit,
                    Wait::Life(limit) => began.max(self.heard[*r]).elapsed() > limit.max(2 * EVERY),
                };
                let mut missing: Vec<usize> = under_way.iter().map(|(r, _)| *r).filter(is_late).collect();
                if !missing.is_empty() {
                    missing.sort_unstable();
                    missing.dedup();
                    lost(Missing(missing));
                    loop {
                        std::thread::park();
                    }
                }
                match began.elapsed() {
                    waited if waited < EAGER => std::thread::yield_now(),
                    waited if waited < WATCHFUL => std::thread::sleep(PAUSES[0]),
                    _ => std::thread::sleep(PAUSES[1]),
                }
            }
        });
    }
}

/// Values one after another, in pieces of these lengths.
fn pieces(mut values: &mut [f32], lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = &mut [f32]> {
    lengths.map(move |length| {
        let (piece, rest) = std::mem::take(&mut values).split_at_mut(length);
        values = rest;
        piece
    })
}

/// Keeps the requests that are not done.
fn pending<'a, D: ?Sized, S: Scope<'a>>(requests: &mut Vec<(usize, Request<'a, D, S>)>) {
    for i in (0..requests.len()).rev() {
        let (r, request) = requests.swap_remove(i);
        if let Err(request) = request.test() {
            requests.push((r, request));
        }
    }
}

/// The name of this host.
pub fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
