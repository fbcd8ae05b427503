//! Logs: to the terminal what `SEXTANT_LOG` asks for (warnings by default), and to the run's `log.txt` from info on.
//!
//! A level alone is about Sextant and the plugins. Of the crates below, warnings are heard: on a GPU the compiler of kernels logs its
//! intermediate code after every pass, gigabytes within two steps, and at the level of information.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Installs the subscriber; once, at the start.
pub fn install() {
    let asked = std::env::var("SEXTANT_LOG").unwrap_or_default();
    let _ = tracing_subscriber::registry()
        .with(
            fmt::layer()
                .with_writer(io::stderr)
                // A terminal that is gone must not end a training.
                .log_internal_errors(false)
                .with_ansi(colours(io::stderr().is_terminal(), std::env::var_os("NO_COLOR")))
                .without_time()
                .with_filter(filter(&asked)),
        )
        .with(
            fmt::layer()
                .with_writer(|| RunLog)
                .with_ansi(false)
                .with_filter(filter("info")),
        )
        .try_init();
}

/// The filter of directives such as `debug` or `info,cubecl=debug`.
fn filter(asked: &str) -> EnvFilter {
    let directive = |asked: &str| match asked.trim().parse::<LevelFilter>() {
        Ok(ours) => format!("{},sextant={ours}", ours.min(LevelFilter::WARN)),
        Err(_) => asked.to_owned(),
    };
    let directives = asked.split(',').filter(|asked| !asked.trim().is_empty()).map(directive);
    EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse_lossy(directives.collect::<Vec<_>>().join(","))
}

/// True if the log may be coloured: on a terminal, unless the user says otherwise (<https://no-color.org>).
fn colours(terminal: bool, no_color: Option<OsString>) -> bool {
    terminal && no_color.is_none_or(|value| value.is_empty())
}

thread_local! {
    /// The log of a thread that does not write into that of all.
    static OWN: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// From now on `folder/log.txt` gets the log too.
pub fn write_to(folder: &Path) {
    if let (Ok(file), Ok(mut slot)) = (opened(folder), FILE.lock()) {
        *slot = Some(file);
    }
}

/// From now on `folder/log.txt` gets the log of this thread, and no other log does: others train other runs.
pub fn write_own_to(folder: &Path) {
    if let Ok(file) = opened(folder) {
        OWN.set(Some(file));
    }
}

fn opened(folder: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log.txt"))
}

struct RunLog;

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(written) = OWN.with_borrow_mut(|own| own.as_mut().map(|file| file.write(bytes))) {
            return written;
        }
        match FILE.lock() {
            Ok(mut file) => file.as_mut().map_or(Ok(bytes.len()), |file| file.write(bytes)),
            Err(_) => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_colour_a_terminal_alone_and_only_if_it_may() {
        assert!(colours(true, None) && colours(true, Some("".into())));
        assert!(!colours(true, Some("1".into())));
        assert!(!colours(false, None));
    }

    #[test]
    fn should_keep_of_other_crates_only_warnings() {
        // Crates that compile kernels log through `log`, ours through `tracing`.
        install();
        let folder = tempfile::tempdir().unwrap();
        write_to(folder.path());
        log::info!(target: "pliron::ir", "module after a pass");
        log::warn!(target: "pliron::ir", "a kernel that does not compile");
        tracing::info!(target: "wgpu_core::device", "a device");
        tracing::info!(target: "sextant_train::phase", "a checkpoint");
        tracing::info!(target: "sextant::plugin", "a plugin's words");
        tracing::debug!(target: "sextant::plugin", "a plugin's details");
        let log = std::fs::read_to_string(folder.path().join("log.txt")).unwrap();
        for kept in ["a kernel that does not compile", "a checkpoint", "a plugin's words"] {
            assert!(log.contains(kept), "{kept}: {log}");
        }
        for left_out in ["module after a pass", "a device", "details"] {
            assert!(!log.contains(left_out), "{left_out}: {log}");
        }
    }

    #[test]
    fn should_take_a_level_alone_for_sextants_own() {
        let said = |asked| filter(asked).to_string();
        assert_eq!(said(""), "warn");
        assert_eq!(said("debug"), "sextant=debug,warn");
        assert_eq!(said("error"), "sextant=error,error");
        assert_eq!(said("off"), "sextant=off,off");
        assert_eq!(said("info,pliron=debug"), "sextant=info,pliron=debug,warn");
    }
}
