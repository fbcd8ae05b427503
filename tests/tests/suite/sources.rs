//! The shipped sources as a user meets them: the recipe that compares all of them, and what wrong settings say.

use std::path::{Path, PathBuf};

use sextant_evaluation::{Target, guided_of};
use sextant_guidance::{GuidanceGeometry, NetworkShape, Sources};
use sextant_model::diffusion::{Path as DiffusionPath, Prediction};
use sextant_tests::{plugins, recipe, sextant, stderr};

/// The recipe with all sources, small.
fn all() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/emoji-all.toml")
}

const SMALL: [&str; 8] = [
    "model.hidden_size=32",
    "model.num_heads=2",
    "phases.0.steps=4",
    "evaluation.images=4",
    "evaluation.sampler.steps=2",
    "output.log_every=1",
    "variants.3.phases.0.guidance.0.stop_step=2",
    "variants.5.phases.0.steps=2",
];

#[test]
fn all_sources_train_in_one_comparison() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = all();
    let mut arguments = vec!["compare", recipe.to_str().unwrap(), "--out", "all", "--device", "cpu"];
    SMALL.iter().for_each(|set| arguments.extend(["--set", *set]));
    let output = sextant(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    for (source, guided) in [
        ("none", 4),
        ("repa", 4),
        ("irepa", 4),
        ("haste", 2),
        ("vae-align", 4),
        ("self-transcendence", 4),
        ("sra", 4),
        ("layersync", 4),
        ("dispersive", 4),
    ] {
        let lines = sextant_records::journal::read(&folder.path().join("all").join(source).join("metrics.jsonl"));
        let losses: Vec<f64> = lines
            .iter()
            .filter(|line| line.phase == "train")
            .filter_map(|line| line.values.get(&format!("guidance.{source}")).copied())
            .collect();
        assert_eq!(losses.len(), guided, "{source}: {losses:?}");
        assert!(losses.iter().all(|loss| loss.is_finite()), "{source}: {losses:?}");
    }
}

#[test]
fn wrong_settings_say_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml"); // three blocks, no encoder
    for (source, config, words) in [
        ("sra", "dept = 3", "`student_depth`, `teacher_depth`"),
        (
            "sra",
            "teacher_depth = 4",
            "depth 4 of the ema network, which has 3 blocks",
        ),
        ("sra", "beta = 0", "`beta` must be finite and above 0"),
        ("sra", "shift = 2.0", "`shift` must be between 0 and 1"),
        ("sra", "loss = 'l2'", "expected `cosine` or `smooth-l1`"),
        ("layersync", "depth = 2", "`depth` (2) must be below `target_depth` (2)"),
        ("layersync", "target_depth = 9", "depth 9 of the student network"),
        ("dispersive", "tau = -1", "`tau` must be finite and above 0"),
        ("dispersive", "tau = 1e-60", "`tau` must be finite and above 0"),
        (
            "vae-align",
            "projector_width = 0",
            "`projector_width` must be at least 1",
        ),
        ("vae-align", "projector_width = -1", "projector_width"),
        (
            "vae-align",
            "t_min = 0.8, t_max = 0.7",
            "`t_min` (0.8) must not be above `t_max` (0.7)",
        ),
        ("self-transcendence", "scale = 1e300", "`scale` must be finite"),
        ("irepa", "kernel = 2", "`kernel` must be odd"),
        ("irepa", "alpha = 3", "`alpha` must be between 0 and 1"),
        ("irepa", "", "no batch field \"features\""),
        ("haste", "", "no batch field \"features\""),
        ("haste", "temperature = 0", "`temperature` must be finite and above 0"),
        ("haste", "attention_weight = -1", "`attention_weight` must be finite"),
    ] {
        let set = format!("phases.0.guidance=[{{ plugin = '{source}', config = {{ {config} }} }}]");
        let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", "run", "--device", "cpu"];
        arguments.extend(["--set", &set]);
        let output = sextant(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{source} {config}");
        assert!(
            stderr(&output).contains(words),
            "{source} {config}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn an_encoder_without_attention_is_told_of_the_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = all();
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", "run", "--device", "cpu"];
    SMALL.iter().for_each(|set| arguments.extend(["--set", *set]));
    let set = r#"phases.0.guidance=[{ plugin = "haste", config = { projector_width = 16 } }]"#;
    let output = sextant(folder.path(), &[&arguments[..], &["--set", set]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains(r#"`target = "affinity"`"#),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_a_teacher_gives_is_read_off_plan_and_configuration() {
    let network = NetworkShape {
        depth: 6,
        width: 8,
        heads: 2,
        grid: [2, 2],
    };
    let geometry = GuidanceGeometry {
        batch: 4,
        channels: 3,
        height: 4,
        width: 4,
        patch: 2,
        classes: 5,
        prediction: Prediction::Velocity,
        path: DiffusionPath::Linear,
        student: network,
        teacher: Some(network),
        ema: network,
        fields: vec![("features".into(), vec![4, 8])],
    };
    let target = |sources: &[&str]| {
        let configs: Vec<_> = sources.iter().map(|source| toml::from_str(source).unwrap()).collect();
        guided_of(&Sources::load(&configs, &plugins(), &geometry).unwrap())
    };
    let (transcendence, repa) = (r#"plugin = "self-transcendence""#, r#"plugin = "repa""#);
    let usual = Target {
        depth: 4,
        scale: Some(30.0),
    };
    assert_eq!(target(&[transcendence]), Some(usual));
    assert_eq!(target(&[repa, transcendence]), Some(usual));
    let own = "plugin = \"self-transcendence\"\nconfig = { teacher_depth = 2, scale = 1 }";
    assert_eq!(
        target(&[own]),
        Some(Target {
            depth: 2,
            scale: Some(1.0),
        })
    );
    // The moving average of sra is no teacher.
    for source in ["none", "repa", "irepa", "vae-align", "sra", "layersync", "dispersive"] {
        assert_eq!(target(&[&format!("plugin = {source:?}")]), None, "{source}");
    }
}
