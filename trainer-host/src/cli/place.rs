//! Places that a command looks at and writes to: a run or one of its checkpoints, a folder that cannot be written.

use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use sextant_records::{FileError, Place, RunFolder};

/// A run, and the checkpoint of it if one is meant.
///
/// # Errors
/// Names a folder that is neither; `or` says what else would have been right.
pub fn run_or_checkpoint(target: &Path, or: &str) -> Result<(RunFolder, Option<Place>), Error> {
    if target.join("recipe.toml").is_file() {
        return Ok((RunFolder::new(target), None));
    }
    let found = checkpoint(target).map(|(run, checkpoint)| (RunFolder::new(run), Some(checkpoint)));
    found.ok_or_else(|| {
        let reason = format!(
            "is neither a run (a folder with recipe.toml), nor a checkpoint of one (RUN/phases/PHASE/step-000400){or}"
        );
        FileError::new(target, reason).into()
    })
}

/// Run and checkpoint that RUN/phases/PHASE/step-000400 names, whether that checkpoint is there or not.
fn checkpoint(target: &Path) -> Option<(PathBuf, Place)> {
    let phase = target.parent()?;
    let phases = phase.parent().filter(|phases| phases.ends_with("phases"))?;
    let run = phases.parent().filter(|run| run.join("recipe.toml").is_file())?;
    let checkpoint = Place {
        phase: phase.file_name()?.to_str()?.to_owned(),
        step: target.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?,
    };
    Some((run.to_owned(), checkpoint))
}

/// An error where nothing can be written into `folder`, which is not given by `--out`.
///
/// # Errors
/// Says what to do.
pub fn check_writable(folder: &Path) -> Result<(), Error> {
    // Permissions do not tell: the disk may be read-only, and the superuser may write where others cannot.
    match tempfile::tempfile_in(folder) {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            let reason = format!("cannot be written ({e}); name another folder with --out");
            Err(FileError::new(folder, reason).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_a_phase_and_a_step_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let place = |path: &Path| run_or_checkpoint(path, "");
        std::fs::write(run.recipe_path(), "").unwrap();
        assert_eq!(place(run.path()).unwrap(), (run.clone(), None));
        let found = place(&run.path().join("phases/align/step-000400")).unwrap();
        let wanted = Place {
            phase: "align".into(),
            step: 400,
        };
        assert_eq!(found, (run.clone(), Some(wanted)));
        for wrong in [
            "phases/align",
            "phases/align/state.json",
            "other/align/step-000400",
            "phases/align/below/step-000400",
        ] {
            let message = place(&run.path().join(wrong)).unwrap_err().to_string();
            assert!(message.contains("neither a run"), "{wrong}: {message}");
        }
    }
}
