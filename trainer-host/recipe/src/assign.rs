//! One key of a table set by its path: what `--set` and `SEXTANT__…` do.

use toml::{Table, Value};

/// Why a path leads nowhere.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AssignError {
    /// A path, or a part of one, without a name.
    #[error("a part of the key is empty; write it as optimiser.lr or phases.0.steps")]
    Empty,
    /// A name below a list.
    #[error("{list} is a list: name a place in it by number, not {part:?}")]
    NoPlace {
        /// The list.
        list: String,
        /// The name.
        part: String,
    },
    /// A place that a list does not have.
    #[error(
        "{list} has {}; {part} is not a place in it, and the next one would be {length}",
        match length { 0 => "no entry".into(), 1 => "one entry, 0".into(), n => format!("the entries 0 to {}", n - 1) }
    )]
    TooShort {
        /// The list.
        list: String,
        /// Its entries.
        length: usize,
        /// The place.
        part: String,
    },
    /// A path through what is neither table nor list.
    #[error("{value} is {kind}, which has no {part:?} below it")]
    NoTable {
        /// The value that is there.
        value: String,
        /// Its type.
        kind: &'static str,
        /// The next part of the path.
        part: String,
    },
}

/// Sets the key at `path`, such as `phases.0.steps`. Tables on the way are made where they are missing, and a list grows by one
/// entry at its end. A table is merged into the one that is there, unless it names another `kind`; anything else is replaced.
///
/// # Errors
/// A path that leads through something else, or past the end of a list.
pub(super) fn assign(table: &mut Table, path: &str, value: Value) -> Result<(), AssignError> {
    let parts: Vec<&str> = path.split('.').collect();
    if parts.contains(&"") {
        return Err(AssignError::Empty);
    }
    let mut place = table.entry(parts[0]).or_insert_with(|| beginning(parts.get(1)));
    for (depth, part) in parts.iter().enumerate().skip(1) {
        let above = || parts[..depth].join(".");
        place = match place {
            Value::Table(table) => {
                let next = || beginning(parts.get(depth + 1));
                table.entry(*part).or_insert_with(next)
            }
            Value::Array(list) => {
                if !is_place(part) {
                    let (list, part) = (above(), (*part).to_owned());
                    return Err(AssignError::NoPlace { list, part });
                }
                let length = list.len();
                let index: Option<usize> = part.parse().ok();
                let Some(index) = index.filter(|index| *index <= length) else {
                    let (list, part) = (above(), (*part).to_owned());
                    return Err(AssignError::TooShort { list, length, part });
                };
                if index == length {
                    list.push(beginning(parts.get(depth + 1)));
                }
                &mut list[index]
            }
            other => {
                return Err(AssignError::NoTable {
                    value: above(),
                    kind: other.type_str(),
                    part: (*part).to_owned(),
                });
            }
        };
    }
    merge(place, value);
    Ok(())
}

/// An empty list or table, for the next part of a path to be put into.
fn beginning(next: Option<&&str>) -> Value {
    match next {
        Some(part) if is_place(part) => Value::Array(Vec::new()),
        _ => Value::Table(Table::new()),
    }
}

fn is_place(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_digit())
}

fn merge(place: &mut Value, value: Value) {
    match (place, value) {
        // Keys of one kind of data mean nothing in a table of another.
        (Value::Table(there), Value::Table(given))
            if given.get("kind").is_none_or(|kind| there.get("kind") == Some(kind)) =>
        {
            for (key, value) in given {
                merge(there.entry(key).or_insert_with(|| beginning(None)), value);
            }
        }
        (place, value) => *place = value,
    }
}

/// A value as TOML reads it; what is not TOML is text, so that names need no quotes.
pub(super) fn value(text: &str) -> Value {
    let read = toml::from_str::<Table>(&format!("v = {text}"));
    let value = read.ok().and_then(|mut table| table.remove("v"));
    value.unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(text: &str, path: &str, given: &str) -> Result<String, AssignError> {
        let mut table: Table = text.parse().unwrap();
        assign(&mut table, path, value(given))?;
        Ok(toml::to_string(&table).unwrap())
    }

    #[test]
    fn a_key_is_replaced_made_or_merged() {
        assert_eq!(assigned("a = 1", "a", "2").unwrap(), "a = 2\n");
        assert_eq!(assigned("", "a.b", "x").unwrap(), "[a]\nb = \"x\"\n");
        assert_eq!(assigned("l = [1, 2]", "l", "[3]").unwrap(), "l = [3]\n");
        assert_eq!(
            assigned("[a]\nx = 1\n[a.t]\ny = 1", "a", "{ t = { y = 2, z = 3 } }").unwrap(),
            "[a]\nx = 1\n\n[a.t]\ny = 2\nz = 3\n"
        );
        assert_eq!(assigned("a = 1", "a", "{ b = 2 }").unwrap(), "[a]\nb = 2\n");
        let emoji = "[a]\nkind = \"emoji\"\nsize = 8\n";
        assert_eq!(
            assigned(emoji, "a", "{ kind = \"other\" }").unwrap(),
            "[a]\nkind = \"other\"\n"
        );
        assert_eq!(assigned(emoji, "a", "{ kind = \"emoji\" }").unwrap(), emoji);
    }

    #[test]
    fn a_list_has_places_and_grows_at_its_end() {
        assert_eq!(assigned("l = [1, 2]", "l.1", "3").unwrap(), "l = [1, 3]\n");
        assert_eq!(assigned("l = [1, 2]", "l.2", "3").unwrap(), "l = [1, 2, 3]\n");
        assert_eq!(assigned("", "p.0.steps", "3").unwrap(), "[[p]]\nsteps = 3\n");
    }

    #[test]
    fn a_path_that_leads_nowhere_says_where_it_ends() {
        let message = |text: &str, path: &str| assigned(text, path, "1").unwrap_err().to_string();
        let list = "[[phases]]\nsteps = 1";
        assert_eq!(
            message(list, "phases.5.steps"),
            "phases has one entry, 0; 5 is not a place in it, and the next one would be 1"
        );
        assert!(message(list, "phases.99999999999999999999.steps").contains("one entry"));
        assert!(message("l = [1, 2]", "l.3").contains("l has the entries 0 to 1; 3 is"));
        assert!(message("", "betas.1").contains("betas has no entry"));
        assert!(message(list, "phases.train.steps").contains("phases is a list"));
        assert!(message(list, "phases.0.steps.x").contains("phases.0.steps is integer"));
        for path in ["", ".", "a.", ".a", "a..b"] {
            assert!(message("", path).contains("empty"), "{path}");
        }
    }
}
