//! The frame of a comparison beside its runs: title, variants and their order, baseline, primary score.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::difference;
use super::entry::{Ending, Entry};
use super::gather::Source;
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
    /// The frame of these sources. A single comparison is as its recipe has it; several with one base recipe too. Otherwise the
    /// recipes of the variants are shown as differences to the baseline's.
    ///
    /// # Errors
    /// Two runs of one variant and seed; seeds of one variant that were trained by other recipes; recipes that declare
    /// other primary scores; a baseline that is not there.
    pub fn new(sources: &[Source], request: &Request) -> Result<Self, Error> {
        let entries: Vec<&Entry> = sources.iter().flat_map(|source| &source.entries).collect();
        once_each(&entries)?;
        let mut names = order(sources, &entries);
        let baseline = baseline(&names, &entries, request)?;
        same_recipes(&names, &entries)?;
        let (declared, chosen_afterwards) = primary(sources, &entries, request)?;
        let recorded = recorded(sources);
        if recorded.is_none()
            && let Some(baseline) = &baseline
        {
            names.sort_by_key(|name| name != baseline);
        }
        let first = |name: &str| entries.iter().find(|entry| entry.variant == name);
        let (base, overlays) = match recorded {
            Some(recorded) => recorded,
            None => {
                let base = baseline
                    .as_deref()
                    .or(names.first().map(String::as_str))
                    .and_then(first);
                let base = &base.ok_or(Error::NoRun)?.recipe;
                let mut overlays = BTreeMap::new();
                for name in &names {
                    if let Some(entry) = first(name) {
                        overlays.insert(name.clone(), difference::overlay(base, &entry.recipe)?);
                    }
                }
                (
                    toml::to_string(base).map_err(|e| Error::Text {
                        what: "a recipe",
                        reason: e.to_string(),
                    })?,
                    overlays,
                )
            }
        };
        let variants = names.into_iter().map(|name| {
            let overlay = overlays.get(&name).cloned().unwrap_or_default();
            (name, overlay)
        });
        let variants = variants.collect();
        let titles = sources.iter().map(|source| match &source.record {
            Some(record) => record.title.clone(),
            None => source.entries[0].recipe.title.clone(),
        });
        let recipes = sources
            .iter()
            .filter_map(|source| Some(source.record.as_ref()?.recipe.clone()));
        Ok(Self {
            title: distinct(titles).join(" · "),
            recipe: distinct(recipes).join(", "),
            command: command(sources, request),
            base,
            variants,
            absent: absent(sources, &entries),
            seeds: seeds(sources, &entries),
            baseline,
            primary: declared,
            chosen_afterwards,
        })
    }
}

/// The values without repetitions, in their order.
pub fn distinct(values: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

fn once_each(entries: &[&Entry]) -> Result<(), Error> {
    let mut known: BTreeMap<(&str, u64), &Entry> = BTreeMap::new();
    for entry in entries {
        if let Some(before) = known.insert((&entry.variant, entry.seed), entry) {
            let (first, second) = (before.folder.path(), entry.folder.path());
            let difference = difference::first(&made_by(before)?, &made_by(entry)?, "");
            let difference = difference.map(|difference| format!(": {}", difference.between(first, second)));
            return Err(Error::TwoRuns {
                first: first.into(),
                second: second.into(),
                variant: entry.variant.clone(),
                seed: entry.seed,
                difference: difference.unwrap_or_default(),
            });
        }
    }
    Ok(())
}

/// The sources without the runs that one before them has too: a run of the same variant and seed by the same recipe, plugins
/// and data is the same run. The names of those variants come with them.
///
/// # Errors
/// A recipe that cannot be written down.
pub fn once(sources: Vec<Source>) -> Result<(Vec<Source>, Vec<String>), Error> {
    let mut known: BTreeMap<(String, u64), Value> = BTreeMap::new();
    let mut twice = Vec::new();
    let mut kept = Vec::new();
    for mut source in sources {
        let mut own = Vec::new();
        for entry in source.entries {
            let made_by = made_by(&entry)?;
            let key = (entry.variant.clone(), entry.seed);
            match known.get(&key) {
                Some(before) if *before == made_by => twice.push(entry.variant),
                // Of two that differ, `Frame::new` says so.
                _ => {
                    known.insert(key, made_by);
                    own.push(entry);
                }
            }
        }
        source.entries = own;
        if !source.entries.is_empty() {
            kept.push(source);
        }
    }
    Ok((kept, distinct(twice)))
}

/// All that a run follows from, and how it ended: another machine or version may end otherwise.
fn made_by(entry: &Entry) -> Result<Value, Error> {
    let replaced = entry.info.replaced.iter().map(|replaced| &replaced.library);
    let plugins: Vec<_> = (entry.info.plugins.iter().chain(replaced))
        .map(|library| &library.sha256)
        .collect();
    let end = match &entry.ending {
        Ending::Finished(result) => json!(result.validation_loss),
        Ending::Failed(_) => json!("a failure"),
        Ending::Interrupted(step) => json!(format!("an interrupt after step {step}")),
    };
    Ok(json!({
        "data": entry.info.data,
        "recipe": difference::training(&entry.recipe)?,
        "plugins": plugins,
        "end": end,
    }))
}

/// The variants that records name and no run has begun of.
fn absent(sources: &[Source], entries: &[&Entry]) -> Vec<String> {
    let records = sources.iter().flat_map(|source| &source.record);
    let names = records
        .flat_map(|record| &record.variants)
        .map(|variant| variant.name.clone());
    let mut names = distinct(names);
    names.retain(|name| entries.iter().all(|entry| entry.variant != *name));
    names
}

/// As records have them, then as they are met; where nothing is recorded, those without guidance first.
fn order(sources: &[Source], entries: &[&Entry]) -> Vec<String> {
    let recorded = sources
        .iter()
        .flat_map(|source| &source.record)
        .flat_map(|record| &record.variants);
    let there = |name: &String| entries.iter().any(|entry| entry.variant == *name);
    let recorded = recorded.map(|variant| variant.name.clone()).filter(there);
    let mut names = distinct(recorded.chain(entries.iter().map(|entry| entry.variant.clone())));
    if sources.iter().all(|source| source.record.is_none()) {
        names.sort_by_key(|name| {
            !entries
                .iter()
                .any(|entry| entry.variant == *name && entry.is_unguided())
        });
    }
    names
}

fn baseline(names: &[String], entries: &[&Entry], request: &Request) -> Result<Option<String>, Error> {
    match &request.baseline {
        Some(asked) if !names.contains(asked) => Err(Error::NoSuchBaseline {
            asked: asked.clone(),
            there: names.to_vec(),
        }),
        Some(asked) => Ok(Some(asked.clone())),
        None => {
            let unguided = |name: &&String| entries.iter().any(|e| e.variant == **name && e.is_unguided());
            Ok(names.iter().find(unguided).cloned())
        }
    }
}

/// Seeds of one variant must differ in their seed alone.
fn same_recipes(names: &[String], entries: &[&Entry]) -> Result<(), Error> {
    for name in names {
        let mut runs = entries.iter().filter(|entry| entry.variant == *name);
        let Some(first) = runs.next() else { continue };
        let training = |entry: &Entry| {
            let mut recipe = entry.recipe.clone();
            recipe.seed = 0;
            difference::training(&recipe)
        };
        let of_first = training(first)?;
        for other in runs {
            if let Some(difference) = difference::first(&of_first, &training(other)?, "") {
                return Err(Error::OtherRecipes {
                    variant: name.clone(),
                    difference: difference.between(first.folder.path(), other.folder.path()),
                });
            }
        }
    }
    Ok(())
}

/// The primary score, and whether another had been declared before the runs.
fn primary(sources: &[Source], entries: &[&Entry], request: &Request) -> Result<(Score, bool), Error> {
    // Where, the score in force, the score before the runs.
    let declared = sources.iter().flat_map(|source| -> Vec<(&Path, Score, Score)> {
        match &source.record {
            Some(record) => vec![(
                &source.folder,
                record.primary,
                record.declared.unwrap_or(record.primary),
            )],
            None => {
                let own = source
                    .entries
                    .iter()
                    .map(|entry| (entry.folder.path(), entry.recipe.evaluation.primary));
                own.map(|(folder, score)| (folder, score, score)).collect()
            }
        }
    });
    let declared: Vec<_> = declared.collect();
    let Some(&(folder, first, _)) = declared.first() else {
        return Ok((Score::default(), true));
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

/// Base and overlays as recorded, where all sources are comparisons with the same base.
fn recorded(sources: &[Source]) -> Option<(String, BTreeMap<String, String>)> {
    let records: Option<Vec<_>> = sources.iter().map(|source| source.record.as_ref()).collect();
    let records = records?;
    let base = &records.first()?.base;
    let one = records.iter().all(|record| record.base == *base);
    one.then(|| {
        let variants = records.iter().flat_map(|record| &record.variants);
        let overlays = variants.map(|variant| (variant.name.clone(), variant.overlay.clone()));
        (base.clone(), overlays.collect())
    })
}

/// In the order of the one comparison, else rising.
fn seeds(sources: &[Source], entries: &[&Entry]) -> Vec<u64> {
    let mut seeds: Vec<u64> = Vec::new();
    for entry in entries {
        if !seeds.contains(&entry.seed) {
            seeds.push(entry.seed);
        }
    }
    if !matches!(sources, [Source { record: Some(_), .. }]) {
        seeds.sort_unstable();
    }
    seeds
}

/// The commands that made the runs, and the one that makes the report, unless the first makes this very report.
fn command(sources: &[Source], request: &Request) -> String {
    let made = sources
        .iter()
        .filter_map(|source| Some(source.record.as_ref()?.command.clone()));
    let mut lines = distinct(made);
    let as_made =
        matches!(sources, [Source { record: Some(_), .. }]) && request.baseline.is_none() && request.primary.is_none();
    if !as_made && !request.command.is_empty() {
        lines.push(request.command.clone());
    }
    lines.join("\n")
}
