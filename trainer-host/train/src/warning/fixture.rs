//! A recipe and plans of its sources, for the tests of warnings.

use std::path::Path;

use sextant_guidance::SourcePlan;
use sextant_guidance::plan::{Network, TapKind, TapRequest};
use sextant_recipe::{Recipe, parse_resolved};

use super::{Warning, of_training};

const RECIPE: &str = r#"
    data = { kind = "emoji", size = 8 }
    model = { patch_size = 2, hidden_size = 8, depth = 1, num_heads = 1 }
    optimiser = { batch = 8 }
    phases = [
      { name = "align", steps = 100, guidance = [{ plugin = "a", coefficient = 0.5 }] },
      { name = "train", steps = 100, teacher = { phase = "align" }, guidance = [{ plugin = "b", coefficient = 0.5 }] },
    ]
"#;

/// The recipe: a phase, and one that it teaches.
pub fn recipe() -> Recipe {
    parse_resolved(Path::new("recipe.toml"), RECIPE).unwrap()
}

/// The plan of a source without needs.
pub fn plan() -> SourcePlan {
    SourcePlan {
        required_minor: 0,
        batch_coupled: false,
        t_range: None,
        taps: Vec::new(),
        fields: Vec::new(),
        parameters: Vec::new(),
        buffers: Vec::new(),
        metrics: Vec::new(),
        settings: Vec::new(),
    }
}

/// The plans of the recipe: one of a source without needs, one of a source that asks the teacher.
pub fn plans() -> [SourcePlan; 2] {
    let teacher = TapRequest {
        network: Network::Teacher,
        kind: TapKind::Block,
        depth: 1,
    };
    let asking = SourcePlan {
        taps: vec![teacher],
        ..plan()
    };
    [plan(), asking]
}

/// Its warnings, with these plans.
pub fn of(recipe: &Recipe, [a, b]: &[SourcePlan; 2]) -> Vec<Warning> {
    of_training(recipe, &[vec![("a", a)], vec![("b", b)]], 300)
}

/// The one warning of the recipe after a change.
pub fn one(change: impl FnOnce(&mut Recipe, &mut [SourcePlan; 2])) -> String {
    let (mut recipe, mut plans) = (recipe(), plans());
    change(&mut recipe, &mut plans);
    recipe.validate().unwrap();
    match of(&recipe, &plans).as_slice() {
        [warning] => warning.to_string(),
        other => panic!("{other:?}"),
    }
}
