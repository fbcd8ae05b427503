//! Devices: which there are in this binary, and which one a name means.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, DeviceType};
use serde::Serialize;

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
struct Backend {
    name: &'static str,
    kind: DeviceType,
    default: fn() -> Device,
}

/// The compiled backends, the fastest first: what `auto` tries in turn.
fn backends() -> Vec<Backend> {
    vec![
        #[cfg(feature = "cuda")]
        Backend {
            name: "cuda",
            kind: DeviceType::Cuda,
            default: || Device::cuda(0),
        },
        #[cfg(feature = "rocm")]
        Backend {
            name: "rocm",
            kind: DeviceType::Rocm,
            default: || Device::rocm(0),
        },
        #[cfg(feature = "metal")]
        Backend {
            name: "metal",
            kind: DeviceType::Metal,
            default: || Device::metal(burn::tensor::DeviceKind::DefaultDevice),
        },
        #[cfg(feature = "vulkan")]
        Backend {
            name: "vulkan",
            kind: DeviceType::Vulkan,
            default: || Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        },
        #[cfg(feature = "wgpu")]
        Backend {
            name: "wgpu",
            kind: DeviceType::Wgpu,
            default: || Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        },
        #[cfg(feature = "flex")]
        Backend {
            name: "cpu",
            kind: DeviceType::Flex,
            default: Device::flex,
        },
    ]
}

/// Every device that this binary can use here.
pub fn list() -> Vec<Listed> {
    backends()
        .iter()
        .flat_map(|backend| {
            let devices = quietly(|| Device::enumerate(backend.kind.clone()).into_vec()).unwrap_or_default();
            let many = devices.len() > 1;
            devices.into_iter().enumerate().map(move |(i, device)| Listed {
                name: if many || backend.name != "cpu" {
                    format!("{}:{i}", backend.name)
                } else {
                    backend.name.into()
                },
                description: format!("{device:?}"),
            })
        })
        .collect()
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
    let names: Vec<_> = backends.iter().map(|b| b.name).collect();
    if name == "auto" {
        return backends.iter().find_map(|b| opened((b.default)()).ok()).ok_or_else(|| {
            wrong(format!(
                "none of this binary's backends ({}) opens here",
                names.join(", ")
            ))
        });
    }
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => {
            let index: usize = index
                .parse()
                .map_err(|_| wrong(format!("{index:?} is not a device number; write it as {kind}:0")))?;
            (kind, Some(index))
        }
        None => (name, None),
    };
    let backend = backends.iter().find(|b| b.name == kind).ok_or_else(|| {
        wrong(format!(
            "this binary was built with: auto, {}; others need their cargo feature (cuda, wgpu, vulkan, metal, rocm)",
            names.join(", ")
        ))
    })?;
    let device = match index {
        None => (backend.default)(),
        Some(index) => {
            let devices = quietly(|| Device::enumerate(backend.kind.clone()).into_vec()).unwrap_or_default();
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

/// The backend's words on a device that it does not open.
#[derive(Debug, thiserror::Error)]
enum Unopened {
    /// A panic, such as of a backend without a driver.
    #[error("{0}")]
    Panicked(String),
    /// An error of the device.
    #[error("{0}")]
    Failed(String),
}

fn opened(device: Device) -> Result<Device, Unopened> {
    quietly(|| {
        burn::tensor::Tensor::<1>::zeros([1], &device);
        device.sync().map_err(|e| Unopened::Failed(e.to_string()))
    })??;
    Ok(device)
}

/// Runs what panics where there is no driver, without its message on the terminal.
fn quietly<T>(action: impl FnOnce() -> T) -> Result<T, Unopened> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(action));
    std::panic::set_hook(hook);
    result.map_err(|payload| Unopened::Panicked(panic_text(payload.as_ref())))
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
