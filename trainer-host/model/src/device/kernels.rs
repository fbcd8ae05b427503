//! The place of a GPU backend's compiled kernels, and of its choice among several for the same thing.

use std::fs;
use std::path::Path;

/// Keeps kernels between processes in this folder, made where it is missing; for one process alone where there is none or it cannot
/// be written to. Once, before a device is opened.
pub fn keep_kernels(folder: Option<&Path>) {
    #[cfg(feature = "cubecl")]
    {
        use burn::cubecl::config::cache::CacheConfig;
        use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
        let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
        // Asked here: cubecl goes on without its folder too, with a warning for each of its tables.
        let folder = folder.filter(|folder| is_writable(folder));
        config.compilation.cache = folder.is_some();
        config.autotune.disable_cache |= folder.is_none();
        config.throughput.disable_cache |= folder.is_none();
        if let Some(folder) = folder {
            config.environment.path = CacheConfig::Directory(folder.to_owned());
        }
        CubeClRuntimeConfig::try_set(config);
    }
    #[cfg(not(feature = "cubecl"))]
    let _ = (folder, is_writable);
}

fn is_writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".{}", std::process::id()));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&probe, []));
    written.and_then(|()| fs::remove_file(&probe)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_see_where_nothing_can_be_written() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("cache/kernels");
        assert!(is_writable(&folder) && folder.is_dir());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "the probe is gone");
        let file = home.path().join("file");
        fs::write(&file, []).unwrap();
        assert!(!is_writable(&file.join("kernels")), "below a file there is no folder");
    }
}
