//! Runs through the program: the same bits, resumed, interrupted, and with sources that fail.

use std::path::{Path, PathBuf};
use std::process::Output;

use sextant_tests::{recipe, sextant, stderr, stdout};

/// The weights, averages, sources' parameters, optimiser and log of a finished or stopped run.
fn state(run: &Path, step: u64) -> Vec<(PathBuf, Vec<u8>)> {
    let checkpoint = run.join(format!("phases/train/step-{step:06}"));
    ["student", "ema", "sources", "buffers"]
        .map(|name| format!("{name}.safetensors"))
        .iter()
        .map(|name| checkpoint.join(name))
        .chain([checkpoint.join("optimiser.bpk"), run.join("metrics.jsonl")])
        .map(|path| (path.strip_prefix(run).unwrap().to_owned(), contents(&path)))
        .collect()
}

/// A file's bytes; of an optimiser's the tensors by name, since burn writes them in the order of a hash map; of a log's lines
/// what is the training's, not the machine's.
pub fn contents(path: &Path) -> Vec<u8> {
    if path.extension().is_some_and(|e| e == "jsonl") {
        let lines = sextant_records::journal::read(path);
        let lines = lines
            .iter()
            .map(|line| (&line.phase, line.step, line.of_training().collect::<Vec<_>>()));
        return format!("{:?}", lines.collect::<Vec<_>>()).into_bytes();
    }
    if path.extension().is_none_or(|e| e != "bpk") {
        return std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let reader = burn_pack::Reader::from_file(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut names: Vec<String> = reader.tensor_names().into_iter().map(str::to_owned).collect();
    names.sort();
    let scalars = format!("{:?}", reader.scalars()).into_bytes();
    let tensors = names
        .iter()
        .flat_map(|name| [name.clone().into_bytes(), reader.tensor_data(name).unwrap()]);
    tensors.chain([scalars]).flatten().collect()
}

/// Both runs are in the same state after `step`.
pub fn same(a: &Path, b: &Path, step: u64) {
    for ((name, a), (_, b)) in state(a, step).into_iter().zip(state(b, step)) {
        assert!(a == b, "{} differs", name.display());
    }
}

pub fn train(folder: &Path, out: &str, more: &[&str]) -> Output {
    let recipe = recipe("tiny.toml");
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
    arguments.extend(more);
    sextant(folder, &arguments)
}

pub fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

/// The guidance of a phase that fails at step 7.
fn faulty(how: &str) -> String {
    format!(r#"phases.0.guidance=[{{ plugin = "test-faulty", config = {{ how = "{how}", step = 7 }} }}]"#)
}

#[test]
fn the_same_recipe_twice_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for variant in ["none", "self-transcendence"] {
        let (a, b) = (format!("{variant}-a"), format!("{variant}-b"));
        succeed(&train(folder.path(), &a, &["--variant", variant]));
        succeed(&train(folder.path(), &b, &["--variant", variant]));
        same(&at(&a), &at(&b), 8);
        let samples = |name: &str| std::fs::read(at(name).join("samples/final.npz")).unwrap();
        assert!(samples(&a) == samples(&b), "samples differ");
    }
}

#[test]
fn nothing_steers_a_terminal_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    // A source that logs, and the dashboard.
    let faulty = r#"phases.0.guidance=[{ plugin = "test-faulty", config = { how = "panic-in-drop" } }]"#;
    let output = train(
        folder.path(),
        "run",
        &["--tui", "--set", "phases.0.steps=2", "--set", faulty],
    );
    succeed(&output);
    let (said, shown) = (stderr(&output), stdout(&output));
    assert!(said.contains("panicked when it was dropped"), "{said}");
    for text in [said, shown] {
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

#[test]
fn the_shares_of_a_source_s_last_step_have_its_teacher() {
    let folder = tempfile::tempdir().unwrap();
    // Shares are due after the fourth step.
    let stop = "variants.2.phases.1.guidance.0.stop_step=4";
    succeed(&train(
        folder.path(),
        "run",
        &["--variant", "self-transcendence", "--set", stop],
    ));
    let log = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
    assert!(log.contains("share.self-transcendence"), "{log}");
}

#[test]
fn none_is_no_guidance_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&train(folder.path(), "none", &[]));
    succeed(&train(folder.path(), "nothing", &["--set", "phases.0.guidance=[]"]));
    let of = |name: &str| state(&folder.path().join(name), 8);
    // The logs differ: one has a column for the guidance of `none`.
    for ((name, a), (_, b)) in of("none").into_iter().zip(of("nothing")) {
        assert!(a == b || name.ends_with("metrics.jsonl"), "{} differs", name.display());
    }
}

#[test]
fn accumulated_micro_batches_train_like_the_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    succeed(&train(folder.path(), "whole", &["--variant", "aligned"]));
    succeed(&train(
        folder.path(),
        "parts",
        &["--variant", "aligned", "--set", "optimiser.accumulation=4"],
    ));
    let weights = |name: &str| {
        let path = folder
            .path()
            .join(name)
            .join("phases/train/step-000008/student.safetensors");
        sextant_model::read_safetensors(path).unwrap()
    };
    for ((name, a), (_, b)) in weights("whole").into_iter().zip(weights("parts")) {
        let off = a
            .iter::<f32>()
            .zip(b.iter::<f32>())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        // AdamW turns rounding of a tiny gradient into a step of its own size, lr = 1e-3 at most.
        assert!(off < 2e-3, "{name} is off by {off}");
    }
}

#[test]
fn every_path_prediction_and_law_of_times_trains_and_samples() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (path, prediction, time)) in [
        ("cosine", "velocity", "log-normal"),
        ("linear", "data", "uniform"),
        ("cosine", "noise", "uniform"),
        ("linear", "noise", "log-normal"),
    ]
    .into_iter()
    .enumerate()
    {
        let [path, prediction, time] = [
            format!("diffusion.path={path}"),
            format!("diffusion.prediction={prediction}"),
            format!("diffusion.time={time}"),
        ];
        let set = [
            "--variant",
            "aligned",
            "--set",
            &path,
            "--set",
            &prediction,
            "--set",
            &time,
        ];
        let out = format!("run-{i}");
        succeed(&train(folder.path(), &out, &set));
        let log = sextant_records::journal::read(&folder.path().join(out).join("metrics.jsonl"));
        assert!(
            log.iter().all(|line| line.values.values().all(|v| v.is_finite())),
            "{path} {prediction} {time}"
        );
    }
}

#[test]
fn a_killed_run_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for variant in ["aligned", "self-transcendence"] {
        let whole = format!("{variant}-whole");
        let killed = format!("{variant}-killed");
        succeed(&train(folder.path(), &whole, &["--variant", variant]));
        succeed(&train(folder.path(), &killed, &["--variant", variant]));
        let run = at(&killed);
        kill(&run);
        succeed(&sextant(
            folder.path(),
            &["train", "--resume", &killed, "--device", "cpu"],
        ));
        same(&at(&whole), &run, 8);
    }
}

/// The run as it lay when it was killed after step 5: a checkpoint of step 4, a log that is further, and neither samples nor a
/// result.
pub fn kill(run: &Path) {
    std::fs::remove_dir_all(run.join("phases/train/step-000008")).unwrap();
    std::fs::remove_file(run.join("result.json")).unwrap();
    std::fs::remove_dir_all(run.join("samples")).unwrap();
    std::fs::create_dir(run.join("phases/train/.partial-step-000006")).unwrap();
}

#[cfg(unix)]
#[test]
fn a_plugin_that_is_built_anew_with_other_defaults_does_not_change_a_run_silently() {
    use sextant_tests::c;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let library = at("librebuilt.so");
    let build = |factor: &str, stated: &str| {
        let flags = [format!("-DFACTOR={factor}"), format!("-DSTATED={stated}")];
        let source = c::file("tests/rebuilt/source.c");
        c::build(
            &source,
            &c::file("plugin-api/include"),
            &library,
            &flags.each_ref().map(String::as_str),
        );
    };
    let resolved = |run: &str| {
        let path = at(run).join("recipe.toml");
        let recipe: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let source = &recipe["phases"][0]["guidance"][0];
        let number = |value: &toml::Value| value.as_float().unwrap();
        [number(&source["coefficient"]), number(&source["config"]["factor"])]
    };
    let guidance = format!("[{{ plugin = \"{}\" }}]", library.display());
    let set = ["--set", &format!("phases.0.guidance={guidance}")];
    build("2.0", "0.25");
    for run in ["whole", "killed"] {
        succeed(&train(folder.path(), run, &set));
        assert_eq!(resolved(run), [0.25, 2.0]);
    }
    // A comparison knows its own run again.
    let tiny = std::fs::read_to_string(recipe("tiny.toml")).unwrap();
    let base = tiny.split("[[variants]]").next().unwrap();
    let variant =
        format!("[[variants]]\nname = \"rebuilt\"\nphases = [{{ name = \"train\", guidance = {guidance} }}]\n");
    std::fs::write(
        at("compare.toml"),
        format!("{base}[[variants]]\nname = \"none\"\n\n{variant}"),
    )
    .unwrap();
    let compare = || {
        sextant(
            folder.path(),
            &["compare", "compare.toml", "--out", "compared", "--device", "cpu"],
        )
    };
    let result = || {
        std::fs::metadata(at("compared/rebuilt/result.json"))
            .unwrap()
            .modified()
            .unwrap()
    };
    succeed(&compare());
    let before = result();
    succeed(&compare());
    assert_eq!(result(), before, "a finished variant is kept");

    build("3.0", "1.0");
    kill(&at("killed"));
    let resumed = sextant(folder.path(), &["train", "--resume", "killed", "--device", "cpu"]);
    succeed(&resumed);
    same(&at("whole"), &at("killed"), 8);
    assert_eq!(resolved("killed"), [0.25, 2.0]);
    // Both libraries are on record, and where the other one began.
    let info = sextant_records::RunFolder::new(at("killed")).info().unwrap();
    let [replaced] = &info.replaced[..] else {
        panic!("{:?}", info.replaced)
    };
    assert_ne!(replaced.library.sha256, info.plugins[0].sha256);
    assert_eq!(replaced.phase, "train");
    assert!((1..8).contains(&replaced.step), "{}", replaced.step);
    let refused = compare();
    assert_eq!(refused.status.code(), Some(2));
    let words = "holds a run of another recipe: recipe.phases.0.guidance.0.coefficient is 0.25 there and 1.0 here";
    assert!(stderr(&refused).contains(words), "{}", stderr(&refused));
    // A new run takes the new defaults, and they matter.
    succeed(&train(folder.path(), "fresh", &set));
    assert_eq!(resolved("fresh"), [1.0, 3.0]);
    assert!(state(&at("fresh"), 8) != state(&at("whole"), 8));
}

#[test]
fn a_failing_source_leaves_the_step_before() {
    let folder = tempfile::tempdir().unwrap();
    let healthy = faulty("never");
    let set = ["--set", "output.checkpoint_every=6", "--set", "output.keep=9", "--set"];
    succeed(&train(folder.path(), "healthy", &[&set[..], &[&healthy]].concat()));
    for (how, words) in [
        ("error", "asked to fail"),
        ("panic", "asked to panic"),
        ("shape", "shape"),
        ("operation", "faulty/src/lib.rs"),
    ] {
        let faulty = faulty(how);
        let output = train(folder.path(), how, &[&set[..], &[&faulty]].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{how}: {said}");
        assert!(
            said.contains("step 7") && said.contains("test-faulty") && said.contains(words),
            "{how}: {said}"
        );
        for name in ["student", "ema", "optimiser"] {
            let file = if name == "optimiser" {
                "optimiser.bpk".into()
            } else {
                format!("{name}.safetensors")
            };
            let of = |run: &str| contents(&folder.path().join(run).join("phases/train/step-000006").join(&file));
            assert!(of(how) == of("healthy"), "{how}: {file} has something of step 7");
        }
        assert!(!folder.path().join(how).join("phases/train/step-000007").exists());
        assert!(!folder.path().join(how).join("result.json").exists());
    }
}

#[test]
fn a_loss_that_is_not_a_number_is_blamed_on_its_source_and_step() {
    let folder = tempfile::tempdir().unwrap();
    // The other source's loss is no number either from the step after on.
    let sources = r#"phases.0.guidance=[
        { plugin = "dispersive", config = { depth = 1 } },
        { plugin = "test-faulty", config = { how = "nan", step = 6 } },
    ]"#;
    let output = train(folder.path(), "nan", &["--set", sources, "--set", "output.log_every=4"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in [
        "the loss of source \"test-faulty\" became NaN at step 6;",
        "phases/train/step-000004",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let checkpoints = sextant_train::checkpoint::list(&folder.path().join("nan/phases/train"));
    assert_eq!(
        checkpoints.iter().map(|s| s.step).collect::<Vec<_>>(),
        [4],
        "only what was good before"
    );
}

#[test]
fn a_source_that_fails_in_a_diagnostic_pass_loses_no_step() {
    let folder = tempfile::tempdir().unwrap();
    // Shares of the gradient are measured after step 4.
    let again = r#"phases.0.guidance=[{ plugin = "test-faulty", config = { how = "again", step = 4 } }]"#;
    let output = train(folder.path(), "run", &["--set", again]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("step 4") && said.contains("asked to fail"), "{said}");
    let saved = sextant_train::checkpoint::list(&folder.path().join("run/phases/train"));
    assert_eq!(saved.last().map(|saved| saved.step), Some(4), "{said}");
    let without = [
        "train",
        "--resume",
        "run",
        "--without",
        "test-faulty",
        "--device",
        "cpu",
    ];
    succeed(&sextant(folder.path(), &without));
}
