//! The memory and operations of a run before it runs, from shapes alone.

use burn::tensor::Device;
use serde::Serialize;
use sextant_guidance::{SearchPath, Sources};
use sextant_model::autoencoder::Autoencoder;
use sextant_model::{SitConfig, device};
use sextant_recipe::{EncodingTime, Phase, Precision, Recipe};

use super::error::Error;
use super::memory::{self, Gigabytes};
use super::reduce::{self, shards};
use super::sample::SamplesNeed;
use super::setup::{Ground, keeps_latents};
use super::validation;

/// Bytes of a value.
const VALUE: u64 = 4;

/// The parameter of a network that is not trained.
const POSITIONS: &str = "pos_embed";

/// Resident memory of the program beside what it computes with.
const PROGRAM: u64 = 26 << 20;

/// Values of an image that a step has at once: it, its noise, the two mixed, velocity, target, and two batches on their way.
const IMAGES_OF_A_STEP: u64 = 5 + 2 * 2;

/// Bytes of a value of a picture: on the device, on its way there, and as bytes in this batch and the two on their way.
const PICTURE: u64 = 2 * VALUE + 3;

/// Share of what comes and goes that the allocator holds beyond it, measured on the CPU.
const SLACK: f64 = 0.05;

/// Share by which an estimate may be off.
const ACCURACY: f64 = 0.15;

/// The plan of a run: what each of its phases needs.
#[derive(Clone, Debug, Serialize)]
pub struct RunPlan {
    /// In the order of the recipe.
    pub phases: Vec<PhasePlan>,
    /// Samples at its end and in its evaluation.
    pub samples: Vec<SamplesNeed>,
}

/// Needs of one phase.
#[derive(Clone, Debug, Serialize)]
pub struct PhasePlan {
    /// Its name.
    pub phase: String,
    /// Optimiser steps.
    pub steps: u64,
    /// Trained parameters of the student.
    pub student_parameters: u64,
    /// Trained parameters of the sources.
    pub guidance_parameters: u64,
    /// Floating-point operations of a step, without what sources and other networks do.
    pub operations_per_step: u64,
    /// Memory of a step, by part.
    pub memory: StepMemory,
}

/// Bytes of a step, by part. What is there all the time adds up; of what comes and goes the largest moment counts, so that the
/// peak is less than the sum of all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StepMemory {
    /// Student's and sources' parameters.
    pub weights: u64,
    /// Their gradients.
    pub gradients: u64,
    /// AdamW's two moments of each trained parameter.
    pub moments: u64,
    /// The moving averages of the student.
    pub averages: u64,
    /// The frozen network of an earlier phase.
    pub teacher: u64,
    /// Frozen networks that images pass in steps: the autoencoder that the recipe names, the encoder.
    pub encoders: u64,
    /// The sources' buffers.
    pub buffers: u64,
    /// Images, and features of an encoder, of the data set and of the batches on their way.
    pub features: u64,
    /// Kept of the student's and the sources' forward passes until the backward pass.
    pub activations: u64,
    /// At work at the fullest moment beyond all of these, such as a pass.
    pub working: u64,
    /// The fullest moment of a step.
    pub peak: u64,
    /// The fullest moment on the host while a checkpoint is written, whose tensors are copied on their way.
    pub checkpoint: u64,
}

impl StepMemory {
    /// The part that no setting of the batch makes smaller: weights, gradients and moments.
    pub fn trained(&self) -> u64 {
        self.weights + self.gradients + self.moments
    }
}

impl RunPlan {
    /// Reads data, encoder and plugins, for one of so many ranks; computes nothing.
    ///
    /// # Errors
    /// Whatever in the recipe cannot work here.
    pub fn read(recipe: &Recipe, search: &SearchPath, device: &Device, ranks: usize) -> Result<Self, Error> {
        reduce::check(&recipe.optimiser, ranks)?;
        let ground = Ground::read(recipe, device)?;
        let cut = Recipe {
            optimiser: reduce::cut(&recipe.optimiser, ranks),
            ..recipe.clone()
        };
        let sources = ground.sources(&cut, search)?;
        Ok(Self::of(recipe, &ground, &sources, ranks))
    }

    /// The plan of a recipe whose phases have these sources, for one of so many ranks.
    pub(super) fn of(recipe: &Recipe, ground: &Ground, sources: &[Sources], ranks: usize) -> Self {
        let phases = recipe.phases.iter().zip(sources);
        Self {
            phases: phases
                .map(|(phase, sources)| PhasePlan::of(recipe, phase, ground, sources, ranks))
                .collect(),
            samples: match ground.dataset.picture_side() {
                Ok(side) => SamplesNeed::of(recipe, [3, side, side]),
                Err(_) => Vec::new(),
            },
        }
    }

    /// Compares the images of its samples with the memory that this machine has for them, wherever the networks compute.
    ///
    /// # Errors
    /// Images that alone do not fit.
    pub fn check_samples(&self) -> Result<(), Error> {
        let Some(free) = memory::available() else { return Ok(()) };
        self.samples.iter().try_for_each(|need| need.check(free))
    }

    /// Compares the plan with the memory that this machine has for it, of which so many ranks have a part each: none where the device is not
    /// the CPU, or the system does not tell. Answers a warning where the fullest moment does not fit.
    ///
    /// # Errors
    /// Weights, gradients and moments that alone do not fit; a step that needs more than the machine has in all, by more than an
    /// estimate is off. The system would grant it, and end the process, and all runs of a comparison, when it is used.
    pub fn check(&self, device: &Device, ranks: usize) -> Result<Option<String>, Error> {
        if device::compiles_kernels(device) {
            return Ok(None);
        }
        let installed = memory::installed().unwrap_or(u64::MAX);
        memory::available().map_or(Ok(None), |available| self.fits(available, installed, ranks))
    }

    fn fits(&self, available: u64, installed: u64, ranks: usize) -> Result<Option<String>, Error> {
        let [available, installed] = [available, installed].map(|bytes| bytes / ranks as u64);
        let of_each = |bytes| match ranks {
            1 => Gigabytes(bytes).to_string(),
            _ => format!("{} for each of {ranks} ranks", Gigabytes(bytes)),
        };
        for phase in &self.phases {
            let memory = &phase.memory;
            let refused = |part, bytes, installed| Error::Memory {
                phase: phase.phase.clone(),
                estimate: estimate(memory),
                part,
                available: of_each(bytes),
                installed,
            };
            if memory.trained() > available {
                return Err(refused("weights, gradients and moments alone", available, false));
            }
            if memory.peak as f64 * (1.0 - ACCURACY) > installed as f64 {
                return Err(refused("the tensors of a step", installed, true));
            }
        }
        let most = |phase: &&PhasePlan| phase.memory.peak.max(phase.memory.checkpoint);
        let fullest = self.phases.iter().max_by_key(most);
        Ok(fullest.filter(|phase| most(phase) > available).map(|phase| {
            format!(
                "phase {:?} may run out of memory, of which {} is free: {}",
                phase.phase,
                of_each(available),
                estimate(&phase.memory)
            )
        }))
    }
}

impl PhasePlan {
    fn of(recipe: &Recipe, phase: &Phase, ground: &Ground, sources: &Sources, ranks: usize) -> Self {
        let (model, batch) = (&ground.model, recipe.optimiser.batch);
        Self {
            phase: phase.name.clone(),
            steps: phase.steps,
            student_parameters: model.trainable_count() as u64,
            guidance_parameters: sources.trainable_count() as u64,
            operations_per_step: model.training_operations() * batch as u64,
            memory: step_memory(recipe, phase, ground, sources, ranks),
        }
    }

    /// The estimate in words, for a message.
    pub fn estimate(&self) -> String {
        estimate(&self.memory)
    }
}

/// The bytes that the fullest of so many ranks has of the moments, and of one average of the student.
fn part(model: &SitConfig, sources: &Sources, ranks: usize) -> (u64, u64) {
    let size = |shape: &[usize]| shape.iter().product::<usize>();
    // The table of positions is not trained, and so it is not parted.
    let of_model = model.parameter_shapes();
    let of_model = of_model.iter().filter(|(name, _)| name.as_str() != POSITIONS);
    let of_model: Vec<usize> = of_model.map(|(_, shape)| size(shape)).collect();
    let of_sources = sources.parameter_shapes().filter(|(_, trained)| *trained);
    let all: Vec<usize> = of_model
        .iter()
        .copied()
        .chain(of_sources.map(|(shape, _)| size(shape)))
        .collect();
    let owners = shards::owners(&all, ranks);
    let of_rank = |sizes: &[usize], rank: usize| {
        let own = sizes.iter().zip(&owners).filter(|(_, owner)| **owner == rank);
        VALUE * own.map(|(size, _)| *size as u64).sum::<u64>()
    };
    let parts = (0..ranks).map(|rank| (2 * of_rank(&all, rank), of_rank(&of_model, rank)));
    let (moments, average) = parts
        .max_by_key(|(moments, average)| moments + average)
        .unwrap_or_default();
    let positions = model.parameter_bytes() - of_model.iter().map(|size| VALUE * *size as u64).sum::<u64>();
    (moments, average + positions)
}

fn step_memory(recipe: &Recipe, phase: &Phase, ground: &Ground, sources: &Sources, ranks: usize) -> StepMemory {
    let Ground {
        dataset, model, fields, ..
    } = ground;
    let optimiser = &recipe.optimiser;
    // This rank's slice.
    let batch = optimiser.batch / ranks;
    let micro = batch / optimiser.accumulation;
    let values = |shape: &[usize]| shape.iter().product::<usize>() as u64;
    let of_sources: u64 = sources.parameter_shapes().map(|(shape, _)| VALUE * values(shape)).sum();
    let trained = VALUE * (model.trainable_count() + sources.trainable_count()) as u64;

    let read = sources.fields();
    let read: Vec<_> = fields.iter().filter(|(name, _)| read.contains(name)).collect();
    let image = (model.in_channels * model.input_size * model.input_size) as u64;
    let field: u64 = read.iter().map(|(_, shape)| values(shape)).sum();
    // What the data keeps on disk is not in memory; what an encoder adds is.
    let added = |name: &str| dataset.fields().all(|(kept, _)| kept != name);
    let added = read.iter().filter(|(name, _)| added(name));
    let added: u64 = added.map(|(_, shape)| values(shape)).sum();
    let is_kept = recipe
        .encoder
        .as_ref()
        .is_some_and(|encoder| encoder.when == EncodingTime::Before);
    let (kept, given) = if is_kept { (added, 0) } else { (0, added) };
    let field = field - given;
    let latents = if keeps_latents(&recipe.data) { 2 * image } else { 0 };
    let in_the_set = dataset.resident_bytes() + VALUE * dataset.len() as u64 * (kept + latents);
    let in_a_step = batch as u64 * (IMAGES_OF_A_STEP * image + 3 * field);
    let encoding = EncodingMemory::of(batch, ground, given > 0, recipe.compute.frozen);

    // What a source trains is a projection of tokens: its input, the product, and the activation of that are kept.
    let rows = (micro * model.tokens()) as u64;
    let projections = sources
        .parameter_shapes()
        .filter(|(shape, trained)| *trained && shape.len() > 1);
    let projected: u64 = projections
        .map(|(shape, _)| VALUE * rows * (2 * shape[0] as u64 + values(&shape[1..])))
        .sum();
    let asked = sources.deepest_asked().is_some() || sources.asks_for_outputs();
    let targets = if asked { 2 * model.token_bytes(micro) } else { 0 };
    let activations = model.kept_bytes(micro, &recipe.compute) + projected + targets;

    // Blocks that nobody reads are not kept.
    let whole = ground.teachers.get(&phase.name).unwrap_or(model);
    let teacher = SitConfig {
        depth: sources.blocks_asked().unwrap_or(whole.depth),
        ..whole.clone()
    };
    let has_teacher = phase.teacher.is_some() && sources.needs_teacher_from(0);
    let whole = model.parameter_bytes();
    let (moments, average) = match recipe.ranks.sharded {
        true => part(model, sources, ranks),
        false => (2 * trained, whole),
    };
    let memory = StepMemory {
        weights: model.parameter_bytes() + of_sources,
        gradients: trained,
        moments,
        averages: (1 + optimiser.further_ema_decays.len() as u64) * average,
        teacher: if has_teacher {
            teacher.held_bytes(recipe.compute.frozen)
        } else {
            0
        },
        buffers: sources.buffer_bytes(),
        encoders: encoding.weights,
        features: in_the_set + VALUE * (in_a_step + micro as u64 * given) + encoding.pictures,
        activations,
        ..StepMemory::default()
    };
    let standing = memory.weights
        + memory.moments
        + memory.averages
        + memory.teacher
        + memory.encoders
        + memory.buffers
        + memory.features;
    let pass = match asked {
        true => model.forward_bytes(micro).max(model.backward_bytes(micro)),
        false => model.backward_bytes(micro),
    };
    let slack = |bytes: u64| bytes + (bytes as f64 * SLACK) as u64;
    let parts = optimiser.accumulation > 1;
    let summed = if parts { memory.gradients } else { 0 };
    let backward = summed + slack(activations + pass);
    // Weights, moments and averages are updated in place. Of a batch in parts, the last one's gradients are added to the others'.
    let update = summed + memory.gradients;
    let evaluation = &recipe.evaluation;
    let validated = (evaluation.images * evaluation.times).min(validation::BATCH);
    // Of which the other ranks' parts are gathered before.
    let measured = model.forward_bytes(validated) + (whole - average);
    let moving = backward.max(update).max(measured).max(encoding.working);
    // The gradients are there at the end of the backward pass, when the activations are gone.
    let kept = activations + summed;
    // One network after another is copied off its device, and then into the bytes of its file, in one piece. The allocator has kept
    // what the step has let go, but in pieces, and for other threads. The moments are written tensor by tensor.
    let written = moving + 2 * model.parameter_bytes();
    StepMemory {
        working: moving.saturating_sub(kept),
        peak: PROGRAM + standing + moving,
        checkpoint: PROGRAM + standing + written,
        ..memory
    }
}

/// Bytes of the frozen networks that see images, and of what they see.
struct EncodingMemory {
    weights: u64,
    pictures: u64,
    /// At work while a batch is encoded.
    working: u64,
}

impl EncodingMemory {
    /// Of steps of `batch` images; `is_seen` says whether the encoder, held in `frozen`, is asked in them.
    fn of(batch: usize, ground: &Ground, is_seen: bool, frozen: Precision) -> Self {
        let (autoencoder, is_encoded) = (ground.autoencoder.as_ref(), ground.dataset.is_encoded());
        let side = ground.dataset.source_side().unwrap_or(0);
        let encoder = ground.encoder.as_ref().filter(|_| is_seen);
        let weights = autoencoder.map_or(0, Autoencoder::parameter_bytes);
        let seen = if is_encoded || is_seen {
            batch * 3 * side * side
        } else {
            0
        };
        let working = autoencoder.filter(|_| is_encoded);
        Self {
            weights: weights + encoder.map_or(0, |encoder| encoder.held_bytes(frozen)),
            pictures: PICTURE * seen as u64,
            working: working.map_or(0, |autoencoder| autoencoder.config().encoding_bytes(batch, side)),
        }
    }
}

/// The estimate in words.
fn estimate(memory: &StepMemory) -> String {
    let parts = [
        ("weights", memory.weights),
        ("gradients", memory.gradients),
        ("moments", memory.moments),
        ("averages", memory.averages),
        ("teacher", memory.teacher),
        ("encoders", memory.encoders),
        ("activations", memory.activations),
        ("features", memory.features),
    ];
    let parts = parts.iter().filter(|(_, bytes)| *bytes > 0);
    let parts: Vec<String> = parts
        .map(|(name, bytes)| format!("{name} {}", Gigabytes(*bytes)))
        .collect();
    format!(
        "a step is estimated to need {} at its fullest, a checkpoint {} ({})",
        Gigabytes(memory.peak),
        Gigabytes(memory.checkpoint),
        parts.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The plan of a recipe whose network has these keys, without guidance.
    fn plan(model: &str, optimiser: &str) -> RunPlan {
        plan_of_rank(model, optimiser, 1, false)
    }

    /// The same for one of so many ranks.
    fn plan_of_rank(model: &str, optimiser: &str, ranks: usize, sharded: bool) -> RunPlan {
        let text = format!(
            "data = {{ kind = \"emoji\", size = 32 }}\nmodel = {{ {model} }}\noptimiser = {{ {optimiser} }}\n\
             ranks = {{ sharded = {sharded} }}\nphases = [{{ name = \"train\", steps = 3 }}]"
        );
        let recipe = sextant_recipe::parse_resolved(Path::new("test.toml"), &text).unwrap();
        RunPlan::read(&recipe, &SearchPath::new(&[]), &Device::flex(), ranks).unwrap()
    }

    #[test]
    fn the_peak_is_near_what_was_measured() {
        // Largest resident memory after four steps on the CPU: many activations, some of both, many weights, a batch in parts.
        let wide = "patch_size = 8, hidden_size = 1024, num_heads = 16";
        for (model, optimiser, measured) in [
            (
                "patch_size = 2, hidden_size = 256, depth = 4, num_heads = 4",
                "batch = 16",
                516e6,
            ),
            (
                "patch_size = 2, hidden_size = 256, depth = 8, num_heads = 4",
                "batch = 16",
                923e6,
            ),
            (
                "patch_size = 4, hidden_size = 512, depth = 12, num_heads = 8",
                "batch = 16",
                1545e6,
            ),
            (&format!("{wide}, depth = 6"), "batch = 4", 2499e6),
            (&format!("{wide}, depth = 4"), "batch = 8, accumulation = 2", 2062e6),
        ] {
            let memory = &plan(model, optimiser).phases[0].memory;
            let off = memory.peak as f64 / measured - 1.0;
            assert!(off.abs() < 0.1, "{model}, {optimiser}: {memory:?} is off by {off:.3}");
        }
    }

    #[test]
    fn a_checkpoint_is_near_what_was_measured() {
        // Largest resident memory after a checkpoint, on the CPU. That of the step before it is 1.71, 2.51 and 2.04 GB.
        let wide = "patch_size = 8, hidden_size = 1024, num_heads = 16, qk_norm = true";
        for (model, optimiser, measured) in [
            (
                "patch_size = 4, hidden_size = 512, depth = 12, num_heads = 8, qk_norm = true",
                "batch = 16",
                2150e6,
            ),
            (&format!("{wide}, depth = 6"), "batch = 4", 3447e6),
            (&format!("{wide}, depth = 4"), "batch = 8, accumulation = 2", 2391e6),
        ] {
            let memory = &plan(model, optimiser).phases[0].memory;
            let off = memory.checkpoint as f64 / measured - 1.0;
            assert!(off.abs() < 0.1, "{model}, {optimiser}: {memory:?} is off by {off:.3}");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_and_what_may_not_is_warned_of() {
        let plan = plan(
            "patch_size = 8, hidden_size = 64, depth = 2, num_heads = 2",
            "batch = 4",
        );
        let memory = &plan.phases[0].memory;
        assert!(memory.trained() < memory.peak);
        assert_eq!(
            plan.fits(memory.peak.max(memory.checkpoint), u64::MAX, 1).unwrap(),
            None
        );
        let warning = plan.fits(memory.trained(), memory.peak, 1).unwrap().unwrap();
        assert!(
            warning.contains("phase \"train\"") && warning.contains("activations"),
            "{warning}"
        );
        let refusal = plan.fits(memory.trained() - 1, u64::MAX, 1).unwrap_err().to_string();
        assert!(refusal.contains("moments") && refusal.contains("are free"), "{refusal}");
        let refusal = plan.fits(u64::MAX, memory.peak / 5 * 4, 1).unwrap_err().to_string();
        assert!(refusal.contains("that this machine has"), "{refusal}");
    }

    #[test]
    fn xl_fits_in_parts_where_it_does_not_whole() {
        let of_rank = |sharded| plan_of_rank("size = \"XL/2\"", "batch = 256, accumulation = 16", 8, sharded);
        let memory = |sharded: bool| of_rank(sharded).phases[0].memory.clone();
        let (whole, parts) = (memory(false), memory(true));
        let part = |whole: u64| whole as f64 / 8.0;
        assert!(whole.moments > 5_300_000_000, "{whole:?}");
        assert!(
            (parts.moments as f64 / part(whole.moments) - 1.0).abs() < 0.02,
            "{parts:?}"
        );
        assert!(
            (parts.averages as f64 / part(whole.averages) - 1.0).abs() < 0.02,
            "{parts:?}"
        );
        assert_eq!((parts.weights, parts.gradients), (whole.weights, whole.gradients));
        // A device of 16 GB, of which the host's memory stands for the test.
        let free = 15_000_000_000;
        let warned = |sharded| {
            let mut plan = of_rank(sharded);
            plan.phases[0].memory.checkpoint = 0;
            [1, 2].map(|ranks| plan.fits(free * ranks as u64, u64::MAX, ranks).unwrap())
        };
        assert!(warned(true).iter().all(Option::is_none), "{parts:?}");
        let [alone, beside] = warned(false).map(Option::unwrap);
        assert!(alone.contains("15.00 GB is free"), "{alone}");
        assert!(beside.contains("15.00 GB for each of 2 ranks is free"), "{beside}");
        // One rank has all of it, whatever the key says.
        let one = |sharded| {
            plan_of_rank("size = \"S/2\"", "batch = 4", 1, sharded).phases[0]
                .memory
                .peak
        };
        assert_eq!(one(true), one(false));
    }

    #[test]
    fn a_rank_keeps_its_slice_of_the_batch() {
        let model = "patch_size = 2, hidden_size = 64, depth = 2, num_heads = 2";
        let memory = |batch: &str, ranks| plan_of_rank(model, batch, ranks, false).phases[0].memory.clone();
        let (one, of_four) = (memory("batch = 4", 1), memory("batch = 16", 4));
        assert_eq!((one.activations, one.features), (of_four.activations, of_four.features));
        assert!(memory("batch = 16", 1).activations == 4 * of_four.activations);
    }

    #[test]
    fn parts_of_a_batch_keep_less() {
        let model = "patch_size = 2, hidden_size = 64, depth = 2, num_heads = 2";
        let kept = |optimiser: &str| plan(model, optimiser).phases[0].memory.activations;
        assert_eq!(kept("batch = 16, accumulation = 4"), kept("batch = 4"));
        assert_eq!(kept("batch = 16"), 4 * kept("batch = 4"));
    }
}
