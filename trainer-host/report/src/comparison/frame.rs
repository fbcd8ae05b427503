//! The frame of a comparison beside its runs: title, variants and their order, baseline, primary score.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::difference;
use super::entry::{Ending, Entry};
use super::gather::RunSet;
use super::record::Record;
use crate::Error;
use sextant_recipe::Score;

/// Wishes for a report beside the folders.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The variant that the others are compared with; by default the first without guidance.
    pub baseline: Option<String>,
    /// The score that decides; by default the one that the recipes declare.
    pub primary: Option<Score>,
    /// The command that makes this report.
    pub command: String,
}

/// The frame of a report.
#[derive(Debug)]
pub struct Frame {
    /// Heading.
    pub title: String,
    /// File names of recipes; may be empty.
    pub recipe: String,
    /// The commands that make the report again.
    pub command: String,
    /// The recipe (TOML) that the overlays change.
    pub base: String,
    /// Names and overlays of the variants, in order.
    pub variants: Vec<(String, String)>,
    /// Variants of the recipes that no run has begun of: they are tests that found nothing.
    pub absent: Vec<String>,
    /// The seeds, in order.
    pub seeds: Vec<u64>,
    /// The variant that the others are compared with; none where all are guided.
    pub baseline: Option<String>,
    /// The score that decides.
    pub primary: Score,
    /// Set where it is another than the recipes declare.
    pub chosen_afterwards: bool,
}

impl Frame {
    /// The frame of these sets. A single comparison is as its recipe has it; several with one base recipe too. Otherwise the
    /// recipes of the variants are shown as differences to the baseline's.
    ///
    /// # Errors
    /// Seeds of one variant that were trained by other recipes; recipes that declare other primary scores; a baseline that is not
    /// there.
    pub fn new(sets: &[RunSet], request: &Request) -> Result<Self, Error> {
        let entries: Vec<&Entry> = sets.iter().flat_map(|set| &set.entries).collect();
        let records: Vec<&Record> = sets.iter().flat_map(|set| &set.record).collect();
        let known = distinct(
            records
                .iter()
                .flat_map(|record| &record.variants)
                .map(|v| v.name.clone()),
        );
        let (begun, absent): (Vec<String>, Vec<String>) =
            (known.into_iter()).partition(|name| entries.iter().any(|entry| entry.variant == *name));
        let mut names = distinct(
            begun
                .into_iter()
                .chain(entries.iter().map(|entry| entry.variant.clone())),
        );
        let is_unguided = |name: &String| entries.iter().any(|e| e.variant == *name && e.is_unguided());
        if records.is_empty() {
            names.sort_by_key(|name| !is_unguided(name));
        }
        let baseline = match &request.baseline {
            Some(asked) if !names.contains(asked) => {
                let (asked, there) = (asked.clone(), names);
                return Err(Error::NoSuchBaseline { asked, there });
            }
            Some(asked) => Some(asked.clone()),
            None => names.iter().find(|name| is_unguided(name)).cloned(),
        };
        same_recipes(&names, &entries)?;
        let (primary, chosen_afterwards) = primary(sets, &entries, request)?;
        let base = records.first().map(|record| &record.base);
        let is_recorded = records.len() == sets.len() && records.iter().all(|record| Some(&record.base) == base);
        if !is_recorded && let Some(baseline) = &baseline {
            names.sort_by_key(|name| name != baseline);
        }
        let of_base = baseline.as_ref().or(names.first());
        let recipe = |name: &String| entries.iter().find(|e| e.variant == *name).map(|e| &e.recipe);
        let own_base = of_base.and_then(recipe).ok_or(Error::NoRun)?;
        let overlay = |name: &String| {
            let mut recorded = records.iter().rev().flat_map(|record| &record.variants);
            match is_recorded {
                true => recorded
                    .find(|variant| variant.name == *name)
                    .map(|variant| variant.overlay.clone()),
                false => recipe(name).map(|recipe| difference::overlay(own_base, recipe)),
            }
        };
        let variants = names
            .iter()
            .map(|name| (name.clone(), overlay(name).unwrap_or_default()));
        let titles = sets.iter().map(|set| match &set.record {
            Some(record) => record.title.clone(),
            None => set.entries[0].recipe.title.clone(),
        });
        let is_one = matches!(sets, [RunSet { record: Some(_), .. }]);
        // In the order of the one comparison, else rising.
        let mut seeds = distinct(entries.iter().map(|entry| entry.seed));
        if !is_one {
            seeds.sort_unstable();
        }
        // The commands that made the runs, and the one that makes the report, unless the first makes this very report.
        let as_made = is_one && request.baseline.is_none() && request.primary.is_none();
        let own = Some(&request.command).filter(|command| !as_made && !command.is_empty());
        let commands = distinct(records.iter().map(|record| record.command.clone()));
        Ok(Self {
            title: distinct(titles).join(" · "),
            recipe: distinct(records.iter().map(|record| record.recipe.clone())).join(", "),
            command: (commands.into_iter().chain(own.cloned()))
                .collect::<Vec<_>>()
                .join("\n"),
            base: match base.filter(|_| is_recorded) {
                Some(base) => base.clone(),
                None => toml::to_string(own_base).expect("what was read as TOML is written as TOML"),
            },
            variants: variants.collect(),
            absent,
            seeds,
            baseline,
            primary,
            chosen_afterwards,
        })
    }
}

/// The values without repetitions, in their order.
pub fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

/// The sets without the runs that one before them has too: a run of the same variant and seed by the same recipe, plugins
/// and data is the same run. The names of those variants come with them.
///
/// # Errors
/// Two runs of one variant and seed that are not the same, with what differs.
pub fn once(mut sets: Vec<RunSet>) -> Result<(Vec<RunSet>, Vec<String>), Error> {
    let mut known = BTreeMap::new();
    let mut twice = Vec::new();
    for set in &mut sets {
        let mut own = Vec::new();
        for entry in set.entries.drain(..) {
            let (run, folder) = (made_by(&entry), entry.folder.path().to_owned());
            match known.get(&(entry.variant.clone(), entry.seed)) {
                None => {
                    known.insert((entry.variant.clone(), entry.seed), (run, folder));
                    own.push(entry);
                }
                Some((before, _)) if *before == run => twice.push(entry.variant),
                Some((before, first)) => {
                    let difference = difference::first(before, &run, "");
                    let difference =
                        difference.map(|found| format!(": {}", difference::between(&found, first, &folder)));
                    return Err(Error::TwoRuns {
                        first: first.clone(),
                        second: folder,
                        variant: entry.variant,
                        seed: entry.seed,
                        difference: difference.unwrap_or_default(),
                    });
                }
            }
        }
        set.entries = own;
    }
    sets.retain(|set| !set.entries.is_empty());
    Ok((sets, distinct(twice)))
}

/// All that a run follows from, and how it ended: another machine or version may end otherwise.
fn made_by(entry: &Entry) -> Value {
    let replaced = entry.info.replaced.iter().map(|replaced| &replaced.library);
    let plugins: Vec<_> = (entry.info.plugins.iter().chain(replaced))
        .map(|library| &library.sha256)
        .collect();
    let end = match &entry.ending {
        Ending::Finished(result) => json!(result.validation_loss),
        Ending::Failed(_) => json!("a failure"),
        Ending::Interrupted(step) | Ending::Running(step) => json!(format!("no end after step {step}")),
    };
    json!({
        "data": entry.info.data,
        "recipe": difference::training(&entry.recipe),
        "plugins": plugins,
        "end": end,
    })
}

/// Seeds of one variant must differ in their seed alone.
fn same_recipes(names: &[String], entries: &[&Entry]) -> Result<(), Error> {
    let training = |entry: &Entry| {
        let mut recipe = entry.recipe.clone();
        recipe.seed = 0;
        difference::training(&recipe)
    };
    for name in names {
        let mut runs = entries.iter().filter(|entry| entry.variant == *name);
        let Some(first) = runs.next() else { continue };
        for other in runs {
            if let Some(difference) = difference::first(&training(first), &training(other), "") {
                return Err(Error::OtherRecipes {
                    variant: name.clone(),
                    difference: difference::between(&difference, first.folder.path(), other.folder.path()),
                });
            }
        }
    }
    Ok(())
}

/// The primary score, and whether another had been declared before the runs.
fn primary(sets: &[RunSet], entries: &[&Entry], request: &Request) -> Result<(Score, bool), Error> {
    // Where, the score in force, the score before the runs.
    let declared = sets.iter().flat_map(|set| -> Vec<(&Path, Score, Score)> {
        match &set.record {
            Some(record) => {
                let before = record.declared.unwrap_or(record.primary);
                vec![(&set.folder, record.primary, before)]
            }
            None => {
                let own = set.entries.iter();
                let own = own.map(|entry| (entry.folder.path(), entry.recipe.evaluation.primary));
                own.map(|(folder, score)| (folder, score, score)).collect()
            }
        }
    });
    let declared: Vec<_> = declared.collect();
    let Some(&(folder, first, _)) = declared.first() else {
        return Err(Error::NoRun);
    };
    let score = match (request.primary, declared.iter().find(|(_, score, _)| *score != first)) {
        (Some(asked), _) if asked.needs_judges() && !entries.iter().any(|entry| entry.is_judged()) => {
            return Err(Error::NotJudged { score: asked.key() });
        }
        (Some(asked), _) => asked,
        (None, None) => first,
        (None, Some((other, score, _))) => {
            return Err(Error::OtherScores {
                first: (first.key(), folder.into()),
                second: (score.key(), (*other).into()),
            });
        }
    };
    Ok((score, declared.iter().any(|(_, _, before)| *before != score)))
}
