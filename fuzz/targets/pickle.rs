//! Checkpoints of PyTorch: the archive, its pickle, and the network in it.

#![no_main]

use std::cell::OnceCell;
use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use sextant_fuzz::{altered, folder, write};
use sextant_model::checkpoint::Imported;
use sextant_recipe::Import;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const GOOD: &[u8] = include_bytes!("../../tests/fixtures/checkpoint_published.pt");

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// An archive with this pickle and one storage.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", &[0; 64])] {
        zip.start_file(name, options).expect("memory takes it");
        zip.write_all(bytes).expect("memory takes it");
    }
    zip.finish().expect("memory takes it").into_inner()
}

fuzz_target!(|bytes: &[u8]| {
    let [which, bytes @ ..] = bytes else { return };
    let file = match which % 2 {
        0 => archive(bytes),
        _ => altered(GOOD, bytes),
    };
    FOLDER.with(|place| {
        let path = write(place.get_or_init(folder).path(), "some.pt", &file);
        let import = Import {
            from: path.display().to_string(),
            weights: None,
            convention: None,
        };
        if let Ok(mut imported) = Imported::open(&import)
            && let Ok(config) = imported.config(Some(1))
        {
            let _ = imported.tensors(&config);
        }
    });
});
