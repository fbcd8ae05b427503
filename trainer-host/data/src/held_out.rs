//! The held-out part as a recipe chooses it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use sextant_recipe::HeldOut;

use super::column::Names;
use super::error::DataError;
use super::split::Split;

/// The split of `count` samples that `held_out` asks for: by share, or by a list of names. A folder is the layout's affair.
///
/// # Errors
/// A list that cannot be read, or names what is not there; a part without samples.
pub(super) fn held_out_by(
    held_out: &HeldOut,
    names: &Names,
    count: usize,
    groups: Option<&[u64]>,
    split_seed: u64,
) -> Result<Split, DataError> {
    let split = match held_out {
        HeldOut::Share(share) => Split::by_share(count, groups, *share, split_seed),
        HeldOut::Path(path) => by_list(path, names, count)?,
    };
    if split.train.is_empty() || split.held_out.is_empty() {
        return Err(DataError::Unusable(format!(
            "data.held_out leaves {} samples to train on and {} held out; each part needs one",
            split.train.len(),
            split.held_out.len()
        )));
    }
    Ok(split)
}

fn by_list(path: &Path, names: &Names, count: usize) -> Result<Split, DataError> {
    let text = fs::read_to_string(path).map_err(|source| DataError::io(path, source))?;
    let lines = text.lines().map(str::trim).enumerate();
    let mut wanted: HashMap<&str, usize> = lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| (line, i + 1))
        .collect();
    let mut chosen = vec![false; count];
    for (id, chosen) in chosen.iter_mut().enumerate() {
        *chosen = wanted.remove(names.get(id)).is_some();
    }
    if let Some((name, line)) = wanted.into_iter().min_by_key(|(_, line)| *line) {
        let reason = format!(
            "line {line}: no sample is named \"{name}\"; they are named as \"{}\" is",
            names.get(0)
        );
        return Err(DataError::file(path, reason));
    }
    Ok(Split::by_choice(count, |id| chosen[id]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_hold_out_what_a_list_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        let names: Names = ["a", "b/1", "b/2"].into_iter().collect();
        let of = |text: &str| {
            fs::write(&path, text).unwrap();
            held_out_by(&HeldOut::Path(path.clone()), &names, 3, None, 0)
        };
        let split = of("b/2\r\n\na\n").unwrap();
        assert_eq!((&*split.train, &*split.held_out), (&[1][..], &[0, 2][..]));
        let message = of("a\nc\nd\n").unwrap_err().to_string();
        assert!(
            message.contains("list.txt") && message.contains("line 2") && message.contains("\"c\""),
            "{message}"
        );
        assert!(
            of("a\nb/1\nb/2")
                .unwrap_err()
                .to_string()
                .contains("0 samples to train on")
        );
        assert!(of("").unwrap_err().to_string().contains("0 held out"));
    }
}
