//! Which pictures the page has room for. It is to be opened and mailed whole, and stays below 10 MB.

use std::collections::BTreeSet;

use super::content::Report;
use super::samples;

/// Bytes of pictures that fit: in base64 a third more, and there is text beside them.
const ROOM: usize = 6_500_000;

/// What is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Album {
    /// The steps of which sample grids are shown, rising.
    pub steps: Vec<u64>,
    /// Whether grids of other steps are left out.
    pub thinned: bool,
    /// Whether feature maps are shown.
    pub maps: bool,
    /// Whether nearest neighbours are shown.
    pub neighbours: bool,
}

impl Album {
    /// What the page has room for: the last samples in any case, then neighbours, then maps, then grids of earlier steps, evenly thinned.
    pub fn new(report: &Report) -> Self {
        Self::within(report, ROOM)
    }

    fn within(report: &Report, room: usize) -> Self {
        let mut left = room.saturating_sub(sum(report, |v| samples::last(v).map_or(0, Vec::len)));
        let mut fits = |size: usize| {
            let fits = size <= left;
            left -= if fits { size } else { 0 };
            fits
        };
        let neighbours = fits(sum(report, |v| v.neighbours_png.as_ref().map_or(0, Vec::len)));
        let maps = fits(sum(report, |v| v.map_pngs.values().map(Vec::len).sum()));
        let all: BTreeSet<u64> = report
            .variants
            .iter()
            .flat_map(|v| &v.grids)
            .map(|grid| grid.step)
            .collect();
        let all: Vec<u64> = all.into_iter().collect();
        let size = |step: &u64| {
            sum(report, |v| {
                v.grids.iter().filter(|g| g.step == *step).map(|g| g.png.len()).sum()
            })
        };
        // From the end, every first, second, third … step.
        let every = |stride: usize| all.iter().rev().step_by(stride).rev().copied().collect::<Vec<u64>>();
        let steps = (1..=all.len())
            .map(every)
            .find(|steps| steps.iter().map(size).sum::<usize>() <= left)
            .unwrap_or_default();
        Self {
            thinned: steps.len() < all.len(),
            steps,
            maps,
            neighbours,
        }
    }
}

fn sum(report: &Report, size: impl Fn(&super::Variant) -> usize) -> usize {
    report.variants.iter().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn all_is_shown_where_there_is_room() {
        let album = Album::new(&example());
        assert!(
            album.maps && album.neighbours && !album.thinned && album.steps.len() > 2,
            "{album:?}"
        );
    }

    #[test]
    fn grids_are_thinned_first_and_the_last_stays() {
        let mut report = example();
        let whole = Album::new(&report);
        for variant in &mut report.variants {
            variant.grids.iter_mut().for_each(|grid| grid.png = vec![0; 1_000_000]);
        }
        let album = Album::new(&report);
        assert!(album.maps && album.neighbours && album.thinned);
        assert!(
            album.steps.last() == whole.steps.last() && album.steps.len() < whole.steps.len(),
            "{album:?}"
        );
        let none = Album::within(&report, 10);
        assert!(!none.maps && !none.neighbours && none.steps.is_empty());
    }
}
