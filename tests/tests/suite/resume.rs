//! Runs that go on otherwise than they began: longer, changed, from an older checkpoint; and what is refused.

use std::fs;
use std::path::Path;
use std::process::Output;

use sextant_model::encoder::{EMBEDDED_ENCODER, target_encoder};
use sextant_recipe::TargetEncoder;
use sextant_records::RunFolder;
use sextant_tests::{device, in_shell, recipe, refused, sextant, stderr};

use super::runs::{kill, same, succeed, train};

/// A log and a validation that are not due at the last of eight steps.
const BETWEEN: [&str; 4] = ["--set", "output.log_every=5", "--set", "evaluation.every=3"];

fn resume(folder: &Path, run: &str, more: &[&str]) -> Output {
    sextant(folder, &[&["train", "--resume", run, "--device", "cpu"], more].concat())
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn raised_steps_give_the_run_that_had_them_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (variant, key) in [("aligned", "phases.0.steps"), ("self-transcendence", "phases.1.steps")] {
        let (whole, raised) = (format!("{variant}-whole"), format!("{variant}-raised"));
        let variant = [&["--variant", variant], &BETWEEN[..]].concat();
        succeed(&train(
            folder.path(),
            &whole,
            &[&variant[..], &["--set", "phases.0.steps=12"]].concat(),
        ));
        succeed(&train(folder.path(), &raised, &variant));
        succeed(&resume(folder.path(), &raised, &["--steps", "12"]));
        same(&at(&whole), &at(&raised), 12);
        let samples = |run: &str| bytes(&at(run).join("samples/final.npz"));
        assert!(samples(&whole) == samples(&raised), "samples differ");
        let [one, other] = [&whole, &raised].map(|run| RunFolder::new(at(run)).result().unwrap());
        assert_eq!((one.steps, one.validation_loss), (other.steps, other.validation_loss));
        assert_eq!(one.validation_by_time, other.validation_by_time);
        assert_eq!(
            (one.clipped_share, one.guidance_loss),
            (other.clipped_share, other.guidance_loss)
        );

        let info = RunFolder::new(at(&raised)).info().unwrap();
        let [change] = &info.changes[..] else {
            panic!("{:?}", info.changes)
        };
        assert_eq!(
            (change.key.as_str(), change.phase.as_str(), change.step),
            (key, "train", 8)
        );
        assert_eq!((change.from.as_u64(), change.to.as_u64()), (Some(8), Some(12)));
        let page = format!("{raised}-page");
        succeed(&sextant(folder.path(), &["report", &raised, "--out", &page]));
        let page = fs::read_to_string(at(&page).join("report.html")).unwrap();
        assert!(page.contains(&format!("{key}: 8 → 12")) && page.contains("step 9 of train"));
    }
}

#[test]
fn a_comparison_with_more_steps_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let compare = |steps: &str| {
        let arguments = [
            "compare",
            recipe.to_str().unwrap(),
            "--out",
            "all",
            "--device",
            "cpu",
            "--set",
            steps,
        ];
        sextant(folder.path(), &arguments)
    };
    succeed(&compare("phases.0.steps=4"));
    succeed(&compare("phases.0.steps=8"));
    succeed(&train(folder.path(), "fresh", &["--variant", "aligned"]));
    same(&folder.path().join("fresh"), &folder.path().join("all/aligned"), 8);
    let fewer = compare("phases.0.steps=6");
    assert_eq!(fewer.status.code(), Some(2));
    assert!(stderr(&fewer).contains("another recipe"), "{}", stderr(&fewer));
}

#[test]
fn a_finished_run_has_nothing_to_do_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&train(folder.path(), "run", &[]));
    let run = folder.path().join("run");
    let kept = || ["recipe.toml", "run.json", "result.json", "metrics.jsonl"].map(|file| bytes(&run.join(file)));
    let before = kept();
    let output = resume(folder.path(), "run", &[]);
    succeed(&output);
    let said = stderr(&output);
    assert!(
        said.contains("all 8 steps are done") && said.contains("--steps"),
        "{said}"
    );
    assert!(kept() == before, "something was written");

    // What would change nothing, or what is done, is refused; and leaves nothing behind.
    for (set, words) in [
        ("optimiser.lr=0.5", ["optimiser.lr", "all steps are done"]),
        ("phases.0.steps=4", ["phases.0.steps", "at least 9"]),
        ("seed=4", ["seed cannot become 4, from 3", "drawn from it"]),
        ("model.depth=4", ["model.depth", "geometry"]),
        ("data.split_seed=1", ["data.split_seed", "split"]),
        ("diffusion.prediction=noise", ["diffusion.prediction", "learned"]),
        (
            "phases.0.guidance.0.plugin=repa",
            ["phases.0.guidance.0.plugin", "moved"],
        ),
    ] {
        refused(folder.path(), &["train", "--resume", "run", "--set", set], &words);
    }
    refused(
        folder.path(),
        &[
            "train",
            "--resume",
            "run",
            "--steps",
            "9",
            "--set",
            "seed=4",
            "--set",
            "optimiser.batch=4",
        ],
        &["seed cannot", "optimiser.batch cannot"],
    );
    assert!(kept() == before, "a refused change was written");

    // What is only measured and written may change without more steps.
    succeed(&resume(folder.path(), "run", &["--set", "evaluation.samples=2"]));
    let labels = RunFolder::new(&run).result().unwrap().sample_labels;
    assert_eq!(labels.len(), 2);
}

#[test]
fn a_changed_rate_is_kept_from_its_step_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for run in ["same", "changed"] {
        succeed(&train(folder.path(), run, &["--variant", "aligned"]));
        kill(&at(run));
    }
    succeed(&resume(folder.path(), "same", &[]));
    succeed(&resume(folder.path(), "changed", &["--set", "optimiser.lr=1e-4"]));
    let weights = |run: &str| bytes(&at(run).join("phases/train/step-000008/student.safetensors"));
    assert!(weights("same") != weights("changed"));
    let info = RunFolder::new(at("changed")).info().unwrap();
    assert_eq!(
        (info.changes[0].key.as_str(), info.changes[0].step),
        ("optimiser.lr", 4)
    );
    let kept = fs::read_to_string(at("changed/recipe.1.toml")).unwrap();
    assert!(kept.contains("lr = 0.001"), "{kept}");
}

#[test]
fn an_older_checkpoint_goes_on_as_a_fork() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    succeed(&train(folder.path(), "run", &["--variant", "self-transcendence"]));
    let before = ["result.json", "metrics.jsonl"].map(|file| bytes(&at("run").join(file)));
    refused(folder.path(), &["train", "--resume", "run@4"], &["run@4", "--out"]);
    refused(
        folder.path(),
        &["train", "--resume", "run", "--out", "fork"],
        &["RUN@STEP"],
    );
    let absent = ["train", "--resume", "run@5", "--out", "fork"];
    refused(
        folder.path(),
        &absent,
        &["no checkpoint 5", "train:4, train:8, align:4"],
    );
    let own = ["train", "--resume", "run@4", "--out", "run"];
    refused(folder.path(), &own, &["something in this folder"]);
    assert!(!at("fork").exists());

    for (place, fork, phase) in [("run@4", "fork", "train"), ("run@align:4", "earlier", "align")] {
        succeed(&resume(folder.path(), place, &["--out", fork]));
        same(&at("run"), &at(fork), 8);
        let origin = RunFolder::new(at(fork)).info().unwrap().fork.unwrap();
        assert!(origin.run.is_absolute() && origin.run.ends_with("run"), "{origin:?}");
        assert_eq!((origin.phase.as_str(), origin.step), (phase, 4));
    }
    let changed = ["--out", "changed", "--set", "optimiser.lr=1e-4", "--steps", "6"];
    succeed(&resume(folder.path(), "run@train:4", &changed));
    assert_eq!(RunFolder::new(at("changed")).result().unwrap().steps, 6);
    let info = RunFolder::new(at("changed")).info().unwrap();
    let changes: Vec<_> = info
        .changes
        .iter()
        .map(|change| (change.key.as_str(), change.step))
        .collect();
    assert_eq!(changes, [("optimiser.lr", 4), ("phases.1.steps", 4)]);
    let after = ["result.json", "metrics.jsonl"].map(|file| bytes(&at("run").join(file)));
    assert!(before == after, "the run itself has changed");
}

#[test]
fn a_finished_run_without_its_newest_checkpoint_is_trained_to_its_end_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for run in ["whole", "run", "raised"] {
        succeed(&train(folder.path(), run, &["--variant", "aligned"]));
    }
    for run in ["run", "raised"] {
        fs::remove_dir_all(at(run).join("phases/train/step-000008")).unwrap();
    }
    succeed(&resume(folder.path(), "run", &[]));
    same(&at("whole"), &at("run"), 8);
    succeed(&resume(folder.path(), "whole", &["--steps", "12"]));
    succeed(&resume(folder.path(), "raised", &["--steps", "12"]));
    same(&at("whole"), &at("raised"), 12);
}

#[test]
fn a_damaged_checkpoint_names_the_one_before_it_and_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let long = [
        "--variant",
        "aligned",
        "--set",
        "phases.0.steps=12",
        "--set",
        "output.keep=9",
    ];
    for run in ["whole", "killed"] {
        succeed(&train(folder.path(), run, &long));
    }
    fs::remove_dir_all(at("killed/phases/train/step-000012")).unwrap();
    fs::remove_file(at("killed/result.json")).unwrap();
    let newest = at("killed/phases/train/step-000008");
    let advised = |output: &Output| {
        let said = stderr(output);
        let found = said
            .split("go on from there with: ")
            .nth(1)
            .unwrap_or_else(|| panic!("{said}"));
        found.lines().next().unwrap().to_owned()
    };
    let mut command = String::new();
    for file in ["student.safetensors", "optimiser.bpk", "state.json", "ema.safetensors"] {
        let whole = bytes(&newest.join(file));
        fs::write(newest.join(file), &whole[..whole.len() / 2]).unwrap();
        let output = resume(folder.path(), "killed", &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        for words in [
            file,
            "step-000008 is damaged",
            "after step 4 of phase \"train\", is whole",
        ] {
            assert!(said.contains(words), "{file}: {said}");
        }
        command = advised(&output);
        if file != "ema.safetensors" {
            fs::write(newest.join(file), whole).unwrap();
        }
    }
    succeed(&in_shell(folder.path(), &command));
    same(&at("whole"), &at("killed-from-4"), 12);

    // What was asked for beside it is asked for again.
    let changed = [
        "--set",
        "optimiser.lr=1e-4",
        "--steps",
        "14",
        "--plugin-dir",
        "my plugins",
    ];
    let output = resume(folder.path(), "killed", &changed);
    assert_eq!(
        advised(&output),
        "sextant train --resume killed@4 --device cpu --plugin-dir 'my plugins' --steps 14 --set optimiser.lr=1e-4 --out killed-from-4-2"
    );
    succeed(&in_shell(folder.path(), &advised(&output)));
    let fork = RunFolder::new(at("killed-from-4-2"));
    assert_eq!(fork.result().unwrap().steps, 14);
    let changes = fork
        .info()
        .unwrap()
        .changes
        .into_iter()
        .map(|change| (change.key, change.step));
    let wanted = [("optimiser.lr", 4), ("phases.0.steps", 4)].map(|(key, step)| (key.to_owned(), step));
    assert_eq!(changes.collect::<Vec<_>>(), wanted);

    // Who looks at it is told what can be looked at.
    for looks in ["sample", "eval"] {
        let intact = format!("use it with: sextant {looks} killed/phases/train/step-000004 --device cpu");
        let words = [
            "step-000008 is damaged",
            "after step 4 of phase \"train\", is whole",
            &intact,
        ];
        refused(folder.path(), &[looks, "killed", "--device", "cpu"], &words);
    }
    let intact = [
        "sample",
        "killed/phases/train/step-000004",
        "--out",
        "looked",
        "--device",
        "cpu",
    ];
    succeed(&sextant(folder.path(), &intact));
    assert!(at("looked/drawn.png").exists());

    // Nothing is changed on such a ground.
    let recipe = bytes(&at("killed/recipe.toml"));
    let longer = ["train", "--resume", "killed", "--steps", "16"];
    refused(folder.path(), &longer, &["step-000008 is damaged"]);
    assert!(bytes(&at("killed/recipe.toml")) == recipe);
    // Without one that is whole there is no such command, and a damaged one is no place to fork at.
    let fork = ["train", "--resume", "killed@8", "--out", "fork"];
    refused(folder.path(), &fork, &["ema.safetensors"]);
    fs::remove_dir_all(at("killed/phases/train/step-000004")).unwrap();
    let none = ["train", "--resume", "killed", "--device", "cpu"];
    refused(folder.path(), &none, &["step-000008 is damaged", "begin anew"]);
}

#[test]
fn a_file_that_is_no_recipe_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&train(folder.path(), "run", &["--set", "phases.0.steps=2"]));
    let recipe = folder.path().join("run/recipe.toml");
    for (text, words) in [
        ("", "recipe.toml: is empty"),
        (
            "title = \"x\"\n",
            "recipe.toml: is not the recipe of a run: it has no `data`",
        ),
    ] {
        fs::write(&recipe, text).unwrap();
        refused(folder.path(), &["train", "--resume", "run", "--steps", "4"], &[words]);
    }
    fs::write(folder.path().join("empty.toml"), "").unwrap();
    let set = ["train", "empty.toml", "--set", "phases.0.steps=4"];
    refused(
        folder.path(),
        &set,
        &["empty.toml: is empty; a recipe has at least data, model, phases"],
    );
}

#[test]
fn an_edited_recipe_of_a_run_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    succeed(&train(folder.path(), "whole", &["--set", "phases.0.steps=12"]));
    succeed(&train(folder.path(), "edited", &[]));
    let file = at("edited/recipe.toml");
    let edit = |from: &str, to: &str| {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
        fs::write(&file, text.replace(from, to)).unwrap();
    };
    edit("\nsteps = 8\n", "\nsteps = 12\n");
    succeed(&resume(folder.path(), "edited", &[]));
    same(&at("whole"), &at("edited"), 12);
    let info = RunFolder::new(at("edited")).info().unwrap();
    assert_eq!(
        (info.changes[0].key.as_str(), info.changes[0].step),
        ("phases.0.steps", 8)
    );
    let kept = fs::read_to_string(at("edited/recipe.1.toml")).unwrap();
    assert!(kept.contains("\nsteps = 8\n"), "{kept}");

    edit("\nseed = 3\n", "\nseed = 4\n");
    let resumed = ["train", "--resume", "edited", "--steps", "16"];
    refused(folder.path(), &resumed, &["seed cannot become 4, from 3"]);
    edit("\nseed = 4\n", "\nseed = 3\n");
    let said = resume(folder.path(), "edited", &[]);
    succeed(&said);
    assert!(stderr(&said).contains("all 12 steps are done"), "{}", stderr(&said));
}

#[test]
fn another_encoder_under_the_same_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let tiny = fs::read_to_string(recipe("tiny.toml")).unwrap();
    let base = tiny.split("[[variants]]").next().unwrap();
    let guidance = "plugin = \"repa\", config = { depth = 1, projector_width = 16 }";
    let own = base
        .replace("patch_size = 2", "patch_size = 1")
        .replace("plugin = \"none\"", guidance);
    fs::create_dir(at("recipes")).unwrap();
    fs::write(
        at("recipes/own.toml"),
        format!("{own}\n[encoder]\nweights = \"encoder.safetensors\"\n"),
    )
    .unwrap();
    let weights = at("recipes/encoder.safetensors");
    fs::write(&weights, EMBEDDED_ENCODER).unwrap();
    // The recipe's folder decides, whatever the working directory is.
    for run in ["whole", "killed"] {
        let arguments = ["train", "recipes/own.toml", "--out", run, "--device", "cpu"];
        succeed(&sextant(folder.path(), &arguments));
        let named = RunFolder::new(at(run)).recipe().unwrap().encoder.unwrap().weights;
        assert!(
            Path::new(&named).is_absolute() && named.ends_with("encoder.safetensors"),
            "{named}"
        );
    }
    kill(&at("killed"));
    let untrained = TargetEncoder {
        weights: "untrained".into(),
        ..TargetEncoder::default()
    };
    target_encoder(&untrained, &device()).unwrap().save(&weights).unwrap();
    let words = ["encoder.weights", "encoder.safetensors", "another file", "SHA-256"];
    refused(
        folder.path(),
        &["train", "--resume", "killed", "--device", "cpu"],
        &words,
    );
    assert!(!at("killed/result.json").exists());
    let builtin = ["train", "--resume", "killed", "--set", "encoder.weights=embedded"];
    refused(folder.path(), &builtin, &["encoder.weights cannot become"]);

    // The file that it began with may have been moved and called otherwise; then it is found where it is named.
    fs::create_dir(at("moved")).unwrap();
    fs::copy(&weights, at("moved/other.safetensors")).unwrap();
    let other = [
        "train",
        "--resume",
        "killed",
        "--set",
        "encoder.weights=moved/other.safetensors",
    ];
    refused(folder.path(), &other, &words[2..]);
    fs::write(at("moved/guide.safetensors"), EMBEDDED_ENCODER).unwrap();
    let moved = ["--set", "encoder.weights=moved/guide.safetensors"];
    succeed(&resume(folder.path(), "killed", &moved));
    same(&at("whole"), &at("killed"), 8);
}

#[test]
fn an_edited_recipe_does_not_tell_what_the_weights_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let tiny = recipe("tiny.toml");
    let train = ["train", tiny.to_str().unwrap(), "--out", "run", "--device", "cpu"];
    let output = sextant(path, &train);
    assert!(output.status.success(), "{}", stderr(&output));
    let edited = path.join("run/recipe.toml");
    let text = fs::read_to_string(&edited).unwrap();
    fs::write(
        &edited,
        text.replace("prediction = \"velocity\"", "prediction = \"noise\""),
    )
    .unwrap();
    for command in [
        &["sample", "run", "--device", "cpu"][..],
        &["eval", "run", "--device", "cpu"],
        &["report", "run"],
    ] {
        refused(path, command, &["recipe.toml", "diffusion.prediction", "edited"]);
    }
    refused(path, &[&train[..4], &["--steps", "9"]].concat(), &["--resume"]);
    // Nor are other data those that the network knows.
    fs::write(&edited, text).unwrap();
    let info = RunFolder::new(path.join("run")).info().unwrap();
    let record = path.join("run/run.json");
    let other = fs::read_to_string(&record).unwrap().replace(&info.data, "another");
    fs::write(&record, other).unwrap();
    for looks in ["sample", "eval"] {
        refused(
            path,
            &[looks, "run", "--device", "cpu"],
            &["other data", "another", &info.data],
        );
    }
}
