//! Files that a recipe names. A relative path is one from the recipe's own folder, and a recipe that was read has none.

use std::path::{MAIN_SEPARATOR, Path};

use toml::Value;

use super::{Init, Recipe};

/// Tells a path from another value of a key.
type IsPath = fn(&str) -> bool;

/// Keys whose value may be a path, `*` being any place in a list. A variant has the same keys.
const PATHS: [(&str, IsPath); 9] = [
    ("data.path", |_| true),
    ("data.held_out", |_| true),
    ("data.vae", is_network_path),
    ("encoder.weights", is_network_path),
    ("evaluation.quality.judges.*", is_network_path),
    ("evaluation.quality.reference", |_| true),
    ("phases.*.guidance.*.plugin", is_library_path),
    ("phases.*.init.from", |_| true),
    ("phases.*.teacher.from", |_| true),
];

/// The key of which a recipe may name several files.
pub const JUDGES: &str = "evaluation.quality.judges";

/// True for a network that ships inside the program.
pub fn is_builtin(weights: &str) -> bool {
    matches!(weights, "embedded" | "untrained")
}

/// True for a network that the Hugging Face hub has, named `hf:owner/name`.
fn is_hub_name(weights: &str) -> bool {
    weights.starts_with("hf:")
}

fn is_network_path(weights: &str) -> bool {
    !is_builtin(weights) && !is_hub_name(weights)
}

/// True for a `plugin` that is the path of a library, not a name: it has a path separator, or a library's ending.
pub fn is_library_path(plugin: &str) -> bool {
    let extension = Path::new(plugin).extension().and_then(|e| e.to_str());
    plugin.contains('/') || plugin.contains(MAIN_SEPARATOR) || matches!(extension, Some("so" | "dylib" | "dll"))
}

/// Makes the relative paths of a recipe absolute, seen from `folder`.
pub(super) fn make_absolute(recipe: &mut toml::Table, folder: &Path) {
    for (key, is_path) in PATHS {
        let mut one = |path: &mut String| {
            if Path::new(path).is_relative()
                && is_path(path)
                && let Ok(absolute) = std::path::absolute(folder.join(&path))
                && let Ok(absolute) = absolute.into_os_string().into_string()
            {
                *path = absolute;
            }
        };
        let keys: Vec<&str> = key.split('.').collect();
        for_each_at(recipe, &keys, &mut one);
        for_each_at(recipe, &[&["variants", "*"], &keys[..]].concat(), &mut one);
    }
}

fn for_each_at(table: &mut toml::Table, keys: &[&str], act: &mut impl FnMut(&mut String)) {
    if let [key, rest @ ..] = keys
        && let Some(value) = table.get_mut(*key)
    {
        for_each_below(value, rest, act);
    }
}

fn for_each_below(value: &mut Value, keys: &[&str], act: &mut impl FnMut(&mut String)) {
    match (value, keys) {
        (Value::String(text), []) => act(text),
        (Value::Array(list), ["*", rest @ ..]) => list.iter_mut().for_each(|value| for_each_below(value, rest, act)),
        (Value::Table(table), keys) => for_each_at(table, keys, act),
        _ => {}
    }
}

impl Recipe {
    /// Networks that it names by a path or as `hf:owner/name`, each with its key. Libraries are recorded as they are loaded, data as they
    /// are read.
    pub fn network_files(&self) -> Vec<(String, String)> {
        let vae = self.data.vae().map(|vae| ("data.vae".to_owned(), vae.to_owned()));
        let encoder = self.encoder.iter();
        let encoder = encoder.map(|encoder| ("encoder.weights".to_owned(), encoder.weights.clone()));
        let judges = self.evaluation.quality.iter().flat_map(|quality| &quality.judges);
        let judges = judges.map(|judge| (JUDGES.to_owned(), judge.clone()));
        let shipped = vae
            .into_iter()
            .chain(encoder)
            .chain(judges)
            .filter(|(_, path)| !is_builtin(path));
        let imports = self.phases.iter().enumerate().flat_map(|(i, phase)| {
            let init = match &phase.init {
                Init::File(file) => Some((format!("phases.{i}.init.from"), file.import().file())),
                Init::Fresh | Init::Continue => None,
            };
            let teacher = phase.teacher.as_ref().and_then(|teacher| teacher.import());
            let teacher = teacher.map(|import| (format!("phases.{i}.teacher.from"), import.file()));
            init.into_iter().chain(teacher)
        });
        shipped.chain(imports).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_seen_from_the_folder_and_names_stay() {
        let text = r#"
            [data]
            path = "latents"
            held_out = "kept.txt"
            vae = "vae"
            [encoder]
            weights = "embedded"
            [evaluation.quality]
            reference = "imagenet.npz"
            judges = ["untrained", "hf:facebook/dinov2-small", "../judge.safetensors", "/there/judge.safetensors"]
            [[phases]]
            init = { from = "last.pt" }
            teacher = { from = "./teacher.pt" }
            guidance = [{ plugin = "repa" }, { plugin = "libown.so" }, { plugin = "./build/libown.so" }]
            [[variants]]
            encoder = { weights = "own.safetensors" }
            phases = [{ guidance = [{ plugin = "sub/libown.so" }] }]
        "#;
        let mut table: toml::Table = text.parse().unwrap();
        make_absolute(&mut table, Path::new("/here"));
        let absolute = text
            .replace("\"latents\"", "\"/here/latents\"")
            .replace("\"kept", "\"/here/kept")
            .replace("\"vae", "\"/here/vae")
            .replace("\"../", "\"/here/../")
            .replace("\"libown", "\"/here/libown")
            .replace("\"./", "\"/here/")
            .replace("\"own", "\"/here/own")
            .replace("\"imagenet", "\"/here/imagenet")
            .replace("\"last", "\"/here/last")
            .replace("\"sub", "\"/here/sub");
        let absolute: toml::Table = absolute.parse().unwrap();
        assert_eq!(table, absolute);
        make_absolute(&mut table, Path::new("/elsewhere"));
        assert_eq!(table, absolute, "they stay");
    }
}
