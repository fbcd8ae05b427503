//! A training that one watches: its rates, averages, pictures and the machine's figures.

use std::fs;
use std::path::Path;

use sextant_records::journal::{MACHINE, read};
use sextant_tests::{recipe, sextant, stderr};

const SETTINGS: [&str; 5] = [
    "optimiser.schedule=\"cosine\"",
    "optimiser.final_lr=1e-4",
    "optimiser.further_ema_decays=[0.2, 0.0]",
    "optimiser.no_decay=[\"bias\"]",
    "output.samples_every=4",
];

fn train(folder: &Path, out: &str, more: &[&str]) -> Result<(), String> {
    let recipe = recipe("tiny.toml");
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
    for setting in SETTINGS.iter().chain(more) {
        arguments.extend(["--set", setting]);
    }
    let output = sextant(folder, &arguments);
    match output.status.success() {
        true => Ok(()),
        false => Err(stderr(&output)),
    }
}

#[test]
fn rates_averages_and_pictures_are_there() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "run", &["optimiser.weight_decay=0.1"]).unwrap();
    let run = folder.path().join("run");

    let lines = read(&run.join("metrics.jsonl"));
    let lr = |step| lines.iter().find(|line| line.step == step).unwrap().values["lr"];
    assert_eq!(lr(2), 1e-4 + 0.45e-3 * (1.0 + (std::f64::consts::PI / 8.0).cos()));
    assert!(lr(8) < lr(6) && lr(8) > 1e-4);
    for part in ["samples_per_second", "seconds.student", "seconds.backward"] {
        let value = lines.last().unwrap().values[&format!("{MACHINE}{part}")];
        assert!(value > 0.0, "{part} is {value}");
    }

    let checkpoint = run.join("phases/train/step-000008");
    let weights = |name: &str| fs::read(checkpoint.join(format!("{name}.safetensors"))).unwrap();
    assert_eq!(
        weights("ema-0"),
        weights("student"),
        "an average that forgets at once is the student"
    );
    assert_ne!(weights("ema-0.2"), weights("ema"));

    for (step, name) in [(4, "ema"), (4, "model"), (8, "ema"), (8, "model")] {
        let path = run.join(format!("samples/train-step-{step:06}-{name}.png"));
        assert!(path.exists(), "{}", path.display());
    }
    // The last grid of the average is the run's own.
    let png = |name: &str| fs::read(run.join("samples").join(name)).unwrap();
    assert_eq!(png("train-step-000008-ema.png"), png("final.png"));

    let draw = |arguments: &[&str]| {
        let mut all = vec!["sample", "run", "--device", "cpu"];
        all.extend(arguments);
        sextant(folder.path(), &all)
    };
    assert!(draw(&["--weights", "model"]).status.success());
    assert_eq!(png("drawn.png"), png("train-step-000008-model.png"));
    assert!(draw(&["--weights", "ema-0"]).status.success());
    assert_eq!(png("drawn.png"), png("train-step-000008-model.png"));
    assert!(draw(&["--class", "none"]).status.success());
    let eval = |weights: &str| {
        let little = [
            "--set",
            "evaluation.quality={ samples = 20, sweep_samples = 20, scales = [1.0], judges = [\"untrained\"] }",
        ];
        let arguments = [
            &["eval", "run", "--device", "cpu", "--json", "--weights", weights],
            &little[..],
        ]
        .concat();
        let output = sextant(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["drawn"]["weights"], weights);
        json["evaluation"]["quality"].clone()
    };
    let model = eval("model");
    assert_eq!(model, eval("ema-0"));
    assert_ne!(model, eval("ema"));
    for (wrong, said) in [
        (["--weights", "ema-0.9"], "ema-0.2"),
        (["--weights", "raw"], "\"model\""),
        (["--class", "nonesuch"], "or \"none\""),
    ] {
        let output = draw(&wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

#[test]
fn biases_can_be_left_to_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let student = |name: &str| {
        let path = folder
            .path()
            .join(name)
            .join("phases/train/step-000001/student.safetensors");
        sextant_model::read_safetensors(path).unwrap()
    };
    // One step with the same gradient: a decay of d takes lr * d of a parameter away.
    let one = ["phases.0.steps=1", "output.samples_every=0"];
    for (name, more) in [
        ("none", &["optimiser.weight_decay=0.0"][..]),
        ("some", &["optimiser.weight_decay=0.5"]),
        ("all", &["optimiser.weight_decay=0.5", "optimiser.no_decay=[]"]),
    ] {
        train(folder.path(), name, &[&one[..], more].concat()).unwrap();
    }
    let (none, some, all) = (student("none"), student("some"), student("all"));
    let kept = |name: &str| some[name] == none[name];
    assert!(kept("blocks.0.attn.qkv.bias") && !kept("blocks.0.attn.qkv.weight"));
    assert_eq!(some["blocks.0.attn.qkv.weight"], all["blocks.0.attn.qkv.weight"]);
    let refused = train(folder.path(), "refused", &["optimiser.no_decay=[\"biases\"]"]).unwrap_err();
    assert!(refused.contains("optimiser.no_decay.0"), "{refused}");
    assert!(!folder.path().join("refused").exists(), "nothing is written before");
}
