//! The validation loss at each of the fixed times: where along the path a variant is better or worse.

use crate::chart::{Chart, Lines};
use crate::content::{Outcome, Report, Variant};
use crate::number::short;
use crate::profile::Profile;
use crate::section::{Block, Section};
use crate::seed_mean::SeedMean;

/// The section; none where no two times were measured.
pub fn section(report: &Report) -> Option<Section> {
    let losses = |variant: &Variant| {
        let runs = report.runs.iter().filter(|run| run.variant == variant.name);
        let by_time = runs.flat_map(|run| match (&run.outcome, &variant.outcome) {
            (Outcome::Finished(measured), Outcome::Finished(_)) => measured.validation_by_time.as_slice(),
            _ => &[],
        });
        by_time.map(|[t, loss]| (*t, *loss)).collect()
    };
    let profile = Profile::new(report, "validation loss", losses);
    let caption = "Denoising loss of held-out images after the last step at each of the fixed times, with the same noise for every variant; t = 0 is data, \
                   t = 1 is noise. The mean over the times is the validation loss.";
    let lines = profile.lines("t, from data to noise", Lines::medium());
    let blocks = vec![
        Block::Charts(vec![Chart::new("validation-by-time", caption, lines)]),
        Block::Table(profile.table(|t| format!("t = {}", short(t)), SeedMean::text)),
    ];
    Section::new("times", "Validation loss along the path", blocks).filter(|_| profile.places().len() > 1)
}
