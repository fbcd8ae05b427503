//! The macro that turns a crate into a library that the host can load.

/// Makes this crate a plugin with one source: writes its descriptor, named after the package (without `sextant-` in
/// front), with its version and description, or with the name given.
///
/// ```
/// # use sextant_plugin_api::{Error, Geometry, Guidance, GuidanceSource, Plan, Step};
/// # struct Mine;
/// # impl GuidanceSource for Mine {
/// #     type Config = std::collections::BTreeMap<String, f64>;
/// #     fn new(_: Self::Config) -> Result<Self, Error> { Ok(Self) }
/// #     fn plan(&self, _: &Geometry) -> Result<Plan, Error> { Ok(Plan::new()) }
/// #     fn guide(&self, step: &Step) -> Result<Guidance, Error> { Ok(Guidance::new(step.zeros_per_sample())) }
/// # }
/// sextant_plugin_api::export_guidance!(Mine, name = "mine");
/// # fn main() {}
/// ```
///
/// A crate exports one source. It does not compile with `panic = "abort"`: a panic of a source must end a run with a
/// message, not the trainer.
#[macro_export]
macro_rules! export_guidance {
    ($source:ty $(,)?) => {
        $crate::export_guidance!($source, name = $crate::export::name_of(env!("CARGO_PKG_NAME")));
    };
    ($source:ty, name = $name:expr $(,)?) => {
        $crate::describe_guidance!($source, name = $name);

        const _: () = {
            extern "C" fn note() {
                $crate::export::register::<$source>();
            }

            // SAFETY: the section holds functions that the loader calls, without arguments, when the library is
            // loaded. This one stores a pointer and needs nothing to be initialised before it.
            #[used]
            #[cfg_attr(
                any(target_os = "macos", target_os = "ios"),
                unsafe(link_section = "__DATA,__mod_init_func")
            )]
            #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
            #[cfg_attr(
                not(any(target_os = "macos", target_os = "ios", windows)),
                unsafe(link_section = ".init_array")
            )]
            static NOTE: extern "C" fn() = note;
        };
    };
}

/// Describes a source without making the crate a plugin: for tests that pass its [`crate::descriptor`] to a host.
#[macro_export]
macro_rules! describe_guidance {
    ($source:ty, name = $name:expr $(,)?) => {
        #[cfg(panic = "abort")]
        compile_error!("a guidance source must be built with `panic = \"unwind\"`: its panics are caught and reported");

        impl $crate::Exported for $source {
            const NAME: &'static str = $name;
            const VERSION: &'static str = env!("CARGO_PKG_VERSION");
            const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
        }
    };
}

pub use crate::shim::{name_of, register};
