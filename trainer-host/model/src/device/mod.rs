//! Devices: which there are in this binary, and which one a name means.

mod kernels;
mod speed;
mod threads;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
#[cfg(any(feature = "metal", feature = "vulkan", feature = "wgpu"))]
use burn::tensor::DeviceKind;
#[cfg(any(feature = "cubecl", feature = "tch"))]
use burn::tensor::DeviceType;
use serde::Serialize;

pub use kernels::keep_kernels;
pub use speed::product_speed;
pub use threads::compute_here;

/// A device name that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{place} {name}: {reason}")]
pub struct DeviceError {
    /// The place where it is named.
    place: &'static str,
    name: String,
    reason: String,
}

impl DeviceError {
    /// The error of a device that this key of a recipe names, which may be of another machine: with the devices of this one.
    pub fn of_key(self, key: &'static str) -> Self {
        let here: Vec<String> = list().into_iter().map(|listed| listed.name).collect();
        Self {
            place: key,
            reason: format!(
                "{}; here there are: {} (--device takes the recipe's place)",
                self.reason,
                here.join(", ")
            ),
            ..self
        }
    }
}

/// One line of `sextant devices`.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Name for `--device`.
    pub name: String,
    /// Name in burn.
    pub description: String,
}

/// A backend of this binary.
struct Backend {
    /// The name of its devices, without their number.
    name: &'static str,
    /// Its devices here, in the order of their numbers; may panic where there is no driver.
    devices: fn() -> Vec<Device>,
    /// The device that is meant where no number is given, of those that there are.
    default: fn(Vec<Device>) -> Option<Device>,
    /// The words for where there is none.
    missing: &'static str,
}

/// The compiled backends, the fastest first: what `auto` tries in turn.
#[allow(deprecated, reason = "burn means to drop LibTorch, and has it")]
fn backends() -> Vec<Backend> {
    #[cfg(any(feature = "rocm", feature = "metal", feature = "vulkan", feature = "wgpu"))]
    const DRIVER: &str = "the system has no driver that names one";
    #[cfg(any(feature = "cuda", feature = "rocm", feature = "tch"))]
    let first = |devices: Vec<Device>| devices.into_iter().next();
    vec![
        #[cfg(feature = "cuda")]
        Backend {
            name: "cuda",
            devices: || Device::enumerate(DeviceType::Cuda).into_vec(),
            default: first,
            missing: "NVIDIA's driver (libcuda.so.1) is not found, or names none",
        },
        #[cfg(feature = "rocm")]
        Backend {
            name: "rocm",
            devices: || Device::enumerate(DeviceType::Rocm).into_vec(),
            default: first,
            missing: DRIVER,
        },
        #[cfg(feature = "metal")]
        Backend {
            name: "metal",
            devices: || Device::enumerate(DeviceType::Metal).into_vec(),
            default: |_| Some(Device::metal(DeviceKind::DefaultDevice)),
            missing: DRIVER,
        },
        #[cfg(feature = "vulkan")]
        Backend {
            name: "vulkan",
            devices: || Device::enumerate(DeviceType::Vulkan).into_vec(),
            default: |_| Some(Device::vulkan(DeviceKind::DefaultDevice)),
            missing: DRIVER,
        },
        #[cfg(feature = "wgpu")]
        Backend {
            name: "wgpu",
            devices: || Device::enumerate(DeviceType::Wgpu).into_vec(),
            default: |_| Some(Device::wgpu(DeviceKind::DefaultDevice)),
            missing: DRIVER,
        },
        #[cfg(feature = "tch")]
        Backend {
            name: "tch:cuda",
            devices: || Device::enumerate(DeviceType::LibTorch).into_vec(),
            default: first,
            missing: "the PyTorch that this program was built with finds none",
        },
        #[cfg(feature = "flex")]
        Backend {
            name: "cpu",
            devices: || vec![Device::flex()],
            default: |_| Some(Device::flex()),
            missing: "",
        },
        #[cfg(feature = "tch")]
        Backend {
            name: "tch",
            devices: || vec![Device::libtorch()],
            default: |_| Some(Device::libtorch()),
            missing: "",
        },
    ]
}

impl Backend {
    /// Its devices; none where it has no driver.
    fn found(&self) -> Vec<Device> {
        quietly(self.devices).unwrap_or_default()
    }

    /// Tells whether its one device is the processor, which needs no number.
    fn is_processor(&self) -> bool {
        matches!(self.name, "cpu" | "tch")
    }

    /// The device of the process of this place on its host, of `count` that there are. None where one is meant for all: others than
    /// those of CUDA and ROCm may be of several kinds, or the processor.
    fn own(&self, count: usize, place: usize) -> Option<usize> {
        let alike = matches!(self.name, "cuda" | "rocm" | "tch:cuda");
        (alike && count > 1).then(|| place % count)
    }

    /// Opens the device of this number, or the one that is meant without one; an error in words.
    fn open(&self, number: Option<usize>) -> Result<Device, String> {
        let found = self.found();
        let (count, name) = (found.len(), self.name);
        if count == 0 {
            return Err(format!("there is no such device here: {}", self.missing));
        }
        let device = match number {
            None => (self.default)(found),
            Some(number) => found.into_iter().nth(number),
        };
        let device = device.ok_or_else(|| {
            format!("there are {count} devices of {name} here, counted from 0; `sextant devices` lists them")
        })?;
        opened(device).map_err(|reason| format!("it does not open: {reason}"))
    }
}

/// Every device that this binary can use here.
pub fn list() -> Vec<Listed> {
    let of = |backend: &Backend| {
        let (name, numbered) = (backend.name, !backend.is_processor());
        let listed = move |(i, device): (usize, Device)| Listed {
            name: if numbered { format!("{name}:{i}") } else { name.into() },
            description: format!("{device:?}"),
        };
        backend.found().into_iter().enumerate().map(listed).collect::<Vec<_>>()
    };
    backends().iter().flat_map(of).collect()
}

/// The device of a name: `auto` (the first backend of this binary that opens), `cpu`, `cuda:0`, `wgpu`, `tch:cuda:0`, ….
/// Opens it, so that a device that is not there is an error here and not a panic later.
///
/// # Errors
/// A name that is none, a backend that is not compiled in, or a device that does not open; the message says
/// what there is.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let wrong = |reason: String| DeviceError {
        place: "--device",
        name: name.into(),
        reason,
    };
    let backends = backends();
    let names: Vec<_> = backends.iter().map(|backend| backend.name).collect();
    let names = names.join(", ");
    if name == "auto" {
        let first = backends.iter().find_map(|backend| backend.open(None).ok());
        return first.ok_or_else(|| wrong(format!("none of this binary's backends ({names}) opens here")));
    }
    let called = |name: &str| backends.iter().find(|backend| backend.name == name);
    if let Some(backend) = called(name) {
        return backend.open(None).map_err(wrong);
    }
    let numbered = name
        .rsplit_once(':')
        .and_then(|(kind, number)| Some((called(kind)?, number)));
    let (backend, number) = numbered.ok_or_else(|| {
        wrong(format!(
            "this binary was built with: auto, {names}; others need their cargo feature (cuda, wgpu, vulkan, metal, rocm, tch)"
        ))
    })?;
    let index = number.parse().map_err(|_| {
        let kind = backend.name;
        wrong(format!("{number:?} is not a device number; write it as {kind}:0"))
    })?;
    backend.open(Some(index)).map_err(wrong)
}

/// The name of the device that one of several processes of a host takes which are told `name`, by its place among them: where that is a
/// backend's name without a number, or `auto`, and there are several of its devices, one after another in turn.
pub fn name_at(name: &str, place: usize) -> String {
    let mut backends = backends().into_iter();
    let own = |backend: &Backend| backend.own(backend.found().len(), place);
    let found = match name {
        "auto" => backends.find_map(|backend| {
            let own = own(&backend);
            backend.open(own).is_ok().then_some((backend.name, own))
        }),
        name => backends
            .find(|backend| backend.name == name)
            .map(|backend| (backend.name, own(&backend))),
    };
    match found {
        Some((backend, Some(number))) => format!("{backend}:{number}"),
        _ => name.to_owned(),
    }
}

/// Tells whether kernels are compiled for each shape, so that shapes should be few.
pub fn compiles_kernels(device: &Device) -> bool {
    let device = device.clone().inner();
    #[cfg(feature = "flex")]
    if device == Device::flex() {
        return false;
    }
    #[cfg(feature = "tch")]
    if matches!(device.as_dispatch(), burn::backend::DispatchDevice::LibTorch(_)) {
        return false;
    }
    let _ = device;
    true
}

/// Tells whether devices of this kind exchange tensors without the host: CUDA's do, where NCCL is found.
pub fn is_connected(device: &Device) -> bool {
    #[cfg(feature = "cubecl")]
    if let burn::backend::DispatchDevice::Cube(device) = device.clone().inner().as_dispatch() {
        return device.client().has_device_transport();
    }
    let _ = device;
    false
}

/// A device in words, the same by whatever name it was opened.
pub fn describe(device: &Device) -> String {
    let device = device.clone().inner();
    #[cfg(feature = "flex")]
    if device == Device::flex() {
        return "CPU (burn's flex backend)".into();
    }
    let description = format!("{device:?}");
    match list().into_iter().find(|listed| listed.description == description) {
        Some(listed) => format!("{}: {description}", listed.name),
        None => description,
    }
}

/// The backend's words on a device that it does not open: those of an error, or of a panic where there is no driver.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unopened(String);

/// The device, after a first computation on it. An exponential, since kernels are linked with it from a library that may be missing;
/// read back, since what a kernel has to say is said to whoever reads its result.
fn opened(device: Device) -> Result<Device, Unopened> {
    quietly(|| {
        let one = burn::tensor::Tensor::<1>::zeros([1], &device).exp();
        let read = one.try_into_data().map_err(|e| Unopened(e.to_string()))?;
        // Looked at, since until then a device's data may not have been fetched.
        match read.iter::<f32>().sum::<f32>() {
            1.0 => Ok(()),
            found => Err(Unopened(format!("it says that exp(0) is {found}"))),
        }
    })??;
    Ok(device)
}

/// Runs what panics where there is no driver, without its message on the terminal.
fn quietly<T>(action: impl FnOnce() -> T) -> Result<T, Unopened> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(action));
    std::panic::set_hook(hook);
    result.map_err(|payload| Unopened(panic_text(payload.as_ref())))
}

/// The text of a caught panic.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_lists_what_there_is() {
        let error = open("tpu").unwrap_err().to_string();
        assert!(error.contains("--device tpu") && error.contains("auto"), "{error}");
        let error = open("cpu:x").unwrap_err().to_string();
        assert!(error.contains("not a device number"), "{error}");
        let error = open("cpu:1").unwrap_err().to_string();
        assert!(error.contains("there are 1 devices of cpu here"), "{error}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_cpu_opens_by_name_and_is_listed() {
        open("cpu").unwrap();
        assert!(list().iter().any(|l| l.name == "cpu"));
        assert!(open("cpu:7").is_err());
        // A processor is shared, and who names a number means it.
        let names = ["cpu", "cuda:1", "tpu"].map(|name| name_at(name, 3));
        assert_eq!(names, ["cpu", "cuda:1", "tpu"]);
        let of = |name| Backend {
            name,
            devices: Vec::new,
            default: |_| None,
            missing: "",
        };
        assert_eq!(
            [0, 3, 5].map(|place| of("cuda").own(4, place)),
            [Some(0), Some(3), Some(1)]
        );
        assert_eq!([of("cuda").own(1, 3), of("wgpu").own(2, 1)], [None; 2]);
    }
}
