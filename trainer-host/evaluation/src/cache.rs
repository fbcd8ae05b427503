//! Values that are computed once for a judge and a data set, kept between runs.
//!
//! A convenience and never a need: where the folder cannot be written, or a file is damaged or of something else, the value is
//! computed again without a word.

use burn::tensor::TensorData;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use sextant_model::{fingerprint, read_with_metadata, write_safetensors};
use sextant_records::remove_leftovers;

/// A folder of files that may be deleted at any time, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache(pub(super) Option<PathBuf>);

impl Cache {
    /// `SEXTANT_CACHE`, or else `sextant` in `XDG_CACHE_HOME`, or else `~/.cache/sextant`. None if `SEXTANT_CACHE` is empty, or
    /// nothing of this is set.
    pub fn standard() -> Self {
        Self::named(|name| env::var_os(name).map(PathBuf::from))
    }

    /// Its folder, which may not exist yet.
    pub fn folder(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// The folder that the variables of `lookup` name.
    fn named(lookup: impl Fn(&str) -> Option<PathBuf>) -> Self {
        if let Some(folder) = lookup("SEXTANT_CACHE") {
            return Self(Some(folder).filter(|folder| !folder.as_os_str().is_empty()));
        }
        // The base directory specification: a relative path is to be ignored.
        let absolute = |name: &str| lookup(name).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        Self(base.map(|base| base.join("sextant")))
    }

    /// The tensors that were kept under `key`, if they are there and whole.
    pub(super) fn read(&self, key: &str) -> Option<BTreeMap<String, TensorData>> {
        let (tensors, metadata) = read_with_metadata(self.place(key)?).ok()?;
        (metadata == seal(key, &tensors)).then_some(tensors)
    }

    /// Keeps `tensors`, of f32, under `key`: whole, in place of what was there.
    pub(super) fn write(&self, key: &str, tensors: &BTreeMap<String, TensorData>) {
        let Some(path) = self.place(key) else { return };
        remove_leftovers(&path);
        if let Err(reason) = std::fs::create_dir_all(path.parent().unwrap_or(&path))
            .map_err(|e| e.to_string())
            .and_then(|()| write_safetensors(&path, tensors, &seal(key, tensors)).map_err(|e| e.to_string()))
        {
            tracing::debug!("{}: not cached: {reason}", path.display());
        }
    }

    fn place(&self, key: &str) -> Option<PathBuf> {
        let name = sextant_data::hex(&Sha256::digest(key)[..12]);
        Some(self.0.as_ref()?.join(format!("reference-{name}.safetensors")))
    }
}

/// The metadata of a whole file: its key, and the SHA-256 of its tensors.
fn seal(key: &str, tensors: &BTreeMap<String, TensorData>) -> BTreeMap<String, String> {
    let content = fingerprint("", tensors);
    [("key".into(), key.into()), ("content".into(), content)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> BTreeMap<String, TensorData> {
        BTreeMap::from([
            ("a".into(), TensorData::new(vec![1.0f32 / 3.0, -2.0], [2])),
            ("b".into(), TensorData::new(vec![0.25f32], [1, 1])),
        ])
    }

    fn only_file(folder: &std::path::Path) -> PathBuf {
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].path()
    }

    #[test]
    fn what_was_kept_comes_back_to_the_bit_under_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache(Some(folder.path().join("made/for/it")));
        assert_eq!(cache.read("key"), None);
        cache.write("key", &tensors());
        assert_eq!(cache.read("key"), Some(tensors()));
        assert_eq!(cache.read("other"), None);
    }

    #[test]
    fn a_damaged_or_foreign_file_is_no_answer_and_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache(Some(folder.path().into()));
        cache.write("key", &tensors());
        let path = only_file(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        cache.write("other", &tensors());
        let foreign = std::fs::read(cache.place("other").unwrap()).unwrap();
        let short = whole[..whole.len() - 3].to_vec();
        for wrong in [flipped, short, Vec::new(), b"nonsense".to_vec(), foreign] {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(cache.read("key"), None);
            cache.write("key", &tensors());
            assert_eq!(cache.read("key"), Some(tensors()));
        }
    }

    #[test]
    fn where_nothing_can_be_kept_nothing_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for cache in [
            Cache(None),
            Cache(Some(file.path().into())),
            Cache(Some(file.path().join("below"))),
        ] {
            cache.write("key", &tensors());
            assert_eq!(cache.read("key"), None);
        }
    }

    #[test]
    fn the_environment_names_the_folder() {
        let of = |variables: &[(&str, &str)]| {
            let found = |name: &str| variables.iter().find(|(known, _)| *known == name);
            Cache::named(|name| found(name).map(|(_, value)| PathBuf::from(value)))
        };
        let home = ("HOME", "/home/me");
        assert_eq!(of(&[home]), Cache(Some("/home/me/.cache/sextant".into())));
        assert_eq!(
            of(&[home, ("XDG_CACHE_HOME", "/var/me")]),
            Cache(Some("/var/me/sextant".into()))
        );
        assert_eq!(
            of(&[home, ("XDG_CACHE_HOME", "me")]),
            Cache(Some("/home/me/.cache/sextant".into()))
        );
        assert_eq!(of(&[home, ("SEXTANT_CACHE", "here")]), Cache(Some("here".into())));
        assert_eq!(of(&[home, ("SEXTANT_CACHE", "")]), Cache(None));
        assert_eq!(of(&[]), Cache(None));
    }
}
