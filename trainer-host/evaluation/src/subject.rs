//! Subjects of an evaluation: a run, one checkpoint of it, a network of a file, samples alone.

use burn::tensor::Device;
use sha2::{Digest, Sha256};

use super::copies::copies_in;
use super::evaluate::{Subject, data_fingerprints, evaluate, judges};
use super::quality::{self, Against};
use super::reference::External;
use super::representations::not_shown;
use super::{Guided, guided_of, pictures, values};
use crate::Error;
use crate::judge::Judge;
use sextant_data::Dataset;
use sextant_recipe::{Recipe, Weights};
use sextant_records::evaluation::{Evaluation, EvaluationFolder, Fingerprints, Protocol};
use sextant_records::{FileError, Place, RunFolder, ValidationLoss, journal};
use sextant_stats::measure::Features;
use sextant_train::checkpoint::{Saved, SavedTensors};
use sextant_train::sample::{LabelOf, SampleFile};
use sextant_train::{BareNetwork, Options, Ranks, Run, Warning, checkpoint, trained, validation_loss, validation_set};

/// Makes a run ready ([`Run::prepare`]), and checks what can be wrong with its evaluation before its training begins: judges
/// that cannot be read or do not fit the data, a judge that is the encoder, too few samples.
///
/// # Errors
/// Names the key at fault; a training that this machine cannot hold; warnings, where the options are strict.
pub fn prepare(recipe: Recipe, options: Options) -> Result<Run, Error> {
    let mut run = measurable(Run::prepare(recipe, options)?)?;
    let memory = run.check_memory()?;
    run.warn(memory.into_iter().collect());
    match run.warnings() {
        warnings if run.options().strict && !warnings.is_empty() => {
            let said = warnings.iter().map(Warning::to_string).collect();
            Err(sextant_train::Error::Strict(said).into())
        }
        _ => Ok(run),
    }
}

/// The same for a run that is to be measured and not trained: whether its training would fit into memory is not asked.
///
/// # Errors
/// Names the key at fault.
pub fn prepare_evaluation(recipe: Recipe, options: Options) -> Result<Run, Error> {
    // As many ranks can measure as could not share a batch.
    let ranks = options.ranks.clone();
    let alone = Options {
        ranks: Ranks::default(),
        ..options
    };
    measurable(Run::prepare(recipe, alone)?.with_ranks(ranks))
}

/// Checks what can be wrong with the evaluation of a run.
fn measurable(mut run: Run) -> Result<Run, Error> {
    run.check_samples()?;
    let judges = judges(run.recipe(), run.dataset(), &run.options().device)?;
    if let Some(external) = External::of(run.recipe())? {
        external.check(&judges, run.dataset().picture_side()?)?;
        external.check_choices(run.recipe())?;
    }
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
    let saved = saved(folder, recipe, checkpoint)?;
    let device = options.device.clone().inner();
    // A run hands out the sources and the teacher of its last phase alone.
    let (mut teacher, mut target) = (None, None);
    if checkpoint.is_none_or(|checkpoint| checkpoint.phase == last) {
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
        identity: None,
        guided,
        device: &device,
        ranks: &options.ranks,
    };
    let evaluation = evaluate(&subject, place, |part| options.evaluating(part))?;
    match validate {
        true => validated(&subject, evaluation, place, options),
        false => Ok(evaluation),
    }
}

/// Measures the network of a file alone, with the judges and the data of `recipe`, into `place`; its validation loss too.
///
/// # Errors
/// Data that cannot be read or are not those of the network; as [`of_network`].
pub fn of_file(
    network: &mut BareNetwork,
    recipe: &Recipe,
    options: &Options,
    place: &EvaluationFolder,
) -> Result<Evaluation, Error> {
    let device = options.device.clone().inner();
    let dataset = sextant_train::dataset(&recipe.data, &device)?;
    network.fits(&dataset, &recipe.diffusion)?;
    for warning in warnings(recipe, &dataset, &judges(recipe, &dataset, &device)?) {
        tracing::warn!("{warning}");
    }
    let subject = Subject {
        recipe,
        dataset: &dataset,
        network: network.network(&device)?,
        step: network.step().unwrap_or(0),
        file: network.file().to_owned(),
        identity: Some(network.identity().clone()),
        guided: None,
        device: &device,
        ranks: &options.ranks,
    };
    let evaluation = evaluate(&subject, place, |part| options.evaluating(part))?;
    validated(&subject, evaluation, place, options)
}

/// The evaluation with the network's validation loss, which stays in `place` too.
fn validated(
    subject: &Subject,
    mut evaluation: Evaluation,
    place: &EvaluationFolder,
    options: &Options,
) -> Result<Evaluation, Error> {
    if evaluation.validation.is_none() {
        options.evaluating("validation loss");
        evaluation.validation = Some(validation(subject)?);
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

/// The checkpoint of a run at this place, by default the newest of its last phase.
///
/// # Errors
/// Where there is none; the message says which there are.
pub fn saved(folder: &RunFolder, recipe: &Recipe, place: Option<&Place>) -> Result<Saved, Error> {
    let phase = place.map_or(last_phase(recipe), |place| place.phase.as_str());
    let mut there = checkpoint::list(&folder.phase(phase));
    let steps: Vec<String> = there.iter().map(|saved| saved.step.to_string()).collect();
    there.retain(|saved| place.is_none_or(|place| saved.step == place.step));
    there.pop().ok_or_else(|| {
        let reason = match place {
            Some(place) if !steps.is_empty() => format!(
                "has no checkpoint of phase {phase:?} after step {}; kept are those after {}",
                place.step,
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
    let loss = validation_loss(&subject.network, &batches)?;
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(Error::Validation {
            network: subject.file.clone(),
            loss: loss.mean,
        }),
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
/// Samples are compared with the reference that the recipe names, if it does, and nothing else: the data is not looked at, so that there are
/// neither floors nor copies.
///
/// # Errors
/// Samples of another size than the data or the reference, a `place` that holds something else.
pub fn of_samples(
    samples: &SampleFile,
    recipe: &Recipe,
    device: &Device,
    place: Option<&EvaluationFolder>,
) -> Result<Evaluation, Error> {
    let dataset = sextant_train::dataset(&recipe.data, device)?;
    let external = External::of(recipe)?;
    let side = samples.side();
    if external.is_none() && dataset.picture_side()? != side {
        return Err(Error::Input(format!(
            "the samples are {side} pixels a side, pictures of the data {}; give the recipe that they were drawn by with --recipe",
            dataset.picture_side()?
        )));
    }
    let classes = dataset.class_names().len() as u64;
    if let Some(LabelOf { sample, label }) = samples.largest_label().filter(|largest| largest.label >= classes) {
        return Err(Error::Input(format!(
            "{}: arr_1 holds {label} at {sample}, the label of a sample; the data have {classes} classes, so that labels are from 0 to {}; \
             give the recipe that the samples were drawn by with --recipe",
            samples.path().display(),
            classes - 1
        )));
    }
    let judges = judges(recipe, &dataset, device)?;
    let identity = match &external {
        Some(external) => {
            external.check(&judges, side)?;
            Some(external.identity()?)
        }
        None => None,
    };
    let against = external.as_ref().zip(identity.as_ref());
    let against = against.map(|(external, identity)| Against {
        external,
        identity,
        side,
    });
    let Some(place) = place else {
        return Ok(scored(samples, &dataset, &judges, against)?.0);
    };
    let identities = judges.iter().map(|judge| judge.identity().clone()).collect();
    let protocol = Protocol::new(
        recipe,
        data_fingerprints(&dataset),
        0,
        fingerprints(samples)?,
        identities,
        identity.as_ref(),
    );
    if let Some(evaluation) = place.finished(&protocol) {
        return Ok(evaluation);
    }
    place.begin(&protocol)?;
    let (evaluation, neighbours_png) = scored(samples, &dataset, &judges, against)?;
    if let Some(png) = neighbours_png {
        place.write_bytes("neighbours.png", &png)?;
    }
    place.finish(&evaluation)?;
    Ok(evaluation)
}

/// Fingerprints that samples' measurements belong to.
fn fingerprints(samples: &SampleFile) -> Result<Fingerprints, Error> {
    let mut hash = Sha256::new_with_prefix(format!("samples of {} pixels a side", samples.side()));
    samples.read(|images| {
        hash.update(images);
        Ok::<_, Error>(())
    })?;
    Ok(Fingerprints {
        network: sextant_data::hex(&hash.finalize()),
        ..Fingerprints::default()
    })
}

/// All that can be said of samples, and the picture of the nearest neighbours. Features of all samples are in memory, their pixels
/// never.
fn scored(
    samples: &SampleFile,
    dataset: &Dataset,
    judges: &[Judge],
    against: Option<Against>,
) -> Result<(Evaluation, Option<Vec<u8>>), Error> {
    let look = |judge: usize, ids: &[usize]| Ok(judges[judge].features_of(dataset, ids)?);
    let references = quality::references(judges, dataset, against, None, &look)?;
    let mut seen: Vec<Vec<f64>> = vec![Vec::new(); judges.len()];
    samples.read(|images| {
        for (judge, seen) in judges.iter().zip(&mut seen) {
            sextant_interrupt::check()?;
            seen.extend(judge.features(images, samples.side())?.values());
        }
        Ok::<_, Error>(())
    })?;
    let mut evaluation = Evaluation {
        judges: judges.iter().map(|judge| judge.identity().clone()).collect(),
        reference: against.map(|against| against.identity.clone()),
        ..Evaluation::default()
    };
    for (reference, (judge, seen)) in references.iter().zip(judges.iter().zip(seen)) {
        let features = Features::new(seen, judge.width())?;
        evaluation.quality.push(reference.score(&features, 1.0)?);
        evaluation.floors.extend(reference.floor(features.len())?);
    }
    if against.is_some() {
        return Ok((evaluation, None));
    }
    let found = copies_in(&|each| samples.read(each), 1.0, dataset)?;
    evaluation.copies = Some(found.copies);
    Ok((evaluation, Some(found.neighbours_png)))
}
