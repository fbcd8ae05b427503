//! Names of published networks: a path, or `hf:owner/name`, a repository of the Hugging Face hub.
//!
//! `hf:owner/name@revision` names a branch, a tag or a commit; without it the branch `main`. A repository is looked for in the
//! cache that the hub's own tools fill (`hf download owner/name`), in the first of these places that is named:
//! `$HF_HUB_CACHE`, `$HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`, `$XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`. What is not there
//! is fetched, where this program was built with the feature `hub` and `HF_HUB_OFFLINE` is not set.

use std::path::{Path, PathBuf};

/// The beginning of a name that is looked for in the hub.
const SCHEME: &str = "hf:";

/// The revision of a name without one.
const MAIN: &str = "main";

/// A published network that cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A name that is none of a repository.
    #[error("{0:?}: a network of the hub is named hf:owner/name, or hf:owner/name@revision")]
    Name(String),
    /// No place for a cache.
    #[error("{0}: there is no cache to look in: set HF_HOME to a folder, or name the network's own folder")]
    NoCache(String),
    /// The cache does not hold it, and it was not fetched.
    #[error("{name}: {} has no {}; {fetching}", place.display(), files.join(", "))]
    Absent {
        /// As the recipe names it.
        name: String,
        /// Place that it was looked for in: the repository's folder in the cache, or the snapshot of a revision.
        place: PathBuf,
        /// Files that are wanted and not there.
        files: Vec<String>,
        /// Reason why it was not fetched, and what to do.
        fetching: String,
    },
}

/// Place of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The folder, or the file, that a path names.
    pub path: PathBuf,
    /// The commit, of what came from the hub.
    pub revision: Option<String>,
}

/// True for a name that is looked for in the hub, not a path.
pub fn is_hub_name(name: &str) -> bool {
    name.starts_with(SCHEME)
}

/// The place of the network `name`, which holds at least `files`: a path as it is, whatever it holds; of `hf:owner/name` the
/// snapshot in the hub's cache.
///
/// # Errors
/// Says what was looked for, where, and how it gets there.
pub fn locate(name: &str, files: &[&str]) -> Result<Located, HubError> {
    if !is_hub_name(name) {
        let path = name.into();
        return Ok(Located { path, revision: None });
    }
    let repository = Repository::parse(name)?;
    let cache = cache(variable).ok_or_else(|| HubError::NoCache(name.to_owned()))?;
    repository
        .locate(&cache, files)
        .or_else(|absent| repository.fetch(&cache, files, absent))
}

/// The snapshot of `hf:owner/name` in the hub's cache, if it is there and holds `files`. Nothing is fetched.
pub fn cached(name: &str, files: &[&str]) -> Option<Located> {
    let repository = Repository::parse(name).ok()?;
    repository.locate(&cache(variable)?, files).ok()
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The hub's cache, by the rules of its own tools.
fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let hub = |home: PathBuf| home.join("hub");
    variable("HF_HUB_CACHE")
        .or_else(|| variable("HUGGINGFACE_HUB_CACHE"))
        .or_else(|| variable("HF_HOME").map(hub))
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| hub(cache.join("huggingface"))))
        .or_else(|| variable("HOME").map(|home| hub(home.join(".cache/huggingface"))))
}

/// A repository of the hub at a revision.
struct Repository<'a> {
    name: &'a str,
    owner: &'a str,
    model: &'a str,
    revision: &'a str,
}

impl<'a> Repository<'a> {
    fn parse(name: &'a str) -> Result<Self, HubError> {
        let wrong = || HubError::Name(name.to_owned());
        let text = name.strip_prefix(SCHEME).ok_or_else(wrong)?;
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (owner, model) = repository.split_once('/').ok_or_else(wrong)?;
        // Nothing that leads out of the cache's folder.
        let plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        match plain(owner) && plain(model) && revision.split('/').all(plain) {
            true => Ok(Self {
                name,
                owner,
                model,
                revision,
            }),
            false => Err(wrong()),
        }
    }

    /// The snapshot in `cache`; the error says what it lacks, and nothing yet of fetching.
    fn locate(&self, cache: &Path, files: &[&str]) -> Result<Located, HubError> {
        let folder = cache.join(format!("models--{}--{}", self.owner, self.model));
        let absent = |place: &Path, files: &[&str]| HubError::Absent {
            name: self.name.to_owned(),
            place: place.to_owned(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            fetching: String::new(),
        };
        let reference = folder.join("refs").join(self.revision);
        let commit = std::fs::read_to_string(&reference).unwrap_or_else(|_| self.revision.to_owned());
        let commit = commit.trim();
        let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
        let snapshot = folder.join("snapshots").join(commit);
        if !is_commit || !snapshot.is_dir() {
            return Err(absent(&folder, files));
        }
        // Links into the cache's blobs: a link to nothing is not there.
        let missing: Vec<&str> = files
            .iter()
            .copied()
            .filter(|file| !snapshot.join(file).is_file())
            .collect();
        match missing.is_empty() {
            true => Ok(Located {
                revision: Some(commit.to_owned()),
                path: snapshot,
            }),
            false => Err(absent(&snapshot, &missing)),
        }
    }

    #[cfg(feature = "hub")]
    fn fetch(&self, cache: &Path, files: &[&str], absent: HubError) -> Result<Located, HubError> {
        use hf_hub::api::sync::{ApiBuilder, ApiError};
        use hf_hub::{Repo, RepoType};
        if std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0") {
            return Err(because(absent, "it was not fetched, since HF_HUB_OFFLINE is set"));
        }
        let fetch = || -> Result<(), ApiError> {
            let repository = format!("{}/{}", self.owner, self.model);
            let repository = Repo::with_revision(repository, RepoType::Model, self.revision.to_owned());
            let api = ApiBuilder::from_env()
                .with_cache_dir(cache.to_owned())
                .build()?
                .repo(repository);
            files.iter().try_for_each(|file| api.get(file).map(drop))
        };
        match fetch() {
            Ok(()) => self.locate(cache, files),
            Err(reason) => Err(because(
                absent,
                &format!("it could not be fetched: {reason}; where there is a network, `hf download` puts it there"),
            )),
        }
    }

    #[cfg(not(feature = "hub"))]
    fn fetch(&self, _: &Path, _: &[&str], absent: HubError) -> Result<Located, HubError> {
        let (owner, model, revision) = (self.owner, self.model, self.revision);
        let how = format!(
            "`hf download {owner}/{model} --revision {revision}` puts it there; this program was built without the feature \
             `hub`, and fetches nothing itself"
        );
        Err(because(absent, &how))
    }
}

/// `absent` with what is to be said of fetching.
fn because(mut absent: HubError, why: &str) -> HubError {
    if let HubError::Absent { fetching, .. } = &mut absent {
        why.clone_into(fetching);
    }
    absent
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cached() -> tempfile::TempDir {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--facebook--dinov2-small");
        let snapshot = folder.join("snapshots").join(COMMIT);
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(folder.join("refs/pr")).unwrap();
        fs::write(folder.join("refs/main"), format!("{COMMIT}\n")).unwrap();
        fs::write(folder.join("refs/pr/1"), COMMIT).unwrap();
        fs::write(snapshot.join("config.json"), "abc").unwrap();
        cache
    }

    #[test]
    fn should_find_the_snapshot_of_a_branch_and_of_a_commit() {
        let cache = cached();
        for revision in ["", "@main", "@pr/1", "@0123456789abcdef0123456789abcdef01234567"] {
            let name = format!("hf:facebook/dinov2-small{revision}");
            let found = Repository::parse(&name)
                .unwrap()
                .locate(cache.path(), &["config.json"])
                .unwrap();
            assert_eq!(found.revision.as_deref(), Some(COMMIT), "{name}");
            assert!(found.path.join("config.json").is_file(), "{name}");
        }
    }

    #[test]
    fn should_say_what_was_looked_for_and_where() {
        let cache = cached();
        for (name, place, files) in [
            ("hf:facebook/dinov2-small", COMMIT, "no model.safetensors;"),
            (
                "hf:facebook/dinov2-small@v2",
                "models--facebook--dinov2-small has",
                "config.json, model.safetensors",
            ),
            (
                "hf:facebook/absent",
                "models--facebook--absent",
                "config.json, model.safetensors",
            ),
        ] {
            let repository = Repository::parse(name).unwrap();
            let message = repository
                .locate(cache.path(), &["config.json", "model.safetensors"])
                .unwrap_err()
                .to_string();
            for part in [name, place, files, &cache.path().display().to_string()] {
                assert!(message.contains(part), "{part} in {message}");
            }
        }
    }

    #[test]
    fn should_refuse_names_that_are_none_or_lead_elsewhere() {
        for name in [
            "hf:",
            "hf:dinov2",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/..",
            "hf:a/b@",
            "hf:a/b@../../c",
            "hf:a/b@x/../y",
            "hf:a b/c",
            "hf:/a/b",
        ] {
            let message = locate(name, &[]).unwrap_err().to_string();
            assert!(message.contains("hf:owner/name"), "{name}: {message}");
        }
        let path = locate("some/folder", &["config.json"]).unwrap();
        assert_eq!((path.path, path.revision), ("some/folder".into(), None));
    }

    #[test]
    fn should_look_where_the_hubs_tools_look() {
        let all = [
            ("HF_HUB_CACHE", "/a", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b", "/b"),
            ("HF_HOME", "/c", "/c/hub"),
            ("XDG_CACHE_HOME", "/d", "/d/huggingface/hub"),
            ("HOME", "/e", "/e/.cache/huggingface/hub"),
        ];
        for first in 0..all.len() {
            let set: BTreeMap<&str, &str> = all[first..].iter().map(|(name, value, _)| (*name, *value)).collect();
            let found = cache(|name| set.get(name).map(PathBuf::from));
            assert_eq!(found, Some(all[first].2.into()));
        }
        assert_eq!(cache(|_| None), None);
    }
}
