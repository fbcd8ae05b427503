//! Requests of sources to the host, for those who look over their shoulder (`sextant plugin check`, and the count of a run's cost).

use std::cell::RefCell;
use std::collections::BTreeSet;

use sextant_plugin_api::abi::Network;

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// Calls that sources made while [`traced`] ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Names of the operations, each once.
    pub operations: BTreeSet<&'static str>,
    /// Forward passes of frozen networks, in order.
    pub forwards: Vec<Asked>,
    /// Floating-point operations of the matrix products, convolutions and attentions that sources asked for themselves, forward
    /// and backward.
    pub work: u64,
}

/// One `forward`, as the source asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Of which network.
    pub network: Network,
    /// Depths of its blocks.
    pub depths: Vec<usize>,
    /// True if its output was asked for.
    pub output: bool,
    /// The sample in the batch to which each row belongs.
    pub samples: Vec<usize>,
}

/// Runs `call`, and tells what the sources that it guided on this thread asked for.
pub fn traced<R>(call: impl FnOnce() -> R) -> (R, Trace) {
    let outer = TRACE.replace(Some(Trace::default()));
    let result = call();
    (result, TRACE.replace(outer).unwrap_or_default())
}

/// Notes an operation, if somebody looks.
pub(super) fn operation(name: &'static str) {
    note(|trace| trace.operations.extend([name]));
}

/// Notes a forward pass, if somebody looks.
pub(super) fn forward(network: Network, depths: Vec<usize>, output: bool, samples: &[u32]) {
    note(|trace| {
        trace.forwards.push(Asked {
            network,
            depths,
            output,
            samples: samples.iter().map(|sample| *sample as usize).collect(),
        });
    });
}

/// Notes floating-point operations, which are counted only if somebody looks.
pub(super) fn work(count: impl FnOnce() -> u64) {
    note(|trace| trace.work = trace.work.saturating_add(count()));
}

fn note(note: impl FnOnce(&mut Trace)) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            note(trace);
        }
    });
}
