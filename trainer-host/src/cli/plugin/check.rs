//! `sextant plugin check`: the invariants, each in a process of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{SearchArgs, read_config};
use crate::Error;
use crate::cli::OutputArgs;
use crate::cli::commands::print_json;
use sextant_check::{
    Case, FieldShape, Finding, Invariant, Isolation, Options, PluginUnderTest, Report, Reporter, Settings, Verdict,
    hold, invariant, invariants,
};
use sextant_records::{FileError, quoted};

/// Arguments of `sextant plugin check`.
#[derive(Args)]
pub struct CheckArgs {
    /// Name of a source, or path of its library.
    plugin: String,
    /// The source's configuration: a TOML or JSON file with what stands under `config` in a recipe.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Generated cases of each invariant; slow ones take fewer.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
    /// Seed of the cases.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Try this invariant alone.
    #[arg(long, value_name = "INVARIANT")]
    only: Option<String>,
    /// Try this case alone, as a finding prints it.
    #[arg(long, value_name = "JSON")]
    case: Option<String>,
    /// Offer the source another batch field, such as depth_map=T,8: extents are numbers or T (tokens), D (width), C, H, W
    /// (latents), heads. There are features=T,12 and attention=4,heads,T,T already. May be given more than once.
    #[arg(long, value_name = "NAME=SHAPE")]
    field: Vec<FieldShape>,
    /// Device to compute on: auto, cpu, cuda:0, wgpu, … (see `sextant devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    /// Longest time that one call of the library may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    time_limit: f64,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Folder that a child process reports into.
    #[arg(long, hide = true)]
    report: Option<PathBuf>,
}

/// A time in seconds that can be waited for.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(seconds),
        _ => Err("it must be a number of seconds above 0".into()),
    }
}

/// Checks a source.
///
/// # Errors
/// Exit code 1 where an invariant is broken, 2 where the input is wrong.
pub fn check(args: CheckArgs) -> Result<(), Error> {
    let chosen = match &args.only {
        Some(name) => vec![invariant(name).map_err(|e| Error::Input(format!("--only: {e}")))?],
        None => invariants().to_vec(),
    };
    let case = args.case.as_deref().map(read_case).transpose()?;
    if let Some(folder) = &args.report {
        return report(&args, chosen[0], case.as_ref(), folder);
    }
    let path = args.search.path().resolve(&args.plugin)?;
    if let Some(file) = &args.config {
        read_config(file)?;
    }
    let program = std::env::current_exe().map_err(|e| FileError::new("the running program", e))?;
    let isolation = Isolation {
        program,
        arguments: args.arguments(),
        limit: Duration::from_secs_f64(args.time_limit),
    };
    let findings = isolation.hold(&chosen, case.as_ref(), |finding, earlier| {
        if !args.output.json {
            print_finding(finding, earlier, &args);
        }
    })?;
    if args.output.json {
        print_findings(&findings, &path, &args);
    }
    let broken = findings.iter().enumerate().filter(|(_, finding)| finding.is_broken());
    let news = broken.filter(|(i, finding)| finding.known_from(&findings[..*i]).is_none());
    let broken: Vec<&str> = news.map(|(_, finding)| finding.invariant.as_str()).collect();
    match broken[..] {
        [] => Ok(()),
        _ => Err(Error::Failed(format!("{} breaks {}", args.plugin, broken.join(", ")))),
    }
}

/// The child's part: tries one invariant and reports into `folder`.
fn report(args: &CheckArgs, invariant: Invariant, case: Option<&Case>, folder: &Path) -> Result<(), Error> {
    let reporter = Reporter::new(folder);
    let report = match args.open() {
        Err(error) => Report::Refused(error.to_string()),
        Ok(plugin) => {
            let plugin = plugin.with_pulse(reporter.pulse());
            let watch = |case: &Case| reporter.case(case);
            let options = Options {
                cases: args.cases,
                seed: args.seed,
                case,
                watch: Some(&watch),
            };
            Report::Found(hold(invariant, &plugin, &options))
        }
    };
    Ok(reporter.end(&report)?)
}

fn read_case(json: &str) -> Result<Case, Error> {
    let wrong = |reason: String| Error::Input(format!("--case: {reason}"));
    let case: Case = serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?;
    case.validate().map_err(|e| wrong(e.to_string()))?;
    Ok(case)
}

impl CheckArgs {
    fn open(&self) -> Result<PluginUnderTest, Error> {
        let path = self.search.path().resolve(&self.plugin)?;
        let config = self.config.as_deref().map(read_config).transpose()?;
        let settings = Settings {
            config: config.unwrap_or_default(),
            device: self.device.clone(),
            fields: self.field.clone(),
        };
        Ok(PluginUnderTest::open(&path, settings)?)
    }

    /// The command line of this check, without what chooses an invariant or case.
    fn arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["plugin".into(), "check".into(), (&self.plugin).into()];
        words.extend(self.plugin_arguments());
        let numbers = [("--cases", self.cases.to_string()), ("--seed", self.seed.to_string())];
        for (key, value) in numbers {
            words.extend([key.into(), value.into()]);
        }
        words
    }

    /// The words that decide what is checked.
    fn plugin_arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(config) = &self.config {
            words.extend(["--config".into(), config.into()]);
        }
        for field in &self.field {
            words.extend(["--field".into(), field.to_string().into()]);
        }
        if self.device != "auto" {
            words.extend(["--device".into(), (&self.device).into()]);
        }
        for folder in &self.search.plugin_dir {
            words.extend(["--plugin-dir".into(), folder.into()]);
        }
        words
    }

    /// The command that shows a finding again.
    fn replay(&self, invariant: &str, case: Option<&Case>) -> String {
        let mut words = vec!["sextant plugin check".to_owned(), quoted(&self.plugin)];
        let plugin = self.plugin_arguments().into_iter();
        words.extend(plugin.map(|word| quoted(&word.to_string_lossy())));
        words.extend(["--only".into(), invariant.into()]);
        match case {
            Some(case) => words.extend(["--case".into(), quoted(&json!(case).to_string())]),
            // All cases together broke it.
            None => words.push(format!("--cases {} --seed {}", self.cases, self.seed)),
        }
        words.join(" ")
    }
}

fn print_finding(finding: &Finding, earlier: &[Finding], args: &CheckArgs) {
    let name = &finding.invariant;
    if let Some(known) = finding.known_from(earlier) {
        println!("{name:<30} not judged: the source fails as in {}", known.invariant);
        return;
    }
    match &finding.verdict {
        Verdict::Held { cases: 1 } => println!("{name:<30} held (1 case)"),
        Verdict::Held { cases } => println!("{name:<30} held ({cases} cases)"),
        Verdict::NotApplicable { reason } => println!("{name:<30} not applicable: {reason}"),
        Verdict::NotJudged { reason } => println!("{name:<30} not judged: {reason}"),
        Verdict::Broken { reason, case, .. } => {
            println!("{name:<30} broken: {reason}");
            if let Some(case) = case {
                println!("    case: {}", json!(case));
            }
            println!("    replay: {}", args.replay(name, case.as_deref()));
        }
    }
}

fn print_findings(findings: &[Finding], path: &Path, args: &CheckArgs) {
    let rows: Vec<_> = findings
        .iter()
        .enumerate()
        .map(|(i, finding)| {
            let mut row = json!(finding);
            if let Some(known) = finding.known_from(&findings[..i]) {
                row["same_as"] = json!(known.invariant);
            }
            if let Verdict::Broken { case, .. } = &finding.verdict {
                row["replay"] = json!(args.replay(&finding.invariant, case.as_deref()));
            }
            row
        })
        .collect();
    print_json(&json!({
        "plugin": args.plugin, "path": path, "device": args.device, "cases": args.cases, "seed": args.seed,
        "broken": findings.iter().filter(|finding| finding.is_broken()).count(),
        "findings": rows,
    }));
}
