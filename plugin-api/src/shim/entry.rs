//! The one symbol of a library, and how it learns what the library holds.
//!
//! *Rationale.* The symbol is defined here, once, and not by [`crate::export_guidance!`]: a plugin crate is a
//! cdylib and an rlib at the same time, compiled to the same objects, and two rlibs that each defined it could
//! not be linked into one test. The macro instead adds a static constructor to the library, which notes the
//! descriptor when the library is loaded, before the host can ask for it.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::abi::Descriptor;

static DESCRIPTOR: AtomicPtr<Descriptor> = AtomicPtr::new(ptr::null_mut());
static SOURCES: AtomicUsize = AtomicUsize::new(0);

/// Notes the source of this library. Called by what `export_guidance!` writes, before `main` or `dlopen` return.
#[doc(hidden)]
pub fn register(descriptor: *const Descriptor) {
    SOURCES.fetch_add(1, Ordering::Relaxed);
    DESCRIPTOR.store(descriptor.cast_mut(), Ordering::Release);
}

/// The [`crate::abi::ENTRY_SYMBOL`]: null unless the library holds exactly one source.
// SAFETY: no other symbol of the process is looked up by this name; each library is asked by its own handle.
#[unsafe(no_mangle)]
pub extern "C" fn sextant_guidance_entry() -> *const Descriptor {
    if SOURCES.load(Ordering::Relaxed) == 1 {
        DESCRIPTOR.load(Ordering::Acquire)
    } else {
        ptr::null()
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
