//! Tensors of a safetensors file of the fixtures, f32 only.

use std::collections::BTreeMap;
use std::path::Path;

use super::Value;

pub fn load(name: &str) -> BTreeMap<String, Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
    let bytes = std::fs::read(Path::new(folder).join(name)).unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<usize> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap() as usize)
            .collect()
    };
    header
        .iter()
        .filter(|(_, entry)| entry.get("dtype").is_some_and(|dtype| dtype == "F32"))
        .map(|(name, entry)| {
            let [begin, end] = numbers(&entry["data_offsets"])[..] else {
                unreachable!()
            };
            let floats = data[begin..end]
                .chunks(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            (name.clone(), Value::new(&numbers(&entry["shape"]), floats.collect()))
        })
        .collect()
}
