//! What guidance costs: a step's time by part, memory and parameters, and the bill to the end.

use super::bars::{Bar, Bars};
use super::content::{Measurements, Outcome, Parts, Report};
use super::markup::{Section, figure, scrolling};
use super::measure::{Quantity, Unit};
use super::sheet::{Sheet, SheetRow};

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

/// Where what a guide took to be made is counted, and where not.
const GUIDE: &str =
    "<p class=\"hint\">The making of a guide is on the bill in operations, and not in seconds or in images.</p>\n";

/// The page's section; none where no variant finished.
pub fn section(report: &Report) -> Option<Section> {
    let mut body = String::new();
    if let Some(bars) = bars(report) {
        let caption = "Mean wall time of an optimiser step of the last phase by part. On a device that runs asynchronously these are times to \
                       launch, and only the whole is right.";
        body.push_str(&figure(&scrolling(&bars.svg(), "Time of a step by part"), caption));
        body.push_str(&format!(
            "<details><summary>The parts in numbers</summary>\n{}</details>\n",
            parts_sheet(report).html()
        ));
    }
    for sheet in [parameters_sheet(report), operations_sheet(report), bill_sheet(report)] {
        body.push_str(&sheet.html());
    }
    if body.is_empty() {
        return None;
    }
    if !operations_sheet(report).rows.is_empty() {
        body.push_str(
            "<p class=\"hint\">Operations are floating-point operations counted from the shapes of matrix products, convolutions and attention, a \
             multiplication and an addition being two, a backward pass twice its forward pass. The bill has two sums: the last phase alone, and \
             everything: earlier phases such as a teacher’s training, the training of the guide whose features a source reads, and the encoding \
             of the data with it. A dash is what was not counted, and is in no sum.</p>\n",
        );
    }
    if finished(report).iter().any(|(_, _, measured)| measured.guide.is_some()) {
        body.push_str(GUIDE);
    }
    Section::new("cost", "Cost", body)
}

/// Every table of the section.
pub fn sheets(report: &Report) -> Vec<Sheet> {
    let sheets = [
        parts_sheet(report),
        parameters_sheet(report),
        operations_sheet(report),
        bill_sheet(report),
    ];
    sheets.into_iter().filter(|sheet| !sheet.rows.is_empty()).collect()
}

fn finished(report: &Report) -> Vec<(usize, &str, &Measurements)> {
    let variants = report.variants.iter().enumerate();
    let finished = variants.filter_map(|(index, variant)| match &variant.outcome {
        Outcome::Finished(measured) => Some((index, variant.name.as_str(), measured)),
        _ => None,
    });
    finished.collect()
}

/// Those whose parts were measured.
fn with_parts(report: &Report) -> Vec<(usize, &str, &Measurements)> {
    let mut finished = finished(report);
    finished.retain(|(_, _, measured)| whole(&measured.parts) > 0.0);
    finished
}

fn whole(parts: &Parts) -> f64 {
    PARTS.iter().map(|(_, part)| part(parts)).sum()
}

fn sheet(caption: &str, heads: Vec<String>, rows: Vec<SheetRow>) -> Sheet {
    Sheet {
        caption: caption.into(),
        heads: std::iter::once("variant".to_owned()).chain(heads).collect(),
        rows,
        words: Vec::new(),
    }
}

/// A step's time by part; none where nobody measured it.
pub fn bars(report: &Report) -> Option<Bars> {
    let of = with_parts(report);
    let unit = Unit::fitting(Quantity::StepTime, of.iter().map(|(_, _, m)| whole(&m.parts)));
    let scale = |value: f64| value / unit.size();
    let bars: Vec<Bar> = of
        .iter()
        .map(|(variant, name, measured)| Bar {
            variant: *variant,
            name: (*name).to_owned(),
            parts: PARTS.iter().map(|(_, part)| scale(part(&measured.parts))).collect(),
            whole: format!("{} {}", unit.text(whole(&measured.parts)), unit.name),
        })
        .collect();
    (!bars.is_empty()).then(|| Bars {
        title: unit.head("time of a step"),
        parts: PARTS.iter().map(|(name, _)| *name).collect(),
        bars,
    })
}

fn parts_sheet(report: &Report) -> Sheet {
    let of = with_parts(report);
    let unit = Unit::fitting(Quantity::StepTime, of.iter().map(|(_, _, m)| whole(&m.parts)));
    let rows = of.iter().map(|(index, name, measured)| {
        let cells = PARTS.iter().map(|(_, part)| unit.text(part(&measured.parts)));
        SheetRow::of(*index, name, cells.chain([unit.text(whole(&measured.parts))]).collect())
    });
    let heads = PARTS
        .iter()
        .map(|(name, _)| unit.head(name))
        .chain([unit.head("whole step")]);
    sheet("Mean time of a step by part", heads.collect(), rows.collect())
}

fn parameters_sheet(report: &Report) -> Sheet {
    let of = finished(report);
    type Read = fn(&Measurements) -> Option<f64>;
    let columns: [(&str, Read); 4] = [
        ("student, trained", |m| Some(m.student_parameters as f64)),
        ("sources, trained", |m| Some(m.guidance_parameters as f64)),
        ("teacher, frozen", |m| Some(m.teacher_parameters as f64)),
        ("guide, frozen", |m| m.guide.map(|guide| guide.parameters as f64)),
    ];
    let values = of
        .iter()
        .flat_map(|(_, _, m)| columns.iter().filter_map(|(_, read)| read(m)));
    let unit = Unit::fitting(Quantity::Parameters, values);
    let memory = Unit::fitting(
        Quantity::Bytes,
        of.iter().filter_map(|(_, _, m)| m.peak_memory_bytes.map(|b| b as f64)),
    );
    let rows = of.iter().map(|(index, name, m)| {
        let mut cells = vec![memory.cell(m.peak_memory_bytes.map(|b| b as f64))];
        cells.extend(columns.iter().map(|(_, read)| unit.cell(read(m))));
        SheetRow::of(*index, name, cells)
    });
    let heads = std::iter::once(memory.head("peak memory")).chain(columns.iter().map(|(name, _)| unit.head(name)));
    sheet(
        "Peak memory, and parameters by network",
        heads.collect(),
        rows.collect(),
    )
}

fn operations_sheet(report: &Report) -> Sheet {
    let of: Vec<_> = finished(report)
        .into_iter()
        .filter_map(|(i, name, m)| Some((i, name, m.operations?)))
        .collect();
    let unit = Unit::fitting(Quantity::Operations, of.iter().map(|(_, _, o)| o.step()));
    let rows = of.iter().map(|(index, name, o)| {
        let cells = [o.student, o.teacher, o.guidance, o.step()].map(|value| unit.text(value));
        SheetRow::of(*index, name, cells.into())
    });
    let heads = ["student", "teacher", "guidance", "whole step"].map(|name| unit.head(name));
    sheet("Operations of a step", heads.into(), rows.collect())
}

fn bill_sheet(report: &Report) -> Sheet {
    let of = finished(report);
    let operations = |m: &Measurements, read: fn(&super::Operations) -> f64| m.operations.as_ref().map(read);
    let everything = |m: &Measurements| {
        let guide = m
            .guide
            .map_or(0.0, |g| g.training_operations.unwrap_or(0.0) + g.encoding_operations);
        m.operations.map(|o| o.last_phase + o.earlier_phases + guide)
    };
    let time = Unit::fitting(Quantity::Time, of.iter().map(|(_, _, m)| m.total_seconds));
    let unit = Unit::fitting(Quantity::Operations, of.iter().filter_map(|(_, _, m)| everything(m)));
    let rows = of.iter().map(|(index, name, m)| {
        let mut cells = vec![
            time.text(m.total_seconds - m.earlier_phases_seconds),
            time.text(m.earlier_phases_seconds),
            time.text(m.total_seconds),
        ];
        // Without any counted operation the columns would be dashes alone.
        if of.iter().any(|(_, _, m)| m.operations.is_some()) {
            cells.extend([
                unit.cell(operations(m, |o| o.last_phase)),
                unit.cell(operations(m, |o| o.earlier_phases)),
                unit.cell(m.guide.and_then(|g| g.training_operations)),
                unit.cell(m.guide.map(|g| g.encoding_operations)),
                unit.cell(everything(m)),
            ]);
        }
        SheetRow::of(*index, name, cells)
    });
    let rows: Vec<SheetRow> = rows.collect();
    let mut heads: Vec<String> = ["last phase", "earlier phases", "all training"]
        .map(|name| time.head(name))
        .into();
    if rows.first().is_some_and(|row| row.cells.len() > 3) {
        heads.extend(
            [
                "last phase",
                "earlier phases",
                "guide’s training",
                "encoding",
                "everything",
            ]
            .map(|name| unit.head(name)),
        );
    }
    sheet("The bill to the end", heads, rows)
}

#[cfg(test)]
mod tests {
    use super::super::{example, fixture};
    use super::*;

    #[test]
    fn everything_on_the_bill_is_the_sum_of_its_parts() {
        let mut report = example();
        let Outcome::Finished(measured) = &mut report.variants[1].outcome else {
            panic!()
        };
        measured.operations = Some(super::super::Operations {
            last_phase: 3e12,
            earlier_phases: 2e12,
            ..Default::default()
        });
        measured.guide = Some(super::super::GuideCost {
            training_operations: Some(4e12),
            encoding_operations: 1e12,
            ..Default::default()
        });
        report.variants.swap(0, 1);
        report.variants.truncate(1);
        let row = &bill_sheet(&report).rows[0];
        assert_eq!(row.cells[3..], ["3.00", "2.00", "4.00", "1.00", "10.0"]);
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        let report = fixture::report();
        assert!(bars(&report).is_none(), "no parts were measured");
        let body = section(&report).unwrap().body;
        assert!(
            !body.contains("Operations of a step") && !body.contains("guide’s training") && !body.contains(GUIDE),
            "{body}"
        );
        assert!(section(&example()).unwrap().body.contains(GUIDE));
        let empty = Report::default();
        assert!(section(&empty).is_none());
    }

    #[test]
    fn the_parts_of_a_step_are_stacked() {
        let svg = bars(&example()).unwrap().svg();
        assert!(PARTS.iter().all(|(name, _)| svg.contains(name)));
    }
}
