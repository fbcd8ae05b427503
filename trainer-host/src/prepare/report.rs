//! Files that are written when everything is done: labels, and the images that are not there.

use std::collections::BTreeMap;

use serde_json::json;
use sextant_data::image::ImageError;
use sextant_data::{DOCUMENT, Listing, MOMENTS};

use super::layout::{IMAGES, Layout, array_name, square_name};
use super::pictures::write as write_file;
use crate::Error;

/// Name of the list of images that cannot be read.
pub const SKIPPED: &str = "skipped.csv";

/// Images that cannot be read, by their number, and why.
pub type Skipped = BTreeMap<usize, ImageError>;

/// Writes each `dataset.json`, and `skipped.csv`.
///
/// # Errors
/// A file that cannot be written.
pub fn write(layout: &Layout, listing: &Listing, skipped: &Skipped) -> Result<(), Error> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let rows = skipped
        .iter()
        .map(|(id, reason)| [listing.files[*id].name.clone(), reason.to_string()]);
    let written = std::iter::once(["file".into(), "reason".into()])
        .chain(rows)
        .try_for_each(|row| csv.write_record(&row));
    let csv = written
        .map_err(|e| e.to_string())
        .and_then(|()| csv.into_inner().map_err(|e| e.to_string()));
    let csv = csv.map_err(|reason| Error::Failed(format!("{SKIPPED}: {reason}")))?;
    write_file(&layout.root().join(SKIPPED), &csv)?;

    labels(layout, IMAGES, square_name, listing, skipped)?;
    // Also where this run made none: an earlier one did.
    match layout.root().join(MOMENTS).is_dir() {
        true => labels(layout, MOMENTS, array_name, listing, skipped),
        false => Ok(()),
    }
}

/// Names and labels in the form of EDM's tools; images without classes are of class 0, since REPA's loader knows no other way.
fn labels(
    layout: &Layout,
    folder: &str,
    name: impl Fn(usize) -> String,
    listing: &Listing,
    skipped: &Skipped,
) -> Result<(), Error> {
    let ids = (0..listing.files.len()).filter(|id| !skipped.contains_key(id));
    let labels: Vec<(String, i64)> = ids.map(|id| (name(id), listing.labels[id])).collect();
    let document = json!({ "labels": labels, "class_names": listing.class_names });
    write_file(
        &layout.root().join(folder).join(DOCUMENT),
        document.to_string().as_bytes(),
    )
}
