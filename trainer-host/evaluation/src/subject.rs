//! Subjects of an evaluation: a run, one checkpoint of it, samples alone.

use std::collections::BTreeMap;

use burn::tensor::{Device, TensorData};

use super::copies::copies;
use super::evaluate::{Subject, data_fingerprints, evaluate, judges};
use super::quality::{self, Reference};
use super::representations::not_shown;
use super::{Guided, guided_of, pictures, values};
use crate::Error;
use crate::judge::Judge;
use sextant_data::{self as data, Dataset};
use sextant_model::fingerprint;
use sextant_recipe::{Recipe, Weights};
use sextant_records::evaluation::{Evaluation, EvaluationFolder, Fingerprints, Protocol};
use sextant_records::{FileError, Place, RunFolder, ValidationLoss, journal};
use sextant_train::checkpoint::{Saved, SavedTensors};
use sextant_train::sample::Pixels;
use sextant_train::{Options, Run, Warning, checkpoint, trained, validation_loss, validation_set};

/// Makes a run ready ([`Run::prepare`]), and checks what can be wrong with its evaluation before its training begins: judges
/// that cannot be read or do not fit the data, a judge that is the encoder, too few samples.
///
/// # Errors
/// Names the key at fault; a training that this machine cannot hold; warnings, where the options are strict.
pub fn prepare(recipe: Recipe, options: Options) -> Result<Run, Error> {
    let mut run = prepare_evaluation(recipe, options)?;
    let memory = run.check_memory()?;
    run.warn(memory.into_iter().collect());
    match &run.info().warnings {
        warnings if run.options().strict && !warnings.is_empty() => {
            Err(sextant_train::Error::Strict(warnings.clone()).into())
        }
        _ => Ok(run),
    }
}

/// The same for a run that is to be measured and not trained: whether its training would fit into memory is not asked.
///
/// # Errors
/// Names the key at fault.
pub fn prepare_evaluation(recipe: Recipe, options: Options) -> Result<Run, Error> {
    let mut run = Run::prepare(recipe, options)?;
    let judges = judges(run.recipe(), run.dataset(), &run.options().device)?;
    run.warn(warnings(run.recipe(), run.dataset(), &judges));
    Ok(run)
}

/// Statistics of which there will be too little.
fn warnings(recipe: &Recipe, dataset: &Dataset, judges: &[Judge]) -> Vec<Warning> {
    let evaluation = &recipe.evaluation;
    let mut warnings = Vec::new();
    if let Some(quality) = &evaluation.quality {
        let narrow = judges.iter().filter(|judge| quality.samples <= judge.width());
        warnings.extend(narrow.map(|judge| Warning::FewSamples {
            samples: quality.samples,
            judge: judge.name().into(),
            width: judge.width(),
        }));
    }
    if let Some(asked) = &evaluation.representations {
        let [missing, classes] = not_shown(dataset, asked);
        if missing > 0 {
            warnings.push(Warning::ClassesNotShown {
                images: asked.images,
                missing,
                classes,
            });
        }
    }
    warnings
}

/// Measures a run that is trained to its end, as its recipe says; none where that says nothing. What was measured before, by
/// the same settings, is not measured again. With `grids`, the samples over training are drawn too.
///
/// # Errors
/// A measure that cannot be taken or written, an interrupt. What was measured stays.
pub fn of_run(run: &Run, folder: &RunFolder, grids: bool) -> Result<Option<Evaluation>, Error> {
    let asked = &run.recipe().evaluation;
    if asked.quality.is_none() && asked.representations.is_none() {
        return Ok(None);
    }
    let place = EvaluationFolder::of(folder.path());
    // The result of the training has its validation loss.
    let measured = measure(run, folder, None, Weights::Ema, &place, false).and_then(|evaluation| {
        if grids && asked.quality.is_some() {
            over_training(run, folder, &place)?;
        }
        let phase = last_phase(run.recipe());
        journal::record(folder, phase, evaluation.step, &values(&evaluation))?;
        Ok(evaluation)
    });
    let noted = measured.inspect_err(|error| {
        if !error.is_interrupt() {
            folder.note_failure(error);
        }
    });
    noted.map(Some)
}

/// Measures a network of a run, that of a checkpoint or by default its last, with these weights, into `place`; its validation
/// loss too.
///
/// An earlier phase's network is measured as itself, without what guided it.
///
/// # Errors
/// As [`of_run`]; and where there is no such checkpoint.
pub fn of_network(
    run: &Run,
    folder: &RunFolder,
    checkpoint: Option<&Place>,
    weights: Weights,
    place: &EvaluationFolder,
) -> Result<Evaluation, Error> {
    run.recipe().kept(weights)?;
    measure(run, folder, checkpoint, weights, place, true)
}

fn measure(
    run: &Run,
    folder: &RunFolder,
    checkpoint: Option<&Place>,
    weights: Weights,
    place: &EvaluationFolder,
    validate: bool,
) -> Result<Evaluation, Error> {
    let (recipe, dataset, options) = (run.recipe(), run.dataset(), run.options());
    let last = last_phase(recipe);
    let phase = checkpoint.map_or(last, |checkpoint| checkpoint.phase.as_str());
    let saved = saved(folder, phase, checkpoint.map(|checkpoint| checkpoint.step))?;
    let device = options.device.clone().inner();
    // A run hands out the sources and the teacher of its last phase alone.
    let (mut teacher, mut target) = (None, None);
    if phase == last {
        target = guided_of(&run.last_sources()?);
        teacher = run.teacher(folder)?;
    }
    let teacher = teacher.as_ref().zip(target);
    let guided = teacher.map(|(network, target)| Guided { network, target });
    let subject = Subject {
        recipe,
        dataset,
        network: trained(recipe, dataset, &saved, weights, &device)?,
        step: saved.step,
        file: saved.file(weights),
        guided,
        device: &device,
    };
    let mut evaluation = evaluate(&subject, place, |part| options.evaluating(part))?;
    if validate && evaluation.validation.is_none() {
        options.evaluating("validation loss");
        evaluation.validation = Some(validation(&subject)?);
        place.finish(&evaluation)?;
    }
    Ok(evaluation)
}

fn last_phase(recipe: &Recipe) -> &str {
    recipe
        .phases
        .last()
        .map(|phase| phase.name.as_str())
        .unwrap_or_default()
}

/// The checkpoint of a phase after `step`, by default its last.
fn saved(folder: &RunFolder, phase: &str, step: Option<u64>) -> Result<Saved, Error> {
    let mut there = checkpoint::list(&folder.phase(phase));
    let steps: Vec<String> = there.iter().map(|saved| saved.step.to_string()).collect();
    there.retain(|saved| step.is_none_or(|step| saved.step == step));
    there.pop().ok_or_else(|| {
        let reason = match step {
            Some(step) if !steps.is_empty() => format!(
                "has no checkpoint of phase {phase:?} after step {step}; kept are those after {}",
                steps.join(", ")
            ),
            _ => format!("has no checkpoint of phase {phase:?} yet"),
        };
        FileError::new(folder.path(), reason).into()
    })
}

/// Denoising loss on the fixed validation set, as the training measures it.
fn validation(subject: &Subject) -> Result<ValidationLoss, Error> {
    let recipe = subject.recipe;
    let batches = validation_set(subject.dataset, &recipe.evaluation, &recipe.diffusion)?;
    let loss = validation_loss(&subject.network, &batches);
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(Error::Failed(format!(
            "{}: the validation loss of this network is {}",
            subject.file.display(),
            loss.mean
        ))),
    }
}

fn over_training(run: &Run, folder: &RunFolder, place: &EvaluationFolder) -> Result<(), Error> {
    let (recipe, dataset, options) = (run.recipe(), run.dataset(), run.options());
    let device = options.device.clone().inner();
    pictures::grids(recipe, dataset, folder, place, &device, |step| {
        options.evaluating(&format!("samples after {step} steps"));
        Ok(sextant_interrupt::check()?)
    })
}

/// Scores samples alone, with the judges and the data of `recipe`; numbers and nearest neighbours stay in `place`, if there is one.
///
/// # Errors
/// Samples of another size than the data, a `place` that holds something else.
pub fn of_samples(
    pixels: &Pixels,
    recipe: &Recipe,
    device: &Device,
    place: Option<&EvaluationFolder>,
) -> Result<Evaluation, Error> {
    let dataset = data::load(&recipe.data)?;
    let [channels, side, _] = dataset.shape();
    if channels != 3 || side != pixels.side {
        return Err(Error::Input(format!(
            "the samples are {} pixels a side, the data {side} with {channels} channels; give the recipe that they were drawn by with --recipe",
            pixels.side
        )));
    }
    let judges = judges(recipe, &dataset, device)?;
    let Some(place) = place else {
        return Ok(scored(pixels, &dataset, &judges)?.0);
    };
    let identities = judges.iter().map(|judge| judge.identity().clone()).collect();
    let protocol = Protocol::new(recipe, data_fingerprints(&dataset), 0, fingerprints(pixels), identities);
    if let Some(evaluation) = place.finished(&protocol) {
        return Ok(evaluation);
    }
    place.begin(&protocol)?;
    let (evaluation, neighbours_png) = scored(pixels, &dataset, &judges)?;
    place.write_bytes("neighbours.png", &neighbours_png)?;
    place.finish(&evaluation)?;
    Ok(evaluation)
}

/// Fingerprints that samples' measurements belong to.
fn fingerprints(pixels: &Pixels) -> Fingerprints {
    let bytes = TensorData::new(pixels.bytes.clone(), [pixels.bytes.len()]);
    let kind = format!("samples of {} pixels a side", pixels.side);
    Fingerprints {
        network: fingerprint(&kind, &BTreeMap::from([("pixels".to_owned(), bytes)])),
        ..Fingerprints::default()
    }
}

/// All that can be said of samples, and the picture of the nearest neighbours.
fn scored(pixels: &Pixels, dataset: &Dataset, judges: &[Judge]) -> Result<(Evaluation, Vec<u8>), Error> {
    let references = quality::references(judges, dataset)?;
    let count = pixels.bytes.len() / (3 * pixels.side * pixels.side);
    let scores = |of: &dyn Fn(&Reference) -> _| references.iter().map(of).collect::<Result<_, Error>>();
    let found = copies(&pixels.bytes, 1.0, dataset)?;
    let evaluation = Evaluation {
        judges: judges.iter().map(|judge| judge.identity().clone()).collect(),
        quality: scores(&|reference| reference.quality(&pixels.bytes, 1.0))?,
        floors: scores(&|reference| reference.floor(count))?,
        copies: Some(found.copies),
        ..Evaluation::default()
    };
    Ok((evaluation, found.neighbours_png))
}
