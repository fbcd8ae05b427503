//! Trainings in halves: what they leave, and what f16 leaves out.

use std::path::Path;

use sextant_model::read_safetensors;
use sextant_records::journal::{self, Line};
use sextant_tests::{recipe, refused, sextant};

use super::runs::{kill, same, succeed, train};

/// The lines of a run's log that have its losses.
fn lines(run: &Path) -> Vec<Line> {
    let lines = journal::read(&run.join("metrics.jsonl")).into_iter();
    lines.filter(|line| line.values.contains_key("denoising")).collect()
}

#[test]
fn a_training_in_a_half_leaves_weights_in_f32_and_resumes_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for half in ["bf16", "f16"] {
        let set = format!("compute.precision={half}");
        let settings = [
            "--variant",
            "self-transcendence",
            "--set",
            set.as_str(),
            "--set",
            "compute.frozen=bf16",
            "--set",
            "output.keep=9",
        ];
        let (whole, killed) = (format!("{half}-whole"), format!("{half}-killed"));
        for run in [&whole, &killed] {
            succeed(&train(folder.path(), run, &settings));
        }
        for weights in ["student", "ema"] {
            let file = at(&whole).join(format!("phases/train/step-000008/{weights}.safetensors"));
            let tensors = read_safetensors(file).unwrap();
            assert!(tensors.values().all(|data| data.dtype() == burn::tensor::DType::F32));
        }
        kill(&at(&killed));
        succeed(&sextant(
            folder.path(),
            &["train", "--resume", &killed, "--device", "cpu"],
        ));
        same(&at(&whole), &at(&killed), 8);
        let scaled = lines(&at(&whole))
            .iter()
            .all(|line| line.values.contains_key("loss_scale"));
        assert_eq!(scaled, half == "f16");
        refused(
            folder.path(),
            &[
                "train",
                "--resume",
                &whole,
                "--set",
                "compute.precision=f32",
                "--device",
                "cpu",
            ],
            &["compute.precision", "computed in it"],
        );
    }
}

#[test]
fn a_step_that_overflows_is_left_out_and_halves_the_scale() {
    let folder = tempfile::tempdir().unwrap();
    // The gradients of the projector: times 65,536 and this they are beyond f16.
    let guidance = r#"phases.0.guidance=[{ plugin = "vae-align", coefficient = 30, config = { depth = 1, projector_width = 16, t_min = 0.0, t_max = 1.0 } }]"#;
    let settings = [
        "compute.precision=f16",
        "output.log_every=1",
        "output.checkpoint_every=1",
        "output.keep=9",
        guidance,
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|set| ["--set", *set]).collect();
    succeed(&train(folder.path(), "run", &settings));
    let run = folder.path().join("run");
    let lines = lines(&run);
    let of = |key: &str| -> Vec<Option<f64>> { lines.iter().map(|line| line.values.get(key).copied()).collect() };
    let (left_out, scale, norm) = (of("left_out"), of("loss_scale"), of("grad_norm"));
    assert_eq!((left_out[0], scale[0]), (Some(1.0), Some(65536.0)));
    let weights = |step: usize, name: &str| {
        let path = run.join(format!("phases/train/step-{step:06}/{name}.safetensors"));
        read_safetensors(path).unwrap()
    };
    let mut applied = 0;
    for step in 0..7 {
        let left_out = left_out[step] == Some(1.0);
        assert_eq!(norm[step].is_none(), left_out, "step {step}");
        let factor = if left_out { 0.5 } else { 1.0 };
        assert_eq!(scale[step + 1], scale[step].map(|scale| factor * scale), "step {step}");
        if step > 0 {
            for name in ["student", "ema", "sources"] {
                let moved = weights(step, name) != weights(step + 1, name);
                assert_eq!(moved, !left_out, "{name} at step {step}");
            }
        }
        applied += usize::from(!left_out);
    }
    assert!(applied > 0, "{scale:?}");
}

#[test]
fn what_is_computed_again_trains_as_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &[&str]| {
        let settings = [
            "--variant",
            "aligned",
            "--set",
            "optimiser.accumulation=2",
            "--set",
            "output.log_every=1",
        ];
        succeed(&train(folder.path(), name, &[&settings[..], more].concat()));
        lines(&folder.path().join(name))
    };
    for half in ["compute.precision=f32", "compute.precision=f16"] {
        let half = ["--set", half];
        let kept = run(&format!("{}-kept", half[1]), &half);
        let again = run(
            &format!("{}-again", half[1]),
            &[&half[..], &["--set", "compute.recompute=blocks"]].concat(),
        );
        // The first step's losses are the same to the bit.
        assert_eq!(kept[0].values["denoising"], again[0].values["denoising"]);
        for (kept, again) in kept.iter().zip(&again) {
            for key in ["denoising", "guidance.vae-align", "grad_norm", "share.vae-align"] {
                let pair = kept.values.get(key).zip(again.values.get(key));
                let Some((kept, again)) = pair else { continue };
                let tolerance = if half[1].ends_with("f32") { 1e-4 } else { 1e-2 };
                let off = (kept - again).abs();
                assert!(off <= tolerance * kept.abs().max(0.01), "{key}: {kept}, {again}");
            }
        }
    }
}

#[test]
fn a_plan_knows_of_precision_and_of_what_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe("tiny.toml");
    let activations = |set: &str| {
        let arguments = [
            "plan",
            path.to_str().unwrap(),
            "--json",
            "--device",
            "cpu",
            "--set",
            set,
        ];
        let output = sextant(folder.path(), &arguments);
        succeed(&output);
        let plans: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let memory = plans[2]["phases"][1]["memory"].clone();
        ["activations", "teacher"].map(|part| memory[part].as_u64().unwrap())
    };
    let [kept, teacher] = activations("compute.recompute=off");
    let [again, _] = activations("compute.recompute=blocks");
    let [_, held] = activations("compute.frozen=bf16");
    assert!(again < kept, "{again} of {kept}");
    assert!(held < teacher * 3 / 4, "{held} of {teacher}");
}

#[test]
fn averages_may_live_on_the_cpu_unless_a_source_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--variant", "aligned", "--set", "optimiser.further_ema_decays=[0.5]"];
    let cpu = [&settings[..], &["--set", "compute.averages=cpu"]].concat();
    succeed(&train(folder.path(), "one", &settings));
    succeed(&train(folder.path(), "other", &cpu));
    same(&folder.path().join("one"), &folder.path().join("other"), 8);
    let sra = r#"phases.0.guidance=[{ plugin = "sra" }]"#;
    let path = recipe("tiny.toml");
    refused(
        folder.path(),
        &[
            "train",
            path.to_str().unwrap(),
            "--device",
            "cpu",
            "--set",
            sra,
            "--set",
            "compute.averages=cpu",
        ],
        &["compute.averages", "sra", "moving average"],
    );
}
