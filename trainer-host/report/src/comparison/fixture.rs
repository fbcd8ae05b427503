//! Run folders for the tests of this folder: small, written by hand.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::entry::Entry;
use super::record::{Record, RecordedVariant};
use sextant_recipe::QualityRecipe;
use sextant_recipe::SourceConfig;
use sextant_recipe::{Recipe, Score, parse_resolved};
use sextant_records::TeacherCounters;
use sextant_records::evaluation::{Evaluation, JudgeIdentity, Quality, ScaleSweep, Scores};
use sextant_records::{ComputeCost, Operations, RunFolder, RunInfo, RunResult, Seconds};

/// The recipe of the fixtures: 300 steps of one phase, batches of 8.
pub fn recipe(seed: u64, plugin: Option<&str>) -> Recipe {
    let text = format!(
        "title = \"Tiny\"\nseed = {seed}\n[data]\nkind = \"emoji\"\nsize = 8\n[model]\npatch_size = 2\nhidden_size = 32\ndepth = 3\n\
         num_heads = 2\n[optimiser]\nbatch = 8\n[evaluation]\nimages = 8\ntimes = 2\nsamples = 4\ncolumns = 2\n[[phases]]\n\
         name = \"train\"\nsteps = 300\nguidance = [{{ plugin = \"{}\" }}]\n",
        plugin.unwrap_or("none")
    );
    parse_resolved(Path::new("fixture.toml"), &text).unwrap()
}

/// A record of these variants and runs, by the recipe of the fixtures.
pub fn record(variants: &[&str], runs: &[&str]) -> Record {
    Record {
        title: "Tiny".into(),
        recipe: "tiny.toml".into(),
        command: "sextant compare tiny.toml".into(),
        primary: Score::ValidationLoss,
        declared: None,
        variants: variants
            .iter()
            .map(|name| RecordedVariant {
                name: (*name).into(),
                overlay: format!("# as {name}\n"),
            })
            .collect(),
        runs: runs.iter().map(|run| (*run).into()).collect(),
        base: "# base\n".into(),
    }
}

/// A run to be written: finished, with a short curve and no evaluation, unless it is said otherwise.
pub struct Written {
    recipe: Recipe,
    data: String,
    device: String,
    loss: Option<f64>,
    curve: Vec<(u64, f64)>,
    earlier_seconds: f64,
    step_seconds: f64,
    step_operations: Option<f64>,
    evaluation: Option<Evaluation>,
    warnings: Vec<String>,
}

impl Written {
    pub fn new(seed: u64, plugin: Option<&str>) -> Self {
        Self {
            recipe: recipe(seed, plugin),
            data: "f00d".into(),
            device: "CPU".into(),
            loss: Some(0.5),
            curve: vec![(100, 1.0), (200, 0.8), (300, 0.5)],
            earlier_seconds: 0.0,
            step_seconds: 1.0,
            step_operations: None,
            evaluation: None,
            warnings: Vec::new(),
        }
    }

    /// Another recipe.
    pub fn change(mut self, change: impl Fn(&mut Recipe)) -> Self {
        change(&mut self.recipe);
        self
    }

    /// The final validation loss; none for a run that has not finished.
    pub fn loss(mut self, loss: impl Into<Option<f64>>) -> Self {
        self.loss = loss.into();
        self
    }

    /// The validation curve.
    pub fn curve(mut self, curve: &[(u64, f64)]) -> Self {
        self.curve = curve.to_vec();
        self
    }

    /// An earlier phase of so many steps, a second each.
    pub fn earlier(mut self, steps: u64) -> Self {
        if steps > 0 {
            let mut phase = self.recipe.phases[0].clone();
            phase.name = "align".into();
            phase.steps = steps;
            phase.guidance = vec![SourceConfig::new("vae-align")];
            self.recipe.phases.insert(0, phase);
            self.earlier_seconds = steps as f64;
        }
        self
    }

    /// The seconds that a step takes.
    pub fn step_seconds(mut self, seconds: f64) -> Self {
        self.step_seconds = seconds;
        self
    }

    /// The operations that a step takes.
    pub fn operations(mut self, operations: f64) -> Self {
        self.step_operations = Some(operations);
        self
    }

    /// Another fingerprint of the data.
    pub fn data(mut self, fingerprint: &str) -> Self {
        self.data = fingerprint.into();
        self
    }

    /// A warning before its first step.
    pub fn warned(mut self, warning: &str) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Another device.
    pub fn device(mut self, device: &str) -> Self {
        self.device = device.into();
        self
    }

    /// An evaluation of it.
    pub fn evaluation(mut self, evaluation: Evaluation) -> Self {
        self.recipe.evaluation.quality = Some(QualityRecipe::default());
        let step = self.recipe.phases.last().map_or(0, |phase| phase.steps);
        self.evaluation = Some(Evaluation { step, ..evaluation });
        self
    }

    /// Writes the folder.
    pub fn at(&self, path: &Path) -> RunFolder {
        let folder = RunFolder::new(path);
        let info = RunInfo {
            sextant: "0.1.0".into(),
            burn: "0.22.1".into(),
            abi: "1.1".into(),
            platform: "linux".into(),
            device: self.device.clone(),
            data: self.data.clone(),
            plugins: Vec::new(),
            warnings: self.warnings.clone(),
            ..RunInfo::default()
        };
        folder.create(&self.recipe, &info).unwrap();
        let lines = self.curve.iter();
        let lines = lines.map(|(step, loss)| json!({ "phase": "train", "step": step, "validation": loss }));
        let log: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(folder.metrics(), log).unwrap();
        if let Some(loss) = self.loss {
            folder.finish(&self.result(loss)).unwrap();
        }
        if let Some(evaluation) = &self.evaluation {
            fs::create_dir(path.join("evaluation")).unwrap();
            let text = serde_json::to_string(evaluation).unwrap();
            fs::write(path.join("evaluation/evaluation.json"), text).unwrap();
        }
        folder
    }

    /// Writes the folder and reads it as an entry of its name.
    pub fn read(&self, path: &Path) -> Entry {
        let name = path.file_name().unwrap().to_string_lossy();
        Entry::read(&name, self.at(path)).unwrap()
    }

    /// The result, as a file has it.
    fn result(&self, loss: f64) -> RunResult {
        serde_json::from_value(json!({
            "steps": self.recipe.phases.last().unwrap().steps,
            "validation_loss": loss,
            "validation_by_time": [],
            "guidance_loss": {},
            "seconds_per_step": self.step_seconds,
            "seconds": Seconds::default(),
            "teacher": TeacherCounters::default(),
            "peak_memory_bytes": null,
            "student_parameters": 1,
            "guidance_parameters": 0,
            "clipped_share": 0.0,
            "earlier_phases_seconds": self.earlier_seconds,
            "sample_labels": [],
            "cost": ComputeCost {
                operations: self.step_operations.map(|student| Operations { student, ..Operations::default() }),
                ..ComputeCost::default()
            },
        }))
        .unwrap()
    }
}

/// An evaluation by two judges: this kernel distance each, at scales 1 (twice as far) and 2 (chosen). Fréchet distances are ten
/// times as large; the floor is 0.001.
pub fn evaluation(kernel: [f64; 2]) -> Evaluation {
    let names = ["embedded", "untrained"];
    let quality = |judge: usize, scale: f64, kernel: f64| Quality {
        judge: names[judge].into(),
        scale,
        samples: 360,
        scores: Scores {
            kernel,
            frechet: 10.0 * kernel,
            ..Scores::default()
        },
    };
    Evaluation {
        judges: names
            .map(|name| JudgeIdentity {
                name: name.into(),
                fingerprint: format!("hash of {name}"),
                description: String::new(),
            })
            .into(),
        sweep: Some(ScaleSweep {
            judge: names[0].into(),
            samples: 180,
            points: Vec::new(),
            chosen: 2.0,
        }),
        quality: (0..2)
            .flat_map(|i| [quality(i, 1.0, 2.0 * kernel[i]), quality(i, 2.0, kernel[i])])
            .collect(),
        floors: (0..2).map(|i| quality(i, 1.0, 0.001)).collect(),
        ..Evaluation::default()
    }
}
