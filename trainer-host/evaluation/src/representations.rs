//! Content of each depth of a trained network: which classes can be read off it, how like another network it sees, and
//! how much of what a teacher gives is the label alone.
//!
//! Images are diffused to several times and the **null class** is told, or the label would leak through the modulation.
//! An image's features are the mean of its tokens.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::thread;

use super::extraction::{FeatureExtraction, at};
use super::guided::{Guided, sharpened};
use crate::Error;
use sextant_data::Dataset;
use sextant_model::Sit;
use sextant_recipe::RepresentationsRecipe;
use sextant_records::evaluation::{Alignment, LabelPart, Probing, Representations};
use sextant_stats::measure::{Features, Labelled, MeasureError, ProbeSettings, cknna, label_share, linear_probe};

/// Finer classes with fewer images than this in the whole set are not probed.
const ENOUGH: usize = 10;

/// Neighbours that count for CKNNA (arXiv 2405.07987).
const NEIGHBOURS: usize = 10;

/// Everything but the pictures: `maps` is empty.
///
/// `other` is a network that guided nobody: its name, and its features of the clean held-out images, in the order of
/// [`Dataset::held_out`]. `guided` is what the teacher of the network's last phase gave, if there was one.
///
/// # Errors
/// A network that gives no numbers, data too few for a measure.
pub fn representations(
    network: &Sit,
    extraction: FeatureExtraction,
    recipe: &RepresentationsRecipe,
    other: (&str, &Features),
    guided: Option<&Guided>,
) -> Result<Representations, Error> {
    let dataset = extraction.dataset;
    let (training, held_out) = (spread(dataset.train(), recipe.images), dataset.held_out());
    let classes = Classes::of(dataset, &training);
    let depths: Vec<usize> = (0..=network.config().depth).collect();
    let mut found = Representations {
        training: training.len(),
        held_out: held_out.len(),
        compared_with: other.0.to_owned(),
        ..Default::default()
    };
    for &t in &recipe.times {
        let known = extraction.pooled(network, &training, t, &depths)?;
        let judged = extraction.pooled(network, held_out, t, &depths)?;
        let of_depths = in_parallel(depths.len(), |depth| {
            let probing = probe(
                depth,
                t,
                (&known[depth], &training),
                (&judged[depth], held_out),
                &classes,
            )?;
            Ok((probing, align(depth, t, &judged[depth], other.1)?))
        });
        for (depth, of_depth) in of_depths.into_iter().enumerate() {
            let (probing, alignment) = of_depth.map_err(|error| at(depth, t, error))?;
            found.probes.push(probing);
            found.alignment.push(alignment);
        }
        if let Some(guided) = guided {
            found.label_parts.extend(label_parts(extraction, guided, t)?);
        }
    }
    found.probes.sort_by_key(|probing| probing.depth);
    found.alignment.sort_by_key(|alignment| alignment.depth);
    Ok(found)
}

/// `count` of the images, spread evenly; all for 0.
pub(super) fn spread(ids: &[usize], count: usize) -> Vec<usize> {
    match count {
        0 => ids.to_vec(),
        count if count >= ids.len() => ids.to_vec(),
        count => (0..count).map(|i| ids[i * ids.len() / count]).collect(),
    }
}

/// Of the finer classes that have images enough to be probed, how many the probes are shown no image of; and all of them.
pub(super) fn not_shown(dataset: &Dataset, recipe: &RepresentationsRecipe) -> [usize; 2] {
    let probed = |training: &[usize]| {
        let classes = Classes::of(dataset, training);
        classes.probed.iter().filter(|probed| **probed).count()
    };
    let all = probed(dataset.train());
    [all - probed(&spread(dataset.train(), recipe.images)).min(all), all]
}

/// Classes that a probe has to name: the finer class of an image, or its class where the data has no finer ones.
struct Classes<'a> {
    labels: &'a [i64],
    /// Those that are probed.
    probed: Vec<bool>,
}

impl<'a> Classes<'a> {
    /// Those with at least ten images in the whole set, of which a probe is shown one. Without two such finer classes, all
    /// classes.
    fn of(dataset: &'a Dataset, training: &[usize]) -> Self {
        let common = |labels: &'a [i64], classes: usize, least: usize| {
            let mut shown = vec![false; classes];
            training.iter().for_each(|&id| shown[labels[id] as usize] = true);
            let mut counts = vec![0; classes];
            labels.iter().for_each(|&label| counts[label as usize] += 1);
            let probed = shown
                .into_iter()
                .zip(counts)
                .map(|(shown, count)| shown && count >= least);
            Self {
                labels,
                probed: probed.collect(),
            }
        };
        let finer = common(dataset.sublabels(), dataset.subclass_names().len(), ENOUGH);
        match finer.probed.iter().filter(|probed| **probed).count() {
            0 | 1 => common(dataset.labels(), dataset.class_names().len(), 1),
            _ => finer,
        }
    }

    /// The rows of images whose class is probed, and those classes.
    fn select(&self, features: &Features, ids: &[usize]) -> Result<(Features, Vec<i64>), MeasureError> {
        let label = |row: usize| self.labels[ids[row]];
        let rows: Vec<usize> = (0..ids.len()).filter(|&row| self.probed[label(row) as usize]).collect();
        match rows.is_empty() {
            true => Err(MeasureError::Empty {
                rows: 0,
                width: features.width(),
            }),
            false => Ok((features.select(&rows), rows.into_iter().map(label).collect())),
        }
    }
}

fn probe(
    depth: usize,
    t: f64,
    training: (&Features, &[usize]),
    held_out: (&Features, &[usize]),
    classes: &Classes,
) -> Result<Probing, MeasureError> {
    let (known, judged) = (
        classes.select(training.0, training.1)?,
        classes.select(held_out.0, held_out.1)?,
    );
    let [known, judged] = [&known, &judged].map(|(features, labels)| Labelled { features, labels });
    let found = linear_probe(known, judged, &ProbeSettings::default())?;
    if !found.converged {
        tracing::warn!(
            "the probe at depth {depth}, t = {t} stopped after {} steps short of its minimum",
            found.iterations
        );
    }
    Ok(Probing {
        depth,
        t,
        accuracy: found.accuracy,
        chance: found.chance,
    })
}

fn align(depth: usize, t: f64, features: &Features, other: &Features) -> Result<Alignment, MeasureError> {
    Ok(Alignment {
        depth,
        t,
        cknna: cknna(features, other, NEIGHBOURS)?,
    })
}

/// Shares of the label in the target itself, in the teacher's features with the class (scale 1), and in those with the
/// null class (scale 0): what the image says of its label anyway. On all held-out images.
///
/// A target is a number for every token and channel (the loss is a mean over both), so it is not pooled: all tokens of an
/// image are columns of its row.
fn label_parts(extraction: FeatureExtraction, guided: &Guided, t: f64) -> Result<Vec<LabelPart>, Error> {
    let ids = extraction.dataset.held_out();
    let labels = labels_of(extraction.dataset, ids);
    let [conditional, unconditional] = extraction.guided(guided, ids, t)?;
    let mut scales = vec![0.0, 1.0];
    scales.extend(guided.scale.filter(|scale| !scales.contains(scale)));
    let of = |scale: f64| {
        let target = sharpened(&conditional, &unconditional, scale)?;
        let whole = Features::new(target.values().to_vec(), target.values().len() / ids.len())?;
        Ok(LabelPart {
            target: format!("teacher, depth {}, scale {scale}", guided.depth),
            t,
            // Below 0 by chance where there is nothing.
            share: label_share(&whole, &labels)?.omega_squared.max(0.0),
        })
    };
    let parts = scales.into_iter().map(of).collect::<Result<_, MeasureError>>();
    parts.map_err(|error| at(guided.depth, t, error))
}

/// Share of the label in an encoder's features of the held-out images, all tokens of an image in its row. An encoder sees them clean:
/// there is one such share, that of t = 0.
///
/// # Errors
/// A share that is not defined.
pub(super) fn encoder_part(dataset: &Dataset, features: &Features) -> Result<LabelPart, Error> {
    let found = label_share(features, &labels_of(dataset, dataset.held_out()));
    let found = found.map_err(|error| Error::Failed(format!("the encoder's features: {error}")))?;
    Ok(LabelPart {
        target: "encoder's features".into(),
        t: 0.0,
        // Below 0 by chance where there is nothing.
        share: found.omega_squared.max(0.0),
    })
}

fn labels_of(dataset: &Dataset, ids: &[usize]) -> Vec<i64> {
    ids.iter().map(|&id| dataset.labels()[id]).collect()
}

/// `work` of 0..count, in that order, on as many threads as there are cores. What each gives depends on nothing but its number.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(count);
    let mut done: BTreeMap<usize, T> = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                let work = &work;
                scope.spawn(move || {
                    let numbers = (first..count).step_by(threads);
                    numbers.map(|number| (number, work(number))).collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    done.into_values().collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::fixture;
    use super::*;

    fn recipe() -> RepresentationsRecipe {
        RepresentationsRecipe {
            times: vec![0.5, 0.2],
            images: 150,
            pictures: 2,
        }
    }

    fn found(dataset: &Dataset, network: &Sit, guided: Option<&Guided>) -> Representations {
        let device = Device::flex();
        let extraction = fixture::extraction(dataset, &device);
        let other = fixture::pixels(dataset, dataset.held_out());
        representations(network, extraction, &recipe(), ("pixels", &other), guided).unwrap()
    }

    #[test]
    fn every_depth_and_time_is_measured_and_twice_alike() {
        let dataset = fixture::dataset();
        let network = fixture::network(1, &Device::flex());
        let first = found(&dataset, &network, None);
        assert_eq!((first.training, first.held_out), (150, dataset.held_out().len()));
        assert_eq!(first.compared_with, "pixels");
        let places = |at: &dyn Fn(usize) -> (usize, f64)| (0..6).map(at).collect::<Vec<_>>();
        let wanted = [(0, 0.5), (0, 0.2), (1, 0.5), (1, 0.2), (2, 0.5), (2, 0.2)];
        assert_eq!(places(&|i| (first.probes[i].depth, first.probes[i].t)), wanted);
        assert_eq!(places(&|i| (first.alignment[i].depth, first.alignment[i].t)), wanted);
        assert!(first.label_parts.is_empty() && first.maps.is_empty());
        // Colours alone name more than the commonest class does, at little noise.
        assert!(first.probes[1].accuracy > first.probes[1].chance, "{:?}", first.probes);
        assert!(
            first.alignment[1].cknna > first.alignment[0].cknna,
            "{:?}",
            first.alignment
        );
        assert_eq!(found(&dataset, &network, None), first);
    }

    #[test]
    fn the_network_is_never_told_a_class() {
        let network = fixture::network(1, &Device::flex());
        let other_classes = fixture::dataset_of(|labels| labels.iter_mut().for_each(|label| *label = 8 - *label));
        let (plain, relabelled) = (fixture::dataset(), other_classes);
        assert_ne!(plain.labels(), relabelled.labels());
        assert_eq!(found(&plain, &network, None), found(&relabelled, &network, None));
    }

    #[test]
    fn the_labels_share_grows_with_the_scale() {
        let dataset = fixture::dataset();
        let (network, teacher) = (
            fixture::network(1, &Device::flex()),
            fixture::network(2, &Device::flex()),
        );
        let guided = Guided {
            network: &teacher,
            depth: 2,
            scale: Some(30.0),
        };
        let parts = found(&dataset, &network, Some(&guided)).label_parts;
        let targets: Vec<&str> = parts.iter().map(|part| part.target.as_str()).collect();
        assert_eq!(
            targets[..3],
            [
                "teacher, depth 2, scale 0",
                "teacher, depth 2, scale 1",
                "teacher, depth 2, scale 30"
            ]
        );
        assert_eq!(parts.len(), 6);
        let shares: Vec<f64> = parts.iter().map(|part| part.share).collect();
        assert!(
            shares[0] < shares[1] && shares[1] < shares[2] && shares[2] < 1.0,
            "{shares:?}"
        );
        let unknown = Guided { scale: None, ..guided };
        assert_eq!(found(&dataset, &network, Some(&unknown)).label_parts.len(), 4);
    }

    #[test]
    fn a_guide_that_knows_the_label_alone_is_explained_by_it() {
        let dataset = fixture::dataset();
        let part = |value: &dyn Fn(usize) -> f64| {
            let values = dataset.held_out().iter().map(|&id| value(id)).collect();
            encoder_part(&dataset, &Features::new(values, 1).unwrap())
        };
        let known = part(&|id| dataset.labels()[id] as f64).unwrap();
        assert_eq!((known.target.as_str(), known.t), ("encoder's features", 0.0));
        assert!((known.share - 1.0).abs() < 1e-9, "{known:?}");
        assert!(part(&|id| (id % 2) as f64).unwrap().share < 0.5);
        let message = part(&|_| 1.0).unwrap_err().to_string();
        assert!(message.contains("encoder's features"), "{message}");
    }

    #[test]
    fn a_depth_that_the_teacher_lacks_is_an_error() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let network = fixture::network(1, &device);
        let other = fixture::pixels(&dataset, dataset.held_out());
        let guided = Guided {
            network: &network,
            depth: 3,
            scale: None,
        };
        let extraction = fixture::extraction(&dataset, &device);
        let error = representations(&network, extraction, &recipe(), ("pixels", &other), Some(&guided)).unwrap_err();
        assert!(error.to_string().contains("has 2 blocks"), "{error}");
    }

    #[test]
    fn features_of_other_images_are_refused() {
        let (dataset, device) = (fixture::dataset(), Device::flex());
        let network = fixture::network(1, &device);
        let other = fixture::pixels(&dataset, &dataset.held_out()[1..]);
        let extraction = fixture::extraction(&dataset, &device);
        let error = representations(&network, extraction, &recipe(), ("pixels", &other), None).unwrap_err();
        assert!(error.to_string().contains("row by row"), "{error}");
    }

    #[test]
    fn rare_finer_classes_are_not_probed() {
        let dataset = fixture::dataset();
        let classes = Classes::of(&dataset, dataset.train());
        let count = |class| dataset.sublabels().iter().filter(|&&label| label == class).count();
        for (class, &probed) in classes.probed.iter().enumerate() {
            assert_eq!(probed, count(class as i64) >= 10, "{class}");
        }
        // One that no training image shows is not probed either.
        let first = (0..).find(|&class| classes.probed[class]).unwrap();
        let of_first = |id: &usize| dataset.sublabels()[*id] == first as i64;
        let without: Vec<usize> = dataset.train().iter().copied().filter(|id| !of_first(id)).collect();
        assert!(!Classes::of(&dataset, &without).probed[first]);
    }

    #[test]
    fn the_whole_set_of_emoji_has_58_finer_classes_to_probe() {
        let dataset = Dataset::from_images(sextant_data::emoji(8).unwrap(), 0).unwrap();
        let classes = Classes::of(&dataset, dataset.train());
        assert_eq!(classes.probed.iter().filter(|probed| **probed).count(), 58);
    }

    #[test]
    fn where_there_are_no_finer_classes_the_classes_are_probed() {
        let mut images = fixture::images();
        images.sublabels.iter_mut().for_each(|label| *label = 0);
        let dataset = Dataset::from_images(images, 0).unwrap();
        let classes = Classes::of(&dataset, dataset.train());
        assert_eq!(classes.labels, dataset.labels());
        assert!(classes.probed.iter().filter(|probed| **probed).count() > 1);
    }

    #[test]
    fn images_are_spread_evenly() {
        let ids: Vec<usize> = (10..20).collect();
        assert_eq!(spread(&ids, 0), ids);
        assert_eq!(spread(&ids, 99), ids);
        assert_eq!(spread(&ids, 4), [10, 12, 15, 17]);
    }

    #[test]
    fn work_keeps_its_order() {
        assert_eq!(in_parallel(0, |i| i), [] as [usize; 0]);
        assert_eq!(in_parallel(7, |i| i * i), [0, 1, 4, 9, 16, 25, 36]);
    }
}
