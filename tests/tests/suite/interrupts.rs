//! Requests to stop, or to save and go on, while the program trains, samples, compares and trains an encoder or an autoencoder.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use sextant_interrupt::hangup_is_ignored;
use sextant_records::checkpoint::{Saved, list};
use sextant_tests::{Running, in_shell, recipe, refused, sextant, stderr};

use super::runs::same;
use super::vae;

/// Steps of a training that is stopped on its way.
const STEPS: u64 = 300;

/// `sextant train` of the tiny recipe, with a checkpoint at its end alone.
fn train(folder: &Path, out: &str, steps: u64, more: &[&str]) -> Running {
    let (recipe, steps) = (recipe("tiny.toml"), format!("phases.0.steps={steps}"));
    let arguments = ["train", recipe.to_str().unwrap(), "--out", out, "--device", "cpu"];
    let set = ["--set", &steps, "--set", "output.checkpoint_every=0"];
    Running::start(folder, &[&arguments[..], &set, more].concat())
}

fn checkpoints(folder: &Path, run: &str) -> Vec<Saved> {
    list(&folder.join(run).join("phases/train"))
}

fn stopped(output: &Output) -> String {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    said
}

/// The command that a message says goes on.
fn advised(said: &str) -> &str {
    let (_, command) = said.split_once("go on with: ").unwrap_or_else(|| panic!("{said}"));
    command.lines().next().unwrap_or_default()
}

/// The command that a message says does it all once more.
fn anew(said: &str) -> &str {
    let (_, command) = said
        .split_once("nothing of it is kept, begin anew with: ")
        .unwrap_or_else(|| panic!("{said}"));
    command.lines().next().unwrap_or_default()
}

/// Runs a command that a message names, as it stands there.
fn go_on(folder: &Path, command: &str) {
    let output = in_shell(folder, command);
    assert!(output.status.success(), "{command}: {}", stderr(&output));
}

/// A command that runs into its time limit; its message.
fn out_of_time(folder: &Path, arguments: &[&str], limit: u64) -> String {
    let time = format!("{limit}s");
    let limited = [arguments, &["--device", "cpu", "--max-time", &time]].concat();
    let started = Instant::now();
    let said = stopped(&Running::start(folder, &limited).end());
    let taken = started.elapsed().as_secs();
    assert!((limit..limit + 6).contains(&taken), "{arguments:?}: {taken} s");
    assert!(said.contains("the time of --max-time is up"), "{said}");
    said
}

/// Settings of a training of the tiny recipe that takes long at one thing, and the same without that.
fn stopped_at(long: &str, short: &str, more: &[&str], step: u64) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let short = [&["--set", short], more].concat();
    let whole = train(folder.path(), "whole", 9, &short).end();
    assert!(whole.status.success(), "{}", stderr(&whole));
    let mut running = train(folder.path(), "run", 9, &[&["--set", long], more].concat());
    let log = at("run/metrics.jsonl");
    running.until("step 2", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("\"step\":2,"))
    });
    // It comes to what takes long a few steps later.
    std::thread::sleep(Duration::from_secs(1));
    running.signal("TERM");
    let asked = Instant::now();
    stopped(&running.end());
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let saved = checkpoints(folder.path(), "run");
    assert_eq!(
        saved.iter().map(|saved| saved.step).collect::<Vec<_>>(),
        [step],
        "{long:?}"
    );
    let resume = ["train", "--resume", "run", "--device", "cpu"];
    let resumed = sextant(folder.path(), &[&resume[..], &short[..2]].concat());
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    same(&at("whole"), &at("run"), 9);
    assert!(
        !fs::read_to_string(at("run/phases/train/step-000009/state.json"))
            .unwrap()
            .contains("\"due\"")
    );
}

#[test]
fn what_is_due_after_a_step_waits_for_whoever_goes_on() {
    // Grids of samples, and a validation.
    let samples = ["--set", "output.samples_every=4"];
    stopped_at(
        "evaluation.sampler.steps=50000",
        "evaluation.sampler.steps=2",
        &samples,
        4,
    );
    // Of a network whose passes take longer than the noise takes to be drawn, with optimisation or without.
    let validation = ["evaluation.every=5", "evaluation.images=380", "model.hidden_size=128"];
    let validation = validation.map(|set| ["--set", set]).concat();
    stopped_at("evaluation.times=100", "evaluation.times=2", &validation, 5);
}

#[test]
fn whoever_asks_a_training_stops_with_a_checkpoint_that_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = train(folder.path(), "whole", STEPS, &["--variant", "aligned"]).end();
    assert!(whole.status.success(), "{}", stderr(&whole));
    for signal in ["INT", "TERM", "HUP"] {
        // What `nohup` ignores stays ignored.
        if signal == "HUP" && hangup_is_ignored() {
            continue;
        }
        let mut running = train(folder.path(), signal, STEPS, &["--variant", "aligned"]);
        running.until_it_trains(&at(signal));
        running.signal(signal);
        let asked = Instant::now();
        let said = stopped(&running.end());
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{signal}: {:?}",
            asked.elapsed()
        );
        let saved = checkpoints(folder.path(), signal);
        assert!(saved.len() == 1 && (6..STEPS).contains(&saved[0].step), "{saved:?}");
        assert!(
            said.contains(&format!("stopped after step {} of phase \"train\"", saved[0].step)),
            "{said}"
        );
        let resume = format!("sextant train --resume {signal} --device cpu");
        assert_eq!(advised(&said), resume);
        go_on(folder.path(), &resume);
        same(&at("whole"), &at(signal), STEPS);
        assert!(!at(signal).join("failed.json").exists());
    }
}

#[test]
fn a_training_that_is_asked_to_save_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = train(folder.path(), "whole", STEPS, &[]).end();
    assert!(whole.status.success(), "{}", stderr(&whole));
    let mut running = train(folder.path(), "saved", STEPS, &[]);
    running.until_it_trains(&at("saved"));
    running.signal("USR1");
    running.until("a checkpoint", || !checkpoints(folder.path(), "saved").is_empty());
    let output = running.end();
    assert!(output.status.success(), "{}", stderr(&output));
    let steps: Vec<u64> = checkpoints(folder.path(), "saved")
        .iter()
        .map(|saved| saved.step)
        .collect();
    assert!(matches!(steps[..], [saved, STEPS] if saved >= 6), "{steps:?}");
    same(&at("whole"), &at("saved"), STEPS);
}

#[test]
fn a_time_limit_is_a_request_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let output = train(folder.path(), "run", 1_000_000, &["--max-time", "4s"]).end();
    let said = stopped(&output);
    let taken = started.elapsed().as_secs();
    assert!((4..20).contains(&taken), "{taken} s");
    assert!(said.contains("the time of --max-time is up"), "{said}");
    assert_eq!(advised(&said), "sextant train --resume run --device cpu");
    assert_eq!(checkpoints(folder.path(), "run").len(), 1);
    let tiny = recipe("tiny.toml");
    refused(
        folder.path(),
        &["train", tiny.to_str().unwrap(), "--out", "other", "--max-time", "soon"],
        &["--max-time", "soon"],
    );
}

#[test]
fn a_comparison_names_itself_as_what_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe("tiny.toml");
    let arguments = ["compare", recipe.to_str().unwrap(), "--out", "all", "--device", "cpu"];
    let arguments = [&arguments[..], &["--set", "phases.0.steps=60"]].concat();
    let mut running = Running::start(folder.path(), &arguments);
    running.until_it_trains(&folder.path().join("all/none"));
    running.signal("TERM");
    let said = stopped(&running.end());
    assert_eq!(advised(&said), format!("sextant {}", arguments.join(" ")));
    assert!(!folder.path().join("all/report.html").exists());
    go_on(folder.path(), advised(&said));
    assert!(folder.path().join("all/report.html").exists());
}

#[test]
fn what_comes_after_the_training_stops_too_and_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    // Samples without end: of the last grid, and for the scores.
    let quality = "evaluation.quality={ samples = 200000, sweep_samples = 20, scales = [1.0] }";
    for (out, set, begun) in [
        ("grid", "evaluation.sampler.steps=100000", "phases/train/step-000001"),
        ("scores", quality, "evaluation/sweep-1.json"),
    ] {
        let run = folder.path().join(out);
        let mut running = train(folder.path(), out, 1, &["--set", set]);
        running.until(begun, || run.join(begun).exists());
        // It is on its way into what follows.
        std::thread::sleep(Duration::from_millis(200));
        running.signal("TERM");
        let asked = Instant::now();
        let said = stopped(&running.end());
        assert!(asked.elapsed() < Duration::from_secs(2), "{out}: {:?}", asked.elapsed());
        assert_eq!(advised(&said), format!("sextant train --resume {out} --device cpu"));
        assert!(!run.join("failed.json").exists(), "{out}");
        assert!(!run.join("evaluation/evaluation.json").exists(), "{out}");
    }
}

#[test]
fn a_second_interrupt_ends_a_training_whose_step_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    // One pass of so many samples takes many seconds.
    let endless = ["--set", "optimiser.batch=16000"];
    let mut running = train(folder.path(), "run", 2, &endless);
    let log = folder.path().join("run/metrics.jsonl");
    running.until("a log", || log.exists());
    std::thread::sleep(Duration::from_millis(500));
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(200));
    running.signal("INT");
    let asked = Instant::now();
    assert_eq!(running.end().status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(checkpoints(folder.path(), "run").is_empty(), "it waited for the step");
}

#[test]
fn sampling_ends_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), "run", 1, &[]).end();
    assert!(run.status.success(), "{}", stderr(&run));
    let sample = [
        "sample", "run", "--device", "cpu", "--count", "400", "--steps", "100000",
    ];
    let mut running = Running::start(folder.path(), &sample);
    running.until_it_listens();
    // It reads the run and the data first.
    std::thread::sleep(Duration::from_secs(1));
    running.signal("INT");
    let asked = Instant::now();
    let said = stopped(&running.end());
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // A grid is drawn in memory.
    assert_eq!(anew(&said), format!("sextant {}", sample.join(" ")));
    assert!(!folder.path().join("run/samples/drawn.npz").exists());
}

#[test]
fn a_time_limit_keeps_what_can_be_gone_on_with_and_says_where_that_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let run = train(path, "run", 1, &[]).end();
    assert!(run.status.success(), "{}", stderr(&run));

    // Many samples: those that are drawn stay.
    let many = [
        "sample", "run", "--count", "1000000", "--npz", "many.npz", "--batch", "16",
    ];
    let said = out_of_time(path, &many, 2);
    let kept = fs::metadata(path.join("many.npz.partial")).unwrap().len();
    assert!(kept > 10_000, "{kept} bytes");
    let again = advised(&said);
    assert!(
        again.ends_with(&format!("{} --device cpu --max-time 2s", many.join(" "))),
        "{again}"
    );
    let output = in_shell(path, again);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(
        fs::metadata(path.join("many.npz.partial")).unwrap().len() > kept,
        "it went on"
    );

    // An evaluation: its folder has what was measured.
    let quality = "evaluation.quality={ samples = 200000, sweep_samples = 20, scales = [1.0] }";
    let measured = ["eval", "run", "--out", "measured", "--set", quality];
    let said = out_of_time(path, &measured, 3);
    assert!(path.join("measured/protocol.json").exists(), "{said}");
    assert!(advised(&said).contains("--out measured"), "{said}");

    // What is whole or not at all is begun anew, and without a limit that it would meet again.
    let grid = ["sample", "run", "--count", "400", "--steps", "100000"];
    let said = out_of_time(path, &grid, 2);
    assert_eq!(anew(&said), format!("sextant {} --device cpu", grid.join(" ")));
    let scores = ["eval", "run", "--set", quality];
    let said = out_of_time(path, &scores, 2);
    assert_eq!(anew(&said), format!("sextant eval run --set '{quality}' --device cpu"));
    assert!(!path.join("run/evaluation").exists());
}

#[test]
fn packing_stops_in_time_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/images/crop.png");
    fs::create_dir(path.join("photos")).unwrap();
    // Many seconds of work, at this size.
    for i in 0..500 {
        fs::copy(picture, path.join(format!("photos/{i}.png"))).unwrap();
    }
    let pack = ["data", "pack", "photos", "packed", "--size", "768", "--max-time", "1s"];
    let said = stopped(&Running::start(path, &pack).end());
    assert_eq!(anew(&said), "sextant data pack photos packed --size 768");
    assert!(!path.join("packed").exists());
}

#[test]
fn an_encoder_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |steps: u64| {
        format!(
            r#"
            data = {{ kind = "emoji", size = 8, split_seed = 0 }}
            network = {{ input = 8, width = 8, blocks = [1], output = 8 }}
            objective = {{ temperature = 0.2, reconstruction = 0.5 }}
            [views]
            area = 0.5
            rotation = 10.0
            mirror = 0.5
            shuffle = 0.2
            grey = 0.2
            colour = 0.2
            noise = 0.1
            [training]
            steps = {steps}
            batch_size = 16
            learning_rate = 0.005
            warm_up = 5
            weight_decay = 0.01
            seed = 1
            "#
        )
    };
    fs::write(folder.path().join("encoder.toml"), recipe(1000)).unwrap();
    let start = |out: &str| {
        let arguments = ["encoder", "train", "encoder.toml", "--out", out, "--device", "cpu"];
        Running::start(folder.path(), &arguments)
    };
    let whole = start("whole.safetensors").end();
    assert!(whole.status.success(), "{}", stderr(&whole));

    let checkpoint = folder.path().join("stopped.safetensors.checkpoint");
    let mut running = start("stopped.safetensors");
    running.until_it_listens();
    running.signal("USR1");
    running.until("a checkpoint", || checkpoint.exists());
    let arguments = ["encoder", "train", "encoder.toml", "--out", "stopped.safetensors"];
    let holder = format!("process {}", running.id());
    refused(
        folder.path(),
        &arguments,
        &["stopped.safetensors: another sextant", &holder],
    );
    running.signal("TERM");
    let said = stopped(&running.end());
    assert!(said.contains("of the encoder's training"), "{said}");
    assert!(!folder.path().join("stopped.safetensors").exists());
    // By another recipe it does not go on, and what was trained stays.
    fs::write(folder.path().join("encoder.toml"), recipe(1100)).unwrap();
    refused(
        folder.path(),
        &arguments,
        &["stopped.safetensors.checkpoint", "another recipe"],
    );
    let odd = recipe(1000).replace("width = 8", "width = 12");
    fs::write(folder.path().join("encoder.toml"), odd).unwrap();
    refused(folder.path(), &arguments, &["encoder.toml: network.width = 12"]);
    fs::write(folder.path().join("encoder.toml"), recipe(1000)).unwrap();
    // Once more within a time that is too short: it goes on.
    let limited = [&arguments[..], &["--device", "cpu", "--max-time", "1s"]].concat();
    let said = stopped(&Running::start(folder.path(), &limited).end());
    assert!(
        said.contains("the time of --max-time is up") && checkpoint.exists(),
        "{said}"
    );
    let unlimited = advised(&said).replace(" --max-time 1s", "");
    go_on(folder.path(), &unlimited);
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(bytes("whole.safetensors") == bytes("stopped.safetensors"));
    assert!(!checkpoint.exists());
    // Once more there is nothing to do.
    let again = in_shell(folder.path(), &unlimited);
    assert!(
        again.status.success() && stderr(&again).contains("nothing is left to do"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn an_autoencoder_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("vae.toml"), vae::tiny(400)).unwrap();
    let arguments = |out| ["vae", "train", "vae.toml", "--out", out, "--device", "cpu"];
    let whole = Running::start(folder.path(), &arguments("whole")).end();
    assert!(whole.status.success(), "{}", stderr(&whole));

    let checkpoint = at("stopped/checkpoint");
    let mut running = Running::start(folder.path(), &arguments("stopped"));
    running.until_it_listens();
    running.signal("USR1");
    running.until("a checkpoint", || checkpoint.exists());
    let holder = format!("process {}", running.id());
    refused(
        folder.path(),
        &arguments("stopped"),
        &["stopped: another sextant", &holder],
    );
    running.signal("TERM");
    let said = stopped(&running.end());
    assert!(said.contains("of the autoencoder's training"), "{said}");
    fs::write(at("vae.toml"), vae::tiny(401)).unwrap();
    refused(
        folder.path(),
        &arguments("stopped"),
        &["stopped/checkpoint", "another recipe"],
    );
    fs::write(at("vae.toml"), vae::tiny(400)).unwrap();
    go_on(folder.path(), advised(&said));
    let files = [
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "training.json",
        "reconstructions.png",
    ];
    for file in files {
        let bytes = |run: &str| fs::read(at(run).join(file)).unwrap();
        assert!(bytes("whole") == bytes("stopped"), "{file}");
    }
    assert!(!checkpoint.exists());
    // A time limit stops it too.
    let limited = [&arguments("limited")[..], &["--max-time", "1ms"]].concat();
    stopped(&Running::start(folder.path(), &limited).end());
}
