//! The beginning of a new guidance source: a project of its own, outside any workspace of Sextant's.
//!
//! The templates lie in `trainer-host/templates`, one folder a language, and are the files of a source called `my-source`; a
//! new source gets them with its own name in its place. In Rust it also gets the crate that it depends on (`vendor`), in C the
//! contract's header.

mod name;
mod vendor;
mod write;

pub use name::SourceName;
pub use write::write;

use std::path::PathBuf;

use include_dir::{Dir, include_dir};

static BOTH: Dir = include_dir!("$CARGO_MANIFEST_DIR/templates/both");
static RUST: Dir = include_dir!("$CARGO_MANIFEST_DIR/templates/rust");
static C: Dir = include_dir!("$CARGO_MANIFEST_DIR/templates/c");

/// A file of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the project's folder.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

impl File {
    fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// Languages that there is a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A crate.
    Rust,
    /// One C file with a Makefile.
    C,
}

/// The files of a new source.
pub fn files(language: Language, name: &SourceName) -> Vec<File> {
    let (template, carried) = match language {
        Language::Rust => (&RUST, vendor::crates()),
        Language::C => (&C, vendor::header()),
    };
    let own = texts(&BOTH).chain(texts(template));
    own.map(|(path, text)| File::new(real_name(&path), named(text, name)))
        .chain(carried)
        .collect()
}

/// Every file below a folder, in the order of their paths, which are written with `/`.
fn texts(folder: &'static Dir) -> impl Iterator<Item = (String, &'static str)> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files());
    }
    files.sort_by_key(|file| file.path());
    files.into_iter().map(|file| {
        let text = file.contents_utf8().expect("templates and sources are text");
        (file.path().to_string_lossy().replace('\\', "/"), text)
    })
}

/// Names that Cargo or Git would act on in our own repository have another there.
fn real_name(path: &str) -> String {
    match path {
        "gitignore" => ".gitignore".into(),
        _ => path.strip_suffix(".in").unwrap_or(path).into(),
    }
}

fn named(text: &str, name: &SourceName) -> String {
    text.replace("my-source", name.kebab())
        .replace("my_source", &name.snake())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_leave_no_trace_of_the_templates_name() {
        let name = SourceName::new("token-norm").unwrap();
        for (language, main) in [(Language::Rust, "src/lib.rs"), (Language::C, "source.c")] {
            let files = files(language, &name);
            // What is carried is as it is.
            for file in files.iter().filter(|file| !file.path.starts_with("vendor")) {
                let all = format!("{} {}", file.path.display(), file.text);
                assert!(
                    !all.contains("my-source") && !all.contains("my_source"),
                    "{}",
                    file.path.display()
                );
            }
            for path in [main, "recipe.toml", "README.md", ".gitignore"] {
                let file = files.iter().find(|file| file.path.as_os_str() == path);
                assert!(file.is_some_and(|file| !file.text.is_empty()), "{path}");
            }
        }
    }
}
