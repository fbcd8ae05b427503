//! Many samples into an `.npz`: written as they come, gone on with after a kill, split over processes.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use burn::tensor::Device;
use serde_json::{Value, json};

use super::npz::write_npz;
use super::partial::{Partial, complete, differences, remove};
use super::read::SampleFile;
use super::{Drawing, Labels, images_from};
use crate::{Error, ProgressMode, Ranks};
use sextant_data::Dataset;
use sextant_model::{Sit, collect, fingerprint};
use sextant_records::{FileError, FileIdentity, make_folder, sync_folder};

/// Raised when the same settings would mean other images, or files other bytes.
const EDITION: u32 = 1;

/// More parts are not joined: each is a file that is open.
const MOST_PARTS: u64 = 256;

/// A share of the samples that one process draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    number: u64,
    of: u64,
}

impl Part {
    /// Everything.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Places of its samples among `count`.
    fn range(self, count: u64) -> Range<u64> {
        // In 128 bits, which no product of two counts leaves.
        let place = |part: u64| (u128::from(count) * u128::from(part) / u128::from(self.of)) as u64;
        place(self.number - 1)..place(self.number)
    }

    /// The others and itself.
    fn all(self) -> impl Iterator<Item = Self> {
        (1..=self.of).map(move |number| Self { number, ..self })
    }

    /// The file of its images, beside the `.npz`.
    fn file(self, npz: &Path) -> PathBuf {
        match self.of {
            1 => beside(npz, ".partial"),
            of => beside(npz, &format!(".{}-of-{of}.partial", self.number)),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// A text that names no part.
#[derive(Debug, thiserror::Error)]
#[error("a part is K/N, such as 2/8, with K from 1 to N and N at most {MOST_PARTS}")]
pub struct NoPart;

impl FromStr for Part {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Self, NoPart> {
        let numbers = text.split_once('/').map(|(number, of)| (number.parse(), of.parse()));
        match numbers {
            Some((Ok(number), Ok(of))) if (1..=MOST_PARTS).contains(&of) && (1..=of).contains(&number) => {
                Ok(Self { number, of })
            }
            _ => Err(NoPart),
        }
    }
}

/// Samples that are to be drawn. Sample i depends on the seed, i and its label, not on the part that it is in or on where a process
/// was stopped: every pass has the same number of rows, for a matrix product may sum in another order where rows are few. Of another
/// batch size the latents differ by such roundings (below 2e-6 of their range on a CPU), and so a rare pixel by one step of 255.
pub struct SampleJob<'a> {
    /// The network.
    pub network: &'a Sit,
    /// Its origin, in words: `ema after step 400`.
    pub origin: String,
    /// The file that it was read from, where that is no run's.
    pub file: Option<&'a FileIdentity>,
    /// Sampler, seed, batch.
    pub drawing: Drawing,
    /// The data, for its classes and pixels.
    pub dataset: &'a Dataset,
    /// Height and width of a picture of the data.
    pub side: usize,
    /// The device that the network is on.
    pub device: &'a Device,
    /// The classes of the samples.
    pub labels: Labels,
    /// Samples in all, of which a part may be drawn.
    pub count: u64,
    /// The part that this process draws.
    pub part: Part,
    /// The ranks that draw it, of which all have this job, and the first writes.
    pub ranks: &'a Ranks,
}

/// State of the samples after a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// The `.npz` was there before, of these settings.
    Before,
    /// The `.npz` is written.
    Written,
    /// This part is drawn, and others are not yet; whoever draws the last one joins them.
    Part {
        /// The parts that are missing.
        missing: Vec<Part>,
    },
}

impl SampleJob<'_> {
    /// Draws what is missing of this part, and writes the `.npz` where that was the last. Answers what became of it, and
    /// the [settings](Self::settings); nothing on a rank that does not write.
    ///
    /// The images go to a file beside the `.npz`, which is on disk after each pass; what an earlier process left in it is gone on
    /// with. An `.npz` has arrays `arr_0` and, unless samples have no class, `arr_1`, and its archive's comment holds the settings.
    ///
    /// # Errors
    /// Files of other settings or of somebody else; another process at this part; a network whose output is not finite; a disk that is
    /// full; an interrupt; a fault of other ranks. What was drawn stays.
    pub fn run(&self, npz: &Path, progress: ProgressMode) -> Result<Option<(Drawn, Value)>, Error> {
        let begun = self.ranks.led(|| self.begin(npz))?;
        let Range { start, end } = self.part.range(self.count);
        // None where everything was drawn before.
        let done = begun
            .as_ref()
            .and_then(|(partial, _)| partial.as_ref())
            .map(Partial::done);
        let Some(done) = self.ranks.said_step(|| done)? else {
            return Ok(begun.map(|(_, settings)| (Drawn::Before, settings)));
        };
        let (mut partial, settings) = begun.unzip();
        self.fill(partial.as_mut().and_then(Option::as_mut), start + done..end, progress)?;
        self.ranks.led(|| {
            let settings = settings.unwrap_or_default();
            Ok((self.join(npz, &settings)?, settings))
        })
    }

    /// The file of this part, which may hold images, and the settings; no file where the `.npz` is there.
    fn begin(&self, npz: &Path) -> Result<(Option<Partial>, Value), Error> {
        let settings = self.settings();
        if is_there(npz, &settings)? {
            self.clear(npz)?;
            return Ok((None, settings));
        }
        if let Some(folder) = npz.parent() {
            make_folder(folder)?;
        }
        let Range { start, end } = self.part.range(self.count);
        let partial = Partial::open(
            &self.part.file(npz),
            &of_part(&settings, self.part),
            self.image(),
            end - start,
            self.rows(),
        )?;
        Ok((Some(partial), settings))
    }

    /// All that the bytes of the images depend on. Finding that out takes a pass over all weights.
    pub fn settings(&self) -> Value {
        let Drawing {
            sampler,
            path,
            prediction,
            seed,
            batch: _,
        } = &self.drawing;
        let mut settings = json!({
            "samples": EDITION,
            "count": self.count,
            "side": self.side,
            "labels": self.labels,
            "classes": self.dataset.class_names().len(),
            "seed": seed,
            "batch": self.rows(),
            "sampler": sampler,
            "path": path,
            "prediction": prediction,
            "network": {
                "origin": self.origin,
                "fingerprint": fingerprint(&format!("{:?}", self.network.config()), &collect(self.network)),
            },
            "data": self.dataset.fingerprint(),
            "decoder": self.dataset.decoder_fingerprint(),
        });
        if let Some(file) = self.file {
            settings["network"]["file"] = json!(file);
        }
        settings
    }

    /// Samples of every pass.
    fn rows(&self) -> u64 {
        self.count.min(self.drawing.batch as u64)
    }

    /// Bytes of an image.
    fn image(&self) -> u64 {
        (self.side * self.side * 3) as u64
    }

    fn label(&self, index: u64) -> usize {
        self.labels
            .of(index, self.dataset.class_names().len(), self.drawing.seed)
    }

    /// Draws the samples that are left of the part, into its file where this is the rank that writes it.
    fn fill(&self, mut partial: Option<&mut Partial>, left: Range<u64>, progress: ProgressMode) -> Result<(), Error> {
        if left.is_empty() {
            return Ok(());
        }
        let total = self.part.range(self.count);
        let total = total.end - total.start;
        let mut done = total - (left.end - left.start);
        let mut progress = progress.start("sample", done, total).counting("image");
        let passes = (left.end - left.start).div_ceil(self.rows()) as usize;
        let draw = |pass: usize| {
            let first = left.start + pass as u64 * self.rows();
            // The last pass draws some that are not asked for.
            let labels: Vec<usize> = (first..first + self.rows()).map(|index| self.label(index)).collect();
            images_from(self.network, &self.drawing, first, &labels, self.dataset, self.device)
        };
        self.ranks.share(passes, draw, |images| {
            let wanted = self.rows().min(total - done);
            if let Some(partial) = &mut partial {
                partial.append(&images[..(wanted * self.image()) as usize], wanted)?;
            }
            done += wanted;
            progress.step(done);
            Ok(())
        })
    }

    /// Writes the `.npz` of all parts, if they are there, and removes them.
    fn join(&self, npz: &Path, settings: &Value) -> Result<Drawn, Error> {
        let (mut parts, mut missing) = (Vec::new(), Vec::new());
        for part in self.part.all() {
            let Range { start, end } = part.range(self.count);
            match complete(&part.file(npz), &of_part(settings, part), self.image(), end - start)? {
                Some(images) => parts.push(images),
                None => missing.push(part),
            }
        }
        if missing.is_empty() {
            self.write(npz, settings, parts)?;
        } else if !is_there(npz, settings)? {
            // Where it is there, another process that ended at this moment has joined them.
            return Ok(Drawn::Part { missing });
        }
        self.clear(npz)?;
        Ok(Drawn::Written)
    }

    /// Writes the `.npz` whole or not at all. The file that it is written to has one name for all processes, so that what a killed one
    /// left is overwritten.
    fn write(&self, npz: &Path, settings: &Value, mut parts: Vec<impl io::Read>) -> Result<(), Error> {
        let writing = beside(npz, ".writing");
        let failed = |e: io::Error| FileError::new(&writing, e);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&writing);
        let file = file.map_err(failed)?;
        // Another process that ended at this moment may be writing the same.
        if let Err(e) = file.lock() {
            tracing::warn!("{}: nothing keeps a second process out: {e}", writing.display());
        }
        if is_there(npz, settings)? {
            return Ok(());
        }
        let side = self.side as u64;
        let labels = match self.labels {
            Labels::Class(class) if class == self.network.config().null_class() => None,
            _ => Some((0..self.count).map(|index| self.label(index) as i64)),
        };
        let written = (|| {
            if file.metadata().map_err(failed)?.len() > 0 {
                file.set_len(0).map_err(failed)?;
            }
            let shape = [self.count, side, side, 3];
            let buffered = BufWriter::with_capacity(1 << 20, &file);
            write_npz(buffered, &shape, &mut parts, labels, &settings.to_string())
                .and_then(|buffered| Ok(buffered.into_inner().map_err(io::IntoInnerError::into_error)?))
                .map_err(|e| FileError::of_library(&writing, &e))?;
            file.sync_all().map_err(failed)?;
            fs::rename(&writing, npz).map_err(|e| FileError::new(npz, e))
        })();
        written.inspect_err(|_| {
            // Its room may be needed; the first error is the one to report.
            let _ = fs::remove_file(&writing);
        })?;
        match npz.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => Ok(sync_folder(folder)?),
            None => Ok(()),
        }
    }

    fn clear(&self, npz: &Path) -> Result<(), FileError> {
        remove(&beside(npz, ".writing"))?;
        self.part.all().try_for_each(|part| remove(&part.file(npz)))
    }
}

/// True if samples of these settings are there, false if nothing is.
fn is_there(npz: &Path, settings: &Value) -> Result<bool, Error> {
    if !npz.exists() {
        return Ok(false);
    }
    let file = SampleFile::open(npz).ok();
    let there: Option<Value> = file.and_then(|file| serde_json::from_slice(file.comment()).ok());
    let reason = match there.filter(|there| there.get("samples") == settings.get("samples")) {
        Some(there) if there == *settings => return Ok(true),
        Some(there) => format!("samples of other settings: {}", differences(&there, settings)),
        None => "something that was not drawn by this command".into(),
    };
    Err(FileError::new(npz, format!("holds {reason}; name another --npz, or remove the file")).into())
}

fn of_part(settings: &Value, part: Part) -> Value {
    let mut settings = settings.clone();
    settings["part"] = part.to_string().into();
    settings
}

fn beside(npz: &Path, ending: &str) -> PathBuf {
    let mut name = npz.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
