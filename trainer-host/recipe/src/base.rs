//! A recipe that is laid upon another one, which its key `base` names.

use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::Table;

use super::RecipeError;
use super::file::{json, table};
use super::overlay::overlay;
use super::paths::make_absolute;

/// Name of the key.
const BASE: &str = "base";

/// The table of a recipe's `text`, laid upon its base as a variant is laid upon a recipe. Paths that either names are seen from
/// the folder of the file that names them.
///
/// # Errors
/// A base that cannot be read, is no recipe, or leads back to where it came from; each names the file at fault.
pub(super) fn on_its_base(path: &Path, text: &str) -> Result<Table, RecipeError> {
    laid(path, text, &mut Vec::new())
}

/// `above` are the files that have led here.
fn laid(path: &Path, text: &str, above: &mut Vec<PathBuf>) -> Result<Table, RecipeError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut over = table(path, text)?;
    make_absolute(&mut over, folder);
    let Some(name) = over.remove(BASE) else {
        return Ok(over);
    };
    let wrong = |reason: String| RecipeError::Key {
        path: path.into(),
        reason: format!("{BASE}: {reason}"),
    };
    let name = name
        .as_str()
        .ok_or_else(|| wrong("expected the path of a recipe, such as \"base.toml\"".into()))?;
    let file = folder.join(name);
    above.push(path.canonicalize().unwrap_or_else(|_| path.into()));
    let same = file.canonicalize().unwrap_or_else(|_| file.clone());
    if above.contains(&same) {
        return Err(wrong(format!("{} is laid upon itself", file.display())));
    }
    let text = std::fs::read_to_string(&file).map_err(|e| wrong(format!("{} cannot be read: {e}", file.display())))?;
    let base = json(&file, laid(&file, &text, above)?)?;
    let merged = overlay(&Value::Object(base), &Value::Object(json(path, over)?));
    Table::try_from(merged).map_err(|e| wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files into a new folder.
    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn read(folder: &tempfile::TempDir, name: &str) -> Result<Table, String> {
        let path = folder.path().join(name);
        on_its_base(&path, &std::fs::read_to_string(&path).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn should_lay_tables_and_named_lists_upon_the_base() {
        let folder = files(&[
            (
                "base.toml",
                "seed = 1\n[model]\nsize = \"B/2\"\ndepth = 3\n[[variants]]\nname = \"a\"\nseed = 4\n",
            ),
            (
                "own.toml",
                "base = \"base.toml\"\n[model]\ndepth = 5\n[[variants]]\nname = \"a\"\n[[variants]]\nname = \"b\"\n",
            ),
        ]);
        let wanted: Table = "seed = 1\n[model]\nsize = \"B/2\"\ndepth = 5\n[[variants]]\nname = \"a\"\nseed = 4\n[[variants]]\nname = \"b\"\n"
            .parse()
            .unwrap();
        assert_eq!(read(&folder, "own.toml").unwrap(), wanted);
    }

    #[test]
    fn should_see_paths_from_the_file_that_names_them() {
        let folder = files(&[
            ("base.toml", "[data]\npath = \"latents\"\n"),
            (
                "sub/own.toml",
                "base = \"../base.toml\"\n[encoder]\nweights = \"own.safetensors\"\n",
            ),
        ]);
        let read = read(&folder, "sub/own.toml").unwrap();
        let data = Path::new(read["data"]["path"].as_str().unwrap()).to_owned();
        assert!(
            data.is_absolute() && !data.ends_with("sub/latents"),
            "{}",
            data.display()
        );
        assert!(Path::new(read["encoder"]["weights"].as_str().unwrap()).ends_with("sub/own.safetensors"));
    }

    #[test]
    fn should_name_the_file_at_fault() {
        let folder = files(&[
            ("none.toml", "base = \"missing.toml\"\n"),
            ("number.toml", "base = 3\n"),
            ("broken.toml", "base = \"torn.toml\"\n"),
            ("torn.toml", "[data\n"),
            ("one.toml", "base = \"two.toml\"\n"),
            ("two.toml", "base = \"one.toml\"\n"),
        ]);
        let refused = |name: &str, part: &str| {
            let message = read(&folder, name).unwrap_err();
            assert!(message.contains(part), "{part} in {message}");
        };
        refused("none.toml", "missing.toml cannot be read");
        refused("number.toml", "number.toml: base: expected the path of a recipe");
        refused("broken.toml", "torn.toml");
        refused("one.toml", "one.toml is laid upon itself");
    }
}
