//! Autoencoders of one's own, and diffusion in the latents of the embedded data.

use std::fs;
use std::path::{Path, PathBuf};

use sextant_model::autoencoder::Autoencoder;
use sextant_tests::{device, refused, sextant, stderr, stdout};
use sextant_train::sample::read_npz;

/// A recipe that is trained in seconds, for emoji of 8 pixels a side.
pub fn tiny(steps: u64) -> String {
    format!(
        r#"
        data = {{ kind = "emoji", size = 8, split_seed = 0 }}
        objective = {{ reconstruction = "l1", kl_weight = 1e-6 }}
        [network]
        latent_channels = 3
        block_out_channels = [4, 8]
        layers_per_block = 1
        mid_block_add_attention = true
        norm_num_groups = 2
        [training]
        steps = {steps}
        batch_size = 8
        learning_rate = 0.005
        warm_up = 5
        weight_decay = 0.01
        seed = 1
        "#
    )
}

/// `configs/emoji-latent.toml`, with sizes at which it runs in seconds.
fn latent(folder: &Path, command: &[&str], more: &[&str]) -> String {
    const SMALL: [&str; 7] = [
        "model.hidden_size=16",
        "model.depth=4",
        "optimiser.batch=4",
        "evaluation.every=0",
        "evaluation.images=4",
        "evaluation.samples=4",
        "output.share_every=0",
    ];
    let mut words = command.to_vec();
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/emoji-latent.toml");
    words.extend([recipe.to_str().unwrap(), "--device", "cpu"]);
    words.extend(SMALL.iter().flat_map(|set| ["--set", *set]));
    words.extend(more);
    let output = sextant(folder, &words);
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    stdout(&output)
}

fn info(run: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn the_method_runs_in_latents_of_the_emoji_and_samples_are_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    // The recipe's variants beside the baseline, which all of them contain; the second reads the encoder's features of the images.
    for (place, variant) in [(1, "repa"), (3, "self-transcendence")] {
        let phases = (0..if place == 3 { 2 } else { 1 }).map(|phase| format!("variants.{place}.phases.{phase}."));
        let sets = phases.flat_map(|phase| {
            let width = format!("{phase}guidance.0.config.projector_width=8");
            ["--set".to_owned(), format!("{phase}steps=3"), "--set".to_owned(), width]
        });
        let mut sets: Vec<String> = sets.collect();
        // One of them at half the size, which is a quarter of the work: an autoencoder sees images of any.
        let side = if place == 3 { 16 } else { 32 };
        let halved = ["data.size=16", "model.patch_size=1"].iter().filter(|_| side == 16);
        sets.extend(halved.flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
        let mut more = vec!["--variant", variant, "--out", variant];
        more.extend(sets.iter().map(String::as_str));
        latent(folder.path(), &["train"], &more);
        let pixels = read_npz(&at(variant).join("samples/final.npz")).unwrap();
        assert_eq!((pixels.side, pixels.bytes.len()), (side, 4 * side * side * 3));
    }
    // The latents and not the pixels, and of one network: what ships is no file that could change.
    let encoded_by = info(&at("repa"))["encoded_by"].clone();
    assert!(encoded_by.is_string() && encoded_by == info(&at("self-transcendence"))["encoded_by"]);
    assert!(info(&at("repa"))["files"].as_array().is_none_or(Vec::is_empty));

    let sampled = sextant(
        folder.path(),
        &["sample", "repa", "--device", "cpu", "--steps", "2", "--count", "2"],
    );
    assert!(sampled.status.success(), "{}", stderr(&sampled));
    assert_eq!(read_npz(&at("repa/samples/drawn.npz")).unwrap().side, 32);
}

#[test]
fn latents_that_are_kept_are_those_that_each_step_would_encode() {
    let folder = tempfile::tempdir().unwrap();
    let packed = sextant(folder.path(), &["data", "pack", "emoji", "packed", "--size", "16"]);
    assert!(packed.status.success(), "{}", stderr(&packed));
    let network = |run: &str, data: &str| {
        let few = ["--variant", "none", "--out", run, "--set", "phases.0.steps=3"];
        let sets = ["--set", data, "--set", "model.patch_size=1"];
        latent(folder.path(), &["train"], &[&few[..], &sets].concat());
        fs::read(
            folder
                .path()
                .join(run)
                .join("phases/train/step-000003/student.safetensors"),
        )
        .unwrap()
    };
    let kept = network("kept", "data.size=16");
    assert!(
        kept == network(
            "steps",
            r#"data={ kind = "packed", path = "packed", vae = "embedded" }"#
        )
    );
}

#[test]
fn an_autoencoder_of_ones_own_takes_the_place_of_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("vae.toml"), tiny(60)).unwrap();
    let train = ["vae", "train", "vae.toml", "--out", "vae", "--device", "cpu", "--json"];
    let trained = sextant(folder.path(), &train);
    assert!(trained.status.success(), "{}", stderr(&trained));
    let facts: serde_json::Value = serde_json::from_str(&stdout(&trained)).unwrap();
    assert_eq!(
        (facts["held_out"].as_u64(), facts["log"][2]["step"].as_u64()),
        (Some(381), Some(60))
    );
    assert!(facts["psnr"].as_f64().unwrap() > 10.0, "{facts}");
    assert!(fs::read(at("vae/reconstructions.png")).unwrap().starts_with(b"\x89PNG"));
    let scale = Autoencoder::load(&at("vae"), &device())
        .unwrap()
        .config()
        .scaling_factor;
    assert_eq!(facts["scaling_factor"].as_f64(), Some(scale));

    let sets = [
        "--set",
        "data.size=8",
        "--set",
        "data.vae=vae",
        "--set",
        "model.patch_size=1",
        "--set",
        "phases.0.steps=2",
    ];
    let own = [&sets[..], &["--variant", "none", "--out", "run"]].concat();
    latent(folder.path(), &["train"], &own);
    assert_eq!(info(&at("run"))["files"][0]["key"], "data.vae");
    // The run is one of these latents: another network is refused, wherever it lies.
    fs::write(at("vae.toml"), tiny(61)).unwrap();
    let again = ["vae", "train", "vae.toml", "--out", "vae", "--device", "cpu"];
    assert!(sextant(folder.path(), &again).status.success());
    refused(folder.path(), &["train", "--resume", "run", "--steps", "3"], &["vae"]);

    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/emoji-latent.toml");
    let recipe = recipe.to_str().unwrap();
    for (set, parts) in [
        ("data.vae=nowhere", ["nowhere", "config.json"]),
        ("data.split_seed=5", ["data.vae: embedded", "data.split_seed"]),
    ] {
        refused(folder.path(), &["train", recipe, "--out", "none", "--set", set], &parts);
        assert!(!at("none").exists());
    }
}

#[test]
fn what_cannot_be_trained_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, parts) in [
        ("size = 8,", "size = 8, vae = \"embedded\",", ["vae.toml", "data.vae"]),
        ("[4, 8]", "[4, 8, 8, 8, 8]", ["vae.toml", "network.block_out_channels"]),
        (
            "norm_num_groups = 2",
            "norm_num_groups = 3",
            ["vae.toml", "norm_num_groups is 3"],
        ),
        ("seed = 1", "seeds = 1", ["vae.toml", "seeds"]),
    ] {
        fs::write(folder.path().join("vae.toml"), tiny(2).replace(from, to)).unwrap();
        refused(folder.path(), &["vae", "train", "vae.toml", "--out", "vae"], &parts);
        assert!(!folder.path().join("vae").exists(), "{to}");
    }
    fs::write(folder.path().join("vae.toml"), tiny(2)).unwrap();
    refused(
        folder.path(),
        &["vae", "train", "vae.toml", "--out", "vae.toml"],
        &["vae.toml"],
    );
}
