//! Search for a source's library.

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use sextant_recipe::is_library_path;

use super::error::GuidanceError;
use super::library::Library;

/// Environment variable with further folders, separated as in `PATH`.
pub const PATH_VARIABLE: &str = "SEXTANT_PLUGIN_PATH";

/// An ordered list of folders.
///
/// `repa` is searched as `libsextant_repa.so` on Linux, `libsextant_repa.dylib` on macOS and `sextant_repa.dll` on Windows; a
/// `-` in the name is a `_` in the file's. The first folder that has the file wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
    /// Number of those, the first, that were asked for.
    asked: usize,
}

impl SearchPath {
    /// `folders` (those of `--plugin-dir`), then those of `SEXTANT_PLUGIN_PATH`, then the executable's.
    pub fn new(folders: &[PathBuf]) -> Self {
        let variable = std::env::var_os(PATH_VARIABLE).unwrap_or_default();
        let executable = std::env::current_exe().ok();
        let mut all: Vec<PathBuf> = folders.to_vec();
        all.extend(std::env::split_paths(&variable).filter(|folder| !folder.as_os_str().is_empty()));
        all.extend(executable.as_deref().and_then(Path::parent).map(Path::to_owned));
        Self {
            folders: all,
            asked: folders.len(),
        }
    }

    /// These folders and no other.
    pub fn only(folders: Vec<PathBuf>) -> Self {
        Self { folders, asked: 0 }
    }

    /// The folders that were asked for, beside those that the environment and the program's place give.
    pub fn asked(&self) -> &[PathBuf] {
        &self.folders[..self.asked]
    }

    /// The folders, in order.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The file of the plugin that a recipe calls `plugin`. A text with a path separator or a library's extension is a
    /// path, which is taken as it is: whether it exists is seen when it is opened.
    pub fn resolve(&self, plugin: &str) -> Result<PathBuf, GuidanceError> {
        if is_library_path(plugin) {
            return Ok(PathBuf::from(plugin));
        }
        let file = file_name(plugin);
        let found = self
            .folders
            .iter()
            .map(|folder| folder.join(&file))
            .find(|path| path.is_file());
        found.ok_or_else(|| {
            let listed = |names: Vec<String>| match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            };
            GuidanceError::NotFound {
                name: plugin.to_owned(),
                file,
                searched: listed(self.folders.iter().map(|f| f.display().to_string()).collect()),
                available: listed(self.files().into_keys().collect()),
            }
        })
    }

    /// Every source that a recipe could name, opened, or the reason why it cannot be; by file, in order of the names.
    pub fn list(&self) -> Vec<(PathBuf, Result<Library, GuidanceError>)> {
        let opened = |path: PathBuf| (path.clone(), Library::open(&path));
        self.files().into_values().map(opened).collect()
    }

    /// The first file of each name.
    fn files(&self) -> BTreeMap<String, PathBuf> {
        let mut files = BTreeMap::new();
        for folder in &self.folders {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if let Some(name) = entry.file_name().to_str().and_then(plugin_name) {
                    files.entry(name).or_insert(entry.path());
                }
            }
        }
        files
    }
}

/// The file of the library that recipes call `plugin`, on this platform.
pub fn file_name(plugin: &str) -> String {
    format!("{DLL_PREFIX}sextant_{}{DLL_SUFFIX}", plugin.replace('-', "_"))
}

/// The reverse of [`file_name`], written with `-`.
pub fn plugin_name(file: &str) -> Option<String> {
    let name = file.strip_prefix(DLL_PREFIX)?.strip_prefix("sextant_")?;
    Some(name.strip_suffix(DLL_SUFFIX)?.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_take_the_first_folder_that_has_the_file() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = file_name("vae-align");
        assert!(file.contains("sextant_vae_align"), "{file}");
        std::fs::write(second.path().join(&file), "").unwrap();
        let path = SearchPath::only(vec![first.path().into(), second.path().into()]);
        assert_eq!(path.resolve("vae-align").unwrap(), second.path().join(&file));
        std::fs::write(first.path().join(&file), "").unwrap();
        assert_eq!(path.resolve("vae-align").unwrap(), first.path().join(&file));
    }

    #[test]
    fn should_say_where_it_looked_and_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file_name("vae-align")), "").unwrap();
        std::fs::write(folder.path().join("libother.so"), "").unwrap();
        let path = SearchPath::only(vec![folder.path().into()]);
        let error = path.resolve("repa").unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
        assert!(error.contains("sources there: vae-align"), "{error}");
    }

    #[test]
    fn should_take_a_path_as_it_is() {
        let path = SearchPath::only(vec![]);
        for plugin in ["./repa", "/opt/repa", "repa.so", "repa.dylib", "repa.dll"] {
            assert_eq!(path.resolve(plugin).unwrap(), PathBuf::from(plugin));
        }
    }

    #[test]
    fn should_list_a_file_that_is_no_library_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file_name("broken")), "not a library").unwrap();
        let path = SearchPath::only(vec![folder.path().into()]);
        let list = path.list();
        assert_eq!(list.len(), 1);
        let error = list[0].1.as_ref().unwrap_err().to_string();
        assert!(error.contains("not a shared library"), "{error}");
        assert!(error.contains("broken"), "{error}");
    }

    #[test]
    fn should_end_with_the_folder_of_the_executable() {
        let path = SearchPath::new(&[PathBuf::from("/first")]);
        let executable = std::env::current_exe().unwrap();
        assert_eq!(path.folders().first().unwrap(), Path::new("/first"));
        assert_eq!(path.folders().last().unwrap(), executable.parent().unwrap());
    }
}
