//! Declarations of a source for a geometry, for a person and for a program.

use serde::Serialize;
use sextant_guidance::plan::{Agreement, DType, Network, SettingMeaning, TapKind};

use sextant_guidance::SourcePlan;
use sextant_guidance::plan::{Initial, TapRequest};

/// A plan in words. Field names are those of the JSON.
#[derive(Debug, PartialEq, Serialize)]
pub struct Needs {
    /// Version of the contract, as `major.minor`.
    pub abi: String,
    /// Activations, such as `student block 4`.
    pub taps: Vec<Tap>,
    pub fields: Vec<String>,
    pub parameters: Vec<Parameter>,
    /// Number of scalars that are optimised.
    pub trained_scalars: usize,
    pub buffers: Vec<Buffer>,
    pub metrics: Vec<String>,
    /// Numbers that reports may show.
    pub settings: Vec<Setting>,
    /// Times outside which the loss is 0, both ends inclusive.
    pub t_range: Option<[f64; 2]>,
    pub batch_coupled: bool,
}

/// One activation.
#[derive(Debug, PartialEq, Serialize)]
pub struct Tap {
    pub network: &'static str,
    pub kind: &'static str,
    /// None for the output.
    pub depth: Option<usize>,
}

/// One number that reports may show.
#[derive(Debug, PartialEq, Serialize)]
pub struct Setting {
    pub name: String,
    pub value: f64,
    /// Its meaning to the method; none for a number with a name.
    pub meaning: Option<&'static str>,
}

/// One parameter.
#[derive(Debug, PartialEq, Serialize)]
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    pub initial: String,
    pub trained: bool,
}

/// One buffer.
#[derive(Debug, PartialEq, Serialize)]
pub struct Buffer {
    pub name: String,
    pub shape: Vec<usize>,
    #[serde(rename = "type")]
    pub dtype: &'static str,
    pub initial: String,
    pub agreement: &'static str,
    pub rows: bool,
}

impl Needs {
    /// Of a plan of a library of major version `major`.
    pub fn new(plan: &SourcePlan, major: u32) -> Self {
        let trained = plan.parameters.iter().filter(|p| p.trainable);
        Self {
            abi: format!("{major}.{}", plan.required_minor),
            taps: plan.taps.iter().map(tap).collect(),
            fields: plan.fields.clone(),
            trained_scalars: trained.map(|p| p.shape.iter().product::<usize>()).sum(),
            parameters: plan
                .parameters
                .iter()
                .map(|p| Parameter {
                    name: p.name.clone(),
                    shape: p.shape.clone(),
                    initial: initial(&p.initial),
                    trained: p.trainable,
                })
                .collect(),
            buffers: plan
                .buffers
                .iter()
                .map(|b| Buffer {
                    name: b.name.clone(),
                    shape: b.shape.clone(),
                    dtype: dtype(b.dtype),
                    initial: initial(&b.initial),
                    agreement: agreement(b.agreement),
                    rows: b.rows,
                })
                .collect(),
            metrics: plan.metrics.clone(),
            settings: plan
                .settings
                .iter()
                .map(|s| Setting {
                    name: s.name.clone(),
                    value: s.value,
                    meaning: match s.meaning {
                        SettingMeaning::Plain => None,
                        SettingMeaning::FeatureGuidance => Some("scale of feature guidance"),
                    },
                })
                .collect(),
            t_range: plan.t_range,
            batch_coupled: plan.batch_coupled,
        }
    }

    /// Lines of a name and what is said of it. What is not needed is said too: it is what a reader looks for.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines: Vec<(String, String)> = vec![
            ("activations".into(), listed(self.taps.iter().map(Tap::to_string))),
            ("batch fields".into(), listed(self.fields.iter().cloned())),
            (
                "t range".into(),
                self.t_range.map_or("all times".into(), |[low, high]| {
                    format!("{low} to {high}, both ends inclusive")
                }),
            ),
            (
                "batch".into(),
                match self.batch_coupled {
                    true => "the loss of a sample depends on the others of its batch".into(),
                    false => "the loss of a sample depends on that sample alone".into(),
                },
            ),
            ("metrics".into(), listed(self.metrics.iter().cloned())),
            ("settings".into(), listed(self.settings.iter().map(Setting::to_string))),
            (
                "parameters".into(),
                match self.parameters.len() {
                    0 => "none".into(),
                    n => format!("{n}, {} numbers trained", self.trained_scalars),
                },
            ),
        ];
        lines.extend(self.parameters.iter().map(|p| {
            let frozen = if p.trained { "" } else { ", frozen" };
            (format!("  {}", p.name), format!("{:?}, {}{frozen}", p.shape, p.initial))
        }));
        let count = self.buffers.len();
        lines.push((
            "buffers".into(),
            if count == 0 { "none".into() } else { count.to_string() },
        ));
        lines.extend(self.buffers.iter().map(|b| {
            let rows = if b.rows { ", by rows" } else { "" };
            let said = format!("{:?} {}, {}, {}{rows}", b.shape, b.dtype, b.initial, b.agreement);
            (format!("  {}", b.name), said)
        }));
        lines
    }
}

impl std::fmt::Display for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.depth {
            Some(0) => write!(f, "{} embedding", self.network),
            Some(depth) => write!(f, "{} {} {depth}", self.network, self.kind),
            None => write!(f, "{} {}", self.network, self.kind),
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.name, self.value)?;
        match self.meaning {
            Some(meaning) => write!(f, " ({meaning})"),
            None => Ok(()),
        }
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "none".into()
    } else {
        items.join(", ")
    }
}

fn tap(tap: &TapRequest) -> Tap {
    let kind = match tap.kind {
        TapKind::Block => "block",
        TapKind::Output => "output",
        TapKind::Attention => "attention",
    };
    Tap {
        network: match tap.network {
            Network::Student => "student",
            Network::Teacher => "teacher",
            Network::Ema => "ema",
        },
        kind,
        depth: (tap.kind != TapKind::Output).then_some(tap.depth),
    }
}

fn initial(initial: &Initial) -> String {
    match initial {
        Initial::Constant(value) => format!("all {value}"),
        Initial::XavierUniform => "Xavier-uniform".into(),
        Initial::Uniform(bound) => format!("uniform within ±{bound}"),
        Initial::Normal(deviation) => format!("normal, deviation {deviation}"),
        Initial::Values(_) => "given values".into(),
    }
}

fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::BF16 => "bf16",
        DType::F16 => "f16",
        DType::F64 => "f64",
        DType::Int => "int",
        DType::Bool => "bool",
    }
}

fn agreement(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Mean => "mean over devices",
        Agreement::Gathered => "gathered from devices",
        Agreement::Replicated => "the same on every device",
    }
}
