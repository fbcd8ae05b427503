//! The symbols of a library, and how it learns what the library holds.
//!
//! *Rationale.* The symbols are defined here, once, and not by [`crate::export_guidance!`]: a plugin crate is a
//! cdylib and an rlib at the same time, compiled to the same objects, and two rlibs that each defined them could
//! not be linked into one test. The macro instead adds a static constructor to the library, which notes the
//! descriptor when the library is loaded, before the host can ask for it.

use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::callbacks::{Exported, descriptor};
use super::memory::text;
use crate::abi::{Descriptor, Text};

/// A source of this library.
struct Registered {
    name: &'static str,
    descriptor: &'static Descriptor,
}

// SAFETY: a descriptor is never written, and all that it points to is static.
unsafe impl Send for Registered {}

static SOURCES: Mutex<Vec<Registered>> = Mutex::new(Vec::new());

/// Notes a source of this library. Called by what `export_guidance!` writes, before `main` or `dlopen` return.
#[doc(hidden)]
pub fn register<S: Exported>() {
    let source = Registered {
        name: S::NAME,
        descriptor: descriptor::<S>(),
    };
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner).push(source);
}

/// The [`crate::abi::ENTRY_SYMBOL`]: null unless the library holds exactly one source.
// SAFETY: no other symbol of the process is looked up by this name; each library is asked by its own handle.
#[unsafe(no_mangle)]
pub extern "C" fn sextant_guidance_entry() -> *const Descriptor {
    match SOURCES.lock().unwrap_or_else(PoisonError::into_inner).as_slice() {
        [source] => source.descriptor,
        _ => ptr::null(),
    }
}

/// The [`crate::abi::REFUSAL_SYMBOL`]: why the entry gives null.
// SAFETY: as for the entry.
#[unsafe(no_mangle)]
pub extern "C" fn sextant_guidance_refusal() -> Text {
    // Every constructor of the library has run before anybody can ask.
    static WORDS: OnceLock<String> = OnceLock::new();
    text(WORDS.get_or_init(|| {
        let sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
        refusal(sources.iter().map(|source| source.name).collect())
    }))
}

fn refusal(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    match names.len() {
        0 => "the library exports no source: write `export_guidance!(MySource);` in its crate".to_owned(),
        1 => String::new(),
        count => format!(
            "the library exports {count} sources ({}), and can hold one: make a crate of each",
            names.join(", ")
        ),
    }
}

/// A source's name from its package's: without `sextant-` in front.
#[doc(hidden)]
pub const fn name_of(package: &'static str) -> &'static str {
    const PREFIX: &[u8] = b"sextant-";
    let bytes = package.as_bytes();
    let mut index = 0;
    while index < PREFIX.len() {
        if index >= bytes.len() || bytes[index] != PREFIX[index] {
            return package;
        }
        index += 1;
    }
    package.split_at(PREFIX.len()).1
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn the_prefix_of_our_packages_is_not_part_of_a_name() {
        assert_eq!(name_of("sextant-vae-align"), "vae-align");
        assert_eq!(name_of("sextan"), "sextan");
        assert_eq!(name_of("my-source"), "my-source");
    }
}
