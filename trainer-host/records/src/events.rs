//! TensorBoard event files: what the journal says, as TensorBoard reads it.
//!
//! A file is a sequence of TFRecords, each a protocol buffer of type `Event` (tensorflow/core/util/event.proto). Of that
//! type three kinds are written: the version, with which a file begins; a restart, which tells TensorBoard to forget what
//! earlier files say of this step and later ones; and summaries, of scalars or of a picture.
//!
//! A restart makes TensorBoard forget the steps of *all* curves of a folder, so that every phase, which counts its own steps,
//! has a folder of its own: the phase's. It reads the files of a folder in the order of their names, hence the number in
//! them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{FileError, make_folder};

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".sextant";

/// An event file, open for appending.
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// Begins the next event file of `folder`, in which everything from step `from` on will be said again.
    pub fn begin(folder: &Path, from: u64) -> Result<Self, FileError> {
        make_folder(folder)?;
        let path = folder.join(format!("{PREFIX}{:010}{SUFFIX}", next_number(folder)));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(|e| FileError::new(&path, e))?;
        let mut events = Self { path, file };
        let begun = events
            .write(&version_event(now()))
            .and_then(|()| events.write(&restart_event(now(), from)));
        begun?;
        Ok(events)
    }

    /// Appends the values of one step, as float32: that is what TensorBoard draws.
    pub fn append(&mut self, step: u64, values: &BTreeMap<String, f64>) -> Result<(), FileError> {
        self.write(&scalars_event(now(), step, values))
    }

    /// Appends a PNG.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn picture(&mut self, step: u64, name: &str, png: &[u8]) -> Result<(), FileError> {
        self.write(&picture_event(now(), step, name, png))
    }

    fn write(&mut self, event: &Message) -> Result<(), FileError> {
        self.file
            .write_all(&record(&event.0))
            .map_err(|e| FileError::new(&self.path, e))
    }
}

fn next_number(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| {
        let name = entry.file_name();
        let number = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        number.parse::<u64>().ok()
    });
    numbers.max().unwrap_or(0) + 1
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A TFRecord: length, its checksum, the data, its checksum, all little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

/// CRC-32C, turned and shifted, since checksums of data that hold checksums are weak (tensorflow/core/lib/hash/crc32c.h).
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

// Field numbers of Event, SessionLog, Summary and Summary.Value.
const EVENT_WALL_TIME: u64 = 1;
const EVENT_STEP: u64 = 2;
const EVENT_FILE_VERSION: u64 = 3;
const EVENT_SUMMARY: u64 = 5;
const EVENT_SESSION_LOG: u64 = 7;
const SESSION_LOG_STATUS: u64 = 1;
const SESSION_LOG_START: u64 = 1;
const SUMMARY_VALUE: u64 = 1;
const VALUE_TAG: u64 = 1;
const VALUE_SIMPLE_VALUE: u64 = 2;
const VALUE_IMAGE: u64 = 4;
const IMAGE_HEIGHT: u64 = 1;
const IMAGE_WIDTH: u64 = 2;
const IMAGE_COLORSPACE: u64 = 3;
const IMAGE_ENCODED: u64 = 4;

fn version_event(time: f64) -> Message {
    Message::default()
        .double(EVENT_WALL_TIME, time)
        .bytes(EVENT_FILE_VERSION, b"brain.Event:2")
}

fn restart_event(time: f64, step: u64) -> Message {
    let log = Message::default().integer(SESSION_LOG_STATUS, SESSION_LOG_START);
    Message::default()
        .double(EVENT_WALL_TIME, time)
        .integer(EVENT_STEP, step)
        .bytes(EVENT_SESSION_LOG, &log.0)
}

fn scalars_event(time: f64, step: u64, values: &BTreeMap<String, f64>) -> Message {
    let summary = values.iter().fold(Message::default(), |summary, (name, value)| {
        let value = Message::default()
            .bytes(VALUE_TAG, name.as_bytes())
            .float(VALUE_SIMPLE_VALUE, *value as f32);
        summary.bytes(SUMMARY_VALUE, &value.0)
    });
    Message::default()
        .double(EVENT_WALL_TIME, time)
        .integer(EVENT_STEP, step)
        .bytes(EVENT_SUMMARY, &summary.0)
}

fn picture_event(time: f64, step: u64, name: &str, png: &[u8]) -> Message {
    // A PNG's size stands in its first chunk.
    let size = |at: usize| {
        png.get(at..at + 4).map_or(0, |size| {
            u64::from(u32::from_be_bytes([size[0], size[1], size[2], size[3]]))
        })
    };
    let rgb = 3;
    let image = Message::default()
        .integer(IMAGE_HEIGHT, size(20))
        .integer(IMAGE_WIDTH, size(16))
        .integer(IMAGE_COLORSPACE, rgb)
        .bytes(IMAGE_ENCODED, png);
    let value = Message::default()
        .bytes(VALUE_TAG, name.as_bytes())
        .bytes(VALUE_IMAGE, &image.0);
    let summary = Message::default().bytes(SUMMARY_VALUE, &value.0);
    Message::default()
        .double(EVENT_WALL_TIME, time)
        .integer(EVENT_STEP, step)
        .bytes(EVENT_SUMMARY, &summary.0)
}

/// A protocol buffer, field after field: a key (number and wire type), then the value.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn integer(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn double(mut self, field: u64, value: f64) -> Self {
        self.varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
pub(super) mod decode {
    //! A reader that shares nothing with the writer, checksums included.

    /// Content of a file: its version, the steps of restarts, and `(step, name, value)`.
    #[derive(Debug, Default, PartialEq)]
    pub struct Decoded {
        pub version: String,
        pub restarts: Vec<u64>,
        pub scalars: Vec<(u64, String, f32)>,
        pub pictures: Vec<Picture>,
    }

    /// A picture with its place in the log.
    #[derive(Debug, PartialEq)]
    pub struct Picture {
        pub step: u64,
        pub name: String,
        pub width: u64,
        pub height: u64,
        pub png: Vec<u8>,
    }

    /// CRC-32C bit by bit, polynomial 0x1EDC6F41 reflected.
    pub fn checksum(data: &[u8]) -> u32 {
        !data.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
        })
    }

    pub fn unmasked(masked: u32) -> u32 {
        masked.wrapping_sub(0xa282_ead8).rotate_left(15)
    }

    fn varint(data: &mut &[u8]) -> u64 {
        let length = 1 + data.iter().position(|byte| *byte < 0x80).unwrap();
        let bytes = take(data, length).iter().enumerate();
        bytes.fold(0, |value, (at, byte)| value | u64::from(byte & 0x7f) << (7 * at))
    }

    fn take<'a>(data: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = data.split_at(count);
        *data = rest;
        taken
    }

    /// Field number and wire type, as one key, with the value's bytes.
    fn fields(mut data: &[u8]) -> Vec<((u64, u64), &[u8])> {
        let mut fields = Vec::new();
        while !data.is_empty() {
            let key = varint(&mut data);
            let length = match key & 7 {
                0 => 1 + data.iter().position(|byte| *byte < 0x80).unwrap(),
                1 => 8,
                2 => varint(&mut data) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            fields.push(((key >> 3, key & 7), take(&mut data, length)));
        }
        fields
    }

    pub fn file(path: &std::path::Path) -> Decoded {
        let bytes = std::fs::read(path).unwrap();
        let mut data = bytes.as_slice();
        let mut decoded = Decoded::default();
        let checked = |data: &mut &[u8], bytes: &[u8]| {
            let check = u32::from_le_bytes(take(data, 4).try_into().unwrap());
            assert_eq!(unmasked(check), checksum(bytes));
        };
        while !data.is_empty() {
            let length = take(&mut data, 8);
            checked(&mut data, length);
            let event = take(&mut data, u64::from_le_bytes(length.try_into().unwrap()) as usize);
            checked(&mut data, event);
            let mut step = 0;
            for (key, mut value) in fields(event) {
                match key {
                    (1, 1) => {}
                    (2, 0) => step = varint(&mut value),
                    (3, 2) => decoded.version = String::from_utf8(value.to_vec()).unwrap(),
                    (5, 2) => {
                        for (key, value) in fields(value) {
                            assert_eq!(key, (1, 2));
                            let (tag, value) = match fields(value)[..] {
                                [((1, 2), tag), value] => (String::from_utf8(tag.to_vec()).unwrap(), value),
                                _ => panic!("a value has a tag"),
                            };
                            match value {
                                ((2, 5), number) => {
                                    let number = f32::from_le_bytes(number.try_into().unwrap());
                                    decoded.scalars.push((step, tag, number));
                                }
                                ((4, 2), image) => decoded.pictures.push(picture(step, tag, image)),
                                _ => panic!("a value has a float or an image"),
                            }
                        }
                    }
                    (7, 2) if value == [8, 1] => decoded.restarts.push(step),
                    other => panic!("field {other:?}"),
                }
            }
        }
        decoded
    }

    fn picture(step: u64, name: String, image: &[u8]) -> Picture {
        let [((1, 0), mut height), ((2, 0), mut width), ((3, 0), [3]), ((4, 2), png)] = fields(image)[..] else {
            panic!("an image has a height, a width, three colours and its bytes")
        };
        Picture {
            step,
            name,
            width: varint(&mut width),
            height: varint(&mut height),
            png: png.to_vec(),
        }
    }

    /// Every event file of a folder, in the order in which TensorBoard reads them.
    pub fn folder(folder: &std::path::Path) -> Vec<Decoded> {
        let entries = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path());
        let mut paths: Vec<_> = entries
            .filter(|path| path.to_string_lossy().contains("tfevents"))
            .collect();
        paths.sort();
        paths.iter().map(|path| file(path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of CRC-32C.
        for (data, value) in [
            (&[0u8; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (b"123456789", 0xe306_9283),
        ] {
            assert_eq!(decode::checksum(data), value);
            assert_eq!(decode::unmasked(masked_checksum(data)), value);
        }
    }

    #[test]
    fn a_file_reads_back_as_it_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::begin(folder.path(), 1).unwrap();
        let values = [
            ("denoising".to_owned(), 0.5),
            ("quality.embedded.kernel@2".to_owned(), -3.25),
        ];
        events.append(300, &values.clone().into()).unwrap();
        events.append(1 << 40, &[("x".to_owned(), f64::NAN)].into()).unwrap();
        let decoded = decode::folder(folder.path()).remove(0);
        assert_eq!(decoded.version, "brain.Event:2");
        assert_eq!(decoded.restarts, [1]);
        let said: Vec<_> = values.map(|(name, value)| (300, name, value as f32)).into();
        assert_eq!(decoded.scalars[..2], said);
        assert!(decoded.scalars[2].0 == 1 << 40 && decoded.scalars[2].2.is_nan());
    }

    #[test]
    fn a_picture_has_the_size_that_its_png_states() {
        let folder = tempfile::tempdir().unwrap();
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend(640u32.to_be_bytes());
        png.extend(480u32.to_be_bytes());
        let mut events = Events::begin(folder.path(), 1).unwrap();
        events.picture(7, "samples.ema", &png).unwrap();
        let picture = decode::Picture {
            step: 7,
            name: "samples.ema".into(),
            width: 640,
            height: 480,
            png,
        };
        assert_eq!(decode::folder(folder.path()).remove(0).pictures, [picture]);
    }

    #[test]
    fn every_opening_has_a_file_that_sorts_after_the_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        for from in [1, 11, 6] {
            Events::begin(folder.path(), from).unwrap();
        }
        let restarts: Vec<_> = decode::folder(folder.path())
            .into_iter()
            .map(|d| d.restarts[0])
            .collect();
        assert_eq!(restarts, [1, 11, 6]);
    }
}
