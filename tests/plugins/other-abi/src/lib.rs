//! A library whose descriptor names ABI major version 2.
#![allow(unsafe_code)]

use sextant_plugin_api::abi::{Descriptor, Text};

/// The descriptor; a raw pointer inside makes it not `Sync` by default.
struct Shared(Descriptor);

// SAFETY: the descriptor is never written, and its texts are static.
unsafe impl Sync for Shared {}

static DESCRIPTOR: Shared = Shared(Descriptor {
    size: size_of::<Descriptor>() as u64,
    abi_major: 2,
    abi_minor: 5,
    name: Text::of("other-abi"),
    version: Text::of("0.1.0"),
    summary: Text::of("never runs"),
    create: None,
    plan: None,
    guide: None,
    destroy: None,
    config_schema: None,
    coefficient: None,
});

/// The entry symbol.
// SAFETY: no other symbol of this name is linked into the library.
#[unsafe(no_mangle)]
pub extern "C" fn sextant_guidance_entry() -> *const Descriptor {
    &DESCRIPTOR.0
}
