//! Samples as the published evaluator reads them.

use std::io::{self, Cursor, Read, Seek, Write};

use npyz::WriterBuilder;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::Error;

/// Name of the images among several arrays, and of the labels beside them, as guided-diffusion writes them.
pub(super) const IMAGES: &str = "arr_0";
pub(super) const LABELS: &str = "arr_1";

/// An `.npz` with one array `arr_0`, uint8 `[N, side, side, 3]`. The same pixels give the same bytes, whenever they are written.
///
/// # Errors
/// A failure of the encoder.
pub fn npz(pixels: &[u8], side: usize) -> Result<Vec<u8>, Error> {
    let shape = [(pixels.len() / (side * side * 3)) as u64, side as u64, side as u64, 3];
    archive(&[(IMAGES, &array(pixels, &shape)?)], CompressionMethod::Deflated)
}

/// An array as numpy stores it.
pub(super) fn array<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let written = options.writer(&mut bytes).begin_nd().and_then(|mut writer| {
        writer.extend(values.iter().copied())?;
        writer.finish()
    });
    written.map_err(|e| Error::Pixels(format!("the samples' .npz cannot be encoded: {e}")))?;
    Ok(bytes)
}

/// An archive of arrays, by name, without the time at which it was made.
pub(super) fn archive(arrays: &[(&str, &[u8])], method: CompressionMethod) -> Result<Vec<u8>, Error> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut write = || {
        for (name, bytes) in arrays {
            archive.start_file(file_name(name), options(method))?;
            archive.write_all(bytes)?;
        }
        Ok::<_, ZipError>(())
    };
    let written = write().and_then(|()| archive.finish());
    let bytes = written.map_err(|e| Error::Pixels(format!("the samples' .npz cannot be encoded: {e}")))?;
    Ok(bytes.into_inner())
}

fn options(method: CompressionMethod) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .last_modified_time(DateTime::default())
        .compression_method(method)
}

/// Writes an `.npz` of any size as it comes: `arr_0`, uint8 of this shape, from `images` one after another, and `arr_1`, int64 `[N]`, where there are
/// labels. `comment` is the archive's own, which numpy does not read.
///
/// Nothing is compressed, as numpy's `savez` does it: images of photographs shrink by a tenth and take minutes for it. Sizes are
/// stored in 64 bits, since an array may pass 4 GiB.
pub(super) fn write_npz<W: Write + Seek>(
    writer: W,
    shape: &[u64; 4],
    images: &mut [impl Read],
    labels: Option<impl Iterator<Item = i64>>,
    comment: &str,
) -> Result<W, ZipError> {
    let options = options(CompressionMethod::Stored).large_file(true);
    let mut archive = ZipWriter::new(writer);
    archive.set_comment(comment)?;
    archive.start_file(file_name(IMAGES), options)?;
    archive.write_all(&header::<u8>(shape)?)?;
    for images in images {
        io::copy(images, &mut archive)?;
    }
    if let Some(labels) = labels {
        archive.start_file(file_name(LABELS), options)?;
        archive.write_all(&header::<i64>(&shape[..1])?)?;
        let mut bytes = io::BufWriter::new(&mut archive);
        for label in labels {
            bytes.write_all(&label.to_ne_bytes())?;
        }
        bytes.flush()?;
    }
    archive.finish()
}

/// Header before an array's values, which are of this machine's byte order.
fn header<T: npyz::AutoSerialize>(shape: &[u64]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::<T>::new().default_dtype().shape(shape);
    // The values come from elsewhere: that it has seen none, the writer says where it is finished, and nowhere else.
    drop(options.writer(&mut bytes).begin_nd()?);
    Ok(bytes)
}

/// The file of an array in an archive.
pub(super) fn file_name(array: &str) -> String {
    format!("{array}.npy")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::ZipArchive;

    #[test]
    fn the_bytes_hold_no_time() {
        let bytes = npz(&[7; 12], 2).unwrap();
        let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.by_index(0).unwrap().last_modified().unwrap().year(), 1980);
    }

    #[test]
    fn the_archive_reads_back() {
        let pixels: Vec<u8> = (0..2 * 2 * 2 * 3).collect();
        let labels = [4i64, -1];
        let streamed = write_npz(
            Cursor::new(Vec::new()),
            &[2, 2, 2, 3],
            &mut [&pixels[..7], &pixels[7..]],
            Some(labels.into_iter()),
            "a comment",
        );
        for (bytes, labelled) in [
            (npz(&pixels, 2).unwrap(), false),
            (streamed.unwrap().into_inner(), true),
        ] {
            let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
            let array = npyz::NpyFile::new(archive.by_name("arr_0.npy").unwrap()).unwrap();
            assert_eq!(array.shape(), [2, 2, 2, 3]);
            assert_eq!(array.into_vec::<u8>().unwrap(), pixels);
            if labelled {
                assert_eq!(archive.comment(), b"a comment");
                let array = npyz::NpyFile::new(archive.by_name("arr_1.npy").unwrap()).unwrap();
                assert_eq!(array.shape(), [2]);
                assert_eq!(array.into_vec::<i64>().unwrap(), labels);
            }
        }
    }

    /// Bytes that are counted and thrown away, but for the last of them.
    struct Sink {
        at: u64,
        len: u64,
        tail: Vec<u8>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.at == self.len {
                let keep = self.tail.len().min(4096);
                self.tail.drain(..self.tail.len() - keep);
                self.tail.extend(bytes);
                self.len += bytes.len() as u64;
            }
            self.at += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Sink {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.at = match to {
                io::SeekFrom::Start(at) => at,
                io::SeekFrom::Current(by) => self.at.saturating_add_signed(by),
                io::SeekFrom::End(by) => self.len.saturating_add_signed(by),
            };
            Ok(self.at)
        }
    }

    #[test]
    fn an_array_may_pass_four_gigabytes() {
        // 2048 x 2048 x 3 bytes 342 times over: 4.3 GB.
        let images = io::repeat(7).take(342 * 2048 * 2048 * 3);
        let sink = Sink {
            at: 0,
            len: 0,
            tail: Vec::new(),
        };
        let labels: Option<std::iter::Empty<i64>> = None;
        let sink = write_npz(sink, &[342, 2048, 2048, 3], &mut [images], labels, "").unwrap();
        assert!(sink.len > 1 << 32);
        // The record of zip64 stands before the last one.
        assert!(sink.tail.windows(4).any(|bytes| bytes == b"PK\x06\x06"));
    }
}
