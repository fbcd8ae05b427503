//! Images on their way to an `.npz`, in a file that a killed process leaves behind and the next one goes on with.
//!
//! A line of JSON says what the images are; they follow as RGB bytes, one after another.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sextant_recipe::value_changes;
use sextant_records::{FileError, sync_folder};

/// A longer first line is none of ours.
const LONGEST: u64 = 1 << 16;

/// The file, locked against every other process until it is dropped.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
    /// Images that are there.
    done: u64,
}

impl Partial {
    /// Opens the file or makes it, for `count` images of `image` bytes each. What is there of them stays, down to a multiple of
    /// `batch`: so that the passes are those of a process that nobody killed.
    ///
    /// # Errors
    /// Another process that holds it, images of other settings, a file that holds something else.
    pub fn open(path: &Path, settings: &Value, image: u64, count: u64, batch: u64) -> Result<Self, FileError> {
        let failed = |e: io::Error| FileError::new(path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        lock(&file, path)?;
        let line = format!("{settings}\n");
        let begun = begun(&mut file, path, &line, settings)?;
        let start = line.len() as u64;
        let done = match begun {
            true => whole(&file, start, image).map_err(failed)?.min(count),
            false => 0,
        };
        let done = if done < count { done - done % batch } else { done };
        if !begun {
            if file.metadata().map_err(failed)?.len() > 0 {
                file.set_len(0).map_err(failed)?;
            }
            file.rewind().map_err(failed)?;
            file.write_all(line.as_bytes()).map_err(failed)?;
        }
        let end = start + done * image;
        if file.metadata().map_err(failed)?.len() > end {
            file.set_len(end).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            sync_folder(folder)?;
        }
        let path = path.into();
        Ok(Self { path, file, done })
    }

    /// Images that are there.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Adds images, and waits until they are on disk.
    ///
    /// # Errors
    /// A disk that is full, or fails.
    pub fn append(&mut self, bytes: &[u8], images: u64) -> Result<(), FileError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        written.map_err(|e| FileError::new(&self.path, e))?;
        self.done += images;
        Ok(())
    }
}

/// The images of a file that holds all `count` of them, to be read; none where it is not there or holds fewer.
///
/// # Errors
/// Images of other settings, a file that holds something else.
pub fn complete(path: &Path, settings: &Value, image: u64, count: u64) -> Result<Option<impl Read + use<>>, FileError> {
    let failed = |e: io::Error| FileError::new(path, e);
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let line = format!("{settings}\n");
    let start = line.len() as u64;
    if !begun(&mut file, path, &line, settings)? || whole(&file, start, image).map_err(failed)? < count {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    Ok(Some(io::BufReader::with_capacity(1 << 20, file).take(image * count)))
}

/// Keeps other processes out of a file for as long as it is open.
///
/// # Errors
/// Another process that is in.
pub fn lock(file: &File, path: &Path) -> Result<(), FileError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FileError::new(
            path,
            "another sextant writes into this file; wait until it is done, or stop it first",
        )),
        Err(TryLockError::Error(e)) => {
            tracing::warn!("{}: nothing keeps a second process out: {e}", path.display());
            Ok(())
        }
    }
}

/// Removes a file that may be gone already.
///
/// # Errors
/// A file that stays.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FileError::new(path, e)),
        _ => Ok(()),
    }
}

/// The differences of two settings, for a message: `sampler.steps was 20, is 50`.
pub fn differences(before: &Value, now: &Value) -> String {
    let changes = value_changes(before, now, "").into_iter();
    let changes = changes.map(|change| format!("{} was {}, is {}", change.key, change.from, change.to));
    changes.collect::<Vec<_>>().join("; ")
}

/// Whole images after `start`.
fn whole(file: &File, start: u64, image: u64) -> io::Result<u64> {
    Ok(file.metadata()?.len().saturating_sub(start) / image)
}

/// True if the file begins with `line`, false if it is empty or was left within it.
fn begun(file: &mut File, path: &Path, line: &str, settings: &Value) -> Result<bool, FileError> {
    // A device has no length, and might have no end.
    if file.metadata().map_err(|e| FileError::new(path, e))?.len() == 0 {
        return Ok(false);
    }
    let mut head = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut head);
    read.map_err(|e| FileError::new(path, e))?;
    if head.starts_with(line.as_bytes()) {
        return Ok(true);
    }
    if line.as_bytes().starts_with(&head) {
        return Ok(false);
    }
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let before: Option<Value> = serde_json::from_slice(first).ok();
    Err(FileError::new(
        path,
        match before.filter(|before| before.get("samples") == settings.get("samples")) {
            Some(before) => format!(
                "samples of other settings were begun here: {}; go on with those, or remove the file to begin anew",
                differences(&before, settings)
            ),
            None => "holds something else than samples that were begun; move it away, or name another --npz".to_owned(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(steps: u32) -> Value {
        json!({ "samples": 1, "sampler": { "steps": steps }, "seed": 3 })
    }

    fn open(path: &Path) -> Partial {
        Partial::open(path, &settings(20), 3, 10, 2).unwrap()
    }

    #[test]
    fn what_a_kill_left_goes_on_at_a_whole_batch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.partial");
        let line = format!("{}\n", settings(20));
        // Within the line, within an image, within a batch.
        for (there, done) in [
            (0, 0),
            (5, 0),
            (line.len(), 0),
            (line.len() + 8, 2),
            (line.len() + 17, 4),
        ] {
            let mut bytes = line.clone().into_bytes();
            bytes.extend(b"abcdefghijklmnopqrstuvwxyz");
            fs::write(&path, &bytes[..there]).unwrap();
            let mut partial = open(&path);
            assert_eq!(partial.done(), done, "{there}");
            partial.append(b"xyzXYZ", 2).unwrap();
            drop(partial);
            let kept = &bytes[line.len()..line.len() + 3 * done as usize];
            assert_eq!(fs::read(&path).unwrap(), [line.as_bytes(), kept, b"xyzXYZ"].concat());
        }
    }

    #[test]
    fn all_is_there_or_not_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.partial");
        let complete = |path: &Path| complete(path, &settings(20), 3, 10).unwrap();
        assert!(complete(&path).is_none());
        let mut partial = open(&path);
        partial.append(&[1; 27], 9).unwrap();
        assert!(complete(&path).is_none());
        partial.append(&[2; 3], 1).unwrap();
        let mut bytes = Vec::new();
        complete(&path).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [&[1; 27][..], &[2; 3]].concat());
        drop(partial);
        assert_eq!(open(&path).done(), 10);
    }

    #[test]
    fn a_second_process_other_settings_and_other_files_are_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.partial");
        let refused = |steps| {
            Partial::open(&path, &settings(steps), 3, 10, 2)
                .unwrap_err()
                .to_string()
        };
        let held = open(&path);
        assert!(refused(20).contains("another sextant writes into this file"));
        drop(held);
        let said = refused(50);
        assert!(
            said.contains("sampler.steps was 20, is 50;") && !said.contains("seed"),
            "{said}"
        );
        for other in ["mine", "{}\n", "{\"samples\": 2}\n", "\n"] {
            fs::write(&path, other).unwrap();
            let said = refused(20);
            assert!(said.contains("holds something else"), "{said}");
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
    }
}
