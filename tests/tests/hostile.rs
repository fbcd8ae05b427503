//! Libraries that break the contract in every way that we could think of: a message that names the plugin and the fault,
//! exit code 2 before training or a clean stop with a checkpoint that goes on without the plugin; no hang, no crash.
#![cfg(unix)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sextant::guidance::Library;
use sextant_tests::{c, recipe, sextant, stderr};

/// Longer than any case takes, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// What a run came to.
struct Outcome {
    code: Option<i32>,
    said: String,
}

/// Trains four steps with these sources, with a checkpoint after each second.
fn train(folder: &Path, run: &str, guidance: &str) -> Outcome {
    let recipe = recipe("tiny.toml");
    let guidance = format!("phases.0.guidance=[{guidance}]");
    let mut arguments = vec!["train", recipe.to_str().unwrap(), "--out", run, "--device", "cpu"];
    for set in [
        &guidance,
        "phases.0.steps=4",
        "evaluation.images=2",
        "evaluation.samples=1",
        "evaluation.sampler.steps=1",
        "output.checkpoint_every=2",
        "output.log_every=1",
        "output.share_every=0",
    ] {
        arguments.extend(["--set", set]);
    }
    ended(folder, &arguments)
}

fn ended(folder: &Path, arguments: &[&str]) -> Outcome {
    let started = Instant::now();
    let output = sextant(folder, arguments);
    assert!(started.elapsed() < LIMIT, "{arguments:?} took {:?}", started.elapsed());
    Outcome {
        code: output.status.code(),
        said: stderr(&output),
    }
}

fn source(library: &Path, case: &str) -> String {
    format!(
        r#"{{ plugin = "{}", name = "{case}", config = {{ case = "{case}" }} }}"#,
        library.display()
    )
}

/// Does each case on two threads.
fn each<T: Sync>(cases: &[T], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(case);
                }
            });
        }
    });
}

fn build(name: &str, library: &Path, flags: &[&str]) {
    let source = c::file(&format!("tests/hostile/{name}.c"));
    c::build(&source, &c::file("plugin-api/include"), library, flags);
}

/// Refused before training, with exit code 2, in words that hold all of these.
fn refused(outcome: &Outcome, case: &str, words: &[&str]) {
    assert_eq!(outcome.code, Some(2), "{case}: {}", outcome.said);
    for word in words {
        assert!(outcome.said.contains(word), "{case}: no {word:?} in {}", outcome.said);
    }
}

#[test]
fn files_that_are_no_source_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    build("descriptor", &at("good.so"), &[]);
    let good = std::fs::read(at("good.so")).unwrap();
    std::fs::write(at("text.so"), "#!/bin/sh\n").unwrap();
    std::fs::write(at("empty.so"), "").unwrap();
    std::fs::write(at("cut.so"), &good[..48]).unwrap();
    std::fs::create_dir(at("folder.so")).unwrap();
    build("descriptor", &at("no-entry.so"), &["-DENTRY=another_entry"]);
    let mut files = vec![
        ("text.so", "not a shared library"),
        ("empty.so", "not a shared library"),
        ("cut.so", "not a shared library"),
        ("folder.so", "it is a folder"),
        ("missing.so", "no such file"),
        ("no-entry.so", "exports no symbol `sextant_guidance_entry`"),
    ];
    if good.starts_with(b"\x7fELF") {
        // The header's machine, a little-endian u16: 243 is RISC-V, 8 is MIPS.
        let machine: [u8; 2] = if cfg!(target_arch = "riscv64") {
            [8, 0]
        } else {
            [243, 0]
        };
        let mut other = good.clone();
        other[18..20].copy_from_slice(&machine);
        std::fs::write(at("machine.so"), &other).unwrap();
        files.push(("machine.so", "that this machine can load"));
    }
    each(&files, |(file, words)| {
        let outcome = train(folder.path(), "run", &source(&at(file), "x"));
        refused(&outcome, file, &[file, words]);
        assert!(!at("run").exists(), "{file}: something was written");
    });
}

#[test]
fn descriptors_that_break_the_contract_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["-DANSWER=NULL"], "gave null"),
        (&["-DANSWER=(const void*)((const char*)descriptor+1)"], "not aligned"),
        (&["-DMAJOR=0"], "built for version 0."),
        (&["-DMAJOR=2", "-DMINOR=5"], "built for version 2.5"),
        (&["-DMAJOR=4000000000u"], "built for version 4000000000."),
        (&["-DMAJOR=4000000000u", "-DSIZE=0"], "built for version 4000000000."),
        (&["-DSIZE=0"], "0 bytes long"),
        (&["-DSIZE=95"], "95 bytes long"),
        (&["-DSIZE=UINT64_MAX"], "18446744073709551615 bytes long"),
        (&["-DCREATE=NULL"], "`create` is null"),
        (&["-DPLAN=NULL"], "`plan` is null"),
        (&["-DGUIDE=NULL"], "`guide` is null"),
        (&["-DDESTROY=NULL"], "`destroy` is null"),
        (&["-DNAME=NULL_NAME"], "its name is not a text"),
        (&["-DNAME=LATIN_NAME"], "its name is not UTF-8"),
        (&["-DNAME={latin,UINT64_MAX}"], "its name is not a text"),
        (&["-DNAME={NULL,0}"], "its name is empty"),
        (&["-DVERSION=LATIN_NAME"], "its version is not UTF-8"),
        (&["-DVERSION=NULL_NAME"], "its version is not a text"),
    ];
    let numbered: Vec<_> = cases.iter().enumerate().collect();
    each(&numbered, |(index, (flags, words))| {
        let file = format!("libbad{index}.so");
        let library = folder.path().join(&file);
        build("descriptor", &library, flags);
        let outcome = train(folder.path(), "run", &source(&library, "x"));
        refused(&outcome, &format!("{flags:?}"), &[&file, words]);
    });
}

/// What looks odd but keeps the contract is taken.
#[test]
fn a_later_minor_and_a_longer_descriptor_train() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 3] = [
        &["-DMINOR=4000000000u"],
        &["-DTAIL=4096", "-DSIZE=sizeof(sextant_descriptor)+TAIL"],
        &["-DVERSION={NULL,0}"],
    ];
    let numbered: Vec<_> = cases.iter().enumerate().collect();
    each(&numbered, |(index, flags)| {
        let library = folder.path().join(format!("libodd{index}.so"));
        build("descriptor", &library, flags);
        let outcome = train(folder.path(), &format!("run{index}"), &source(&library, "x"));
        assert_eq!(outcome.code, Some(0), "{flags:?}: {}", outcome.said);
    });
}

#[test]
fn schemas_that_are_no_schema_are_an_error_of_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    for (name, schema, words) in [
        ("null", "-DSCHEMA=NULL_NAME", "schema is not a text"),
        ("latin", "-DSCHEMA=LATIN_NAME", "schema is not UTF-8"),
        ("endless", "-DSCHEMA={latin,UINT64_MAX}", "schema is not a text"),
        ("words", "-DSCHEMA=TEXT(\"not json\")", "schema is not JSON"),
    ] {
        let path = folder.path().join(format!("lib{name}.so"));
        build("descriptor", &path, &[schema]);
        let library = Library::open(&path).unwrap();
        let error = library.config_schema().unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_given_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libplan.so");
    build("plan", &library, &[]);
    let cases = [
        ("create-error", "no luck in create"),
        ("create-mute", "it gave no reason"),
        ("create-status", "it gave no reason"),
        ("create-latin", "l\u{fffd}t\u{fffd}"),
        ("create-null-text", "it gave no reason"),
        ("plan-error", "no luck in plan"),
        ("plan-mute", "it gave no reason"),
        ("minor-99", "needs version 1.99"),
        ("depth-999", "depth 999 of the student network, which has 3 blocks"),
        ("teacher", "set `teacher`"),
        ("network-77", "network 77, which does not exist"),
        ("kind-77", "kind 77, which this host does not know"),
        ("attention-0", "attention of depth 0"),
        ("output-of-ema", "output of the ema"),
        ("field-missing", "\"dinov7\", which the data lacks"),
        ("field-null", "name of a field in its plan is not a text"),
        ("field-latin", "name of a field in its plan is not UTF-8"),
        ("metric-latin", "name of a metric in its plan is not UTF-8"),
        ("metric-empty", "a metric called \"\""),
        ("metric-long", "4096 bytes long"),
        ("metric-endless", "is not a text"),
        ("taps-null", "its pointer is null"),
        ("taps-trillion", "1099511627776 elements"),
        ("taps-wrapping", "18446744073709551615 elements"),
        ("stride-0", "0 bytes apart"),
        ("stride-small", "4 bytes apart"),
        ("stride-huge", "1152921504606846976 bytes apart"),
        ("t-reversed", "t range [0.8, 0.2]"),
        ("t-nan", "t range [NaN"),
        ("parameter-huge", "has more than"),
        ("parameter-overflow", "has more than"),
        ("parameter-rank-9", "rank 9"),
        ("parameter-rank-billions", "rank 4294967295"),
        ("parameter-rank-0", "rank of at least 1"),
        ("parameter-empty", "no extent 0"),
        ("parameter-nameless", "a parameter called \"\""),
        ("parameter-newline", r#"a parameter called "a\nb""#),
        ("parameter-slash", "slashes are for paths"),
        ("parameter-dots", "a part between dots is empty"),
        ("parameter-twice", "two parameters called `w`"),
        ("parameter-total", "17179869184 elements together"),
        ("parameter-many", "5000 elements, at most 4096"),
        ("xavier-vector", "Xavier needs a rank"),
        ("init-9", "init 9"),
        ("init-infinite", "begins with inf"),
        ("deviation-nan", "begins with NaN"),
        ("values-few", "2 values for the 1000 elements"),
        ("values-null", "its pointer is null"),
        ("values-nan", "not finite"),
        ("values-endless", "1152921504606846976 values"),
        ("buffer-dtype-0", "element type 0"),
        ("buffer-agreement-9", "agreement 9"),
        ("buffer-huge", "has more than"),
        ("changing", "its plan changes from one call to the next"),
    ];
    each(&cases, |(case, words)| {
        let outcome = train(folder.path(), case, &source(&library, case));
        refused(&outcome, case, &[&format!("\"{case}\""), words]);
        assert!(!folder.path().join(case).exists(), "{case}: something was written");
    });
    // Unusual, and right.
    each(&["depth-0", "misaligned", "size-lies"], |case| {
        let outcome = train(folder.path(), case, &source(&library, case));
        assert_eq!(outcome.code, Some(0), "{case}: {}", outcome.said);
    });
}

#[test]
fn what_fails_in_a_step_stops_the_run_after_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libguide.so");
    build("guide", &library, &["-Wno-unused-result"]);
    let dead = "is no tensor of this step";
    let cases = [
        ("error", "no luck in guide"),
        ("error-mute", "it gave no reason"),
        ("error-status", "it gave no reason"),
        ("error-latin", "l\u{fffd}t\u{fffd}"),
        ("error-null-text", "it gave no reason"),
        ("error-terminal", "\u{fffd}[2J\u{fffd}]0;owned\u{fffd} cleared"),
        ("error-endless", "wwww…"),
        ("loss-none", "it gave no loss"),
        ("loss-shape", "its loss is f32 [3], but must be f32 [8]"),
        ("loss-rank", "its loss is f32 [8, 3, 8, 8]"),
        ("loss-scalar", "its loss is f32 []"),
        ("loss-int", "its loss is int [8]"),
        ("loss-bf16", "its loss is bf16 [8]"),
        ("loss-stale", dead),
        ("loss-released", dead),
        ("weight-shape", "its weight on the denoising loss is f32 []"),
        ("metric-index", "metric 2, but the plan declares 2"),
        ("metric-twice", "metric `one` twice"),
        (
            "metric-tensor",
            "its metric `one` is f32 [8, 3, 8, 8], but must be one number",
        ),
        ("metric-forged", dead),
        ("metrics-gigabyte", "67108864 entries of kind metric"),
        ("metrics-endless", "18446744073709551615 entries of kind metric"),
        ("metrics-null", "its pointer is null"),
        ("metrics-stride", "8 bytes apart"),
        ("buffer-index", "buffer 9, but the plan declares 1"),
        ("buffer-shape", "its new value of buffer `bank` is f32 []"),
        ("buffer-type", "its new value of buffer `bank` is int [4, 4]"),
        ("stale", dead),
        ("forged", "handle 0xdeadbeefcafe is no tensor"),
        ("forged-near", dead),
        ("forged-generation", dead),
        ("released-twice", dead),
        ("released-then-used", dead),
        ("released-stale", dead),
        ("released-elsewhere", "is not the one that runs here"),
        ("consumed-twice", dead),
        ("handles-million", "65536 tensors are alive"),
        ("thread-during", "the host refused the other thread"),
        ("thread-after", "the host refused the other thread"),
        ("call-null", "a call was null"),
        ("call-short", "a call is 8 bytes long"),
        ("call-size-0", "a call is 0 bytes long"),
        ("inputs-null", "operands or results are null"),
        ("outputs-null", "operands or results are null"),
        ("outputs-none", "1 results, room is given for 0"),
        ("inputs-billions", "4294967295 operands"),
        ("outputs-billions", "4294967295 results"),
        ("opcode-9999", "operation number 9999 at hostile.c:7"),
        ("operands-few", "1 operands are given"),
        ("operands-many", "3 operands are given"),
        ("attributes-null", "its attributes are missing"),
        ("attributes-short", "its attributes are 4 bytes long"),
        ("file-latin", "l\u{fffd}t\u{fffd}:7"),
        ("session-0", "session 0 is not the one"),
        ("session-next", "is not the one that runs here"),
        ("session-endless", "is not the one that runs here"),
        ("full-huge", "more than"),
        ("full-overflow", "more than"),
        ("full-rank-9", "rank 9"),
        ("full-nan", "not finite"),
        ("full-dtype-0", "element type 0"),
        ("product-huge", "[1048576, 1048576], which has more than"),
        ("scatter-huge", "which has more than"),
        ("random-huge", "which has more than"),
        ("tag-latin", "the tag is not UTF-8"),
        ("upload-endless", "1152921504606846976 numbers are given for the 4"),
        ("upload-null", "its pointer is null"),
        ("upload-stride-0", "0 bytes apart"),
        ("download-short", "16 bytes long, the tensor needs 6144"),
        ("download-null", "the memory given is null"),
        ("gather-beyond", "`gather`"),
        ("slice-beyond", "do not lie within the extent"),
        ("convolution-stride-0", "must be at least 1"),
        ("dims-billions", "4294967295 dimensions"),
        ("forward-student", "seen through taps only"),
        ("forward-undeclared", "declares no tap of the Ema network"),
    ];
    each(&cases, |(case, words)| {
        let outcome = train(folder.path(), case, &source(&library, case));
        assert_eq!(outcome.code, Some(1), "{case}: {}", outcome.said);
        for word in [&format!("guidance source \"{case}\" failed at step "), *words] {
            assert!(outcome.said.contains(word), "{case}: no {word:?} in {}", outcome.said);
        }
        goes_on_without(folder.path(), case);
    });
    each(&["loss-nan", "loss-infinite"], |case| {
        let outcome = train(folder.path(), case, &source(&library, case));
        assert_eq!(outcome.code, Some(1), "{case}: {}", outcome.said);
        assert!(
            outcome.said.contains(&format!("guidance.{case} became")),
            "{case}: {}",
            outcome.said
        );
        goes_on_without(folder.path(), case);
    });
    // Nothing is broken by these.
    each(&["log", "destroy-log", "none"], |case| {
        let outcome = train(folder.path(), case, &source(&library, case));
        assert_eq!(outcome.code, Some(0), "{case}: {}", outcome.said);
    });
    assert!(
        train(folder.path(), "end", &source(&library, "destroy-log"))
            .said
            .contains("the end went wrong")
    );
}

/// The run stopped after a good step, from which it goes on to its end without the source.
fn goes_on_without(folder: &Path, run: &str) {
    let checkpoints = sextant::train::checkpoint::list(&folder.join(run).join("phases/train"));
    let last = checkpoints.last().map(|saved| saved.step);
    assert!(matches!(last, Some(2 | 3)), "{run}: the last checkpoint is {last:?}");
    let outcome = ended(folder, &["train", "--resume", run, "--without", run, "--device", "cpu"]);
    assert_eq!(outcome.code, Some(0), "{run}: {}", outcome.said);
    assert!(folder.join(run).join("result.json").exists(), "{run}");
}

#[test]
fn handles_of_another_instance_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libguide.so");
    build("guide", &library, &[]);
    let both = format!("{}, {}", source(&library, "none"), source(&library, "foreign"));
    let outcome = train(folder.path(), "run", &both);
    assert_eq!(outcome.code, Some(1), "{}", outcome.said);
    assert!(
        outcome.said.contains("\"foreign\" failed at step 2")
            && outcome.said.contains("belongs to another step or source"),
        "{}",
        outcome.said
    );
    // Only the source that failed has to go.
    let outcome = ended(
        folder.path(),
        &["train", "--resume", "run", "--without", "nobody", "--device", "cpu"],
    );
    refused(&outcome, "nobody", &["no source called \"nobody\"", "none, foreign"]);
    let outcome = ended(
        folder.path(),
        &["train", "--resume", "run", "--without", "foreign", "--device", "cpu"],
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    let kept = std::fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(kept.contains("none") && !kept.contains("foreign"), "{kept}");
    let before = std::fs::read_to_string(folder.path().join("run/recipe.1.toml")).unwrap();
    assert!(before.contains("foreign"), "{before}");
}

#[test]
fn panics_in_rust_are_messages() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = |how: &str| format!(r#"{{ plugin = "test-faulty", config = {{ how = "{how}", step = 3 }} }}"#);
    for (how, words) in [
        ("panic-in-new", "panicked: asked to panic in new"),
        ("panic-in-plan", "panicked: asked to panic in plan"),
    ] {
        let outcome = train(folder.path(), how, &faulty(how));
        refused(&outcome, how, &["\"test-faulty\"", words]);
    }
    let outcome = train(folder.path(), "panic", &faulty("panic"));
    assert_eq!(outcome.code, Some(1), "{}", outcome.said);
    assert!(
        outcome
            .said
            .contains("\"test-faulty\" failed at step 2: panicked: asked to panic"),
        "{}",
        outcome.said
    );
    let outcome = train(folder.path(), "drop", &faulty("panic-in-drop"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    let words = "test-faulty: panicked when it was dropped: asked to panic in drop";
    assert!(outcome.said.contains(words), "{}", outcome.said);
}

#[test]
fn a_folder_of_bad_libraries_is_listed_with_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    build("descriptor", &at("libsextant_major.so"), &["-DMAJOR=2"]);
    build("descriptor", &at("libsextant_null.so"), &["-DANSWER=NULL"]);
    build("descriptor", &at("libsextant_good.so"), &[]);
    std::fs::write(at("libsextant_text.so"), "hello").unwrap();
    let outcome = sextant(
        folder.path(),
        &["plugin", "list", "--plugin-dir", folder.path().to_str().unwrap()],
    );
    assert!(outcome.status.success(), "{}", stderr(&outcome));
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    for words in [
        "built for version 2.",
        "gave null",
        "is not a shared library",
        "spoils its descriptor",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}
