//! `sextant plugin info`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::keys::{Key, keys};
use super::{OutputArgs, SearchArgs, needs, print_json, read_config};
use crate::Error;
use sextant_guidance::{GuidanceGeometry, Library, NetworkShape, Sources};
use sextant_model::SitConfig;
use sextant_model::device;
use sextant_model::encoder;
use sextant_recipe as recipe;
use sextant_recipe::{Path, Prediction, SourceConfig};
use sextant_train::planned_geometry;

#[derive(Args)]
pub struct InfoArgs {
    /// Name of a plugin on the search path, or the path of a library.
    plugin: String,
    /// The source's own keys, as below `config` in a recipe (TOML or JSON).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Plan for the model and the data of this recipe's last phase, instead of a SiT-B/2 on ImageNet's latents.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints everything that there is to know of a source before it guides.
pub fn info(args: InfoArgs) -> Result<(), Error> {
    let search = args.search.path();
    let library = Library::open(&search.resolve(&args.plugin)?)?;
    // None where the library does not describe its configuration.
    let keys = library.config_schema()?.as_ref().map(keys);
    let (geometry, planned_for) = match &args.recipe {
        Some(path) => {
            let recipe = recipe::load(path, &[])?.base()?;
            let geometry = planned_geometry(&recipe, &device::open("cpu")?)?;
            (geometry, path.display().to_string())
        }
        None => (published(), "SiT-B/2 on latents of ImageNet".to_owned()),
    };
    let mut source = SourceConfig::new(&args.plugin);
    if let Some(path) = &args.config {
        source.config = read_config(path)?;
    }
    let planned = Sources::with_libraries(vec![(source, library.clone())], &geometry);
    let sources = planned.as_ref().ok();
    // Both none where it cannot plan for that; the error then says why.
    let plan = sources.and_then(|sources| Some(sources.plans().next()?.1));
    let coefficient = sources.and_then(|sources| sources.resolved_configs().first()?.coefficient);
    let ((major, minor), contract) = (library.abi(), plan.map(|plan| plan.required_minor));
    if args.output.json {
        let mut info = json!({
            "name": library.name(), "version": library.version(), "summary": library.summary(),
            "path": library.path(), "sha256": library.sha256(), "abi": format!("{major}.{minor}"),
            "config": keys, "coefficient": coefficient, "geometry": described(&geometry),
            "needs": plan.map(|plan| needs::needs(plan, major)),
        });
        if let Err(error) = &planned {
            info["error"] = json!(error.to_string());
        }
        print_json(&info);
        return planned.map(|_| ()).map_err(Error::from);
    }
    println!("{} {}: {}", library.name(), library.version(), library.summary());
    let needed = contract.map_or(String::new(), |minor| format!(", needs {major}.{minor}"));
    let mut lines = vec![
        ("library".into(), library.path().display().to_string()),
        ("SHA-256".into(), library.sha256().to_owned()),
        ("contract".into(), format!("built with {major}.{minor}{needed}")),
    ];
    lines.extend(coefficient.map(|coefficient| {
        let said = format!("{coefficient}, where a recipe names none");
        ("coefficient".into(), said)
    }));
    table(&lines);
    println!("\nconfiguration");
    match &keys {
        None => println!("  the library does not describe its configuration"),
        Some(keys) if keys.is_empty() => println!("  no keys"),
        Some(keys) => table(&keys.iter().map(|key| (key.name.clone(), said(key))).collect::<Vec<_>>()),
    }
    if let Some(plan) = plan {
        let student = geometry.student;
        println!(
            "\nfor {planned_for}: latents {} × {} × {}, {} blocks of width {}, batch {}",
            geometry.channels, geometry.height, geometry.width, student.depth, student.width, geometry.batch
        );
        table(&needs::lines(plan));
    }
    planned.map(|_| ()).map_err(Error::from)
}

/// A key's type, default and description, one line each as far as there is one.
fn said(key: &Key) -> String {
    let default = match (&key.default, key.required) {
        (Some(value), _) => format!(", default {value}"),
        (None, true) => ", required".into(),
        (None, false) => String::new(),
    };
    match key.description.as_str() {
        "" => format!("{}{default}", key.kind),
        words => format!("{}{default}. {words}", key.kind),
    }
}

fn table(lines: &[(String, String)]) {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, said) in lines {
        println!("  {name:<width$}  {said}");
    }
}

/// Sizes of the published trainers for images of 256 pixels: latents of 4 x 32 x 32, 1000 classes, batch 256, a SiT-B/2
/// with a teacher of its own size, and features of DINOv2-B.
fn published() -> GuidanceGeometry {
    let model = SitConfig::named("B/2", 32, 4, 1000, false).expect("a published size");
    let network = NetworkShape {
        depth: model.depth,
        width: model.hidden_size,
        heads: model.num_heads,
        grid: [model.grid(); 2],
    };
    GuidanceGeometry {
        batch: 256,
        channels: model.in_channels,
        height: model.input_size,
        width: model.input_size,
        patch: model.patch_size,
        classes: model.num_classes,
        prediction: Prediction::Velocity,
        path: Path::Linear,
        student: network,
        teacher: Some(network),
        ema: network,
        fields: vec![(encoder::FEATURES.to_owned(), vec![model.grid() * model.grid(), 768])],
    }
}

fn described(geometry: &GuidanceGeometry) -> Value {
    let network = |shape: &NetworkShape| json!({ "depth": shape.depth, "width": shape.width, "heads": shape.heads, "grid": shape.grid });
    let fields = geometry.fields.iter();
    json!({
        "batch": geometry.batch, "channels": geometry.channels, "height": geometry.height, "width": geometry.width,
        "patch": geometry.patch, "classes": geometry.classes,
        "prediction": geometry.prediction, "path": geometry.path,
        "student": network(&geometry.student), "teacher": geometry.teacher.as_ref().map(network),
        "fields": fields.map(|(name, shape)| (name.clone(), json!(shape))).collect::<serde_json::Map<_, _>>(),
    })
}
