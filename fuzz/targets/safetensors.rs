//! Safetensors: the header, and values at the places that it says.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use sextant_fuzz::{altered, folder, write};
use sextant_model::checkpoint::WeightsFile;
use sextant_model::network::TensorReader;
use tempfile::TempDir;

const HEADER: &[u8] = br#"{"__metadata__":{"json":"{}"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}"#;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let good = [&(HEADER.len() as u64).to_le_bytes(), HEADER, b"0123456789a"].concat();
    FOLDER.with(|place| {
        let path = write(
            place.get_or_init(folder).path(),
            "some.safetensors",
            &altered(&good, bytes),
        );
        if let Ok(mut reader) = TensorReader::open(&path) {
            let _ = reader.all();
        }
        let _ = WeightsFile::open(&path);
    });
});
