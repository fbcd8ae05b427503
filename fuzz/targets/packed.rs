//! The packed layout: index, shards and columns. Checksums are not compared here (`cfg(fuzzing)`), for nothing would be found behind them.

#![no_main]

use std::cell::OnceCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use sextant_data::{PackOptions, load, npy, pack, read_all};
use sextant_fuzz::{altered, folder, write};
use sextant_recipe::{DataConfig, HeldOut};
use tempfile::TempDir;

/// A good set, and the content of its files.
struct Set {
    folder: TempDir,
    files: Vec<(String, Vec<u8>)>,
}

thread_local! {
    static SET: OnceCell<Set> = const { OnceCell::new() };
}

fn set() -> Set {
    let folder = folder();
    for id in 0..3 {
        let values: Vec<f32> = (0..8).map(|at| (id + at) as f32).collect();
        for part in ["vae-sd", "vae-sd-flip", "features", "features-flip"] {
            write(
                folder.path(),
                &format!("set/{part}/{id}.npy"),
                &npy::encode(&[2, 2, 2], &values),
            );
        }
    }
    let labels = br#"{"labels": [["0.npy", 0], ["1.npy", 1], ["2.npy", 1]]}"#;
    write(folder.path(), "set/vae-sd/dataset.json", labels);
    let config = DataConfig::Latents {
        path: folder.path().join("set"),
        classes: None,
        scale: 1.0,
        vae: None,
        fields: vec!["features".into()],
        flip: true,
        held_out: HeldOut::Share(0.4),
        split_seed: 0,
    };
    let dataset = load(&config).expect("a good folder");
    let packed = folder.path().join("packed");
    pack(&dataset, &packed, PackOptions::default(), |_| true).expect("it can be packed");
    let entries = fs::read_dir(&packed).expect("a folder").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let bytes = fs::read(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    files.sort();
    Set { folder, files }
}

fuzz_target!(|bytes: &[u8]| {
    let [which, bytes @ ..] = bytes else { return };
    SET.with(|kept| {
        let set = kept.get_or_init(set);
        let packed = set.folder.path().join("packed");
        let (name, good) = &set.files[usize::from(*which) % set.files.len()];
        write(&packed, name, &altered(good, bytes));
        let config = DataConfig::Packed {
            path: packed.clone(),
            fields: vec!["features".into()],
            vae: None,
            flip: true,
            held_out: None,
            split_seed: 0,
        };
        if let Ok(dataset) = load(&config) {
            let _ = read_all(&dataset, |_| true);
            if !dataset.train().is_empty() {
                let _ = dataset.batch(0, 0, 2);
            }
        }
        write(&packed, name, good);
    });
});
