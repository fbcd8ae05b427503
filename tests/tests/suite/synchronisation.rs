//! That a step waits for its device nowhere: it asks, and goes on.
//!
//! While a stream records a graph of launches, its server refuses whatever waits for it: a read of a tensor, however small, and a
//! synchronisation, whoever asks for them, burn's own operations included. So a step that succeeds meanwhile holds none.

use std::iter;

use burn::backend::{Backend, Dispatch};
use burn::tensor::{Device, Tensor};
use sextant_model::device;
use sextant_recipe::ComputeRecipe;
use sextant_tests::fixture;
use sextant_train::Ranks;

use crate::parity_training::{prepared, steps};

#[test]
fn no_step_reads_from_its_device() {
    let name = std::env::var("PARITY_DEVICE").unwrap_or_else(|_| "wgpu".into());
    let device = device::open(&name).unwrap_or_else(|e| panic!("{e}"));
    for fixture in fixture::all("train_") {
        let kind = fixture.settings["guidance"].as_str().expect("a guidance");
        let folder = tempfile::tempdir().unwrap();
        let mut training = prepared(
            &fixture,
            kind,
            device.clone(),
            Ranks::default(),
            &ComputeRecipe::default(),
            folder.path(),
        );
        let mut advance = |batch| training.advance(&mut iter::once(Ok(batch)));
        // What compiles a kernel, or chooses one, may wait. Twice, since a shape that comes again is fused otherwise than a new one.
        for batch in iter::repeat_n(steps(&fixture, kind), 2).flatten() {
            advance(batch).unwrap();
        }
        for batch in steps(&fixture, kind) {
            let step = batch.step;
            let stepped = refusing_reads(&device, || advance(batch).map(|_| ()));
            stepped.unwrap_or_else(|error| panic!("{}, step {step}: {error}", fixture.name));
        }
    }
}

/// What `action` gives while the device lets nobody wait for it. What it launches is not run.
fn refusing_reads<T>(device: &Device, action: impl FnOnce() -> T) -> T {
    let ones = Tensor::<1>::ones([2], device);
    assert!(ones.clone().try_into_data().is_ok());
    Dispatch::graph_prepare(device.as_dispatch()).unwrap();
    Dispatch::graph_start_capture(device.as_dispatch()).unwrap();
    assert!(
        ones.clone().try_into_data().is_err(),
        "a read while a graph is recorded"
    );
    assert!(device.sync().is_err(), "a synchronisation while a graph is recorded");
    let result = action();
    // The batch's way to the device could not be recorded, so there is no graph, and none is wanted.
    let _ = Dispatch::graph_stop_capture(device.as_dispatch());
    result
}
