//! `sextant report`: the page of runs that are there already.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::OutputArgs;
use super::commands::{listen, print_json};
use super::place::check_writable;
use crate::Error;
use sextant_recipe::Score;
use sextant_records::quoted;
use sextant_report::comparison::{self, Request};
use sextant_report::{self as report, Report};

/// Examples of the help.
pub const EXAMPLES: &str = "Examples:
  sextant report runs/emoji-quick
  sextant report runs/emoji runs/emoji-ablations --out runs/together
  sextant report runs/none runs/repa --out runs/pair --baseline none --json

A folder is that of a comparison (VARIANT/ or seed-N/VARIANT/ in it) or of a single run. Nothing is trained or measured.";

/// Its arguments.
#[derive(Args)]
pub struct ReportArgs {
    /// Folders of comparisons or runs, which are put together.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Folder for the report; by default DIR, if there is one.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare with this variant; by default the first without guidance.
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Decide by this score instead of the one that the recipes declare; the report says so.
    #[arg(long, value_name = "SCORE", value_parser = scores())]
    primary: Option<Score>,
    #[command(flatten)]
    output: OutputArgs,
}

const SCORES: [Score; 3] = [Score::ValidationLoss, Score::KernelDistance, Score::FrechetDistance];

fn scores() -> impl TypedValueParser<Value = Score> {
    let named = |name: String| {
        SCORES
            .into_iter()
            .find(|score| score.key() == name)
            .ok_or("no such score")
    };
    PossibleValuesParser::new(SCORES.map(Score::key)).try_map(named)
}

/// Assembles and writes the report.
pub fn run(args: ReportArgs) -> Result<(), Error> {
    listen(None)?;
    let folder = match (&args.out, args.folders.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [only]) => only.clone(),
        (None, several) => {
            return Err(Error::Input(format!(
                "{} folders are given: say with --out DIR where their report goes",
                several.len()
            )));
        }
    };
    let request = Request {
        command: command_line(&args),
        baseline: args.baseline,
        primary: args.primary,
    };
    let report = comparison::report(&args.folders, &request)?;
    if args.out.is_none() {
        check_writable(&folder)?;
    }
    comparison::write(&report, &folder)?;
    show(report, &folder, args.output.json);
    Ok(())
}

/// Prints a report that lies in `folder`.
pub fn show(report: Report, folder: &std::path::Path, json: bool) {
    let page = folder.join("report.html");
    if json {
        // The pictures lie beside the runs; as numbers they would drown the rest.
        let (outcome, comparison) = (report::outcome(&report), report.without_pictures());
        print_json(&json!({ "report": page, "outcome": outcome, "comparison": comparison }));
    } else {
        println!("\n{}\nreport: {}", report::table_text(&report), page.display());
    }
}

fn command_line(args: &ReportArgs) -> String {
    let mut words = vec!["sextant report".to_owned()];
    words.extend(args.folders.iter().map(|folder| quoted(&folder.display().to_string())));
    if let Some(out) = &args.out {
        words.push(format!("--out {}", quoted(&out.display().to_string())));
    }
    if let Some(baseline) = &args.baseline {
        words.push(format!("--baseline {}", quoted(baseline)));
    }
    if let Some(primary) = args.primary {
        words.push(format!("--primary {}", primary.key()));
    }
    words.join(" ")
}
