use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sextant_recipe::{Convention, DiffusionRecipe, Import, Take, Weights};
use zip::write::SimpleFileOptions;

use super::{Format, Imported, WeightsFile, metadata};
use crate::network::{Sit, SitConfig, apply, collect, read_safetensors, write_safetensors};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join(name)
}

fn import(path: &Path, weights: Option<Weights>) -> Import {
    Import {
        from: path.display().to_string(),
        weights,
        convention: None,
    }
}

fn network(config: &SitConfig, seed: u64) -> Sit {
    Sit::init(config, &mut ChaCha8Rng::seed_from_u64(seed), &Device::flex()).unwrap()
}

/// A network whose parameters all count.
fn random(config: &SitConfig, seed: u64) -> Sit {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shapes = config.parameter_shapes().into_iter();
    let tensors = shapes.map(|(name, shape)| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(-0.4..0.4)).collect();
        (name, TensorData::new(values, shape))
    });
    apply(network(config, 0), &tensors.collect()).unwrap()
}

fn output(network: &Sit, x: &TensorData, t: &TensorData, y: &TensorData) -> TensorData {
    let device = Device::flex();
    let y: Tensor<1, Int> = Tensor::from_data(y.clone(), &device);
    let (x, t) = (
        Tensor::from_data(x.clone(), &device),
        Tensor::from_data(t.clone(), &device),
    );
    network.forward(x, t, y, &[]).output.into_data()
}

fn distance(a: &TensorData, b: &TensorData) -> f32 {
    let pairs = a.iter::<f32>().zip(b.iter::<f32>());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_published_checkpoint_answers_as_in_pytorch() {
    let expected = read_safetensors(fixture("checkpoint_expected.safetensors")).unwrap();
    let (published, bare) = ("checkpoint_published.pt", "checkpoint_bare_module_prefix.pt");
    for (file, weights, wanted) in [
        (published, Some(Weights::Model), "out.model"),
        (published, None, "out.model"),
        (published, Some(Weights::Ema), "out.ema"),
        (bare, None, "out.ema"),
    ] {
        let mut imported = Imported::open(&import(&fixture(file), weights)).unwrap();
        assert_eq!(imported.convention, Convention::Repa);
        let config = imported.config(None).unwrap();
        assert_eq!((config.depth, config.hidden_size, config.num_heads), (3, 32, 4));
        assert_eq!((config.input_size, config.num_classes, config.qk_norm), (8, 10, true));
        let network = imported.load(network(&config, 1), Take::All).unwrap();
        let found = output(&network, &expected["in.x"], &expected["in.t"], &expected["in.y"]);
        let off = distance(&found, &expected[wanted]);
        assert!(off < 1e-4, "{file} {weights:?}: {off}");
    }
}

#[test]
fn what_stands_beside_the_weights_is_read() {
    let file = WeightsFile::open(fixture("checkpoint_published.pt")).unwrap();
    assert_eq!(file.format(), Format::PyTorch);
    assert_eq!(
        file.sets().collect::<Vec<_>>(),
        [Some(Weights::Model), Some(Weights::Ema)]
    );
    assert_eq!((file.step(), file.has_optimiser()), (Some(1), true));
    assert_eq!(file.args()["model"], "SiT-tiny");
    assert_eq!(file.args()["cfg_prob"], 0.1);
    let mut imported = Imported::of(file, None, None).unwrap();
    assert!(imported.projectors.len() == 6, "{:?}", imported.projectors);
    imported.matches(&DiffusionRecipe::default()).unwrap();
    let cosine = DiffusionRecipe {
        path: sextant_recipe::Path::Cosine,
        ..DiffusionRecipe::default()
    };
    let message = imported.matches(&cosine).unwrap_err().to_string();
    assert!(
        message.contains("checkpoint_published.pt") && message.contains("Linear"),
        "{message}"
    );
    // Weights that are not there.
    for (name, weights, words) in [
        (
            "checkpoint_published.pt",
            Weights::FurtherEma(0.5),
            "there are model, ema",
        ),
        (
            "checkpoint_bare_module_prefix.pt",
            Weights::Ema,
            "one set without a name",
        ),
    ] {
        let message = Imported::open(&import(&fixture(name), Some(weights)))
            .unwrap_err()
            .to_string();
        assert!(message.contains(words), "{message}");
    }
    // Converted, it can be read again, and its heads with it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("converted.safetensors");
    let config = imported.config(None).unwrap();
    write_safetensors(&path, &imported.tensors(&config).unwrap(), &metadata(&config, Some(1))).unwrap();
    let again = Imported::open(&import(&path, None)).unwrap();
    assert_eq!((again.config(None).unwrap(), again.file().step()), (config, Some(1)));
}

/// A file of an original SiT or DiT whose first outputs are those of `network`, and the settings beside it.
fn with_two_outputs(path: &Path, network: &Sit, args: &str) {
    let (mut tensors, channels) = (collect(network), network.config().in_channels);
    for name in super::convention::LAST {
        let mut shape = tensors[name].shape().to_vec();
        let width: usize = shape[1..].iter().product();
        let values: Vec<f32> = tensors[name].iter().collect();
        let doubled = values
            .chunks(channels * width)
            .flat_map(|rows| [rows.to_vec(), vec![9.0; rows.len()]].concat());
        let doubled: Vec<f32> = doubled.collect();
        shape[0] *= 2;
        tensors.insert(name.into(), TensorData::new(doubled, shape));
    }
    write_safetensors(path, &tensors, &BTreeMap::from([("json".into(), args.into())])).unwrap();
}

#[test]
fn an_original_sit_is_turned_round_in_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sit.safetensors");
    let original = random(&SitConfig::countable(), 3);
    let config = original.config().clone();
    let x: Vec<f32> = (0..3 * 48).map(|i| (i as f32 * 0.37).sin()).collect();
    let (x, y) = (TensorData::new(x, [3, 3, 4, 4]), TensorData::from([0i64, 2, 3]));
    let times = [0.0f32, 0.3, 0.95];
    let (t, reversed) = (TensorData::from(times), TensorData::from(times.map(|t| 1.0 - t)));
    for (args, sign) in [
        (
            r#"{"path_type": "Linear", "prediction": "velocity", "num_heads": 2}"#,
            -1.0,
        ),
        (r#"{"path_type": "Linear", "prediction": "noise", "num_heads": 2}"#, 1.0),
    ] {
        with_two_outputs(&path, &original, args);
        let mut imported = Imported::open(&import(&path, None)).unwrap();
        assert_eq!(imported.convention, Convention::Sit);
        assert_eq!(imported.config(None).unwrap(), config);
        let network = imported.load(network(&config, 4), Take::All).unwrap();
        let wanted = output(&original, &x, &reversed, &y);
        let wanted: Vec<f32> = wanted.iter::<f32>().map(|value| sign * value).collect();
        let off = distance(&output(&network, &x, &t, &y), &TensorData::new(wanted, [3, 3, 4, 4]));
        assert!(off < 1e-4, "{off}");
        let plain = distance(&output(&original, &x, &t, &y), &output(&original, &x, &reversed, &y));
        assert!(plain > 1e-2, "time has to matter: {plain}");
    }
    with_two_outputs(&path, &original, r#"{"prediction": "score", "path_type": "Linear"}"#);
    let message = Imported::open(&import(&path, None)).unwrap_err().to_string();
    assert!(message.contains("\"score\""), "{message}");
}

#[test]
fn a_dit_gives_its_trunk_and_one_that_may_be_either_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dit.safetensors");
    let original = random(&SitConfig::countable(), 3);
    let config = original.config().clone();
    with_two_outputs(&path, &original, r#"{"model": "DiT-XL/2", "num_heads": 2}"#);
    let mut dit = Imported::open(&import(&path, None)).unwrap();
    assert!(dit.fits(&config, Take::All).unwrap_err().to_string().contains("teach"));
    let fresh = network(&config, 5);
    let (before, given) = (collect(&fresh), collect(&original));
    let after = collect(&dit.load(fresh, Take::Fits).unwrap());
    for (name, data) in &after {
        let own = name.starts_with("t_embedder.") || name.starts_with("final_layer.");
        assert_eq!(data, if own { &before[name] } else { &given[name] }, "{name}");
    }
    with_two_outputs(&path, &original, "{}");
    let message = Imported::open(&import(&path, None)).unwrap_err().to_string();
    assert!(message.contains("convention = \"sit\" or \"dit\""), "{message}");
    let asked = Import {
        convention: Some(Convention::Sit),
        ..import(&path, None)
    };
    let sit = Imported::open(&asked).unwrap();
    // No file says how many heads it has, and it is of no published size; qk_norm's width does.
    assert_eq!(sit.geometry.num_heads, Some(2));
}

#[test]
fn what_does_not_fit_is_listed_and_what_fits_is_taken() {
    let published = fixture("checkpoint_published.pt");
    let open = || Imported::open(&import(&published, None)).unwrap();
    let config = open().config(None).unwrap();
    let other = SitConfig {
        num_classes: 4,
        input_size: 16,
        depth: 4,
        ..config.clone()
    };
    let message = open().fits(&other, Take::All).unwrap_err().to_string();
    let lines: Vec<&str> = message.lines().collect();
    // The table of classes, that of positions, the fourth block's parameters; and what explains the first.
    assert!(
        lines[0].contains("checkpoint_published.pt: 16 tensors do not fit"),
        "{message}"
    );
    assert_eq!(lines.len(), 18, "{message}");
    assert!(
        message.contains("`blocks.3.attn.qkv.weight` [96, 32] is missing"),
        "{message}"
    );
    assert_eq!(open().fits(&other, Take::Fits).unwrap().len(), 16);
    let fresh = network(&other, 7);
    let before = collect(&fresh);
    let after = collect(&open().load(fresh, Take::Fits).unwrap());
    let given = open().tensors(&config).unwrap();
    for own in [
        "pos_embed",
        "y_embedder.embedding_table.weight",
        "blocks.3.mlp.fc1.weight",
    ] {
        assert_eq!(after[own], before[own], "{own}");
    }
    assert_eq!(after["blocks.2.mlp.fc1.weight"], given["blocks.2.mlp.fc1.weight"]);
    let wide = SitConfig {
        hidden_size: 64,
        ..config.clone()
    };
    let message = open().fits(&wide, Take::Fits).unwrap_err().to_string();
    assert!(message.contains("none of its blocks fits"), "{message}");
    let message = open().config(Some(2)).unwrap_err().to_string();
    assert!(message.contains("4 attention heads, and 2"), "{message}");
}

fn message(path: &Path) -> String {
    let opened = Imported::open(&import(path, None)).and_then(|mut imported| {
        let config = imported.config(None)?;
        imported.tensors(&config)
    });
    match opened {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

fn archive(path: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn a_file_of_another_kind_or_with_code_has_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.pt");
    let code = b"\x80\x02cposix\nsystem\nX\x05\x00\x00\x00touch\x85R.";
    type Entries<'a> = &'a [(&'a str, &'a [u8])];
    let cases: [(Entries, &str); 5] = [
        (&[("last/data.pkl", code)], "`posix.system`"),
        (&[("last/readme.txt", b"no")], "without data.pkl"),
        (
            &[("last/data.pkl", b"}."), ("last/byteorder", b"big")],
            "\"big\"-endian",
        ),
        (
            &[("last/data.pkl", b"\x80\x02}X\x05\x00\x00\x00epochK\x07s.")],
            "it has [epoch]",
        ),
        (&[("last/data.pkl", b"\x80\x02}")], "ends at byte 3"),
    ];
    for (entries, words) in cases {
        archive(&path, entries);
        let message = message(&path);
        assert!(message.contains("last.pt: ") && message.contains(words), "{message}");
    }
    for (bytes, words) in [
        (&b"\x80\x02}."[..], "plain pickle"),
        (super::legacy::MARK, "ends at byte 0"),
        (b"", "neither a checkpoint"),
        (b"hello", "neither a checkpoint"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "no weights"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff{", "safetensors"),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = message(&path);
        assert!(
            message.contains("last.pt: ") && message.contains(words),
            "{bytes:?}: {message}"
        );
    }
    assert!(message(folder.path()).contains("this is a folder"));
    assert!(message(&folder.path().join("none.pt")).contains("none.pt: No such file"));
}

#[test]
fn a_flipped_bit_of_a_weight_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped.pt");
    let mut bytes = fs::read(fixture("checkpoint_published.pt")).unwrap();
    let config = Imported::open(&import(&fixture("checkpoint_published.pt"), None)).unwrap();
    let config = config.config(None).unwrap();
    let mut imported = Imported::open(&import(&fixture("checkpoint_published.pt"), None)).unwrap();
    let weight = imported
        .tensors(&config)
        .unwrap()
        .remove("blocks.1.mlp.fc1.weight")
        .unwrap();
    let needle = weight.as_bytes();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at + 1000] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let message = message(&path);
    assert!(
        message.contains("flipped.pt") && message.contains("is damaged"),
        "{message}"
    );
}

#[test]
fn the_format_before_pytorch_1_6_is_read_like_the_one_since() {
    // The network of the fixture `inception`, of 94 convolutions with norms.
    let mut file = WeightsFile::open(fixture("inception.pth")).unwrap();
    assert_eq!((file.format(), file.step()), (Format::PyTorch, None));
    let tensors = file.read(None, |_| true).unwrap();
    assert_eq!(tensors.len(), 470);
    // PyTorch's own sums.
    for (name, shape, sum) in [
        ("Conv2d_1a_3x3.conv.weight", vec![2, 3, 3, 3], 0.11269270721822977),
        (
            "Mixed_6c.branch7x7dbl_4.conv.weight",
            vec![10, 10, 7, 1],
            0.7356351146736415,
        ),
        ("Mixed_7c.branch_pool.bn.running_var", vec![12], 11.99478542804718),
    ] {
        let data = &tensors[name];
        assert_eq!(data.shape().to_vec(), shape, "{name}");
        let found: f64 = data.iter::<f64>().sum();
        assert!((found - sum).abs() < 1e-6, "{name}: {found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_damaged_file_of_the_older_format_is_read_or_has_one_message(
        cut in prop::option::of(0.0f64..1.0),
        // The pickles are the first 71 kB.
        flips in prop::collection::vec((0usize..75_000, any::<u8>()), 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.pth");
        let mut bytes = fs::read(fixture("inception.pth")).unwrap();
        for (place, value) in flips {
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        fs::write(&path, &bytes).unwrap();
        let read = WeightsFile::open(&path).and_then(|mut file| {
            let read = file.read(None, |_| true);
            read.map(drop).map_err(|fault| file.error(fault))
        });
        if let Err(error) = read {
            let message = error.to_string();
            prop_assert!(message.contains("damaged.pth: "), "{}", message);
        }
    }

    #[test]
    fn a_damaged_file_is_read_or_has_one_message(
        cut in prop::option::of(0.0f64..1.0),
        // Most of a file is numbers; its ends hold the pickle and the list of entries.
        flips in prop::collection::vec((any::<u16>(), any::<bool>(), any::<u8>()), 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.pt");
        let mut bytes = fs::read(fixture("checkpoint_bare_module_prefix.pt")).unwrap();
        for (place, from_end, value) in flips {
            let place = usize::from(place) % 12_000;
            let at = if from_end { bytes.len() - 1 - place } else { place };
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        fs::write(&path, &bytes).unwrap();
        let message = message(&path);
        prop_assert!(message.is_empty() || message.contains("damaged.pt: "), "{}", message);
    }
}
