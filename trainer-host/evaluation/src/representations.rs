//! Content of each depth of a trained network: which classes can be read off it, and how like another network it sees.
//!
//! Images are diffused to several times and the **null class** is told, or the label would leak through the modulation.
//! An image's features are the mean of its tokens.

use super::extraction::at;
use rayon::prelude::*;

use crate::Error;
use sextant_data::Dataset;
use sextant_model::Sit;
use sextant_recipe::RepresentationsRecipe;
use sextant_records::evaluation::{Alignment, Probing, Representations};
use sextant_stats::measure::{Features, Labelled, MeasureError, cknna, linear_probe};

/// Finer classes with fewer images than this in the whole set are not probed.
const ENOUGH: usize = 10;

/// Neighbours that count for CKNNA (arXiv 2405.07987).
const NEIGHBOURS: usize = 10;

/// Everything but the pictures: `maps` is empty.
///
/// `pooled` answers the features of images of the data at a time, `[images, D]` for each of the depths. `other` is a network that guided
/// nobody: its name, and its features of the clean held-out images, in the order of [`Dataset::held_out`].
///
/// # Errors
/// Those of `pooled`, data too few for a measure.
pub fn representations(
    network: &Sit,
    dataset: &Dataset,
    recipe: &RepresentationsRecipe,
    pooled: impl Fn(&[usize], f64, &[usize]) -> Result<Vec<Features>, Error>,
    other: (&str, &Features),
) -> Result<Representations, Error> {
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
        let known = pooled(&training, t, &depths)?;
        let judged = pooled(held_out, t, &depths)?;
        let measure = |&depth: &usize| {
            let training = (&known[depth], &training[..]);
            let probing = probe(depth, t, training, (&judged[depth], held_out), &classes);
            let cknna = cknna(&judged[depth], other.1, NEIGHBOURS);
            let both = probing.and_then(|probing| {
                Ok((
                    probing,
                    Alignment {
                        depth,
                        t,
                        cknna: cknna?,
                    },
                ))
            });
            both.map_err(|error| at(depth, t, error))
        };
        let of_depths = depths.par_iter().map(measure).collect::<Result<Vec<_>, Error>>()?;
        let (probes, alignment): (Vec<_>, Vec<_>) = of_depths.into_iter().unzip();
        found.probes.extend(probes);
        found.alignment.extend(alignment);
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
    let found = linear_probe(known, judged)?;
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

    fn found(dataset: &Dataset, network: &Sit) -> Representations {
        let device = Device::flex();
        let extraction = fixture::extraction(dataset, &device);
        let other = fixture::pixels(dataset, dataset.held_out());
        let pooled = |ids: &[usize], t, depths: &[usize]| fixture::pooled(extraction, network, ids, t, depths);
        representations(network, dataset, &recipe(), pooled, ("pixels", &other)).unwrap()
    }

    #[test]
    fn every_depth_and_time_is_measured_and_twice_alike() {
        let dataset = fixture::dataset();
        let network = fixture::network(1, &Device::flex());
        let first = found(&dataset, &network);
        assert_eq!((first.training, first.held_out), (150, dataset.held_out().len()));
        assert_eq!(first.compared_with, "pixels");
        let places = |at: &dyn Fn(usize) -> (usize, f64)| (0..6).map(at).collect::<Vec<_>>();
        let wanted = [(0, 0.5), (0, 0.2), (1, 0.5), (1, 0.2), (2, 0.5), (2, 0.2)];
        assert_eq!(places(&|i| (first.probes[i].depth, first.probes[i].t)), wanted);
        assert_eq!(places(&|i| (first.alignment[i].depth, first.alignment[i].t)), wanted);
        assert!(first.maps.is_empty());
        // Colours alone name more than the commonest class does, at little noise.
        assert!(first.probes[1].accuracy > first.probes[1].chance, "{:?}", first.probes);
        assert!(
            first.alignment[1].cknna > first.alignment[0].cknna,
            "{:?}",
            first.alignment
        );
        assert_eq!(found(&dataset, &network), first);
    }

    #[test]
    fn the_network_is_never_told_a_class() {
        let network = fixture::network(1, &Device::flex());
        let other_classes = fixture::dataset_of(|labels| labels.iter_mut().for_each(|label| *label = 8 - *label));
        let (plain, relabelled) = (fixture::dataset(), other_classes);
        assert_ne!(plain.labels(), relabelled.labels());
        assert_eq!(found(&plain, &network), found(&relabelled, &network));
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
        let dataset = fixture::emoji_of(8);
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
}
