//! Networks of files: those that a phase's student begins with, and frozen teachers.

use std::collections::BTreeMap;

use sextant_model::checkpoint::{CheckpointError, Fault, Imported};
use sextant_model::{Sit, SitConfig};
use sextant_recipe::{DiffusionRecipe, Import, Init, Recipe, Take};

use super::Error;

/// The geometry of the teachers that come from files, by the name of their phase.
pub(super) type Teachers = BTreeMap<String, SitConfig>;

/// Looks at every file of weights that a recipe names: whether it can be read, fits, and holds numbers. No tensor
/// of it is kept.
///
/// # Errors
/// The key, the file, and all that does not fit.
pub(super) fn check(recipe: &Recipe, model: &SitConfig) -> Result<Teachers, Error> {
    let mut teachers = Teachers::new();
    for (i, phase) in recipe.phases.iter().enumerate() {
        let named = |key: &str| {
            let key = format!("phases.{i}.{key}.from");
            move |source| Error::Import { key, source }
        };
        if let Init::File(file) = &phase.init {
            let import = file.import();
            let left = begins(&import, file.take, model, &recipe.diffusion).map_err(named("init"))?;
            if left > 0 {
                tracing::warn!(
                    "phases.{i}.init: {left} parameters of {} and of the network here do not fit one another, and are not taken over",
                    import.file()
                );
            }
        }
        if let Some(import) = phase.teacher.as_ref().and_then(|teacher| teacher.import()) {
            let teacher = teaches(&import, model, &recipe.diffusion).map_err(named("teacher"))?;
            teachers.insert(phase.name.clone(), teacher);
        }
    }
    Ok(teachers)
}

/// Number of parameters that a student does not take of a file, or a file has beyond it.
fn begins(
    import: &Import,
    take: Take,
    model: &SitConfig,
    diffusion: &DiffusionRecipe,
) -> Result<usize, CheckpointError> {
    let mut imported = Imported::open(import)?;
    let left = imported.fits(model, take)?;
    if take == Take::All {
        imported.matches(diffusion)?;
    }
    imported.are_numbers(model)?;
    for difference in &left {
        tracing::info!("{}: {difference}", import.file());
    }
    Ok(left.len())
}

/// The geometry of a teacher, which sees what the student sees, and may be deeper and wider.
fn teaches(import: &Import, model: &SitConfig, diffusion: &DiffusionRecipe) -> Result<SitConfig, CheckpointError> {
    let mut imported = Imported::open(import)?;
    let heads = imported.geometry.num_heads;
    let alike = imported.geometry.hidden_size == model.hidden_size;
    let teacher = imported.config(heads.or(alike.then_some(model.num_heads)))?;
    imported.matches(diffusion)?;
    let inputs = |config: &SitConfig| {
        [
            ("latents of side", config.input_size),
            ("channels", config.in_channels),
            ("patches of side", config.patch_size),
            ("classes", config.num_classes),
        ]
    };
    let mut pairs = inputs(&teacher).into_iter().zip(inputs(model));
    match pairs.find(|(found, wanted)| found != wanted) {
        None => {
            imported.are_numbers(&teacher)?;
            Ok(teacher)
        }
        Some(((what, found), (_, wanted))) => Err(CheckpointError {
            path: imported.file().path().to_owned(),
            fault: Box::new(Fault::Network(format!(
                "as a teacher it has to see what the student sees: its {what} are {found}, the student's {wanted}"
            ))),
        }),
    }
}

/// `network` with the weights of a file.
///
/// # Errors
/// As [`check`], and values that are no numbers.
pub(super) fn load(import: &Import, network: Sit, take: Take) -> Result<Sit, Error> {
    Ok(Imported::open(import)?.load(network, take)?)
}
