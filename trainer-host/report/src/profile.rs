//! A number of each variant at a few places, such as times or depths, over all seeds: as lines and as a table.

use crate::chart::{Line, Lines};
use crate::content::{Report, Variant};
use crate::seed_mean::SeedMean;
use crate::table::{Cell, Column, Row, Table};

/// The values of all variants that have any.
pub struct Profile {
    title: String,
    variants: Vec<Measured>,
}

/// A variant's values.
struct Measured {
    variant: usize,
    name: String,
    /// By rising place, each with a value a seed.
    values: Vec<(f64, Vec<f64>)>,
}

impl Profile {
    /// The profile of what `read` finds with all of a variant's seeds: places and values in any order.
    pub fn new(report: &Report, title: impl Into<String>, read: impl Fn(&Variant) -> Vec<(f64, f64)>) -> Self {
        let measured = report.variants.iter().enumerate().map(|(variant, of)| {
            let mut values: Vec<(f64, Vec<f64>)> = Vec::new();
            for (place, value) in read(of) {
                match values.iter_mut().find(|(known, _)| *known == place) {
                    Some((_, seeds)) => seeds.push(value),
                    None => values.push((place, vec![value])),
                }
            }
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            let name = of.name.clone();
            Measured { variant, name, values }
        });
        Self {
            title: title.into(),
            variants: measured.filter(|measured| !measured.values.is_empty()).collect(),
        }
    }

    /// The places of all variants, rising.
    pub fn places(&self) -> Vec<f64> {
        let values = self.variants.iter().flat_map(|of| &of.values);
        let mut places: Vec<f64> = values.map(|(place, _)| *place).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    /// Means over seeds, with bands from the least to the largest, in a chart like `like`.
    pub fn lines(&self, x_label: &str, like: Lines) -> Lines {
        let lines = self.variants.iter().map(|of| {
            let point = |(x, seeds): &(f64, Vec<f64>)| [*x, seeds.iter().sum::<f64>() / seeds.len() as f64];
            let span = |(x, seeds): &(f64, Vec<f64>)| {
                let reduce = |by: fn(f64, f64) -> f64| seeds.iter().copied().fold(f64::NAN, by);
                [*x, reduce(f64::min), reduce(f64::max)]
            };
            let several = of.values.iter().filter(|(_, seeds)| seeds.len() > 1);
            Line {
                variant: of.variant,
                name: of.name.clone(),
                points: of.values.iter().map(point).collect(),
                band: several.map(span).collect(),
                dots: true,
                ..Line::default()
            }
        });
        Lines {
            title: self.title.clone(),
            x_label: x_label.into(),
            lines: lines.collect(),
            ..like
        }
    }

    /// A row a variant, a column a place.
    pub fn table(&self, head: impl Fn(f64) -> String, text: fn(&SeedMean) -> String) -> Table {
        let places = self.places();
        let heads = places.iter().map(|place| Column::from(head(*place)));
        let rows = self.variants.iter().map(|of| {
            let cells = places.iter().map(|place| -> Cell {
                let found = of.values.iter().find(|(known, _)| known == place);
                let over = found.and_then(|(_, seeds)| SeedMean::new(seeds.iter().copied()));
                over.map(|over| text(&over)).into()
            });
            Row::of(of.variant, &of.name, cells)
        });
        let heads = [Column::text("variant")].into_iter().chain(heads);
        Table::new(self.title.clone(), heads).with(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_a_mean_a_band_and_a_spread_and_what_is_missing_is_a_dash() {
        let variant = |name: &str| Variant {
            name: name.into(),
            ..Variant::default()
        };
        let report = Report {
            variants: ["a", "b", "none"].map(variant).into(),
            ..Report::default()
        };
        let profile = Profile::new(&report, "loss", |variant| match variant.name.as_str() {
            "a" => vec![(0.5, 2.0), (0.25, 1.0), (0.5, 4.0)],
            "b" => vec![(0.75, 8.0)],
            _ => Vec::new(),
        });
        let lines = profile.lines("t", Lines::small()).lines;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].points, [[0.25, 1.0], [0.5, 3.0]]);
        assert_eq!(lines[0].band, [[0.5, 2.0, 4.0]]);
        let table = profile.table(|t| format!("t = {t}"), SeedMean::text);
        let words = table
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .map(|cell| cell.text.as_str());
        let wanted = ["a", "1.000", "3.0 ± 1.4", "—", "b", "—", "—", "8.000"];
        assert_eq!(words.collect::<Vec<_>>(), wanted);
        assert_eq!(table.columns[3].name, "t = 0.75");
    }
}
