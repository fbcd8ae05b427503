//! Requests from outside: to stop (Ctrl-C, SIGTERM, SIGHUP, a time limit), or to save and go on (SIGUSR1).
//!
//! Signals reach a process, so their flags are statics of it, and any loop can [`check`] them. What has something to save holds the
//! process until that is done ([`hold`]). Everything else may be ended at any moment, for files appear whole or not at all: a
//! computation that does not ask, such as the decomposition of a large matrix, is ended a second after the request.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::{consts, flag, low_level};

/// The exit code of a process that was asked to stop.
pub const EXIT_CODE: u8 = 130;

/// Time from a request until what has nothing to save is ended.
const GRACE: Duration = Duration::from_secs(1);

/// Time between two looks at the flags.
const EVERY: Duration = Duration::from_millis(50);

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SAVE: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static HUSHED: AtomicBool = AtomicBool::new(false);
static HELD: AtomicUsize = AtomicUsize::new(0);
static ADVICE: Mutex<String> = Mutex::new(String::new());

/// Someone asked to stop: no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the end")]
pub struct Interrupted;

/// Listens to signals from now on, and asks to stop after `limit`. A second Ctrl-C ends the process at once: somebody means it.
/// Other signals may come twice for one reason, as SIGHUP does from a terminal and its shell.
///
/// # Errors
/// A signal that the system does not let be caught.
pub fn listen(limit: Option<Duration>) -> io::Result<()> {
    // In this order: a flag is looked at before it is set.
    flag::register_conditional_shutdown(consts::SIGINT, EXIT_CODE.into(), STOP.clone())?;
    flag::register(consts::SIGINT, STOP.clone())?;
    #[cfg(unix)]
    {
        flag::register(consts::SIGTERM, STOP.clone())?;
        flag::register(consts::SIGUSR1, SAVE.clone())?;
        // `nohup` ignores it, and its word counts.
        if !hangup_is_ignored() {
            flag::register(consts::SIGHUP, STOP.clone())?;
        }
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    std::thread::Builder::new()
        .name("interrupt".into())
        .spawn(move || watch(deadline))?;
    Ok(())
}

/// True if this process ignores SIGHUP, and so whatever it starts, where the system tells.
#[cfg(unix)]
pub fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (consts::SIGHUP - 1)) != 0)
}

fn watch(deadline: Option<Instant>) {
    while !is_requested() {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            say("the time of --max-time is up");
            stop();
        } else {
            std::thread::sleep(EVERY);
        }
    }
    say("stopping; Ctrl-C once more to stop at once");
    let mut idle = Instant::now();
    while idle.elapsed() < GRACE {
        std::thread::sleep(EVERY);
        if HELD.load(SeqCst) > 0 {
            idle = Instant::now();
        }
    }
    say(&format!("error: {Interrupted}{}", advice()));
    end(EXIT_CODE);
}

/// Ends the process where it stands: nothing of it runs any more, and it allocates nothing.
pub fn end(code: u8) -> ! {
    low_level::exit(code.into())
}

/// Says a line on standard error, which may be a terminal that is gone.
pub fn say(line: &str) {
    if !HUSHED.load(SeqCst) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Says nothing from now on, or says it again: of several processes that do one thing together, one speaks.
pub fn hush(hushed: bool) {
    HUSHED.store(hushed, SeqCst);
}

/// Asks to stop.
pub fn stop() {
    STOP.store(true, SeqCst);
}

/// True once someone asked to stop.
pub fn is_requested() -> bool {
    STOP.load(SeqCst)
}

/// An error once someone asked to stop.
///
/// # Errors
/// That someone did.
pub fn check() -> Result<(), Interrupted> {
    match is_requested() {
        true => Err(Interrupted),
        false => Ok(()),
    }
}

/// True if someone asked to save since this was asked last.
pub fn take_save() -> bool {
    SAVE.swap(false, SeqCst)
}

/// Keeps a request to stop from ending the process until it is dropped: whoever holds it asks, and saves.
#[derive(Debug)]
#[must_use]
pub struct Hold(());

/// Holds the process.
pub fn hold() -> Hold {
    HELD.fetch_add(1, SeqCst);
    Hold(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.fetch_sub(1, SeqCst);
    }
}

/// Remembers the command that goes on from here, for the message of a stop.
pub fn goes_on_with(command: &str) {
    advise(format!("; go on with: {command}"));
}

/// Remembers the command that does the work from its beginning, where a stop leaves nothing of it.
pub fn begins_anew_with(command: &str) {
    advise(format!("; nothing of it is kept, begin anew with: {command}"));
}

fn advise(words: String) {
    *ADVICE.lock().unwrap_or_else(PoisonError::into_inner) = words;
}

/// The end of a message of a stop: the command that goes on or begins anew; empty where there is none.
pub fn advice() -> String {
    ADVICE.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn wait(what: impl Fn() -> bool) {
        let started = Instant::now();
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(10), "nothing came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    // One test, since the flags are the process's.
    #[test]
    fn signals_are_seen_and_who_holds_the_process_is_waited_for() {
        // Never dropped: this process must outlive its requests.
        std::mem::forget(hold());
        listen(None).unwrap();
        assert_eq!((check(), take_save()), (Ok(()), false));
        low_level::raise(consts::SIGUSR1).unwrap();
        wait(take_save);
        assert!(!take_save(), "it is asked for once");
        assert_eq!(check(), Ok(()), "and stops nothing");

        assert_eq!(advice(), "");
        goes_on_with("sextant train --resume run");
        assert_eq!(advice(), "; go on with: sextant train --resume run");
        begins_anew_with("sextant sample run");
        assert_eq!(advice(), "; nothing of it is kept, begin anew with: sextant sample run");

        low_level::raise(consts::SIGHUP).unwrap();
        low_level::raise(consts::SIGTERM).unwrap();
        wait(is_requested);
        assert_eq!(check(), Err(Interrupted));
        std::thread::sleep(GRACE + 4 * EVERY);
        assert_eq!(HELD.load(SeqCst), 1, "still here");
    }
}
