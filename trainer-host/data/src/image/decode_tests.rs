use super::*;

/// A file, and its pixels as Pillow reads them (`tests/fixtures/images/make.py`).
macro_rules! fixture {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("../../../../tests/fixtures/images/", $name)).as_slice(),
            include_bytes!(concat!("../../../../tests/fixtures/images/", $name, ".rgb.png")).as_slice(),
        )
    };
}

/// The largest difference of a channel.
fn difference(name: &str, bytes: &[u8], expected: &[u8]) -> u8 {
    let image = decode(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let expected = image::load_from_memory(expected).unwrap().into_rgb8();
    assert_eq!(image.dimensions(), expected.dimensions(), "{name}");
    let pairs = image.as_raw().iter().zip(expected.as_raw());
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn what_loses_nothing_is_read_as_pillow_reads_it() {
    for (name, bytes, expected) in [
        fixture!("alpha.png"),
        fixture!("palette.png"),
        fixture!("bilevel.png"),
        fixture!("grey16.png"),
        fixture!("colour16.png"),
        fixture!("narrow.png"),
        fixture!("animated.png"),
        fixture!("lossless.webp"),
        fixture!("animated.webp"),
    ] {
        assert_eq!(difference(name, bytes, expected), 0, "{name}");
    }
}

#[test]
fn what_loses_detail_is_read_as_pillow_reads_it_up_to_rounding() {
    let files = [
        (1, fixture!("grey.jpg")),
        (2, fixture!("cmyk.jpg")),
        (3, fixture!("ycck.jpg")),
        (2, fixture!("lossy.webp")),
        // Colours of half the resolution, which libjpeg enlarges with other roundings.
        (6, fixture!("photo.jpg")),
        (6, fixture!("progressive.jpg")),
        (6, fixture!("exif5.jpg")),
        (6, fixture!("exif6.jpg")),
    ];
    for (tolerance, (name, bytes, expected)) in files {
        let difference = difference(name, bytes, expected);
        assert!(difference <= tolerance, "{name}: {difference}");
    }
}

#[test]
fn a_file_that_ends_early_is_said_to() {
    for (name, bytes, _) in [
        fixture!("photo.jpg"),
        fixture!("progressive.jpg"),
        fixture!("colour16.png"),
        fixture!("lossless.webp"),
        fixture!("lossy.webp"),
        fixture!("animated.webp"),
    ] {
        // Not one byte of a JPEG or WebP may lack; a PNG may lack its empty last chunk, as for Pillow.
        for lost in [bytes.len() / 2, bytes.len() / 4, 20] {
            let found = decode(&bytes[..bytes.len() - lost]);
            assert!(
                matches!(found, Err(ImageError::Truncated)),
                "{name} without {lost}: {found:?}"
            );
        }
        // Cut anywhere, it is an error or an image, and no more than that.
        for end in 0..bytes.len() {
            let _ = decode(&bytes[..end]);
        }
    }
    let (_, bytes, _) = fixture!("photo.jpg");
    assert!(matches!(decode(&bytes[..bytes.len() - 1]), Err(ImageError::Truncated)));
    let trailed = [bytes, b"and what some camera adds"].concat();
    assert_eq!(decode(&trailed).unwrap(), decode(bytes).unwrap());
}

#[test]
fn what_is_no_image_is_named() {
    let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert_eq!(message(b""), "an empty file");
    assert_eq!(
        message(b"<html>404</html>"),
        "not an image: it begins as no JPEG, PNG or WebP does"
    );
    assert_eq!(
        message(b"GIF89a......"),
        "a file of the kind image/gif; JPEG, PNG and WebP can be read"
    );
    let (_, bytes, _) = fixture!("palette.png");
    let mut damaged = bytes.to_vec();
    damaged[bytes.len() - 30] ^= 0xff;
    assert!(message(&damaged).starts_with("damaged"), "{}", message(&damaged));
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let (_, bytes, _) = fixture!("colour16.png");
    let mut bomb = bytes.to_vec();
    bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    // The header's checksum, which covers its kind and content.
    let sum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    let message = decode(&bomb).unwrap_err().to_string();
    assert!(
        message.starts_with("65535x65535 pixels take 24575 MiB; the limit"),
        "{message}"
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
