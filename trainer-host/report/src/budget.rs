//! Room for pictures: the page is to be opened and mailed whole, and stays below 10 MB.

use std::collections::BTreeSet;

use crate::content::{Report, Variant};

/// Bytes that the page needs around a picture, at most: element, alternative text, cell.
const AROUND: usize = 600;

/// The pictures that are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBudget {
    /// The steps of which sample grids are shown, rising.
    pub steps: Vec<u64>,
    /// Set where grids of other steps are left out.
    pub is_thinned: bool,
    /// Set where feature maps are shown.
    pub maps: bool,
    /// Set where nearest neighbours are shown.
    pub neighbours: bool,
}

impl ImageBudget {
    /// The pictures that fit into so many bytes beside the last samples, which are shown in any case: neighbours, then maps, then the grids of the
    /// slider over training, evenly thinned.
    pub fn new(report: &Report, room: usize) -> Self {
        let mut left = room;
        let mut fits = |size: usize| {
            let fits = size <= left;
            left -= if fits { size } else { 0 };
            fits
        };
        let neighbours = fits(sum(report, |v| embedded(&v.neighbours_png)));
        let maps = fits(sum(report, |v| embedded(v.map_pngs.values())));
        let all: BTreeSet<u64> = report
            .variants
            .iter()
            .flat_map(|v| &v.grids)
            .map(|grid| grid.step)
            .collect();
        let all: Vec<u64> = all.into_iter().collect();
        let size = |step: &u64| {
            sum(report, |v| {
                embedded(v.grids.iter().filter(|g| g.step == *step).map(|g| &g.png))
            })
        };
        // From the end, every first, second, third … step.
        let every = |stride: usize| all.iter().rev().step_by(stride).rev().copied().collect::<Vec<u64>>();
        let steps = (1..=all.len())
            .map(every)
            .find(|steps| steps.iter().map(size).sum::<usize>() <= left)
            .unwrap_or_default();
        Self {
            is_thinned: steps.len() < all.len() && all.len() > 1,
            steps,
            maps,
            neighbours,
        }
    }
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

    const ROOM: usize = 9_000_000;

    #[test]
    fn all_is_shown_where_there_is_room() {
        let budget = ImageBudget::new(&example(), 2_000_000);
        assert!(
            budget.maps && budget.neighbours && !budget.is_thinned && budget.steps.len() > 2,
            "{budget:?}"
        );
    }

    #[test]
    fn grids_are_thinned_first_and_the_last_stays() {
        let mut report = example();
        let whole = ImageBudget::new(&report, ROOM);
        for variant in &mut report.variants {
            variant.grids.iter_mut().for_each(|grid| grid.png = vec![0; 1_000_000]);
        }
        let budget = ImageBudget::new(&report, ROOM);
        assert!(budget.maps && budget.neighbours && budget.is_thinned);
        assert!(
            budget.steps.last() == whole.steps.last() && budget.steps.len() < whole.steps.len(),
            "{budget:?}"
        );
        let none = ImageBudget::new(&report, 10);
        assert!(!none.maps && !none.neighbours && none.steps.is_empty() && none.is_thinned);
    }
}
