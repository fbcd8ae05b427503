//! A library without a source says what is missing.
#![allow(unsafe_code)]

use sextant_plugin_api::abi::{Descriptor, Text};

unsafe extern "C" {
    safe fn sextant_guidance_entry() -> *const Descriptor;
    safe fn sextant_guidance_refusal() -> Text;
}

#[test]
fn a_library_without_a_source_says_what_to_write() {
    assert!(sextant_guidance_entry().is_null());
    let words = sextant_guidance_refusal();
    // SAFETY: a static text.
    let words = unsafe { std::slice::from_raw_parts(words.ptr, words.len as usize) };
    assert_eq!(
        std::str::from_utf8(words).unwrap(),
        "the library exports no source: write `export_guidance!(MySource);` in its crate"
    );
}
