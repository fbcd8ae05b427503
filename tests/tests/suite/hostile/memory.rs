//! The boundary under valgrind.

use std::process::Command;

use sextant_tests::c;

use super::{build, each, ended, source, training};

/// The cases in which foreign pointers are read, and two runs from beginning to end, under valgrind: nothing is read or
/// written that is not there.
#[test]
#[ignore = "takes minutes, and needs valgrind: .ci/run has it"]
fn nothing_is_touched_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    build("plan", &at("plan.so"), &["-g"]);
    build("guide", &at("guide.so"), &["-g", "-DFIRST_BAD_STEP=1"]);
    build("descriptor", &at("short.so"), &["-DSIZE=0"]);
    build("descriptor", &at("endless.so"), &["-DNAME={latin,UINT64_MAX}"]);
    let old = c::file("tests/abi-1.0");
    c::build(&old.join("source.c"), &old, &at("old.so"), &["-g"]);
    // The first shows that valgrind sees what no host can.
    let mut cases = vec![
        ("guide.so", "upload-beyond", 99),
        ("short.so", "x", 2),
        ("endless.so", "x", 2),
        ("old.so", "old", 0),
        ("guide.so", "log", 0),
    ];
    let plans = [
        "create-latin",
        "taps-null",
        "stride-small",
        "field-latin",
        "metric-endless",
        "parameter-rank-billions",
        "parameter-many",
        "values-endless",
        "values-null",
        "changing",
    ];
    let guides = [
        "error-latin",
        "error-endless",
        "loss-released",
        "metrics-endless",
        "metrics-null",
        "metrics-stride",
        "stale",
        "released-twice",
        "consumed-twice",
        "consumed-and-kept",
        "thread-during",
        "thread-after",
        "call-null",
        "call-short",
        "inputs-null",
        "outputs-null",
        "outputs-none",
        "attributes-null",
        "attributes-short",
        "upload-endless",
        "download-short",
    ];
    cases.extend(plans.map(|case| ("plan.so", case, 2)));
    cases.extend(guides.map(|case| ("guide.so", case, 1)));
    each(&cases, |(library, case, code)| {
        let run = training(folder.path(), &format!("{library}-{case}"), &source(&at(library), case));
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["-q", "--leak-check=no", "--error-exitcode=99"])
            .arg(run.get_program())
            .args(run.get_args())
            .current_dir(folder.path());
        let outcome = ended(&mut valgrind);
        assert_eq!(outcome.code, Some(*code), "{library} {case}: {}", outcome.said);
    });
}
