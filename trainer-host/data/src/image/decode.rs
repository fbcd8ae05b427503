//! The pixels of an image file as 8-bit RGB.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, RgbImage};

use super::error::ImageError;

/// Bytes that a decoded image may take: 179 million RGB pixels, at which Pillow sees a decompression bomb too.
pub const MAX_BYTES: u64 = 512 << 20;

/// Reads an image file, as [`decode`].
///
/// # Errors
/// As [`decode`], and a file that cannot be read.
pub fn read(path: &Path) -> Result<RgbImage, ImageError> {
    decode(&std::fs::read(path)?)
}

/// Decodes a JPEG, PNG or WebP file to 8-bit RGB.
///
/// As Pillow's `convert("RGB")`, which the published preprocessing uses: grey becomes three equal channels, CMYK and YCCK are
/// multiplied with their black, transparency is dropped and what lies beneath it is seen, of 16 bits the high ones are kept,
/// colour profiles are ignored, of an animation the first frame is taken, and a file that is truncated is refused.
///
/// JPEG decoders round differently. Of six photographs, 640x427 to 1411x1411, in the usual samplings of colour, values differed from
/// Pillow 13's by at most 4 levels, 0.2 on average where colours have half the resolution and 0.02 elsewhere.
///
/// Unlike there, the image is turned as its EXIF data says, since a photograph that lies on its side is not what anybody means; and
/// grey of 16 bits is scaled like colours, where Pillow cuts it off at 255.
///
/// # Errors
/// Anything else, each with its reason; an image that decodes to more than [`MAX_BYTES`].
pub fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let format = format(bytes)?;
    if ends_early(bytes, format) {
        return Err(ImageError::Truncated);
    }
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let size = decoder.total_bytes();
    if size > MAX_BYTES {
        return Err(ImageError::TooLarge {
            width,
            height,
            bytes: size,
        });
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    decoder.set_limits(limits).map_err(reason)?;
    // A turn that cannot be read is none.
    let orientation = decoder.orientation();
    let mut image = DynamicImage::ImageRgb8(rgb(DynamicImage::from_decoder(decoder).map_err(reason)?));
    if let Ok(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(image.into_rgb8())
}

/// The PNG file of an image, compressed little: a training reads it many times.
///
/// # Errors
/// The encoder's reason; memory that holds a file has none.
pub fn png(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    image.write_with_encoder(encoder).map_err(reason)?;
    Ok(bytes)
}

fn format(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => Ok(format),
        Ok(other) => Err(ImageError::Kind {
            found: other.to_mime_type(),
        }),
        Err(_) => Err(ImageError::NotAnImage),
    }
}

/// True if a file says that it goes on where it ends. The decoders of PNG see that for themselves.
fn ends_early(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => !has_end_of_image(bytes),
        ImageFormat::WebP => bytes
            .get(4..8)
            .and_then(|size| size.try_into().ok())
            .is_none_or(|size| bytes.len() < u32::from_le_bytes(size) as usize + 8),
        _ => false,
    }
}

/// Walks over the segments of a JPEG file to its end marker. The decoder makes up what is missing where there is none.
fn has_end_of_image(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(place) = rest.windows(2).position(|pair| pair[0] == 0xff && is_marker(pair[1])) {
        let marker = rest[place + 1];
        rest = &rest[place + 2..];
        match marker {
            0xd9 => return true,
            // The start, and one without a length.
            0xd8 | 0x01 => {}
            // A segment; entropy-coded data may follow, which holds no marker.
            _ => {
                let length = rest
                    .get(..2)
                    .map_or(0, |length| usize::from(length[0]) << 8 | usize::from(length[1]));
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
    false
}

/// False for what follows 0xff within entropy-coded data: a stuffed zero, a restart, or padding.
fn is_marker(byte: u8) -> bool {
    !matches!(byte, 0x00 | 0xd0..=0xd7 | 0xff)
}

fn rgb(image: DynamicImage) -> RgbImage {
    match image {
        DynamicImage::ImageLuma16(image) => high_bytes(&image),
        DynamicImage::ImageLumaA16(image) => high_bytes(&image),
        DynamicImage::ImageRgb16(image) => high_bytes(&image),
        DynamicImage::ImageRgba16(image) => high_bytes(&image),
        image => image.into_rgb8(),
    }
}

fn high_bytes<P: Pixel<Subpixel = u16>>(image: &ImageBuffer<P, Vec<u16>>) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let colour = image.get_pixel(x, y).to_rgb();
        image::Rgb(colour.0.map(|value| (value >> 8) as u8))
    })
}

fn reason(error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => ImageError::Truncated,
        image::ImageError::IoError(error) => ImageError::File(error),
        error => ImageError::Damaged(error.to_string()),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
