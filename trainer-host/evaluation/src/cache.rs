//! Values that are computed once for a judge and a data set, kept between runs.
//!
//! A convenience and never a need: where the folder cannot be written, or a file is damaged or of something else, the value is
//! computed again without a word.

use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

use sextant_model::{fingerprint, read_with_metadata};

/// Metadata of a cached file, under `json`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Seal {
    /// The key, whole.
    key: String,
    /// SHA-256 of the tensors.
    content: String,
}

/// A folder of files that may be deleted at any time, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache(Option<PathBuf>);

impl Cache {
    /// `SEXTANT_CACHE`, or else `sextant` in `XDG_CACHE_HOME`, or else `~/.cache/sextant`. None if `SEXTANT_CACHE` is empty, or
    /// nothing of this is set.
    pub fn standard() -> Self {
        Self::named(|name| env::var_os(name).map(PathBuf::from))
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

    /// A folder, which need not exist.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(Some(folder.into()))
    }

    /// Nothing is kept.
    pub fn none() -> Self {
        Self(None)
    }

    /// The tensors that were kept under `key`, if they are there and whole.
    pub(super) fn read(&self, key: &str) -> Option<BTreeMap<String, TensorData>> {
        let (tensors, metadata) = read_with_metadata(self.place(key)?).ok()?;
        let seal: Seal = serde_json::from_str(metadata.get("json")?).ok()?;
        (seal.key == key && seal.content == fingerprint("", &tensors)).then_some(tensors)
    }

    /// Keeps `tensors`, of f32 or f64, under `key`: whole, in place of what was there.
    pub(super) fn write(&self, key: &str, tensors: &BTreeMap<String, TensorData>) {
        if let Some(path) = self.place(key)
            && let Err(reason) = keep(&path, key, tensors)
        {
            tracing::debug!("{}: not cached: {reason}", path.display());
        }
    }

    fn place(&self, key: &str) -> Option<PathBuf> {
        let name: String = Sha256::digest(key)
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Some(self.0.as_ref()?.join(format!("reference-{name}.safetensors")))
    }
}

fn keep(path: &Path, key: &str, tensors: &BTreeMap<String, TensorData>) -> Result<(), Box<dyn std::error::Error>> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)?;
    let seal = Seal {
        key: key.into(),
        content: fingerprint("", tensors),
    };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let kind = match data.dtype() {
            DType::F64 => Dtype::F64,
            _ => Dtype::F32,
        };
        views.push((
            name.as_str(),
            TensorView::new(kind, data.shape().to_vec(), data.as_bytes())?,
        ));
    }
    let metadata = [("json".to_owned(), serde_json::to_string(&seal)?)].into();
    let bytes = safetensors::serialize(views, Some(metadata))?;
    // A name of its own: other processes may be writing the same.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> BTreeMap<String, TensorData> {
        BTreeMap::from([
            ("a".into(), TensorData::new(vec![1.0f32 / 3.0, -2.0], [2])),
            ("b".into(), TensorData::new(vec![1.0f64 / 3.0], [1, 1])),
        ])
    }

    fn only_file(folder: &Path) -> PathBuf {
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].path()
    }

    #[test]
    fn what_was_kept_comes_back_to_the_bit_under_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("made/for/it"));
        assert_eq!(cache.read("key"), None);
        cache.write("key", &tensors());
        assert_eq!(cache.read("key"), Some(tensors()));
        assert_eq!(cache.read("other"), None);
    }

    #[test]
    fn a_damaged_or_foreign_file_is_no_answer_and_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        cache.write("key", &tensors());
        let path = only_file(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        cache.write("other", &tensors());
        let foreign = cache.place("other").unwrap();
        let foreign = std::fs::read(foreign).unwrap();
        for wrong in [
            flipped,
            whole[..whole.len() - 3].to_vec(),
            Vec::new(),
            b"nonsense".to_vec(),
            foreign,
        ] {
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
            Cache::none(),
            Cache::at(file.path()),
            Cache::at(file.path().join("below")),
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
        assert_eq!(of(&[home]), Cache::at("/home/me/.cache/sextant"));
        assert_eq!(of(&[home, ("XDG_CACHE_HOME", "/var/me")]), Cache::at("/var/me/sextant"));
        assert_eq!(
            of(&[home, ("XDG_CACHE_HOME", "me")]),
            Cache::at("/home/me/.cache/sextant")
        );
        assert_eq!(of(&[home, ("SEXTANT_CACHE", "here")]), Cache::at("here"));
        assert_eq!(of(&[home, ("SEXTANT_CACHE", "")]), Cache::none());
        assert_eq!(of(&[]), Cache::none());
    }
}
