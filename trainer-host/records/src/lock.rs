//! Locks: one process writes into a folder, or a file.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::FileError;

/// Name of the file that is locked. It stays: taken away, a second process could lock a new one while a third holds the old.
pub const LOCK_FILE: &str = ".sextant-lock";

/// A folder, or a file, that this process may write, until the lock is dropped or the process dies, however it dies.
///
/// The system keeps the lock (`flock`, which Linux carries to an NFS server too); the file's content is for people. A folder that
/// cannot be written, or whose file system has no locks, is not locked: nobody writes into the first, and of the second a warning
/// says so.
#[derive(Debug)]
#[must_use]
pub struct FolderLock {
    _file: Option<File>,
}

/// The process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of its machine.
    pub host: String,
    /// Its process id there.
    pub process: u32,
    /// Time at which it took the lock, on that machine's clock.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, process, since } = self;
        write!(f, "process {process} on {host}, since {since}")
    }
}

/// Why a folder cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes there.
    #[error(
        "{}: another sextant writes here: {}; wait until it is done, or stop it first",
        path.display(),
        holder.as_ref().map_or("a process that has not said who it is".into(), Holder::to_string)
    )]
    Held {
        /// The folder or file.
        path: PathBuf,
        /// The other process, if it can be told.
        holder: Option<Holder>,
    },
    /// The folder or its lock cannot be read or made.
    #[error(transparent)]
    File(#[from] FileError),
}

impl FolderLock {
    /// Locks a folder, which must be there.
    ///
    /// # Errors
    /// Another process that holds it, a folder that is not there.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        Self::held(folder, &folder.join(LOCK_FILE))
    }

    /// Locks one file, there or not, in a folder in which others may write other files. The lock is a hidden file beside it.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn of_file(file: &Path) -> Result<Self, LockError> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Self::held(file, &file.with_file_name(format!(".{name}{LOCK_FILE}")))
    }

    /// True if another process writes into a folder. Nothing is changed by the look.
    pub fn is_held(folder: &Path) -> bool {
        // A lock that can be shared lets others look too; who wants it for itself tries again.
        let file = File::open(folder.join(LOCK_FILE));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Locks `place` by the file `path`.
    fn held(place: &Path, path: &Path) -> Result<Self, LockError> {
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let (mut file, is_ours) = match open {
            Ok(file) => (file, true),
            // Somebody else's lock, who may hold it; or nobody can write here.
            Err(e) if is_read_only(&e) => match File::open(path) {
                Ok(file) => (file, false),
                Err(_) => return Ok(Self { _file: None }),
            },
            Err(e) => return Err(FileError::new(path, e).into()),
        };
        match try_for_a_moment(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    path: place.into(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(_)) if !is_ours => return Ok(Self { _file: None }),
            Err(TryLockError::Error(e)) => {
                tracing::warn!("{}: nothing keeps a second process out: {e}", place.display());
                return Ok(Self { _file: None });
            }
        }
        if is_ours {
            write_holder(&mut file).map_err(|e| FileError::new(path, e))?;
        }
        Ok(Self { _file: Some(file) })
    }
}

/// Takes a lock that may be shared by those who look at it, each for a moment.
fn try_for_a_moment(file: &File) -> Result<(), TryLockError> {
    let again = || {
        std::thread::sleep(Duration::from_millis(10));
        file.try_lock()
    };
    let taken = file.try_lock();
    (0..10).fold(taken, |taken, _| match taken {
        Err(TryLockError::WouldBlock) => again(),
        other => other,
    })
}

/// True if nobody here can write into the folder.
fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let holder = Holder {
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        process: std::process::id(),
        since: format!("{:.0}", Timestamp::now()),
    };
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", serde_json::to_string(&holder)?)?;
    file.flush()
}

/// The process that holds the lock of `file`. It writes that down after it has taken it, so that a look may come too early.
fn holder(file: &mut File) -> Option<Holder> {
    (0..10).find_map(|_| {
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        let found = read.ok().and_then(|_| serde_json::from_str(&text).ok());
        if found.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(folder: &Path) -> (String, Option<Holder>) {
        let error = FolderLock::take(folder).unwrap_err();
        let message = error.to_string();
        match error {
            LockError::Held { holder, .. } => (message, holder),
            LockError::File(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_folder_has_one_writer_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!FolderLock::is_held(folder.path()));
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(FolderLock::is_held(folder.path()));
        let (message, holder) = held(folder.path());
        let holder = holder.unwrap();
        assert_eq!(holder.process, std::process::id());
        assert!(holder.since.parse::<Timestamp>().is_ok(), "{}", holder.since);
        for words in [
            &folder.path().display().to_string(),
            &holder.host,
            &format!("process {}", holder.process),
            &holder.since,
        ] {
            assert!(message.contains(words), "{message} does not say {words}");
        }
        drop(first);
        assert!(!FolderLock::is_held(folder.path()));
        // Somebody looks at this moment.
        let look = File::open(folder.path().join(LOCK_FILE)).unwrap();
        look.lock_shared().unwrap();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            drop(look);
        });
        let _second = FolderLock::take(folder.path()).unwrap();
        ends.join().unwrap();
    }

    #[test]
    fn files_of_one_folder_are_locked_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let first = FolderLock::of_file(&file("encoder.safetensors")).unwrap();
        let _other = FolderLock::of_file(&file("judge.safetensors")).unwrap();
        let message = FolderLock::of_file(&file("encoder.safetensors"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("encoder.safetensors: another sextant"), "{message}");
        drop(first);
        let _again = FolderLock::of_file(&file("encoder.safetensors")).unwrap();
        assert!(!file("encoder.safetensors").exists());
    }

    #[test]
    fn of_many_at_once_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            let together = std::sync::Barrier::new(4);
            let won = std::thread::scope(|scope| {
                let tries = [(); 4].map(|()| {
                    scope.spawn(|| {
                        together.wait();
                        FolderLock::take(folder.path())
                    })
                });
                // All are kept until each has tried.
                let locks = tries.map(|one| one.join().unwrap());
                locks.iter().filter(|lock| lock.is_ok()).count()
            });
            assert_eq!(won, 1);
        }
    }

    #[test]
    fn what_a_dead_process_left_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let left = "{\"host\": \"elsewhere, a long name that is longer than the next one's\", \"process\": 1, \"since\": \"1970-01-01T00:00:00Z\"}\n";
        // Of a clock that was set back since, too.
        for left in ["", "no JSON", left, &left.replace("1970", "9999")] {
            std::fs::write(folder.path().join(LOCK_FILE), left).unwrap();
            let _lock = FolderLock::take(folder.path()).unwrap();
            assert_eq!(held(folder.path()).1.unwrap().process, std::process::id());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let error = FolderLock::take(&gone).unwrap_err();
        assert!(matches!(error, LockError::File(_)), "{error}");
        assert!(!gone.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_written_needs_no_lock() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o555);
        // The superuser may write everywhere, and gets a lock.
        let _first = FolderLock::take(folder.path()).unwrap();
        mode(0o755);
    }
}
