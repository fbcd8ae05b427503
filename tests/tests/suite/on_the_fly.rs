//! Networks that encode the images of each batch in its step: an autoencoder whose latents are trained on, an encoder whose features
//! and attention guide. What they give is what was prepared, or computed, before.

use std::path::Path;

use serde_json::Value;
use sextant_model::autoencoder::{Autoencoder, AutoencoderConfig};
use sextant_tests::{device, fixture, refused, sextant, stderr, stdout};
use sextant_train::sample::{grid_png, read_npz};

use super::runs::{same, succeed};

/// Images of the set.
const COUNT: usize = 30;

fn autoencoder(folder: &Path, name: &str, change: impl FnOnce(&mut AutoencoderConfig)) {
    fixture::autoencoder_folder(&folder.join(name), 0, change);
}

/// Photographs, an autoencoder of factor 2, a DINOv2, and `set`: what is prepared of them, at 16 pixels.
fn prepared(folder: &Path) {
    let emoji = sextant_data::emoji(32).unwrap();
    let bytes = 3 * 32 * 32;
    for id in 0..COUNT {
        let class = folder.join("photos").join(["cats", "dogs"][id % 2]);
        std::fs::create_dir_all(&class).unwrap();
        let png = grid_png(&emoji.pixels[id * bytes..(id + 1) * bytes], 32, 1).unwrap();
        std::fs::write(class.join(format!("{id:02}.png")), png).unwrap();
    }
    autoencoder(folder, "vae", |_| {});
    fixture::dinov2_folder(&folder.join("dinov2"));
    let prepare =
        "data prepare photos set --size 16 --vae vae --encoder dinov2 --attention 2,3 --grid 4 --flips --device cpu";
    succeed(&sextant(folder, &prepare.split(' ').collect::<Vec<_>>()));
}

const MOMENTS: &str = "{ kind = \"latents\", path = \"set\", vae = \"vae\", flip = true }";
const IMAGES: &str = "{ kind = \"images\", path = \"set/images\", size = 16, vae = \"vae\", flip = true }";

/// The tiny recipe on these data.
fn write_recipe(folder: &Path, name: &str, data: &str) -> String {
    let tiny = std::fs::read_to_string(sextant_tests::tiny()).unwrap();
    let section = "[data]\nkind = \"emoji\"\nsize = 8\n";
    assert!(tiny.contains(section));
    let path = folder.join(format!("{name}.toml"));
    let (before, after) = tiny.split_once(section).unwrap();
    let text = format!("{}\n{after}", before.replace("title", &format!("data = {data}\ntitle")));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Trains on these data into the folder of that name.
fn train(folder: &Path, out: &str, data: &str, set: &[&str]) {
    let recipe = write_recipe(folder, out, data);
    let mut words = vec!["train", &recipe, "--out", out, "--device", "cpu"];
    words.extend(set.iter().flat_map(|set| ["--set", *set]));
    succeed(&sextant(folder, &words));
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The log of a training, by step and name.
fn log(run: &Path) -> Vec<(u64, String, f64)> {
    let lines = sextant_records::journal::read(&run.join("metrics.jsonl"));
    let of = lines
        .iter()
        .map(|line| (line.step, line.of_training().collect::<Vec<_>>()));
    of.flat_map(|(step, values)| {
        values
            .into_iter()
            .map(move |(name, value)| (step, name.to_owned(), value))
    })
    .collect()
}

/// Two trainings have the same log to `tolerance`.
fn alike(one: &Path, other: &Path, tolerance: f64) {
    let (one, other) = (log(one), log(other));
    assert_eq!(one.len(), other.len());
    for ((step, name, a), (_, same, b)) in one.iter().zip(&other) {
        assert_eq!(name, same);
        assert!(
            (a - b).abs() <= tolerance * a.abs().max(1e-3),
            "{name} at step {step}: {a} and {b}"
        );
    }
}

#[test]
fn latents_of_a_step_are_those_that_were_prepared() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    prepared(folder);
    let at = |name: &str| folder.join(name);
    train(folder, "moments", MOMENTS, &[]);
    train(folder, "images", IMAGES, &[]);
    same(&at("moments"), &at("images"), 8);
    let samples = |run: &str| std::fs::read(at(run).join("samples/final.npz")).unwrap();
    assert!(samples("moments") == samples("images"), "samples differ");
    assert_eq!(read_npz(&at("images/samples/final.npz")).unwrap().side, 16);

    // The time that it takes, and the operations, are those of the step.
    let result = json(&at("images/result.json"));
    assert!(result["seconds"]["encoding"].as_f64().unwrap() > 0.0, "{result}");
    assert!(
        result["cost"]["operations"]["encoding"].as_f64().unwrap() > 0.0,
        "{result}"
    );
    let prepared = json(&at("moments/result.json"));
    assert_eq!(prepared["cost"]["operations"]["encoding"], 0.0);
    assert_eq!(prepared["validation_loss"], result["validation_loss"]);
    let info = json(&at("images/run.json"));
    assert_eq!(info["files"][0]["key"], "data.vae", "{info}");
    assert!(info["encoded_by"].is_string(), "{info}");
    let warned = info["warnings"].to_string();
    assert!(warned.contains("data.vae") && warned.contains("data prepare"), "{info}");

    // From a checkpoint on, in micro-batches, and from packed pixels.
    succeed(&sextant(
        folder,
        &["train", "--resume", "images@4", "--out", "forked", "--device", "cpu"],
    ));
    same(&at("images"), &at("forked"), 8);
    let parts = ["optimiser.accumulation=2"];
    train(folder, "moments-parts", MOMENTS, &parts);
    train(folder, "images-parts", IMAGES, &parts);
    same(&at("moments-parts"), &at("images-parts"), 8);
    succeed(&sextant(
        folder,
        &["data", "pack", "set/images", "packed", "--size", "16"],
    ));
    train(
        folder,
        "packed-run",
        "{ kind = \"packed\", path = \"packed\", vae = \"vae\", flip = true }",
        &[],
    );
    same(&at("images"), &at("packed-run"), 8);

    // Another autoencoder in its place.
    autoencoder(folder, "other", |_| {});
    let config = std::fs::read(at("other/config.json")).unwrap();
    let seven = Autoencoder::init(
        Autoencoder::load(&at("other"), &device()).unwrap().config(),
        7,
        &device(),
    )
    .unwrap();
    seven.save(&at("vae")).unwrap();
    assert_eq!(std::fs::read(at("vae/config.json")).unwrap(), config);
    for command in [
        &["train", "--resume", "images", "--steps", "9", "--device", "cpu"][..],
        &[
            "sample", "images", "--npz", "out.npz", "--count", "4", "--device", "cpu",
        ],
    ] {
        refused(folder, command, &["other", "then"]);
    }
}

#[test]
fn the_emoji_are_encoded_planned_and_judged() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    autoencoder(folder, "vae", |config| config.latent_channels = 2);
    let data = "{ kind = \"emoji\", size = 16, vae = \"vae\" }";
    // Alignment with the encoder that sees the pixels, both ways.
    let repa = "phases.0.guidance=[{ plugin = \"repa\", config = { depth = 1, projector_width = 16 } }]";
    let small = ["model.patch_size=1", "encoder.weights=\"embedded\"", repa];
    let step = [&small[..], &["encoder.when=\"step\""]].concat();
    train(folder, "before", data, &small);
    train(folder, "step", data, &step);
    alike(&folder.join("before"), &folder.join("step"), 1e-5);

    let info = ["data", "info", "step.toml", "--json"];
    let facts: Value = serde_json::from_str(&stdout(&sextant(folder, &info))).unwrap();
    assert_eq!(facts["shape"], serde_json::json!([2, 8, 8]));
    assert_eq!(facts["encoded_from"], 16);
    let told = stdout(&sextant(folder, &["data", "info", "step.toml"]));
    assert!(
        told.contains("2 x 8 x 8, latents of 16 x 16 pixels, by its autoencoder"),
        "{told}"
    );

    let memory = |recipe: &str| -> Value {
        let planned = sextant(
            folder,
            &["plan", recipe, "--variant", "none", "--json", "--device", "cpu"],
        );
        let plan: Value = serde_json::from_str(&stdout(&planned)).unwrap_or_else(|_| panic!("{}", stderr(&planned)));
        plan[0]["phases"][0]["memory"].clone()
    };
    write_recipe(folder, "pixels", "{ kind = \"emoji\", size = 8 }");
    assert_eq!(memory("pixels.toml")["encoders"], 0);
    assert!(
        memory("step.toml")["encoders"].as_u64().unwrap() > 4000,
        "{}",
        memory("step.toml")
    );

    // Scores, whose reference are the images themselves.
    let eval = "eval step --set evaluation.quality={judges=[\"untrained\"],samples=80,sweep_samples=20,scales=[1.0]} --device cpu --json";
    let eval = sextant(folder, &eval.split(' ').collect::<Vec<_>>());
    succeed(&eval);
    let scores: Value = serde_json::from_str(&stdout(&eval)).unwrap();
    let frechet = &scores["evaluation"]["quality"][0]["scores"]["frechet"];
    assert!(frechet.as_f64().is_some_and(f64::is_finite), "{scores}");
}

#[test]
fn features_and_attention_of_a_step_are_those_of_files_and_of_before() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    prepared(folder);
    let haste = "phases.0.guidance=[{ plugin = \"haste\", stop_step = 4, config = { depth = 1, projector_width = 16, attention_depths = [1, 2] } }]";
    let at = |name: &str| folder.join(name);
    let encoder = |when: &str| format!("encoder={{ weights = \"dinov2\", attention = [2, 3], when = \"{when}\" }}");
    let files = MOMENTS.replace("flip = true", "fields = [\"features\", \"attention\"]");
    let upright = MOMENTS.replace("flip = true", "flip = false");
    train(folder, "files", &files, &[haste]);
    train(folder, "before", &upright, &[haste, &encoder("before")]);
    train(folder, "step", &upright, &[haste, &encoder("step")]);
    alike(&at("files"), &at("before"), 1e-5);
    alike(&at("before"), &at("step"), 1e-5);
    let result = json(&at("step/result.json"));
    let warned = json(&at("step/run.json"))["warnings"].to_string();
    assert!(
        warned.contains("encoder.when") && !warned.contains("data.vae"),
        "{warned}"
    );
    let operations = &result["cost"]["operations"];
    assert!(operations["encoding"].as_f64().unwrap() > 0.0, "{result}");
    assert_eq!(result["cost"]["encoder"]["encoding_operations"], 0.0);
    succeed(&sextant(
        folder,
        &["train", "--resume", "step@4", "--out", "forked", "--device", "cpu"],
    ));
    same(&at("step"), &at("forked"), 8);

    // Mirrored images, in micro-batches, beside an autoencoder in the step.
    let parts = [haste, "optimiser.accumulation=2"];
    let mirrored = MOMENTS.replace("flip = true", "flip = true, fields = [\"features\", \"attention\"]");
    train(folder, "mirrored-files", &mirrored, &parts);
    train(
        folder,
        "mirrored-step",
        IMAGES,
        &[&parts[..], &[&encoder("step")]].concat(),
    );
    alike(&at("mirrored-files"), &at("mirrored-step"), 1e-5);
}

#[test]
fn what_cannot_be_encoded_is_refused_before_the_first_step() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let run = |name: &str, data: &str, set: &[&str], words: &[&str]| {
        let recipe = write_recipe(folder, name, data);
        let mut arguments = vec!["train", &recipe, "--out", "run", "--device", "cpu"];
        arguments.extend(set.iter().flat_map(|set| ["--set", *set]));
        refused(folder, &arguments, words);
        assert!(!folder.join("run").exists());
    };
    let emoji = |vae: &str| format!("{{ kind = \"emoji\", size = 8, vae = \"{vae}\" }}");
    autoencoder(folder, "grey", |config| config.in_channels = 1);
    autoencoder(folder, "deep", |config| config.block_out_channels = vec![4; 5]);
    autoencoder(folder, "small", |config| config.block_out_channels = vec![4; 4]);
    run(
        "grey",
        &emoji("grey"),
        &[],
        &["data.vae", "grey", "1 channels", "have 3"],
    );
    run(
        "deep",
        &emoji("deep"),
        &[],
        &["data.vae", "16 pixels", "have 8", "multiple of 16"],
    );
    run("small", &emoji("small"), &[], &["patch_size 2", "input_size 1"]);
    run("absent", &emoji("absent"), &[], &["absent", "config.json"]);

    // Latents without the images that they were made of.
    prepared(folder);
    let repa = "phases.0.guidance=[{ plugin = \"repa\", config = { depth = 1, projector_width = 16 } }]";
    let step = [repa, "encoder={ weights = \"dinov2\", when = \"step\" }"];
    let before = [repa, "encoder={ weights = \"dinov2\" }"];
    run("mirrored", MOMENTS, &before, &["data.flip", "encoder.when = \"step\""]);
    std::fs::rename(folder.join("set/images"), folder.join("elsewhere")).unwrap();
    run("bare", MOMENTS, &step, &["images", "img00000000.png"]);
    succeed(&sextant(folder, &["data", "pack", "set", "packed"]));
    run(
        "packed",
        "{ kind = \"packed\", path = \"packed\" }",
        &step,
        &["packed latents are without images"],
    );
    run(
        "when",
        MOMENTS,
        &[repa, "encoder={ when = \"later\" }"],
        &["later", "before"],
    );
}
