//! Data on disk, through the program: the layouts train alike, and what is wrong with a folder is one message.

use std::path::{Path, PathBuf};

use sextant_data::npy;
use sextant_tests::{files, refused, sextant, stderr, stdout};
use sextant_train::sample::grid_png;

use super::runs::{same, succeed};

const COUNT: usize = 40;

fn name(id: usize) -> String {
    format!("{:05}/img-mean-std-{id:08}.npy", id / 16)
}

fn write(path: PathBuf, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The tiny recipe with these keys in `[data]`, at `path`.
fn recipe(path: &Path, data: &str) -> String {
    let tiny = std::fs::read_to_string(sextant_tests::tiny()).unwrap();
    let emoji = "kind = \"emoji\"\nsize = 8\n";
    assert!(tiny.contains(emoji));
    std::fs::write(path, tiny.replace(emoji, data)).unwrap();
    path.display().to_string()
}

/// Trains on these data, and succeeds.
fn train(folder: &Path, out: &str, data: &str, more: &[&str]) {
    let recipe = recipe(&folder.join(format!("{out}.toml")), data);
    let arguments = ["train", &recipe, "--out", out, "--device", "cpu"];
    succeed(&sextant(folder, &[&arguments[..], more].concat()));
}

/// A folder in REPA's layout: moments of two channels of 8 x 8, with mirrored ones, and features of 16 tokens.
fn latents(folder: &Path) {
    let wave = |seed: usize, count: usize| -> Vec<f32> {
        (0..count)
            .map(|at| ((seed * 31 + at * 7) as f32 * 0.37).sin() * 5.0 + 5.5)
            .collect()
    };
    for id in 0..COUNT {
        for (form, end) in ["", "-flip"].into_iter().enumerate() {
            let at = |part: &str| folder.join(format!("{part}{end}")).join(name(id));
            write(at("vae-sd"), &npy::encode(&[4, 8, 8], &wave(2 * id + form, 256)));
            write(at("features"), &npy::encode(&[16, 6], &wave(2 * id + form, 96)));
        }
    }
    let labels: Vec<_> = (0..COUNT).map(|id| (name(id), id % 3)).collect();
    write(
        folder.join("vae-sd/dataset.json"),
        serde_json::json!({ "labels": labels }).to_string().as_bytes(),
    );
}

/// Images of two sizes, without any label.
fn photos(folder: &Path) {
    for (size, ids) in [(16, 0..20), (32, 20..40)] {
        let emoji = sextant_data::emoji(size).unwrap();
        let bytes = 3 * size * size;
        for id in ids {
            let png = grid_png(&emoji.pixels[id * bytes..(id + 1) * bytes], size, 1).unwrap();
            write(folder.join(format!("{id}.png")), &png);
        }
    }
}

#[test]
fn latents_train_alike_from_files_and_packed() {
    let folder = tempfile::tempdir().unwrap();
    latents(&folder.path().join("set"));
    let pack = [
        "data",
        "pack",
        "set",
        "packed",
        "--field",
        "features",
        "--split-seed",
        "5",
    ];
    let packed = sextant(folder.path(), &pack);
    succeed(&packed);
    assert!(stdout(&packed).contains("40 samples"), "{}", stdout(&packed));
    let keys = "fields = [\"features\"]\nflip = true\n";
    let repa = "phases.0.guidance=[{ plugin = \"repa\", config = { depth = 1, projector_width = 16 } }]";
    let set = format!("kind = \"latents\"\npath = \"set\"\nsplit_seed = 5\n{keys}");
    train(folder.path(), "a", &set, &["--set", repa]);
    let packed = format!("kind = \"packed\"\npath = \"packed\"\n{keys}");
    train(folder.path(), "b", &packed, &["--set", repa]);
    same(&folder.path().join("a"), &folder.path().join("b"), 8);

    let told = sextant(folder.path(), &["data", "info", "packed", "--verify", "--json"]);
    succeed(&told);
    let told: serde_json::Value = serde_json::from_str(&stdout(&told)).unwrap();
    for (key, value) in [
        ("kind", "packed".into()),
        ("samples", 40.into()),
        ("held_out", 8.into()),
        ("classes", 3.into()),
        ("shape", serde_json::json!([2, 8, 8])),
        ("flipped", true.into()),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    let said = sextant(folder.path(), &["data", "info", "set"]);
    succeed(&said);
    assert!(
        stdout(&said).contains("2 x 8 x 8, latents, times 0.18215"),
        "{}",
        stdout(&said)
    );

    // One flipped bit in the middle of a shard.
    let shard = folder.path().join("packed/shard-00000.bin");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[3000] ^= 4;
    std::fs::write(&shard, bytes).unwrap();
    refused(
        folder.path(),
        &["data", "info", "packed", "--verify"],
        &["shard-00000.bin", "damaged"],
    );
}

#[test]
fn a_folder_of_images_without_labels_trains_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    let data = "kind = \"images\"\npath = \"photos\"\nsize = 8\nflip = true\n";
    train(folder.path(), "run", data, &[]);
    assert!(folder.path().join("run/samples/final.png").is_file());
    succeed(&sextant(
        folder.path(),
        &["data", "pack", "photos", "packed", "--size", "8"],
    ));
    let data = "kind = \"packed\"\npath = \"packed\"\nflip = true\n";
    train(folder.path(), "other", data, &[]);
    same(&folder.path().join("run"), &folder.path().join("other"), 8);
}

#[test]
fn what_is_wrong_with_a_folder_is_said_and_nothing_is_written() {
    let set = tempfile::tempdir().unwrap();
    latents(set.path());
    let moments = set.path().join("vae-sd");
    let document = moments.join("dataset.json");
    let labels = std::fs::read_to_string(&document).unwrap();
    let recipe = recipe(&set.path().join("recipe.toml"), "kind = \"latents\"\npath = \".\"\n");
    let at = |words: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        refused(folder.path(), &["train", &recipe, "--out", "run"], words);
        let info = ["data", "info", set.path().to_str().unwrap()];
        refused(folder.path(), &info, words);
        let pack = ["data", "pack", set.path().to_str().unwrap(), "packed"];
        refused(folder.path(), &pack, words);
        assert!(files(folder.path()).is_empty(), "{words:?} left something behind");
    };
    std::fs::write(&document, &labels[..labels.len() - 5]).unwrap();
    at(&["dataset.json", "it must be JSON"]);
    std::fs::write(&document, labels.replace("00000000.npy\",0]", "00000000.npy\",-1]")).unwrap();
    at(&["dataset.json", "img-mean-std-00000000.npy", "label -1"]);
    std::fs::write(
        &document,
        labels.replace("00000/img-mean-std-00000007", "00000/img-mean-std-00000777"),
    )
    .unwrap();
    at(&["dataset.json", "no label for", "00000007.npy"]);
    std::fs::write(&document, &labels).unwrap();
    let victim = moments.join(name(7));
    let good = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, &good[..500]).unwrap();
    at(&["00000007.npy", "truncated"]);
    std::fs::write(&victim, npy::encode(&[4, 8, 9], &[0.0; 288])).unwrap();
    at(&["00000007.npy", "[4, 8, 9]", "[4, 8, 8]"]);
    std::fs::write(&victim, good).unwrap();

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    refused(folder.path(), &["data", "info", "empty"], &["empty", "no sample in it"]);
    refused(
        folder.path(),
        &["data", "info", "nowhere"],
        &["nowhere", "no such folder"],
    );
    refused(
        folder.path(),
        &["data", "info", "emoji", "--classes", "3"],
        &["--classes means nothing"],
    );
    let emoji = sextant(folder.path(), &["data", "info", "emoji"]);
    succeed(&emoji);
    assert!(
        stdout(&emoji).contains("1906 samples"),
        "{}{}",
        stdout(&emoji),
        stderr(&emoji)
    );
}
