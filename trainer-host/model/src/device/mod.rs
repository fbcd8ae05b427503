//! Devices: which there are in this binary, and which one a name means.

mod speed;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(any(feature = "metal", feature = "vulkan", feature = "wgpu"))]
use burn::tensor::DeviceKind;
use burn::tensor::{Device, DeviceType};
use serde::Serialize;

pub use speed::product_speed;

/// A device name that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--device {name}: {reason}")]
pub struct DeviceError {
    name: String,
    reason: String,
}

/// One line of `sextant devices`.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Name for `--device`.
    pub name: String,
    /// Name in burn.
    pub description: String,
}

/// A backend of this binary: its name, its devices, and the one without a number.
type Backend = (&'static str, DeviceType, fn() -> Device);

/// The compiled backends, the fastest first: what `auto` tries in turn.
fn backends() -> Vec<Backend> {
    vec![
        #[cfg(feature = "cuda")]
        ("cuda", DeviceType::Cuda, || Device::cuda(0)),
        #[cfg(feature = "rocm")]
        ("rocm", DeviceType::Rocm, || Device::rocm(0)),
        #[cfg(feature = "metal")]
        ("metal", DeviceType::Metal, || Device::metal(DeviceKind::DefaultDevice)),
        #[cfg(feature = "vulkan")]
        ("vulkan", DeviceType::Vulkan, || {
            Device::vulkan(DeviceKind::DefaultDevice)
        }),
        #[cfg(feature = "wgpu")]
        ("wgpu", DeviceType::Wgpu, || Device::wgpu(DeviceKind::DefaultDevice)),
        #[cfg(feature = "flex")]
        ("cpu", DeviceType::Flex, Device::flex),
    ]
}

/// The devices of a backend; none where it has no driver.
fn devices(kind: &DeviceType) -> Vec<Device> {
    quietly(|| Device::enumerate(kind.clone()).into_vec()).unwrap_or_default()
}

/// Every device that this binary can use here.
pub fn list() -> Vec<Listed> {
    let of = |(backend, kind, _): &Backend| {
        let (backend, devices) = (*backend, devices(kind));
        let many = devices.len() > 1;
        let listed = move |(i, device): (usize, Device)| Listed {
            name: match many || backend != "cpu" {
                true => format!("{backend}:{i}"),
                false => backend.into(),
            },
            description: format!("{device:?}"),
        };
        devices.into_iter().enumerate().map(listed).collect::<Vec<_>>()
    };
    backends().iter().flat_map(of).collect()
}

/// The device of a name: `auto` (the first backend of this binary that opens), `cpu`, `cuda:0`, `wgpu`, ….
/// Opens it, so that a device that is not there is an error here and not a panic later.
///
/// # Errors
/// A name that is none, a backend that is not compiled in, or a device that does not open; the message says
/// what there is.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    let wrong = |reason: String| DeviceError {
        name: name.into(),
        reason,
    };
    let backends = backends();
    let names: Vec<_> = backends.iter().map(|(name, ..)| *name).collect();
    let names = names.join(", ");
    if name == "auto" {
        let first = backends.iter().find_map(|(.., default)| opened(default()).ok());
        return first.ok_or_else(|| wrong(format!("none of this binary's backends ({names}) opens here")));
    }
    let (kind, number) = match name.split_once(':') {
        Some((kind, number)) => (kind, Some(number)),
        None => (name, None),
    };
    let index = number.map(|number| {
        let wrong = |_| wrong(format!("{number:?} is not a device number; write it as {kind}:0"));
        number.parse::<usize>().map_err(wrong)
    });
    let index = index.transpose()?;
    let (_, kind, default) = backends.iter().find(|(backend, ..)| *backend == kind).ok_or_else(|| {
        wrong(format!(
            "this binary was built with: auto, {names}; others need their cargo feature (cuda, wgpu, vulkan, metal, rocm)"
        ))
    })?;
    let device = match index {
        None => default(),
        Some(index) => {
            let devices = devices(kind);
            let count = devices.len();
            devices.into_iter().nth(index).ok_or_else(|| {
                wrong(format!(
                    "there are {count} devices of this kind here; `sextant devices` lists them"
                ))
            })?
        }
    };
    opened(device).map_err(|e| wrong(format!("it does not open: {e}")))
}

/// Tells whether kernels are compiled for each shape, so that shapes should be few.
pub fn compiles_kernels(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    if device.clone().inner() == Device::flex() {
        return false;
    }
    let _ = device;
    true
}

/// A device in words, from the name by which it was opened.
pub fn describe(name: &str, device: &Device) -> String {
    if compiles_kernels(device) {
        format!("{name}: {device:?}")
    } else {
        "CPU (burn's flex backend)".into()
    }
}

/// The backend's words on a device that it does not open: those of an error, or of a panic where there is no driver.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unopened(String);

fn opened(device: Device) -> Result<Device, Unopened> {
    quietly(|| {
        burn::tensor::Tensor::<1>::zeros([1], &device);
        device.sync().map_err(|e| Unopened(e.to_string()))
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
    }

    #[cfg(feature = "flex")]
    #[test]
    fn the_cpu_opens_by_name_and_is_listed() {
        open("cpu").unwrap();
        assert!(list().iter().any(|l| l.name == "cpu"));
        assert!(open("cpu:7").is_err());
    }
}
