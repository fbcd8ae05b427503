//! A library without a source says what is missing.
#![allow(unsafe_code)]

use sextant_plugin_api::abi::Descriptor;

unsafe extern "C" {
    safe fn sextant_guidance_entry() -> *const Descriptor;
}

#[test]
fn a_library_without_a_source_says_what_to_write() {
    // SAFETY: a static descriptor, whose texts are static.
    let (descriptor, words) = unsafe {
        let descriptor = &*sextant_guidance_entry();
        let words = descriptor.summary;
        (descriptor, std::slice::from_raw_parts(words.ptr, words.len as usize))
    };
    assert!(descriptor.create.is_none() && descriptor.guide.is_none());
    assert_eq!(
        std::str::from_utf8(words).unwrap(),
        "the library exports no source: write `export_guidance!(MySource);` in its crate"
    );
}
