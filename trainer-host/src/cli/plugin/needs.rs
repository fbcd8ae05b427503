//! Declarations of a source for a geometry: JSON for a program, and lines for a person, made of it.

use serde_json::{Value, json};
use sextant_guidance::SourcePlan;
use sextant_guidance::plan::{Agreement, DType, Initial, Network, SettingMeaning, TapKind};

/// A plan of a library of major version `major`, in words.
pub fn needs(plan: &SourcePlan, major: u32) -> Value {
    let trained = plan.parameters.iter().filter(|p| p.trainable);
    let taps = plan.taps.iter().map(|tap| {
        json!({
            "network": network(tap.network), "kind": kind(tap.kind),
            "depth": (tap.kind != TapKind::Output).then_some(tap.depth),
        })
    });
    let parameters = plan
        .parameters
        .iter()
        .map(|p| json!({ "name": p.name, "shape": p.shape, "initial": initial(&p.initial), "trained": p.trainable }));
    let buffers = plan.buffers.iter().map(|b| {
        json!({
            "name": b.name, "shape": b.shape, "type": dtype(b.dtype), "initial": initial(&b.initial),
            "agreement": agreement(b.agreement), "rows": b.rows,
        })
    });
    let settings = plan
        .settings
        .iter()
        .map(|s| json!({ "name": s.name, "value": s.value, "meaning": meaning(s.meaning) }));
    json!({
        "abi": format!("{major}.{}", plan.required_minor),
        "taps": taps.collect::<Vec<_>>(),
        "fields": plan.fields,
        "parameters": parameters.collect::<Vec<_>>(),
        "trained_scalars": trained.map(|p| p.shape.iter().product::<usize>()).sum::<usize>(),
        "buffers": buffers.collect::<Vec<_>>(),
        "metrics": plan.metrics,
        "settings": settings.collect::<Vec<_>>(),
        "t_range": plan.t_range,
        "batch_coupled": plan.batch_coupled,
    })
}

/// Lines of a name and what is said of it. What is not needed is said too: it is what a reader looks for.
pub fn lines(plan: &SourcePlan) -> Vec<(String, String)> {
    let taps = plan.taps.iter().map(|tap| match (tap.kind, tap.depth) {
        (TapKind::Output, _) => format!("{} output", network(tap.network)),
        (_, 0) => format!("{} embedding", network(tap.network)),
        (_, depth) => format!("{} {} {depth}", network(tap.network), kind(tap.kind)),
    });
    let settings = plan.settings.iter().map(|s| match meaning(s.meaning) {
        Some(meaning) => format!("{} = {} ({meaning})", s.name, s.value),
        None => format!("{} = {}", s.name, s.value),
    });
    let trained = plan.parameters.iter().filter(|p| p.trainable);
    let trained: usize = trained.map(|p| p.shape.iter().product::<usize>()).sum();
    let counted = |count: usize, more: String| match count {
        0 => "none".to_owned(),
        _ => format!("{count}{more}"),
    };
    let times = plan
        .t_range
        .map(|[low, high]| format!("{low} to {high}, both ends inclusive"));
    let batch = match plan.batch_coupled {
        true => "the loss of a sample depends on the others of its batch",
        false => "the loss of a sample depends on that sample alone",
    };
    let mut lines = vec![
        ("activations".to_owned(), listed(taps)),
        ("batch fields".into(), listed(plan.fields.iter().cloned())),
        ("t range".into(), times.unwrap_or("all times".into())),
        ("batch".into(), batch.into()),
        ("metrics".into(), listed(plan.metrics.iter().cloned())),
        ("settings".into(), listed(settings)),
        (
            "parameters".into(),
            counted(plan.parameters.len(), format!(", {trained} numbers trained")),
        ),
    ];
    lines.extend(plan.parameters.iter().map(|p| {
        let frozen = if p.trainable { "" } else { ", frozen" };
        (
            format!("  {}", p.name),
            format!("{:?}, {}{frozen}", p.shape, initial(&p.initial)),
        )
    }));
    lines.push(("buffers".into(), counted(plan.buffers.len(), String::new())));
    lines.extend(plan.buffers.iter().map(|b| {
        let rows = if b.rows { ", by rows" } else { "" };
        let (dtype, initial, agreement) = (dtype(b.dtype), initial(&b.initial), agreement(b.agreement));
        (
            format!("  {}", b.name),
            format!("{:?} {dtype}, {initial}, {agreement}{rows}", b.shape),
        )
    }));
    lines
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "none".into()
    } else {
        items.join(", ")
    }
}

fn network(network: Network) -> &'static str {
    match network {
        Network::Student => "student",
        Network::Teacher => "teacher",
        Network::Ema => "ema",
    }
}

fn kind(kind: TapKind) -> &'static str {
    match kind {
        TapKind::Block => "block",
        TapKind::Output => "output",
        TapKind::Attention => "attention",
    }
}

/// The meaning of a number to the method; none for a number with a name.
fn meaning(meaning: SettingMeaning) -> Option<&'static str> {
    match meaning {
        SettingMeaning::Plain => None,
        SettingMeaning::FeatureGuidance => Some("scale of feature guidance"),
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
