//! The order in which a network is measured. Each part is kept as soon as it is there, so that a killed evaluation goes on.

use std::path::PathBuf;

use burn::tensor::Device;
use rand::Rng;

use super::Guided;
use super::copies::copies;
use super::crew::{Crew, Drawn};
use super::guided::Target;
use super::maps::maps;
use super::quality::{self, Against, Reference};
use super::reference::External;
use super::representations::representations;
use crate::Error;
use crate::judge::{self, Judge};
use sextant_data::{Dataset, Stream};
use sextant_interrupt as interrupt;
use sextant_model::encoder;
use sextant_model::{Sit, collect, fingerprint};
use sextant_recipe::Recipe;
use sextant_recipe::{QualityRecipe, RepresentationsRecipe};
use sextant_records::FileIdentity;
use sextant_records::evaluation::{
    Copies, DataFingerprints, Evaluation, EvaluationFolder, Fingerprints, Protocol, Quality, Representations,
    ScaleSweep, SweepPoint,
};
use sextant_train::Ranks;
use sextant_train::sample::{self, Drawing};

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
    /// The file of its weights, for messages.
    pub file: PathBuf,
    /// That file, where it is no run's.
    pub identity: Option<FileIdentity>,
    /// The aim of the last phase's source, where that can be told.
    pub guided: Option<Guided<'a>>,
    /// The device that it computes on.
    pub device: &'a Device,
    /// The ranks that measure it, of which this is the first.
    pub ranks: &'a Ranks,
}

impl Subject<'_> {
    /// Draws one sample, since judges may look at the data for hours before the first is scored.
    ///
    /// # Errors
    /// A network whose output is not finite.
    fn check_output(&self) -> Result<(), Error> {
        let drawing = Drawing::of(self.recipe);
        let drawn = sample::pass(&self.network, &drawing, 0, &[0], self.dataset, self.device);
        Ok(drawn.map(|_| ()).map_err(|error| error.of_network(&self.file))?)
    }

    /// Fingerprints of what its measurements belong to: weights, not what a device computes with them, whose last bits
    /// are its own.
    fn fingerprints(&self) -> Fingerprints {
        let of = |network: &Sit, target: &str| {
            let architecture = format!("{:?}{target}", network.config());
            fingerprint(&architecture, &collect(network))
        };
        let taught = |guided: &Guided| {
            let Target { depth, scale } = guided.target;
            of(guided.network, &format!(", depth {depth}, scale {scale:?}"))
        };
        Fingerprints {
            network: of(&self.network, ""),
            teacher: self.guided.as_ref().map(taught),
            file: self.identity.clone(),
        }
    }
}

/// The fingerprints of a data set and of its split.
pub fn data_fingerprints(dataset: &Dataset) -> DataFingerprints {
    DataFingerprints {
        images: dataset.fingerprint().into(),
        split: dataset.split_fingerprint(),
    }
}

/// Measures a network, or goes on with what is left, in `folder`. `part` is told of each part before it begins.
///
/// # Errors
/// Judges that cannot be read or do not fit, what cannot be measured, an interrupt. What was measured stays. Representations that
/// are not defined for this network are no error; [`Evaluation::trouble`] says why there are none.
pub fn evaluate(subject: &Subject, folder: &EvaluationFolder, mut part: impl FnMut(&str)) -> Result<Evaluation, Error> {
    let judges = judges(subject.recipe, subject.dataset, subject.device)?;
    let identities: Vec<_> = judges.iter().map(|judge| judge.identity().clone()).collect();
    let external = External::of(subject.recipe)?;
    let reference = external.as_ref().map(External::identity).transpose()?;
    let protocol = Protocol::new(
        subject.recipe,
        data_fingerprints(subject.dataset),
        subject.step,
        subject.fingerprints(),
        identities.clone(),
        reference.as_ref(),
    );
    if let Some(evaluation) = folder.finished(&protocol) {
        return Ok(evaluation);
    }
    subject.check_output()?;
    folder.begin(&protocol)?;
    let crew = Crew::call(subject, &judges)?;
    let mut part = |name: &str| {
        part(name);
        Ok(interrupt::check()?)
    };
    let mut evaluation = Evaluation {
        step: subject.step,
        judges: identities,
        reference: reference.clone(),
        ..Evaluation::default()
    };
    if let Some(recipe) = &subject.recipe.evaluation.quality {
        let side = subject.dataset.picture_side()?;
        let against = external.as_ref().zip(reference.as_ref());
        let against = against.map(|(external, identity)| Against {
            external,
            identity,
            side,
        });
        let scoring = Scoring::new(subject, recipe, &judges, against, &crew)?;
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
        evaluation.floors = folder.part("floors", || {
            let floors = scoring
                .references
                .iter()
                .filter_map(|reference| reference.floor(recipe.samples).transpose());
            floors.collect::<Result<_, Error>>()
        })?;
        part("copies")?;
        evaluation.copies = Some(folder.part("copies", || scoring.copies(sweep.chosen, folder))?);
        evaluation.sweep = Some(sweep);
    }
    if let Some(recipe) = &subject.recipe.evaluation.representations {
        part("representations")?;
        let found = folder.part("representations", || held(subject, recipe, &judges[0], &crew, folder));
        (evaluation.representations, evaluation.trouble) = defined(found)?;
    }
    folder.finish(&evaluation)?;
    Ok(evaluation)
}

/// Representations, or why there are none: a measure that is not defined for a network must not cost the others.
fn defined(found: Result<Representations, Error>) -> Result<(Option<Representations>, Option<String>), Error> {
    match found {
        Ok(found) => Ok((Some(found), None)),
        Err(undefined @ Error::Undefined { .. }) => {
            tracing::warn!("no representations: {undefined}");
            Ok((None, Some(undefined.to_string())))
        }
        Err(error) => Err(error),
    }
}

/// The judges that a recipe names; none where it measures nothing that needs one. Whatever is judged gets its judges here.
///
/// # Errors
/// A judge that cannot be read, does not fit the data, or is the recipe's encoder.
pub fn judges(recipe: &Recipe, dataset: &Dataset, device: &Device) -> Result<Vec<Judge>, Error> {
    let evaluation = &recipe.evaluation;
    let names = match (&evaluation.quality, &evaluation.representations) {
        (Some(quality), _) => quality.judges.clone(),
        // Representations are compared with a network that guided nobody.
        (None, Some(_)) => QualityRecipe::default().judges[..1].to_vec(),
        (None, None) => return Ok(Vec::new()),
    };
    let judges = judge::load(&names, dataset, device)?;
    let encoder = recipe
        .encoder
        .as_ref()
        .map(|encoder| encoder::Target::load(encoder, device));
    judge::refuse_target_encoder(&judges, encoder.transpose()?.as_ref())?;
    Ok(judges)
}

/// Draws samples and has them judged.
struct Scoring<'a> {
    subject: &'a Subject<'a>,
    recipe: &'a QualityRecipe,
    references: Vec<Reference<'a>>,
    /// Name of the first judge.
    judge: String,
    crew: &'a Crew<'a>,
}

impl<'a> Scoring<'a> {
    fn new(
        subject: &'a Subject,
        recipe: &'a QualityRecipe,
        judges: &'a [Judge],
        against: Option<Against>,
        crew: &'a Crew<'a>,
    ) -> Result<Self, Error> {
        let floor = Some(recipe.samples);
        let look = |judge: usize, ids: &[usize]| crew.look(judge, ids);
        Ok(Self {
            subject,
            recipe,
            references: quality::references(judges, subject.dataset, against, floor, &look)?,
            judge: judges[0].name().to_owned(),
            crew,
        })
    }

    /// Samples at this scale, which the first so many `judges` have seen. The same noise and labels for every network and scale; `domain`
    /// names the noise.
    fn draw(&self, domain: &str, count: usize, scale: f64, judges: usize) -> Result<Drawn, Error> {
        let Subject { recipe, dataset, .. } = self.subject;
        let mut drawing = Drawing::of(recipe);
        drawing.sampler.cfg_scale = scale;
        drawing.seed = Stream::new(recipe.seed, domain).at(&[]).random();
        self.crew
            .draw(drawing, quality::labels_as_in_data(dataset, count), judges)
    }

    /// The scale with the smallest kernel distance to the first judge, on samples that are not scored afterwards. Against statistics
    /// the recipe's only one.
    fn sweep(
        &self,
        folder: &EvaluationFolder,
        part: &mut impl FnMut(&str) -> Result<(), Error>,
    ) -> Result<ScaleSweep, Error> {
        let reference = &self.references[0];
        let mut scales = self.recipe.scales.clone();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        if let (false, [only]) = (reference.has_rows(), &scales[..]) {
            return Ok(ScaleSweep {
                judge: self.judge.clone(),
                chosen: *only,
                ..ScaleSweep::default()
            });
        }
        let mut points: Vec<SweepPoint> = Vec::new();
        for scale in scales {
            part(&format!("scale {scale}"))?;
            let point = folder.part(&format!("sweep-{scale}"), || {
                let judges = usize::from(reference.has_rows());
                let drawn = self.draw("evaluation/sweep", self.recipe.sweep_samples, scale, judges)?;
                let kernel = match drawn.features.first() {
                    Some(seen) => reference.kernel(seen)?,
                    None => None,
                };
                Ok::<_, Error>(kernel.map(|kernel| SweepPoint {
                    scale,
                    kernel: kernel.value,
                    kernel_error: kernel.standard_error,
                }))
            })?;
            points.extend(point);
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
            let judges = self.references.len();
            let Drawn { pixels, features } = self.draw("evaluation/scored", self.recipe.samples, scale, judges)?;
            let side = self.subject.dataset.picture_side()?;
            folder.write_bytes(&samples_file(scale), &sample::npz(&pixels, side)?)?;
            let seen = self.references.iter().zip(&features);
            seen.map(|(reference, seen)| reference.score(seen, scale)).collect()
        })
    }

    fn copies(&self, scale: f64, folder: &EvaluationFolder) -> Result<Copies, Error> {
        let pixels = sample::read_npz(&folder.path().join(samples_file(scale)))?;
        let found = copies(&pixels.bytes, scale, self.subject.dataset)?;
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
    crew: &Crew,
    folder: &EvaluationFolder,
) -> Result<Representations, Error> {
    let Subject {
        dataset,
        network,
        guided,
        ..
    } = subject;
    let other = crew.look(0, dataset.held_out())?;
    let pooled = |ids: &[usize], t, depths: &[usize]| crew.pool(ids, t, depths);
    let mut found = representations(network, dataset, recipe, pooled, (judge.name(), &other))?;
    for (mut map, png) in maps(network, crew.extraction(), recipe, guided.as_ref())? {
        map.file = format!("maps/{}", map.file);
        folder.write_bytes(&map.file, &png)?;
        found.maps.push(map);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::LazyLock;

    use burn::module::Param;
    use burn::tensor::Tensor;

    use super::super::fixture;
    use super::*;
    use sextant_recipe::parse_resolved;

    /// A world of one.
    static ALONE: LazyLock<Ranks> = LazyLock::new(Ranks::default);

    fn recipe(evaluation: &str) -> Recipe {
        let text = format!(
            "data = {{ kind = \"emoji\", size = 8 }}\nmodel = {{ patch_size = 2, hidden_size = 16, depth = 2, num_heads = 2 }}\n\
             phases = [{{ name = \"train\", steps = 1 }}]\nevaluation = {{ {evaluation} }}"
        );
        parse_resolved(Path::new("recipe.toml"), &text).unwrap()
    }

    fn nought<const D: usize>(param: &mut Param<Tensor<D>>) {
        *param = param.clone().map(|values| values.mul_scalar(0.0));
    }

    fn subject<'a>(recipe: &'a Recipe, dataset: &'a Dataset, network: Sit, device: &'a Device) -> Subject<'a> {
        Subject {
            recipe,
            dataset,
            network,
            step: 1,
            file: "ema.safetensors".into(),
            identity: None,
            guided: None,
            device,
            ranks: &ALONE,
        }
    }

    #[test]
    fn a_measure_that_is_not_defined_costs_the_representations_alone() {
        let (dataset, device) = (fixture::emoji_of(8), Device::flex());
        let recipe = recipe("representations = { times = [0.5], images = 20, pictures = 1 }");
        // Blind: to it all images are one, at every depth.
        let mut network = fixture::network(1, &device);
        nought(&mut network.x_embedder.proj.weight);
        nought(&mut network.x_embedder.proj.bias);
        nought(&mut network.pos_embed);
        let subject = subject(&recipe, &dataset, network, &device);
        let place = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(place.path());
        let found = evaluate(&subject, &folder, |_| ()).unwrap();
        assert_eq!(found.representations, None);
        let reason = found.trouble.as_deref().unwrap();
        assert!(
            reason.contains("depth 0, t = 0.5") && reason.contains("not defined"),
            "{reason}"
        );
        assert_eq!(folder.result().unwrap(), Some(found));
        let failed = Err(sextant_records::FileError::new("maps", "no room").into());
        assert!(defined(failed).is_err(), "what cannot be written is no measure");
    }

    #[test]
    fn a_network_whose_output_is_no_number_is_refused_before_anything_is_measured() {
        let (dataset, device) = (fixture::emoji_of(8), Device::flex());
        let recipe = recipe("representations = { times = [0.5], images = 20, pictures = 1 }");
        let mut network = fixture::network(1, &device);
        // Finite themselves.
        let linear = &mut network.final_layer.linear;
        linear.weight = linear
            .weight
            .clone()
            .map(|values| values.mul_scalar(0.0).add_scalar(3e38));
        linear.bias = linear
            .bias
            .clone()
            .map(|values| values.mul_scalar(0.0).add_scalar(3e38));
        let subject = subject(&recipe, &dataset, network, &device);
        let place = tempfile::tempdir().unwrap();
        let folder = EvaluationFolder::of(place.path());
        let message = evaluate(&subject, &folder, |_| ()).unwrap_err().to_string();
        assert!(message.starts_with("ema.safetensors: sample 0"), "{message}");
        assert!(!folder.path().exists());
    }

    #[test]
    fn measurements_belong_to_their_network_and_to_what_guided_it() {
        let (dataset, device) = (fixture::emoji_of(8), Device::flex());
        let recipe = recipe("");
        let of = |seed| subject(&recipe, &dataset, fixture::network(seed, &device), &device);
        let prints = of(1).fingerprints();
        assert_eq!(prints, of(1).fingerprints());
        assert_ne!(prints.network, of(2).fingerprints().network);
        assert_eq!(prints.teacher, None);

        let teacher = fixture::network(2, &device);
        let taught = |scale| {
            let target = Target { depth: 2, scale };
            let network = &teacher;
            let guided = Some(Guided { network, target });
            Subject { guided, ..of(1) }.fingerprints()
        };
        assert_eq!(taught(None).network, prints.network);
        assert!(taught(None).teacher.is_some());
        assert_ne!(taught(None).teacher, taught(Some(30.0)).teacher);
    }
}
