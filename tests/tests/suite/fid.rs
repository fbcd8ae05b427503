//! FID as it is published: through the program, against PyTorch's, in a comparison, and with wrong input. The network has a
//! sixteenth of the published one's channels.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sextant_model::read_safetensors;
use sextant_tests::{command, refused, sextant, stderr, stdout, tiny};
use sextant_train::sample::npz;

/// The path of a fixture, as an argument.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    path.display().to_string()
}

fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = sextant(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

#[test]
fn samples_have_the_fid_that_pytorch_and_numpy_give_them() {
    let folder = tempfile::tempdir().unwrap();
    let referee = read_safetensors(fixture("inception.safetensors")).unwrap();
    let fid = referee["out.fid"].iter::<f64>().next().unwrap();
    // The reference's images, of which the statistics are.
    let images = folder.path().join("images.npz");
    let pixels: Vec<u8> = referee["in.reference"].iter::<u8>().collect();
    fs::write(&images, npz(&pixels, 8).unwrap()).unwrap();
    let (samples, weights) = (fixture("inception_samples.npz"), fixture("inception.pth"));
    let eval = |reference: &str, more: &[&str]| {
        let with = ["eval", &samples, "--judge", &weights, "--reference", reference];
        said(folder.path(), &[&with[..], more].concat())
    };
    let statistics = fixture("inception_statistics.npz");
    for (reference, has_rows) in [(statistics.as_str(), false), ("images.npz", true)] {
        let json: Value = serde_json::from_str(&eval(reference, &["--json"])).unwrap();
        let evaluation = &json["evaluation"];
        let scores = &evaluation["quality"][0]["scores"];
        let found = scores["frechet"].as_f64().unwrap();
        assert!((found / fid - 1.0).abs() < 1e-4, "{reference}: {found} and {fid}");
        for score in ["kernel", "kernel_error", "precision", "recall"] {
            assert_eq!(scores[score].is_f64(), has_rows, "{score} of {scores}");
            assert_eq!(scores[score].is_null(), !has_rows, "{score} of {scores}");
        }
        // The data has nothing to do with it.
        assert_eq!(evaluation["floors"], Value::Array(Vec::new()));
        assert!(evaluation["copies"].is_null());
        assert_eq!(
            evaluation["reference"]["fingerprint"].as_str().map(str::len),
            Some(64),
            "{evaluation}"
        );
    }
    let text = eval(&statistics, &["--out", "kept"]);
    assert!(
        text.contains("Frechet") && text.contains("statistics of 128 features"),
        "{text}"
    );
    for absent in ["kernel", "precision", "recall", "real", "copies"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
    assert!(folder.path().join("kept/evaluation.json").exists());
    assert_eq!(eval(&statistics, &["--out", "kept"]), text);
}

#[test]
fn the_network_is_found_in_the_hubs_cache() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("models--me--inception");
    let snapshot = repository.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    let weights = snapshot.join("pt_inception-2015-12-05-6726825d.pth");
    fs::copy(fixture("inception.pth"), weights).unwrap();
    let (samples, statistics) = (fixture("inception_samples.npz"), fixture("inception_statistics.npz"));
    let scored = |judge: &str| {
        let arguments = ["eval", &samples, "--judge", judge, "--reference", &statistics, "--json"];
        let output = command(cache.path(), &arguments)
            .env("HF_HUB_CACHE", cache.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (
            json["evaluation"]["quality"][0]["scores"].clone(),
            json["evaluation"]["judges"][0]["fingerprint"].clone(),
        )
    };
    assert_eq!(scored("hf:me/inception"), scored(&fixture("inception.pth")));
}

#[test]
fn a_comparison_by_fid_shows_nothing_that_was_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let judges = format!("evaluation.quality.judges=[{:?}]", fixture("inception.pth"));
    let reference = format!("evaluation.quality.reference={}", fixture("inception_statistics.npz"));
    let recipe = tiny();
    let settings = [
        judges.as_str(),
        reference.as_str(),
        "evaluation.quality.samples=20",
        "evaluation.primary=frechet-distance",
        "phases.0.steps=2",
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", set]).collect();
    let compare = [&["compare", &recipe, "--out", "all", "--device", "cpu"], &settings[..]].concat();
    // Statistics cannot choose among scales.
    refused(
        path,
        &compare,
        &["evaluation.quality.reference", "evaluation.quality.scales", "one scale"],
    );
    assert!(!path.join("all").exists(), "something was written");
    let one_scale = ["--set", "evaluation.quality.scales=[1.5]"];
    said(path, &[&compare[..], &one_scale].concat());
    let page = fs::read_to_string(path.join("all/report.md")).unwrap();
    assert!(page.contains("Fréchet distance"), "{page}");
    for absent in [
        "ernel distance",
        "KID",
        "recision ↑",
        "ecall ↑",
        "Guidance scale at sampling",
    ] {
        assert!(!page.contains(absent), "{absent} in\n{page}");
    }
    let measures = fs::read_to_string(path.join("all/measures.csv")).unwrap();
    let scored = measures.lines().filter(|line| line.contains(",Fréchet distance,"));
    assert_eq!(scored.count(), 3 * 2, "three variants at two scales");
    assert!(!measures.contains("kernel"), "{measures}");
    let evaluation = fs::read_to_string(path.join("all/none/evaluation/evaluation.json")).unwrap();
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    assert_eq!(evaluation["sweep"]["chosen"], 1.5);
    assert_eq!(evaluation["floors"][0]["samples"], 20, "held-out images: {evaluation}");
    assert!(evaluation["copies"]["samples"].is_u64());

    // The same way again scores nothing.
    let part = path.join("all/none/evaluation/quality-1.json");
    let written = || fs::metadata(&part).unwrap().modified().unwrap();
    let before = written();
    said(path, &["eval", "all/none"]);
    assert_eq!(written(), before);
}

#[test]
fn wrong_references_and_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (samples, weights) = (fixture("inception_samples.npz"), fixture("inception.pth"));
    let statistics = fixture("inception_statistics.npz");
    let eval = ["eval", &samples, "--judge", &weights, "--reference"];
    refused(
        path,
        &[&eval[..], &["absent.npz"]].concat(),
        &["absent.npz", "a folder of images"],
    );
    fs::write(path.join("broken.npz"), "no archive").unwrap();
    refused(
        path,
        &[&eval[..], &["broken.npz"]].concat(),
        &["broken.npz: cannot be read as .npz"],
    );
    let other = ["eval", &samples, "--judge", "untrained", "--reference", &statistics];
    refused(path, &other, &["mu has 128 values", "\"untrained\" has 64 features"]);
    refused(path, &["eval", &samples, "--reference", &statistics], &["--judge"]);
    let whole = fs::read(fixture("inception.pth")).unwrap();
    fs::write(path.join("cut.pth"), &whole[..whole.len() / 2]).unwrap();
    let cut = ["eval", &samples, "--judge", "cut.pth", "--reference", &statistics];
    refused(path, &cut, &["evaluation.quality.judges", "cut.pth"]);
}
