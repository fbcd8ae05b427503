//! The functions of a descriptor, for any source.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use super::answer::Answer;
use super::declaration::{self, Declaration};
use super::memory;
use super::message::{guarded, panic_text};
use super::session::Functions;
use super::{log, step};
use crate::abi::{self, ABI_MAJOR, ABI_MINOR, Descriptor, Host, Message, Status, Text};
use crate::{Error, Geometry, GuidanceSource, Plan, config};

/// A library's words on its source; [`crate::export_guidance!`] writes it.
pub trait Exported: GuidanceSource {
    /// The name that recipes use.
    const NAME: &'static str;
    /// The source's own version.
    const VERSION: &'static str;
    /// One sentence on what it guides towards.
    const SUMMARY: &'static str;
}

/// The descriptor of a source, as the library's entry symbol would answer it: so that a test can run several
/// sources in one process without loading any.
pub const fn descriptor<S: Exported>() -> &'static Descriptor {
    const {
        &Descriptor {
            size: size_of::<Descriptor>() as u64,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            name: Text::of(S::NAME),
            version: Text::of(S::VERSION),
            summary: Text::of(S::SUMMARY),
            create: Some(create::<S>),
            plan: Some(plan::<S>),
            guide: Some(guide::<S>),
            destroy: Some(destroy::<S>),
            config_schema: Some(config_schema::<S>),
            coefficient: Some(coefficient::<S>),
        }
    }
}

struct Instance<S> {
    source: S,
    functions: Functions,
    planned: Option<Planned>,
    answer: Answer,
}

/// The declaration points into the plan, which is behind an `Arc` and never changed.
struct Planned {
    geometry: Arc<Geometry>,
    plan: Arc<Plan>,
    _declaration: Declaration,
}

unsafe extern "C" fn create<S: GuidanceSource>(
    host: *const Host,
    json: Text,
    out: *mut *mut c_void,
    message: *mut Message,
) -> Status {
    // SAFETY: the host follows the contract of `Descriptor::create`: pointers are null or valid for the call.
    unsafe {
        guarded(message, || {
            if out.is_null() {
                return Err(Error::new("the host passed no place for the instance"));
            }
            out.write(ptr::null_mut());
            let host = memory::read(host, "host")?;
            log::connect(host.log);
            let json = memory::string(&json, "a configuration")?;
            let instance = Instance {
                source: S::new(config::parse(&json)?)?,
                functions: Functions::of(&host)?,
                planned: None,
                answer: Answer::default(),
            };
            out.write(Box::into_raw(Box::new(instance)).cast());
            Ok(())
        })
    }
}

unsafe extern "C" fn plan<S: GuidanceSource>(
    instance: *mut c_void,
    geometry: *const abi::Geometry,
    out: *mut abi::Plan,
    message: *mut Message,
) -> Status {
    // SAFETY: the host follows the contract of `Descriptor::plan`: the instance is one of `create::<S>`, used by
    // nobody else during the call; the other pointers are null or valid for the call.
    unsafe {
        guarded(message, || {
            let instance = instance_of::<S>(instance)?;
            let geometry = declaration::geometry(geometry)?;
            let plan = Arc::new(instance.source.plan(&geometry)?);
            let declaration = Declaration::of(&plan)?;
            memory::write(out, &declaration.raw, "place for the plan")?;
            instance.planned = Some(Planned {
                geometry: Arc::new(geometry),
                plan,
                _declaration: declaration,
            });
            Ok(())
        })
    }
}

unsafe extern "C" fn guide<S: GuidanceSource>(
    instance: *mut c_void,
    from: *const abi::Step,
    out: *mut abi::Guided,
    message: *mut Message,
) -> Status {
    // SAFETY: the host follows the contract of `Descriptor::guide`: as for `plan`.
    unsafe {
        guarded(message, || {
            let instance = instance_of::<S>(instance)?;
            let planned = instance
                .planned
                .as_ref()
                .ok_or_else(|| Error::new("the host asked for guidance before the plan"))?;
            let (step, session) = step::step(from, instance.functions, &planned.geometry, &planned.plan)?;
            let guidance = instance.source.guide(&step);
            // The first failure is the cause; what the source made of it comes after.
            if let Some(error) = session.error() {
                return Err(error);
            }
            let guidance = guidance?;
            let (answer, raw) = Answer::of(&guidance, &planned.plan, step.batch())?;
            instance.answer = answer;
            memory::write(out, &raw, "place for the guidance")?;
            // The handles in `raw` are the host's now: dropping the tensors must not release them.
            session.close();
            Ok(())
        })
    }
}

unsafe extern "C" fn destroy<S: Exported>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the host follows the contract of `Descriptor::destroy`: the instance is one of `create::<S>`, and
    // this is the last call.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<S>>()) };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(move || drop(instance))) {
        // There is no message to put it into.
        log::log(
            log::Level::Error,
            &format!("{}: panicked when it was dropped: {}", S::NAME, panic_text(payload)),
        );
    }
}

/// The texts live as long as the process; a library has one source, a test may have several.
unsafe extern "C" fn config_schema<S: GuidanceSource>() -> Text {
    static SCHEMAS: Mutex<BTreeMap<TypeId, &'static str>> = Mutex::new(BTreeMap::new());
    let schema = catch_unwind(|| {
        let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
        *schemas
            .entry(TypeId::of::<S>())
            .or_insert_with(|| config::schema::<S::Config>().leak())
    });
    // Empty where deriving the schema panicked: a description is not worth a run.
    Text::of(schema.unwrap_or_default())
}

/// 0 where the source states none, where the configuration is none, and where the author's code panicked: `create` then says
/// what is wrong.
unsafe extern "C" fn coefficient<S: GuidanceSource>(json: Text) -> f64 {
    // SAFETY: the host follows the contract of `Descriptor::coefficient`: the text is valid for the call.
    let Ok(json) = (unsafe { memory::string(&json, "a configuration") }) else {
        return 0.0;
    };
    let stated = catch_unwind(|| config::parse(&json).ok().and_then(|config| S::coefficient(&config)));
    stated.unwrap_or_default().unwrap_or(0.0)
}

/// # Safety
/// `instance` must be null or come from `create::<S>`, and be used by nobody else during the call.
unsafe fn instance_of<'a, S>(instance: *mut c_void) -> Result<&'a mut Instance<S>, Error> {
    // SAFETY: the caller's promise.
    unsafe { instance.cast::<Instance<S>>().as_mut() }.ok_or_else(|| Error::new("the host passed no instance"))
}
