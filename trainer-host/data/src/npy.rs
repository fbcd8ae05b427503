//! `.npy` files of floating-point values: NumPy's format, versions 1 to 3.
//!
//! The header is a Python dictionary of fixed form, and is read as just that: nothing in it is evaluated, nested or believed
//! before it was compared with the length of the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::error::DataError;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Bytes of a header beyond which there is none: NumPy's own limit for files that are not trusted.
const LONGEST_HEADER: usize = 10_000;

/// Type of the values of a file, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NpyType {
    /// `<f2`
    F16,
    /// `<f4`
    F32,
}

impl NpyType {
    fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// The contents of a file, from its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// Type of the values.
    pub dtype: NpyType,
    /// Shape, the slowest axis first.
    pub shape: Vec<usize>,
    /// Bytes before the values.
    pub offset: usize,
}

/// The fault of a `.npy` file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NpyFault {
    /// It does not begin as such files do.
    #[error("no .npy file: it does not begin with \\x93NUMPY")]
    Magic,
    /// Another version of the format.
    #[error("version {0}.{1} of the .npy format; 1.0, 2.0 and 3.0 can be read")]
    Version(u8, u8),
    /// The file ends too early.
    #[error("truncated: {found} bytes, {wanted} are needed")]
    Truncated {
        /// Bytes that there are.
        found: u64,
        /// Bytes that the header asks for.
        wanted: u64,
    },
    /// More bytes than the header says.
    #[error("{0} bytes more than its header says")]
    Longer(u64),
    /// The header is not of the form that NumPy writes.
    #[error("its header is not as NumPy writes it: {0}")]
    Header(&'static str),
    /// Values that are not read.
    #[error("values of type {0:?}; \"<f4\" and \"<f2\" can be read")]
    Type(String),
    /// Columns first.
    #[error("in Fortran order; save numpy.ascontiguousarray of it")]
    FortranOrder,
    /// Another shape than that of the other samples.
    #[error("shape {found:?}; {wanted:?} is needed, as of the first sample")]
    Shape {
        /// Its own.
        found: Vec<usize>,
        /// That of the others.
        wanted: Vec<usize>,
    },
    /// No moments.
    #[error("shape {0:?}; moments are [2C, H, W] with H = W, the means first")]
    NoMoments(Vec<usize>),
    /// A value that is no number.
    #[error("value {0} is not finite")]
    NotFinite(usize),
}

/// Reads the header from the beginning of a file of `length` bytes.
///
/// # Errors
/// Anything but a header of values that [`NpyType`] has, whose shape has the file's length.
pub fn header(bytes: &[u8], length: u64) -> Result<NpyHeader, NpyFault> {
    let short = |wanted: usize| NpyFault::Truncated {
        found: length,
        wanted: wanted as u64,
    };
    if bytes.len() < 8 || &bytes[..6] != MAGIC {
        return Err(NpyFault::Magic);
    }
    let (start, size) = match (bytes[6], bytes[7], &bytes[8..]) {
        (1, 0, [a, b, ..]) => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        (2 | 3, 0, [a, b, c, d, ..]) => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        (1..=3, 0, _) => return Err(short(12)),
        (major, minor, _) => return Err(NpyFault::Version(major, minor)),
    };
    if size > LONGEST_HEADER {
        return Err(NpyFault::Header("it is too long"));
    }
    let offset = start + size;
    let text = bytes.get(start..offset).ok_or(short(offset))?;
    let text = std::str::from_utf8(text).map_err(|_| NpyFault::Header("it is not text"))?;
    let Dictionary { dtype, fortran, shape } = dictionary(text)?;
    let dtype = match dtype {
        "<f2" => NpyType::F16,
        "<f4" => NpyType::F32,
        other => return Err(NpyFault::Type(other.into())),
    };
    if fortran {
        return Err(NpyFault::FortranOrder);
    }
    let size = shape
        .iter()
        .try_fold(dtype.bytes(), |size, &side| size.checked_mul(side));
    let wanted = size.and_then(|size| size.checked_add(offset)).map(|size| size as u64);
    let wanted = wanted.ok_or(NpyFault::Header("its shape has no size"))?;
    match length.cmp(&wanted) {
        std::cmp::Ordering::Less => Err(NpyFault::Truncated { found: length, wanted }),
        std::cmp::Ordering::Greater => Err(NpyFault::Longer(length - wanted)),
        std::cmp::Ordering::Equal => Ok(NpyHeader { dtype, shape, offset }),
    }
}

struct Dictionary<'a> {
    dtype: &'a str,
    fortran: bool,
    shape: Vec<usize>,
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (8, 32, 32), }`, its keys in any order.
fn dictionary(text: &str) -> Result<Dictionary<'_>, NpyFault> {
    let fault = NpyFault::Header;
    let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let mut rest = inner.ok_or(fault("it is no dictionary"))?.trim();
    let (mut dtype, mut fortran, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or(fault("a key is no string"))?;
        let after = after
            .trim_start()
            .strip_prefix(':')
            .ok_or(fault("a key has no value"))?;
        let after = after.trim_start();
        rest = match key {
            "descr" => {
                let (value, after) = quoted(after).ok_or(fault("descr is no plain type"))?;
                dtype = Some(value);
                after
            }
            "fortran_order" => {
                let value = [("True", true), ("False", false)];
                let mut found = value
                    .iter()
                    .filter_map(|(word, value)| Some((value, after.strip_prefix(word)?)));
                let (value, after) = found.next().ok_or(fault("fortran_order is neither True nor False"))?;
                fortran = Some(*value);
                after
            }
            "shape" => {
                let list = after.strip_prefix('(').and_then(|after| after.split_once(')'));
                let (list, after) = list.ok_or(fault("shape is no tuple"))?;
                let sides = list.split(',').map(str::trim).filter(|side| !side.is_empty());
                let sides: Option<Vec<usize>> = sides.map(|side| side.parse().ok()).collect();
                shape = Some(sides.ok_or(fault("shape holds no whole numbers"))?);
                after
            }
            _ => return Err(fault("it has another key than descr, fortran_order and shape")),
        }
        .trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return Err(fault("a comma is missing")),
        }
    }
    Ok(Dictionary {
        dtype: dtype.ok_or(fault("descr is missing"))?,
        fortran: fortran.ok_or(fault("fortran_order is missing"))?,
        shape: shape.ok_or(fault("shape is missing"))?,
    })
}

/// A string in quotes at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The header of a file.
///
/// # Errors
/// A file that cannot be read; as [`header`].
pub fn read_header(path: &Path) -> Result<NpyHeader, DataError> {
    let (bytes, length) = read_up_to(path, 12 + LONGEST_HEADER as u64)?;
    header(&bytes, length).map_err(|fault| DataError::npy(path, fault))
}

/// The values of a file of this shape.
///
/// # Errors
/// A file that cannot be read, or of another shape; as [`header`]; a value that is not finite.
pub fn read(path: &Path, shape: &[usize]) -> Result<Vec<f32>, DataError> {
    // No more is read of a file that claims, or is, something else.
    let most = 12 + LONGEST_HEADER + 4 * shape.iter().product::<usize>();
    let (bytes, length) = read_up_to(path, most as u64)?;
    let fault = |fault| DataError::npy(path, fault);
    let header = header(&bytes, length).map_err(fault)?;
    if header.shape != shape {
        return Err(fault(NpyFault::Shape {
            found: header.shape,
            wanted: shape.to_vec(),
        }));
    }
    let values = floats(&bytes[header.offset..], header.dtype == NpyType::F16);
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(fault(NpyFault::NotFinite(place))),
        None => Ok(values),
    }
}

/// Little-endian values as f32.
pub(super) fn floats(bytes: &[u8], halves: bool) -> Vec<f32> {
    match halves {
        true => {
            let halves = bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]));
            halves.collect::<Vec<f16>>().to_f32_vec()
        }
        false => {
            let values = bytes.chunks_exact(4);
            values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
    }
}

/// The first `most` bytes of a file, and the length of all of it.
fn read_up_to(path: &Path, most: u64) -> Result<(Vec<u8>, u64), DataError> {
    let io = |source| DataError::io(path, source);
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut bytes = Vec::with_capacity(length.min(most) as usize);
    file.take(most).read_to_end(&mut bytes).map_err(io)?;
    Ok((bytes, length))
}

/// The bytes of a file that holds `values`, as f32, in this shape.
pub fn encode(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let sides: Vec<String> = shape.iter().map(|side| format!("{side},")).collect();
    let mut text = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}",
        sides.join(" ")
    );
    // NumPy aligns the values to 64 bytes, the header ends with a line feed.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.push_str(&" ".repeat(length - text.len() - 1));
    text.push('\n');
    let mut bytes = [&MAGIC[..], &[1, 0], &(length as u16).to_le_bytes(), text.as_bytes()].concat();
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_text(version: u8, text: &str) -> Vec<u8> {
        let length = text.len() as u32;
        let length = &length.to_le_bytes()[..if version == 1 { 2 } else { 4 }];
        [&MAGIC[..], &[version, 0], length, text.as_bytes()].concat()
    }

    fn fault(text: &str, values: u64) -> NpyFault {
        let bytes = with_text(1, text);
        header(&bytes, bytes.len() as u64 + values).unwrap_err()
    }

    #[test]
    fn should_read_back_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, encode(&[2, 1, 3], &[1.0, -2.5, 0.0, 4.0, 5.0, 1e-30])).unwrap();
        assert_eq!(read(&path, &[2, 1, 3]).unwrap(), [1.0, -2.5, 0.0, 4.0, 5.0, 1e-30]);
        let message = read(&path, &[6]).unwrap_err().to_string();
        assert!(message.contains("a.npy") && message.contains("[2, 1, 3]"), "{message}");
    }

    #[test]
    fn should_read_every_version_and_half_precision() {
        for version in 1..=3 {
            let mut bytes = with_text(version, "{'shape': (3,), \"fortran_order\": False, 'descr': '<f2'}\n");
            let offset = bytes.len();
            [1.5f32, -2.0, 0.25]
                .iter()
                .for_each(|value| bytes.extend(f16::from_f32(*value).to_le_bytes()));
            let header = header(&bytes, bytes.len() as u64).unwrap();
            assert_eq!(
                (header.dtype, header.shape, header.offset),
                (NpyType::F16, vec![3], offset)
            );
            assert_eq!(floats(&bytes[offset..], true), [1.5, -2.0, 0.25]);
        }
    }

    #[test]
    fn should_name_each_fault() {
        let of = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        assert_eq!(fault(&of("'<f8'", "False", "(1,)"), 8), NpyFault::Type("<f8".into()));
        assert_eq!(fault(&of("'<f4'", "True", "(1,)"), 4), NpyFault::FortranOrder);
        let plain = of("'<f4'", "False", "(2, 2)");
        assert!(matches!(fault(&plain, 15), NpyFault::Truncated { .. }));
        assert_eq!(fault(&plain, 17), NpyFault::Longer(1));
        let huge = of("'<f4'", "False", "(18446744073709551615, 2)");
        assert!(matches!(fault(&huge, 0), NpyFault::Header(_)));
        assert_eq!(header(b"\x93NUMPY\x04\x00\x00\x00", 10), Err(NpyFault::Version(4, 0)));
        assert_eq!(header(b"PK\x03\x04 and more", 20), Err(NpyFault::Magic));
        assert!(matches!(
            header(b"\x93NUMPY\x01\x00\x50", 9),
            Err(NpyFault::Truncated { .. })
        ));
        let long = [&b"\x93NUMPY\x02\x00"[..], &u32::MAX.to_le_bytes()].concat();
        assert!(matches!(header(&long, 1 << 40), Err(NpyFault::Header(_))));
    }

    proptest! {
        #[test]
        fn should_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), length: u64) {
            let _ = header(&bytes, length);
            let _ = header(&[&b"\x93NUMPY\x01\x00"[..], &bytes].concat(), length);
        }

        #[test]
        fn should_survive_any_dictionary(text in r#"\{('(descr|shape|fortran_order)': ?('<f[248]'|\((\d{1,20},? ?){0,4}\)|True|False|\(|'),? ?){0,4}\}?"#, length: u64) {
            let _ = header(&with_text(1, &text), length);
            let _ = header(&with_text(3, &text), length);
        }

        #[test]
        fn should_be_found_when_any_byte_of_the_header_changes_what_is_read(place in 0usize..64, byte: u8) {
            let mut bytes = encode(&[2, 3], &[0.0; 6]);
            let before = header(&bytes, bytes.len() as u64).unwrap();
            bytes[place] = byte;
            if let Ok(after) = header(&bytes, bytes.len() as u64) {
                // What still passes has as many values of the same size.
                prop_assert_eq!(after.shape.iter().product::<usize>(), 6);
                prop_assert_eq!(after.dtype, before.dtype);
            }
        }
    }
}
