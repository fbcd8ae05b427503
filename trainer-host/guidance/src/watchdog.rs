//! A warning where a source's `guide` does not return.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time after which a `guide` that is still running is worth a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thread that names the source and step whose `guide` takes long, since the thread inside it cannot.
///
/// It begins with the first step and looks a few times within its patience; a step writes three numbers, and waits for nobody.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
    tell: fn(&str),
}

#[derive(Debug)]
struct Shared {
    /// Names of the sources.
    names: Vec<String>,
    born: Instant,
    /// Milliseconds after `born` at which the running `guide` began, and one more; 0 while none runs.
    since: AtomicU64,
    /// Place of its source among the names.
    source: AtomicUsize,
    /// Its optimiser step, counted from 0.
    step: AtomicU64,
    over: AtomicBool,
}

impl Watchdog {
    /// A watchdog over the sources of these names, which warns in the log.
    pub fn new(names: Vec<String>) -> Self {
        Self::with(names, PATIENCE, |words| tracing::warn!("{words}"))
    }

    fn with(names: Vec<String>, patience: Duration, tell: fn(&str)) -> Self {
        Self {
            shared: Arc::new(Shared {
                names,
                born: Instant::now(),
                since: AtomicU64::new(0),
                source: AtomicUsize::new(0),
                step: AtomicU64::new(0),
                over: AtomicBool::new(false),
            }),
            thread: None,
            patience,
            tell,
        }
    }

    /// Watches the `guide` of the source at this place, at an optimiser step counted from 0, while the result lives.
    pub fn watch(&mut self, source: usize, step: u64) -> Inside<'_> {
        self.begin();
        let shared = &self.shared;
        shared.source.store(source, Ordering::Relaxed);
        shared.step.store(step, Ordering::Relaxed);
        shared.since.store(shared.now() + 1, Ordering::Release);
        Inside(shared)
    }

    /// Starts the thread. Where there can be none, nobody warns, and nothing else is lost.
    fn begin(&mut self) {
        if self.thread.is_none() {
            let (shared, patience, tell) = (self.shared.clone(), self.patience, self.tell);
            let thread = std::thread::Builder::new().name("watchdog".into());
            self.thread = thread.spawn(move || shared.watch(patience, tell)).ok();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The length of one `guide`, however it ends.
pub(super) struct Inside<'a>(&'a Shared);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Release);
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }

    /// Says a word each time that a `guide` outlasts the patience, which then doubles, so that slow steps do not fill a log.
    fn watch(&self, mut patience: Duration, tell: fn(&str)) {
        let pause = patience / 5;
        while !self.over.load(Ordering::Acquire) {
            std::thread::park_timeout(pause);
            if let Some((elapsed, words)) = self.overdue(patience) {
                patience = 2 * elapsed;
                tell(&words);
            }
        }
    }

    /// The time that the running `guide` has taken and what there is to say of it, if that is longer than `patience`.
    fn overdue(&self, patience: Duration) -> Option<(Duration, String)> {
        let since = self.since.load(Ordering::Acquire).checked_sub(1)?;
        let elapsed = Duration::from_millis(self.now().saturating_sub(since));
        if elapsed < patience {
            return None;
        }
        let source = self.names.get(self.source.load(Ordering::Relaxed))?;
        let words = format!(
            "guidance source \"{source}\" has been in `guide` for {:.0} s at step {}: if it never returns, interrupt twice \
             to end the run",
            elapsed.as_secs_f64(),
            self.step.load(Ordering::Relaxed) + 1
        );
        Some((elapsed, words))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn should_say_nothing_before_its_patience_is_over_and_nothing_outside() {
        let watchdog = Watchdog::new(vec!["none".into(), "slow".into()]);
        let shared = &watchdog.shared;
        shared.source.store(1, Ordering::Relaxed);
        shared.step.store(6, Ordering::Relaxed);
        assert_eq!(shared.overdue(Duration::ZERO), None, "no `guide` runs");
        shared.since.store(1, Ordering::Relaxed);
        assert_eq!(shared.overdue(Duration::from_secs(600)), None);
        let (_, words) = shared.overdue(Duration::ZERO).unwrap();
        assert!(words.contains("\"slow\"") && words.contains("at step 7"), "{words}");
    }

    #[test]
    fn should_speak_while_the_guide_still_runs() {
        static TOLD: Mutex<Option<String>> = Mutex::new(None);
        let mut watchdog = Watchdog::with(vec!["endless".into()], Duration::from_millis(20), |words| {
            *TOLD.lock().unwrap() = Some(words.to_owned());
        });
        let began = Instant::now();
        let inside = watchdog.watch(0, 0);
        let words = loop {
            std::thread::sleep(Duration::from_millis(5));
            if let Some(words) = TOLD.lock().unwrap().take() {
                break words;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "nobody warns");
        };
        drop(inside);
        assert!(words.contains("\"endless\"") && words.contains("at step 1"), "{words}");
        assert_eq!(watchdog.shared.since.load(Ordering::Relaxed), 0);
    }
}
