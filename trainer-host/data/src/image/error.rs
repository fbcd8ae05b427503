//! Errors of an image file.

use std::io;

use super::decode::MAX_BYTES;

/// Fault of an image that cannot be used. The message does not name the file: whoever knows it does.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    /// The file has no bytes.
    #[error("an empty file")]
    Empty,
    /// An image of another kind, known by its first bytes.
    #[error("a file of the kind {found}; JPEG, PNG and WebP can be read")]
    Kind {
        /// Media type, such as `image/gif`.
        found: &'static str,
    },
    /// No image at all.
    #[error("not an image: it begins as no JPEG, PNG or WebP does")]
    NotAnImage,
    /// The file ends before its image does.
    #[error("truncated: the file ends before the image does")]
    Truncated,
    /// An image that would fill the memory.
    #[error(
        "{width}x{height} pixels take {} MiB; the limit, which keeps a small file from filling the memory, is {} MiB",
        bytes >> 20,
        MAX_BYTES >> 20
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes of its pixels as the file holds them.
        bytes: u64,
    },
    /// Bytes that are no image of their kind, or of a sort that cannot be read.
    #[error("damaged, or of an unusual sort: {0}")]
    Damaged(String),
}
