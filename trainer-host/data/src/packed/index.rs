//! `index.json`: what a packed set holds, and its geometry.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CHECKED;
use crate::codec::{Codec, Standardisation};
use crate::dataset::hex;
use crate::error::DataError;

/// The file's name.
pub const INDEX: &str = "index.json";

const FORMAT: &str = "sextant-packed";
const VERSION: u32 = 1;

/// Type of the values of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartType {
    /// Pixels.
    U8,
    /// Half precision.
    F16,
    /// Single precision.
    F32,
}

impl PartType {
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Samples, or a field beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Shape of one sample: `[H, W, 3]` of pixels, `[2C, H, W]` of moments.
    pub shape: Vec<usize>,
    /// Type of its values.
    pub dtype: PartType,
}

/// A shard and its checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Name within the folder.
    pub file: String,
    /// Number of records or values.
    pub count: u64,
    /// SHA-256 (hex) of the whole file.
    pub sha256: String,
}

/// Meaning of the samples' values, as of [`Codec`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackedCodec {
    /// Pixels, standardised.
    Pixels(Standardisation),
    /// Moments, with the factor on latents.
    Latents {
        /// The factor.
        scale: f64,
    },
}

/// The contents of `index.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackedIndex {
    /// "sextant-packed".
    pub format: String,
    /// Version of the layout.
    pub version: u32,
    /// Identity of the set (hex), which each of its files has too.
    pub set: String,
    /// Number of samples.
    pub count: u64,
    /// Number of samples in each shard but the last.
    pub shard: u64,
    /// Form of the samples.
    pub codec: PackedCodec,
    /// Their shape and type.
    pub sample: PartInfo,
    /// Name, shape and type of each field.
    pub fields: Vec<(String, PartInfo)>,
    /// True where mirrored forms of moments and fields are kept. Those of pixels are made when they are read.
    pub flipped: bool,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Names of the finer classes, where there are any.
    pub subclass_names: Vec<String>,
    /// The shards, in order.
    pub shards: Vec<FileInfo>,
    /// The columns by name.
    pub columns: Vec<FileInfo>,
    /// SHA-256 (hex) of all of the above, as JSON without spaces and with this key empty.
    pub sha256: String,
}

/// A part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Place of its checksum in the record; its values begin [`Part::CHECKSUM`] bytes later.
    pub offset: usize,
    /// Bytes of its values.
    pub bytes: usize,
    /// Their type.
    pub dtype: PartType,
}

impl Part {
    /// Bytes before the values: CRC-32C, and four of nothing.
    pub const CHECKSUM: usize = 8;

    /// The checksum of values.
    pub fn checksum(values: &[u8]) -> [u8; Self::CHECKSUM] {
        u64::from(crc32c::crc32c(values)).to_le_bytes()
    }
}

/// Values that one sample or field can have: 4 GiB of them fill no record.
const MOST_VALUES: usize = 1 << 28;

impl PackedIndex {
    /// The format that is written.
    pub fn format() -> (String, u32) {
        (FORMAT.into(), VERSION)
    }

    /// Reads `index.json`, and believes nothing that would not fit.
    ///
    /// # Errors
    /// In words, without the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Start {
            format: String,
            version: u32,
        }
        let start: Start = serde_json::from_slice(bytes).map_err(|e| format!("no index of packed data: {e}"))?;
        if start.format != FORMAT {
            return Err(format!("no index of packed data: its format is {:?}", start.format));
        }
        if start.version != VERSION {
            return Err(format!(
                "version {} of the packed layout; {VERSION} can be read",
                start.version
            ));
        }
        let index: Self = serde_json::from_slice(bytes).map_err(|e| format!("damaged: {e}"))?;
        if CHECKED && index.digest() != index.sha256 {
            return Err("damaged: its SHA-256 differs".into());
        }
        index.validate()?;
        Ok(index)
    }

    /// The index with its own checksum.
    pub fn sealed(self) -> Self {
        let sha256 = self.digest();
        Self { sha256, ..self }
    }

    fn digest(&self) -> String {
        let unsealed = Self {
            sha256: String::new(),
            ..self.clone()
        };
        // No map of this type has keys that are not text, so nothing can fail.
        hex(&Sha256::digest(serde_json::to_vec(&unsealed).unwrap_or_default()))
    }

    fn validate(&self) -> Result<(), String> {
        let damaged = |what: &str| Err(format!("damaged: {what}"));
        if self.set().is_none() {
            return damaged("its set is no identity");
        }
        let all = self.fields.iter().map(|(_, info)| info).chain([&self.sample]);
        for PartInfo { shape, .. } in all {
            let size = shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side));
            if size.is_none_or(|size| size == 0 || size > MOST_VALUES) {
                return damaged("a shape without a size");
            }
        }
        let fits = match (self.codec, &self.sample.shape[..], self.sample.dtype) {
            (PackedCodec::Pixels(_), [height, width, 3], PartType::U8) => height == width,
            (PackedCodec::Latents { .. }, [channels, height, width], PartType::F16 | PartType::F32) => {
                height == width && channels % 2 == 0
            }
            _ => false,
        };
        if !fits
            || (self.flipped && self.sample.dtype == PartType::U8)
            || self.fields.iter().any(|(_, info)| info.dtype == PartType::U8)
        {
            return damaged("its samples are neither RGB pixels nor moments");
        }
        let usable = match self.codec {
            PackedCodec::Pixels(Standardisation { mean, std }) => mean.is_finite() && std.is_finite() && std > 0.0,
            PackedCodec::Latents { scale } => scale.is_finite() && scale > 0.0,
        };
        if !usable {
            return damaged("its scale is no number above 0");
        }
        if self.count == 0 || self.shard == 0 || self.class_names.is_empty() {
            return damaged("it has no samples or no classes");
        }
        let mut left = self.count;
        for FileInfo { file, count, .. } in &self.shards {
            if *count == 0 || *count != left.min(self.shard) {
                return damaged("its shards do not add up");
            }
            left -= count;
            if !is_plain(file) {
                return damaged("a shard has no file's name");
            }
        }
        if left != 0 {
            return damaged("its shards do not add up");
        }
        match self.columns.iter().all(|column| is_plain(&column.file)) {
            true => Ok(()),
            false => damaged("a column has no file's name"),
        }
    }

    /// The set's identity.
    pub fn set(&self) -> Option<[u8; 16]> {
        let digits = self.set.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut set = [0; 16];
        for (byte, digits) in set.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        (hex(&set) == self.set).then_some(set)
    }

    /// The parts of a record: the sample, its mirrored form, then each field with its own; and the bytes of all.
    pub fn parts(&self) -> (Vec<Part>, usize) {
        let infos = std::iter::once(&self.sample).chain(self.fields.iter().map(|(_, info)| info));
        let forms = if self.flipped { 2 } else { 1 };
        let mut offset = 0;
        let mut parts = Vec::new();
        for info in infos {
            for _ in 0..forms {
                let bytes = info.shape.iter().product::<usize>() * info.dtype.bytes();
                let dtype = info.dtype;
                parts.push(Part { offset, bytes, dtype });
                offset += (Part::CHECKSUM + bytes).next_multiple_of(8);
            }
        }
        (parts, offset)
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        match self.codec {
            PackedCodec::Pixels(standardisation) => Codec::Pixels(standardisation),
            PackedCodec::Latents { scale } => Codec::Latents { scale },
        }
    }

    /// Reads the index of a folder, with its bytes.
    pub fn read(folder: &Path) -> Result<(Self, Vec<u8>), DataError> {
        let path = folder.join(INDEX);
        let bytes = std::fs::read(&path).map_err(|source| DataError::io(&path, source))?;
        let index = Self::parse(&bytes).map_err(|reason| DataError::file(&path, reason))?;
        Ok((index, bytes))
    }
}

/// True for the name of a file, without a folder.
fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!(parts.next(), Some(std::path::Component::Normal(_))) && parts.next().is_none()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn index() -> PackedIndex {
        let file = |file: &str, count| FileInfo {
            file: file.into(),
            count,
            sha256: String::new(),
        };
        PackedIndex {
            format: FORMAT.into(),
            version: VERSION,
            set: "00112233445566778899aabbccddeeff".into(),
            count: 5,
            shard: 3,
            codec: PackedCodec::Latents { scale: 0.5 },
            sample: PartInfo {
                shape: vec![4, 3, 3],
                dtype: PartType::F16,
            },
            fields: vec![(
                "features".into(),
                PartInfo {
                    shape: vec![3],
                    dtype: PartType::F32,
                },
            )],
            flipped: true,
            class_names: vec!["a".into()],
            subclass_names: Vec::new(),
            shards: vec![file("shard-00000.bin", 3), file("shard-00001.bin", 2)],
            columns: vec![file("labels.bin", 5)],
            sha256: String::new(),
        }
        .sealed()
    }

    #[test]
    fn should_lay_out_parts_without_overlap() {
        let (parts, stride) = index().parts();
        let places: Vec<_> = parts.iter().map(|part| (part.offset, part.bytes)).collect();
        assert_eq!(places, [(0, 72), (80, 72), (160, 12), (184, 12)]);
        assert_eq!(stride, 208);
    }

    #[test]
    fn should_believe_nothing_that_does_not_fit() {
        let text = serde_json::to_string(&index()).unwrap();
        assert_eq!(PackedIndex::parse(text.as_bytes()).unwrap(), index());
        for (from, to, fault) in [
            ("\"version\":1", "\"version\":2", "version 2"),
            ("sextant-packed", "other", "no index of packed data"),
            ("\"count\":5,\"shard\"", "\"count\":6,\"shard\"", "do not add up"),
            ("\"shard\":3", "\"shard\":0", "no samples"),
            ("[4,3,3]", "[4,3,99999999999]", "a shape"),
            ("[4,3,3]", "[3,3,3]", "neither"),
            ("[4,3,3]", "[4,3]", "neither"),
            ("\"scale\":0.5", "\"scale\":-1.0", "its scale"),
            ("shard-00001.bin", "../secret", "no file's name"),
            ("labels.bin", "/etc/passwd", "no file's name"),
            ("0011", "001", "its set"),
        ] {
            assert!(text.contains(from), "{from}");
            let changed = text.replace(from, to);
            assert!(PackedIndex::parse(changed.as_bytes()).is_err());
            // Whoever seals it again is still not believed.
            let sealed = serde_json::from_str::<PackedIndex>(&changed).unwrap().sealed();
            let message = PackedIndex::parse(&serde_json::to_vec(&sealed).unwrap()).unwrap_err();
            assert!(message.contains(fault), "{from} -> {to}: {message}");
        }
    }

    proptest! {
        #[test]
        fn should_survive_any_change(place in 0usize..600, bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut text = serde_json::to_vec(&index()).unwrap();
            let place = place.min(text.len());
            let end = (place + bytes.len()).min(text.len());
            text.splice(place..end, bytes);
            let _ = PackedIndex::parse(&text);
            if let Ok(index) = serde_json::from_slice::<PackedIndex>(&text) {
                let _ = index.validate();
            }
        }
    }
}
