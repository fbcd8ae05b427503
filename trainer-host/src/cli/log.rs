//! Logs: to the terminal what `SEXTANT_LOG` asks for (warnings by default), and to the run's `log.txt` from info on.

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
    let terminal = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var("SEXTANT_LOG")
        .from_env_lossy();
    let _ = tracing_subscriber::registry()
        .with(
            fmt::layer()
                .with_writer(io::stderr)
                // A terminal that is gone must not end a training.
                .log_internal_errors(false)
                .with_ansi(colours(io::stderr().is_terminal(), std::env::var_os("NO_COLOR")))
                .without_time()
                .with_filter(terminal),
        )
        .with(
            fmt::layer()
                .with_writer(|| RunLog)
                .with_ansi(false)
                .with_filter(LevelFilter::INFO),
        )
        .try_init();
}

/// True if the log may be coloured: on a terminal, unless the user says otherwise (<https://no-color.org>).
fn colours(terminal: bool, no_color: Option<OsString>) -> bool {
    terminal && no_color.is_none_or(|value| value.is_empty())
}

/// From now on `folder/log.txt` gets the log too.
pub fn write_to(folder: &Path) {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log.txt"));
    if let (Ok(file), Ok(mut slot)) = (file, FILE.lock()) {
        *slot = Some(file);
    }
}

struct RunLog;

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
    use super::colours;

    #[test]
    fn should_colour_a_terminal_alone_and_only_if_it_may() {
        assert!(colours(true, None) && colours(true, Some("".into())));
        assert!(!colours(true, Some("1".into())));
        assert!(!colours(false, None));
    }
}
