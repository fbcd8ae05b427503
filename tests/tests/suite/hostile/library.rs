//! Files that are no source, and descriptors that break the contract.

use sextant_guidance::Library;
use sextant_tests::{sextant, stderr};

use super::{build, each, refused, source, train};

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

/// A descriptor of no source, with a summary.
fn no_functions(summary: &str) -> [&str; 5] {
    [
        "-DCREATE=NULL",
        "-DPLAN=NULL",
        "-DGUIDE=NULL",
        "-DDESTROY=NULL",
        summary,
    ]
}

#[test]
fn descriptors_that_break_the_contract_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["-DANSWER=NULL"], "gave null, without a reason"),
        (
            &no_functions("-DSUMMARY=TEXT(\"no luck today\")"),
            "gives no source: no luck today",
        ),
        (&no_functions("-DSUMMARY=NULL_NAME"), "has no functions, and no reason"),
        (&["-DCOEFFICIENT=-1.0"], "states the coefficient -1"),
        (&["-DCOEFFICIENT=(double)NAN"], "states the coefficient NaN"),
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

/// Oddities that keep the contract are taken.
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
