//! A shared library that holds a guidance source.
//!
//! # Lifetime
//! A library is never unloaded: its descriptor, its code and the messages that it lends are static. Unloading would need
//! proof that no instance, thread or thread-local of the library is left, which nobody can give.
//!
//! # Trust
//! Opening a library runs its initialisers, with all rights of this process. A recipe may pin a SHA-256; the pin is
//! compared before the file is opened.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sextant_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, Descriptor, ENTRY_SYMBOL, Entry};
use sha2::{Digest, Sha256};

use super::boundary;
use super::error::GuidanceError;

/// Bytes of version 1.0's descriptor; what later versions added is null for a library of an earlier one.
const DESCRIPTOR_1_0: u64 = std::mem::offset_of!(Descriptor, config_schema) as u64;
/// Beyond it, a size is taken for garbage.
const MAX_DESCRIPTOR: u64 = 1 << 16;

/// A guidance source's library, open for the rest of the process. Clones are the same library.
#[derive(Clone, Debug)]
pub struct Library(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    descriptor: Descriptor,
    name: String,
    version: String,
    summary: String,
    path: PathBuf,
    sha256: String,
}

// SAFETY: everything is immutable; the descriptor is static memory whose functions may be called on any thread
// (`create`), or through an instance, which is not shared.
unsafe impl Send for Contents {}
// SAFETY: as above.
unsafe impl Sync for Contents {}

impl Library {
    /// Opens the library at `path`. It stays open when the result is dropped.
    pub fn open(path: &Path) -> Result<Self, GuidanceError> {
        let sha256 = file_sha256(path)?;
        Self::open_hashed(path, sha256)
    }

    /// Opens the library at `path` if its file has the SHA-256 that is pinned; no code of it runs otherwise.
    pub fn open_pinned(path: &Path, pinned: &str, source_name: &str) -> Result<Self, GuidanceError> {
        let sha256 = file_sha256(path)?;
        if !sha256.eq_ignore_ascii_case(pinned) {
            return Err(GuidanceError::Pin {
                source_name: source_name.to_owned(),
                path: path.to_owned(),
                pinned: pinned.to_owned(),
                found: sha256,
            });
        }
        Self::open_hashed(path, sha256)
    }

    fn open_hashed(path: &Path, sha256: String) -> Result<Self, GuidanceError> {
        // A name without a folder would be searched on the system's library path.
        let file = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        // SAFETY: running a library's initialisers is what loading a plugin means; see the module's words on trust.
        let library = unsafe { libloading::Library::new(&file) }.map_err(|error| {
            let cause = root_cause(&error);
            no_source(
                path,
                format!("is not a shared library that this machine can load: {cause}"),
            )
        })?;
        // Never unloaded, even if it is refused below: its initialisers may have started threads.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        // SAFETY: the contract gives the symbol this type.
        let entry = unsafe { library.get::<Entry>(ENTRY_SYMBOL.as_bytes()) }.map_err(|_| {
            let reason =
                format!("is a library, but not a Sextant guidance source: it exports no symbol `{ENTRY_SYMBOL}`");
            no_source(path, reason)
        })?;
        // SAFETY: the contract lets the entry be called on any thread, once; a second call gives the same descriptor.
        let descriptor = unsafe { entry() };
        // SAFETY: by the contract, null or a static descriptor.
        unsafe { Self::from_pointer(descriptor, path.to_owned(), sha256) }
    }

    /// A source that is linked into this process, for tests.
    ///
    /// # Safety
    /// `descriptor` and everything that it points to keep the contract of [`sextant_plugin_api::abi`].
    pub unsafe fn in_process(descriptor: &'static Descriptor) -> Result<Self, GuidanceError> {
        // SAFETY: the caller's promise.
        unsafe { Self::from_pointer(descriptor, PathBuf::from("(in this process)"), String::new()) }
    }

    /// # Safety
    /// `pointer` is null or points to a static descriptor that is valid for the size it states.
    unsafe fn from_pointer(pointer: *const Descriptor, path: PathBuf, sha256: String) -> Result<Self, GuidanceError> {
        let fault = |reason: String| GuidanceError::Descriptor {
            path: path.clone(),
            reason,
        };
        let no_source = |reason: String| no_source(&path, format!("gives no source: {reason}"));
        if pointer.is_null() {
            return Err(no_source(format!("its `{ENTRY_SYMBOL}` gave null, without a reason")));
        }
        if !pointer.is_aligned() {
            return Err(fault(format!("`{ENTRY_SYMBOL}` gave a pointer that is not aligned")));
        }
        // SAFETY: the first three fields never move, in any major version.
        let (size, major, minor) = unsafe { ((*pointer).size, (*pointer).abi_major, (*pointer).abi_minor) };
        if major != ABI_MAJOR {
            return Err(GuidanceError::Version {
                path,
                theirs: (major, minor),
                ours: (ABI_MAJOR, ABI_MINOR),
            });
        }
        if !(DESCRIPTOR_1_0..=MAX_DESCRIPTOR).contains(&size) {
            return Err(fault(format!(
                "its descriptor says that it is {size} bytes long, version {ABI_MAJOR}.0 has {DESCRIPTOR_1_0}"
            )));
        }
        // SAFETY: static and aligned, and valid for the size that it states.
        let descriptor = unsafe { boundary::prefix(pointer, size) };
        let functions = [
            ("create", descriptor.create.is_none()),
            ("plan", descriptor.plan.is_none()),
            ("guide", descriptor.guide.is_none()),
            ("destroy", descriptor.destroy.is_none()),
        ];
        if functions.iter().all(|(_, missing)| *missing) {
            // SAFETY: the contract makes it a static text.
            return Err(no_source(match unsafe { boundary::lossy(descriptor.summary) } {
                words if words.is_empty() => "its descriptor has no functions, and no reason".into(),
                words => words,
            }));
        }
        for (name, missing) in functions {
            if missing {
                return Err(fault(format!("its function `{name}` is null")));
            }
        }
        // SAFETY: the contract makes these static texts.
        let read = |text, what| unsafe { boundary::text(text, what) }.map_err(|wrong| fault(wrong.to_string()));
        let name = read(descriptor.name, "its name")?;
        let (version, summary) = (
            read(descriptor.version, "its version")?,
            read(descriptor.summary, "its summary")?,
        );
        if name.is_empty() {
            return Err(fault("its name is empty".into()));
        }
        Ok(Self(Arc::new(Contents {
            descriptor,
            name,
            version,
            summary,
            path,
            sha256,
        })))
    }

    /// The source's name, as recipes write it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The source's own version.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// One sentence on what it guides towards.
    pub fn summary(&self) -> &str {
        &self.0.summary
    }

    /// Major and minor version of the contract that it was built with.
    pub fn abi(&self) -> (u32, u32) {
        (self.0.descriptor.abi_major, self.0.descriptor.abi_minor)
    }

    /// The path that it was opened at.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// SHA-256 of the file, in lower-case hexadecimal; empty for a source linked into this process.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// Values that the keys of the configuration have, by its schema, if left out: each that is not null. What it says of the whole
    /// table wins over what it says of a key. Empty where the library does not describe its configuration, or does it wrongly.
    pub fn config_defaults(&self) -> toml::Table {
        let Ok(Some(schema)) = self.config_schema() else {
            return toml::Table::new();
        };
        let of = |value: &serde_json::Value, pick: fn(&serde_json::Value) -> &serde_json::Value| {
            let keys = value.as_object().into_iter().flatten();
            // TOML has no null, and its integers are smaller than JSON's: what it cannot hold stays the source's own to know.
            let defaults =
                keys.filter_map(|(key, value)| Some((key.clone(), toml::Value::try_from(pick(value)).ok()?)));
            defaults.collect::<toml::Table>()
        };
        let mut defaults = of(&schema["properties"], |key| &key["default"]);
        defaults.extend(of(&schema["default"], |value| value));
        defaults
    }

    /// The weight on the loss that the source states for a configuration, a JSON object; none where it states none, as libraries
    /// before version 1.2.
    ///
    /// # Errors
    /// A stated coefficient that is no weight.
    pub fn coefficient(&self, config: &serde_json::Value) -> Result<Option<f64>, GuidanceError> {
        let Some(coefficient) = self.0.descriptor.coefficient else {
            return Ok(None);
        };
        let config = config.to_string();
        // SAFETY: the contract lets it be called on any thread; the text lives during the call.
        match unsafe { coefficient(boundary::lend_text(&config)) } {
            0.0 => Ok(None),
            stated if stated.is_finite() && stated > 0.0 => Ok(Some(stated)),
            stated => Err(GuidanceError::Descriptor {
                path: self.0.path.clone(),
                reason: format!("it states the coefficient {stated}: a finite number above 0 is one, 0 is none"),
            }),
        }
    }

    /// The source's configuration as JSON Schema; none where the library does not describe it, as those of version 1.0.
    ///
    /// # Errors
    /// A schema that is not JSON.
    pub fn config_schema(&self) -> Result<Option<serde_json::Value>, GuidanceError> {
        let fault = |reason| GuidanceError::Descriptor {
            path: self.0.path.clone(),
            reason,
        };
        let Some(schema) = self.0.descriptor.config_schema else {
            return Ok(None);
        };
        // SAFETY: the contract lets it be called on any thread, and makes the text static.
        let schema = unsafe { boundary::text(schema(), "its configuration's schema") }
            .map_err(|wrong| fault(wrong.to_string()))?;
        if schema.is_empty() {
            return Ok(None);
        }
        let json = serde_json::from_str(&schema).map(Some);
        json.map_err(|error| fault(format!("its configuration's schema is not JSON: {error}")))
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }
}

fn no_source(path: &Path, reason: String) -> GuidanceError {
    let path = path.to_owned();
    GuidanceError::NoSource { path, reason }
}

fn unreadable(path: &Path, error: &std::io::Error) -> GuidanceError {
    GuidanceError::Unreadable {
        path: path.to_owned(),
        reason: match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".into(),
            _ => error.to_string(),
        },
    }
}

fn file_sha256(path: &Path) -> Result<String, GuidanceError> {
    if path.is_dir() {
        return Err(GuidanceError::Unreadable {
            path: path.to_owned(),
            reason: "it is a folder".into(),
        });
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    Ok(sextant_data::hex(&Sha256::digest(bytes)))
}

/// The innermost message: libloading's own says only that `dlopen` failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::descriptor;
    use super::*;

    fn changed(change: impl FnOnce(&mut Descriptor)) -> Result<Library, GuidanceError> {
        let mut changed = descriptor();
        change(&mut changed);
        // SAFETY: the descriptor is in order, or what is broken is refused before it is used.
        unsafe { Library::in_process(Box::leak(Box::new(changed))) }
    }

    fn refused(change: impl FnOnce(&mut Descriptor)) -> String {
        changed(change).unwrap_err().to_string()
    }

    #[test]
    fn should_read_what_a_descriptor_says() {
        let library = changed(|_| ()).unwrap();
        assert_eq!((library.name(), library.version()), ("scripted", "1.2.3"));
        assert_eq!(library.abi(), (ABI_MAJOR, ABI_MINOR));
    }

    #[test]
    fn should_take_a_descriptor_of_version_1_0() {
        // What lies behind the end that it states is not its own.
        unsafe extern "C" fn not_its_own() -> sextant_plugin_api::abi::Text {
            unreachable!("behind the end of the descriptor")
        }
        let library = changed(|d| {
            (d.size, d.abi_minor) = (DESCRIPTOR_1_0, 0);
            d.config_schema = Some(not_its_own);
        });
        let library = library.unwrap();
        assert_eq!((library.name(), library.abi()), ("scripted", (1, 0)));
        assert_eq!(library.config_schema().unwrap(), None);
    }

    #[test]
    fn should_take_a_descriptor_of_version_1_1() {
        // Behind the end of a descriptor of 1.1.
        unsafe extern "C" fn not_its_own(_: sextant_plugin_api::abi::Text) -> f64 {
            unreachable!("behind the end of the descriptor")
        }
        let size = std::mem::offset_of!(Descriptor, coefficient) as u64;
        let library = changed(|d| {
            (d.size, d.abi_minor) = (size, 1);
            d.coefficient = Some(not_its_own);
        });
        let library = library.unwrap();
        assert_eq!(library.abi(), (1, 1));
        assert_eq!(library.coefficient(&serde_json::json!({})).unwrap(), None);
    }

    #[test]
    fn should_take_a_coefficient_that_is_one() {
        unsafe extern "C" fn stated(config: sextant_plugin_api::abi::Text) -> f64 {
            // SAFETY: the host lends a valid text.
            let config: serde_json::Value = serde_json::from_str(&unsafe { boundary::lossy(config) }).unwrap();
            config["stated"].as_f64().unwrap_or(f64::NAN)
        }
        let library = changed(|d| d.coefficient = Some(stated)).unwrap();
        let of = |config: serde_json::Value| library.coefficient(&config);
        assert_eq!(of(serde_json::json!({ "stated": 0.2 })).unwrap(), Some(0.2));
        assert_eq!(of(serde_json::json!({ "stated": 0 })).unwrap(), None);
        for wrong in [serde_json::json!({ "stated": -1.0 }), serde_json::json!({})] {
            let error = of(wrong).unwrap_err().to_string();
            assert!(error.contains("states the coefficient"), "{error}");
        }
    }

    #[test]
    fn should_read_the_defaults_that_a_schema_tells_and_toml_can_hold() {
        unsafe extern "C" fn schema() -> sextant_plugin_api::abi::Text {
            boundary::lend_text(
                r#"{"default": {"scale": 2.5}, "properties": {
                    "depth": {"default": null}, "scale": {"default": 1.0}, "width": {"default": 2048},
                    "list": {"default": [1, 2]}, "table": {"default": {"a": "b"}}, "holes": {"default": [null]},
                    "large": {"default": 18446744073709551615}, "needed": {}}}"#,
            )
        }
        let library = changed(|d| d.config_schema = Some(schema)).unwrap();
        let wanted: toml::Table = "width = 2048\nscale = 2.5\nlist = [1, 2]\ntable = { a = \"b\" }"
            .parse()
            .unwrap();
        assert_eq!(library.config_defaults(), wanted);
    }

    #[test]
    fn should_refuse_another_major_version_with_both_numbers() {
        let error = refused(|d| (d.abi_major, d.abi_minor, d.size) = (7, 3, 16));
        let ours = format!("{ABI_MAJOR}.{ABI_MINOR}");
        assert!(error.contains("7.3") && error.contains(&ours), "{error}");
    }

    #[test]
    fn should_refuse_a_descriptor_that_breaks_the_contract() {
        static LATIN: [u8; 3] = [b'r', 0xe9, b'p'];
        let latin = sextant_plugin_api::abi::Text {
            ptr: LATIN.as_ptr(),
            len: 3,
        };
        for (error, part) in [
            (refused(|d| d.size = 40), "40 bytes long"),
            (refused(|d| d.create = None), "`create` is null"),
            (refused(|d| d.plan = None), "`plan` is null"),
            (refused(|d| d.guide = None), "`guide` is null"),
            (refused(|d| d.destroy = None), "`destroy` is null"),
            (refused(|d| d.name = latin), "its name is not UTF-8"),
            (refused(|d| d.name = boundary::lend_text("")), "its name is empty"),
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn should_give_the_reason_of_a_library_without_a_source() {
        // SAFETY: null is one of the things that it must cope with.
        let nothing = unsafe { Library::from_pointer(std::ptr::null(), "x.so".into(), String::new()) };
        let error = nothing.unwrap_err().to_string();
        assert!(error.starts_with("x.so gives no source"), "{error}");
        assert!(error.contains("gave null"), "{error}");
        let without = |summary: &'static str| {
            refused(|d| {
                (d.create, d.plan, d.guide, d.destroy) = (None, None, None, None);
                d.summary = boundary::lend_text(summary);
            })
        };
        assert!(without("no luck today").ends_with("gives no source: no luck today"));
        assert!(without("").ends_with("has no functions, and no reason"));
    }

    #[test]
    fn should_name_a_path_that_does_not_exist_or_is_no_library() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, text) = (folder.path().join("libnone.so"), folder.path().join("text.so"));
        std::fs::write(&text, "hello").unwrap();
        for (path, parts) in [
            (missing.as_path(), ["libnone.so", "no such file"]),
            (folder.path(), ["it is a folder", ""]),
            (&text, ["text.so is not a shared library", ""]),
        ] {
            let error = Library::open(path).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} in {error}");
        }
        let pinned = Library::open_pinned(&text, &"0".repeat(64), "repa");
        let error = pinned.unwrap_err().to_string();
        assert!(error.contains("2cf24dba5fb0a30e"), "{error}");
        assert!(error.contains("\"repa\""), "{error}");
    }
}
