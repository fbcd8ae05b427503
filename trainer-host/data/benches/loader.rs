//! Cost of the packed layout: opening it, reading it, and memory. `cargo bench -p sextant-data [-- SAMPLES]`.
//!
//! Prints numbers for a person; what must hold is in the tests.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sextant_data::{
    Codec, DataError, Dataset, Index, Names, PackOptions, Sample, SampleStore, Split, StepLoader, load, pack,
};
use sextant_recipe::{DataConfig, DiffusionRecipe};

/// Moments that cost nothing to make.
#[derive(Debug)]
struct Made([usize; 3]);

impl SampleStore for Made {
    fn shape(&self) -> [usize; 3] {
        self.0
    }

    fn sample(&self, id: usize, _: bool) -> Result<Sample, DataError> {
        let values = 2 * self.0.iter().product::<usize>();
        Ok(Sample::Moments((0..values).map(|at| (id + at) as f32 * 1e-3).collect()))
    }

    fn resident_bytes(&self) -> u64 {
        0
    }
}

fn packed(folder: &Path, count: usize, shape: [usize; 3]) -> DataConfig {
    let names: Names = (0..count).map(|id| format!("{id:08}")).collect();
    let labels: Vec<i64> = (0..count).map(|id| id as i64 % 1000).collect();
    let classes = (0..1000).map(|class| class.to_string()).collect();
    let index = Index::new(names, labels.into(), classes, Split::by_share(count, None, 0.01, 0));
    let codec = Codec::Latents { scale: 0.18215 };
    let made = Dataset::new(index, Arc::new(Made(shape)), codec, "made".into());
    let out = folder.join(count.to_string());
    pack(&made, &out, PackOptions::default(), |_| true).unwrap();
    DataConfig::Packed {
        vae: None,
        path: out,
        fields: Vec::new(),
        flip: false,
        held_out: None,
        split_seed: 0,
    }
}

/// Resident memory in MiB; 0 where the system does not say.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn main() {
    let samples = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(8192);
    let folder = tempfile::tempdir().unwrap();

    for count in [1_000, 1_000_000] {
        let config = packed(folder.path(), count, [2, 1, 1]);
        let opened = (0..21).map(|_| {
            let start = Instant::now();
            let dataset = load(&config).unwrap();
            (start.elapsed(), dataset)
        });
        let (times, mut datasets): (Vec<_>, Vec<_>) = opened.unzip();
        println!("opening {count} samples: {:.3} ms", median(times) * 1e3);
        let before = resident();
        let loader = StepLoader::new(
            Arc::new(datasets.remove(0)),
            0,
            256,
            0..4_000,
            DiffusionRecipe::default(),
            1000,
        );
        let read = loader.iter().map(|batch| batch.unwrap().ids.len()).sum::<usize>();
        println!(
            "  resident {before:.0} MiB, and {:.0} MiB after {read} samples of it",
            resident()
        );
    }

    let config = packed(folder.path(), samples, [4, 32, 32]);
    let steps = 40;
    let loader = StepLoader::new(
        Arc::new(load(&config).unwrap()),
        0,
        256,
        0..steps,
        DiffusionRecipe::default(),
        1000,
    );
    let mut batches = loader.iter();
    batches.next();
    let start = Instant::now();
    let count = batches.map(Result::unwrap).count();
    let each = start.elapsed().as_secs_f64() / count as f64;
    println!(
        "a batch of 256 latents of 4 x 32 x 32 out of {samples}: {:.1} ms, {:.0} samples a second",
        each * 1e3,
        256.0 / each
    );
    println!("  resident {:.0} MiB", resident());
}
