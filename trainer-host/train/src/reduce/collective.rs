//! Sums that the devices of one process make among themselves: NCCL, behind burn's collective.
//!
//! burn can also begin such a sum within the backward pass, as soon as a gradient is there. That is not used: a rank that fails, or goes
//! back alone, would leave the others waiting in it for ever, and a step's gradients may be those of several backward passes.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor};
use sextant_model::device::is_connected;

/// A sum under way: the call waits for it.
pub type Summed = Box<dyn FnOnce() -> Tensor<1>>;

/// One rank's device among those of the others.
pub trait Collective: Send + Sync {
    /// Begins to add up a tensor of each rank, of one length, where it is. Every rank adds up as many, in the same order.
    fn add_up(&self, own: Tensor<1>) -> Summed;
}

/// Devices, one a rank, that exchange tensors without the host.
///
/// The order in which values are added is NCCL's: all ranks have the same bits, and other bits than through the host.
pub(super) struct Connected(Vec<Device>);

impl Connected {
    /// These devices, if they are several of the kind that exchanges tensors, and no two the same.
    pub fn of(devices: Vec<Device>) -> Option<Arc<dyn Collective>> {
        let is_alone = |i: usize| !devices[..i].contains(&devices[i]);
        let are_connected = devices.len() > 1 && (0..devices.len()).all(is_alone) && devices.iter().all(is_connected);
        are_connected.then(|| Arc::new(Self(devices)) as Arc<dyn Collective>)
    }
}

impl Collective for Connected {
    fn add_up(&self, own: Tensor<1>) -> Summed {
        let sum = all_reduce(own, ReduceOperation::Sum, self.0.clone());
        Box::new(move || sum.resolve())
    }
}

/// Does work in which this thread may wait for devices that nobody can call back; calls `late` from another thread, once, if it takes
/// longer than `limit`.
pub(super) fn within<T>(limit: Duration, late: impl FnOnce() + Send + 'static, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = channel::<()>();
    std::thread::spawn(move || {
        if is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            late();
        }
    });
    let worked = work();
    drop(done);
    worked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_devices_that_are_connected_add_up_by_themselves() {
        let cpu = Device::flex();
        assert!(Connected::of(vec![cpu.clone()]).is_none());
        assert!(Connected::of(vec![cpu.clone(), cpu]).is_none());
    }

    #[test]
    fn who_waits_too_long_is_told_of_from_another_thread() {
        let (late, is_late) = channel();
        let told = within(
            Duration::from_millis(10),
            move || late.send(()).unwrap(),
            || is_late.recv_timeout(Duration::from_secs(10)),
        );
        assert_eq!(told, Ok(()));
        let (late, is_late) = channel();
        within(Duration::from_secs(10), move || late.send(()).unwrap(), || ());
        // The watch has ended, and said nothing.
        assert!(is_late.recv().is_err());
    }
}
