//! Where images come from: a folder, or a ZIP archive, whose members are read by several threads at once.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use sextant_data::image::{ImageError, MAX_BYTES, decode, read};
use sextant_data::{DOCUMENT, FoundFile, Listing};
use sextant_records::FileError;
use zip::ZipArchive;

use crate::Error;

/// Largest `dataset.json` that is read: that of 20 million images.
const LARGEST_DOCUMENT: u64 = 1 << 30;

/// Folder that macOS puts beside what a person has packed.
const MACOS: &str = "__MACOSX";

/// Images in a numbered order.
pub struct Source {
    path: PathBuf,
    listing: Listing,
    /// The archive that they lie in, and the place of each in its directory.
    archive: Option<(ZipArchive<Members>, Vec<usize>)>,
}

impl Source {
    /// Finds the images of a folder or an archive, with their classes.
    ///
    /// # Errors
    /// A file that is no archive; no images; labels that do not fit.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !path.is_file() {
            return Ok(Self {
                path: path.to_owned(),
                listing: Listing::of_pictures(path)?,
                archive: None,
            });
        }
        let fault =
            |reason: String| FileError::new(path, format!("neither a folder of images nor a ZIP archive: {reason}"));
        let members = Members::open(path).map_err(|e| FileError::new(path, e))?;
        let archive = ZipArchive::new(members).map_err(|e| fault(e.to_string()))?;
        let (listing, places) = listed(path, &archive)?;
        Ok(Self {
            path: path.to_owned(),
            listing,
            archive: Some((archive, places)),
        })
    }

    /// Names and classes of the images, in their order.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Path of an image, for messages.
    pub fn path(&self, id: usize) -> PathBuf {
        self.path.join(&self.listing.files[id].name)
    }

    /// Reads an image.
    ///
    /// # Errors
    /// One that cannot be read, or is none.
    pub fn image(&self, id: usize) -> Result<RgbImage, ImageError> {
        match &self.archive {
            None => read(&self.path(id)),
            Some((archive, places)) => decode(&member(archive, places[id], MAX_BYTES)?),
        }
    }
}

/// The images of an archive, sorted by name, and their places in its directory. What lies in one folder alone is seen from there.
fn listed(path: &Path, archive: &ZipArchive<Members>) -> Result<(Listing, Vec<usize>), Error> {
    let fault = |reason: String| FileError::new(path, reason);
    let mut found = Vec::new();
    for place in 0..archive.len() {
        let entry = archive.by_index_data(place).map_err(|e| fault(e.to_string()))?;
        let name = entry
            .name()
            .map_err(|e| fault(format!("a name in it: {e}")))?
            .replace('\\', "/");
        let is_hidden = name.split('/').any(|part| part.starts_with('.') || part == MACOS);
        if !is_hidden && !name.ends_with('/') {
            let bytes = entry.size();
            found.push((FoundFile { name, bytes }, place));
        }
    }
    if let Some(folder) = only_folder(&found) {
        found.iter_mut().for_each(|(file, _)| drop(file.name.drain(..folder)));
    }
    found.sort_unstable();
    let place = |name: &str| {
        let place = found.binary_search_by(|(file, _)| file.name.as_str().cmp(name));
        place.ok().map(|place| found[place].1)
    };
    let document = place(DOCUMENT).map(|place| member(archive, place, LARGEST_DOCUMENT));
    let document = document.transpose().map_err(|e| fault(format!("its {DOCUMENT} {e}")))?;
    let files = found.iter().map(|(file, _)| file.clone()).collect();
    let listing = Listing::of_members(path, files, document.as_deref())?;
    let places = listing.files.iter().filter_map(|file| place(&file.name)).collect();
    Ok((listing, places))
}

/// Length of the name, with its slash, of the one folder that everything lies in.
fn only_folder(found: &[(FoundFile, usize)]) -> Option<usize> {
    let (first, _) = found.first()?;
    let end = first.name.find('/')? + 1;
    let all = found.iter().all(|(file, _)| file.name.starts_with(&first.name[..end]));
    all.then_some(end)
}

/// The bytes of a member, unpacked and compared with their checksum.
fn member(archive: &ZipArchive<Members>, place: usize, most: u64) -> Result<Vec<u8>, ImageError> {
    let damaged = |reason: &dyn std::fmt::Display| ImageError::Damaged(format!("in the archive: {reason}"));
    let mut archive = archive.clone();
    let mut found = archive.by_index(place).map_err(|e| damaged(&e))?;
    // Its directory may say what it likes.
    let mut bytes = Vec::with_capacity(found.size().min(1 << 24) as usize);
    let read = (&mut found).take(most + 1).read_to_end(&mut bytes);
    read.map_err(|e| match e.raw_os_error() {
        Some(_) => ImageError::File(e),
        None => damaged(&e),
    })?;
    match bytes.len() as u64 > most {
        true => Err(damaged(&format!("more than {} MiB", most >> 20))),
        false => Ok(bytes),
    }
}

/// The bytes of an archive. Each copy reads at a place of its own, from the same open file.
struct Members(BufReader<At>);

struct At {
    file: Arc<File>,
    place: u64,
}

impl Members {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::of(Arc::new(File::open(path)?)))
    }

    fn of(file: Arc<File>) -> Self {
        Self(BufReader::with_capacity(1 << 16, At { file, place: 0 }))
    }
}

impl Clone for Members {
    fn clone(&self) -> Self {
        Self::of(self.0.get_ref().file.clone())
    }
}

impl Read for Members {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Seek for Members {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Read for At {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, bytes, self.place)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&*self.file, bytes, self.place)?;
        self.place += read as u64;
        Ok(read)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.place = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.place)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
        let mut zip = ZipWriter::new(file.reopen().unwrap());
        for (i, (name, bytes)) in members.iter().enumerate() {
            let method = [CompressionMethod::Stored, CompressionMethod::Deflated][i % 2];
            let options = SimpleFileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    fn names(source: &Source) -> Vec<&str> {
        source.listing().files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn classes_are_folders_and_what_all_lies_in_is_none() {
        let zip = archive(&[
            ("train/dogs/2.png", b"no image"),
            ("train/cats/1.jpg", b""),
            ("train/notes.txt", b"text"),
            ("train/cats/.hidden.png", b""),
            ("__MACOSX/train/cats/._1.jpg", b""),
        ]);
        let source = Source::open(zip.path()).unwrap();
        assert_eq!(names(&source), ["cats/1.jpg", "dogs/2.png"]);
        assert_eq!(source.listing().labels, [0, 1]);
        assert!(matches!(source.image(1), Err(ImageError::NotAnImage)));
        assert!(source.path(1).ends_with("dogs/2.png"));
    }

    #[test]
    fn labels_of_a_dataset_json_have_to_fit() {
        let labels = br#"{"labels": [["00000/img00000001.png", 4], ["00000/img00000000.png", 2]]}"#;
        let images: [(&str, &[u8]); 2] = [("00000/img00000000.png", b"a"), ("00000/img00000001.png", b"b")];
        let zip = archive(&[images[0], ("dataset.json", labels), images[1]]);
        assert_eq!(Source::open(zip.path()).unwrap().listing().labels, [2, 4]);
        let zip = archive(&[images[0], ("dataset.json", labels)]);
        let message = Source::open(zip.path()).err().unwrap().to_string();
        assert!(
            message.contains(".zip/dataset.json") && message.contains("img00000001.png"),
            "{message}"
        );
        for (members, words) in [
            (&[("a.txt", &b"a"[..])][..], "no sample in it"),
            (&[("a.png", b"a"), ("dataset.json", b"{")], "must be JSON"),
        ] {
            let message = Source::open(archive(members).path()).err().unwrap().to_string();
            assert!(message.contains(words), "{message}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = Source::open(file.path()).err().unwrap().to_string();
        assert!(
            message.contains("neither a folder of images nor a ZIP archive"),
            "{message}"
        );
    }
}
