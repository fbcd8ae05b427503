//! Checks that runs were measured in the same way: only then do their numbers compare.

use std::path::Path;

use serde_json::Value;

use super::difference::{self, Difference};
use super::entry::Entry;
use crate::Error;
use sextant_recipe::Recipe;
use sextant_records::evaluation::JudgeIdentity;

/// All that a run's numbers depend on beside its network.
#[derive(Debug, Clone, Copy)]
pub struct Protocol<'a> {
    /// The folder of the run, now or later.
    pub folder: &'a Path,
    /// Its recipe.
    pub recipe: &'a Recipe,
    /// SHA-256 of its data, split included.
    pub data: &'a str,
    /// Who judged its samples; none where nobody has, and empty where they are known by the recipe alone.
    pub judges: Option<&'a [JudgeIdentity]>,
}

impl<'a> Protocol<'a> {
    /// The protocol of a run on disk.
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            folder: entry.folder.path(),
            recipe: &entry.recipe,
            data: &entry.info.data,
            judges: entry
                .evaluation
                .as_ref()
                .filter(|_| entry.is_judged())
                .map(|e| e.judges.as_slice()),
        }
    }
}

/// Refuses runs of which the numbers do not compare.
///
/// # Errors
/// Two runs with other data, another split, another validation set, or other judges or samples, with what differs.
pub fn same(all: &[Protocol<'_>]) -> Result<(), Error> {
    if let Some((first, others)) = all.split_first() {
        others.iter().try_for_each(|other| same_data(first, other))?;
    }
    let mut probed = all.iter().filter(|p| p.recipe.evaluation.representations.is_some());
    if let Some(first) = probed.next() {
        probed.try_for_each(|other| same_probes(first, other))?;
    }
    let judged: Vec<_> = all.iter().filter_map(|p| Some((p, p.judges?))).collect();
    if let Some(((first, judges), others)) = judged.split_first() {
        for (other, theirs) in others {
            match judges.is_empty() && theirs.is_empty() {
                true => same_keys("who judges", first, other, &["evaluation.quality.judges"])?,
                false => same_judges(first, judges, other, theirs)?,
            }
            same_sampling(first, other)?;
        }
    }
    Ok(())
}

fn refused(what: &'static str, difference: String) -> Error {
    Error::Incomparable { what, difference }
}

/// Refuses two runs on the first of these keys that they have otherwise.
fn same_keys(what: &'static str, one: &Protocol<'_>, other: &Protocol<'_>, keys: &[&str]) -> Result<(), Error> {
    let (a, b) = (difference::value(one.recipe)?, difference::value(other.recipe)?);
    match keys.iter().find_map(|key| key_difference(&a, &b, key)) {
        Some(difference) => Err(refused(what, difference.between(one.folder, other.folder))),
        None => Ok(()),
    }
}

fn key_difference(one: &Value, other: &Value, key: &str) -> Option<Difference> {
    let pointer = format!("/{}", key.replace('.', "/"));
    let of = |value: &Value| value.pointer(&pointer).cloned().unwrap_or_default();
    difference::first(&of(one), &of(other), key)
}

fn same_data(one: &Protocol<'_>, other: &Protocol<'_>) -> Result<(), Error> {
    if one.data != other.data {
        same_keys("the split of the data", one, other, &["data.split_seed"])?;
        same_keys("the data", one, other, &["data"])?;
        let fingerprints = Difference {
            key: "the fingerprint".into(),
            first: one.data.into(),
            second: other.data.into(),
        };
        return Err(refused("the data", fingerprints.between(one.folder, other.folder)));
    }
    same_keys(
        "the validation set",
        one,
        other,
        &["evaluation.images", "evaluation.times"],
    )?;
    // Losses of other targets are no more of one unit than metres and seconds.
    same_keys(
        "what the validation loss measures",
        one,
        other,
        &["diffusion.path", "diffusion.prediction"],
    )
}

fn same_judges(
    one: &Protocol<'_>,
    judges: &[JudgeIdentity],
    other: &Protocol<'_>,
    theirs: &[JudgeIdentity],
) -> Result<(), Error> {
    let names = |judges: &[JudgeIdentity]| -> Value { judges.iter().map(|judge| judge.name.clone()).collect() };
    let unlike = (0..judges.len().max(theirs.len())).find(|&i| {
        let of = |judges: &[JudgeIdentity]| judges.get(i).map(|judge| judge.fingerprint.clone());
        of(judges) != of(theirs)
    });
    let Some(unlike) = unlike else { return Ok(()) };
    let difference = match (judges.get(unlike), theirs.get(unlike)) {
        (Some(a), Some(b)) if a.name == b.name => Difference {
            key: format!("the fingerprint of judge \"{}\"", a.name),
            first: a.fingerprint.clone().into(),
            second: b.fingerprint.clone().into(),
        },
        _ => Difference {
            key: "the list of judges".into(),
            first: names(judges),
            second: names(theirs),
        },
    };
    Err(refused("who judges", difference.between(one.folder, other.folder)))
}

fn same_sampling(one: &Protocol<'_>, other: &Protocol<'_>) -> Result<(), Error> {
    let keys = [
        "evaluation.quality.samples",
        "evaluation.quality.scales",
        "evaluation.quality.sweep_samples",
        "evaluation.sampler",
    ];
    same_keys("how samples were drawn and scored", one, other, &keys)
}

/// Probes that were fitted on more images know more.
fn same_probes(one: &Protocol<'_>, other: &Protocol<'_>) -> Result<(), Error> {
    let keys = ["evaluation.representations.times", "evaluation.representations.images"];
    same_keys("how representations were measured", one, other, &keys)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use sextant_recipe::DataConfig;
    use sextant_recipe::{QualityRecipe, RepresentationsRecipe};

    fn judge(name: &str, fingerprint: &str) -> JudgeIdentity {
        JudgeIdentity {
            name: name.into(),
            fingerprint: fingerprint.into(),
            description: String::new(),
        }
    }

    /// The error of two runs in folders A and B that were changed in this way.
    fn error(change: impl Fn(&mut Recipe), data: &str, judges: [Option<&[JudgeIdentity]>; 2]) -> String {
        let mut recipe = fixture::recipe(0, None);
        recipe.evaluation.quality = Some(QualityRecipe::default());
        let mut changed = recipe.clone();
        change(&mut changed);
        let protocol = |folder, recipe, data, judges| Protocol {
            folder,
            recipe,
            data,
            judges,
        };
        let all = [
            protocol(Path::new("A"), &recipe, "f00", judges[0]),
            protocol(Path::new("B"), &changed, data, judges[1]),
        ];
        same(&all).map_or_else(|e| e.to_string(), |()| String::new())
    }

    #[test]
    fn both_values_and_both_folders_are_named() {
        let split = |r: &mut Recipe| r.data = DataConfig::Emoji { size: 8, split_seed: 5 };
        assert!(error(split, "f11", [None, None]).contains("data.split_seed is 0 in A and 5 in B"));
        let size = |r: &mut Recipe| {
            r.data = DataConfig::Emoji {
                size: 16,
                split_seed: 0,
            }
        };
        assert!(error(size, "f11", [None, None]).contains("data.size is 8 in A and 16 in B"));
        assert!(error(|_| {}, "f11", [None, None]).contains("\"f00\" in A and \"f11\" in B"));
        let times = |r: &mut Recipe| r.evaluation.times = 77;
        assert!(error(times, "f00", [None, None]).contains("evaluation.times is 2 in A and 77 in B"));
        let prediction = |r: &mut Recipe| r.diffusion.prediction = sextant_recipe::Prediction::Data;
        let said = error(prediction, "f00", [None, None]);
        assert!(
            said.contains("what the validation loss measures differs: diffusion.prediction"),
            "{said}"
        );
    }

    #[test]
    fn judges_are_compared_where_both_have_judged() {
        let (one, two) = ([judge("embedded", "aa")], [judge("embedded", "bb")]);
        let both = [judge("embedded", "aa"), judge("untrained", "cc")];
        let said = error(|_| {}, "f00", [Some(&one), Some(&two)]);
        assert!(
            said.contains("judge \"embedded\" is \"aa\" in A and \"bb\" in B"),
            "{said}"
        );
        let said = error(|_| {}, "f00", [Some(&one), Some(&both)]);
        assert!(
            said.contains("[\"embedded\"] in A and [\"embedded\",\"untrained\"] in B"),
            "{said}"
        );
        assert_eq!(error(|_| {}, "f00", [Some(&one), None]), "");
        let fewer = |r: &mut Recipe| r.evaluation.quality.as_mut().unwrap().samples = 20;
        let said = error(fewer, "f00", [Some(&one), Some(&one)]);
        assert!(
            said.contains("evaluation.quality.samples is 360 in A and 20 in B"),
            "{said}"
        );
        assert_eq!(error(fewer, "f00", [Some(&one), None]), "");
    }

    #[test]
    fn probes_are_compared_where_both_were_fitted() {
        let (few, all) = (Some(20), Some(0));
        let said = |one: Option<usize>, other: Option<usize>| {
            let representations = |images: Option<usize>| {
                let recipe = RepresentationsRecipe::default();
                images.map(|images| RepresentationsRecipe { images, ..recipe })
            };
            let recipes = [one, other].map(|images| {
                let mut recipe = fixture::recipe(0, None);
                recipe.evaluation.representations = representations(images);
                recipe
            });
            let protocols = recipes.each_ref().map(|recipe| Protocol {
                folder: Path::new("A"),
                recipe,
                data: "f00",
                judges: None,
            });
            same(&protocols).map_or_else(|e| e.to_string(), |()| String::new())
        };
        assert!(said(few, all).contains("evaluation.representations.images is 20"));
        assert_eq!((said(few, few), said(few, None), said(None, all)), Default::default());
    }

    #[test]
    fn planned_judges_are_those_of_the_recipes() {
        let fewer = |r: &mut Recipe| r.evaluation.quality.as_mut().unwrap().judges.truncate(1);
        let said = error(fewer, "f00", [Some(&[]), Some(&[])]);
        assert!(said.contains("evaluation.quality.judges"), "{said}");
    }

    #[test]
    fn what_variants_are_for_may_differ() {
        let other = |r: &mut Recipe| {
            r.phases[0].steps = 9000;
            r.optimiser.lr = 1.0;
            r.evaluation.every = 1;
        };
        assert_eq!(error(other, "f00", [None, None]), "");
    }
}
