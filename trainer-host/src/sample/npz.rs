//! Samples as the published evaluator reads them.

use std::io::Cursor;

use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use npyz::zip::DateTime;
use npyz::zip::write::FileOptions;

use crate::error::Error;

/// An `.npz` with one array `arr_0`, uint8 `[N, side, side, 3]`. The same pixels give the same bytes, whenever they are written.
///
/// # Errors
/// Where the encoder fails.
pub fn npz(pixels: &[u8], side: usize) -> Result<Vec<u8>, Error> {
    let failed = |e: std::io::Error| Error::Training(format!("the samples' .npz cannot be encoded: {e}"));
    let shape = [(pixels.len() / (side * side * 3)) as u64, side as u64, side as u64, 3];
    let mut bytes = Cursor::new(Vec::new());
    {
        let mut archive = NpzWriter::new(&mut bytes);
        let mut array = archive
            .array("arr_0", FileOptions::default().last_modified_time(DateTime::default()))
            .map_err(failed)?
            .default_dtype()
            .shape(&shape)
            .begin_nd()
            .map_err(failed)?;
        array.extend(pixels).map_err(failed)?;
        array.finish().map_err(failed)?;
    }
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_hold_no_time() {
        let bytes = npz(&[7; 12], 2).unwrap();
        let mut archive = npyz::zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.by_index(0).unwrap().last_modified().year(), 1980);
    }

    #[test]
    fn the_archive_reads_back() {
        let pixels: Vec<u8> = (0..2 * 2 * 2 * 3).collect();
        let bytes = npz(&pixels, 2).unwrap();
        let mut archive = npyz::npz::NpzArchive::new(Cursor::new(bytes)).unwrap();
        let array = archive.by_name("arr_0").unwrap().unwrap();
        assert_eq!(array.shape(), [2, 2, 2, 3]);
        assert_eq!(array.into_vec::<u8>().unwrap(), pixels);
    }
}
