//! That a step waits for its device nowhere: it asks, and goes on.
//!
//! While a stream records a graph of launches, its server refuses whatever waits for it: a read of a tensor, however small, and a
//! synchronisation, whoever asks for them, burn's own operations included. So a step that succeeds meanwhile holds none.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::{Backend, Dispatch};
use burn::tensor::{Device, Tensor};
use sextant_model::device;
use sextant_recipe::ComputeRecipe;
use sextant_tests::fixture::{self, Fixture};
use sextant_train::Ranks;

use crate::parity_training::{Cut, prepared, steps};

/// The trainings that ask most of the host: fields of the batch; chosen rows, and two conditions of a frozen teacher; draws, and the moving
/// average. A software device takes minutes over the kernels of each.
const ASKING: [&str; 3] = ["train_repa.", "train_self_transcendence.", "train_sra."];

/// Steps of each training.
const STEPS: usize = 2;

#[test]
fn no_step_reads_from_its_device() {
    let name = std::env::var("PARITY_DEVICE").unwrap_or_else(|_| "wgpu".into());
    let device = device::open(&name).unwrap_or_else(|e| panic!("{e}"));
    let asking = |fixture: &Fixture| ASKING.iter().any(|name| fixture.name.starts_with(name));
    for fixture in fixture::all("train_").into_iter().filter(asking) {
        let kind = fixture.settings["guidance"].as_str().expect("a guidance");
        let folder = tempfile::tempdir().unwrap();
        let mut training = prepared(
            &fixture,
            kind,
            device.clone(),
            (Ranks::default(), Cut::NONE),
            &ComputeRecipe::default(),
            folder.path(),
        );
        let mut advance = |batch| training.advance(&mut iter::once(Ok(batch)));
        let batches: Vec<_> = steps(&fixture, kind).into_iter().take(STEPS).collect();
        // What compiles a kernel, or chooses one, may wait. Twice, since a shape that comes again is fused otherwise than a new one.
        for batch in iter::repeat_n(batches.clone(), 2).flatten() {
            advance(batch).unwrap();
        }
        for batch in batches {
            let step = batch.step;
            let stepped = refusing_reads(&device, || advance(batch).map(|_| ()));
            stepped.unwrap_or_else(|error| panic!("{}, step {step}: {error}", fixture.name));
            println!("{}, step {step}: waits for nothing", fixture.name);
        }
    }
}

/// Runs `action` while the device lets nobody wait for it. Its launches are noted, and not run.
fn refusing_reads<T>(device: &Device, action: impl FnOnce() -> T) -> T {
    let read = || {
        // Data of a device come when they are looked at.
        let ones = Tensor::<1>::ones([2], device);
        catch_unwind(AssertUnwindSafe(|| ones.into_data().iter::<f32>().sum::<f32>()))
    };
    assert_eq!(read().ok(), Some(2.0));
    Dispatch::graph_prepare(device.as_dispatch()).unwrap();
    Dispatch::graph_start_capture(device.as_dispatch()).unwrap();
    assert!(read().is_err(), "a read while a graph is recorded");
    assert!(device.sync().is_err(), "a synchronisation while a graph is recorded");
    let result = action();
    // The batch's way to the device could not be recorded, so there is no graph, and none is wanted.
    let _ = Dispatch::graph_stop_capture(device.as_dispatch());
    result
}
