//! The files of a folder.

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::error::DataError;

/// Endings of images.
pub const IMAGES: &[&str] = &["jpg", "jpeg", "png", "webp"];

/// Endings of other images, which a person who copies a folder of photographs means too.
pub const OTHER_IMAGES: &[&str] = &["avif", "bmp", "gif", "heic", "jfif", "jpe", "jxl", "tif", "tiff"];

/// Endings of moments.
pub const LATENTS: &[&str] = &["npy"];

/// Folders in folders beyond which something leads back.
const DEEPEST: usize = 32;

/// A file, seen from the folder that was searched, with `/` between folders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// The files with one of these `endings` in `root` and the folders within it, sorted by name. What is hidden is left out.
///
/// # Errors
/// A folder that cannot be read; a name that is not UTF-8; folders that lead back to themselves.
pub fn files_below(root: &Path, endings: &[&str]) -> Result<Vec<FoundFile>, DataError> {
    let mut found = below(root, "", endings, 0)?;
    found.par_sort_unstable();
    Ok(found)
}

fn below(folder: &Path, prefix: &str, endings: &[&str], depth: usize) -> Result<Vec<FoundFile>, DataError> {
    let io = |source| DataError::io(folder, source);
    if depth > DEEPEST {
        return Err(DataError::file(folder, "folders lie too deep: one of them leads back"));
    }
    let entries: Vec<fs::DirEntry> = fs::read_dir(folder)
        .map_err(io)?
        .collect::<Result<_, _>>()
        .map_err(io)?;
    let found = entries.into_par_iter().map(|entry| {
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(DataError::file(&path, "a name that is not UTF-8"));
        };
        if name.starts_with('.') {
            return Ok(Vec::new());
        }
        // Links are followed, and one that leads nowhere is no file.
        let Ok(facts) = fs::metadata(&path) else {
            return Ok(Vec::new());
        };
        let name = format!("{prefix}{name}");
        if facts.is_dir() {
            return below(&path, &format!("{name}/"), endings, depth + 1);
        }
        Ok(match has_ending(&name, endings) {
            true => vec![FoundFile {
                name,
                bytes: facts.len(),
            }],
            false => Vec::new(),
        })
    });
    Ok(found.collect::<Result<Vec<_>, _>>()?.concat())
}

/// True if a file's name ends with a dot and one of these, in small letters or large ones.
pub fn has_ending(name: &str, endings: &[&str]) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_find_what_is_wanted_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b/2.PNG",
            "b/10.png",
            "a.jpg",
            "b/c/d.webp",
            "b/notes.txt",
            ".hidden/x.png",
            "b/.x.png",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let found = files_below(folder.path(), IMAGES).unwrap();
        let names: Vec<&str> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a.jpg", "b/10.png", "b/2.PNG", "b/c/d.webp"]);
        assert_eq!(found[1].bytes, 8);
    }

    #[cfg(unix)]
    #[test]
    fn should_refuse_folders_that_lead_back() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        let message = files_below(folder.path(), IMAGES).unwrap_err().to_string();
        assert!(message.contains("leads back"), "{message}");
    }
}
