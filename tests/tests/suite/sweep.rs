//! A whole sweep: the same settings for every variant, a recipe of the best, what is run again and what is refused.

use std::path::Path;
use std::time::SystemTime;

use sextant_tests::{recipe, sextant, stderr, stdout};

fn sweep(folder: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let recipe = recipe("tiny.toml");
    let arguments = [
        "sweep",
        recipe.to_str().unwrap(),
        "--out",
        "swept",
        "--device",
        "cpu",
        "--steps",
        "3",
    ];
    let output = sextant(folder, &[&arguments[..], more].concat());
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn a_sweep_ends_in_a_recipe_that_compares_the_best_settings() {
    let folder = tempfile::tempdir().unwrap();
    // A learning rate of 100 cannot be the best, whatever it does to the loss.
    let lr = ["--lr", "1e-3,3e-3,100"];
    let (code, table, error) = sweep(folder.path(), &lr);
    assert_eq!(code, Some(0), "{error}");
    for words in [
        "lr=0.001",
        "lr=100",
        "3 runs a variant of 3 steps with seed 1000",
        "tiny-tuned.toml",
    ] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    // Each line says how long all nine runs take; the last may end before it has one.
    assert!(
        error.contains("run 8 of 9, ") && error.contains(" left for all"),
        "{error}"
    );
    let swept = folder.path().join("swept");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(swept.join("sweep.json")).unwrap()).unwrap();
    for variant in json["variants"].as_array().unwrap() {
        let scores: Vec<Option<f64>> = variant["trials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["score"].as_f64())
            .collect();
        let best = variant["best"].as_u64().unwrap() as usize;
        assert!(best < 2 && scores.len() == 3, "{variant}");
        let least = scores.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(scores[best], Some(least));
    }
    assert!(
        std::fs::read_to_string(swept.join("sweep.md"))
            .unwrap()
            .contains("| self-transcendence |")
    );

    // The recipe has each variant's own best value, the recipe's own steps and seed, and is ready to run.
    let tuned = sextant_recipe::load(&swept.join("tiny-tuned.toml"), &[]).unwrap();
    for (variant, found) in tuned.variants.iter().zip(json["variants"].as_array().unwrap()) {
        let best = &found["trials"][found["best"].as_u64().unwrap() as usize]["setting"][0];
        let recipe = tuned.variant(variant).unwrap();
        assert_eq!(Some(recipe.optimiser.lr), best["value"].as_f64());
        assert_eq!((recipe.seed, recipe.phases.last().unwrap().steps), (3, 8));
    }
    let compare = ["compare", "swept/tiny-tuned.toml", "--out", "tuned", "--device", "cpu"];
    let output = sextant(folder.path(), &compare);
    assert!(output.status.success(), "{}", stderr(&output));

    // Again: what is finished is not run again, what was interrupted is, and the end is the same.
    let runs = swept.join("seed-1000");
    let written = |run: &str| -> SystemTime {
        std::fs::metadata(runs.join(run).join("result.json"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = written("none/lr=0.001");
    let markdown = std::fs::read(swept.join("sweep.md")).unwrap();
    std::fs::remove_file(runs.join("aligned/lr=0.003/result.json")).unwrap();
    let (code, _, error) = sweep(folder.path(), &lr);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(written("none/lr=0.001"), before, "it ran again");
    assert_eq!(std::fs::read(swept.join("sweep.md")).unwrap(), markdown);
}
