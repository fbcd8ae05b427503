//! Classes read off features: the vote of nearest neighbours.

use sextant_data::Dataset;

/// Finer classes with fewer images than this in the whole set are not judged.
const ENOUGH: usize = 10;

/// Share of held-out images whose class the nearest training images name, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnnAccuracy {
    /// Over the classes.
    pub classes: f64,
    /// Over the finer classes that have at least ten images.
    pub subclasses: f64,
}

impl KnnAccuracy {
    /// Judges one row per image of `dataset`, `[N, width]`, by the vote of `k` neighbours.
    ///
    /// Panics unless there is a row for every image. Pixels ([`Dataset::gather`]) are rows too.
    pub fn of(dataset: &Dataset, rows: &[f32], k: usize) -> Self {
        let width = rows.len() / dataset.len();
        assert_eq!(width * dataset.len(), rows.len(), "one row for every image");
        let mut counts = vec![0; dataset.subclass_names().len()];
        dataset
            .sublabels()
            .iter()
            .for_each(|&label| counts[label as usize] += 1);
        let common = |id: usize| counts[dataset.sublabels()[id] as usize] >= ENOUGH;
        let accuracy = |labels: &[i64], judged: &dyn Fn(usize) -> bool| {
            let [known, queries] = [dataset.train(), dataset.held_out()].map(|part| {
                let ids = || part.iter().copied().filter(|&id| judged(id));
                let chosen: Vec<f32> = ids()
                    .flat_map(|id| &rows[id * width..(id + 1) * width])
                    .copied()
                    .collect();
                (chosen, ids().map(|id| labels[id]).collect::<Vec<_>>())
            });
            let labelled = |(rows, labels)| Labelled { rows, labels };
            knn_accuracy(
                labelled((&known.0, &known.1)),
                labelled((&queries.0, &queries.1)),
                width,
                k,
            )
        };
        Self {
            classes: accuracy(dataset.labels(), &|_| true),
            subclasses: accuracy(dataset.sublabels(), &common),
        }
    }
}

/// Rows of equal length with a class each.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// `[N, width]`, row-major.
    pub rows: &'a [f32],
    /// `[N]`
    pub labels: &'a [i64],
}

/// The share of `queries` whose class wins the vote of their `k` nearest `known` rows by cosine similarity.
///
/// Ties go to the class of the nearer neighbour. `width` divides both sets of rows.
pub fn knn_accuracy(known: Labelled, queries: Labelled, width: usize, k: usize) -> f64 {
    let known_rows = unit_rows(known.rows, width);
    let right = unit_rows(queries.rows, width)
        .chunks_exact(width)
        .zip(queries.labels)
        .filter(|(query, label)| {
            let mut nearest: Vec<(f32, i64)> = known_rows
                .chunks_exact(width)
                .zip(known.labels)
                .map(|(row, &label)| (row.iter().zip(*query).map(|(a, b)| a * b).sum(), label))
                .collect();
            nearest.sort_by(|a, b| b.0.total_cmp(&a.0));
            nearest.truncate(k);
            vote(&nearest) == Some(**label)
        })
        .count();
    right as f64 / queries.labels.len() as f64
}

/// The most frequent label; of several, the one that comes first.
fn vote(nearest: &[(f32, i64)]) -> Option<i64> {
    let votes = |label: i64| nearest.iter().filter(|(_, other)| *other == label).count();
    // `max_by_key` keeps the last of equals, so the nearest is put last.
    nearest
        .iter()
        .rev()
        .map(|&(_, label)| label)
        .max_by_key(|&label| votes(label))
}

fn unit_rows(rows: &[f32], width: usize) -> Vec<f32> {
    rows.chunks_exact(width)
        .flat_map(|row| {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
            row.iter().map(move |v| v / norm)
        })
        .collect()
}

/// The mean over tokens of `[N, tokens, width]`: `[N, width]`.
pub fn mean_pool(features: &[f32], [tokens, width]: [usize; 2]) -> Vec<f32> {
    features
        .chunks_exact(tokens * width)
        .flat_map(|image| (0..width).map(move |c| image[c..].iter().step_by(width).sum::<f32>() / tokens as f32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn should_vote_by_direction_not_by_length() {
        let known = Labelled {
            rows: &[1.0, 0.0, 9.0, 1.0, 0.0, 1.0],
            labels: &[0, 0, 1],
        };
        let queries = Labelled {
            rows: &[0.1, 0.0, 0.0, 50.0],
            labels: &[0, 1],
        };
        assert_eq!(knn_accuracy(known, queries, 2, 1), 1.0);
    }

    #[test]
    fn should_settle_ties_by_the_nearer() {
        assert_eq!(vote(&[(0.9, 4), (0.8, 7), (0.7, 7), (0.6, 4), (0.5, 1)]), Some(4));
        assert_eq!(vote(&[]), None);
    }

    #[test]
    fn should_average_the_tokens() {
        assert_eq!(
            mean_pool(&[1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 7.0, 70.0], [2, 2]),
            [2.0, 20.0, 6.0, 60.0]
        );
    }
}
