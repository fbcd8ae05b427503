//! The sample grids of all variants, at the end and over training.

use crate::budget::ImageBudget;
use crate::content::{Grid, Report, SampleGrid};

/// A variant's grids.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples<'a> {
    /// The variant's place in the report.
    pub variant: usize,
    /// Its name.
    pub name: &'a str,
    /// Its grids by rising step; the last is that of the end.
    pub grids: Vec<&'a Grid>,
}

/// The grids that there is room for; the last of each variant in any case.
pub fn samples<'a>(report: &'a Report, budget: &ImageBudget) -> Vec<Samples<'a>> {
    let variants = report.variants.iter().enumerate();
    let samples = variants.map(|(variant, of)| {
        let last = of.grids.len().saturating_sub(1);
        let shown = of.grids.iter().enumerate();
        let shown = shown.filter(|(i, grid)| *i == last || budget.steps.contains(&grid.step));
        Samples {
            variant,
            name: &of.name,
            grids: shown.map(|(_, grid)| grid).collect(),
        }
    });
    samples.filter(|samples| !samples.grids.is_empty()).collect()
}

/// A line on how the grids are to be read.
pub fn words(grid: &SampleGrid, budget: &ImageBudget) -> String {
    let mut words = "Same noise and classes in every grid".to_owned();
    if !grid.labels.is_empty() {
        let cells = grid.columns * grid.rows;
        let by = match (grid.labels.len() == grid.columns, grid.labels.len() == cells) {
            (true, _) => "columns",
            (_, true) => "row by row",
            _ => "classes",
        };
        words += &format!("; {by}: {}", grid.labels.join(", "));
    }
    if !grid.note.is_empty() {
        words += &format!(". {}", grid.note);
    }
    if budget.is_thinned {
        words += ". Grids of some steps are left out, to keep this page small; all are in the runs’ folders";
    }
    words + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_last_grid_is_shown_without_any_room() {
        let report = fixture::example();
        let shown = samples(&report, &ImageBudget::new(&report, 0));
        assert_eq!(shown.len(), 4, "broken has none");
        assert!(shown.iter().all(|of| of.grids.len() == 1));
        assert_eq!((shown[0].grids[0].step, shown[3].grids[0].step), (2000, 1));
        let all = samples(&report, &ImageBudget::new(&report, 5_000_000));
        assert_eq!(all[0].grids.len(), 8);
    }

    #[test]
    fn classes_are_named_and_what_is_left_out_is_said() {
        let mut grid = SampleGrid {
            columns: 2,
            rows: 2,
            labels: vec!["a".into(), "b".into()],
            note: "Heun".into(),
        };
        let report = fixture::example();
        let whole = ImageBudget::new(&report, 5_000_000);
        assert_eq!(
            words(&grid, &whole),
            "Same noise and classes in every grid; columns: a, b. Heun."
        );
        grid.labels = ["a", "b", "c", "d"].map(str::to_owned).into();
        assert!(words(&grid, &ImageBudget::new(&report, 0)).contains("row by row: a, b, c, d. Heun. Grids of some"));
    }
}
