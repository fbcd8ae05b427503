//! A comparison: every variant of a recipe, then one page.

mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::guidance::SourceConfig;
use crate::recipe::{Recipe, RecipeFile, Score, Variant};
use crate::report::{self, Measurements, Outcome, Pace, Parts, Plugin, Point, Report, SampleGrid, SeedRun, SpeedUps};
use crate::statistics::{self, Curve, Direction, Level, Sample, SpeedUp};
use crate::train::journal::{self, Line};
use crate::train::{Options, Run, RunFolder, RunInfo, RunResult, Tour, checkpoint};

/// How a comparison ended.
#[derive(Debug)]
pub enum Status {
    /// Every variant is finished.
    Complete,
    /// These are not.
    Failed(Vec<String>),
}

/// A comparison that has run.
#[derive(Debug)]
pub struct Comparison {
    /// What its page says.
    pub report: Report,
    /// How it ended.
    pub status: Status,
}

/// One variant with one seed, ready to run.
pub(crate) struct Contender {
    name: String,
    seed: u64,
    overlay: String,
    pub(crate) folder: RunFolder,
    pub(crate) run: Run,
}

/// What became of a contender.
pub(crate) type Ended = Result<RunResult, String>;

/// Runs what is left of every variant of `file` below `folder`, with each of `seeds` (or the recipe's own, if there are
/// none), then writes `report.html`, `report.md` and `results.csv`. `command` is what makes it again; `entering` is told
/// each run's folder. Runs of given seeds lie in folders `seed-N`, so that further seeds can be added later.
///
/// # Errors
/// Bad input, before anything is written; an interrupt. A variant whose training fails does not end the others.
pub fn compare(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    options: &Options,
    command: String,
    entering: impl Fn(&Path),
) -> Result<Comparison, Error> {
    let contenders = contenders(file, folder, seeds, options)?;
    let mut outcomes = Vec::new();
    for contender in &contenders {
        outcomes.push(contend(contender, &entering)?);
    }
    let report = assemble(file, &contenders, outcomes, command)?;
    for (name, text) in [
        ("report.md", report::markdown(&report)),
        ("results.csv", report::csv(&report)),
        ("report.html", report::render(&report)),
    ] {
        checkpoint::write_whole(&folder.join(name), text.as_bytes())?;
    }
    let failed: Vec<String> = report
        .variants
        .iter()
        .filter(|v| !matches!(v.outcome, Outcome::Finished(_)))
        .map(|v| v.name.clone())
        .collect();
    let status = if failed.is_empty() {
        Status::Complete
    } else {
        Status::Failed(failed)
    };
    Ok(Comparison { report, status })
}

/// Every variant with every seed: all variants of the first seed first, so that an early look compares like with like.
pub(crate) fn contenders(
    file: &RecipeFile,
    folder: &Path,
    seeds: &[u64],
    options: &Options,
) -> Result<Vec<Contender>, Error> {
    if file.variants.is_empty() {
        return Err(Error::file(
            file.path(),
            "has no [[variants]]: a comparison needs at least one; `sextant train` runs a recipe without them",
        ));
    }
    if let Some(twice) = (1..seeds.len()).find(|&i| seeds[..i].contains(&seeds[i])) {
        return Err(Error::Input(format!("--seeds names {} twice", seeds[twice])));
    }
    let given: Vec<Option<u64>> = match seeds {
        [] => vec![None],
        seeds => seeds.iter().copied().map(Some).collect(),
    };
    let count = given.len() * file.variants.len();
    let tour = Tour::new(options.progress);
    let mut contenders = Vec::new();
    for seed in given {
        for variant in &file.variants {
            let mut recipe = file.variant(variant)?;
            let (runs, what) = match seed {
                None => (folder.to_owned(), variant.name.clone()),
                Some(seed) => {
                    recipe.seed = seed;
                    (
                        folder.join(format!("seed-{seed}")),
                        format!("{}, seed {seed}", variant.name),
                    )
                }
            };
            let run_folder = RunFolder::new(runs.join(&variant.name));
            same_recipe(&run_folder, &recipe)?;
            let options = Options {
                label: format!("{what} ({}/{count})", contenders.len() + 1),
                stage: Some(tour.stage(&variant.name, &recipe, &run_folder)),
                ..options.clone()
            };
            let seed = recipe.seed;
            let run =
                Run::prepare(recipe, options).map_err(|e| Error::Input(format!("variant {:?}: {e}", variant.name)))?;
            contenders.push(Contender {
                name: variant.name.clone(),
                seed,
                overlay: overlay_text(variant),
                folder: run_folder,
                run,
            });
        }
    }
    Ok(contenders)
}

/// A run that is there already must be one of this recipe.
fn same_recipe(folder: &RunFolder, recipe: &Recipe) -> Result<(), Error> {
    if !folder.recipe_path().exists() {
        return Ok(());
    }
    let json = |recipe: &Recipe| serde_json::to_value(recipe).map_err(|e| Error::Training(e.to_string()));
    match difference(&json(&folder.recipe()?)?, &json(recipe)?, "recipe") {
        None => Ok(()),
        Some(difference) => Err(Error::file(
            folder.path(),
            format!("holds a run of another recipe: {difference}; choose another folder with --out"),
        )),
    }
}

/// The first key in which two recipes differ, with both values.
fn difference(there: &Value, here: &Value, path: &str) -> Option<String> {
    match (there, here) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            let of = |map: &serde_json::Map<String, Value>, key: &String| map.get(key).cloned().unwrap_or_default();
            keys.into_iter()
                .find_map(|key| difference(&of(a, key), &of(b, key), &format!("{path}.{key}")))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| difference(a, b, &format!("{path}.{i}"))),
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path} is {a} there and {b} here")),
    }
}

pub(crate) fn contend(contender: &Contender, entering: &impl Fn(&Path)) -> Result<Ended, Error> {
    let folder = &contender.folder;
    if !folder.recipe_path().exists() {
        folder.create(contender.run.recipe(), contender.run.info())?;
    }
    entering(folder.path());
    match contender.run.execute(folder) {
        Ok(result) => Ok(Ok(result)),
        Err(error @ (Error::Step { .. } | Error::Training(_))) => {
            tracing::error!("variant {}: {error}", contender.name);
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn assemble(
    file: &RecipeFile,
    contenders: &[Contender],
    outcomes: Vec<Ended>,
    command: String,
) -> Result<Report, Error> {
    let base = file.base()?;
    let all: Vec<(&Contender, Ended)> = contenders.iter().zip(outcomes).collect();
    let runs: Vec<SeedRun> = all
        .iter()
        .map(|(contender, outcome)| SeedRun {
            variant: contender.name.clone(),
            seed: contender.seed,
            outcome: match outcome {
                Ok(result) => Outcome::Finished(measurements(result, baseline_seconds(&all, contender))),
                Err(message) => Outcome::Failed {
                    message: message.clone(),
                },
            },
        })
        .collect();
    let seeds: Vec<u64> = (all.iter().filter(|(c, _)| c.name == contenders[0].name))
        .map(|(c, _)| c.seed)
        .collect();
    let logs: Vec<Vec<Line>> = contenders.iter().map(lines).collect();
    let variants = contenders[..file.variants.len()]
        .iter()
        .zip(&logs)
        .map(|(contender, log)| variant(contender, over_seeds(&runs, &contender.name), log))
        .collect::<Result<Vec<_>, Error>>()?;
    let verdict = verdict(contenders, &runs, base.evaluation.primary)?;
    let speed_ups = match &verdict {
        Some(verdict) => speed_ups(&runs, &logs, &verdict.baseline),
        None => BTreeMap::new(),
    };
    let first = &contenders[0].run;
    let info = first.info();
    let dataset = first.dataset();
    let evaluation = &base.evaluation;
    let sampler = &evaluation.sampler;
    Ok(Report {
        title: base.title.clone(),
        recipe: file
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        summary: summary::summary(&variants, seeds.len()),
        created: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        device: info.device.clone(),
        versions: versions(info),
        data: format!(
            "{} training and {} held-out images of {} classes; fingerprint {}",
            dataset.train().len(),
            dataset.held_out().len(),
            dataset.class_names().len(),
            &info.data[..info.data.len().min(16)]
        ),
        command,
        variants,
        seeds,
        runs,
        verdict,
        speed_ups,
        scores: Vec::new(),
        disagreements: Vec::new(),
        base_recipe: toml::to_string(&base).map_err(|e| Error::Training(e.to_string()))?,
        grid: SampleGrid {
            columns: evaluation.columns,
            rows: evaluation.samples.div_ceil(evaluation.columns),
            labels: grid_labels(dataset.class_names(), evaluation.columns, evaluation.samples),
            note: format!(
                "{:?}, {} steps, guidance scale {} for t in [{}, {}]; moving average of the weights; seed {}",
                sampler.method,
                sampler.steps,
                sampler.cfg_scale,
                sampler.guidance_low,
                sampler.guidance_high,
                contenders[0].seed
            ),
        },
    })
}

fn versions(info: &RunInfo) -> Vec<(String, String)> {
    [
        ("sextant", &info.sextant),
        ("burn", &info.burn),
        ("plugin ABI", &info.abi),
        ("platform", &info.platform),
    ]
    .into_iter()
    .map(|(name, version)| (name.to_owned(), version.clone()))
    .collect()
}

/// One label a column where a column is one class, else one a cell.
fn grid_labels(classes: &[String], columns: usize, count: usize) -> Vec<String> {
    let cells = if columns == classes.len() { columns } else { count };
    (0..cells).map(|i| classes[i % classes.len()].clone()).collect()
}

/// Seconds a step of the run without guidance that has this one's seed; none for that run itself.
fn baseline_seconds(all: &[(&Contender, Ended)], of: &Contender) -> Option<f64> {
    if unguided(of.run.recipe()) {
        return None;
    }
    let mut baselines = all
        .iter()
        .filter(|(contender, _)| contender.seed == of.seed && unguided(contender.run.recipe()));
    let (_, outcome) = baselines.next()?;
    outcome.as_ref().ok().map(|result| result.seconds_per_step)
}

/// How a variant ended: the mean of what its runs measured, or the first that did not finish.
fn over_seeds(runs: &[SeedRun], name: &str) -> Outcome {
    let runs: Vec<&SeedRun> = runs.iter().filter(|run| run.variant == name).collect();
    let mut measured = Vec::new();
    for run in &runs {
        match &run.outcome {
            Outcome::Finished(measurements) => measured.push(measurements),
            Outcome::Failed { message } if runs.len() > 1 => {
                return Outcome::Failed {
                    message: format!("seed {}: {message}", run.seed),
                };
            }
            other => return other.clone(),
        }
    }
    match Measurements::mean(&measured) {
        Some(mean) => Outcome::Finished(mean),
        None => Outcome::Failed {
            message: "it was not run".into(),
        },
    }
}

/// Every variant against the first that is not guided, by the primary score. None without such a variant, and where
/// there is nothing to compare it with.
fn verdict(
    contenders: &[Contender],
    runs: &[SeedRun],
    primary: Score,
) -> Result<Option<statistics::Comparison>, Error> {
    let Some(baseline) = contenders.iter().find(|c| unguided(c.run.recipe())) else {
        return Ok(None);
    };
    let contender = |name: &str| {
        let scores = runs.iter().filter(|run| run.variant == name);
        let scores = scores.filter_map(|run| match &run.outcome {
            // A loss that is not a number ends its run, so that it cannot reach a finished one.
            Outcome::Finished(measured) => Some((run.seed, score(measured, primary))),
            _ => None,
        });
        let scores = Sample::new(scores).map_err(|e| Error::Training(format!("variant {name:?}: {e}")))?;
        Ok::<_, Error>(statistics::Contender {
            name: name.to_owned(),
            scores,
        })
    };
    let mut others: Vec<&str> = Vec::new();
    for name in contenders.iter().map(|c| c.name.as_str()) {
        if name != baseline.name && !others.contains(&name) {
            others.push(name);
        }
    }
    if others.is_empty() {
        return Ok(None);
    }
    let others = others.into_iter().map(contender).collect::<Result<Vec<_>, _>>()?;
    let (name, direction) = match primary {
        Score::ValidationLoss => ("validation loss", Direction::LowerIsBetter),
    };
    statistics::Comparison::new(name, direction, &contender(&baseline.name)?, &others, Level::DEFAULT)
        .map(Some)
        .map_err(|e| Error::Training(e.to_string()))
}

/// How much sooner each variant reaches the baseline's final validation loss. `logs` are those of `runs`, in their order.
fn speed_ups(runs: &[SeedRun], logs: &[Vec<Line>], baseline: &str) -> BTreeMap<String, SpeedUps> {
    let steps = |name: &str| validation_curves(runs, logs, name, |_, step| step as f64);
    let seconds = |name: &str| {
        validation_curves(runs, logs, name, |measured, step| {
            measured.earlier_phases_seconds + step as f64 * measured.seconds_per_step
        })
    };
    let (Some(in_steps), Some(in_seconds)) = (steps(baseline), seconds(baseline)) else {
        return BTreeMap::new();
    };
    let speed_up = |variant: &BTreeMap<u64, Curve>, baseline: &BTreeMap<u64, Curve>| {
        SpeedUp::new(variant, baseline, Direction::LowerIsBetter, Level::DEFAULT)
    };
    let names: BTreeSet<&str> = runs.iter().map(|run| run.variant.as_str()).collect();
    names
        .into_iter()
        .filter(|name| *name != baseline)
        .filter_map(|name| {
            let speed_ups = SpeedUps {
                steps: speed_up(&steps(name)?, &in_steps),
                seconds: speed_up(&seconds(name)?, &in_seconds),
            };
            Some((name.to_owned(), speed_ups))
        })
        .collect()
}

/// The validation curves of a variant's finished runs, by seed, over `x` of the step. None where one has a value that is
/// not finite: without it the others would be of the lucky seeds.
fn validation_curves(
    runs: &[SeedRun],
    logs: &[Vec<Line>],
    name: &str,
    x: impl Fn(&Measurements, u64) -> f64,
) -> Option<BTreeMap<u64, Curve>> {
    let mut curves = BTreeMap::new();
    for (run, log) in runs.iter().zip(logs).filter(|(run, _)| run.variant == name) {
        let Outcome::Finished(measured) = &run.outcome else {
            continue;
        };
        // A resumed run logs some steps twice; the last counts.
        let points: BTreeMap<u64, f64> = log
            .iter()
            .filter_map(|line| Some((line.step, *line.values.get("validation")?)))
            .collect();
        let curve = Curve::new(points.into_iter().map(|(step, loss)| (x(measured, step), loss)))
            .inspect_err(|error| tracing::warn!("{name}, seed {}, validation loss: {error}", run.seed))
            .ok()?;
        curves.insert(run.seed, curve);
    }
    Some(curves)
}

/// What was logged in the last phase.
fn lines(contender: &Contender) -> Vec<Line> {
    let phases = &contender.run.recipe().phases;
    let phase = phases.last().map(|p| p.name.as_str()).unwrap_or_default();
    let mut lines = journal::read(&contender.folder.metrics());
    lines.retain(|line| line.phase == phase);
    lines
}

fn score(measured: &Measurements, primary: Score) -> f64 {
    match primary {
        Score::ValidationLoss => measured.validation_loss,
    }
}

fn variant(contender: &Contender, outcome: Outcome, log: &[Line]) -> Result<report::Variant, Error> {
    let recipe = contender.run.recipe();
    Ok(report::Variant {
        name: contender.name.clone(),
        guidance: description(recipe),
        outcome,
        seed_curves: Vec::new(),
        pace: Pace::default(),
        grids: Vec::new(),
        evaluations: Vec::new(),
        neighbours_png: None,
        map_pngs: BTreeMap::new(),
        curves: curves(log),
        samples_png: std::fs::read(contender.folder.samples().join("final.png")).ok(),
        overlay: contender.overlay.clone(),
        plugins: contender
            .folder
            .info()?
            .plugins
            .into_iter()
            .map(|p| Plugin {
                name: p.plugin,
                version: p.version,
                sha256: p.sha256,
            })
            .collect(),
    })
}

/// Whether no phase is guided: the baseline of the overheads.
fn unguided(recipe: &Recipe) -> bool {
    let sources = recipe.phases.iter().flat_map(|p| &p.guidance);
    sources.into_iter().all(|s| s.plugin == "none" || s.coefficient == 0.0)
}

fn description(recipe: &Recipe) -> String {
    let source = |s: &SourceConfig| format!("{}, coefficient {}", s.plugin, s.coefficient);
    let phases: Vec<String> = recipe
        .phases
        .iter()
        .map(|phase| {
            let sources: Vec<String> = phase.guidance.iter().map(source).collect();
            let guided = if sources.is_empty() {
                "no guidance".into()
            } else {
                sources.join(" + ")
            };
            format!("{} steps of {guided}", phase.steps)
        })
        .collect();
    phases.join(", then ")
}

fn measurements(result: &RunResult, baseline: Option<f64>) -> Measurements {
    let step = result.seconds.step.max(f64::MIN_POSITIVE);
    Measurements {
        steps: result.steps,
        validation_loss: result.validation_loss,
        validation_by_time: result.validation_by_time.clone(),
        guidance_loss: (!result.guidance_loss.is_empty()).then(|| result.guidance_loss.values().sum()),
        seconds_per_step: result.seconds_per_step,
        overhead: baseline.map(|base| result.seconds_per_step / base - 1.0),
        peak_memory_bytes: result.peak_memory_bytes,
        student_parameters: result.student_parameters,
        guidance_parameters: result.guidance_parameters,
        teacher_share: result.seconds.teacher / step,
        clipped_share: result.clipped_share,
        total_seconds: result.seconds.step + result.earlier_phases_seconds,
        earlier_phases_seconds: result.earlier_phases_seconds,
        parts: Parts::default(),
        operations: None,
        teacher_parameters: 0,
        guide: None,
    }
}

/// The log's columns as curves; those of a single source under the names that all variants share.
fn curves(lines: &[Line]) -> BTreeMap<String, Vec<Point>> {
    let mut curves: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for line in lines {
        for (name, value) in &line.values {
            let name = match name.split_once('.') {
                Some(("guidance", _)) if one(lines, "guidance.") => "guidance",
                Some(("share", _)) if one(lines, "share.") => "guidance_share",
                _ => name,
            };
            curves.entry(name.to_owned()).or_default().push(Point {
                step: line.step,
                value: *value,
            });
        }
    }
    curves
}

fn one(lines: &[Line], prefix: &str) -> bool {
    let mut names: Vec<&str> = lines
        .iter()
        .flat_map(|l| l.values.keys())
        .filter(|name| name.starts_with(prefix))
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len() == 1
}

fn overlay_text(variant: &Variant) -> String {
    toml::to_string(&variant.overlay).unwrap_or_default()
}
