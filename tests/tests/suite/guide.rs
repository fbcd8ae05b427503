//! The plugin author's guide, done as it is written: its commands in their order, in an empty folder, with no copy of Sextant's
//! repository in reach.
//!
//! The use of a fenced block is told by its language, and by a comment `<!-- file: PATH -->` in the line before it:
//! - `sh`: commands. They succeed; the folder that they end in is the next block's.
//! - `text`: lines that the block of commands before it printed, in this order; `…` stands for anything.
//! - `diff` of a file: lines of it to replace, with ` `, `-` and `+` in front.
//! - `rust` of a file: all of it, as it then is. Every `rust` block is compiled by `cargo test -p sextant-plugin-api --doc`.
//! - `toml`: a part of a recipe, which a recipe can hold.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sextant_tests::{program, stderr};

const GUIDE: &str = include_str!("../../../docs/plugin-authors-guide.md");

/// A fenced block.
struct Block {
    language: String,
    /// The file that it shows or changes.
    file: Option<String>,
    /// The line where it begins.
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    let mut before = "";
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(language) => {
                inside = true;
                let file = before
                    .strip_prefix("<!-- file: ")
                    .and_then(|rest| rest.strip_suffix(" -->"));
                blocks.push(Block {
                    language: language.to_owned(),
                    file: file.map(str::to_owned),
                    line: number + 1,
                    text: String::new(),
                });
            }
            None if inside => {
                let text = &mut blocks.last_mut().expect("inside of one").text;
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
        before = line;
    }
    assert!(!inside, "the last block has no end");
    blocks
}

/// Someone who follows the page.
struct Reader {
    home: PathBuf,
    /// The folder that they are in.
    folder: PathBuf,
    /// Output of the last commands.
    printed: String,
    path: String,
}

impl Reader {
    fn new() -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
        let _ = fs::remove_dir_all(&home);
        let programs = home.join("bin");
        fs::create_dir_all(&programs).unwrap();
        std::os::unix::fs::symlink(program(), programs.join("sextant")).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let folder = home.join("work");
        fs::create_dir(&folder).unwrap();
        Self {
            home,
            folder,
            printed: String::new(),
            path: format!("{}:{path}", programs.display()),
        }
    }

    fn run(&mut self, commands: &str) {
        let here = self.home.join("here");
        let script = format!("set -euo pipefail\n{commands}\npwd > '{}'\n", here.display());
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("CARGO_NET_OFFLINE", "true")
            // Compiled once for all runs of the tests; what is built lies where the page says.
            .env("CARGO_BUILD_BUILD_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/build"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("SEXTANT_PLUGIN_PATH")
            .output()
            .expect("bash");
        self.printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{commands}\n{}\n{}",
            self.printed,
            stderr(&output)
        );
        self.folder = fs::read_to_string(here).unwrap().trim().into();
    }

    fn printed(&self, expected: &str) {
        let mut lines = self.printed.lines();
        for wanted in expected.lines() {
            assert!(
                lines.any(|line| matches(line, wanted)),
                "no line\n{wanted}\nat its place in\n{}",
                self.printed
            );
        }
    }

    fn edit(&self, file: &str, diff: &str) {
        let side = |other: char| -> String {
            let lines = diff.lines().filter(|line| !line.starts_with(other));
            lines
                .map(|line| format!("{}\n", line.get(1..).unwrap_or_default()))
                .collect()
        };
        let (before, after) = (side('+'), side('-'));
        let text = self.read(file);
        assert_eq!(text.matches(&before).count(), 1, "{file} has not once\n{before}");
        fs::write(self.folder.join(file), text.replace(&before, &after)).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }
}

/// True if a line is as expected, where `…` stands for anything.
fn matches(line: &str, expected: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        open = true;
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty() || open && expected.ends_with('…')
}

#[test]
fn every_command_and_listing_of_the_guide_is_true() {
    let mut reader = Reader::new();
    let (mut commands, mut edits, mut listings) = (0, 0, 0);
    for block in blocks(GUIDE) {
        println!("line {}: {}", block.line, block.language);
        match (block.language.as_str(), block.file.as_deref()) {
            ("sh", None) => {
                reader.run(&block.text);
                commands += 1;
            }
            ("text", None) => reader.printed(&block.text),
            ("diff", Some(file)) => {
                reader.edit(file, &block.text);
                edits += 1;
            }
            ("rust", Some(file)) => {
                assert_eq!(reader.read(file), block.text, "line {}: {file} is another", block.line);
                listings += 1;
            }
            ("rust", None) => {}
            ("toml", None) => {
                let part: toml::Table = block.text.parse().unwrap();
                let guidance = &part["phases"]["guidance"][0];
                let source: Result<sextant_recipe::SourceConfig, _> = guidance.clone().try_into();
                source.unwrap().validate().unwrap();
            }
            _ => panic!(
                "line {}: the test does not know what to do with {:?}",
                block.line, block.language
            ),
        }
    }
    assert!(
        commands > 5 && edits > 1 && listings > 0,
        "{commands}, {edits}, {listings}"
    );
    let report = reader.folder.join("../token-norm/runs/against-none/report.html");
    assert!(report.is_file(), "the comparison has no report");
}

#[test]
fn dots_stand_for_anything_and_all_else_for_itself() {
    assert!(matches("loss 0.5 after 3", "loss … after 3"));
    assert!(matches("SHA-256   ab12", "SHA-256   …"));
    assert!(matches("a", "a"));
    for (line, expected) in [
        ("loss 0.5 after 30", "loss … after 3"),
        ("ab", "a"),
        ("xa", "a"),
        ("a", "a b"),
    ] {
        assert!(!matches(line, expected), "{line} is not {expected}");
    }
}
