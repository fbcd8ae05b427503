//! The layout of the contract, written down for each version: it cannot change without the version moving with it, and a
//! minor version cannot change what was there before it. `docs/abi.md` has the rules in words.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::path::Path;

use sextant_plugin_api::abi::*;

macro_rules! layout {
    ($text:ident: $($name:ident { $($field:ident),* })*) => {$(
        writeln!($text, "{} {}", stringify!($name), size_of::<$name>()).unwrap();
        $(writeln!($text, "  {} {}", stringify!($field), offset_of!($name, $field)).unwrap();)*
    )*};
}

macro_rules! numbers {
    ($text:ident: $($name:ident { $($variant:ident),* })*) => {$(
        writeln!($text, "{} =", stringify!($name)).unwrap();
        $(writeln!($text, "  {} {}", stringify!($variant), $name::$variant as u32).unwrap();)*
    )*};
}

/// Size of every struct, offset of every field, number of every constant, number and operands of every operation.
fn contract() -> String {
    let mut text = String::new();
    layout! { text:
        Text { ptr, len }
        Array { ptr, len, stride }
        Message { size, text, owner, release }
        Shape { rank, reserved, dims }
        TensorRef { handle, dtype, reserved, shape }
        Descriptor { size, abi_major, abi_minor, name, version, summary, create, plan, guide, destroy, config_schema, coefficient }
        Host { size, abi_major, abi_minor, op, release, log }
        Call { size, session, opcode, inputs_len, outputs_len, line, file, inputs, attributes, outputs }
        Operand { handle, consumed, reserved }
        NetworkInfo { network, depth, width, heads, prefix_tokens, grid_rows, grid_cols }
        FieldInfo { name, dtype, reserved, shape }
        Geometry { size, batch, channels, height, width, patch, classes, networks, fields, prediction, path }
        Tap { network, kind, depth, reserved }
        ParameterInfo { name, shape, init, trainable, reserved, value, values }
        BufferInfo { name, dtype, agreement, shape, rows, reserved, init, value, values }
        Plan {
            size, required_minor, batch_coupled, has_t_range, reserved, t_min, t_max, taps, fields, parameters, buffers,
            metrics, settings
        }
        SettingInfo { name, meaning, reserved, value }
        Step {
            size, session, index, batch, x, noise, x_t, t, velocity, labels, dropped_labels, taps, fields, parameters,
            buffers, sample_ids, t_values, label_values, dropped_label_values
        }
        Guided { size, loss, denoising_weight, metrics, buffers }
        Named { index, reserved, handle }
        Scalar { size, value }
        Range { size, min, max }
        Dim { size, dim, reserved }
        Dims { size, len, keep, reserved, dims }
        NewShape { size, shape }
        Slice { size, dim, reserved, start, end, step }
        ScatterTo { size, dim, reserved, count }
        Conv2d { size, stride, padding, dilation, groups }
        Interpolate { size, height, width, mode, align_corners, reserved }
        Full { size, value, dtype, reserved, shape }
        Upload { size, dtype, reserved, shape, data }
        Random { size, distribution, reserved, tag, shape }
        Cast { size, dtype, reserved }
        Download { size, data, bytes }
        Forward { size, network, reserved, depths, rows, conditions, kinds }
    }
    numbers! { text:
        DType { F32, BF16, F16, F64, Int, Bool }
        Network { Student, Teacher, Ema }
        TapKind { Block, Output, Attention }
        InitKind { Constant, XavierUniform, Normal, Values, Uniform }
        Agreement { Mean, Gathered, Replicated }
        Interpolation { Nearest, Bilinear, Bicubic }
        Distribution { Normal, Uniform }
        Condition { Own, Null, Dropped }
        PredictionKind { Velocity, Data, Noise }
        PathKind { Linear, Cosine }
        SettingMeaning { Plain, FeatureGuidance }
    }
    for row in OPERATIONS {
        let (inputs, outputs) = (row.inputs.join(" "), row.outputs.join(" "));
        writeln!(
            text,
            "{} {} ({inputs}) [{}] -> ({outputs})",
            row.code, row.name, row.attributes
        )
        .unwrap();
    }
    text
}

#[cfg(target_pointer_width = "64")]
#[test]
fn the_layout_is_that_of_its_version() {
    let name = format!("abi-{ABI_MAJOR}.{ABI_MINOR}.txt");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
    // Written once, when a version is made: never to make this test pass.
    if std::env::var_os("NEW_ABI_VERSION").is_some() {
        assert!(!path.exists(), "{name} is there: raise ABI_MINOR or ABI_MAJOR instead");
        std::fs::write(&path, contract()).unwrap();
    }
    let written = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{name}: {e}; write it with NEW_ABI_VERSION=1 when the version is new"));
    assert_eq!(
        contract(),
        written,
        "the contract changed under version {ABI_MAJOR}.{ABI_MINOR}: raise the version (what is added at an end: \
         minor; all else: major)"
    );
}

/// One version as its file has it: what each line of the first rank says, with the lines below it.
struct Version {
    number: (u32, u32),
    /// Size and offsets of the fields, in their order.
    structs: BTreeMap<String, (u64, Vec<(String, u64)>)>,
    /// Numbers of the constants.
    enumerations: BTreeMap<String, BTreeMap<String, u64>>,
    /// Names, operands, attributes and results, by number.
    operations: BTreeMap<u64, String>,
}

impl Version {
    fn read(number: (u32, u32), text: &str) -> Self {
        let mut version = Self {
            number,
            structs: BTreeMap::new(),
            enumerations: BTreeMap::new(),
            operations: BTreeMap::new(),
        };
        let mut last = String::new();
        for line in text.lines() {
            let (name, rest) = line.trim_start().split_once(' ').unwrap();
            if let Ok(code) = name.parse() {
                version.operations.insert(code, rest.to_owned());
            } else if line.starts_with("  ") {
                let number = rest.parse().unwrap();
                match version.structs.get_mut(&last) {
                    Some((_, fields)) => fields.push((name.to_owned(), number)),
                    None => {
                        version
                            .enumerations
                            .get_mut(&last)
                            .unwrap()
                            .insert(name.to_owned(), number);
                    }
                }
            } else {
                last = name.to_owned();
                match rest {
                    "=" => drop(version.enumerations.insert(last.clone(), BTreeMap::new())),
                    size => drop(version.structs.insert(last.clone(), (size.parse().unwrap(), vec![]))),
                }
            }
        }
        version
    }

    /// Every version that was written down, in their order.
    fn all() -> Vec<Self> {
        let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut versions: Vec<Self> = folder
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name()?.to_str()?;
                let (major, minor) = name.strip_prefix("abi-")?.strip_suffix(".txt")?.split_once('.')?;
                let number = (major.parse().unwrap(), minor.parse().unwrap());
                Some(Self::read(number, &std::fs::read_to_string(&path).unwrap()))
            })
            .collect();
        versions.sort_by_key(|version| version.number);
        versions
    }

    /// Parts of this version that a later minor version has changed.
    fn broken_by(&self, later: &Self) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, (size, fields)) in &self.structs {
            let Some((later_size, later_fields)) = later.structs.get(name) else {
                broken.push(format!("{name} is gone"));
                continue;
            };
            if !later_fields.starts_with(fields) {
                broken.push(format!("fields of {name} have moved"));
            } else if later_fields[fields.len()..].iter().any(|(_, offset)| offset < size) {
                // A reader of this version takes all `size` bytes for its own.
                broken.push(format!("{name} has a new field before its old end"));
            }
            // Only a struct that carries its size, or whose arrays carry a stride, can grow; inside others it cannot.
            let can_grow = fields[0].0 == "size" || LIST_ELEMENTS.contains(&name.as_str());
            if later_size < size || (later_size > size && !can_grow) {
                broken.push(format!("{name} was {size} bytes long and has {later_size}"));
            }
        }
        for (name, constants) in &self.enumerations {
            let now = later.enumerations.get(name);
            if !constants
                .iter()
                .all(|(c, number)| now.and_then(|now| now.get(c)) == Some(number))
            {
                broken.push(format!("constants of {name} have changed"));
            }
        }
        for (code, operation) in &self.operations {
            if later.operations.get(code) != Some(operation) {
                broken.push(format!("operation {code} was {operation}"));
            }
        }
        broken
    }
}

/// Structs without a size that cross in arrays only, whose stride says how long an element is.
const LIST_ELEMENTS: [&str; 7] = [
    "NetworkInfo",
    "FieldInfo",
    "Tap",
    "ParameterInfo",
    "BufferInfo",
    "Named",
    "SettingInfo",
];

#[test]
fn a_minor_version_only_adds() {
    let versions = Version::all();
    assert!(versions.iter().any(|version| version.number == (1, 0)));
    assert_eq!(
        versions.last().unwrap().number,
        (ABI_MAJOR, ABI_MINOR),
        "the last version is not this one"
    );
    for pair in versions.windows(2) {
        let ((major, minor), later) = (pair[0].number, pair[1].number);
        if later.0 == major {
            assert_eq!(
                later.1,
                minor + 1,
                "a version between {major}.{minor} and {later:?} is missing"
            );
            let broken = pair[0].broken_by(&pair[1]);
            assert!(broken.is_empty(), "{major}.{minor} is broken by {later:?}: {broken:#?}");
        } else {
            assert_eq!(later, (major + 1, 0));
        }
    }
}

#[test]
fn what_breaks_a_version_is_noticed() {
    let old = "Plan 16\n  size 0\n  taps 8\nTap 8\n  kind 0\n  depth 4\nShape 8\n  rank 0\nKind =\n  Block 0\n1 add (a b) [] -> (sum)\n";
    let read = |text: &str| Version::read((1, 0), text);
    let broken = |from: &str, to: &str| read(old).broken_by(&read(&old.replace(from, to)));
    assert_eq!(broken("", ""), [""; 0]);
    for (from, to) in [
        ("Plan 16\n  size 0\n  taps 8", "Plan 24\n  size 0\n  taps 8\n  more 16"),
        ("Tap 8\n  kind 0\n  depth 4", "Tap 12\n  kind 0\n  depth 4\n  more 8"),
        ("Block 0", "Block 0\n  Output 1"),
        ("1 add", "2 sub (a b) [] -> (difference)\n1 add"),
    ] {
        assert_eq!(broken(from, to), [""; 0], "{to}");
    }
    for (from, to, word) in [
        ("taps 8", "taps 4", "have moved"),
        ("taps 8", "tops 8", "have moved"),
        ("  taps 8\n", "", "have moved"),
        ("taps 8", "taps 8\n  more 12", "before its old end"),
        ("Plan 16", "Plan 8", "16 bytes long and has 8"),
        (
            "Shape 8\n  rank 0",
            "Shape 16\n  rank 0\n  more 8",
            "8 bytes long and has 16",
        ),
        ("Tap 8", "Tip 8", "Tap is gone"),
        ("Block 0", "Block 1", "constants of Kind"),
        ("1 add (a b)", "1 add (a b c)", "operation 1"),
        ("1 add", "3 add", "operation 1"),
    ] {
        let broken = broken(from, to);
        assert!(broken.iter().any(|b| b.contains(word)), "{to}: {broken:?}");
    }
}

/// The lists above name everything that the source has.
#[test]
fn nothing_of_the_contract_is_left_out() {
    let written = Version::read((ABI_MAJOR, ABI_MINOR), &contract());
    let (mut fields, mut inside) = (0, None::<String>);
    for file in ["layout.rs", "operation.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/abi").join(file);
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
            if let Some(rest) = line
                .strip_prefix("pub struct ")
                .or_else(|| line.strip_prefix("pub enum "))
            {
                inside = Some(name(rest)).filter(|name| name != "OperationInfo");
            } else if line == "}" {
                inside = None;
            } else if let Some(owner) = &inside {
                let member = match line.strip_prefix("    pub ") {
                    Some(field) => field.split_once(':').map(|(field, _)| field.to_owned()),
                    None => line.trim().split_once(" = ").map(|(variant, _)| variant.to_owned()),
                };
                let Some(member) = member.filter(|member| !member.starts_with("//")) else {
                    continue;
                };
                let of_struct = written
                    .structs
                    .get(owner)
                    .is_some_and(|(_, f)| f.iter().any(|(n, _)| *n == member));
                let of_enum = written.enumerations.get(owner).is_some_and(|c| c.contains_key(&member));
                assert!(of_struct || of_enum, "{owner}.{member} is not in the layout");
                fields += 1;
            }
        }
    }
    let known: usize = written.structs.values().map(|(_, fields)| fields.len()).sum();
    let constants: usize = written.enumerations.values().map(BTreeMap::len).sum();
    assert_eq!(
        fields,
        known + constants,
        "the source has not all that the layout lists"
    );
}
