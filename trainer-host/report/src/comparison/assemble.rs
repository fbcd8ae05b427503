//! A report from runs on disk.

use std::path::Path;

use super::entry::{Ending, Entry, unguided};
use super::frame::{self, Frame, Request, distinct};
use super::gather::RunSet;
use super::measured;
use super::metric::{self, Metric};
use super::pictures::Pictures;
use super::protocol::{self, Protocol};
use super::speed_up::speed_ups;
use crate::Error;
use crate::{self as report, Plugin, Report, RunChange, SampleGrid, SeedRun, Variant};
use sextant_data::{self as data, DataError, Dataset};
use sextant_records::{LibraryRecord, make_folder, write_whole};

/// The report of these sets.
///
/// # Errors
/// Runs that do not belong together (see [`protocol::same`]), with what differs.
pub fn assemble(sets: Vec<RunSet>, request: &Request) -> Result<Report, Error> {
    let folders = distinct(sets.iter().map(|set| set.folder.display().to_string()));
    let (sets, twice) = frame::once(sets)?;
    let frame = Frame::new(&sets, request)?;
    let entries: Vec<Entry> = sets.into_iter().flat_map(|set| set.entries).collect();
    protocol::same(&entries.iter().map(Protocol::of).collect::<Vec<_>>())?;
    let names: Vec<String> = frame.variants.iter().map(|(name, _)| name.clone()).collect();
    let runs = measured::runs(&names, &frame.seeds, &entries, frame.baseline.as_deref());
    let variants = frame
        .variants
        .iter()
        .map(|(name, overlay)| variant(name, overlay, &frame.seeds, &entries, &runs));
    let dataset = data::load(&entries[0].recipe.data);
    let mut report = Report {
        title: frame.title.clone(),
        recipe: frame.recipe.clone(),
        created: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        device: distinct(entries.iter().map(|entry| entry.info.device.clone())).join(" and "),
        versions: versions(&entries),
        data: facts(&entries[0].info.data, &dataset),
        command: frame.command.clone(),
        variants: variants.collect::<Result<_, _>>()?,
        base_recipe: frame.base.clone(),
        grid: grid(
            &entries,
            frame.seeds[0],
            dataset.as_ref().map_or(&[], |dataset| dataset.class_names()),
        ),
        seeds: frame.seeds.clone(),
        runs,
        chosen_afterwards: frame.chosen_afterwards,
        ..Report::default()
    };
    judge(&mut report, &frame, &names, &entries)?;
    report.remarks.extend(remarks(&entries, &frame.absent));
    if !twice.is_empty() {
        report.remarks.push(format!(
            "Runs of {} are the same in several of {}: each is taken once.",
            twice.join(", "),
            folders.join(", ")
        ));
    }
    Ok(report)
}

/// Fills in what the scores say of the variants.
fn judge(report: &mut Report, frame: &Frame, names: &[String], entries: &[Entry]) -> Result<(), Error> {
    let primary = Metric::primary(frame.primary, metric::first_judge(entries));
    report.score = primary.name.clone();
    report.scores = metric::scores(&primary, names, entries);
    // Correction is for all that the recipe compares: a family must not shrink because a run has not begun.
    let others: Vec<String> = names
        .iter()
        .chain(&frame.absent)
        .filter(|name| Some(*name) != frame.baseline.as_ref())
        .cloned()
        .collect();
    let (Some(baseline), false) = (&frame.baseline, others.is_empty()) else {
        return Ok(());
    };
    report.verdict = Some(metric::compare(&primary, baseline, &others, entries)?);
    for metric in metric::secondary(&primary, entries) {
        let comparison = metric::compare(&metric, baseline, &others, entries)?;
        if metric::says_something(&comparison) {
            report.other_scores.push(comparison);
        }
    }
    report.speed_ups = speed_ups(entries, &report.runs, baseline, &others);
    // What guidance is held against where steps are cheap: training longer without it.
    let recipe = |name: &String| {
        entries
            .iter()
            .find(|entry| entry.variant == *name)
            .map(|entry| &entry.recipe)
    };
    let steps =
        |name: &String| recipe(name).map_or(0, |recipe| recipe.phases.iter().map(|phase| phase.steps).sum::<u64>());
    let (plain, guided): (Vec<_>, Vec<_>) =
        (others.iter().cloned()).partition(|name| recipe(name).is_some_and(unguided));
    for longer in plain
        .iter()
        .filter(|name| !guided.is_empty() && steps(name) > steps(baseline))
    {
        report
            .against_longer
            .push(metric::compare(&primary, longer, &guided, entries)?);
    }
    Ok(())
}

/// Writes `report.html`, `report.md`, `results.csv`, `measures.csv`, and every chart as `plots/NAME.svg`.
///
/// # Errors
/// A file that cannot be written.
pub fn write(report: &Report, folder: &Path) -> Result<(), Error> {
    let plots = folder.join("plots");
    make_folder(&plots)?;
    let texts = [
        ("report.md", report::markdown(report)),
        ("results.csv", report::csv(report)),
        ("measures.csv", report::measures_csv(report)),
        ("report.html", report::render(report)),
    ];
    for (name, text) in texts {
        write_whole(&folder.join(name), text.as_bytes())?;
    }
    for (name, svg) in report::svgs(report) {
        write_whole(&plots.join(name), svg.as_bytes())?;
    }
    Ok(())
}

fn variant(name: &str, overlay: &str, seeds: &[u64], entries: &[Entry], runs: &[SeedRun]) -> Result<Variant, Error> {
    let of_seed = |seed: &u64| entries.iter().find(|e| e.variant == name && e.seed == *seed);
    let of_seeds: Vec<Option<&Entry>> = seeds.iter().map(of_seed).collect();
    let first = *of_seeds.iter().flatten().next().ok_or(Error::NoRun)?;
    let outcome = measured::over_seeds(runs, name);
    let pictures = Pictures::of(first);
    let plugin = |library: &LibraryRecord, since| Plugin {
        name: library.plugin.clone(),
        version: library.version.clone(),
        sha256: library.sha256.clone(),
        since,
    };
    let begun_with = first.info.plugins.iter().map(|library| plugin(library, None));
    let replaced = first.info.replaced.iter();
    let replaced = replaced.map(|at| plugin(&at.library, Some((at.phase.clone(), at.step))));
    let curves = |entry: &Option<&Entry>| entry.map(|e| measured::curves(&e.log)).unwrap_or_default();
    Ok(Variant {
        name: name.to_owned(),
        guidance: measured::description(&first.recipe),
        curves: of_seeds.iter().map(curves).collect(),
        pace: measured::pace(&first.recipe, &outcome),
        grids: pictures.grids,
        evaluations: of_seeds
            .iter()
            .map(|entry| entry.and_then(|e| e.evaluation.clone()))
            .collect(),
        neighbours_png: pictures.neighbours,
        map_pngs: pictures.maps,
        overlay: overlay.to_owned(),
        plugins: begun_with.chain(replaced).collect(),
        changes: of_seeds.iter().flatten().copied().flat_map(changes).collect(),
        outcome,
    })
}

/// Changes of a run after it had begun.
fn changes(entry: &Entry) -> Vec<RunChange> {
    let change = |what, phase: &str, step, at: &str| RunChange {
        what,
        since: (phase.to_owned(), step),
        seed: entry.seed,
        at: at.to_owned(),
    };
    let fork = entry.info.fork.iter();
    let fork = fork.map(|fork| {
        change(
            format!("forked from {}", fork.run.display()),
            &fork.phase,
            fork.step,
            "",
        )
    });
    let keys = entry.info.changes.iter();
    let keys = keys.map(|key| {
        change(
            format!("{}: {} → {}", key.key, key.from, key.to),
            &key.phase,
            key.step,
            &key.at,
        )
    });
    fork.chain(keys).collect()
}

/// Versions of what ran; where runs differ, all of them.
fn versions(entries: &[Entry]) -> Vec<(String, String)> {
    let of = |value: fn(&Entry) -> &String| distinct(entries.iter().map(|entry| value(entry).clone())).join(" and ");
    vec![
        ("sextant".to_owned(), of(|entry| &entry.info.sextant)),
        ("burn".to_owned(), of(|entry| &entry.info.burn)),
        ("plugin ABI".to_owned(), of(|entry| &entry.info.abi)),
        ("platform".to_owned(), of(|entry| &entry.info.platform)),
    ]
}

/// The data in words, as far as it is still there.
fn facts(fingerprint: &str, dataset: &Result<Dataset, DataError>) -> String {
    let short: String = fingerprint.chars().take(16).collect();
    match dataset {
        Ok(dataset) if dataset.fingerprint() == fingerprint => format!(
            "{} training and {} held-out images of {}; fingerprint {short}",
            dataset.train().len(),
            dataset.held_out().len(),
            match dataset.class_names().len() {
                1 => "one class".to_owned(),
                classes => format!("{classes} classes"),
            }
        ),
        Ok(_) => format!("fingerprint {short}, which is not that of the data as it is read now"),
        Err(error) => format!("fingerprint {short}; it cannot be read now: {error}"),
    }
}

/// The layout of the grids of the first seed.
fn grid(entries: &[Entry], seed: u64, classes: &[String]) -> SampleGrid {
    let first = entries.iter().find(|entry| entry.seed == seed).unwrap_or(&entries[0]);
    let evaluation = &first.recipe.evaluation;
    let sampler = &evaluation.sampler;
    SampleGrid {
        columns: evaluation.columns,
        rows: evaluation.samples.div_ceil(evaluation.columns),
        labels: grid_labels(classes, evaluation.columns, evaluation.samples),
        note: format!(
            "{:?}, {} steps, guidance scale {} for t in [{}, {}]; moving average of the weights; seed {seed}",
            sampler.method, sampler.steps, sampler.cfg_scale, sampler.guidance_low, sampler.guidance_high,
        ),
    }
}

/// One label a column where a column is one class, else one a cell; none where all are of one class.
fn grid_labels(classes: &[String], columns: usize, count: usize) -> Vec<String> {
    if classes.len() == 1 {
        return Vec::new();
    }
    let cells = if columns == classes.len() { columns } else { count };
    (0..cells)
        .filter_map(|i| classes.get(i.checked_rem(classes.len())?).cloned())
        .collect()
}

/// A remark on a variant of which a run failed.
fn failed(name: &str, entries: &[Entry]) -> Option<String> {
    let of_name = || entries.iter().filter(|entry| entry.variant == name);
    let seeds = of_name().filter(|entry| matches!(entry.ending, Ending::Failed(_)));
    let seeds: Vec<String> = seeds.map(|entry| entry.seed.to_string()).collect();
    let word = match seeds.len() {
        0 => return None,
        1 => "seed",
        _ => "seeds",
    };
    let others = match of_name().any(|entry| entry.result().is_some()) {
        true => ": its other seeds are the lucky ones",
        false => "",
    };
    Some(format!(
        "{name} failed with {word} {}, and is not compared{others}.",
        seeds.join(", ")
    ))
}

/// Warnings of runs before their first step, each once.
fn warnings(entries: &[Entry]) -> Vec<String> {
    let all = distinct(entries.iter().map(|entry| entry.variant.clone()));
    let warned = distinct(entries.iter().flat_map(|entry| entry.info.warnings.clone()));
    let words = warned.into_iter().map(|warning| {
        let of = entries.iter().filter(|entry| entry.info.warnings.contains(&warning));
        match distinct(of.map(|entry| entry.variant.clone())) {
            of if of == all => format!("Warning: {warning}."),
            of => format!("Warning of {}: {warning}.", of.join(", ")),
        }
    });
    words.collect()
}

/// Remarks on what went wrong, a sentence each.
fn remarks(entries: &[Entry], absent: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    if !absent.is_empty() {
        let absent = absent.join(", ");
        remarks.push(format!(
            "Not begun yet: {absent}; the corrections are for all variants of the recipe."
        ));
    }
    let names = distinct(entries.iter().map(|entry| &entry.variant));
    remarks.extend(names.into_iter().filter_map(|name| failed(name, entries)));
    for entry in entries {
        let gap = entry
            .unsound()
            .filter(|_| entry.result().is_some())
            .map(|(name, step)| {
                format!(
                    "{name} is not a number at step {step}; the curve has a gap there, and the variant is not compared"
                )
            });
        let unmeasured = entry
            .evaluation
            .as_ref()
            .and_then(|evaluation| evaluation.trouble.as_ref());
        let unmeasured = unmeasured.map(|reason| format!("its representations were not measured: {reason}"));
        let said = [gap, unmeasured, entry.trouble.clone()].into_iter().flatten();
        remarks.extend(said.map(|words| format!("{}, seed {}: {words}.", entry.variant, entry.seed)));
    }
    remarks.extend(warnings(entries));
    if distinct(entries.iter().map(|entry| &entry.info.device)).len() > 1 {
        remarks.push("The runs are of different devices, so their times do not compare.".into());
    }
    remarks
}
