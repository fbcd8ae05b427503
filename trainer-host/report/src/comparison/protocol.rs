//! Checks that runs were measured in the same way: only then do their numbers compare.

use std::path::Path;

use serde_json::Value;

use super::difference;
use super::entry::Entry;
use crate::Error;
use sextant_recipe::{Change, Recipe};
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
    /// SHA-256 of the autoencoder whose latents of these pixels it trains on.
    pub encoded_by: Option<&'a str>,
    /// The judges of its samples; none where nobody has, and empty where they are known by the recipe alone.
    pub judges: Option<&'a [JudgeIdentity]>,
    /// SHA-256 of what its samples were compared with, where that is not the data.
    pub reference: Option<&'a str>,
}

impl<'a> Protocol<'a> {
    /// The protocol of a run on disk.
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            folder: entry.folder.path(),
            recipe: &entry.recipe,
            data: &entry.info.data,
            encoded_by: entry.info.encoded_by.as_deref(),
            judges: (entry.evaluation.as_ref().filter(|_| entry.is_judged())).map(|e| e.judges.as_slice()),
            reference: (entry.evaluation.as_ref())
                .and_then(|e| e.reference.as_ref())
                .map(|reference| reference.fingerprint.as_str()),
        }
    }

    /// Refuses another run with the first of these differences.
    fn refuse(&self, other: &Self, what: &'static str, difference: Option<Change>) -> Result<(), Error> {
        difference.map_or(Ok(()), |difference| {
            let difference = difference::between(&difference, self.folder, other.folder);
            Err(Error::Incomparable { what, difference })
        })
    }

    /// Refuses another run that has one of these keys otherwise.
    fn same_keys(&self, other: &Self, what: &'static str, keys: &[&str]) -> Result<(), Error> {
        let values = [self, other].map(|run| difference::value(run.recipe));
        let difference = |key: &&str| {
            let pointer = format!("/{}", key.replace('.', "/"));
            let [one, other] = values
                .each_ref()
                .map(|value| value.pointer(&pointer).unwrap_or(&Value::Null));
            difference::first(one, other, key)
        };
        self.refuse(other, what, keys.iter().find_map(difference))
    }
}

/// Refuses runs of which the numbers do not compare.
///
/// # Errors
/// Two runs with other data, another split, another validation set, or other judges or samples, with what differs.
pub fn same(all: &[Protocol<'_>]) -> Result<(), Error> {
    each_with_first(
        all,
        |_| true,
        |one, other| {
            one.same_data(other)?;
            one.same_keys(other, "the validation set", &["evaluation.images", "evaluation.times"])?;
            // Losses of other targets are no more of one unit than metres and seconds.
            let keys = ["diffusion.path", "diffusion.prediction"];
            one.same_keys(other, "what the validation loss measures", &keys)
        },
    )?;
    let is_probed = |run: &Protocol| run.recipe.evaluation.representations.is_some();
    each_with_first(all, is_probed, |one, other| {
        // Probes that were fitted on more images know more.
        let keys = ["evaluation.representations.times", "evaluation.representations.images"];
        one.same_keys(other, "how representations were measured", &keys)
    })?;
    each_with_first(
        all,
        |run| run.judges.is_some(),
        |one, other| {
            one.same_judges(other)?;
            one.same_reference(other)?;
            let keys = [
                "evaluation.quality.samples",
                "evaluation.quality.scales",
                "evaluation.quality.sweep_samples",
                "evaluation.sampler",
            ];
            one.same_keys(other, "how samples were drawn and scored", &keys)
        },
    )
}

/// Checks all runs of a kind against the first of them.
fn each_with_first(
    all: &[Protocol<'_>],
    kind: impl Fn(&Protocol) -> bool,
    check: impl Fn(&Protocol, &Protocol) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut of_kind = all.iter().filter(|run| kind(run));
    let Some(first) = of_kind.next() else { return Ok(()) };
    of_kind.try_for_each(|other| check(first, other))
}

impl Protocol<'_> {
    fn same_data(&self, other: &Self) -> Result<(), Error> {
        if self.data == other.data && self.encoded_by == other.encoded_by {
            return Ok(());
        }
        self.same_keys(other, "the split of the data", &["data.split_seed"])?;
        self.same_keys(other, "the data", &["data"])?;
        let (key, [from, to]) = match self.data == other.data {
            true => (
                "the fingerprint of the autoencoder",
                [self, other].map(|run| run.encoded_by.into()),
            ),
            false => ("the fingerprint", [self, other].map(|run| run.data.into())),
        };
        let key = key.into();
        self.refuse(other, "the data", Some(Change { key, from, to }))
    }

    /// True of runs whose judges are known by their recipes alone.
    fn are_planned(&self, other: &Self) -> bool {
        [self, other]
            .iter()
            .all(|run| run.judges.unwrap_or_default().is_empty())
    }

    fn same_reference(&self, other: &Self) -> Result<(), Error> {
        const WHAT: &str = "what samples are compared with";
        const KEY: &str = "evaluation.quality.reference";
        if self.are_planned(other) {
            return self.same_keys(other, WHAT, &[KEY]);
        }
        // By content, wherever its file lies.
        let [from, to] = [self, other].map(|run| run.reference.map_or("the data".into(), Value::from));
        let key = format!("the fingerprint of {KEY}");
        self.refuse(other, WHAT, difference::first(&from, &to, &key))
    }

    fn same_judges(&self, other: &Self) -> Result<(), Error> {
        const WHAT: &str = "who judges";
        let judges = [self, other].map(|run| run.judges.unwrap_or_default());
        if self.are_planned(other) {
            return self.same_keys(other, WHAT, &["evaluation.quality.judges"]);
        }
        let names = judges.map(|judges| -> Value { judges.iter().map(|judge| judge.name.clone()).collect() });
        let listed = difference::first(&names[0], &names[1], "").map(|_| Change {
            key: "the list of judges".into(),
            from: names[0].clone(),
            to: names[1].clone(),
        });
        self.refuse(other, WHAT, listed)?;
        for (one, theirs) in judges[0].iter().zip(judges[1]) {
            let key = format!("the fingerprint of judge \"{}\"", one.name);
            let [first, second] = [one, theirs].map(|judge| Value::from(judge.fingerprint.clone()));
            self.refuse(other, WHAT, difference::first(&first, &second, &key))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use sextant_recipe::{DataConfig, Prediction, QualityRecipe, RepresentationsRecipe};

    fn judge(name: &str, fingerprint: &str) -> JudgeIdentity {
        JudgeIdentity {
            name: name.into(),
            fingerprint: fingerprint.into(),
            ..JudgeIdentity::default()
        }
    }

    /// The error of two runs in folders A and B, of which B was changed in this way; empty where they compare.
    fn error(change: impl Fn(&mut Recipe), data: &str, judges: [Option<&[JudgeIdentity]>; 2]) -> String {
        let mut recipe = fixture::recipe(0, None);
        recipe.evaluation.quality = Some(QualityRecipe::default());
        recipe.evaluation.representations = Some(RepresentationsRecipe::default());
        let mut changed = recipe.clone();
        change(&mut changed);
        refusal([&recipe, &changed], data, judges, [None; 2])
    }

    /// The same of two recipes and references.
    fn refusal(
        recipes: [&Recipe; 2],
        data: &str,
        judges: [Option<&[JudgeIdentity]>; 2],
        references: [Option<&str>; 2],
    ) -> String {
        let protocol = |folder, i: usize, data| Protocol {
            folder: Path::new(folder),
            recipe: recipes[i],
            data,
            encoded_by: None,
            judges: judges[i],
            reference: references[i],
        };
        let all = [protocol("A", 0, "f00"), protocol("B", 1, data)];
        same(&all).map_or_else(|e| e.to_string(), |()| String::new())
    }

    #[test]
    fn another_reference_is_not_comparable_and_another_place_of_one_is() {
        let of = |path: Option<&str>| {
            let mut recipe = fixture::recipe(0, None);
            recipe.evaluation.quality = Some(QualityRecipe {
                reference: path.map(Into::into),
                ..QualityRecipe::default()
            });
            recipe
        };
        let (here, there, data) = (of(Some("here.npz")), of(Some("there.npz")), of(None));
        let judge = [judge("inception", "aa")];
        let judged = [Some(&judge[..]); 2];
        assert_eq!(refusal([&here, &there], "f00", judged, [Some("cc"); 2]), "");
        let said = refusal([&here, &here], "f00", judged, [Some("cc"), Some("dd")]);
        for words in ["what samples are compared with", "is \"cc\" in A and \"dd\" in B"] {
            assert!(said.contains(words), "{words} in {said}");
        }
        let said = refusal([&here, &data], "f00", judged, [Some("cc"), None]);
        assert!(said.contains("is \"cc\" in A and \"the data\" in B"), "{said}");
        let said = refusal([&here, &there], "f00", [Some(&[][..]); 2], [None; 2]);
        assert!(said.contains("evaluation.quality.reference"), "{said}");
    }

    #[test]
    fn both_values_and_both_folders_are_named() {
        type Change = fn(&mut Recipe);
        let cases: [(Change, &str, &str); 6] = [
            (
                |r| r.data = DataConfig::emoji(8, 5),
                "f11",
                "data.split_seed is 0 in A and 5 in B",
            ),
            (
                |r| r.data = DataConfig::emoji(16, 0),
                "f11",
                "data.size is 8 in A and 16 in B",
            ),
            (|_| {}, "f11", "\"f00\" in A and \"f11\" in B"),
            (
                |r| r.evaluation.times = 77,
                "f00",
                "evaluation.times is 2 in A and 77 in B",
            ),
            (
                |r| r.diffusion.prediction = Prediction::Data,
                "f00",
                "what the validation loss measures differs: diffusion.prediction",
            ),
            (
                |r| r.evaluation.representations.as_mut().unwrap().images = 20,
                "f00",
                "evaluation.representations.images is 0 in A and 20 in B",
            ),
        ];
        for (change, data, words) in cases {
            let said = error(change, data, [None, None]);
            assert!(said.contains(words), "{words} in {said}");
        }
    }

    #[test]
    fn judges_are_compared_where_both_have_judged() {
        let (one, two) = ([judge("embedded", "aa")], [judge("embedded", "bb")]);
        let both = [judge("embedded", "aa"), judge("untrained", "cc")];
        let fewer = |r: &mut Recipe| r.evaluation.quality.as_mut().unwrap().samples = 20;
        let none = |_: &mut Recipe| {};
        for (said, words) in [
            (
                error(none, "f00", [Some(&one), Some(&two)]),
                "judge \"embedded\" is \"aa\" in A and \"bb\" in B",
            ),
            (
                error(none, "f00", [Some(&one), Some(&both)]),
                "[\"embedded\"] in A and [\"embedded\",\"untrained\"] in B",
            ),
            (
                error(fewer, "f00", [Some(&one), Some(&one)]),
                "evaluation.quality.samples is 360 in A and 20 in B",
            ),
            (
                // Planned judges are those of the recipes.
                error(
                    |r| r.evaluation.quality.as_mut().unwrap().judges.truncate(1),
                    "f00",
                    [Some(&[]), Some(&[])],
                ),
                "evaluation.quality.judges",
            ),
        ] {
            assert!(said.contains(words), "{words} in {said}");
        }
        assert_eq!(error(none, "f00", [Some(&one), None]), "");
        assert_eq!(error(fewer, "f00", [Some(&one), None]), "");
    }

    #[test]
    fn what_variants_are_for_may_differ() {
        let other = |r: &mut Recipe| {
            r.phases[0].steps = 9000;
            r.optimiser.lr = 1.0;
            r.evaluation.every = 1;
            r.evaluation.representations = None;
        };
        assert_eq!(error(other, "f00", [None, None]), "");
    }
}
