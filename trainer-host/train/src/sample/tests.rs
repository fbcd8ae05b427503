use std::fs;
use std::path::Path as FilePath;
use std::sync::LazyLock;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::TensorData;
use rand::Rng;
use rand_distr::StandardNormal;

use super::*;
use crate::ProgressMode;
use crate::reduce::on_ranks;
use sextant_data::Stream;
use sextant_model::{SitConfig, frozen_copy};
use sextant_recipe::{DataConfig, SamplerMethod};

/// Adds noise to every parameter: in a fresh network the last layer is zero.
struct Shaken(rand_chacha::ChaCha8Rng);

impl ModuleMapper for Shaken {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let shape = tensor.dims();
            let noise = (&mut self.0).sample_iter::<f32, _>(StandardNormal);
            let noise: Vec<f32> = noise.take(shape.iter().product()).collect();
            tensor.clone() + Tensor::<D>::from_data(TensorData::new(noise, shape), &tensor.device()).mul_scalar(0.2)
        })
    }
}

fn network(hidden_size: usize) -> Sit {
    let config = SitConfig {
        input_size: 8,
        patch_size: 2,
        in_channels: 3,
        hidden_size,
        depth: 2,
        num_heads: 2,
        num_classes: 9,
        qk_norm: true,
        mlp_ratio: 4.0,
    };
    let mut draws = Stream::new(1, "test").at(&[]);
    frozen_copy(&Sit::init(&config, &mut draws, &Device::flex()).unwrap()).map(&mut Shaken(draws))
}

fn drawing(method: SamplerMethod, batch: usize) -> Drawing {
    Drawing {
        sampler: SamplerConfig {
            method,
            steps: 3,
            cfg_scale: 1.5,
            guidance_low: 0.0,
            guidance_high: 0.8,
        },
        path: Path::Linear,
        prediction: Prediction::default(),
        seed: 5,
        batch,
    }
}

fn emoji() -> Dataset {
    sextant_data::load(&DataConfig::emoji(8, 0)).unwrap()
}

/// Latents of the samples from `first` on to 70, in passes of `rows`, of which the last may go beyond.
fn latents(network: &Sit, dataset: &Dataset, method: SamplerMethod, first: usize, rows: usize) -> Vec<f64> {
    let drawing = drawing(method, rows);
    let sampler = Sampler {
        config: drawing.sampler.clone(),
        path: drawing.path,
        prediction: drawing.prediction,
        null_class: 9,
    };
    let mut all = Vec::new();
    for first in (first..70).step_by(rows) {
        let numbers = first..first + rows;
        let labels: Vec<usize> = numbers.clone().map(|i| i % 10).collect();
        let mut streams = SampleStreams::new(drawing.seed, numbers.map(|i| i as u64));
        let start = streams.initial(dataset.shape());
        let forward = |x: Tensor<4>, t: Tensor<1>, y: Tensor<1, Int>| network.forward(x, t, y, &[]).output;
        let drawn = sampler.sample(forward, start, &labels, &mut streams, &Device::flex());
        all.extend(drawn.unwrap().values);
    }
    all.truncate((70 - first) * dataset.sample_len());
    all
}

#[test]
fn an_image_does_not_depend_on_its_place_in_a_batch_and_by_roundings_on_the_batch_size() {
    let dataset = emoji();
    for (hidden_size, method) in [
        (16, SamplerMethod::Euler),
        (16, SamplerMethod::Heun),
        (16, SamplerMethod::Sde),
        (96, SamplerMethod::Sde),
    ] {
        let network = network(hidden_size);
        let wanted = latents(&network, &dataset, method, 0, 64);
        let scale = wanted.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        for rows in [1, 7, 64] {
            let whole = latents(&network, &dataset, method, 0, rows);
            // A part, whose passes hold others.
            let part = latents(&network, &dataset, method, 5, rows);
            let same = part == whole[5 * dataset.sample_len()..];
            assert!(same, "width {hidden_size}, {method:?}, {rows} rows");
            // The matrix product sums in another order where rows are few.
            let gaps = whole.iter().zip(&wanted).map(|(a, b)| (a - b).abs() / scale);
            let gap = gaps.fold(0.0, f64::max);
            assert!(gap < 1e-5, "width {hidden_size}, {method:?}, {rows} rows: {gap:e}");
        }
    }
}

/// A world of one.
static ALONE: LazyLock<Ranks> = LazyLock::new(Ranks::default);

fn job<'a>(network: &'a Sit, dataset: &'a Dataset, device: &'a Device, part: &str) -> SampleJob<'a> {
    SampleJob {
        network,
        origin: "a test".into(),
        file: None,
        drawing: drawing(SamplerMethod::Sde, 4),
        side: dataset.picture_side().unwrap(),
        dataset,
        device,
        labels: Labels::Random,
        count: 23,
        part: part.parse().unwrap(),
        ranks: &ALONE,
    }
}

fn entries(folder: &FilePath) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn parts_and_what_was_left_come_to_the_bytes_of_one_job() {
    let (dataset, device, network) = (emoji(), Device::flex(), network(16));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let run = |npz: &str, part: &str| {
        job(&network, &dataset, &device, part)
            .run(&path(npz), ProgressMode::Quiet)
            .map(|drawn| drawn.unwrap().0)
    };
    assert_eq!(run("whole.npz", "1/1").unwrap(), Drawn::Written);
    assert_eq!(run("whole.npz", "1/1").unwrap(), Drawn::Before);
    assert_eq!(entries(folder.path()), ["whole.npz"]);
    let whole = fs::read(path("whole.npz")).unwrap();

    let missing = |parts: &[&str]| Drawn::Part {
        missing: parts.iter().map(|part| part.parse().unwrap()).collect(),
    };
    assert_eq!(run("parts.npz", "3/3").unwrap(), missing(&["1/3", "2/3"]));
    assert_eq!(run("parts.npz", "1/3").unwrap(), missing(&["2/3"]));
    assert_eq!(run("parts.npz", "2/3").unwrap(), Drawn::Written);
    assert_eq!(run("parts.npz", "3/3").unwrap(), Drawn::Before);
    assert!(fs::read(path("parts.npz")).unwrap() == whole);
    assert_eq!(entries(folder.path()), ["parts.npz", "whole.npz"]);

    // More parts than samples: some are empty.
    let mut few = job(&network, &dataset, &device, "1/3");
    few.count = 2;
    for part in ["1/3", "2/3", "3/3"] {
        few.part = part.parse().unwrap();
        few.run(&path("few.npz"), ProgressMode::Quiet).unwrap();
    }
    assert_eq!(SampleFile::open(&path("few.npz")).unwrap().count(), 2);

    // What a killed process left, of images and of the .npz.
    let left = job(&network, &dataset, &device, "1/1");
    let mut line = left.settings();
    line["part"] = "1/1".into();
    let images = read_npz(&path("whole.npz")).unwrap().bytes;
    let there = [format!("{line}\n").as_bytes(), &images[..9 * 192 + 7]].concat();
    fs::write(path("left.npz.partial"), there).unwrap();
    fs::write(path("left.npz.writing"), vec![1; 100_000]).unwrap();
    assert_eq!(run("left.npz", "1/1").unwrap(), Drawn::Written);
    assert!(fs::read(path("left.npz")).unwrap() == whole);
}

#[test]
fn ranks_come_to_the_bytes_of_one_and_hear_of_a_file_that_is_in_the_way() {
    let (dataset, network) = (emoji(), network(16));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let on = |count: usize, npz: &str| {
        on_ranks(count, |ranks| {
            let device = Device::flex();
            let mut job = job(&network, &dataset, &device, "1/1");
            job.ranks = &ranks;
            let drawn = job.run(&path(npz), ProgressMode::Quiet);
            drawn.map(|drawn| drawn.map(|(drawn, _)| drawn))
        })
    };
    assert_eq!(on(1, "one.npz").remove(0).unwrap(), Some(Drawn::Written));
    let one = fs::read(path("one.npz")).unwrap();
    for count in [2, 4] {
        let npz = format!("{count}.npz");
        let drawn: Vec<_> = on(count, &npz).into_iter().map(Result::unwrap).collect();
        assert_eq!(drawn[0], Some(Drawn::Written));
        assert!(drawn[1..].iter().all(Option::is_none));
        assert!(fs::read(path(&npz)).unwrap() == one, "{count} ranks");
        assert_eq!(on(count, &npz)[0].as_ref().unwrap(), &Some(Drawn::Before));
        // A grid that is drawn in memory.
        let labels = labels(9, 23);
        let grids = on_ranks(count, |ranks| {
            let drawing = drawing(SamplerMethod::Heun, 4);
            draw(&network, &drawing, &labels, &dataset, &Device::flex(), &ranks).unwrap()
        });
        let drawing = drawing(SamplerMethod::Heun, 4);
        let wanted = draw(&network, &drawing, &labels, &dataset, &Device::flex(), &ALONE).unwrap();
        assert!(grids[0] == wanted && grids[1].is_empty());
    }
    fs::write(path("mine.npz"), "mine").unwrap();
    let refused: Vec<String> = on(2, "mine.npz")
        .into_iter()
        .map(|e| e.unwrap_err().to_string())
        .collect();
    assert!(refused[0].contains("was not drawn by this command"), "{refused:?}");
    assert_eq!(refused[1], format!("rank 0 on host0: {}", refused[0]));
}

#[test]
fn other_settings_and_other_files_are_refused() {
    let (dataset, device, network) = (emoji(), Device::flex(), network(16));
    let folder = tempfile::tempdir().unwrap();
    let npz = folder.path().join("some.npz");
    let run = |change: &dyn Fn(&mut SampleJob)| {
        let mut job = job(&network, &dataset, &device, "1/1");
        change(&mut job);
        job.run(&npz, ProgressMode::Quiet).map(|drawn| drawn.unwrap().0)
    };
    fs::write(&npz, "mine").unwrap();
    let said = run(&|_| ()).unwrap_err().to_string();
    assert!(said.contains("was not drawn by this command"), "{said}");
    fs::remove_file(&npz).unwrap();
    run(&|_| ()).unwrap();
    let said = run(&|job| job.drawing.sampler.steps = 9).unwrap_err().to_string();
    assert!(said.contains("sampler.steps was 3, is 9;"), "{said}");
    let said = run(&|job| job.drawing.batch = 100).unwrap_err().to_string();
    assert!(said.contains("batch was 4, is 23;"), "{said}");
    let said = run(&|job| job.labels = Labels::Class(9)).unwrap_err().to_string();
    assert!(said.contains("labels was \"random\", is {\"class\":9}"), "{said}");
    assert_eq!(entries(folder.path()), ["some.npz"]);
}

#[test]
fn labels_lie_beside_the_images_unless_there_are_none() {
    let (dataset, device, network) = (emoji(), Device::flex(), network(16));
    let folder = tempfile::tempdir().unwrap();
    for (labels, wanted) in [
        (
            Labels::Random,
            Some((0..23).map(|i| Labels::Random.of(i, 9, 5) as i64).collect()),
        ),
        (Labels::Class(3), Some(vec![3; 23])),
        (Labels::Class(9), None),
    ] {
        let npz = folder.path().join(format!("{labels:?}.npz"));
        let mut job = job(&network, &dataset, &device, "1/1");
        job.labels = labels;
        job.run(&npz, ProgressMode::Quiet).unwrap();
        let mut archive = zip::ZipArchive::new(fs::File::open(&npz).unwrap()).unwrap();
        let found = archive.by_name("arr_1.npy").ok();
        let found = found.map(|member| npyz::NpyFile::new(member).unwrap().into_vec::<i64>().unwrap());
        assert_eq!(found, wanted, "{labels:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_takes_nothing_that_was_drawn() {
    let (dataset, device, network) = (emoji(), Device::flex(), network(16));
    let folder = tempfile::tempdir().unwrap();
    let npz = folder.path().join("some.npz");
    let run = || {
        job(&network, &dataset, &device, "1/1")
            .run(&npz, ProgressMode::Quiet)
            .map(|drawn| drawn.unwrap().0)
    };
    std::os::unix::fs::symlink("/dev/full", folder.path().join("some.npz.writing")).unwrap();
    let error = run().unwrap_err();
    assert!(sextant_records::StorageFull::of(&error).is_some(), "{error}");
    assert_eq!(entries(folder.path()), ["some.npz.partial"]);
    assert_eq!(run().unwrap(), Drawn::Written);
}
