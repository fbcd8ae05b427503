//! From the names in a recipe to judges.

use super::base::{Backbone, Judge};
use super::dinov2::ClassToken;
use super::error::JudgeError;
use super::inception::Pool3;
use super::trained::Trained;
use super::untrained::Untrained;
use crate::Error;
use burn::tensor::Device;
use sextant_data::Dataset;
use sextant_model::encoder::{Encoder, Published, Target};
use sextant_model::inception::{self, Inception};

/// The judge that ships inside the binary: `configs/judge.toml`, trained. At most 1.5 MB.
const EMBEDDED_JUDGE: &[u8] = include_bytes!("../../../assets/judge.safetensors");

/// The judges that `evaluation.quality.judges` names, in that order: `"embedded"`, `"untrained"`, the path of a file that
/// `sextant encoder train` wrote, a DINOv2 as `hf:owner/name` or the path of its folder, or the file of FID's Inception network, which may
/// lie in the hub's cache.
///
/// # Errors
/// A file that cannot be read, a judge that was trained on another split than the data's, a network named twice, latents
/// without a decoder.
pub fn load(names: &[String], dataset: &Dataset, device: &Device) -> Result<Vec<Judge>, Error> {
    if !names.is_empty() {
        dataset.picture_side()?;
    }
    let mut judges: Vec<Judge> = Vec::with_capacity(names.len());
    for name in names {
        let judge = Judge::new(name, backbone(name, dataset, device)?, device);
        let same = |other: &&Judge| other.identity().fingerprint == judge.identity().fingerprint;
        if let Some(first) = judges.iter().find(same) {
            return Err(JudgeError::Twice {
                first: first.name().into(),
                second: name.clone(),
            }
            .into());
        }
        judges.push(judge);
    }
    Ok(judges)
}

fn backbone(name: &str, dataset: &Dataset, device: &Device) -> Result<Box<dyn Backbone>, JudgeError> {
    if let Some((file, _)) = inception::weights_file(name) {
        let network = Inception::load(&file, device).map_err(|source| JudgeError::Inception {
            judge: name.into(),
            source,
        })?;
        return Ok(Box::new(Pool3::new(network)));
    }
    let fault = |source| JudgeError::Encoder {
        judge: name.into(),
        source,
    };
    let encoder = match name {
        published if Published::is_named_by(published) => {
            let published = Published::load(published, device).map_err(fault)?;
            return Ok(Box::new(ClassToken::new(published.network().clone())));
        }
        "untrained" => return Ok(Box::new(Untrained::new(device))),
        "embedded" => Encoder::from_bytes(EMBEDDED_JUDGE, name, device),
        path => Encoder::load(path, device),
    };
    let encoder = encoder.map_err(fault)?;
    let (trained, data) = (&encoder.origin().split, dataset.split_fingerprint());
    if *trained != data {
        let short = |hash: &str| hash.chars().take(12).collect();
        return Err(JudgeError::Split {
            judge: name.into(),
            trained: short(trained),
            data: short(&data),
        });
    }
    Ok(Box::new(Trained::new(encoder, dataset)))
}

/// An error where one of `judges` is the network that guides: weights are compared, not names or paths.
pub fn refuse_target_encoder(judges: &[Judge], encoder: Option<&Target>) -> Result<(), JudgeError> {
    let Some(fingerprint) = encoder.map(Target::fingerprint) else {
        return Ok(());
    };
    match judges.iter().find(|judge| judge.identity().fingerprint == fingerprint) {
        Some(judge) => Err(JudgeError::TargetEncoder {
            judge: judge.name().into(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sextant_data::load as read;
    use sextant_model::encoder::target_encoder;
    use sextant_model::{parse_safetensors, write_safetensors};
    use sextant_recipe::DataConfig;
    use sextant_recipe::{EncoderConfig, TargetEncoder};
    use sextant_stats::measure::{Features, nearest};
    use std::path::Path;

    const RECIPE: &str = include_str!("../../../../configs/judge.toml");

    fn emoji(size: usize, split_seed: u64) -> Dataset {
        read(&DataConfig::emoji(size, split_seed)).unwrap()
    }

    fn named(name: &str, dataset: &Dataset) -> Judge {
        load(&[name.into()], dataset, &Device::flex()).unwrap().remove(0)
    }

    fn refusal(names: &[&str], dataset: &Dataset) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        load(&names, dataset, &Device::flex()).unwrap_err().to_string()
    }

    fn largest_gap(left: &Features, right: &Features) -> f64 {
        let gaps = left.values().iter().zip(right.values()).map(|(a, b)| (a - b).abs());
        gaps.fold(0.0, f64::max)
    }

    #[test]
    fn the_shipped_judge_is_of_its_recipe_and_akin_to_no_target_encoder() {
        let recipe: EncoderConfig = toml::from_str(RECIPE).unwrap();
        recipe.validate().unwrap();
        let judge = Encoder::from_bytes(EMBEDDED_JUDGE, "embedded", &Device::flex()).unwrap();
        assert_eq!(judge.origin().recipe, recipe);
        assert_eq!(judge.origin().data, read(&recipe.data).unwrap().fingerprint());
        assert!(EMBEDDED_JUDGE.len() <= 1_500_000);
        let encoder = target_encoder(&TargetEncoder::default(), &Device::flex()).unwrap();
        let encoder = &encoder.origin().recipe;
        assert_ne!(recipe.network.family, encoder.network.family);
        assert_ne!(recipe.objective.kind, encoder.objective.kind);
        assert_ne!(recipe.training.seed, encoder.training.seed);
    }

    /// Shares of the held-out images whose class, and whose finer class of at least ten images, wins the vote of the ten
    /// nearest training images by cosine similarity.
    fn named_by_neighbours(dataset: &Dataset, rows: &[f64]) -> [f64; 2] {
        let width = rows.len() / dataset.len();
        let unit = |id: &usize| {
            let row = &rows[id * width..(id + 1) * width];
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
            row.iter().map(move |v| v / norm)
        };
        let share = |labels: &[i64], least: usize| {
            let common = |id: &usize| labels.iter().filter(|label| **label == labels[*id]).count() >= least;
            let [known, queries] = [dataset.train(), dataset.held_out()]
                .map(|part| part.iter().copied().filter(common).collect::<Vec<usize>>());
            let [known_rows, query_rows] =
                [&known, &queries].map(|ids| Features::new(ids.iter().flat_map(unit).collect(), width).unwrap());
            let near = nearest(&query_rows, &known_rows, 10);
            let right = queries.iter().zip(&near).filter(|(query, near)| {
                let voters = || near.iter().map(|neighbour| labels[known[neighbour.index]]);
                let votes = |label: i64| voters().filter(|other| *other == label).count();
                // The last of equals wins, so the nearest is put last.
                voters().rev().max_by_key(|label| votes(*label)) == Some(labels[**query])
            });
            right.count() as f64 / queries.len() as f64
        };
        [share(dataset.labels(), 1), share(dataset.sublabels(), 10)]
    }

    #[test]
    fn the_shipped_networks_know_more_than_before_their_training_and_than_pixels() {
        let device = Device::flex();
        let encoder = target_encoder(&TargetEncoder::default(), &device).unwrap();
        let judge = Encoder::from_bytes(EMBEDDED_JUDGE, "embedded", &device).unwrap();
        for (trained, size, margin) in [(encoder, 32, 0.02), (judge, 16, 0.03)] {
            let dataset = emoji(size, 0);
            let all: Vec<usize> = (0..dataset.len()).collect();
            let known = |encoder: Encoder| {
                let judge = Judge::new("any", Box::new(Trained::new(encoder, &dataset)), &device);
                named_by_neighbours(&dataset, judge.features_of(&dataset, &all).unwrap().values())
            };
            let untrained = known(Encoder::untrained(&trained.origin().recipe, &dataset, &device).unwrap());
            let pixels: Vec<f64> = dataset.gather(&all).unwrap().into_iter().map(f64::from).collect();
            let (pixels, trained) = (named_by_neighbours(&dataset, &pixels), known(trained));
            for other in [untrained, pixels] {
                let more = trained
                    .iter()
                    .zip(other)
                    .all(|(trained, other)| *trained > other + margin);
                assert!(more, "at {size} pixels {trained:?} {other:?}");
            }
        }
    }

    #[test]
    fn judges_see_each_image_alone_and_every_size() {
        let (small, large) = (emoji(16, 0), emoji(32, 0));
        for name in ["embedded", "untrained"] {
            let judge = named(name, &small);
            let together = judge.features_of(&small, &[3, 7, 900]).unwrap();
            assert_eq!((together.len(), together.width()), (3, judge.width()));
            let alone = judge.features_of(&small, &[7]).unwrap();
            assert!(largest_gap(&alone, &together.select(&[1])) < 1e-4, "{name}");
            // Twice the size is nearly the same picture, another image is not.
            let larger = judge.features_of(&large, &[7]).unwrap();
            let other = largest_gap(&alone, &together.select(&[2]));
            assert!(largest_gap(&alone, &larger) < 0.5 * other, "{name}");
        }
    }

    #[test]
    fn judges_keep_their_names_order_and_identity() {
        let dataset = emoji(16, 0);
        let names = ["untrained".to_owned(), "embedded".to_owned()];
        let judges = load(&names, &dataset, &Device::flex()).unwrap();
        assert_eq!(
            judges.iter().map(Judge::name).collect::<Vec<_>>(),
            ["untrained", "embedded"]
        );
        let again = named("untrained", &emoji(32, 3));
        assert_eq!(again.identity(), judges[0].identity());
        assert_eq!(
            judges[1].identity().description,
            "patch network, supervised on 98 classes, 64 features"
        );
        for judge in &judges {
            assert_eq!(judge.identity().fingerprint.len(), 64);
        }
    }

    #[test]
    fn a_judge_that_cannot_be_had_is_named() {
        let dataset = emoji(16, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, reason) in [("absent", "No such file"), ("broken", "broken")] {
            std::fs::write(path("broken"), b"no tensors here").unwrap();
            let message = refusal(&[&path(name)], &dataset);
            assert!(
                message.contains("evaluation.quality.judges") && message.contains(&path(name)),
                "{message}"
            );
            assert!(message.contains(reason), "{message}");
        }
        let message = refusal(&["embedded"], &emoji(16, 1));
        assert!(
            message.contains("\"embedded\"") && message.contains("data.split_seed"),
            "{message}"
        );
        std::fs::write(path("twin"), EMBEDDED_JUDGE).unwrap();
        let message = refusal(&["embedded", &path("twin")], &dataset);
        assert!(
            message.contains("same network") && message.contains("twin"),
            "{message}"
        );
    }

    /// A folder in the hub's layout, with the tiny DINOv2 of the fixtures.
    fn dinov2() -> tempfile::TempDir {
        let bytes = include_bytes!("../../../../tests/fixtures/dinov2.safetensors");
        let (tensors, metadata) = parse_safetensors(bytes, Path::new("fixture")).unwrap();
        let settings: serde_json::Value = serde_json::from_str(&metadata["json"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), settings["config"].to_string()).unwrap();
        let model = tensors
            .into_iter()
            .filter_map(|(name, data)| Some((name.strip_prefix("model.")?.to_owned(), data)));
        write_safetensors(
            folder.path().join("model.safetensors"),
            &model.collect(),
            &Default::default(),
        )
        .unwrap();
        folder
    }

    #[test]
    fn a_folder_in_the_hubs_layout_is_a_judge_unless_it_guides() {
        let (dataset, device, folder) = (emoji(16, 0), Device::flex(), dinov2());
        let name = folder.path().display().to_string();
        let judges = load(&[name.clone(), "untrained".into()], &dataset, &device).unwrap();
        let identity = judges[0].identity();
        assert_eq!(identity.description, "DINOv2 of 3 blocks, 24 features (class token)");
        let together = judges[0].features_of(&dataset, &[3, 7]).unwrap();
        assert_eq!((together.len(), together.width()), (2, 24));
        let alone = judges[0].features_of(&dataset, &[7]).unwrap();
        assert!(largest_gap(&alone, &together.select(&[1])) < 1e-4);
        assert!(largest_gap(&alone, &together.select(&[0])) > 1e-2);
        // It has no split, so any will do.
        load(std::slice::from_ref(&name), &emoji(16, 5), &device).unwrap();
        let guide = TargetEncoder {
            weights: name,
            ..TargetEncoder::default()
        };
        let guide = Target::load(&guide, &device).unwrap();
        let message = refuse_target_encoder(&judges, Some(&guide)).unwrap_err().to_string();
        assert!(message.contains("encoder.weights"), "{message}");
        refuse_target_encoder(&judges[1..], Some(&guide)).unwrap();
        let message = refusal(&["hf:nobody/nothing@0"], &dataset);
        assert!(
            message.contains("hf:nobody/nothing@0") && message.contains("models--nobody--nothing"),
            "{message}"
        );
    }

    #[test]
    fn the_file_of_an_inception_network_is_a_judge() {
        let (dataset, device) = (emoji(16, 5), Device::flex());
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/inception.pth");
        let judges = load(&[fixture.into(), "untrained".into()], &dataset, &device).unwrap();
        assert_eq!(
            judges[0].identity().description,
            "Inception v3 of FID, 128 features (pool3)"
        );
        let together = judges[0].features_of(&dataset, &[3, 7]).unwrap();
        let alone = judges[0].features_of(&dataset, &[7]).unwrap();
        assert!(largest_gap(&alone, &together.select(&[1])) < 1e-4);
        assert!(largest_gap(&alone, &together.select(&[0])) > 1e-2);
        // One that is known by its first layer, and is cut short.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        let first = burn::tensor::TensorData::new(vec![0f32; 54], [2, 3, 3, 3]);
        write_safetensors(
            &path,
            &[("Conv2d_1a_3x3.conv.weight".to_owned(), first)].into(),
            &Default::default(),
        )
        .unwrap();
        let message = refusal(&[&path.display().to_string()], &dataset);
        for part in ["evaluation.quality.judges", "469 tensors do not fit"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_guide_is_refused_as_a_judge_by_whatever_path() {
        let (dataset, device) = (emoji(16, 0), Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("another-name.safetensors");
        std::fs::write(&path, sextant_model::encoder::EMBEDDED_ENCODER).unwrap();
        let judges = load(&["embedded".into(), path.display().to_string()], &dataset, &device).unwrap();
        let encoder = Target::load(&TargetEncoder::default(), &device).unwrap();
        let message = refuse_target_encoder(&judges, Some(&encoder)).unwrap_err().to_string();
        for part in ["evaluation.quality.judges", "encoder.weights", "another-name"] {
            assert!(message.contains(part), "{message}");
        }
        refuse_target_encoder(&judges[..1], Some(&encoder)).unwrap();
        refuse_target_encoder(&judges, None).unwrap();
    }

    #[test]
    fn bytes_that_are_no_images_are_refused() {
        let judge = named("untrained", &emoji(16, 0));
        for (bytes, side) in [(0, 16), (767, 16), (768, 0), (769, 16)] {
            let message = judge.features(&vec![0; bytes], side).unwrap_err().to_string();
            assert!(message.contains(&format!("{bytes} bytes")), "{message}");
        }
    }
}
