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
use mpi::traits::{Communicator, Destination, Source};
use sextant_interrupt as interrupt;

use super::{Message, Missing, Reduce, Wait};

/// Tag of what is exchanged.
const EXCHANGED: i32 = 1;
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
    requests: Option<Sender<Exchange>>,
    answers: Receiver<Result<Vec<Message>, Missing>>,
    thread: Option<JoinHandle<()>>,
    lost: bool,
}

struct Exchange {
    messages: Vec<Message>,
    lengths: Vec<usize>,
    wait: Wait,
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
        let (answer, answers) = channel();
        let (begun, place) = channel();
        let thread = std::thread::Builder::new().name("mpi".into()).spawn(move || {
            let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
                return;
            };
            let world = universe.world();
            let _ = begun.send((world.rank() as usize, world.size() as usize, threading));
            Link::new(world).serve(&asked, &answer);
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
            answers,
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
        let exchange = Exchange {
            messages,
            lengths,
            wait,
        };
        let asked = self.requests.as_ref().map(|requests| requests.send(exchange));
        let answer = match asked {
            Some(Ok(())) => self.answers.recv().ok(),
            _ => None,
        };
        let answer = answer.unwrap_or_else(|| Err(Missing(vec![self.rank])));
        self.lost |= answer.is_err();
        answer
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.requests = None;
        // With ranks that are lost, MPI would not end.
        if let Some(thread) = self.thread.take().filter(|_| !self.lost) {
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
            world,
        }
    }

    fn serve(mut self, asked: &Receiver<Exchange>, answer: &Sender<Result<Vec<Message>, Missing>>) {
        loop {
            match asked.recv_timeout(EVERY) {
                Ok(exchange) => {
                    let received = self.exchange(&exchange, answer);
                    if answer.send(Ok(received)).is_err() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
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

    /// Sends and receives. Where a rank is lost this thread ends here, with the buffers of what is under way; the process can only end.
    fn exchange(&mut self, exchange: &Exchange, answer: &Sender<Result<Vec<Message>, Missing>>) -> Vec<Message> {
        let Exchange {
            messages,
            lengths,
            wait,
        } = exchange;
        let mut received: Vec<Vec<u8>> = lengths.iter().map(|length| vec![0; *length]).collect();
        received[self.rank].clear();
        let world = SimpleCommunicator::world();
        scope(|scope| {
            let mut receives = Vec::new();
            for (r, buffer) in received.iter_mut().enumerate().filter(|(_, buffer)| !buffer.is_empty()) {
                let from = world.process_at_rank(r as i32);
                receives.push((
                    r,
                    from.immediate_receive_into_with_tag(scope, &mut buffer[..], EXCHANGED),
                ));
            }
            let mut sends = Vec::new();
            let others = messages
                .iter()
                .enumerate()
                .filter(|(r, message)| *r != self.rank && !message.is_empty());
            for (r, message) in others {
                let to = world.process_at_rank(r as i32);
                sends.push((r, to.immediate_send_with_tag(scope, &message[..], EXCHANGED)));
            }
            let began = Instant::now();
            loop {
                pending(&mut receives);
                pending(&mut sends);
                if receives.is_empty() && sends.is_empty() {
                    return;
                }
                self.show_life();
                let is_late = |r: &usize| match wait {
                    Wait::Answer(limit) => began.elapsed() > *limit,
                    Wait::Life(limit) => began.max(self.heard[*r]).elapsed() > (*limit).max(2 * EVERY),
                };
                let due = receives.iter().map(|(r, _)| *r).chain(sends.iter().map(|(r, _)| *r));
                let mut missing: Vec<usize> = due.filter(is_late).collect();
                if !missing.is_empty() {
                    missing.sort_unstable();
                    missing.dedup();
                    let _ = answer.send(Err(Missing(missing)));
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
        received.into_iter().map(Arc::new).collect()
    }
}

/// Keeps the requests that are not done.
fn pending<'a, D: ?Sized, S: Scope<'a>>(requests: &mut Vec<(usize, Request<'a, D, S>)>) {
    let all = std::mem::take(requests).into_iter();
    requests.extend(all.filter_map(|(r, request)| request.test().err().map(|request| (r, request))));
}

/// The name of this host.
pub fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
