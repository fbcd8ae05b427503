//! Sources that fail in create, or ask for what they cannot have.

use super::{build, each, refused, source, train};

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
        ("attention-of-ema", "attention of the ema"),
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
