//! The C header is what the contract's source says, and compiles as C99 and as C++.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use sextant_plugin_api::abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, OPERATIONS, OperationInfo};

/// Names in C by those in Rust.
type Names = BTreeMap<String, String>;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files that hold the contract.
const SOURCES: [&str; 3] = ["src/abi/mod.rs", "src/abi/layout.rs", "src/abi/operation.rs"];

/// Rust's names of the contract's items with those of C, in the order of the source: `TapKind` is `sextant_tap_kind`,
/// `MAX_RANK` is `SEXTANT_MAX_RANK`.
fn items() -> Vec<(String, String)> {
    let mut items = Vec::new();
    for file in SOURCES {
        let source = std::fs::read_to_string(here(file)).unwrap();
        for line in source.lines() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            let (Some("pub"), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let in_c = match (kind, name) {
                // The table of operations is Rust's; C has the enumeration that is made of it.
                (_, "OperationInfo" | "OPERATIONS") => continue,
                ("struct" | "enum" | "type", name) => format!("sextant_{}", snake(name)),
                ("const", name) => format!("SEXTANT_{name}"),
                _ => continue,
            };
            items.push((name.to_owned(), in_c));
        }
    }
    items
}

/// `TapKind` as `tap_kind`; `DType` stays one word, and so do `Conv2d` and `LogSoftmax`'s parts.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (index, c) in name.replace("DType", "Dtype").chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The header as the source has it now.
fn generated() -> String {
    let items = items();
    let mut config = cbindgen::Config::from_file(here("cbindgen.toml")).unwrap();
    config.export.include = items.iter().map(|(rust, _)| rust.clone()).collect();
    config.export.rename = items.iter().cloned().collect();
    let empty = cbindgen::Builder::new().with_config(config);
    let builder = SOURCES.iter().fold(empty, |builder, file| builder.with_src(here(file)));
    let mut bytes = Vec::new();
    builder.generate().unwrap().write(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    finished(&text, &items.into_iter().collect())
}

/// Does what cbindgen cannot: the enumeration that a macro makes, enumerations beside their numbers, plain names in
/// comments, the entry symbol, the ending.
fn finished(text: &str, names: &Names) -> String {
    let text = text.replace("@VERSION@", &format!("{ABI_MAJOR}.{ABI_MINOR}"));
    let (body, guard) = text.rsplit_once("#endif").expect("the guard's end");
    let mut enumerations = BTreeMap::new();
    let mut outcomes = Vec::new();
    let mut blocks = Vec::new();
    // No item has an empty line inside.
    for block in body
        .split("\n\n")
        .map(|block| block.trim_matches('\n'))
        .filter(|block| !block.is_empty())
    {
        let block = block
            .lines()
            .map(|line| plain(line, names))
            .collect::<Vec<_>>()
            .join("\n");
        if let Some((name, block)) = enumeration(&block) {
            enumerations.insert(name, block);
        } else if ["OK", "FAILED"]
            .iter()
            .any(|end| block.contains(&format!("#define SEXTANT_{end} ")))
        {
            outcomes.push(block);
        } else {
            blocks.push(block);
        }
    }
    let mut operations = Some(operations(names));
    let mut header = Vec::new();
    for block in blocks {
        if block.starts_with("// Attribute: ") {
            header.extend(operations.take());
        }
        let number = block
            .rsplit_once("typedef uint32_t ")
            .map(|(_, name)| name.trim_end_matches(';').to_owned());
        header.extend(
            number
                .as_deref()
                .and_then(|name| enumerations.remove(name.strip_suffix("_code")?)),
        );
        header.push(block);
        if number.as_deref() == Some("sextant_status") {
            header.append(&mut outcomes);
        }
    }
    assert!(enumerations.is_empty(), "without a `Code`: {enumerations:?}");
    format!("{}\n\n{}\n#endif{guard}", header.join("\n\n"), ending())
}

/// An enumeration of cbindgen's as its name and a plain one of C99's, whose constants begin with that name.
///
/// cbindgen also gives the number's type the enumeration's name, which C++ refuses; the contract's own `…Code` is that type.
fn enumeration(block: &str) -> Option<(String, String)> {
    let start = block.lines().position(|line| line.starts_with("enum "))?;
    let lines: Vec<&str> = block.lines().collect();
    let name = lines[start]
        .trim_start_matches("enum ")
        .trim_end_matches(" {")
        .to_owned();
    let mut out: Vec<String> = lines[..start].iter().map(|line| (*line).to_owned()).collect();
    out.push(format!("enum {name} {{"));
    for line in lines[start..].iter().filter(|line| line.starts_with("  ")) {
        match line.trim_start() {
            comment if comment.starts_with("//") => out.push((*line).to_owned()),
            width if width.starts_with(':') => {}
            constant => out.push(format!("  {}_{constant}", name.to_uppercase())),
        }
    }
    out.push("};".to_owned());
    Some((name, out.join("\n")))
}

fn operations(names: &Names) -> String {
    let mut text = String::from(
        "// What a plugin can ask of the host. Below each operation: its operands (`?` may be left out, `*` may repeat), the\n\
         // struct that `attributes` points to, if it has one, and its results.\n\
         enum sextant_operation {\n",
    );
    for row in OPERATIONS {
        for line in wrapped(&plain(row.doc.trim(), names), 114) {
            writeln!(text, "  // {line}").unwrap();
        }
        let attributes = match row.attributes {
            "" => String::new(),
            name => format!(" [{}]", names[name]),
        };
        let (inputs, outputs) = (row.inputs.join(", "), row.outputs.join(", "));
        writeln!(text, "  //   ({inputs}){attributes} -> ({outputs})").unwrap();
        writeln!(text, "  {} = {},", constant(row), row.code).unwrap();
    }
    text + "};"
}

fn constant(row: &OperationInfo) -> String {
    format!("SEXTANT_OP_{}", row.name.to_uppercase())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("one line at least");
        if !last.is_empty() && last.chars().count() + word.chars().count() >= width {
            lines.push(word.to_owned());
        } else {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    lines
}

/// The line with Rust's names as C's: links, such as [`Plan::required_minor`], sizes and number types.
fn plain(line: &str, names: &Names) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((path, after)) = link.split_once("`]") else {
            break;
        };
        let name = c_name(path, names);
        // `an Operation`, but `a sextant_operation`.
        let before = before
            .strip_suffix("n ")
            .filter(|start| start.ends_with(['a', 'A']))
            .map_or(before.to_owned(), |start| format!("{start} "));
        out.push_str(&before);
        out.push_str(&name);
        // A plural.
        rest = match after.strip_prefix('s') {
            Some(after) => {
                out.push_str(" values");
                after
            }
            None => after,
        };
    }
    out.push_str(rest);
    if let Some((before, (name, after))) = out
        .split_once("`sizeof(")
        .and_then(|(before, rest)| Some((before, rest.split_once(")`")?)))
    {
        out = format!("{before}sizeof({}){after}", c_name(name, names));
    }
    out.replace("`u32`", "uint32_t")
}

/// C's name of an item, a field or a variant.
///
/// # Panics
/// A comment that links to what C does not have.
fn c_name(path: &str, names: &Names) -> String {
    let mut parts: Vec<&str> = path.split("::").filter(|part| *part != "super").collect();
    let last = parts.pop().expect("a name");
    match parts.pop() {
        None if last == "Operation" => Some("sextant_operation".to_owned()),
        None => names.get(last).cloned(),
        Some("Operation") => OPERATIONS.iter().find(|row| row.name == snake(last)).map(constant),
        Some(owner) => names
            .get(owner)
            .map(|owner| match last.starts_with(char::is_uppercase) {
                true => format!("{}_{}", owner, snake(last)).to_uppercase(),
                false => format!("{owner}.{last}"),
            }),
    }
    .unwrap_or_else(|| panic!("[`{path}`] has no name in C"))
}

fn ending() -> String {
    format!(
        "// Put before the definition of the entry, so that the library exports it.\n\
         #if defined(_WIN32)\n\
         #define SEXTANT_EXPORT __declspec(dllexport)\n\
         #elif defined(__GNUC__)\n\
         #define SEXTANT_EXPORT __attribute__((visibility(\"default\")))\n\
         #else\n\
         #define SEXTANT_EXPORT\n\
         #endif\n\n\
         // Name of the one function that a library must export, of type sextant_entry.\n\
         #define SEXTANT_ENTRY_SYMBOL \"{ENTRY_SYMBOL}\"\n\n\
         SEXTANT_EXPORT const sextant_descriptor *{ENTRY_SYMBOL}(void);\n\n\
         #ifdef __cplusplus\n\
         }} // extern \"C\"\n\
         #endif\n"
    )
}

#[test]
fn the_header_is_what_the_source_says() {
    let path = here("include/sextant_guidance.h");
    let header = generated();
    if std::env::var_os("NEW_HEADER").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &header).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        header == written,
        "include/sextant_guidance.h is out of date: run `NEW_HEADER=1 cargo test -p sextant-plugin-api --test header`"
    );
}

#[test]
fn every_operation_and_every_struct_is_in_the_header() {
    let header = generated();
    for row in OPERATIONS {
        assert!(
            header.contains(&format!("  {} = {},\n", constant(row), row.code)),
            "{}",
            row.name
        );
    }
    for (_, name) in items() {
        assert!(header.contains(&name), "{name}");
    }
    assert!(
        !header.contains("[`") && !header.contains("::"),
        "something of Rust's is left"
    );
}

#[cfg(unix)]
#[test]
fn the_header_compiles_alone_as_c_and_as_cpp() {
    for (compiler, language, standard) in [("cc", "c", "c99"), ("c++", "c++", "c++11"), ("c++", "c++", "c++17")] {
        let found = Command::new(compiler).arg("--version").output().is_ok();
        // A C compiler is part of what Rust needs to link; one for C++ is not.
        if !found && compiler == "c++" {
            println!("no {compiler} here");
            continue;
        }
        let output = Command::new(compiler)
            .args([
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-fsyntax-only",
                "-x",
                language,
            ])
            .arg(format!("-std={standard}"))
            .arg(here("include/sextant_guidance.h"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
