//! What can be evaluated: a run, one checkpoint of it, samples alone.

use burn::tensor::Device;

use super::evaluate::{Subject, evaluate, go_on, judges};
use super::folder::EvaluationFolder;
use super::{Evaluation, Guided, copies, guided_of, pictures, quality, values};
use crate::data;
use crate::encoder;
use crate::error::Error;
use crate::judge;
use crate::recipe::Recipe;
use crate::sample::Pixels;
use crate::train::{Run, RunFolder, average, checkpoint, journal};

/// What can be wrong with a run's evaluation, before its training begins: judges that cannot be read or do not fit the data,
/// and a judge that is the guide.
///
/// # Errors
/// Names the key at fault.
pub fn check(run: &Run) -> Result<(), Error> {
    let device = &run.options().device;
    let judges = judges(run.recipe(), run.dataset(), device)?;
    let guide = run.recipe().guide.as_ref().filter(|_| !judges.is_empty());
    let guide = guide.map(|guide| encoder::guide(guide, device)).transpose()?;
    Ok(judge::refuse_guide(&judges, guide.as_ref())?)
}

/// Measures a run that is trained to its end, as its recipe says; none where that says nothing. What was measured before, by
/// the same settings, is not measured again. With `grids`, the samples over training are drawn too.
///
/// # Errors
/// What cannot be measured or written, an interrupt. What was measured stays.
pub fn of_run(run: &Run, folder: &RunFolder, grids: bool) -> Result<Option<Evaluation>, Error> {
    let asked = &run.recipe().evaluation;
    if asked.quality.is_none() && asked.representations.is_none() {
        return Ok(None);
    }
    let phase = run
        .recipe()
        .phases
        .last()
        .map(|phase| phase.name.as_str())
        .unwrap_or_default();
    let place = EvaluationFolder::of(folder.path());
    let measured = of_network(run, folder, None, &place).and_then(|evaluation| {
        if grids && asked.quality.is_some() {
            over_training(run, folder, &place)?;
        }
        journal::record(folder, phase, evaluation.step, &values(&evaluation))?;
        Ok(evaluation)
    });
    measured.inspect_err(|error| folder.note_failure(error)).map(Some)
}

/// Measures the network of a run after `step` (by default its last) into `place`.
///
/// # Errors
/// As [`of_run`]; and where there is no such checkpoint.
pub fn of_network(
    run: &Run,
    folder: &RunFolder,
    step: Option<u64>,
    place: &EvaluationFolder,
) -> Result<Evaluation, Error> {
    let (recipe, dataset, options) = (run.recipe(), run.dataset(), run.options());
    let phase = recipe
        .phases
        .last()
        .map(|phase| phase.name.as_str())
        .unwrap_or_default();
    let saved = checkpoint::list(&folder.phase(phase));
    let saved = match step {
        None => saved.last(),
        Some(step) => saved.iter().find(|saved| saved.step == step),
    };
    let saved = saved.ok_or_else(|| Error::file(folder.path(), format!("has no checkpoint of phase {phase:?} yet")))?;
    let device = options.device.clone().inner();
    let teacher = run.teacher(folder)?;
    let target = guided_of(&run.last_sources()?);
    let guided = teacher.as_ref().zip(target).map(|(network, target)| Guided {
        network,
        depth: target.depth,
        scale: target.scale,
    });
    let subject = Subject {
        recipe,
        dataset,
        network: average(recipe, dataset, saved, &device)?,
        step: saved.step,
        guided,
        device: &device,
        interrupter: &options.interrupter,
        run: folder.path(),
    };
    evaluate(&subject, place, |part| options.evaluating(part))
}

fn over_training(run: &Run, folder: &RunFolder, place: &EvaluationFolder) -> Result<(), Error> {
    let (recipe, dataset, options) = (run.recipe(), run.dataset(), run.options());
    let device = options.device.clone().inner();
    pictures::grids(recipe, dataset, folder, place, &device, |step| {
        options.evaluating(&format!("samples after {step} steps"));
        go_on(&options.interrupter, step, folder.path())
    })
}

/// Scores samples alone, with the judges and the data of `recipe`.
///
/// # Errors
/// Where they are of another size than the data.
pub fn of_samples(pixels: &Pixels, recipe: &Recipe, device: &Device) -> Result<Evaluation, Error> {
    let dataset = data::load(&recipe.data)?;
    let [channels, side, _] = dataset.shape();
    if channels != 3 || side != pixels.side {
        return Err(Error::Input(format!(
            "the samples are {} pixels a side, the data {side} with {channels} channels; give the recipe that they were drawn by with --recipe",
            pixels.side
        )));
    }
    let judges = judges(recipe, &dataset, device)?;
    let references = quality::references(&judges, &dataset)?;
    let count = pixels.bytes.len() / (3 * side * side);
    Ok(Evaluation {
        judges: judges.iter().map(|judge| judge.identity().clone()).collect(),
        quality: quality::qualities(&references, &pixels.bytes, 1.0)?,
        floors: quality::floors(&references, count)?,
        copies: Some(copies::copies(&pixels.bytes, 1.0, &dataset)?.copies),
        ..Evaluation::default()
    })
}
