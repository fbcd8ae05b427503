//! The way of docs/imagenet.md with tiny networks: from photographs to a comparison under every source, to samples and scores,
//! and to a network that teaches another.

use std::path::Path;

use serde_json::Value;
use sextant_tests::{fixture, sextant, stderr, stdout};
use sextant_train::sample::{grid_png, read_npz};

/// Sizes that are smaller than in the published recipe; all else is as there.
const SMALL: [&str; 18] = [
    "data.held_out=0.25",
    "model.hidden_size=16",
    "model.depth=8",
    "model.num_heads=2",
    "optimiser.batch=4",
    "evaluation.every=0",
    "evaluation.images=4",
    "evaluation.times=2",
    "evaluation.samples=4",
    "evaluation.sampler.steps=2",
    "output.share_every=0",
    "phases.0.steps=3",
    "variants.1.phases.0.guidance.0.config.projector_width=8",
    "variants.3.phases.0.guidance.0.config.projector_width=8",
    "variants.4.phases.0.guidance.0.config.projector_width=8",
    "variants.5.phases.0.guidance.0.config.projector_width=8",
    "variants.5.phases.1.guidance.0.config.projector_width=8",
    "variants.5.phases.0.steps=2",
];

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// A command on a recipe of `configs/imagenet` at these sizes, with further settings.
fn small(folder: &Path, command: &str, more: &[&str]) -> String {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/imagenet/b2-256.toml");
    let mut words = vec![command, recipe.to_str().unwrap(), "--device", "cpu"];
    words.extend(SMALL.iter().flat_map(|set| ["--set", *set]));
    words.extend(more);
    run(folder, &words)
}

/// Three classes of PNG files, 98 pixels a side.
fn photographs(folder: &Path) {
    let emoji = sextant_data::emoji(32).unwrap();
    let bytes = 3 * 32 * 32;
    for id in 0..84 {
        let class = folder.join(["cats", "dogs", "owls"][id % 3]);
        std::fs::create_dir_all(&class).unwrap();
        let png = grid_png(&emoji.pixels[id * bytes..(id + 1) * bytes], 32, 1).unwrap();
        std::fs::write(class.join(format!("{id}.png")), png).unwrap();
    }
}

/// A tiny autoencoder and a tiny DINOv2, as the hub has such networks.
fn networks(folder: &Path) {
    fixture::autoencoder_folder(&folder.join("vae"), 0, |_| ());
    fixture::dinov2_folder(&folder.join("dinov2"));
}

#[test]
fn from_photographs_to_a_comparison_to_scores_to_a_teacher() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    photographs(&folder.join("photos"));
    networks(folder);
    let prepare = "data prepare photos set --size 16 --vae vae --encoder dinov2 --attention 2,3 --grid 4 --device cpu";
    run(folder, &prepare.split(' ').collect::<Vec<_>>());

    // Every shipped source, on the files as they are.
    let latents = ["--set", "data.path=set", "--set", "data.vae=vae"];
    small(folder, "compare", &[&latents[..], &["--out", "runs"]].concat());
    let result = |run: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(run).join("result.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let guided = result("runs/haste");
    assert!(
        guided["guidance_loss"]["haste"].as_f64().unwrap().is_finite(),
        "{guided}"
    );
    // Pictures of latents, decoded: four of 16 pixels, not of 8.
    let samples = read_npz(&folder.join("runs/none/samples/final.npz")).unwrap();
    assert_eq!((samples.side, samples.bytes.len()), (16, 4 * 16 * 16 * 3));
    let info: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("runs/none/run.json")).unwrap()).unwrap();
    assert_eq!(info["files"][0]["key"], "data.vae", "{info}");

    // The same from one packed file, and in pixels.
    let pack = "data pack set packed --field features --field attention --held-out 0.25";
    run(folder, &pack.split(' ').collect::<Vec<_>>());
    let packed = [
        "--set",
        "data.kind=packed",
        "--set",
        "data.path=packed",
        "--set",
        "data.vae=vae",
    ];
    let one = |out: &'static str, variant: &'static str| ["--out", out, "--variant", variant];
    small(folder, "train", &[&packed[..], &one("packed-repa", "repa")].concat());
    assert_eq!(
        result("packed-repa")["validation_loss"],
        result("runs/repa")["validation_loss"]
    );
    let pixels = [
        "--set",
        "data.kind=images",
        "--set",
        "data.path=set/images",
        "--set",
        "data.size=16",
    ];
    small(folder, "train", &[&pixels[..], &one("pixels", "layersync")].concat());

    // Samples for an evaluation, and their scores.
    let sample = "sample runs/self-transcendence --npz out.npz --count 20 --labels random --steps 2 --device cpu";
    run(folder, &sample.split(' ').collect::<Vec<_>>());
    let eval = "eval out.npz --recipe runs/self-transcendence/recipe.toml --set evaluation.quality={judges=[\"dinov2\"]} --device cpu --json";
    let scores: Value = serde_json::from_str(&run(folder, &eval.split(' ').collect::<Vec<_>>())).unwrap();
    let frechet = &scores["evaluation"]["quality"][0]["scores"]["frechet"];
    assert!(frechet.as_f64().is_some_and(f64::is_finite), "{scores}");

    // A network leaves, and comes back as a teacher.
    let convert = "checkpoint convert runs/self-transcendence/phases/train/step-000003 network.safetensors";
    run(folder, &convert.split(' ').collect::<Vec<_>>());
    let teacher = "phases.0.teacher={ from = \"network.safetensors\" }";
    let guidance = "phases.0.guidance=[{ plugin = \"self-transcendence\", config = { projector_width = 8 } }]";
    let taught = [&latents[..], &one("taught", "none"), &["--set", teacher]].concat();
    let by = "variants.0.phases=[{ name = \"train\", guidance = [{ plugin = \"self-transcendence\", config = { projector_width = 8 } }] }]";
    small(
        folder,
        "train",
        &[&taught[..], &["--set", guidance, "--set", by]].concat(),
    );
    let loss = &result("taught")["guidance_loss"]["self-transcendence"];
    assert!(loss.as_f64().is_some_and(f64::is_finite), "{loss}");
}
