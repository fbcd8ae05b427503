//! The one symbol of a library, and how it learns what the library holds.
//!
//! *Rationale.* The symbol is defined here, once, and not by [`crate::export_guidance!`]: a plugin crate is a
//! cdylib and an rlib at the same time, compiled to the same objects, and two rlibs that each defined it could
//! not be linked into one test. The macro instead adds a static constructor to the library, which notes the
//! descriptor when the library is loaded, before the host can ask for it.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::callbacks::{Exported, descriptor};
use crate::abi::{ABI_MAJOR, ABI_MINOR, Descriptor, Text};

/// A descriptor that is never written, and all that it points to is static.
struct Shared(&'static Descriptor);

// SAFETY: as said.
unsafe impl Send for Shared {}
// SAFETY: as said.
unsafe impl Sync for Shared {}

static SOURCES: Mutex<Vec<(&'static str, Shared)>> = Mutex::new(Vec::new());

/// Notes a source of this library. Called by what `export_guidance!` writes, before `main` or `dlopen` return.
#[doc(hidden)]
pub fn register<S: Exported>() {
    let source = (S::NAME, Shared(descriptor::<S>()));
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner).push(source);
}

/// The [`crate::abi::ENTRY_SYMBOL`]: a source's descriptor where the library holds exactly one, else one that says why not.
// SAFETY: no other symbol of the process is looked up by this name; each library is asked by its own handle.
#[unsafe(no_mangle)]
pub extern "C" fn sextant_guidance_entry() -> *const Descriptor {
    // Every constructor of the library has run before anybody can ask.
    static REFUSAL: OnceLock<Shared> = OnceLock::new();
    let sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    match sources.as_slice() {
        [(_, source)] => source.0,
        sources => {
            let names = sources.iter().map(|(name, _)| *name);
            REFUSAL.get_or_init(|| Shared(refusal(names.collect()))).0
        }
    }
}

/// A descriptor of no source, with the reason for its summary.
fn refusal(mut names: Vec<&str>) -> &'static Descriptor {
    names.sort_unstable();
    let words = match names.len() {
        0 => "the library exports no source: write `export_guidance!(MySource);` in its crate".to_owned(),
        count => format!(
            "the library exports {count} sources ({}), and can hold one: make a crate of each",
            names.join(", ")
        ),
    };
    Box::leak(Box::new(Descriptor {
        size: size_of::<Descriptor>() as u64,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        name: Text::of(""),
        version: Text::of(""),
        summary: Text::of(words.leak()),
        create: None,
        plan: None,
        guide: None,
        destroy: None,
        config_schema: None,
        coefficient: None,
    }))
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
