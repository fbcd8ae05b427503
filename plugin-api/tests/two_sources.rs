//! A library with two sources gives none, and says so.
#![allow(unsafe_code)]

use std::collections::BTreeMap;

use sextant_plugin_api::abi::{Descriptor, Text};
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
    safe fn sextant_guidance_refusal() -> Text;
}

#[test]
fn two_sources_of_one_library_are_named() {
    assert!(sextant_guidance_entry().is_null());
    let words = sextant_guidance_refusal();
    // SAFETY: a static text.
    let words = unsafe { std::slice::from_raw_parts(words.ptr, words.len as usize) };
    assert_eq!(
        std::str::from_utf8(words).unwrap(),
        "the library exports 2 sources (another, one), and can hold one: make a crate of each"
    );
}
