//! A warning where a source's `guide` does not return.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time after which a `guide` that is still running is worth a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thread that names the source and step whose `guide` takes long, since the thread inside it cannot.
///
/// It begins with the first step, looks a few times within its patience, and costs a step two locks that nobody else wants.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    tell: fn(&str),
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Debug)]
struct State {
    running: Option<Running>,
    /// The longest time without a word. It doubles with each, so that slow steps do not fill a log.
    patience: Duration,
    over: bool,
}

#[derive(Debug)]
struct Running {
    source: String,
    step: u64,
    since: Instant,
}

impl Watchdog {
    /// A watchdog that warns in the log.
    pub fn new() -> Self {
        Self::with(PATIENCE, |words| tracing::warn!("{words}"))
    }

    fn with(patience: Duration, tell: fn(&str)) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    running: None,
                    patience,
                    over: false,
                }),
                over: Condvar::new(),
            }),
            thread: None,
            tell,
        }
    }

    /// Runs the `guide` of a source at an optimiser step, counted from 0.
    pub fn during<R>(&mut self, source: &str, step: u64, guide: impl FnOnce() -> R) -> R {
        self.begin();
        self.shared.lock().running = Some(Running {
            source: source.to_owned(),
            step,
            since: Instant::now(),
        });
        let _inside = Inside(&self.shared);
        guide()
    }

    /// Starts the thread. Where there can be none, nobody warns, and nothing else is lost.
    fn begin(&mut self) {
        if self.thread.is_none() {
            let (shared, tell) = (self.shared.clone(), self.tell);
            let thread = std::thread::Builder::new().name("watchdog".into());
            self.thread = thread.spawn(move || shared.watch(tell)).ok();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.over.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The length of one `guide`, however it ends.
struct Inside<'a>(&'a Shared);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.lock().running = None;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn watch(&self, tell: fn(&str)) {
        let mut state = self.lock();
        let pause = state.patience / 5;
        while !state.over {
            let waited = self.over.wait_timeout(state, pause);
            state = waited.unwrap_or_else(|e| e.into_inner()).0;
            if let Some(words) = state.overdue() {
                // What is told may wait for a terminal; the step must not.
                drop(state);
                tell(&words);
                state = self.lock();
            }
        }
    }
}

impl State {
    /// What there is to say of the running `guide`, if it has outlasted the patience, which then doubles.
    fn overdue(&mut self) -> Option<String> {
        let running = self.running.as_ref()?;
        let elapsed = running.since.elapsed();
        if elapsed < self.patience {
            return None;
        }
        self.patience = 2 * elapsed;
        Some(format!(
            "guidance source \"{}\" has been in `guide` for {:.0} s at step {}: if it never returns, interrupt twice to end \
             the run",
            running.source,
            elapsed.as_secs_f64(),
            running.step + 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_have_twice_the_patience_after_each_word() {
        let mut state = State {
            running: None,
            patience: PATIENCE,
            over: false,
        };
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut running = |since| {
            state.running = Some(Running {
                source: "slow".into(),
                step: 6,
                since,
            });
            state.overdue()
        };
        assert_eq!(running(Instant::now()), None);
        let words = running(ago(6)).unwrap();
        assert!(words.contains("\"slow\"") && words.contains("6 s at step 7"), "{words}");
        assert_eq!(running(ago(11)), None);
        assert!(running(ago(13)).is_some());
        state.running = None;
        assert_eq!(state.overdue(), None);
    }

    #[test]
    fn should_speak_while_the_guide_still_runs() {
        static TOLD: Mutex<Option<String>> = Mutex::new(None);
        let mut watchdog = Watchdog::with(Duration::from_millis(20), |words| {
            *TOLD.lock().unwrap() = Some(words.to_owned());
        });
        let began = Instant::now();
        let words = watchdog.during("endless", 0, || {
            loop {
                std::thread::sleep(Duration::from_millis(5));
                if let Some(words) = TOLD.lock().unwrap().take() {
                    return words;
                }
                assert!(began.elapsed() < Duration::from_secs(60), "nobody warns");
            }
        });
        assert!(words.contains("\"endless\"") && words.contains("at step 1"), "{words}");
        assert!(watchdog.shared.lock().running.is_none());
    }
}
