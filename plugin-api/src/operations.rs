//! The documentation of the operations, made from their table.

use std::fmt::Write;

use crate::abi::{ABI_MAJOR, ABI_MINOR, OPERATIONS, OperationInfo};

const INTRODUCTION: &str = "\
What a guidance source can ask of the host. Generated from the table in `plugin-api/src/abi/operation.rs` by
`UPDATE_DOCS=1 cargo test -p sextant-plugin-api`; a test fails when the two differ.

An operand that ends in `?` may be left out, one that ends in `*` may repeat. Tensors state their element type;
operands of mixed types are an error, `cast` converts. Ranks must agree where shapes broadcast. Tensors without rows
are legal everywhere. Dimensions count from 0.
";

/// First number and title of each chapter.
const CHAPTERS: &[(u32, &str)] = &[
    (1, "Arithmetic"),
    (10, "With a number"),
    (20, "Each element"),
    (40, "Comparisons and masks"),
    (60, "Reductions"),
    (80, "Shapes and rows"),
    (100, "Layers"),
    (120, "Sources, types and transfers"),
    (140, "Networks and the diffusion path"),
];

/// `docs/operations.md`.
pub fn operations_markdown() -> String {
    let mut text = format!("# Operations, version {ABI_MAJOR}.{ABI_MINOR}\n\n{INTRODUCTION}");
    for (index, (begin, title)) in CHAPTERS.iter().enumerate() {
        let end = CHAPTERS.get(index + 1).map_or(u32::MAX, |(code, _)| *code);
        let _ = writeln!(text, "\n## {title}\n");
        text.push_str("| number | operation | operands | attributes | results | |\n|---|---|---|---|---|---|\n");
        for row in OPERATIONS.iter().filter(|row| (*begin..end).contains(&row.code)) {
            text.push_str(&line(row));
        }
    }
    text.push_str(ATTRIBUTES);
    text
}

const ATTRIBUTES: &str = "
## Attributes

Attributes are `#[repr(C)]` structs that begin with their own size; `plugin-api/src/abi/operation.rs` defines them, field
by field. Rust authors do not meet them: they are the arguments of the methods of `Tensor` and `Step`.
";

fn line(row: &OperationInfo) -> String {
    let code = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let attributes = match row.attributes {
        "" => String::new(),
        name => format!("`{name}`"),
    };
    format!(
        "| {} | `{}` | {} | {attributes} | {} | {} |\n",
        row.code,
        row.name,
        code(row.inputs),
        code(row.outputs),
        row.doc.trim().replace('|', "\\|")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_documented_once_and_in_order() {
        let text = operations_markdown();
        let mut last = 0;
        for row in OPERATIONS {
            assert!(row.code > last, "{} is out of order", row.name);
            last = row.code;
            let line = format!("| {} | `{}` |", row.code, row.name);
            assert_eq!(text.matches(&line).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn the_document_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, operations_markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == operations_markdown(),
            "docs/operations.md is out of date: run `UPDATE_DOCS=1 cargo test -p sextant-plugin-api`"
        );
    }
}
