//! A recipe and data from a published size alone: what `benches/torch_step.py` times in PyTorch, with its options.

use std::path::Path;

use clap::{Args, ValueEnum};

use crate::Error;
use sextant_data::{Dataset, RandomShapes};
use sextant_model::SitConfig;
use sextant_recipe::{self as recipe, Precision, Recipe};

/// Classes of ImageNet.
const CLASSES: usize = 1000;

/// Width of the features of DINOv2 ViT-B.
const FEATURES: usize = 768;

/// Batches that the data last for.
const BATCHES: usize = 4;

/// A network and its data by their shapes.
#[derive(Args)]
pub struct SyntheticArgs {
    /// In place of a recipe: a published size, such as S/2 or XL/2, on random latents.
    #[arg(long, value_name = "SIZE/PATCH")]
    pub model: Option<String>,
    /// Samples of a step.
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "recipe")]
    batch: usize,
    /// Guidance of the step.
    #[arg(long, value_enum, default_value = "none", conflicts_with = "recipe")]
    guidance: Guidance,
    /// Height and width of the latents.
    #[arg(long, value_name = "N", default_value_t = 32, conflicts_with = "recipe", value_parser = sides())]
    input: u16,
    /// Channels of the latents.
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "recipe", value_parser = sides())]
    channels: u16,
    /// Block of the student that is guided; by default the middle one.
    #[arg(long, value_name = "N", conflicts_with = "recipe")]
    student_depth: Option<usize>,
    /// Block of the teacher that guides; by default at two thirds.
    #[arg(long, value_name = "N", conflicts_with = "recipe")]
    teacher_depth: Option<usize>,
    /// Normalise queries and keys.
    #[arg(long, conflicts_with = "recipe")]
    qk_norm: bool,
    /// Type of the products of student and teacher (compute.precision and compute.frozen).
    #[arg(long, value_enum, default_value = "f32", conflicts_with = "recipe")]
    dtype: Dtype,
}

fn sides() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=4096)
}

/// The sources that `benches/torch_step.py` has, too.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Guidance {
    None,
    Repa,
    VaeAlign,
    SelfTranscendence,
}

/// The types that `benches/torch_step.py` has, too.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Dtype {
    F32,
    Bf16,
}

impl SyntheticArgs {
    /// The recipe of these options, changed by `sets`, and data for it.
    ///
    /// # Errors
    /// A size that is none, an assignment that is wrong.
    pub fn recipe_and_data(&self, model: &str, sets: &[String]) -> Result<(Recipe, Dataset), Error> {
        let file = recipe::parse(Path::new("--model"), &self.recipe(model), sets)?;
        let mut recipe = file.base()?;
        let (input, channels) = (self.input.into(), self.channels.into());
        let network = SitConfig::of(&recipe.model, input, channels, CLASSES)?;
        self.place(&mut recipe, network.depth);
        let fields = match self.guidance {
            Guidance::Repa => vec![("features".to_owned(), vec![network.tokens(), FEATURES])],
            _ => Vec::new(),
        };
        let shapes = RandomShapes {
            samples: BATCHES * recipe.optimiser.batch,
            shape: [channels, input, input],
            classes: CLASSES,
            fields,
        };
        let dataset = Dataset::random(&shapes, recipe.seed)?;
        Ok((recipe, dataset))
    }

    /// As TOML. The data that it names are not read: it is timed on random ones.
    fn recipe(&self, model: &str) -> String {
        let Self { batch, qk_norm, .. } = self;
        let phases = match self.guidance {
            Guidance::None => "[{ name = \"bench\", steps = 1 }]",
            Guidance::Repa => "[{ name = \"bench\", steps = 1, guidance = [{ plugin = \"repa\" }] }]",
            Guidance::VaeAlign => "[{ name = \"bench\", steps = 1, guidance = [{ plugin = \"vae-align\" }] }]",
            Guidance::SelfTranscendence => {
                "[{ name = \"first\", steps = 1 }, { name = \"bench\", steps = 1, teacher = { phase = \"first\" }, \
                 guidance = [{ plugin = \"self-transcendence\" }] }]"
            }
        };
        let dtype = match self.dtype {
            Dtype::F32 => Precision::F32,
            Dtype::Bf16 => Precision::Bf16,
        };
        let dtype = dtype.key();
        format!(
            "title = {model:?}\ndata = {{ kind = \"emoji\" }}\nmodel = {{ size = {model:?}, qk_norm = {qk_norm} }}\n\
             optimiser = {{ batch = {batch} }}\ncompute = {{ precision = {dtype:?}, frozen = {dtype:?} }}\n\
             phases = {phases}\n"
        )
    }

    /// Gives the source its depths, those of `benches/torch_step.py`, where no assignment has.
    fn place(&self, recipe: &mut Recipe, depth: usize) {
        let share = |share: f64| ((depth as f64 * share).round_ties_even() as usize).max(1);
        let student = self.student_depth.unwrap_or_else(|| share(0.5));
        let teacher = self.teacher_depth.unwrap_or_else(|| share(2.0 / 3.0));
        let keys = match self.guidance {
            Guidance::None => Vec::new(),
            Guidance::Repa | Guidance::VaeAlign => vec![("depth", student)],
            Guidance::SelfTranscendence => vec![("student_depth", student), ("teacher_depth", teacher)],
        };
        let sources = recipe.phases.iter_mut().flat_map(|phase| &mut phase.guidance);
        for source in sources {
            for (key, depth) in &keys {
                let place = source.config.entry(*key);
                place.or_insert_with(|| toml::Value::Integer(*depth as i64));
            }
        }
    }
}
