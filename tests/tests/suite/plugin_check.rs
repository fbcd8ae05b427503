//! `sextant plugin check` and the kit behind it: shipped sources keep every law, mutants break the one that is named for
//! them, and a library that crashes, exits or hangs is a finding.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sextant_check::{
    Case, FieldShape, Input, Invariant, Options, PluginUnderTest, Settings, Verdict, Violation, hold, invariant,
    invariants, table,
};
use sextant_tests::{plugins, sextant, stderr, stdout};

fn under_test(plugin: &str, config: &str) -> PluginUnderTest {
    let path = plugins().resolve(plugin).unwrap_or_else(|e| panic!("{e}"));
    let settings = Settings {
        config: toml::from_str(config).unwrap(),
        ..Settings::default()
    };
    PluginUnderTest::open(&path, settings).unwrap_or_else(|e| panic!("{plugin}: {e}"))
}

/// Does each on two threads.
fn each<T: Sync>(all: &[T], act: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(one);
                }
            });
        }
    });
}

/// The invariants that a source breaks.
fn broken(plugin: &str, config: &str, cases: u32) -> Vec<&'static str> {
    let tested = under_test(plugin, config);
    let options = Options {
        cases,
        ..Options::default()
    };
    let broken = invariants().into_iter().filter(|invariant| {
        let finding = hold(*invariant, &tested, &options);
        if finding.is_broken() {
            println!("{plugin} {config}: {finding:?}");
        }
        finding.is_broken()
    });
    broken.map(|invariant| invariant.name).collect()
}

/// Runs the command in an empty folder, on the CPU unless it says otherwise; no argument has a space in it.
fn check(arguments: &str) -> Output {
    let device = if arguments.contains("--device") {
        ""
    } else {
        " --device cpu"
    };
    words(&format!("{arguments}{device}").split_whitespace().collect::<Vec<_>>())
}

fn words(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    sextant(folder.path(), &[&["plugin", "check"], arguments].concat())
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", stdout(output), stderr(output)))
}

/// A file with a configuration, which lives as long as the folder.
fn config(folder: &Path, text: &str) -> String {
    let path = folder.join("config.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn every_shipped_source_keeps_every_law() {
    // A projector of the published width says nothing more, and costs a hundred times as much.
    let narrow = "projector_width = 16";
    let masked = |mask: &str| format!("{narrow}\nmask = \"{mask}\"");
    let sources = [
        ("none", String::new()),
        ("repa", narrow.into()),
        ("vae-align", narrow.into()),
        ("vae-align", format!("{narrow}\ntarget = \"clean\"")),
        ("self-transcendence", narrow.into()),
        ("self-transcendence", masked("released")),
        ("self-transcendence", masked("inside")),
        ("sra", String::new()),
        ("layersync", String::new()),
        ("dispersive", String::new()),
        ("irepa", String::new()),
        ("haste", narrow.into()),
    ];
    each(&sources, |(plugin, config)| {
        assert_eq!(broken(plugin, config, 24), [""; 0], "{plugin} {config}");
    });
}

#[test]
fn sources_keep_the_laws_with_their_default_configuration_too() {
    let sources = ["repa", "vae-align", "self-transcendence", "haste"];
    each(&sources, |plugin| {
        let tested = under_test(plugin, "");
        for name in ["shape-and-finite", "splitting", "gradients-only-where-declared"] {
            let options = Options {
                cases: 3,
                ..Options::default()
            };
            let finding = hold(invariant(name).unwrap(), &tested, &options);
            assert!(!finding.is_broken(), "{plugin}: {finding:?}");
        }
    });
}

/// The generic laws that see each mutant; the rest is for its source's own laws (`tests/plugins/mutants/tests`).
const MUTANTS: [(&str, &[&str]); 10] = [
    ("mask-off-by-one", &["t-range"]),
    ("undeclared-read", &["nothing-undeclared"]),
    ("static-state", &["same-bits", "draws"]),
    ("foreign-random", &["permutation", "splitting"]),
    ("nan-at-zero", &["shape-and-finite", "gradients-only-where-declared"]),
    ("teacher-not-detached", &[]),
    ("wrong-axis", &[]),
    ("label-after-dropout", &[]),
    ("forgotten-coefficient", &[]),
    ("summed-loss", &[]),
];

#[test]
fn each_mutant_breaks_the_laws_that_are_named_for_it() {
    each(&MUTANTS, |(mutant, laws)| {
        // In a process for each law: one of them keeps its state in a static, which settles down.
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &format!("mutant = \"{mutant}\""));
        let output = check(&format!("test-mutants --config {config} --cases 32 --json"));
        let code = Some(i32::from(!laws.is_empty()));
        assert_eq!(output.status.code(), code, "{mutant}: {}", stderr(&output));
        let report = parsed(&output);
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings.len(), invariants().len(), "{mutant}");
        let found: Vec<&str> = findings
            .iter()
            .filter(|finding| finding["verdict"] == "broken")
            .filter_map(|finding| finding["invariant"].as_str())
            .collect();
        // One fault may break more than what it is named for, but what cannot be seen must not be.
        assert_eq!(laws.is_empty(), found.is_empty(), "{mutant}: {found:?}");
        for law in *laws {
            assert!(found.contains(law), "{mutant}: {found:?} lacks {law}");
        }
    });
    for source in ["layersync", "self-transcendence", "sra"] {
        let found = broken("test-mutants", &format!("source = \"{source}\""), 16);
        assert_eq!(found, [""; 0], "the sound copy of {source}");
    }
}

#[test]
fn a_finding_is_shrunk_and_its_command_shows_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "mutant = \"nan-at-zero\"");
    let output = check(&format!(
        "test-mutants --config {config} --only shape-and-finite --json"
    ));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = parsed(&output);
    assert_eq!(report["broken"], 1);
    let finding = &report["findings"][0];
    assert_eq!(finding["verdict"], "broken");
    let case: Case = serde_json::from_value(finding["case"].clone()).unwrap();
    assert!(
        case.samples.len() == 1 && case.samples[0].t == 0.0,
        "not shrunk: {case:?}"
    );
    assert_eq!(case.magnitude, 1.0);

    // As a shell would take it: single quotes around what is not plain.
    let replay = finding["replay"].as_str().unwrap();
    let replayed: Vec<String> = replay
        .split('\'')
        .enumerate()
        .flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect();
    assert_eq!(&replayed[..3], ["sextant", "plugin", "check"]);
    let replayed: Vec<&str> = replayed[3..].iter().map(String::as_str).collect();
    let again = words(&replayed);
    assert_eq!(again.status.code(), Some(1), "{replay}: {}", stderr(&again));
    let line = stdout(&again);
    assert!(
        line.starts_with("shape-and-finite") && line.contains("is NaN") && line.contains("replay: "),
        "{line}"
    );
}

#[test]
fn what_holds_and_what_does_not_apply_takes_one_line() {
    let output = check("none --cases 4 --field depth_map=T,8");
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), invariants().len(), "{lines:?}");
    assert_eq!(lines[0], "shape-and-finite               held (4 cases)");
    let range = "t-range                        not applicable: the plan declares no range of times";
    assert!(lines.iter().any(|line| line == range), "{lines:?}");
}

#[test]
fn the_same_seed_gives_the_same_findings() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "mutant = \"foreign-random\"");
    let run = |seed: u32| {
        let arguments = format!("test-mutants --config {config} --only permutation --json --seed {seed}");
        parsed(&check(&arguments))
    };
    let found = run(3);
    assert_eq!(found["findings"][0]["verdict"], "broken");
    assert_eq!(found, run(3));
    assert_ne!(found, run(4));
}

#[test]
fn bad_input_is_said_with_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "speling = 1");
    let library = folder.path().join("libsextant_text.so");
    std::fs::write(&library, "not a library").unwrap();
    let library = library.display().to_string();
    let twice = json!(Case::plain().with_samples([Case::plain().samples, Case::plain().samples].concat())).to_string();
    let refused = |arguments: &[&str], expected: &str| {
        let output = words(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    };
    refused(&[&library], "is not a shared library");
    refused(&["repa", "--config", &config], "unknown field `speling`");
    refused(&["repa", "--case", &twice], "samples.2.id");
    for (arguments, expected) in [
        ("no-such-source", "is not installed"),
        ("repa --config /no/such/file.toml", "/no/such/file.toml"),
        ("repa --only beauty", "there are shape-and-finite, same-bits"),
        ("repa --case {}", "missing field"),
        ("repa --field depth_map", "NAME=T,8"),
        ("repa --device tpu", "--device tpu"),
        ("repa --cases 0", "--cases"),
        ("repa --time-limit=-1", "--time-limit"),
    ] {
        refused(&arguments.split(' ').collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_plan_that_accepts_no_geometry_is_bad_input_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "depth = 99");
    let output = check(&format!("repa --config {config}"));
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("depth 99"), "{}", stderr(&output));
}

#[test]
fn depths_of_a_configuration_get_networks_as_deep() {
    let tested = under_test("repa", "depth = 8\nprojector_width = 8");
    assert_eq!(tested.plan().taps[0].depth, 8);
    let finding = hold(invariant("shape-and-finite").unwrap(), &tested, &Options::default());
    assert_eq!(finding.verdict, Verdict::Held { cases: 64 });
}

/// A source in C that ends the process as `case` says, or goes on for ever.
#[cfg(unix)]
fn ending(folder: &Path, flags: &[&str]) -> PathBuf {
    use sextant_tests::c;
    let library = folder.join("libending.so");
    let headers = format!("-I{}", c::file("tests/hostile").display());
    let flags = [&["-D_DEFAULT_SOURCE", &headers], flags].concat();
    let source = c::file("tests/check/ending.c");
    c::build(&source, &c::file("plugin-api/include"), &library, &flags);
    library
}

#[cfg(unix)]
#[test]
fn a_crash_an_exit_and_a_hang_are_findings() {
    let folder = tempfile::tempdir().unwrap();
    let library = ending(folder.path(), &[]).display().to_string();
    let cases = [
        ("segfault", "crashed: signal 11 (SIGSEGV)"),
        ("abort", "crashed: signal 6 (SIGABRT); its last words: out of luck"),
        ("exit", "ended the process with exit code 0"),
        ("hang", "hangs: a call took more than 3 s"),
    ];
    each(&cases, |(how, words)| {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &format!("case = \"{how}\""));
        let started = Instant::now();
        let arguments = format!("{library} --config {config} --only same-bits --time-limit 3 --json");
        let output = check(&arguments);
        assert!(started.elapsed() < Duration::from_secs(120), "{how}");
        assert_eq!(output.status.code(), Some(1), "{how}: {}", stderr(&output));
        let finding = &parsed(&output)["findings"][0];
        let reason = finding["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("the library ") && reason.contains(words),
            "{how}: {reason}"
        );
        let case: Case = serde_json::from_value(finding["case"].clone()).unwrap();
        let least = if *how == "hang" { 2..=6 } else { 2..=2 };
        assert!(least.contains(&case.samples.len()), "{how}: {case:?}");
    });
}

#[cfg(unix)]
#[test]
fn a_library_that_crashes_while_it_is_loaded_ends_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let library = ending(folder.path(), &["-DAT_LOAD"]).display().to_string();
    let output = check(&library);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines = stdout(&output);
    assert!(lines.contains("SIGSEGV) before the first case"), "{lines}");
    assert_eq!(lines.matches("broken").count(), 1, "{lines}");
}

/// The reasons of one verdict, by invariant.
fn reasons<'r>(report: &'r Value, verdict: &str) -> Vec<(&'r str, &'r str)> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["verdict"] == verdict)
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap_or_default();
            (text("invariant"), text("reason"))
        })
        .collect()
}

#[cfg(unix)]
#[test]
fn an_endless_guide_costs_its_time_limit_once() {
    let folder = tempfile::tempdir().unwrap();
    let library = ending(folder.path(), &[]).display().to_string();
    let config = config(folder.path(), "case = \"hang\"");
    let started = Instant::now();
    let limit = Duration::from_secs(10);
    let output = check(&format!("{library} --config {config} --time-limit 10 --json"));
    let took = started.elapsed();
    assert!(took >= limit && took < 3 * limit, "{took:?}");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report = parsed(&output);
    let broken = reasons(&report, "broken");
    assert!(
        matches!(broken[..], [("shape-and-finite", reason)] if reason.contains("hangs")),
        "{report}"
    );
    let others = reasons(&report, "not-judged");
    assert_eq!(others.len(), invariants().len() - 1, "{report}");
    for (invariant, reason) in others {
        assert_eq!(
            reason, "not tried, since the library hangs: see shape-and-finite",
            "{invariant}"
        );
    }
}

#[test]
fn one_failure_of_the_source_is_one_finding() {
    for (how, words) in [
        ("error", "`guide` fails: asked to fail"),
        ("panic", "`guide` fails: panicked: asked to panic"),
        ("operation", "`guide` fails: operation `add` at "),
        ("shape", "`guide` fails: the loss must be one f32 a sample"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &format!("how = \"{how}\"\nstep = 0"));
        let arguments = format!("test-faulty --config {config} --cases 8");
        let output = check(&arguments);
        let lines = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{how}: {}", stderr(&output));
        assert_eq!(lines.matches(" broken: ").count(), 1, "{how}: {lines}");
        assert_eq!(lines.matches("replay: ").count(), 1, "{how}: {lines}");
        let first = format!("{:<30} broken: {words}", "shape-and-finite");
        assert!(lines.starts_with(&first), "{how}: {lines}");
        // Those that guide a step; without one, a law may hold, or have nothing to say.
        let judged = ["inactive", "t-range", "unused-parameters", "devices"];
        for law in invariants().iter().skip(1).map(|law| law.name) {
            let line = lines.lines().find(|line| line.starts_with(law)).unwrap_or_default();
            let known = line.ends_with("not judged: the source fails as in shape-and-finite");
            assert_eq!(known, !judged.contains(&law), "{how}: {line}");
        }
        let said = stderr(&output);
        assert_eq!(said.trim(), "error: test-faulty breaks shape-and-finite", "{how}");
        // A program gets every finding, and what is the same.
        let report = parsed(&check(&format!("{arguments} --json")));
        let findings = report["findings"].as_array().unwrap();
        for finding in findings.iter().filter(|finding| finding["failed"] == true).skip(1) {
            assert_eq!(finding["same_as"], "shape-and-finite", "{how}: {finding}");
        }
    }
}

/// A law of an author's own: the loss is a mean of cosines.
const COSINE: Invariant = Invariant::new("cosine", "The loss lies in [-1, 1].", |plugin, case, _| {
    let outcome = plugin.guide(case)?;
    match outcome.loss.iter().find(|loss| loss.abs() > 1.0 + 1e-5) {
        Some(loss) => Err(Violation::broken(format!("a loss is {loss}"))),
        None => Ok(()),
    }
});

#[test]
fn an_author_can_add_laws_of_their_own() {
    let options = Options {
        cases: 16,
        ..Options::default()
    };
    let repa = under_test("repa", "projector_width = 8");
    assert_eq!(hold(COSINE, &repa, &options).verdict, Verdict::Held { cases: 16 });
    let summed = hold(
        COSINE,
        &under_test("test-mutants", "mutant = \"summed-loss\""),
        &options,
    );
    assert!(summed.is_broken(), "{summed:?}");

    let outcome = repa.guide(&Case::plain()).unwrap();
    let depth = repa.plan().taps[0].depth;
    assert!(outcome.gradient(&Input::Tap(depth)).is_some());
    assert_eq!(outcome.gradient(&Input::Tap(depth + 1)), None);
    assert_eq!(outcome.gradient(&Input::Field("features".into())), None);
    assert!(
        outcome.gradient(&Input::Parameter("0.weight".into())).is_some(),
        "{:?}",
        outcome.gradients.keys()
    );
}

#[test]
fn a_field_of_ones_own_replaces_the_default() {
    let path = plugins().resolve("repa").unwrap();
    let settings = Settings {
        config: toml::from_str("projector_width = 8").unwrap(),
        fields: vec!["features=T,5".parse::<FieldShape>().unwrap()],
        ..Settings::default()
    };
    let tested = PluginUnderTest::open(&path, settings).unwrap();
    let last = tested
        .plan()
        .parameters
        .iter()
        .find(|parameter| parameter.name == "4.weight");
    assert_eq!(last.unwrap().shape, [5, 8]);
}

#[test]
fn the_documentation_has_every_invariant() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/invariants.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let [begin, end] = ["<!-- invariants: generated -->\n", "<!-- end -->"];
    let from = text.find(begin).expect("the mark where the table begins") + begin.len();
    let to = from + text[from..].find(end).expect("the mark where it ends");
    let wanted = format!("{}{}{}", &text[..from], table(), &text[to..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == wanted,
        "docs/invariants.md is out of date: run `UPDATE_DOCS=1 cargo test --release -p sextant-tests --test plugin_check`"
    );
}
