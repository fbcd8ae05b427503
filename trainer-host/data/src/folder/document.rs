//! `dataset.json`: the labels of a folder, as EDM's tools and REPA write them.

use std::borrow::Cow;
use std::path::{Component, Path};

use serde::Deserialize;

/// The file's name.
pub const DOCUMENT: &str = "dataset.json";

/// `{"labels": [["00000/img00000000.png", 6], …]}`, or null for labels that nobody knows. Other keys are another tool's.
#[derive(Debug, Deserialize)]
pub(super) struct Document<'a> {
    #[serde(borrow)]
    pub labels: Option<Vec<Entry<'a>>>,
    /// Ours: names of the classes, label 0 first.
    #[serde(default)]
    pub class_names: Option<Vec<String>>,
}

/// Name of a file, seen from the folder, and its class.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Entry<'a>(#[serde(borrow)] pub Cow<'a, str>, pub i64);

/// The fault of a `dataset.json`, or of the folder that it describes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelsFault {
    /// Not what such a file holds.
    #[error("{0}; it must be JSON such as {{\"labels\": [[\"00000/img00000000.png\", 6], …]}}")]
    Json(String),
    /// A class that no class can be.
    #[error("\"{name}\" has label {label}; {classes} classes have labels from 0 to {}", classes - 1)]
    Label {
        /// The file.
        name: String,
        /// Its label.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
    /// A label below 0, or beyond any number of classes.
    #[error("\"{name}\" has label {label}; labels are whole numbers from 0")]
    NoLabel {
        /// The file.
        name: String,
        /// Its label.
        label: i64,
    },
    /// A name that leaves the folder.
    #[error("\"{0}\" is not the name of a file in this folder")]
    Name(String),
    /// A file that has two labels.
    #[error("it names \"{0}\" twice")]
    Twice(String),
    /// A file without a label.
    #[error("it has no label for the file \"{0}\"")]
    Unlabelled(String),
    /// A label without a file.
    #[error("it names \"{0}\", which is not there")]
    Missing(String),
}

/// Labels beyond this belong to no data: a network would need a row of weights for each.
const MOST_CLASSES: i64 = 10_000_000;

/// Reads a `dataset.json`; its labels are sorted by name.
///
/// # Errors
/// Anything but names of files in the folder, once each, with whole labels.
pub(super) fn parse(bytes: &[u8]) -> Result<Document<'_>, LabelsFault> {
    let mut document: Document = serde_json::from_slice(bytes).map_err(|e| LabelsFault::Json(e.to_string()))?;
    let Some(labels) = &mut document.labels else {
        return Ok(document);
    };
    for Entry(name, label) in labels.iter_mut() {
        if name.contains('\\') {
            *name = name.replace('\\', "/").into();
        }
        let mut parts = Path::new(name.as_ref()).components();
        if name.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
            return Err(LabelsFault::Name(name.to_string()));
        }
        let name = || name.to_string();
        match &document.class_names {
            Some(classes) if *label >= classes.len() as i64 && !classes.is_empty() => {
                return Err(LabelsFault::Label {
                    name: name(),
                    label: *label,
                    classes: classes.len(),
                });
            }
            _ if !(0..MOST_CLASSES).contains(label) => {
                return Err(LabelsFault::NoLabel {
                    name: name(),
                    label: *label,
                });
            }
            _ => {}
        }
    }
    labels.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    match labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(LabelsFault::Twice(pair[0].0.to_string())),
        None => Ok(document),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> LabelsFault {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn should_read_labels_by_name() {
        let document = parse(br#"{"labels": [["b\\c.npy", 3], ["a.npy", 0]], "other": [{}]}"#).unwrap();
        let wanted = [Entry("a.npy".into(), 0), Entry("b/c.npy".into(), 3)];
        assert_eq!(document.labels.unwrap(), wanted);
        assert!(parse(br#"{"labels": null}"#).unwrap().labels.is_none());
    }

    #[test]
    fn should_name_each_fault() {
        assert!(matches!(fault("{\"labels\": [[\"a\""), LabelsFault::Json(_)));
        assert!(matches!(fault("{\"labels\": [[\"a\", 1.5]]}"), LabelsFault::Json(_)));
        assert!(matches!(fault("{\"labels\": [[\"a\", [0.5]]]}"), LabelsFault::Json(_)));
        assert!(matches!(fault("[]"), LabelsFault::Json(_)));
        assert!(matches!(
            fault("{\"labels\": [[\"a\", -1]]}"),
            LabelsFault::NoLabel { .. }
        ));
        assert!(matches!(
            fault("{\"labels\": [[\"a\", 99999999999]]}"),
            LabelsFault::NoLabel { .. }
        ));
        let named = fault("{\"labels\": [[\"a\", 2]], \"class_names\": [\"x\", \"y\"]}");
        assert_eq!(
            named.to_string(),
            "\"a\" has label 2; 2 classes have labels from 0 to 1"
        );
        for name in ["../a", "/etc/passwd", "", "a/../../b"] {
            assert_eq!(
                fault(&format!("{{\"labels\": [[\"{name}\", 0]]}}")),
                LabelsFault::Name(name.into())
            );
        }
        assert_eq!(
            fault("{\"labels\": [[\"a\", 0], [\"a\", 1]]}"),
            LabelsFault::Twice("a".into())
        );
    }

    proptest! {
        #[test]
        fn should_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn should_survive_anything_like_it(text in r#"\{"labels": ?(null|\[(\["[a-c./\\\\]{0,4}", ?-?\d{1,20}(\.5)?\],?){0,4}\]?),? ?("class_names": ?(null|\[("a",?){0,3}\]))?\}?"#) {
            let _ = parse(text.as_bytes());
        }
    }
}
