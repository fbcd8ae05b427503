//! The order in which a network is measured. Each part is kept as soon as it is there, so that a killed evaluation goes on.

use std::path::Path;

use burn::tensor::Device;
use burn::train::Interrupter;
use rand::Rng;

use super::folder::{EvaluationFolder, Protocol};
use super::quality::{self, Reference};
use super::representations::representations;
use super::{
    Copies, Evaluation, Guided, Quality, QualityRecipe, Representations, RepresentationsRecipe, ScaleSweep, Showing,
    SweepPoint, copies, maps,
};
use crate::data::{Dataset, Stream};
use crate::error::Error;
use crate::judge::{self, Judge};
use crate::model::Sit;
use crate::recipe::Recipe;
use crate::sample::{self, Drawing};

/// A trained network, and what it is measured with.
pub struct Subject<'a> {
    /// The recipe that it was trained by; `evaluation` says what is measured.
    pub recipe: &'a Recipe,
    /// The data.
    pub dataset: &'a Dataset,
    /// The moving average of the weights.
    pub network: Sit,
    /// Optimiser steps done.
    pub step: u64,
    /// What the last phase's source aims at, where that can be told.
    pub guided: Option<Guided<'a>>,
    /// Where it computes.
    pub device: &'a Device,
    /// Stops it from outside, between two parts.
    pub interrupter: &'a Interrupter,
    /// Its run, for what is said when it is stopped.
    pub run: &'a Path,
}

/// # Errors
/// Where someone asked to stop.
pub fn go_on(interrupter: &Interrupter, step: u64, run: &Path) -> Result<(), Error> {
    if !interrupter.should_stop() {
        return Ok(());
    }
    Err(Error::Interrupted {
        phase: "evaluation".into(),
        step,
        run: run.to_owned(),
    })
}

/// Measures a network, or goes on with what is left, in `folder`. `part` is told of each part before it begins.
///
/// # Errors
/// Judges that cannot be read or do not fit, what cannot be measured, an interrupt. What was measured stays.
pub fn evaluate(subject: &Subject, folder: &EvaluationFolder, mut part: impl FnMut(&str)) -> Result<Evaluation, Error> {
    let judges = judges(subject.recipe, subject.dataset, subject.device)?;
    let identities: Vec<_> = judges.iter().map(|judge| judge.identity().clone()).collect();
    let protocol = Protocol::new(subject.recipe, subject.dataset, subject.step, identities.clone());
    if let Some(evaluation) = folder.finished(&protocol) {
        return Ok(evaluation);
    }
    folder.begin(&protocol)?;
    let mut part = |name: &str| {
        part(name);
        go_on(subject.interrupter, subject.step, subject.run)
    };
    let mut evaluation = Evaluation {
        step: subject.step,
        judges: identities,
        ..Evaluation::default()
    };
    if let Some(recipe) = &subject.recipe.evaluation.quality {
        let scoring = Scoring::new(subject, recipe, &judges)?;
        let sweep = scoring.sweep(folder, &mut part)?;
        let scales = if sweep.chosen == 1.0 {
            vec![1.0]
        } else {
            vec![1.0, sweep.chosen]
        };
        for scale in scales {
            let scored = scoring.scored(scale, folder, &mut part)?;
            evaluation.quality.extend(scored);
        }
        evaluation.floors = folder.part("floors", || quality::floors(&scoring.references, recipe.samples))?;
        part("copies")?;
        evaluation.copies = Some(folder.part("copies", || scoring.copies(sweep.chosen, folder))?);
        evaluation.sweep = Some(sweep);
    }
    if let Some(recipe) = &subject.recipe.evaluation.representations {
        part("representations")?;
        let found = folder.part("representations", || held(subject, recipe, &judges[0], folder))?;
        evaluation.representations = Some(found);
    }
    folder.finish(&evaluation)?;
    Ok(evaluation)
}

/// The judges that a recipe names; none where it measures nothing that needs one.
///
/// # Errors
/// Where one cannot be read, does not fit the data, or is the recipe's guide.
pub fn judges(recipe: &Recipe, dataset: &Dataset, device: &Device) -> Result<Vec<Judge>, Error> {
    let evaluation = &recipe.evaluation;
    let names = match (&evaluation.quality, &evaluation.representations) {
        (Some(quality), _) => quality.judges.clone(),
        // Representations are compared with a network that guided nobody.
        (None, Some(_)) => QualityRecipe::default().judges[..1].to_vec(),
        (None, None) => Vec::new(),
    };
    judge::load(&names, dataset, device)
}

/// Draws samples and has them judged.
struct Scoring<'a> {
    subject: &'a Subject<'a>,
    recipe: &'a QualityRecipe,
    references: Vec<Reference<'a>>,
    /// Name of the first judge.
    judge: String,
}

impl<'a> Scoring<'a> {
    fn new(subject: &'a Subject, recipe: &'a QualityRecipe, judges: &'a [Judge]) -> Result<Self, Error> {
        Ok(Self {
            subject,
            recipe,
            references: quality::references(judges, subject.dataset)?,
            judge: judges[0].name().to_owned(),
        })
    }

    /// Samples at this scale, as RGB bytes. The same noise and labels for every network and scale; `domain` names the noise.
    fn draw(&self, domain: &str, count: usize, scale: f64) -> Result<Vec<u8>, Error> {
        let Subject {
            recipe,
            dataset,
            network,
            device,
            ..
        } = self.subject;
        let mut drawing = Drawing::of(recipe);
        drawing.sampler.cfg_scale = scale;
        drawing.seed = Stream::new(recipe.seed, domain).at(&[]).random();
        let labels = quality::labels_as_in_data(dataset, count);
        sample::draw(network, &drawing, &labels, dataset, device)
    }

    /// The scale with the smallest kernel distance to the first judge, on samples that are not scored afterwards.
    fn sweep(
        &self,
        folder: &EvaluationFolder,
        part: &mut impl FnMut(&str) -> Result<(), Error>,
    ) -> Result<ScaleSweep, Error> {
        let reference = &self.references[0];
        let mut scales = self.recipe.scales.clone();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        let mut points: Vec<SweepPoint> = Vec::new();
        for scale in scales {
            part(&format!("scale {scale}"))?;
            points.push(folder.part(&format!("sweep-{scale}"), || {
                let pixels = self.draw("evaluation/sweep", self.recipe.sweep_samples, scale)?;
                let kernel = reference.kernel(&pixels)?;
                Ok(SweepPoint {
                    scale,
                    kernel: kernel.value,
                    kernel_error: kernel.standard_error,
                })
            })?);
        }
        let best = points.iter().min_by(|a, b| a.kernel.total_cmp(&b.kernel));
        Ok(ScaleSweep {
            judge: self.judge.clone(),
            samples: self.recipe.sweep_samples,
            chosen: best.map_or(1.0, |point| point.scale),
            points,
        })
    }

    /// Scores of every judge at this scale. The samples stay, as the published evaluator reads them.
    fn scored(
        &self,
        scale: f64,
        folder: &EvaluationFolder,
        part: &mut impl FnMut(&str) -> Result<(), Error>,
    ) -> Result<Vec<Quality>, Error> {
        part(&format!("samples at scale {scale}"))?;
        folder.part(&format!("quality-{scale}"), || {
            let pixels = self.draw("evaluation/scored", self.recipe.samples, scale)?;
            let side = self.subject.dataset.shape()[1];
            folder.write_bytes(&samples_file(scale), &sample::npz(&pixels, side)?)?;
            quality::qualities(&self.references, &pixels, scale)
        })
    }

    fn copies(&self, scale: f64, folder: &EvaluationFolder) -> Result<Copies, Error> {
        let pixels = sample::read_npz(&folder.path().join(samples_file(scale)))?;
        let found = copies::copies(&pixels.bytes, scale, self.subject.dataset)?;
        folder.write_bytes("neighbours.png", &found.neighbours_png)?;
        Ok(found.copies)
    }
}

fn samples_file(scale: f64) -> String {
    format!("samples-{scale}.npz")
}

fn held(
    subject: &Subject,
    recipe: &RepresentationsRecipe,
    judge: &Judge,
    folder: &EvaluationFolder,
) -> Result<Representations, Error> {
    let Subject {
        dataset,
        network,
        guided,
        ..
    } = subject;
    let showing = Showing {
        dataset,
        path: subject.recipe.diffusion.path,
        device: subject.device,
    };
    let other = judge.features_of(dataset, dataset.held_out())?;
    let mut found = representations(network, showing, recipe, (judge.name(), &other), guided.as_ref())?;
    for (mut map, png) in maps(network, showing, recipe, guided.as_ref())? {
        map.file = format!("maps/{}", map.file);
        folder.write_bytes(&map.file, &png)?;
        found.maps.push(map);
    }
    Ok(found)
}
