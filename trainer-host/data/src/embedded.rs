//! The emoji set that ships inside the binary (see `assets/ATTRIBUTION.md`).

use super::error::DataError;
use super::images::Images;
use serde::Deserialize;

const ATLAS: &[u8] = include_bytes!("../../assets/emoji32.png");
const INDEX: &str = include_str!("../../assets/emoji32.json");

/// The description of the atlas in `emoji32.json`.
#[derive(Deserialize)]
struct Index {
    cell: usize,
    columns: usize,
    count: usize,
    classes: Vec<String>,
    labels: Vec<i64>,
    subclasses: Vec<String>,
    sublabels: Vec<i64>,
    groups: Vec<u64>,
    names: Vec<String>,
}

/// The 1,906 Twemoji glyphs over white, at 32, 16 or 8 pixels a side.
///
/// Errors: a size that is none of these. A damaged asset is an error too, not a panic.
pub fn emoji(size: usize) -> Result<Images, DataError> {
    let index: Index = serde_json::from_str(INDEX).map_err(|e| DataError::Embedded(format!("emoji32.json: {e}")))?;
    let atlas = image::load_from_memory_with_format(ATLAS, image::ImageFormat::Png)
        .map_err(|e| DataError::Embedded(format!("emoji32.png: {e}")))?
        .into_rgb8();
    if ![32, 16, 8].contains(&size) {
        return Err(DataError::Size {
            wanted: size,
            available: vec![32, 16, 8],
        });
    }
    Images {
        pixels: cells(&atlas, &index)?,
        size: index.cell,
        labels: index.labels,
        class_names: index.classes,
        sublabels: index.sublabels,
        subclass_names: index.subclasses,
        groups: index.groups,
        names: index.names,
    }
    .shrunk(size)
}

/// Cuts the atlas into its cells, left to right and top to bottom: `[count, cell, cell, 3]`.
fn cells(atlas: &image::RgbImage, index: &Index) -> Result<Vec<u8>, DataError> {
    let Index {
        cell, columns, count, ..
    } = *index;
    let (width, height) = (atlas.width() as usize, atlas.height() as usize);
    if columns == 0 || width != columns * cell || height < count.div_ceil(columns) * cell {
        return Err(DataError::Embedded(format!(
            "emoji32.png is {width}x{height}, too small for {count} cells of {cell} in {columns} columns"
        )));
    }
    let bytes = atlas.as_raw();
    let mut pixels = Vec::with_capacity(count * cell * cell * 3);
    for i in 0..count {
        for row in 0..cell {
            let start = ((i / columns * cell + row) * width + i % columns * cell) * 3;
            pixels.extend_from_slice(&bytes[start..start + cell * 3]);
        }
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_hold_what_the_index_says() {
        let emoji = emoji(32).unwrap();
        assert_eq!(emoji.len(), 1906);
        assert_eq!(emoji.pixels.len(), 1906 * 32 * 32 * 3);
        assert_eq!(emoji.class_names.len(), 9);
        assert_eq!(emoji.subclass_names.len(), 98);
        for lengths in [emoji.sublabels.len(), emoji.groups.len(), emoji.names.len()] {
            assert_eq!(lengths, 1906);
        }
        assert!(emoji.labels.iter().all(|label| (0..9).contains(label)));
        assert!(emoji.sublabels.iter().all(|label| (0..98).contains(label)));
    }

    #[test]
    fn should_cut_out_whole_glyphs() {
        let emoji = emoji(32).unwrap();
        // A face is a yellow disc on white: its corner is white, its middle is not.
        let face = &emoji.pixels[..32 * 32 * 3];
        assert_eq!(emoji.names[0], "grinning");
        assert_eq!(face[..3], [255, 255, 255]);
        let middle = (10 * 32 + 16) * 3;
        assert!(face[middle] > 200 && face[middle + 2] < 150);
    }

    #[test]
    fn should_keep_the_mean_colour_when_shrunk() {
        let mean = |size| {
            let pixels = emoji(size).unwrap().pixels;
            pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64
        };
        assert!((mean(32) - mean(16)).abs() < 0.5);
        assert!((mean(32) - mean(8)).abs() < 0.5);
    }

    #[test]
    fn should_name_the_sizes_that_exist() {
        let message = emoji(24).unwrap_err().to_string();
        assert!(message.contains("24") && message.contains("32, 16, 8"), "{message}");
    }
}
