//! Euclidean distances between rows, by brute force and without the shortcut of |x|² + |y|² - 2 x·y.
//!
//! The shortcut cancels: two equal rows come out 1e-8 of their length apart, and a search for copies lives on that.

use super::Features;

/// Rows of the first set that are held against one row of the second while that is in the cache.
const TILE: usize = 32;

/// A row of the other set, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its row there.
    pub index: usize,
    /// Euclidean.
    pub distance: f64,
}

/// For every row of `queries` its `k` nearest rows of `references`, the nearest first, ties by the lower index.
///
/// Fewer than `k` where `references` has fewer. Panics unless both are equally wide.
pub fn nearest(queries: &Features, references: &Features, k: usize) -> Vec<Vec<Neighbour>> {
    let mut found = search(queries, references, k, |_, _| true);
    let all = found.iter_mut().flatten();
    all.for_each(|neighbour| neighbour.distance = neighbour.distance.sqrt());
    found
}

/// For every row its squared distance to the `k`-th nearest other row: not rooted and squared again, since a row on
/// the border of a closed ball is inside to the last bit. Panics unless there are more than `k` > 0 rows.
pub(super) fn squared_radii(features: &Features, k: usize) -> Vec<f64> {
    let found = search(features, features, k, |query, reference| query != reference);
    found.iter().map(|neighbours| neighbours[k - 1].distance).collect()
}

/// The `k` nearest rows that are `admitted` (query, reference), with SQUARED distances.
fn search(
    queries: &Features,
    references: &Features,
    k: usize,
    admitted: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<Neighbour>> {
    let mut found: Vec<Vec<Neighbour>> = vec![Vec::with_capacity(k + 1); queries.len()];
    for_each_pair(queries, references, |query, index, squared| {
        let list = &mut found[query];
        let close = list.len() < k || list.last().is_some_and(|last| squared < last.distance);
        if close && k > 0 && admitted(query, index) {
            let place = list.partition_point(|other| other.distance <= squared);
            let distance = squared;
            list.insert(place, Neighbour { index, distance });
            list.truncate(k);
        }
    });
    found
}

/// Shows every pair of rows with its squared distance; for each row of `first` those of `second` come in order.
pub(super) fn for_each_pair(first: &Features, second: &Features, mut visit: impl FnMut(usize, usize, f64)) {
    assert_eq!(first.width(), second.width(), "rows of one width");
    for start in (0..first.len()).step_by(TILE) {
        for (j, other) in second.rows().enumerate() {
            for i in start..first.len().min(start + TILE) {
                visit(i, j, squared_distance(first.row(i), other));
            }
        }
    }
}

/// |a - b|², in eight sums that the compiler keeps in vector registers.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let (a_lanes, a_rest) = a.as_chunks::<8>();
    let (b_lanes, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Draws;
    use super::*;

    fn plain(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn the_nearest_are_those_of_a_full_sort() {
        let mut draws = Draws::new(1);
        // Widths below, at and above a register's lanes, more rows than a tile.
        for width in [1, 8, 19] {
            let (queries, references) = (draws.gaussian(70, width, 0.0), draws.gaussian(45, width, 0.0));
            for (query, found) in queries.rows().zip(nearest(&queries, &references, 4)) {
                let mut sorted: Vec<usize> = (0..45).collect();
                let distance = |&row: &usize| plain(query, references.row(row));
                sorted.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
                assert_eq!(
                    found.iter().map(|neighbour| neighbour.index).collect::<Vec<_>>(),
                    sorted[..4]
                );
                assert!((found[3].distance - distance(&sorted[3])).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn within_a_set_no_row_is_its_own_neighbour_but_its_double_is() {
        let features = Features::new(vec![0.0, 5.0, 5.0, 9.0], 1).unwrap();
        assert_eq!(squared_radii(&features, 1), [25.0, 0.0, 0.0, 16.0]);
        assert_eq!(squared_radii(&features, 2), [25.0, 16.0, 16.0, 16.0]);
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        let references = Features::new(vec![1.0, -1.0, 1.0], 1).unwrap();
        let found = nearest(&Features::new(vec![0.0], 1).unwrap(), &references, 2);
        assert_eq!([found[0][0].index, found[0][1].index], [0, 1]);
    }
}
