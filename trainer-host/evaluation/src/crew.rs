//! The ranks of an evaluation: they draw samples together, look at images, and show them to the network.
//!
//! The first rank measures, and asks the others for their share of what is done image by image. They hold what that takes (the
//! data, the judges, the network, which the first sends them) and write nothing. Each pass has the images that it has on one rank, and
//! comes to its place, so that the results are the same bits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evaluate::{Subject, judges};
use super::extraction::{FeatureExtraction, PASS, of_passes};
use crate::Error;
use crate::judge::{CHUNK, Judge};
use sextant_data::Stream;
use sextant_model::{Sit, SitConfig, apply, collect, frozen_copy};
use sextant_recipe::Recipe;
use sextant_stats::measure::Features;
use sextant_train::reduce::{Crossing, bytes, floats};
use sextant_train::sample::{self, Drawing};
use sextant_train::{Options, RankError, Ranks};

/// The first rank of an evaluation, with the others that it has called. They are let go when it is dropped.
pub struct Crew<'a> {
    hands: Hands<'a>,
    ranks: &'a Ranks,
}

/// Samples, and what judges see in them.
pub struct Drawn {
    /// RGB bytes `[N, side, side, 3]`.
    pub pixels: Vec<u8>,
    /// For each judge that was asked, in their order.
    pub features: Vec<Features>,
}

/// All that a rank needs for its share.
struct Hands<'a> {
    judges: &'a [Judge],
    network: &'a Sit,
    /// The file of the network, for messages.
    file: &'a Path,
    extraction: FeatureExtraction<'a>,
}

/// The call to the others, before the tensors of the network, one after another.
#[derive(Serialize, Deserialize)]
struct Call {
    recipe: Recipe,
    network: SitConfig,
    file: PathBuf,
    /// Name and shape of each tensor.
    tensors: Vec<(String, Vec<usize>)>,
}

/// A work that is shared.
#[derive(Serialize, Deserialize)]
enum Work {
    /// One sample a label is drawn, and shown to the first so many judges.
    Draw {
        drawing: Drawing,
        labels: Vec<usize>,
        judges: usize,
    },
    /// These images of the data are shown to a judge.
    Look { judge: usize, ids: Vec<usize> },
    /// These images of the data are shown to the network, at a time of the path.
    Pool {
        ids: Vec<usize>,
        t: f64,
        depths: Vec<usize>,
    },
}

impl Work {
    /// The passes that it takes.
    fn parts(&self) -> usize {
        match self {
            Self::Draw { drawing, labels, .. } => labels.len().div_ceil(drawing.batch),
            Self::Look { ids, .. } => ids.len().div_ceil(CHUNK),
            Self::Pool { ids, .. } => ids.len().div_ceil(PASS),
        }
    }
}

impl Hands<'_> {
    /// A part of a work, as bytes.
    fn part(&self, work: &Work, at: usize) -> Result<Vec<u8>, Error> {
        match work {
            Work::Draw {
                drawing,
                labels,
                judges,
            } => {
                let drawn = sample::pass(
                    self.network,
                    drawing,
                    at,
                    labels,
                    self.extraction.dataset,
                    self.extraction.device,
                );
                let mut drawn = drawn.map_err(|error| error.of_network(self.file))?;
                let side = self.extraction.dataset.picture_side()?;
                let seen = self.judges[..*judges].iter().map(|judge| judge.features(&drawn, side));
                for seen in seen.collect::<Result<Vec<_>, _>>()? {
                    drawn.extend(rows(&seen));
                }
                Ok(drawn)
            }
            Work::Look { judge, ids } => {
                let ids = ids.chunks(CHUNK).nth(at).unwrap_or_default();
                Ok(rows(&self.judges[*judge].features_of(self.extraction.dataset, ids)?))
            }
            Work::Pool { ids, t, depths } => {
                let ids = ids.chunks(PASS).nth(at).unwrap_or_default();
                let found = self.extraction.pooled(self.network, ids, *t, depths)?;
                Ok(bytes(&found.concat()))
            }
        }
    }
}

/// Judges answer in f32: nothing is lost.
fn rows(features: &Features) -> Vec<u8> {
    let values: Vec<f32> = features.values().iter().map(|&value| value as f32).collect();
    bytes(&values)
}

impl<'a> Crew<'a> {
    /// Calls the other ranks, if there are any, to what they need for this subject.
    ///
    /// # Errors
    /// The reason that keeps one of them from it.
    pub fn call(subject: &'a Subject, judges: &'a [Judge]) -> Result<Self, Error> {
        let Subject {
            recipe,
            dataset,
            network,
            file,
            device,
            ranks,
            ..
        } = subject;
        if ranks.count() > 1 {
            ranks.be_patient(&recipe.ranks);
            let tensors = collect(network);
            let call = Call {
                recipe: (*recipe).clone(),
                network: network.config().clone(),
                file: file.clone(),
                tensors: tensors
                    .iter()
                    .map(|(name, tensor)| (name.clone(), tensor.shape().to_vec()))
                    .collect(),
            };
            ranks.call(serde_json::to_value(call).map_err(unspeakable)?)?;
            for tensor in tensors.values() {
                ranks.said(|| tensor.as_bytes().to_vec())?;
            }
            ranks.agreed_at_leisure::<_, Error>(Ok(()))?;
        }
        Ok(Self {
            hands: Hands {
                judges,
                network,
                file,
                extraction: FeatureExtraction {
                    dataset,
                    path: recipe.diffusion.path,
                    device,
                },
            },
            ranks,
        })
    }

    /// How the network is shown the data.
    pub fn extraction(&self) -> FeatureExtraction<'a> {
        self.hands.extraction
    }

    /// Draws one sample a label, and shows them to the first so many `judges`.
    ///
    /// # Errors
    /// A network whose output is not finite, features that are not, an interrupt, a fault of other ranks.
    pub fn draw(&self, drawing: Drawing, labels: Vec<usize>, judges: usize) -> Result<Drawn, Error> {
        let side = self.hands.extraction.dataset.picture_side()?;
        let (image, batch, count) = (side * side * 3, drawing.batch, labels.len());
        let judges = &self.hands.judges[..judges];
        let (mut pixels, mut seen) = (Vec::new(), vec![Vec::new(); judges.len()]);
        let work = Work::Draw {
            drawing,
            labels,
            judges: judges.len(),
        };
        self.share(&work, |part| {
            let rows = batch.min(count - pixels.len() / image);
            let (images, mut rest) = part.split_at(rows * image);
            pixels.extend(images);
            for (judge, seen) in judges.iter().zip(&mut seen) {
                let (own, others) = rest.split_at(rows * judge.width() * size_of::<f32>());
                seen.extend(floats(own));
                rest = others;
            }
        })?;
        let features = judges.iter().zip(&seen);
        let features = features.map(|(judge, seen)| Features::from_f32(seen, judge.width()));
        Ok(Drawn {
            pixels,
            features: features.collect::<Result<_, _>>()?,
        })
    }

    /// The features that the judge of this number sees in the data's images `ids`, at least one.
    ///
    /// # Errors
    /// Latents without a decoder, features that are not finite, an interrupt, a fault of other ranks.
    pub fn look(&self, judge: usize, ids: &[usize]) -> Result<Features, Error> {
        let mut seen: Vec<f32> = Vec::new();
        let ids = ids.to_vec();
        self.share(&Work::Look { judge, ids }, |part| seen.extend(floats(part)))?;
        Ok(Features::from_f32(&seen, self.hands.judges[judge].width())?)
    }

    /// The features of the data's images `ids` in the network at each of `depths`, at least one, mean-pooled over their tokens, `[ids, D]`, at a time.
    ///
    /// # Errors
    /// A network that gives no numbers, an image that cannot be read, an interrupt, a fault of other ranks.
    pub fn pool(&self, ids: &[usize], t: f64, depths: &[usize]) -> Result<Vec<Features>, Error> {
        let mut passes = Vec::new();
        let work = Work::Pool {
            ids: ids.to_vec(),
            t,
            depths: depths.to_vec(),
        };
        self.share(&work, |part| {
            let of_depths = part.chunks(part.len() / depths.len());
            passes.push(Ok(of_depths.map(|part| floats(part).collect()).collect()));
        })?;
        of_passes(self.hands.network, t, depths, passes)
    }

    /// Asks the others for their share of a work, and does its own.
    fn share(&self, work: &Work, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        if self.ranks.count() > 1 {
            let asked = serde_json::to_vec(work).map_err(unspeakable)?;
            self.ranks.said(|| asked)?;
        }
        let act = |at| {
            sextant_interrupt::check()?;
            self.hands.part(work, at)
        };
        self.ranks.share(work.parts(), act, |part| {
            take(part);
            Ok(())
        })
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if self.ranks.count() > 1 && !self.ranks.is_broken() {
            // Whoever is gone does not hear it.
            let _ = self.ranks.said(Vec::new);
        }
    }
}

fn unspeakable(error: serde_json::Error) -> Error {
    RankError::Lost(error.to_string()).into()
}

/// Takes part in the evaluation of the first rank, until that lets the others go. A fault is known to the first.
pub fn take_part(call: Value, options: &Options) {
    let _ = taken_part(call, options);
}

fn taken_part(call: Value, options: &Options) -> Result<(), Error> {
    let ranks = &options.ranks;
    let Call {
        recipe,
        network,
        file,
        tensors,
    } = serde_json::from_value(call).map_err(unspeakable)?;
    ranks.be_patient(&recipe.ranks);
    let mut values = BTreeMap::new();
    for (name, shape) in tensors {
        let value = ranks.said(Vec::new)?.to_vec();
        values.insert(name, TensorData::from_bytes_vec(value, shape, DType::F32));
    }
    let device = &options.device.clone().inner();
    let ready = (|| {
        let dataset = sextant_train::dataset(&recipe.data, device)?;
        let judges = judges(&recipe, &dataset, device)?;
        let fresh = Sit::init(&network, &mut Stream::new(0, "replaced").at(&[]), device)
            .map_err(|error| Error::Train(error.into()))?;
        let network = apply(frozen_copy(&fresh), &values).map_err(|source| sextant_train::Error::Weights {
            path: file.clone(),
            source,
        })?;
        Ok::<_, Error>((dataset, judges, network))
    })();
    drop(values);
    let (dataset, judges, network) = ranks.agreed_at_leisure(ready)?;
    let hands = Hands {
        judges: &judges,
        network: &network,
        file: &file,
        extraction: FeatureExtraction {
            dataset: &dataset,
            path: recipe.diffusion.path,
            device,
        },
    };
    loop {
        let asked = ranks.said(Vec::new)?;
        if asked.is_empty() {
            return Ok(());
        }
        let work: Work = serde_json::from_slice(&asked).map_err(unspeakable)?;
        let act = |at| {
            sextant_interrupt::check()?;
            hands.part(&work, at)
        };
        // The first knows of it, and says what comes next.
        let _ = ranks.share(work.parts(), act, |_| Ok::<_, Error>(()));
    }
}

impl Crossing for Error {
    fn is_stop(&self) -> bool {
        self.is_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::fixture;
    use super::*;
    use burn::tensor::Device;
    use sextant_data::Dataset;
    use sextant_guidance::SearchPath;
    use sextant_recipe::parse_resolved;
    use sextant_train::ProgressMode;
    use sextant_train::reduce::threads::threads;

    fn recipe() -> Recipe {
        let text = "data = { kind = \"emoji\", size = 8 }\nmodel = { patch_size = 2, hidden_size = 16, depth = 2, num_heads = 2 }\n\
                    phases = [{ name = \"train\", steps = 1 }]\nevaluation = { quality = {}, sampler = { method = \"heun\", steps = 2 } }";
        parse_resolved(Path::new("recipe.toml"), text).unwrap()
    }

    fn options(ranks: Ranks) -> Options {
        Options {
            device: Device::flex(),
            device_name: "cpu".into(),
            plugins: SearchPath::new(&[]),
            progress: ProgressMode::Quiet,
            label: String::new(),
            among: None,
            strict: false,
            ranks,
        }
    }

    /// The answer of the first of so many ranks; the others do `other` until it lets them go.
    fn led<T>(count: usize, other: fn(Value, &Options), act: impl FnOnce(&Ranks) -> T) -> T {
        let mut links = threads(count).into_iter();
        let first = links.next().unwrap();
        std::thread::scope(|scope| {
            for link in links {
                scope.spawn(move || {
                    let ranks = Ranks::join(Box::new(link), "there").unwrap();
                    sextant_train::reduce::follow(&options(ranks), other).unwrap();
                });
            }
            let ranks = Ranks::join(Box::new(first), "here").unwrap();
            let answer = act(&ranks);
            ranks.dismiss();
            answer
        })
    }

    fn with_crew<T>(ranks: &Ranks, act: impl FnOnce(Result<Crew, Error>, &Dataset) -> T) -> T {
        let (recipe, dataset, device) = (recipe(), fixture::emoji_of(8), Device::flex());
        let judges = judges(&recipe, &dataset, &device).unwrap();
        let subject = Subject {
            recipe: &recipe,
            dataset: &dataset,
            network: fixture::network(1, &device),
            step: 1,
            file: "ema.safetensors".into(),
            identity: None,
            guided: None,
            device: &device,
            ranks,
        };
        act(Crew::call(&subject, &judges), &dataset)
    }

    fn drawn(crew: &Crew) -> Result<Drawn, Error> {
        let labels = (0..150).map(|i| i % 9).collect();
        crew.draw(Drawing::of(&recipe()), labels, crew.hands.judges.len())
    }

    #[test]
    fn several_ranks_draw_and_see_what_one_does() {
        let found = |ranks: &Ranks| {
            with_crew(ranks, |crew, dataset| {
                let crew = crew.unwrap();
                let Drawn { pixels, features } = drawn(&crew).unwrap();
                let ids = &dataset.train()[..200];
                let pooled = crew.pool(ids, 0.3, &[0, 2]).unwrap();
                (pixels, features, crew.look(0, ids).unwrap(), pooled)
            })
        };
        let one = found(&Ranks::default());
        assert!(one.3.len() == 2 && one.3.iter().all(|depth| depth.len() == 200));
        assert_eq!((one.0.len(), one.2.len()), (150 * 192, 200));
        assert!(one.1.iter().all(|features| features.len() == 150));
        for count in [2, 4] {
            assert!(led(count, take_part, found) == one, "{count} ranks");
        }
    }

    #[test]
    fn a_rank_that_fails_is_named_and_can_be_asked_again() {
        /// Joins, and fails in its first part.
        fn failing(call: Value, options: &Options) {
            let ranks = &options.ranks;
            let call: Call = serde_json::from_value(call).unwrap();
            call.tensors.iter().for_each(|_| drop(ranks.said(Vec::new).unwrap()));
            ranks.agreed_at_leisure::<_, Error>(Ok(())).unwrap();
            let work: Work = serde_json::from_slice(&ranks.said(Vec::new).unwrap()).unwrap();
            let act = |_| Err(Error::Input("no memory".into()));
            ranks.share(work.parts(), act, |_| Ok(())).unwrap_err();
            assert!(ranks.said(Vec::new).unwrap().is_empty(), "it is let go");
        }
        /// Cannot join.
        fn unready(call: Value, options: &Options) {
            let ranks = &options.ranks;
            let call: Call = serde_json::from_value(call).unwrap();
            call.tensors.iter().for_each(|_| drop(ranks.said(Vec::new).unwrap()));
            ranks
                .agreed_at_leisure::<(), Error>(Err(Error::Input("no judge".into())))
                .unwrap_err();
        }
        let said = led(2, failing, |ranks| {
            let fails = || {
                with_crew(ranks, |crew, _| {
                    drawn(&crew.unwrap()).map(|_| ()).unwrap_err().to_string()
                })
            };
            [fails(), fails()]
        });
        assert_eq!(said, ["rank 1 on there: no memory"; 2]);
        let said = led(2, unready, |ranks| {
            with_crew(ranks, |crew, _| crew.map(|_| ()).unwrap_err().to_string())
        });
        assert_eq!(said, "rank 1 on there: no judge");
    }
}
