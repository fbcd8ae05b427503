//! The first bytes of each file of the packed layout.

use std::fmt;

use super::CHECKED;

/// Bytes of a header.
pub const HEADER: usize = 64;

const MAGIC: &[u8; 8] = b"SEXTPACK";
const VERSION: u32 = 1;

/// Content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records.
    Shard = 1,
    /// One value a sample, or a list.
    Column = 2,
}

/// A header: little-endian, its own CRC-32C last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its content.
    pub kind: Kind,
    /// The set that it belongs to.
    pub set: [u8; 16],
    /// The first sample, of a shard.
    pub first: u64,
    /// Number of records or values.
    pub count: u64,
    /// Bytes of each.
    pub stride: u64,
    /// CRC-32C of all values, of a column.
    pub crc: u32,
}

/// The fault of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    Short,
    Magic,
    Version(u32),
    Damaged,
    OtherSet,
    Other,
    Length,
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "truncated: it ends within its header",
            Self::Magic => "no file of the packed layout",
            Self::Version(version) => {
                return write!(f, "version {version} of the packed layout; {VERSION} can be read");
            }
            Self::Damaged => "damaged: its header is not as it was written",
            Self::OtherSet => "it belongs to other data than index.json",
            Self::Other => "it is another file than index.json says",
            Self::Length => "truncated, or longer than it was written",
        })
    }
}

impl Header {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(MAGIC);
        put(&VERSION.to_le_bytes());
        put(&(self.kind as u32).to_le_bytes());
        put(&self.set);
        put(&self.first.to_le_bytes());
        put(&self.count.to_le_bytes());
        put(&self.stride.to_le_bytes());
        put(&self.crc.to_le_bytes());
        let own = crc32c::crc32c(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// Reads the beginning of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(HeaderFault::Short)?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if &bytes[..8] != MAGIC {
            return Err(HeaderFault::Magic);
        }
        if u32_at(8) != VERSION {
            return Err(HeaderFault::Version(u32_at(8)));
        }
        if CHECKED && u32_at(HEADER - 4) != crc32c::crc32c(&bytes[..HEADER - 4]) {
            return Err(HeaderFault::Damaged);
        }
        let mut set = [0; 16];
        set.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            kind: match u32_at(12) {
                1 => Kind::Shard,
                2 => Kind::Column,
                _ => return Err(HeaderFault::Other),
            },
            set,
            first: u64_at(32),
            count: u64_at(40),
            stride: u64_at(48),
            crc: u32_at(56),
        })
    }

    /// Bytes of the whole file, if there can be as many.
    pub fn file_bytes(&self) -> Option<u64> {
        self.count.checked_mul(self.stride)?.checked_add(HEADER as u64)
    }

    /// Compares the file's header with what it should be, but for the checksum of its values.
    pub fn expect(&self, wanted: &Self, length: u64) -> Result<(), HeaderFault> {
        if self.set != wanted.set {
            return Err(HeaderFault::OtherSet);
        }
        if (Self {
            crc: wanted.crc,
            ..*self
        }) != *wanted
        {
            return Err(HeaderFault::Other);
        }
        match self.file_bytes() == Some(length) {
            true => Ok(()),
            false => Err(HeaderFault::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            kind: Kind::Shard,
            set: [7; 16],
            first: 1 << 40,
            count: 3,
            stride: 4096,
            crc: 9,
        }
    }

    #[test]
    fn should_come_back_from_its_bytes() {
        assert_eq!(Header::parse(&header().to_bytes()), Ok(header()));
        assert_eq!(Header::parse(&header().to_bytes()[..63]), Err(HeaderFault::Short));
    }

    #[test]
    fn should_tell_files_apart() {
        let wanted = header();
        assert_eq!(header().expect(&wanted, 64 + 3 * 4096), Ok(()));
        assert_eq!(header().expect(&wanted, 64 + 3 * 4096 - 1), Err(HeaderFault::Length));
        let other = Header {
            set: [8; 16],
            ..header()
        };
        assert_eq!(other.expect(&wanted, 0), Err(HeaderFault::OtherSet));
        let other = Header { first: 0, ..header() };
        assert_eq!(other.expect(&wanted, 0), Err(HeaderFault::Other));
        let huge = Header {
            count: u64::MAX,
            ..header()
        };
        assert_eq!(huge.file_bytes(), None);
    }

    proptest! {
        #[test]
        fn should_find_any_flipped_bit(bit in 0usize..HEADER * 8) {
            let mut bytes = header().to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Header::parse(&bytes).is_err());
        }

        #[test]
        fn should_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Header::parse(&bytes);
        }
    }
}
