//! `dataset.json`, and the folder that it describes.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use sextant_data::{DOCUMENT, Listing};
use sextant_fuzz::{altered, folder, write};
use tempfile::TempDir;

const FILES: [&str; 3] = ["a.png", "b/c.png", "d.jpg"];

const GOOD: &[u8] = br#"{"labels": [["a.png", 1], ["b/c.png", 0], ["d.jpg", 7]], "class_names": null}"#;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|place| {
        let place = place.get_or_init(|| {
            let place = folder();
            FILES.iter().for_each(|name| drop(write(place.path(), name, b"")));
            place
        });
        write(place.path(), DOCUMENT, &altered(GOOD, bytes));
        if let Ok(listing) = Listing::of_pictures(place.path()) {
            assert_eq!(listing.labels.len(), FILES.len());
            let classes = listing.class_names.map_or(i64::MAX, |names| names.len() as i64);
            assert!(listing.labels.iter().all(|label| (0..classes).contains(label)));
        }
    });
});
