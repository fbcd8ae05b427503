//! Sources that fail in a step, or answer with what they did not declare.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Instant;

use super::{LIMIT, build, each, refused, resume_without, source, train, training};

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
        ("consumed-and-kept", "operation `exp` at hostile.c:7"),
        ("kept-and-consumed", "operation `exp` at hostile.c:7"),
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
            outcome.said.contains(&format!("the loss of source \"{case}\" became")),
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

#[test]
fn a_guide_that_never_returns_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libguide.so");
    build("guide", &library, &[]);
    let mut command = training(folder.path(), "run", &source(&library, "endless"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (send, said) = mpsc::channel();
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
    let (mut all, began) = (Vec::new(), Instant::now());
    let named = loop {
        match said.recv_timeout(LIMIT.saturating_sub(began.elapsed())) {
            Ok(line) if line.contains("guidance source \"endless\" has been in `guide` for") => break Some(line),
            Ok(line) => all.push(line),
            Err(_) => break None,
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    drop(said);
    let _ = reader.join().unwrap();
    assert!(named.is_some_and(|line| line.contains("at step 3")), "{all:?}");
}

/// The run stopped after a good step, from which it goes on to its end without the source.
fn goes_on_without(folder: &Path, run: &str) {
    let checkpoints = sextant_train::checkpoint::list(&folder.join(run).join("phases/train"));
    let last = checkpoints.last().map(|saved| saved.step);
    assert!(matches!(last, Some(2 | 3)), "{run}: the last checkpoint is {last:?}");
    let outcome = resume_without(folder, run, run);
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
        outcome.said.contains("\"foreign\" failed at step 3")
            && outcome.said.contains("belongs to another step or source"),
        "{}",
        outcome.said
    );
    // Only the source that failed has to go.
    let outcome = resume_without(folder.path(), "run", "nobody");
    refused(&outcome, "nobody", &["no source called \"nobody\"", "none, foreign"]);
    let outcome = resume_without(folder.path(), "run", "foreign");
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    let kept = std::fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(kept.contains("none") && !kept.contains("foreign"), "{kept}");
    let before = std::fs::read_to_string(folder.path().join("run/recipe.1.toml")).unwrap();
    assert!(before.contains("foreign"), "{before}");
}
