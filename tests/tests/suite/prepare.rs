//! `sextant data prepare`: from a folder of photographs, some of them odd, to what is trained on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sextant_data::image::{centre_crop, read};
use sextant_data::npy;
use sextant_tests::{Running, files, fixture, refused, sextant, stderr, stdout};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const SIZE: &str = "16";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/images").join(name)
}

/// Two classes: photographs of every colour mode, and what is no photograph.
pub fn photographs(folder: &Path) -> PathBuf {
    let source = folder.join("photos");
    let classes = [
        (
            "cats",
            vec!["photo.jpg", "grey.jpg", "cmyk.jpg", "exif6.jpg", "animated.webp"],
        ),
        (
            "dogs",
            vec![
                "ycck.jpg",
                "alpha.png",
                "colour16.png",
                "narrow.png",
                "lossy.webp",
                "crop.png",
            ],
        ),
    ];
    for (class, names) in classes {
        fs::create_dir_all(source.join(class)).unwrap();
        for name in names {
            fs::copy(fixture(name), source.join(class).join(name)).unwrap();
        }
    }
    let whole = fs::read(fixture("photo.jpg")).unwrap();
    fs::write(source.join("cats/broken, in half.jpg"), &whole[..600]).unwrap();
    fs::write(source.join("dogs/moves.gif"), b"GIF89a........").unwrap();
    fs::write(source.join("dogs/page.png"), b"<html>404</html>").unwrap();
    fs::write(source.join("dogs/notes.txt"), b"no image, and not meant as one").unwrap();
    source
}

/// A folder with a tiny autoencoder.
pub fn autoencoder(folder: &Path, seed: u64) -> String {
    let path = folder.join(format!("vae-{seed}"));
    fixture::autoencoder_folder(&path, seed, |config| config.latent_channels = 2);
    path.to_str().unwrap().to_owned()
}

/// A folder with the tiny DINOv2 of the fixtures.
fn encoder(folder: &Path) -> String {
    let path = folder.join("dinov2");
    fixture::dinov2_folder(&path);
    path.to_str().unwrap().to_owned()
}

/// An archive of all files of a folder, in that folder, stored and packed in turn.
fn zipped(source: &Path, archive: &Path) {
    let mut zip = ZipWriter::new(fs::File::create(archive).unwrap());
    for (i, path) in files(source).into_iter().enumerate() {
        let method = [CompressionMethod::Stored, CompressionMethod::Deflated][i % 2];
        let options = SimpleFileOptions::default().compression_method(method);
        let name = path.strip_prefix(source.parent().unwrap()).unwrap();
        zip.start_file(name.to_str().unwrap(), options).unwrap();
        zip.write_all(&fs::read(path).unwrap()).unwrap();
    }
    zip.finish().unwrap();
}

fn arguments<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "data", "prepare", "photos", out, "--size", SIZE, "--batch", "3", "--device", "cpu",
    ];
    [&common[..], more].concat()
}

fn prepared(folder: &Path, out: &str, more: &[&str]) -> String {
    let output = sextant(folder, &arguments(out, more));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// Names and bytes of all files but the lock.
fn content(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = files(root);
    found.retain(|path| !path.ends_with(".sextant-lock"));
    found.sort();
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
    found.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_folder_of_photographs_becomes_training_data_and_odd_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = photographs(folder.path());
    let vae = autoencoder(folder.path(), 0);
    let said = prepared(folder.path(), "out", &["--vae", &vae, "--flips"]);
    assert!(said.contains("out: 11 images of 14"), "{said}");
    assert!(said.contains("3 cannot be read") && said.contains("images/s"), "{said}");
    let out = folder.path().join("out");

    let skipped = fs::read_to_string(out.join("skipped.csv")).unwrap();
    let lines: Vec<&str> = skipped.lines().collect();
    assert_eq!(lines.len(), 4, "{skipped}");
    assert_eq!(lines[0], "file,reason");
    assert!(
        lines[1].starts_with("\"cats/broken, in half.jpg\",truncated"),
        "{skipped}"
    );
    assert!(
        lines[2].starts_with("dogs/moves.gif,") && lines[2].contains("image/gif"),
        "{skipped}"
    );
    assert!(lines[3].starts_with("dogs/page.png,\"not an image"), "{skipped}");

    // Numbers are places among all files, so that they do not depend on what can be read.
    let labels = json(&out.join("images/dataset.json"));
    assert_eq!(labels["class_names"], serde_json::json!(["cats", "dogs"]));
    assert_eq!(labels["labels"][0], serde_json::json!(["00000/img00000000.png", 0]));
    assert_eq!(labels["labels"][1], serde_json::json!(["00000/img00000002.png", 0]));
    assert_eq!(labels["labels"].as_array().unwrap().len(), 11);
    let moments = json(&out.join("vae-sd/dataset.json"));
    assert_eq!(
        moments["labels"][0],
        serde_json::json!(["00000/img-mean-std-00000000.npy", 0])
    );

    let square = read(&out.join("images/00000/img00000000.png")).unwrap();
    assert!(square == centre_crop(read(&source.join("cats/animated.webp")).unwrap(), 16));
    let values =
        |folder: &str| npy::read(&out.join(folder).join("00000/img-mean-std-00000000.npy"), &[4, 8, 8]).unwrap();
    let (upright, mirrored) = (values("vae-sd"), values("vae-sd-flip"));
    assert_ne!(upright, mirrored);
    assert!(upright[2 * 64..].iter().all(|&deviation| deviation > 0.0));

    // An encoder later, beside what is there.
    let dinov2 = encoder(folder.path());
    let sees = [
        "--vae",
        &vae,
        "--flips",
        "--encoder",
        &dinov2,
        "--attention",
        "1,3",
        "--grid",
        "2",
    ];
    prepared(folder.path(), "out", &sees);
    for (kind, shape) in [("features", vec![4, 24]), ("attention", vec![2, 3, 4, 4])] {
        let of = |folder: &str| npy::read(&out.join(folder).join("00000/img-mean-std-00000013.npy"), &shape).unwrap();
        assert_ne!(of(kind), of(&format!("{kind}-flip")), "{kind}");
    }
    let again = [&sees[..6], &["2,3", "--grid", "2"]].concat();
    refused(
        folder.path(),
        &arguments("out", &again),
        &["attention of blocks [1, 3], not [2, 3]"],
    );

    let info = sextant(folder.path(), &["data", "info", "out", "--verify"]);
    assert!(
        stdout(&info).contains("11 samples"),
        "{}{}",
        stdout(&info),
        stderr(&info)
    );
}

#[test]
fn what_was_stopped_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    photographs(folder.path());
    let vae = autoencoder(folder.path(), 0);
    let more = ["--vae", &vae];
    prepared(folder.path(), "whole", &more);
    let whole = content(&folder.path().join("whole"));
    let out = folder.path().join("out");

    // Squares first, moments later.
    prepared(folder.path(), "out", &[]);
    assert!(!out.join("vae-sd").exists());
    prepared(folder.path(), "out", &more);
    assert_eq!(content(&out), whole);

    // Killed: some files are missing, labels are not there yet, one was being written.
    for lost in [
        "images/dataset.json",
        "skipped.csv",
        "images/00000/img00000004.png",
        "vae-sd/00000/img-mean-std-00000011.npy",
    ] {
        fs::remove_file(out.join(lost)).unwrap();
    }
    fs::write(out.join("vae-sd/00000/img-mean-std-00000011.npy.4711.partial"), b"half").unwrap();
    prepared(folder.path(), "out", &more);
    assert_eq!(content(&out), whole);

    // Asked to stop, wherever that finds it.
    let mut running = Running::start(folder.path(), &arguments("stopped", &more));
    running.until_it_listens();
    running.signal("TERM");
    let output = running.end();
    let said = stderr(&output);
    assert!(matches!(output.status.code(), Some(0 | 130)), "{said}");
    assert!(output.status.success() || said.contains("go on with: "), "{said}");
    prepared(folder.path(), "stopped", &more);
    assert_eq!(content(&folder.path().join("stopped")), whole);
}

#[test]
fn bad_input_is_refused_and_nothing_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    photographs(folder.path());
    let (vae, other) = (autoencoder(folder.path(), 0), autoencoder(folder.path(), 1));
    let refused = |out: &str, more: &[&str], words: &[&str]| refused(folder.path(), &arguments(out, more), words);
    let at = |name: &str| folder.path().join(name);

    refused(
        "strict",
        &["--strict"],
        &["photos/cats/broken, in half.jpg", "truncated"],
    );
    refused(
        "photos/out",
        &[],
        &["photos/out", "lies in", "choose a folder elsewhere"],
    );
    refused("out", &["--vae", "nowhere"], &["nowhere", "config.json"]);
    refused("out", &["--vae", "hf:nobody"], &["--vae", "hf:owner/name"]);
    refused("out", &["--flips"], &["--vae"]);
    assert!(!at("out").exists() && !at("photos/out").exists());

    prepared(folder.path(), "out", &["--vae", &vae]);
    let before = content(&at("out"));
    refused(
        "out",
        &["--vae", &other],
        &["another autoencoder", "choose a new folder"],
    );
    refused("out", &["--vae", &vae, "--flips"], &["no --flips"]);
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/mine"), b"").unwrap();
    refused("full", &[], &["full is not empty"]);
    fs::copy(fixture("photo.jpg"), at("photos/cats/new.jpg")).unwrap();
    refused("out", &["--vae", &vae], &["other images in the source"]);
    assert_eq!(content(&at("out")), before);

    for path in files(&at("photos")) {
        fs::write(path, b"nothing").unwrap();
    }
    refused("none", &[], &["none of its 15 images can be read", "skipped.csv"]);
}

#[test]
fn an_archive_comes_to_the_bytes_of_its_folder_and_a_damaged_member_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let source = photographs(path);
    zipped(&source, &path.join("photos.zip"));
    let of = |out: &str, source: &str| {
        let output = sextant(path, &["data", "prepare", source, out, "--size", SIZE, "--batch", "3"]);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    of("from-folder", "photos");
    let wanted = content(&path.join("from-folder"));
    let said = of("from-zip", "photos.zip");
    assert!(said.contains("11 images of 14"), "{said}");
    assert!(content(&path.join("from-zip")) == wanted);
    // What is missing is done again, from either.
    for again in ["photos.zip", "photos"] {
        fs::remove_file(path.join("from-zip/images/00000/img00000004.png")).unwrap();
        of("from-zip", again);
        assert!(content(&path.join("from-zip")) == wanted, "{again}");
    }

    // One byte of a member that is stored.
    let photo = fs::read(fixture("photo.jpg")).unwrap();
    let mut archive = fs::read(path.join("photos.zip")).unwrap();
    let needle = &fs::read(source.join("dogs/crop.png")).unwrap()[..64];
    let place = |needle: &[u8]| archive.windows(needle.len()).position(|window| window == needle);
    let (name, place) = [
        ("dogs/crop.png", place(needle)),
        ("cats/photo.jpg", place(&photo[..64])),
    ]
    .into_iter()
    .find_map(|(name, place)| Some((name, place?)))
    .unwrap();
    archive[place + 40] ^= 1;
    fs::write(path.join("damaged.zip"), &archive).unwrap();
    let said = of("damaged", "damaged.zip");
    assert!(said.contains("10 images of 14"), "{said}");
    let skipped = fs::read_to_string(path.join("damaged/skipped.csv")).unwrap();
    let line = skipped.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line.contains("in the archive"), "{line}");
    let strict = ["data", "prepare", "damaged.zip", "strict", "--size", SIZE, "--strict"];
    refused(path, &strict, &["damaged.zip/"]);
    refused(
        path,
        &["data", "prepare", "damaged/prepare.json", "other"],
        &["nor a ZIP archive"],
    );
}
