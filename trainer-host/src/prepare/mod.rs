//! `sextant data prepare`: photographs to what published trainers train on.
//!
//! In comes a folder, or a ZIP archive, of images of any size and colour mode. Out goes REPA's layout: `images` with squares as PNG, `vae-sd` with the moments of
//! an autoencoder, `features` and `attention` with what an encoder sees, and `vae-sd-flip` and so on with the same of mirrored images. Image i of the sorted source is `00000/img0000000i.png`, whatever became of
//! the others, so that names are those of the published tool and the work can stop and go on.
//!
//! A batch is what goes through a network together. It is the unit of work: a batch of which a file is missing is done again as a whole, so
//! that no bit depends on where an earlier run was stopped. One thread reads ahead, with all cores, by a few batches; another encodes.

mod layout;
mod networks;
mod pictures;
mod report;
mod settings;
mod source;

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use burn::tensor::Device;
use rayon::prelude::*;
use sextant_interrupt as interrupt;
use sextant_records::{FileError, FolderLock, make_folder, write_whole};
use sextant_train::ProgressMode;

use self::layout::Layout;
use self::networks::Networks;
use self::pictures::{Batch, Pictures};
use self::report::Skipped;
use self::settings::Settings;
use self::source::Source;
use crate::Error;

/// Source, result and settings.
#[derive(Clone, Debug)]
pub struct Request {
    /// A folder of images, or a ZIP archive of them: a class a sub-folder, or labels in a `dataset.json`, or no classes.
    pub source: PathBuf,
    /// The folder that is made, or gone on with.
    pub out: PathBuf,
    /// Pixels a side.
    pub size: usize,
    /// Folder of an `AutoencoderKL`, or its name in the hub, for moments.
    pub autoencoder: Option<String>,
    /// Folder of a DINOv2, or its name in the hub, for features.
    pub encoder: Option<String>,
    /// Blocks of the encoder whose attention is kept, counted from 1.
    pub attention: Vec<usize>,
    /// Tokens a side of the student that features are for.
    pub grid: usize,
    /// All of it of mirrored images too.
    pub flips: bool,
    /// Images that go through a network together.
    pub batch: usize,
    /// End at the first image that cannot be read.
    pub strict: bool,
}

/// Counts and speed of the work.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Images of the source.
    pub images: usize,
    /// Those of them that cannot be read.
    pub skipped: usize,
    /// Images that were done now: the others were there.
    pub done_now: usize,
    /// Seconds that this took.
    pub seconds: f64,
    /// Images a second.
    pub rate: f64,
    /// Images a second that reading, decoding, cropping and writing squares alone would come to on all cores: the limit of this machine.
    pub reading_limit: f64,
}

/// Makes the data, or what is missing of them.
///
/// # Errors
/// Bad input, before anything is written; with `strict`, the first image that cannot be read; a disk that is full; an interrupt. What is
/// whole by then stays, and the same request goes on.
pub fn prepare(request: &Request, device: &Device, mode: ProgressMode) -> Result<Summary, Error> {
    let source = Source::open(&request.source)?;
    let listing = source.listing();
    is_apart(&request.source, &request.out)?;
    let networks = Networks::load(request, device)?;
    let settings = Settings {
        source: settings::digest(listing),
        size: request.size,
        latents: networks.latents(),
        features: networks.features(),
    };
    let merged = || match settings::read(&request.out)? {
        Some(known) => settings.clone().after(&known, &request.out),
        None => Ok(settings.clone()),
    };
    // Before anything is written, and again when nobody else can change it any more.
    merged()?;
    make_folder(&request.out)?;
    let _lock = FolderLock::take(&request.out)?;
    let settings = merged()?;
    write_whole(&request.out.join(settings::FILE), &settings.text())?;

    let layout = Layout::new(&request.out, networks.folders());
    let count = listing.files.len();
    let starts: Vec<usize> = (0..count).step_by(request.batch).collect();
    let rows = |start: usize| start..(start + request.batch).min(count);
    let left: Vec<_> = starts
        .into_par_iter()
        .map(rows)
        .filter(|rows| !rows.clone().all(|id| layout.is_whole(id)))
        .collect();
    layout.clear_leftovers(&left)?;
    let done_now: usize = left.iter().map(ExactSizeIterator::len).sum();

    let started = Instant::now();
    let pictures = Pictures::new(request, &source, &layout, networks.is_some());
    let progress = mode.start("prepare", (count - done_now) as u64, count as u64);
    let mut progress = progress.counting("image");
    let mut done = count - done_now;
    let mut skipped = Skipped::default();
    std::thread::scope(|scope| {
        // What waits here is bounded: one span of batches, beside that which is read and that which is encoded.
        let (sender, receiver) = sync_channel::<Result<Vec<Batch>, Error>>(1);
        let reader = &pictures;
        let spans = pictures::spans(&left, request.batch);
        scope.spawn(move || {
            for span in spans {
                let read = reader.read(span);
                let is_last = read.is_err();
                if sender.send(read).is_err() || is_last {
                    break;
                }
            }
        });
        for batches in receiver {
            for batch in batches? {
                interrupt::check()?;
                if batch.is_unfinished {
                    networks.write(&layout, &batch.pictures)?;
                }
                done += batch.rows.len();
                skipped.extend(batch.skipped);
                progress.step(done as u64);
            }
        }
        Ok::<(), Error>(())
    })?;
    drop(progress);
    let seconds = started.elapsed().as_secs_f64();
    report::write(&layout, listing, &skipped)?;
    if skipped.len() == count {
        return Err(Error::Input(format!(
            "{}: none of its {count} images can be read; {} says why",
            request.source.display(),
            request.out.join(report::SKIPPED).display()
        )));
    }
    Ok(Summary {
        images: count,
        skipped: skipped.len(),
        done_now,
        seconds,
        rate: done_now as f64 / seconds.max(1e-9),
        reading_limit: pictures.limit(),
    })
}

/// Refuses to write into what is read: the squares would be images of the source.
fn is_apart(source: &Path, out: &Path) -> Result<(), Error> {
    let source = source.canonicalize().map_err(|e| FileError::new(source, e))?;
    let there = out.ancestors().find_map(|folder| {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        folder.canonicalize().ok()
    });
    match there.is_some_and(|there| there.starts_with(&source)) {
        true => Err(Error::Input(format!(
            "{} lies in {}, whose images are read: choose a folder elsewhere",
            out.display(),
            source.display()
        ))),
        false => Ok(()),
    }
}
