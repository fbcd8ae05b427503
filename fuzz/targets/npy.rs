//! `.npy` files: headers, and values.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use sextant_data::npy;
use sextant_fuzz::{altered, folder, write};
use tempfile::TempDir;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let _ = npy::header(bytes, bytes.len() as u64);
    let file = altered(&npy::encode(&[2, 2], &[1.0, -2.0, 0.5, 4.0]), bytes);
    FOLDER.with(|place| {
        let path = write(place.get_or_init(folder).path(), "some.npy", &file);
        if let Ok(header) = npy::read_header(&path) {
            // What a header says fits the file, so that nothing larger is set aside.
            if let Ok(values) = npy::read(&path, &header.shape) {
                assert_eq!(values.len(), header.shape.iter().product::<usize>());
            }
        }
    });
});
