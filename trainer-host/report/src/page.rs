//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::budget::fitted;
use crate::chart::{CHART_STYLE, PALETTE, swatch};
use crate::content::{Report, SampleGrid, Variant};
use crate::number::count;
use crate::sections::curves;
use crate::{html as parts, outcome, sections, verdicts};

/// Nothing is loaded from anywhere: the browser enforces that the page is self-contained.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page is to be opened and mailed whole: it stays below 10 MB. The margin is for the controls of pictures.
const LIMIT: usize = 9_900_000;

/// The report as one HTML document that needs no network and no other file, and is smaller than 10 MB unless the last samples,
/// the curves and the words alone are larger.
///
/// It begins with the answer: one sentence, the table of verdicts, the loss curves and the sample grids; everything else is folded
/// below. It is readable without JavaScript, which shows, hides and reads off what is there already. All text in the report is
/// escaped.
pub fn render(report: &Report) -> String {
    let bare = document(&fitted(report, 0)).len();
    document(&fitted(report, LIMIT.saturating_sub(bare)))
}

fn document(report: &Report) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (report.title) }
                style { (PreEscaped(PALETTE)) (PreEscaped(CHART_STYLE)) (PreEscaped(include_str!("style.css"))) }
            }
            body {
                // Many variants leave less room to each, so that all of the answer stays on the first screen.
                main .dense[report.variants.len() > 6] {
                    (header(report))
                    div.first {
                        (curves(report))
                        (grids(report))
                    }
                    @for section in sections::all(report) { (parts::section(&section)) }
                }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    document.into_string()
}

/// The answer: the sentence and the table.
fn header(report: &Report) -> Markup {
    let facts = [&report.recipe, &report.device, &report.created];
    html! {
        header {
            p.facts { strong { (report.title) } @for fact in facts.iter().filter(|fact| !fact.is_empty()) { span { (fact) } } }
            h1 { (outcome(report)) }
        }
        div #verdicts { (parts::table(&verdicts::table(report))) }
        @if !report.remarks.is_empty() { ul.remarks { @for remark in &report.remarks { li { (remark) } } } }
    }
}

/// The loss curves, of which a switch shows one.
fn curves(report: &Report) -> Markup {
    let charts = curves::first_screen(report);
    html! {
        section #losses aria-label="Loss curves" {
            @if charts.len() > 1 {
                label hidden { "Curves " select #curve { @for (i, (name, _)) in charts.iter().enumerate() { option value=(i) { (name) } } } }
            }
            @for (i, (_, chart)) in charts.iter().enumerate() {
                div.curve hidden[i > 0] { (parts::chart(chart)) }
            }
            @if charts.is_empty() { p.absent { "No variant logged a loss." } }
        }
    }
}

/// The sample grids beside each other, with a slider over training.
fn grids(report: &Report) -> Markup {
    let variants = report.variants.iter().enumerate();
    let samples: Vec<(usize, &Variant)> = variants.filter(|(_, of)| !of.grids.is_empty()).collect();
    let mut steps: Vec<u64> = samples
        .iter()
        .flat_map(|(_, of)| &of.grids)
        .map(|grid| grid.step)
        .collect();
    steps.sort_unstable();
    steps.dedup();
    let columns = match samples.len() {
        0..=1 => 1,
        2..=4 => 2,
        5..=6 => 3,
        7..=12 => 4,
        _ => 6,
    };
    html! {
        @if !samples.is_empty() {
            section #samples aria-label="Samples" {
                div.bar {
                    @if let [_, .., last] = steps.as_slice() {
                        label hidden { "Samples "
                            input #progress type="range" min="0" max=(steps.len() - 1) value=(steps.len() - 1) step="1"
                                data-steps=(steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
                            " " output for="progress" { "step " (count(*last)) }
                        }
                    }
                    label { input #large type="checkbox"; " large" }
                }
                div.grids style=(format!("--columns:{columns}")) {
                    @for (index, of) in &samples { (grid(*index, of)) }
                }
                p.hint { (words(&report.grid)) }
            }
        }
    }
}

fn grid(index: usize, of: &Variant) -> Markup {
    let last = of.grids.len() - 1;
    html! {
        figure data-variant=(index) {
            figcaption { (swatch(index)) (of.name) }
            @for (i, grid) in of.grids.iter().enumerate() {
                div data-step=(grid.step) hidden[i < last] {
                    (parts::image(&grid.png, &format!("samples of {} at step {}", of.name, count(grid.step))))
                }
            }
            p.absent hidden { "no samples yet" }
        }
    }
}

/// A line on how the grids are to be read.
fn words(grid: &SampleGrid) -> String {
    let mut words = "Same noise in every grid".to_owned();
    if !grid.labels.is_empty() {
        words = "Same noise and classes in every grid".to_owned();
        let by = match grid.labels.len() {
            labels if labels == grid.columns => "columns",
            labels if labels == grid.columns * grid.rows => "row by row",
            _ => "classes",
        };
        words += &format!("; {by}: {}", grid.labels.join(", "));
    }
    if !grid.note.is_empty() {
        words += &format!(". {}", grid.note);
    }
    words + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::{Grid, Point};

    #[test]
    fn hostile_text_stays_text() {
        let html = render(&fixture::hostile());
        assert_eq!(html.matches("</script>").count(), 1, "only the page's own script ends");
        assert!(html.contains("<title>Emoji &amp; &lt;friends&gt;</title>"));
        assert!(html.contains("&lt;i&gt;&quot;broken&quot; &amp; more") && !html.contains("<i>"));
    }

    #[test]
    fn the_answer_comes_first() {
        let report = fixture::example();
        let html = render(&report);
        let sentence = html! { (outcome(&report)) }.into_string();
        let place = |what: &str| html.find(what).unwrap_or_else(|| panic!("{what} is not there"));
        let order = [
            &format!("<h1>{sentence}</h1>"),
            "id=\"verdicts\"",
            "id=\"losses\"",
            "id=\"samples\"",
            "<details",
        ];
        let places: Vec<usize> = order.into_iter().map(place).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(!html.contains("<details open"), "everything else is folded");
    }

    #[test]
    fn page_and_terminal_show_the_same_numbers() {
        for report in [fixture::hostile(), fixture::example()] {
            let (html, text) = (render(&report), crate::table_text(&report));
            let table = verdicts::table(&report);
            assert!(table.rows.len() > 3);
            for cell in table.rows.iter().flat_map(|row| &row.cells) {
                let words = &cell.text;
                assert!(text.contains(words), "{words} in {text}");
                let escaped = html! { (words) }.into_string();
                assert!(html.contains(&escaped), "{escaped}");
            }
        }
    }

    #[test]
    fn an_empty_report_is_a_page() {
        let html = render(&Report::default());
        assert!(html.contains("No variant logged a loss.") && html.ends_with("</html>"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_id_comes_twice() {
        let html = render(&fixture::example());
        assert!(!html.contains("src=\"http") && !html.contains("href=\"http") && !html.contains("url(http"));
        let mut ids: Vec<&str> = html
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert!(count > 10 && ids.len() == count, "{ids:?}");
    }

    #[test]
    fn sections_stand_in_order_and_those_without_data_are_left_out() {
        let ids = |report: &Report| {
            let html = render(report);
            let ids = html.split("<details class=\"section\" id=\"").skip(1);
            ids.map(|rest| rest.split('"').next().unwrap().to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let all = "statistics speed-up cost quality copies curves times representations maps differences provenance";
        assert_eq!(ids(&fixture::example()), all);
        assert_eq!(ids(&fixture::example_with(1)), all, "one seed has every section");
        assert_eq!(ids(&fixture::hostile()), "cost curves differences provenance");
        assert_eq!(ids(&Report::default()), "");
    }

    #[test]
    fn the_page_stays_below_ten_megabytes_however_many_pictures_and_curves_there_are() {
        let mut report = fixture::example();
        let png = report.variants[0].grids[0].png.repeat(20);
        let grids: Vec<Grid> = (0..40).map(|step| Grid { step, png: png.clone() }).collect();
        assert!(grids.iter().map(|grid| grid.png.len()).sum::<usize>() > 3_000_000);
        report
            .variants
            .iter_mut()
            .for_each(|variant| variant.grids = grids.clone());
        let html = render(&report);
        assert!(html.len() < 10_000_000, "{} bytes", html.len());
        assert!(html.contains("in the runs’ folders: grids of some steps."));
        let mut report = fixture::example();
        let values = (1..3000).map(|step| (step, (step as f64 * 0.7).sin()));
        let curve: Vec<Point> = values.map(|(step, value)| Point { step, value }).collect();
        for variant in &mut report.variants {
            variant.curves = vec![(0..60).map(|i| (format!("metric {i}"), curve.clone())).collect()];
        }
        let html = render(&report);
        assert!(html.len() < 10_000_000, "{} bytes", html.len());
        assert!(html.contains("metric 59") && html.contains("id=\"maps\"") && !html.contains("Left out"));
    }

    #[test]
    fn classes_are_named_by_column_or_by_cell() {
        let mut grid = SampleGrid {
            columns: 2,
            rows: 2,
            labels: vec!["a".into(), "b".into()],
            note: "Heun".into(),
        };
        assert_eq!(
            words(&grid),
            "Same noise and classes in every grid; columns: a, b. Heun."
        );
        grid.labels = ["a", "b", "c", "d"].map(str::to_owned).into();
        assert!(words(&grid).contains("row by row: a, b, c, d. Heun."));
        grid.labels.clear();
        assert_eq!(words(&grid), "Same noise in every grid. Heun.");
    }
}
