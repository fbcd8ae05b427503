//! Changes of each variant to the base recipe.

use crate::content::Report;
use crate::section::{Block, Section};

/// The section.
pub fn section(report: &Report) -> Option<Section> {
    let mut blocks = vec![Block::Words(
        "Everything that is not listed here is the same for all variants.".into(),
    )];
    for variant in &report.variants {
        blocks.push(Block::Heading(variant.name.clone()));
        blocks.push(Block::Words(variant.guidance.clone()));
        blocks.push(match variant.overlay.trim() {
            "" => Block::Words("The base recipe, unchanged.".into()),
            overlay => Block::Code(overlay.into()),
        });
    }
    if !report.base_recipe.trim().is_empty() {
        blocks.push(Block::Heading(format!("The base recipe, {}", report.recipe)));
        blocks.push(Block::Code(report.base_recipe.trim_end().into()));
    }
    Section::new("differences", "What differs: the recipes", blocks)
}
