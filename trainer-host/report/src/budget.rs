//! Room for pictures: the page is to be opened and mailed whole, and stays below 10 MB.

use std::collections::BTreeSet;

use crate::content::{Report, Variant};

/// Bytes that the page needs around a picture, at most: element, alternative text, cell.
const AROUND: usize = 600;

/// The report with the pictures that fit into so many bytes beside the last samples, which stay in any case: neighbours, then maps, then
/// the grids of the slider over training, evenly thinned. The note on the grids says what is left out.
pub fn fitted(report: &Report, room: usize) -> Report {
    let mut report = report.clone();
    let mut room = room;
    let mut fits = |size: usize| {
        let fits = size <= room;
        room -= if fits { size } else { 0 };
        fits
    };
    let (neighbours, maps) = (
        sum(&report, |v| embedded(&v.neighbours_png)),
        sum(&report, |v| embedded(v.map_pngs.values())),
    );
    let mut left_out = Vec::new();
    if !fits(neighbours) {
        left_out.push("nearest training images");
        report.variants.iter_mut().for_each(|v| v.neighbours_png = None);
    }
    if !fits(maps) {
        left_out.push("feature maps");
        report.variants.iter_mut().for_each(|v| v.map_pngs.clear());
    }
    if thin(&mut report, room) {
        left_out.push("grids of some steps");
    }
    if !left_out.is_empty() {
        let (what, note) = (left_out.join(", "), &report.grid.note);
        let before = if note.is_empty() {
            String::new()
        } else {
            format!("{note}. ")
        };
        report.grid.note = format!("{before}Left out, to keep this page small, and kept in the runs’ folders: {what}");
    }
    report
}

/// Keeps the grids of every first, second, third … step from the end, as many as fit, and the last of each variant. Tells whether any
/// is gone.
fn thin(report: &mut Report, room: usize) -> bool {
    let steps = report.variants.iter().flat_map(|v| &v.grids).map(|grid| grid.step);
    let steps: Vec<u64> = steps.collect::<BTreeSet<_>>().into_iter().rev().collect();
    let every = |stride: usize| steps.iter().step_by(stride).copied().collect::<BTreeSet<u64>>();
    let size = |kept: &BTreeSet<u64>| {
        sum(report, |v| {
            embedded(v.grids.iter().filter(|g| kept.contains(&g.step)).map(|g| &g.png))
        })
    };
    let kept = (1..=steps.len()).map(every).find(|kept| size(kept) <= room);
    let kept = kept.unwrap_or_default();
    for variant in &mut report.variants {
        let last = variant.grids.last().map(|grid| grid.step);
        variant
            .grids
            .retain(|grid| kept.contains(&grid.step) || Some(grid.step) == last);
    }
    kept.len() < steps.len() && steps.len() > 1
}

/// The bytes that pictures take in the page, in base64 and with what is around them.
fn embedded<'a>(pngs: impl IntoIterator<Item = &'a Vec<u8>>) -> usize {
    pngs.into_iter().map(|png| png.len().div_ceil(3) * 4 + AROUND).sum()
}

fn sum(report: &Report, size: impl Fn(&Variant) -> usize) -> usize {
    report.variants.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::example;

    #[test]
    fn grids_are_thinned_first_and_the_last_stays() {
        let whole = example();
        assert_eq!(
            fitted(&whole, 2_000_000).grid,
            whole.grid,
            "all fits, and nothing is said"
        );
        let mut large = whole.clone();
        for variant in &mut large.variants {
            variant.grids.iter_mut().for_each(|grid| grid.png = vec![0; 1_000_000]);
        }
        let steps = |report: &Report| report.variants[0].grids.iter().map(|g| g.step).collect::<Vec<_>>();
        let thinned = fitted(&large, 9_000_000);
        assert!(thinned.variants[0].neighbours_png.is_some() && !thinned.variants[0].map_pngs.is_empty());
        assert!(steps(&thinned).len() < steps(&whole).len());
        assert_eq!(steps(&thinned).last(), steps(&whole).last());
        assert!(thinned.grid.note.ends_with("folders: grids of some steps"));
        let bare = fitted(&whole, 0);
        let left: Vec<usize> = bare.variants.iter().map(|v| v.grids.len()).collect();
        assert_eq!(left, [1, 1, 1, 1, 0], "the last of each that has any");
        let mut variants = bare.variants.iter();
        assert!(variants.all(|v| v.map_pngs.is_empty() && v.neighbours_png.is_none()));
    }
}
