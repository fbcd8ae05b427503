//! Seeds in a recipe. TOML's integers end at 2^63 - 1, a seed at 2^64 - 1: one that is larger is written as text, and text is
//! read too.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};

/// Writes a number, or a text of digits where TOML has no such number.
pub fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(seed) => serializer.serialize_i64(seed),
        Err(_) => serializer.collect_str(seed),
    }
}

/// Reads either.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Seed)
}

struct Seed;

impl Visitor<'_> for Seed {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "a seed, an integer from 0 to {}", u64::MAX)
    }

    fn visit_u64<E: Error>(self, seed: u64) -> Result<u64, E> {
        Ok(seed)
    }

    fn visit_i64<E: Error>(self, seed: i64) -> Result<u64, E> {
        u64::try_from(seed).map_err(|_| E::invalid_value(Unexpected::Signed(seed), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let seed = digits.then(|| text.parse().ok()).flatten();
        seed.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        seed: u64,
    }

    #[test]
    fn every_seed_comes_back_from_toml_and_json() {
        for seed in [0, 7, i64::MAX as u64, 1 << 63, u64::MAX] {
            let holder = Holder { seed };
            let text = toml::to_string(&holder).unwrap();
            assert_eq!(toml::from_str::<Holder>(&text).unwrap(), holder, "{text}");
            let json = serde_json::to_value(&holder).unwrap();
            assert_eq!(serde_json::from_value::<Holder>(json).unwrap(), holder);
        }
        assert_eq!(toml::to_string(&Holder { seed: 7 }).unwrap(), "seed = 7\n");
    }

    #[test]
    fn what_is_no_seed_is_refused_with_the_range() {
        for text in [
            "-1",
            "\"\"",
            "\"-1\"",
            "\"+1\"",
            "\"18446744073709551616\"",
            "1.5",
            "true",
        ] {
            let error = toml::from_str::<Holder>(&format!("seed = {text}"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("from 0 to 18446744073709551615"), "{text}: {error}");
        }
    }
}
