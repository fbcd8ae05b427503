//! A library with two sources gives none, and says so.
#![allow(unsafe_code)]

use std::collections::BTreeMap;

use sextant_plugin_api::abi::Descriptor;
use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step, export_guidance};

struct One;
struct Another;

macro_rules! nothing {
    ($source:ident, $name:literal) => {
        impl GuidanceSource for $source {
            type Config = BTreeMap<String, f64>;

            fn new(_: Self::Config) -> Result<Self, Error> {
                Ok(Self)
            }

            fn plan(&self, _: &Geometry) -> Result<Plan, Error> {
                Ok(Plan::new())
            }

            fn guide(&self, step: &Step) -> Result<Guidance, Error> {
                Ok(Guidance::new(step.zeros_per_sample()))
            }
        }

        export_guidance!($source, name = $name);
    };
}
nothing!(One, "one");
nothing!(Another, "another");

unsafe extern "C" {
    safe fn sextant_guidance_entry() -> *const Descriptor;
}

#[test]
fn two_sources_of_one_library_are_named() {
    // SAFETY: a static descriptor, whose texts are static.
    let (descriptor, words) = unsafe {
        let descriptor = &*sextant_guidance_entry();
        let words = descriptor.summary;
        (descriptor, std::slice::from_raw_parts(words.ptr, words.len as usize))
    };
    assert!(descriptor.create.is_none() && descriptor.guide.is_none());
    assert_eq!(
        std::str::from_utf8(words).unwrap(),
        "the library exports 2 sources (another, one), and can hold one: make a crate of each"
    );
}
