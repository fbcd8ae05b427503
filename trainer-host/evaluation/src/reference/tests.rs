//! Samples against the three forms of a reference, and what is none.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use npyz::WriterBuilder;
use sextant_data::Dataset;
use sextant_data::image::png;
use sextant_recipe::{QualityRecipe, Recipe, Score, parse_resolved};
use sextant_records::evaluation::Scores;
use sextant_stats::measure::{Features, shuffled};
use sextant_train::sample::npz;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::External;
use crate::cache::Cache;
use crate::fixture::{bytes, emoji_of};
use crate::judge::{self, Judge};
use crate::quality::{Against, Reference};

const SIDE: usize = 16;
const IMAGE: usize = SIDE * SIDE * 3;

/// A judge, the data, and a folder for references.
struct Ground {
    dataset: Dataset,
    judges: Vec<Judge>,
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let dataset = emoji_of(SIDE);
        Self {
            judges: judge::load(&["untrained".into()], &dataset, &Device::flex()).unwrap(),
            dataset,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Real images as they would be in a reference, fewer than features or more.
    fn real(&self) -> Vec<u8> {
        bytes(&self.dataset, &self.dataset.train()[..200])
    }

    /// Writes arrays under these names; the shape, and values of f64 or f32.
    fn arrays(&self, name: &str, arrays: &[(&str, &[u64], &[f64])], single: bool) -> PathBuf {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (key, shape, values) in arrays {
            archive
                .start_file(format!("{key}.npy"), SimpleFileOptions::default())
                .unwrap();
            let bytes = match single {
                true => array(&values.iter().map(|value| *value as f32).collect::<Vec<_>>(), shape),
                false => array(values, shape),
            };
            archive.write_all(&bytes).unwrap();
        }
        let path = self.path(name);
        std::fs::write(&path, archive.finish().unwrap().into_inner()).unwrap();
        path
    }

    /// Statistics of these images, as pytorch-fid stores them.
    fn statistics(&self, name: &str, pixels: &[u8], single: bool) -> PathBuf {
        let features = self.judges[0].features(pixels, SIDE).unwrap();
        let (mean, covariance) = moments(&features);
        let width = features.width() as u64;
        let arrays: [(&str, &[u64], &[f64]); 2] = [("mu", &[width], &mean), ("sigma", &[width, width], &covariance)];
        self.arrays(name, &arrays, single)
    }

    /// Scores of the first held-out images, and the floor of so many samples.
    fn scores(&self, path: &Path, floor: Option<usize>) -> (Scores, Option<Scores>) {
        self.scores_of(path, &self.dataset.held_out()[..100], floor)
    }

    fn scores_of(&self, path: &Path, samples: &[usize], floor: Option<usize>) -> (Scores, Option<Scores>) {
        let external = External::open(path).unwrap();
        external.check(&self.judges, SIDE).unwrap();
        let identity = external.identity().unwrap();
        let against = Against {
            external: &external,
            identity: &identity,
            side: SIDE,
        };
        let cache = Cache(Some(self.path("cache")));
        let floor_of = floor.map(|samples| (&self.dataset, samples));
        let look = |ids: &[usize]| Ok(self.judges[0].features_of(&self.dataset, ids)?);
        let reference = Reference::against(&self.judges[0], against, floor_of, &look, &cache).unwrap();
        let samples = bytes(&self.dataset, samples);
        let floor = reference.floor(floor.unwrap_or(20)).unwrap();
        (
            reference.quality(&samples, 1.0).unwrap().scores,
            floor.map(|floor| floor.scores),
        )
    }

    /// The message for a file or folder that is no reference of these samples.
    fn refusal(&self, path: &Path) -> String {
        let checked = External::open(path).and_then(|external| {
            external.check(&self.judges, SIDE)?;
            external.gaussian()
        });
        let message = checked.unwrap_err().to_string();
        let place = format!("evaluation.quality.reference names {}: ", path.display());
        assert!(message.starts_with(&place), "{message}");
        message
    }
}

fn array<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Mean and unbiased covariance, value by value.
fn moments(features: &Features) -> (Vec<f64>, Vec<f64>) {
    let (count, width) = (features.len() as f64, features.width());
    let mean: Vec<f64> = (0..width)
        .map(|at| features.rows().map(|row| row[at]).sum::<f64>() / count)
        .collect();
    let product = |i: usize, j: usize| {
        features
            .rows()
            .map(|row| (row[i] - mean[i]) * (row[j] - mean[j]))
            .sum::<f64>()
    };
    let pairs = (0..width).flat_map(|i| (0..width).map(move |j| (i, j)));
    let covariance = pairs.map(|(i, j)| product(i, j) / (count - 1.0)).collect();
    (mean, covariance)
}

#[test]
fn a_reference_is_one_in_each_of_its_forms() {
    let ground = Ground::new();
    let real = ground.real();
    let folder = ground.path("images");
    std::fs::create_dir_all(folder.join("0")).unwrap();
    for (place, pixels) in real.chunks_exact(IMAGE).enumerate() {
        let image = image::RgbImage::from_raw(SIDE as u32, SIDE as u32, pixels.to_vec()).unwrap();
        let name = if place < 50 { "0/" } else { "" };
        std::fs::write(folder.join(format!("{name}{place:03}.png")), png(&image).unwrap()).unwrap();
    }
    let file = ground.path("images.npz");
    std::fs::write(&file, npz(&real, SIDE).unwrap()).unwrap();
    let (of_folder, floor) = ground.scores(&folder, None);
    assert_eq!(floor, None);
    let close = |found: f64, wanted: f64, what: &str| {
        assert!((found / wanted - 1.0).abs() < 1e-7, "{what}: {found} and {wanted}");
    };
    // Twice: the second time what the judge saw is kept.
    for _ in 0..2 {
        let (of_file, _) = ground.scores(&file, None);
        close(of_file.frechet, of_folder.frechet, "images");
        for (found, wanted) in [
            (of_file.kernel, of_folder.kernel),
            (of_file.precision, of_folder.precision),
            (of_file.recall, of_folder.recall),
        ] {
            close(found.unwrap(), wanted.unwrap(), "rows");
        }
    }
    let statistics = ground.statistics("statistics.npz", &real, false);
    let (of_statistics, _) = ground.scores(&statistics, None);
    let wanted = Scores {
        frechet: of_statistics.frechet,
        ..Scores::default()
    };
    close(of_statistics.frechet, of_folder.frechet, "statistics");
    assert_eq!(of_statistics, wanted, "what takes rows is not measured");
    let (single, _) = ground.scores(&ground.statistics("single.npz", &real, true), None);
    assert!((single.frechet / of_folder.frechet - 1.0).abs() < 1e-3, "{single:?}");
}

#[test]
fn held_out_images_are_the_floor_where_there_are_enough() {
    let ground = Ground::new();
    let statistics = ground.statistics("statistics.npz", &ground.real(), false);
    let held_out = ground.dataset.held_out();
    let order = shuffled(held_out.len(), 0);
    let chosen: Vec<usize> = order[..100].iter().map(|&at| held_out[at]).collect();
    let (scores, floor) = ground.scores_of(&statistics, &chosen, Some(100));
    let floor = floor.unwrap();
    assert!(
        (floor.frechet / scores.frechet - 1.0).abs() < 1e-9,
        "{floor:?} {scores:?}"
    );
    assert_eq!(floor.kernel, None);
    let more = ground.dataset.held_out().len() + 1;
    assert_eq!(ground.scores(&statistics, Some(more)).1, None);
}

#[test]
fn a_file_of_the_adm_suite_is_statistics_and_images() {
    let ground = Ground::new();
    let (real, other) = (ground.real(), bytes(&ground.dataset, &ground.dataset.train()[300..400]));
    let statistics = ground.statistics("statistics.npz", &real, false);
    let images = ground.path("images.npz");
    std::fs::write(&images, npz(&other, SIDE).unwrap()).unwrap();
    // The arrays of both, and those of the suite that are not read.
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for path in [&statistics, &images] {
        let mut from = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
        for index in 0..from.len() {
            archive.raw_copy_file(from.by_index_raw(index).unwrap()).unwrap();
        }
    }
    for key in ["mu_s", "sigma_s"] {
        archive
            .start_file(format!("{key}.npy"), SimpleFileOptions::default())
            .unwrap();
        archive.write_all(&array(&[f64::NAN], &[1])).unwrap();
    }
    let both = ground.path("both.npz");
    std::fs::write(&both, archive.finish().unwrap().into_inner()).unwrap();
    let [both, statistics, images] = [&both, &statistics, &images].map(|path| ground.scores(path, None).0);
    assert_eq!(both.frechet, statistics.frechet);
    assert_eq!((both.kernel, both.recall), (images.kernel, images.recall));
    let description = External::open(&ground.path("both.npz")).unwrap().identity().unwrap();
    assert_eq!(description.description, "100 images and statistics of 64 features");
}

#[test]
fn what_is_no_reference_is_said_with_its_file_and_key() {
    let ground = Ground::new();
    let square = |value: f64| {
        let mut values = vec![0.0; 64 * 64];
        (0..64).for_each(|i| values[i * 65] = value);
        values
    };
    let (mean, covariance) = (vec![0.0; 64], square(1.0));
    let with = |values: &[f64], at: usize, value: f64| {
        let mut values = values.to_vec();
        values[at] = value;
        values
    };
    let (mu, sigma): (&[u64], &[u64]) = (&[64], &[64, 64]);
    type Arrays<'a> = Vec<(&'a str, &'a [u64], &'a [f64])>;
    let blind = with(&mean, 3, f64::NAN);
    let endless = with(&covariance, 70, f64::INFINITY);
    let lopsided = with(&covariance, 1, 0.5);
    let negative = with(&covariance, 65, -1.0);
    let cases: [(Arrays, &str); 9] = [
        (vec![("mu", mu, &mean)], "sigma is missing"),
        (vec![("sigma", sigma, &covariance)], "mu is missing"),
        (
            vec![("mu", &[8, 8], &mean), ("sigma", sigma, &covariance)],
            "mu has the shape [8, 8]",
        ),
        (
            vec![("mu", mu, &mean), ("sigma", &[32, 128], &covariance)],
            "sigma has the shape [32, 128]",
        ),
        (
            vec![("mu", mu, &blind), ("sigma", sigma, &covariance)],
            "mu holds NaN at place 3",
        ),
        (
            vec![("mu", mu, &mean), ("sigma", sigma, &endless)],
            "sigma holds inf at place 70",
        ),
        (
            vec![("mu", mu, &mean), ("sigma", sigma, &lopsided)],
            "sigma is not symmetric",
        ),
        (vec![("mu", mu, &mean), ("sigma", sigma, &negative)], "no covariance"),
        (vec![("a", mu, &mean), ("b", mu, &mean)], "it has the arrays [a, b]"),
    ];
    for (arrays, words) in cases {
        let message = ground.refusal(&ground.arrays("wrong.npz", &arrays, false));
        assert!(message.contains(words), "{words} in {message}");
    }
    let narrow = ground.arrays(
        "narrow.npz",
        &[("mu", &[2], &[0.0; 2]), ("sigma", &[2, 2], &[1.0, 0.0, 0.0, 1.0])],
        false,
    );
    let message = ground.refusal(&narrow);
    for words in ["mu has 2 values", "\"untrained\" has 64 features"] {
        assert!(message.contains(words), "{message}");
    }
    let small = ground.path("small.npz");
    std::fs::write(&small, npz(&[7; 4 * 8 * 8 * 3], 8).unwrap()).unwrap();
    assert!(ground.refusal(&small).contains("8 pixels a side, and the samples 16"));
    let text = ground.path("text.npz");
    std::fs::write(&text, "no archive").unwrap();
    assert!(ground.refusal(&text).contains("cannot be read as .npz"));
    assert!(ground.refusal(&ground.path("absent.npz")).contains("No such file"));
    let empty = ground.path("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(ground.refusal(&empty).contains("there is no sample in it"));
}

#[test]
fn an_image_that_cannot_be_read_is_named() {
    let ground = Ground::new();
    let folder = ground.path("images");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("broken.png"), "no image").unwrap();
    let external = External::open(&folder).unwrap();
    let message = external.features(&ground.judges[0], SIDE).unwrap_err().to_string();
    assert!(message.contains("broken.png: not an image"), "{message}");
}

#[test]
fn statistics_choose_no_scale_and_compare_by_no_kernel_distance() {
    let ground = Ground::new();
    let path = ground.statistics("statistics.npz", &ground.real(), false);
    let recipe = |scales: &[f64], primary: Score| {
        let text = "data = { kind = \"emoji\", size = 16 }\nmodel = { patch_size = 2, hidden_size = 16, depth = 2, num_heads = 2 }\n\
                    phases = [{ name = \"train\", steps = 1 }]";
        let mut recipe: Recipe = parse_resolved(Path::new("recipe.toml"), text).unwrap();
        recipe.evaluation.primary = primary;
        recipe.evaluation.quality = Some(QualityRecipe {
            scales: scales.to_vec(),
            reference: Some(path.display().to_string()),
            ..QualityRecipe::default()
        });
        recipe
    };
    let refusal = |recipe: &Recipe| {
        let external = External::of(recipe).unwrap().unwrap();
        let checked = external.check_choices(recipe);
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    };
    assert_eq!(refusal(&recipe(&[2.0], Score::FrechetDistance)), "");
    assert!(refusal(&recipe(&[1.0, 2.0], Score::FrechetDistance)).contains("evaluation.quality.scales"));
    assert!(refusal(&recipe(&[2.0], Score::KernelDistance)).contains("evaluation.primary"));
}
