//! A published checkpoint as it is: drawn from and measured, without a run.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sextant_tests::{fixture, refused, sextant, stderr, stdout};
use sextant_train::sample::{SampleFile, grid_png, read_npz};

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn run(folder: &Path, arguments: &str) -> String {
    let output = sextant(folder, &words(arguments));
    assert!(output.status.success(), "{arguments}: {}", stderr(&output));
    stdout(&output)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The checkpoints of the fixtures as `published.pt` and `bare.pt`, and an autoencoder of their latents.
fn published(folder: &Path) {
    for (name, own) in [
        ("checkpoint_published.pt", "published.pt"),
        ("checkpoint_bare_module_prefix.pt", "bare.pt"),
    ] {
        fs::copy(fixture::folder().join(name), folder.join(own)).unwrap();
    }
    fixture::autoencoder_folder(&folder.join("vae"), 0, |_| ());
}

#[test]
fn a_published_checkpoint_is_drawn_from_as_it_is() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    published(folder);
    let common = "--vae vae --device cpu --steps 3 --batch 4 --count 10 --cfg 1.5 --labels random";
    let said = run(folder, &format!("sample published.pt --npz ema.npz --json {common}"));
    let settings = &json(&said)["settings"];
    assert_eq!(settings["network"]["origin"], "ema after step 1");
    assert_eq!(settings["network"]["file"]["name"], "published.pt");
    assert_eq!(settings["network"]["file"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&settings["prediction"], &settings["path"]),
        (&"velocity".into(), &"linear".into())
    );
    let file = SampleFile::open(&folder.join("ema.npz")).unwrap();
    assert_eq!((file.count(), file.side()), (10, 16));
    let whole = fs::read(folder.join("ema.npz")).unwrap();
    let beside: Value = serde_json::from_slice(file.comment()).unwrap();
    assert_eq!(&beside, settings);

    // In parts, and again.
    for part in ["2/2", "1/2"] {
        run(
            folder,
            &format!("sample published.pt --npz parts.npz --part {part} {common}"),
        );
    }
    assert!(fs::read(folder.join("parts.npz")).unwrap() == whole);
    let again = sextant(folder, &words(&format!("sample published.pt --npz ema.npz {common}")));
    assert!(stderr(&again).contains("drawn before"), "{}", stderr(&again));

    // The other file holds the moving average alone, under DistributedDataParallel's names.
    let images = |name: &str| read_npz(&folder.join(name)).unwrap().bytes;
    run(folder, &format!("sample bare.pt --npz bare.npz {common}"));
    assert!(images("bare.npz") == images("ema.npz"));
    run(
        folder,
        &format!("sample published.pt --npz model.npz --weights model {common}"),
    );
    assert!(images("model.npz") != images("ema.npz"));

    // A grid of one class, with what it was drawn by beside it.
    let grid = "sample bare.pt --vae vae --device cpu --steps 2 --count 4 --class 7 --out grids --name seven";
    let output = sextant(folder, &words(grid));
    let said = stderr(&output);
    assert!(
        said.contains("bare.pt: weights; it predicts velocity on the linear path, as published"),
        "{said}"
    );
    assert!(folder.join("grids/seven.png").is_file());
    let beside = json(&fs::read_to_string(folder.join("grids/seven.json")).unwrap());
    assert_eq!(beside["network"]["file"]["name"], "bare.pt");
    assert_eq!(beside["labels"]["class"], 7);

    for (arguments, said) in [
        (
            "sample published.pt --npz a.npz",
            &["published.pt", "latents of 4 channels", "--vae"][..],
        ),
        (
            "sample bare.pt --weights ema --vae vae",
            &["bare.pt", "one set without a name"],
        ),
        (
            "sample published.pt --heads 2 --vae vae",
            &["published.pt", "4 attention heads, and 2"],
        ),
        (
            "sample published.pt --convention dit --vae vae",
            &["published.pt", "\"dit\""],
        ),
        (
            "sample vae/config.json --vae vae",
            &["config.json", "neither a checkpoint"],
        ),
        ("sample none.pt", &["none.pt", "nor a file of weights"]),
        ("eval published.pt", &["published.pt", "--recipe"]),
    ] {
        refused(folder, &words(arguments), said);
    }
    assert!(!folder.join("a.npz").exists() && !folder.join("samples").exists());
}

/// A recipe of what the published checkpoint was trained on, at this number of classes.
fn recipe(folder: &Path, classes: usize) {
    let text = format!(
        "data = {{ kind = \"latents\", path = \"set\", vae = \"vae\", classes = {classes}, held_out = 0.25 }}\n\
         model = {{ patch_size = 2, hidden_size = 32, depth = 3, num_heads = 4 }}\n\
         phases = [{{ name = \"train\", steps = 1 }}]\n\
         [evaluation]\nimages = 4\ntimes = 2\nsampler = {{ steps = 2 }}\n\
         quality = {{ samples = 20, sweep_samples = 20, scales = [1.0], judges = [\"untrained\"] }}\n"
    );
    fs::write(folder.join("recipe.toml"), text).unwrap();
}

#[test]
fn a_published_checkpoint_is_measured_as_it_is() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    published(folder);
    let emoji = sextant_data::emoji(32).unwrap();
    fs::create_dir(folder.join("photos")).unwrap();
    for (id, pixels) in emoji.pixels.chunks(3 * 32 * 32).take(84).enumerate() {
        fs::write(
            folder.join(format!("photos/{id}.png")),
            grid_png(pixels, 32, 1).unwrap(),
        )
        .unwrap();
    }
    run(folder, "data prepare photos set --size 16 --vae vae --device cpu");
    recipe(folder, 10);
    let eval = "eval published.pt --recipe recipe.toml --device cpu --out measured";
    let said = json(&run(folder, &format!("{eval} --json")));
    assert_eq!(
        (&said["drawn"]["weights"], &said["evaluation"]["step"]),
        (&"ema".into(), &1.into())
    );
    let frechet = &said["evaluation"]["quality"][0]["scores"]["frechet"];
    assert!(frechet.as_f64().is_some_and(f64::is_finite), "{said}");
    assert!(said["evaluation"]["validation"].is_object(), "{said}");
    let protocol = json(&fs::read_to_string(folder.join("measured/protocol.json")).unwrap());
    assert_eq!(protocol["measured"]["file"]["name"], "published.pt");
    assert_eq!(protocol["measured"]["file"]["sha256"], said["drawn"]["file"]["sha256"]);
    let text = run(folder, eval);
    assert!(text.contains("of published.pt (SHA-256 "), "{text}");

    // Drawn by that recipe too, whose classes have to be those of the network.
    run(
        folder,
        "sample published.pt --recipe recipe.toml --device cpu --npz out.npz --count 5 --class none",
    );
    recipe(folder, 4);
    let fewer = ["published.pt", "10 classes", "of 4"];
    refused(
        folder,
        &words("sample published.pt --recipe recipe.toml --npz other.npz"),
        &fewer,
    );
    refused(folder, &words("eval published.pt --recipe recipe.toml"), &fewer);
    assert!(!folder.join("other.npz").exists());
}
