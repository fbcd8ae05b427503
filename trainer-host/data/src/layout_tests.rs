//! The layouts on disk: the same data gives the same batches, and what is wrong with a folder is said.

use std::fs;
use std::path::{Path, PathBuf};

use sextant_recipe::{DataConfig, HeldOut};
use tempfile::TempDir;

use crate::{Dataset, PackOptions, facts, load, npy, pack, read_all, recognise, verify};

/// Samples of the folders here.
const COUNT: usize = 24;

/// Shape of the moments: two channels of 4 x 4.
const MOMENTS: [usize; 3] = [4, 4, 4];

fn name(id: usize) -> String {
    format!("{:05}/img-mean-std-{id:08}.npy", id / 10)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Values that tell samples, forms and places apart.
fn values(id: usize, form: usize, count: usize) -> Vec<f32> {
    (0..count)
        .map(|at| (id * 1000 + form * 500 + at) as f32 * 0.003 - 20.0)
        .collect()
}

/// A folder in REPA's layout, with mirrored forms and the field `features`.
fn latents() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for id in 0..COUNT {
        for (form, end) in ["", "-flip"].into_iter().enumerate() {
            let at = |part: &str| folder.path().join(format!("{part}{end}")).join(name(id));
            write(&at("vae-sd"), &npy::encode(&MOMENTS, &values(id, form, 64)));
            write(&at("features"), &npy::encode(&[3, 2], &values(id, form, 6)));
        }
    }
    let labels: Vec<_> = (0..COUNT).rev().map(|id| (name(id), id % 5)).collect();
    document(folder.path(), &serde_json::json!({ "labels": labels }).to_string());
    folder
}

fn document(folder: &Path, text: &str) {
    fs::write(folder.join("vae-sd/dataset.json"), text).unwrap();
}

fn latents_of(path: &Path, flip: bool) -> DataConfig {
    DataConfig::Latents {
        vae: None,
        path: path.into(),
        classes: None,
        scale: 0.18215,
        fields: vec!["features".into()],
        flip,
        held_out: HeldOut::Share(0.25),
        split_seed: 3,
    }
}

fn packed_of(path: &Path, flip: bool) -> DataConfig {
    DataConfig::Packed {
        vae: None,
        path: path.into(),
        fields: vec!["features".into()],
        flip,
        held_out: None,
        split_seed: 0,
    }
}

/// Packs into shards of seven samples.
fn pack_small(dataset: &Dataset, out: &Path, half: bool) {
    let record = if half { 2 * (136 + 24) } else { 2 * (264 + 32) };
    let options = PackOptions {
        half,
        shard: 7 * record,
    };
    pack(dataset, out, options, |_| true).unwrap();
}

fn images() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for id in 0..COUNT {
        let class = ["cat", "dog", "eel"][id % 3];
        let path = folder.path().join(format!("{class}/{id}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let pixel = |x: u32, y: u32| image::Rgb([id as u8 * 9, x as u8 * 30, y as u8 * 30]);
        image::RgbImage::from_fn(8, 8, pixel).save(path).unwrap();
    }
    folder
}

fn images_of(path: &Path, flip: bool) -> DataConfig {
    DataConfig::Images {
        path: path.into(),
        size: 8,
        classes: None,
        flip,
        held_out: HeldOut::Share(0.25),
        split_seed: 3,
    }
}

fn same(one: &Dataset, other: &Dataset) {
    for k in 0..8 {
        assert_eq!(one.batch(9, k, 5).unwrap(), other.batch(9, k, 5).unwrap());
    }
    let all: Vec<usize> = (0..one.len()).collect();
    assert_eq!(one.gather(&all).unwrap(), other.gather(&all).unwrap());
    assert_eq!((one.train(), one.held_out()), (other.train(), other.held_out()));
    assert_eq!(one.class_names(), other.class_names());
    assert_eq!(one.codec(), other.codec());
}

fn message(config: &DataConfig) -> String {
    load(config).unwrap_err().to_string()
}

#[test]
fn latents_are_a_point_of_their_posterior_that_the_seed_and_the_step_choose() {
    let folder = latents();
    let dataset = load(&latents_of(folder.path(), false)).unwrap();
    assert_eq!((dataset.len(), dataset.shape()), (COUNT, [2, 4, 4]));
    assert_eq!(dataset.held_out().len(), 6);
    assert_eq!(dataset.labels()[7], 2);
    let mean: Vec<f32> = values(7, 0, 32).iter().map(|value| value * 0.18215).collect();
    assert_eq!(dataset.image(7).unwrap(), mean);

    let batch = dataset.batch(1, 2, 4).unwrap();
    for (row, &id) in batch.ids.iter().enumerate() {
        let id = id as usize;
        let noise = crate::FormDraws::new(1, 2).posterior(id);
        let moments = values(id, 0, 64);
        let wanted: Vec<f32> = noise
            .take(32)
            .enumerate()
            .map(|(at, noise)| (moments[at] + moments[32 + at] * noise) * 0.18215)
            .collect();
        assert_eq!(batch.x[row * 32..(row + 1) * 32], wanted);
        assert_eq!(
            batch.fields["features"].values[row * 6..(row + 1) * 6],
            values(id, 0, 6)
        );
    }
    let again = load(&latents_of(folder.path(), false)).unwrap();
    assert_eq!(batch, again.batch(1, 2, 4).unwrap());
    assert_ne!(batch.x, again.batch(2, 2, 4).unwrap().x);
}

#[test]
fn half_of_all_samples_are_mirrored_with_their_fields() {
    let folder = latents();
    let dataset = load(&latents_of(folder.path(), true)).unwrap();
    let mut seen = [0, 0];
    for k in 0..40 {
        let batch = dataset.batch(0, k, 5).unwrap();
        for (row, &id) in batch.ids.iter().enumerate() {
            let form = usize::from(crate::FormDraws::new(0, k).flip(id as usize));
            seen[form] += 1;
            let wanted = values(id as usize, form, 6);
            assert_eq!(batch.fields["features"].values[row * 6..(row + 1) * 6], wanted);
        }
    }
    assert!(seen.iter().all(|&seen| seen > 70), "{seen:?}");
    // Evaluation sees none of it.
    assert_eq!(
        dataset.image(0).unwrap(),
        load(&latents_of(folder.path(), false)).unwrap().image(0).unwrap()
    );
}

#[test]
fn packed_latents_give_the_same_batches() {
    let folder = latents();
    for flip in [false, true] {
        let dataset = load(&latents_of(folder.path(), flip)).unwrap();
        let out = folder.path().join(format!("packed-{flip}"));
        pack_small(&dataset, &out, false);
        let packed = load(&packed_of(&out, flip)).unwrap();
        same(&dataset, &packed);
        assert_eq!(packed.name(11), name(11));
        assert_eq!(recognise(&out).unwrap().path(), Some(out.as_path()));
        verify(&out, |_| true).unwrap();
        read_all(&packed, |_| true).unwrap();
        // Four shards: 7, 7, 7 and 3 samples.
        assert!(out.join("shard-00003.bin").is_file() && !out.join("shard-00004.bin").exists());
        // A packed set can be packed.
        let again = folder.path().join(format!("again-{flip}"));
        pack_small(&packed, &again, false);
        same(&packed, &load(&packed_of(&again, flip)).unwrap());
    }
}

#[test]
fn a_folder_of_another_layout_is_refused_with_what_would_be_right() {
    let (moments, pictures) = (latents(), images());
    let out = moments.path().join("packed");
    pack_small(&load(&latents_of(moments.path(), false)).unwrap(), &out, false);
    for (config, words) in [
        (packed_of(pictures.path(), false), "data.kind = \"images\""),
        (packed_of(moments.path(), false), "no index.json"),
        (images_of(&out, false), "data.kind = \"packed\""),
        (latents_of(&out, false), "data.kind = \"packed\""),
        (images_of(moments.path(), false), "data.path is the folder images"),
    ] {
        let message = message(&config);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn of_several_damaged_samples_the_first_is_named() {
    let folder = images();
    let dataset = load(&images_of(folder.path(), false)).unwrap();
    let mut told = Vec::new();
    read_all(&dataset, |done| {
        told.push(done);
        true
    })
    .unwrap();
    assert_eq!(told, [0, COUNT]);
    let path = |id: usize| folder.path().join(dataset.name(id));
    for (id, first) in [(19, 19), (4, 4), (11, 4)] {
        fs::write(path(id), b"no image").unwrap();
        let message = read_all(&dataset, |_| true).unwrap_err().to_string();
        assert!(message.contains(dataset.name(first)), "{id}: {message}");
    }
    assert!(matches!(read_all(&dataset, |_| false), Err(crate::DataError::Stopped)));
}

#[test]
fn half_precision_is_near_and_takes_half_the_room() {
    let folder = latents();
    let dataset = load(&latents_of(folder.path(), false)).unwrap();
    let out = folder.path().join("half");
    pack_small(&dataset, &out, true);
    let packed = load(&packed_of(&out, false)).unwrap();
    let all: Vec<usize> = (0..COUNT).collect();
    let (whole, half) = (dataset.gather(&all).unwrap(), packed.gather(&all).unwrap());
    assert!(whole.iter().zip(&half).all(|(a, b)| (a - b).abs() <= a.abs() * 1e-3));
    assert_ne!(whole, half);
}

#[test]
fn packed_images_give_the_same_batches() {
    let folder = images();
    for flip in [false, true] {
        let dataset = load(&images_of(folder.path(), flip)).unwrap();
        assert_eq!(dataset.class_names(), ["cat", "dog", "eel"]);
        assert_eq!(dataset.shape(), [3, 8, 8]);
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("packed");
        pack(&dataset, &out, PackOptions::default(), |_| true).unwrap();
        let config = DataConfig::Packed {
            vae: None,
            path: out,
            fields: Vec::new(),
            flip,
            held_out: None,
            split_seed: 0,
        };
        same(&dataset, &load(&config).unwrap());
    }
}

#[test]
fn packed_emoji_are_the_emoji() {
    let config = DataConfig::Emoji { size: 8, split_seed: 1 };
    let emoji = load(&config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("packed");
    pack(&emoji, &out, PackOptions::default(), |_| true).unwrap();
    let packed = load(&recognise(&out).unwrap()).unwrap();
    same(&emoji, &packed);
    assert_eq!(emoji.split_fingerprint(), packed.split_fingerprint());
    assert_eq!(emoji.sublabels(), packed.sublabels());
    assert_eq!(emoji.subclass_names(), packed.subclass_names());
    assert_eq!(emoji.train_counts(), packed.train_counts());
    assert!((0..emoji.len()).all(|id| emoji.group(id) == packed.group(id) && emoji.name(id) == packed.name(id)));
    // Groups stay together when another share is held out.
    let share = DataConfig::Packed {
        vae: None,
        path: out,
        fields: Vec::new(),
        flip: false,
        held_out: Some(HeldOut::Share(0.2)),
        split_seed: 1,
    };
    assert_eq!(load(&share).unwrap().held_out(), emoji.held_out());
}

#[test]
fn images_without_folders_or_with_labels_have_the_classes_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    for id in 0..5u8 {
        image::RgbImage::from_pixel(12, 9, image::Rgb([id, 7, 200]))
            .save(folder.path().join(format!("{id}.png")))
            .unwrap();
    }
    let config = images_of(folder.path(), false);
    let dataset = load(&config).unwrap();
    assert_eq!(dataset.class_names(), ["all"]);
    // Pixels are on the scale [-1, 1] as they are.
    assert!((dataset.image(3).unwrap()[64] - (7.0 / 127.5 - 1.0)).abs() < 1e-6);
    assert_eq!(
        facts(&config, &dataset).unwrap().statistics.samples,
        dataset.train().len()
    );
    assert!(matches!(
        recognise(folder.path()).unwrap(),
        DataConfig::Images { size: 9, .. }
    ));

    let labels = r#"{"labels": [["0.png", 1], ["1.png", 0], ["2.png", 0], ["3.png", 1], ["4.png", 1]], "class_names": ["x", "y", "z"]}"#;
    fs::write(folder.path().join("dataset.json"), labels).unwrap();
    let dataset = load(&config).unwrap();
    assert_eq!(dataset.class_names(), ["x", "y", "z"]);
    assert_eq!(dataset.labels(), [1, 0, 0, 1, 1]);
}

#[test]
fn a_list_or_a_folder_can_be_held_out() {
    let (folder, other) = (latents(), latents());
    let list = folder.path().join("list.txt");
    fs::write(&list, format!("{}\n{}\n", name(3), name(20))).unwrap();
    let with = |path: PathBuf| match latents_of(folder.path(), false) {
        DataConfig::Latents {
            path: root,
            classes,
            scale,
            fields,
            flip,
            split_seed,
            ..
        } => DataConfig::Latents {
            vae: None,
            path: root,
            classes,
            scale,
            fields,
            flip,
            held_out: HeldOut::Path(path),
            split_seed,
        },
        other => other,
    };
    assert_eq!(load(&with(list)).unwrap().held_out(), [3, 20]);
    write(
        &other.path().join("vae-sd").join(name(5)),
        &npy::encode(&MOMENTS, &values(77, 0, 64)),
    );
    let dataset = load(&with(other.path().into())).unwrap();
    assert_eq!((dataset.train().len(), dataset.held_out().len()), (COUNT, COUNT));
    let mean: Vec<f32> = values(77, 0, 32).iter().map(|value| value * 0.18215).collect();
    assert_eq!(dataset.image(COUNT + 5).unwrap(), mean);
    assert_eq!(dataset.labels()[COUNT + 5], 0);
}

#[test]
fn the_fingerprint_follows_names_sizes_labels_and_the_split() {
    let folder = latents();
    let of = || {
        load(&latents_of(folder.path(), false))
            .unwrap()
            .fingerprint()
            .to_owned()
    };
    let first = of();
    assert_eq!(first, of());
    let labels: Vec<_> = (0..COUNT).map(|id| (name(id), (id + 1) % 5)).collect();
    document(folder.path(), &serde_json::json!({ "labels": labels }).to_string());
    let second = of();
    assert_ne!(first, second);
    document(folder.path(), "{\"labels\": null}");
    assert_ne!(second, of());
}

#[test]
fn each_fault_of_a_folder_of_latents_is_named() {
    let with = |change: &dyn Fn(&Path)| {
        let folder = latents();
        change(folder.path());
        let dataset = load(&latents_of(folder.path(), false));
        let read = dataset.and_then(|dataset| {
            let all: Vec<usize> = (0..dataset.len()).collect();
            dataset.gather(&all).map(|_| ())
        });
        read.unwrap_err().to_string()
    };
    let file = |id: usize| move |folder: &Path| folder.join("vae-sd").join(name(id));
    let replaced = |id: usize, bytes: Vec<u8>| with(&|folder| fs::write(file(id)(folder), &bytes).unwrap());
    let good = npy::encode(&MOMENTS, &values(0, 0, 64));
    for (message, wanted) in [
        (
            with(&|folder| fs::remove_file(file(4)(folder)).unwrap()),
            "which is not there",
        ),
        (
            with(&|folder| {
                fs::copy(file(4)(folder), file(4)(folder).with_file_name("new.npy"))
                    .map(|_| ())
                    .unwrap()
            }),
            "no label for the file",
        ),
        (
            with(&|folder| document(folder, "{\"labels\": [")),
            "it must be JSON such as",
        ),
        (
            with(&|folder| fs::remove_file(folder.join("vae-sd/dataset.json")).unwrap()),
            "dataset.json",
        ),
        (
            replaced(0, npy::encode(&[3, 4, 4], &[0.0; 48])),
            "moments are [2C, H, W]",
        ),
        (
            replaced(9, npy::encode(&[2, 4, 8], &values(0, 0, 64))),
            "[4, 4, 4] is needed",
        ),
        (replaced(9, npy::encode(&[6, 4, 4], &[0.0; 96])), "[4, 4, 4] is needed"),
        (
            replaced(9, good[..good.len() - 1].to_vec()),
            "truncated: 383 bytes, 384 are needed",
        ),
        (replaced(9, [&good[..], &[0]].concat()), "1 bytes more"),
        (
            replaced(9, good.iter().map(|b| if *b == b'4' { b'8' } else { *b }).collect()),
            "values of type \"<f8\"",
        ),
        (
            replaced(
                9,
                String::from_utf8_lossy(&good[..128])
                    .replace("False,", "True, ")
                    .into_bytes(),
            ),
            ".npy",
        ),
        (replaced(9, Vec::new()), "no .npy file"),
        (
            replaced(9, npy::encode(&MOMENTS, &[f32::NAN; 64])),
            "value 0 is not finite",
        ),
        (
            with(&|folder| fs::remove_dir_all(folder.join("features")).unwrap()),
            "features",
        ),
    ] {
        assert!(message.contains(wanted), "{message} lacks {wanted}");
    }
    let missing = message(&latents_of(Path::new("/nowhere"), false));
    assert!(missing.contains("/nowhere"), "{missing}");
    let folder = latents();
    fs::remove_dir_all(folder.path().join("vae-sd-flip")).unwrap();
    let unflipped = message(&latents_of(folder.path(), true));
    assert!(
        unflipped.contains("data.flip") && unflipped.contains("vae-sd-flip"),
        "{unflipped}"
    );
}

#[test]
fn each_fault_of_a_folder_of_images_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let found = message(&images_of(empty.path(), false));
    assert!(found.contains("no sample in it") && found.contains(".png"), "{found}");
    let folder = images();
    fs::copy(folder.path().join("cat/0.png"), folder.path().join("0.png")).unwrap();
    let found = message(&images_of(folder.path(), false));
    assert!(found.contains("sub-folders") && found.contains("\"0.png\""), "{found}");
    fs::remove_file(folder.path().join("0.png")).unwrap();
    let config = DataConfig::Images {
        path: folder.path().into(),
        size: 8,
        classes: Some(2),
        flip: false,
        held_out: HeldOut::default(),
        split_seed: 0,
    };
    let found = message(&config);
    assert!(found.contains("data.classes") && found.contains("label 2"), "{found}");
    fs::write(folder.path().join("dog/1.png"), b"no image").unwrap();
    let dataset = load(&images_of(folder.path(), false)).unwrap();
    let found = read_all(&dataset, |_| true).unwrap_err().to_string();
    assert!(found.contains("dog/1.png"), "{found}");
}

#[test]
fn any_flipped_bit_of_a_packed_set_is_found_and_nothing_panics() {
    let folder = latents();
    let dataset = load(&latents_of(folder.path(), true)).unwrap();
    let out = folder.path().join("packed");
    pack_small(&dataset, &out, false);
    let read = || {
        let dataset = load(&packed_of(&out, true))?;
        dataset.image(0)?;
        dataset.train_counts();
        read_all(&dataset, |_| true)
    };
    read().unwrap();
    for file in fs::read_dir(&out).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let good = fs::read(&path).unwrap();
        // Some bits of the header, and of all that follows it.
        for bit in (0..good.len() * 8).step_by(good.len() / 9 * 8 + 3) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bad).unwrap();
            let padding = name.starts_with("shard") && read().is_ok();
            assert!(!padding || verify(&out, |_| true).is_err(), "{name}: bit {bit}");
            if !padding {
                assert!(read().unwrap_err().to_string().contains(&name), "{name}: bit {bit}");
            }
            let found = verify(&out, |_| true).unwrap_err().to_string();
            assert!(found.contains(&name), "{found}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        let found = message(&packed_of(&out, true));
        let cut = name == "index.json" || found.contains("truncated");
        assert!(found.contains(&name) && cut, "{found}");
        fs::write(&path, good).unwrap();
    }
    read().unwrap();
}

#[test]
fn a_shard_of_other_data_is_refused() {
    let (folder, other) = (latents(), latents());
    document(other.path(), "{\"labels\": null}");
    let pack_of = |folder: &Path| {
        let out = folder.join("packed");
        pack_small(&load(&latents_of(folder, false)).unwrap(), &out, false);
        out
    };
    let (one, two) = (pack_of(folder.path()), pack_of(other.path()));
    for file in ["shard-00001.bin", "labels.bin"] {
        let good = fs::read(one.join(file)).unwrap();
        fs::copy(two.join(file), one.join(file)).unwrap();
        let found = message(&packed_of(&one, false));
        assert!(
            found.contains(file) && found.contains("belongs to other data"),
            "{found}"
        );
        fs::write(one.join(file), good).unwrap();
    }
    fs::copy(one.join("shard-00000.bin"), one.join("shard-00001.bin")).unwrap();
    let found = message(&packed_of(&one, false));
    assert!(found.contains("another file"), "{found}");
}

#[test]
fn packing_leaves_a_whole_folder_or_none() {
    let folder = latents();
    let dataset = load(&latents_of(folder.path(), false)).unwrap();
    let out = folder.path().join("packed");
    let left = || fs::read_dir(folder.path()).unwrap().count();
    let before = left();
    let stopped = pack(&dataset, &out, PackOptions::default(), |_| false).unwrap_err();
    assert!(stopped.to_string().contains("stopped"), "{stopped}");
    fs::write(folder.path().join("vae-sd").join(name(23)), b"").unwrap();
    let failed = pack(&dataset, &out, PackOptions::default(), |_| true).unwrap_err();
    assert!(failed.to_string().contains(&name(23)), "{failed}");
    assert_eq!(left(), before);
    let taken = pack(&dataset, folder.path(), PackOptions::default(), |_| true).unwrap_err();
    assert!(taken.to_string().contains("there already"), "{taken}");
}

#[test]
fn an_error_of_the_loader_reaches_the_training_once() {
    let folder = latents();
    let dataset = load(&latents_of(folder.path(), false)).unwrap();
    let victim = dataset.train()[0];
    fs::remove_file(folder.path().join("vae-sd").join(name(victim))).unwrap();
    let diffusion = sextant_recipe::DiffusionRecipe::default();
    let loader = crate::StepLoader::new(dataset.into(), 0, 6, 0..9, diffusion, 5);
    let mut steps = loader.iter().skip_while(Result::is_ok);
    let error = steps.next().unwrap().unwrap_err().to_string();
    assert!(error.contains(&name(victim)), "{error}");
    assert!(steps.next().is_none());
}
