//! The cost of guidance: a step's time by part, memory and parameters, and the bill to the end.

use crate::chart::{Bar, Bars, Chart, Drawing};
use crate::content::{Measurements, Operations, Parts, Report};
use crate::measure::{Quantity, Unit};
use crate::section::{Block, Section};
use crate::table::{Cell, Column, Row, Table};

/// A part of a step, and how to read its seconds off.
type Part = (&'static str, fn(&Parts) -> f64);

const PARTS: [Part; 6] = [
    ("data", |p| p.data),
    ("student", |p| p.student),
    ("teacher", |p| p.teacher),
    ("guidance", |p| p.guidance),
    ("backward", |p| p.backward),
    ("update", |p| p.update),
];

const OPERATIONS: &str = "Operations are floating-point operations counted from the shapes of matrix products, convolutions and attention, a multiplication \
                          and an addition being two, a backward pass twice its forward pass. Everything is the last phase, earlier phases such as a \
                          teacher’s training, the training of the encoder whose features a source reads, and the encoding of the data with it. The \
                          making of an encoder is on the bill in operations, and not in seconds or in images. A dash is what was not counted, and is in \
                          no sum.";

/// The section; none where no variant finished.
pub fn section(report: &Report) -> Option<Section> {
    let mut blocks: Vec<Block> = bars(report).map(|bars| Block::Charts(vec![bars])).into_iter().collect();
    blocks.extend([parts(report), parameters(report), operations(report), bill(report)].map(Block::Table));
    if report
        .finished()
        .any(|(_, _, m)| m.operations.is_some() || m.encoder.is_some())
    {
        blocks.push(Block::Words(OPERATIONS.into()));
    }
    Section::new("cost", "Cost: time by part, memory, operations", blocks)
}

/// Variants whose parts were measured.
fn with_parts(report: &Report) -> Vec<(usize, &str, &Measurements)> {
    report
        .finished()
        .filter(|(_, _, measured)| whole(&measured.parts) > 0.0)
        .collect()
}

fn whole(parts: &Parts) -> f64 {
    PARTS.iter().map(|(_, part)| part(parts)).sum()
}

fn table(caption: &str, heads: impl IntoIterator<Item = String>, rows: impl IntoIterator<Item = Row>) -> Table {
    let heads = [Column::text("variant")]
        .into_iter()
        .chain(heads.into_iter().map(Column::from));
    Table::new(caption, heads).with(rows)
}

/// A step's time by part; none where nobody measured it.
fn bars(report: &Report) -> Option<Chart> {
    let of = with_parts(report);
    let unit = Unit::fitting(Quantity::StepTime, of.iter().map(|(_, _, m)| whole(&m.parts)));
    let bars = of.iter().map(|(variant, name, measured)| Bar {
        variant: *variant,
        name: (*name).to_owned(),
        parts: PARTS
            .iter()
            .map(|(_, part)| part(&measured.parts) / unit.size())
            .collect(),
        whole: format!("{} {}", unit.text(whole(&measured.parts)), unit.name),
    });
    let bars = Bars {
        title: unit.head("time of a step"),
        parts: PARTS.iter().map(|(name, _)| *name).collect(),
        bars: bars.collect(),
    };
    let caption = "Mean wall time of an optimiser step of the last phase by part. On a device that runs asynchronously these are times to launch, and only \
                   the whole is right.";
    (!bars.bars.is_empty()).then(|| Chart {
        file: "step-by-part".into(),
        caption: caption.into(),
        drawing: Drawing::Bars(bars),
    })
}

fn parts(report: &Report) -> Table {
    let of = with_parts(report);
    let unit = Unit::fitting(Quantity::StepTime, of.iter().map(|(_, _, m)| whole(&m.parts)));
    let rows = of.iter().map(|(index, name, measured)| {
        let cells = PARTS.iter().map(|(_, part)| unit.text(part(&measured.parts)));
        Row::of(*index, name, cells.chain([unit.text(whole(&measured.parts))]))
    });
    let heads = PARTS
        .iter()
        .map(|(name, _)| *name)
        .chain(["whole step"])
        .map(|name| unit.head(name));
    table("Mean time of a step by part", heads, rows)
}

fn parameters(report: &Report) -> Table {
    type Read = fn(&Measurements) -> Option<f64>;
    let columns: [(&str, Read); 4] = [
        ("student, trained", |m| Some(m.student_parameters as f64)),
        ("sources, trained", |m| Some(m.guidance_parameters as f64)),
        ("teacher, frozen", |m| Some(m.teacher_parameters as f64)),
        ("encoder, frozen", |m| {
            m.encoder.map(|encoder| encoder.parameters as f64)
        }),
    ];
    let memory = |m: &Measurements| m.peak_memory_bytes.map(|bytes| bytes as f64);
    let values = report
        .finished()
        .flat_map(|(_, _, m)| columns.iter().filter_map(|(_, read)| read(m)));
    let unit = Unit::fitting(Quantity::Parameters, values);
    let bytes = Unit::fitting(Quantity::Bytes, report.finished().filter_map(|(_, _, m)| memory(m)));
    let rows = report.finished().map(|(index, name, m)| {
        let cells = columns.iter().map(|(_, read)| unit.cell(read(m)));
        Row::of(index, name, [bytes.cell(memory(m))].into_iter().chain(cells))
    });
    let heads = [bytes.head("peak memory")]
        .into_iter()
        .chain(columns.iter().map(|(name, _)| unit.head(name)));
    table(
        "Peak memory of the process, and parameters by network",
        heads,
        rows.collect::<Vec<_>>(),
    )
}

fn operations(report: &Report) -> Table {
    let counted = || {
        report
            .finished()
            .filter_map(|(i, name, m)| Some((i, name, m.operations?)))
    };
    let unit = Unit::fitting(Quantity::Operations, counted().map(|(_, _, o)| o.step()));
    let rows = counted().map(|(index, name, o)| {
        Row::of(
            index,
            name,
            [o.student, o.teacher, o.guidance, o.step()].map(|value| unit.text(value)),
        )
    });
    let heads = ["student", "teacher", "guidance", "whole step"].map(|name| unit.head(name));
    table("Operations of a step", heads, rows)
}

fn bill(report: &Report) -> Table {
    let operations = |m: &Measurements, read: fn(&Operations) -> f64| m.operations.as_ref().map(read);
    let everything = |m: &Measurements| {
        let encoder = m
            .encoder
            .map_or(0.0, |g| g.training_operations.unwrap_or(0.0) + g.encoding_operations);
        m.operations.map(|o| o.last_phase + o.earlier_phases + encoder)
    };
    let time = Unit::fitting(Quantity::Time, report.finished().map(|(_, _, m)| m.total_seconds));
    let unit = Unit::fitting(
        Quantity::Operations,
        report.finished().filter_map(|(_, _, m)| everything(m)),
    );
    // Without any counted operation the columns would be dashes alone.
    let counted = report.finished().any(|(_, _, m)| m.operations.is_some());
    let rows = report.finished().map(|(index, name, m)| {
        let mut cells: Vec<Cell> = [
            m.total_seconds - m.earlier_phases_seconds,
            m.earlier_phases_seconds,
            m.total_seconds,
        ]
        .map(|seconds| time.text(seconds).into())
        .into();
        if counted {
            cells.extend([
                unit.cell(operations(m, |o| o.last_phase)),
                unit.cell(operations(m, |o| o.earlier_phases)),
                unit.cell(m.encoder.and_then(|g| g.training_operations)),
                unit.cell(m.encoder.map(|g| g.encoding_operations)),
                unit.cell(everything(m)),
            ]);
        }
        Row::of(index, name, cells)
    });
    let mut heads: Vec<String> = ["last phase", "earlier phases", "all training"]
        .map(|name| time.head(name))
        .into();
    if counted {
        let names = [
            "last phase",
            "earlier phases",
            "encoder’s training",
            "encoding",
            "everything",
        ];
        heads.extend(names.map(|name| unit.head(name)));
    }
    table("The bill to the end", heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncoderCost, Outcome, fixture};

    #[test]
    fn everything_on_the_bill_is_the_sum_of_its_parts() {
        let mut report = fixture::example();
        let Outcome::Finished(measured) = &mut report.variants[1].outcome else {
            panic!()
        };
        measured.operations = Some(Operations {
            last_phase: 3e12,
            earlier_phases: 2e12,
            ..Default::default()
        });
        measured.encoder = Some(EncoderCost {
            training_operations: Some(4e12),
            encoding_operations: 1e12,
            ..Default::default()
        });
        report.variants.swap(0, 1);
        report.variants.truncate(1);
        let row = &bill(&report).rows[0];
        let cells: Vec<&str> = row.cells[4..].iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(cells, ["3.00", "2.00", "4.00", "1.00", "10.0"]);
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let report = fixture::hostile();
        assert!(bars(&report).is_none(), "no parts were measured");
        assert!(operations(&report).rows.is_empty() && bill(&report).columns.len() == 4);
        assert!(!format!("{:?}", section(&report).unwrap()).contains("counted from"));
        assert!(section(&Report::default()).is_none());
        let whole = section(&fixture::example()).unwrap();
        assert!(whole.charts().count() == 1 && whole.tables().all(|table| !table.rows.is_empty()));
    }
}
