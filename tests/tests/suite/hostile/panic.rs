//! Panics of a source in Rust.

use super::{refused, train};

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
            .contains("\"test-faulty\" failed at step 3: panicked: asked to panic"),
        "{}",
        outcome.said
    );
    let outcome = train(folder.path(), "drop", &faulty("panic-in-drop"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    let words = "test-faulty: panicked when it was dropped: asked to panic in drop";
    assert!(outcome.said.contains(words), "{}", outcome.said);
}
