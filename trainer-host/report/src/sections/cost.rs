//! The cost of guidance: a step's time by part, memory and parameters, and the bill to the end.

use crate::content::{Measurements, Report};
use crate::measure::{Measure, Quantity, columns, table};
use crate::section::{Block, Section};

/// The seconds of a step by part, in their order.
pub const PARTS: [Measure; 7] = [
    ("data", |m| Some(m.parts.data)),
    ("encoding", |m| Some(m.parts.encoding).filter(|seconds| *seconds > 0.0)),
    ("student", |m| Some(m.parts.student)),
    ("teacher", |m| Some(m.parts.teacher)),
    ("guidance", |m| Some(m.parts.guidance)),
    ("backward", |m| Some(m.parts.backward)),
    ("update", |m| Some(m.parts.update)),
];

const PARAMETERS: [Measure; 4] = [
    ("student, trained", |m| Some(m.student_parameters as f64)),
    ("sources, trained", |m| Some(m.guidance_parameters as f64)),
    ("teacher, frozen", |m| Some(m.teacher_parameters as f64)),
    ("encoder, frozen", |m| Some(m.encoder?.parameters as f64)),
];

const OF_STEP: [Measure; 5] = [
    ("encoding", |m| {
        Some(m.operations?.encoding).filter(|count| *count > 0.0)
    }),
    ("student", |m| Some(m.operations?.student)),
    ("teacher", |m| Some(m.operations?.teacher)),
    ("guidance", |m| Some(m.operations?.guidance)),
    ("whole step", |m| Some(m.operations?.step())),
];

const TIMES: [Measure; 3] = [
    ("last phase", |m| Some(m.total_seconds - m.earlier_phases_seconds)),
    ("earlier phases", |m| Some(m.earlier_phases_seconds)),
    ("all training", |m| Some(m.total_seconds)),
];

const BILL: [Measure; 5] = [
    ("last phase", |m| Some(m.operations?.last_phase)),
    ("earlier phases", |m| Some(m.operations?.earlier_phases)),
    ("encoder’s training", |m| m.encoder?.training_operations),
    ("encoding", |m| Some(m.encoder?.encoding_operations)),
    ("everything", everything),
];

const OPERATIONS: &str = "Operations are floating-point operations counted from the shapes of matrix products, convolutions and attention, a multiplication \
                          and an addition being two, a backward pass twice its forward pass. Everything is the last phase, earlier phases such as a \
                          teacher’s training, the training of the encoder whose features a source reads, and the encoding of the data with it. The \
                          making of an encoder is on the bill in operations, and not in seconds or in images. A dash is what was not counted, and is in \
                          no sum.";

const ASYNCHRONOUS: &str =
    "On a device that runs asynchronously the times of the parts are times to launch, and only the whole is right.";

/// The section; none where no variant finished.
pub fn section(report: &Report) -> Option<Section> {
    let mut blocks = Vec::new();
    if report.finished().any(|(_, _, m)| whole(m) > Some(0.0)) {
        let columns = columns(
            report,
            Quantity::StepTime,
            &[&PARTS[..], &[("whole step", whole)]].concat(),
        );
        let parts = table(report, "Mean wall time of a step of the last phase by part", columns);
        blocks.extend([Block::Table(parts), Block::Words(ASYNCHRONOUS.into())]);
    }
    let memory: Measure = ("peak memory", |m| m.peak_memory_bytes.map(|bytes| bytes as f64));
    let memory = columns(report, Quantity::Bytes, &[memory]);
    let parameters = columns(report, Quantity::Parameters, &PARAMETERS);
    let times = columns(report, Quantity::Time, &TIMES);
    // What an encoder cost says nothing where no step was counted.
    let counted = report.finished().any(|(_, _, m)| m.operations.is_some());
    let spent = columns(report, Quantity::Operations, if counted { &BILL } else { &[] });
    let tables = [
        (
            "Peak memory of the process, and parameters by network",
            [memory, parameters].concat(),
        ),
        ("Operations of a step", columns(report, Quantity::Operations, &OF_STEP)),
        ("The bill to the end", [times, spent].concat()),
    ];
    let tables = tables.map(|(caption, columns)| Block::Table(table(report, caption, columns)));
    blocks.extend(tables);
    if counted {
        blocks.push(Block::Words(OPERATIONS.into()));
    }
    Section::new("cost", "Cost: time by part, memory, operations", blocks)
}

fn everything(measured: &Measurements) -> Option<f64> {
    let encoder = measured.encoder.map_or(0.0, |encoder| {
        encoder.training_operations.unwrap_or(0.0) + encoder.encoding_operations
    });
    Some(measured.operations?.last_phase + measured.operations?.earlier_phases + encoder)
}

fn whole(measured: &Measurements) -> Option<f64> {
    Some(PARTS.iter().filter_map(|(_, part)| part(measured)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncoderCost, Operations, Outcome, fixture};

    #[test]
    fn everything_on_the_bill_is_the_sum_of_its_parts() {
        let mut report = fixture::example();
        report.variants.truncate(1);
        let Outcome::Finished(measured) = &mut report.variants[0].outcome else {
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
        let section = section(&report).unwrap();
        let row = &section.tables().last().unwrap().rows[0];
        let cells: Vec<&str> = row.cells[4..].iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(cells, ["3.00", "2.00", "4.00", "1.00", "10.0"]);
    }

    #[test]
    fn encoding_is_a_part_where_a_step_encodes() {
        let mut report = fixture::example();
        let heads = |report: &Report| -> Vec<String> {
            let section = section(report).unwrap();
            let tables: Vec<_> = section.tables().collect();
            let of_steps = [tables[0], tables[2]];
            of_steps
                .iter()
                .flat_map(|table| table.columns.iter().map(|column| column.name.clone()))
                .collect()
        };
        let encoding = |heads: Vec<String>| heads.iter().filter(|head| head.starts_with("encoding")).count();
        assert_eq!(encoding(heads(&report)), 0);
        let Outcome::Finished(measured) = &mut report.variants[0].outcome else {
            panic!()
        };
        let before = whole(measured).unwrap();
        measured.parts.encoding = 0.5;
        assert!((whole(measured).unwrap() - before - 0.5).abs() < 1e-12);
        measured.operations.as_mut().unwrap().encoding = 1e9;
        assert_eq!(encoding(heads(&report)), 2);
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let measured_by_none = section(&fixture::hostile()).unwrap();
        let tables: Vec<_> = measured_by_none.tables().collect();
        assert!(tables[0].caption.starts_with("Peak memory"), "no parts were measured");
        assert!(tables[1].rows.is_empty() && tables[2].columns.len() == 4);
        assert!(!format!("{measured_by_none:?}").contains("counted from"));
        assert!(section(&Report::default()).is_none());
        let whole = section(&fixture::example()).unwrap();
        assert!(whole.tables().count() == 4 && whole.tables().all(|table| !table.rows.is_empty()));
    }
}
