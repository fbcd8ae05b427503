//! The page as a whole.

use std::fmt::Write;

use super::album::Album;
use super::content::{Outcome, Report};
use super::curve::MOST_POINTS;
use super::drawing::PLOT_STYLE;
use super::family::{Family, families_within};
use super::markup::{Section, escape, paragraphs, script_json};
use super::{chart, copies, cost, depths, maps, provenance, quality, recipes, results, samples, seeds, speed, times};

/// Nothing is loaded from anywhere: the browser enforces that the page is self-contained.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// The page is to be opened and mailed whole: it stays below 10 MB. The margin is for the controls of pictures.
const LIMIT: usize = 9_900_000;

/// Curves are thinned as long as they take more than this, which leaves most of the page to pictures.
const CURVES: usize = 3_000_000;

/// The fewest points to which a curve is thinned.
const FEWEST_POINTS: usize = 60;

/// The report as one HTML document that needs no network and no other file, and is smaller than 10 MB unless the last samples
/// and the words alone are larger.
///
/// It is readable without JavaScript (a static plot of the main curve, the last samples); with it, curves can be chosen, smoothed,
/// hidden and read off, and samples followed over the training. All text in the report is escaped.
pub fn render(report: &Report) -> String {
    let mut most = MOST_POINTS;
    loop {
        let families = families_within(report, most);
        let curves = chart::data(report, &families).to_string().len();
        let bare = document(report, &families, &Album::new(report, 0)).len();
        if (curves <= CURVES && bare <= LIMIT) || most / 2 < FEWEST_POINTS {
            // Pictures have what everything else leaves.
            let album = Album::new(report, LIMIT.saturating_sub(bare));
            return document(report, &families, &album);
        }
        most /= 2;
    }
}

/// The page with these curves and pictures.
fn document(report: &Report, families: &[Family], album: &Album) -> String {
    let sections = [
        results::section(report),
        seeds::section(report),
        chart::section(report, families),
        times::section(report),
        quality::section(report),
        copies::section(report, album.neighbours),
        samples::section(report, album),
        depths::section(report),
        maps::section(report, album.maps),
        cost::section(report),
        speed::section(report),
        recipes::section(report),
        provenance::section(report),
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    let title = escape(&report.title);
    let mut out = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{}{}{PLOT_STYLE}</style>
</head>
<body>
<main>
"#,
        super::drawing::PALETTE,
        include_str!("style.css")
    );
    out.push_str(&header(report));
    out.push_str(&contents(&sections));
    sections.iter().for_each(|section| out.push_str(&section.html()));
    let _ = write!(
        out,
        "</main>\n<script type=\"application/json\" id=\"data\">{}</script>\n<script type=\"application/json\" \
         id=\"grids\">{}</script>\n<script>\n{}</script>\n<script>\n{}</script>\n</body>\n</html>\n",
        script_json(&chart::data(report, families)),
        script_json(&samples::data(report, album)),
        include_str!("chart.js"),
        include_str!("page.js")
    );
    out
}

/// Links to the sections.
fn contents(sections: &[Section]) -> String {
    let links = sections.iter();
    let links: String = links
        .map(|section| format!("<li><a href=\"#{}\">{}</a></li>", section.id, escape(&section.title)))
        .collect();
    format!("<nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n")
}

fn header(report: &Report) -> String {
    let facts = [&report.recipe, &report.device, &report.created];
    let facts = facts
        .into_iter()
        .filter(|fact| !fact.is_empty())
        .map(|fact| format!("<li>{}</li>", escape(fact)));
    let facts: String = facts.collect();
    let summary: String = paragraphs(&report.summary)
        .map(|paragraph| format!("<p>{}</p>\n", escape(paragraph)))
        .collect();
    format!(
        "<header>\n<h1>{}</h1>\n<ul class=\"facts\">{facts}</ul>\n<div class=\"summary\">\n{summary}{}</div>\n</header>\n",
        escape(&report.title),
        unfinished(report)
    )
}

/// A sentence on the variants that did not finish, if any.
fn unfinished(report: &Report) -> String {
    let count = |test: fn(&Outcome) -> bool| report.variants.iter().filter(|v| test(&v.outcome)).count();
    let finished = count(|outcome| matches!(outcome, Outcome::Finished(_)));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let all = report.variants.len();
    if finished == all {
        return String::new();
    }
    let mut causes = Vec::new();
    if failed > 0 {
        causes.push(format!("{failed} failed"));
    }
    if all - finished > failed {
        causes.push(format!("{} interrupted", all - finished - failed));
    }
    format!(
        "<p class=\"warning\">{finished} of {all} variants finished; {}.</p>\n",
        causes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::content::Point;
    use super::super::table::Table;
    use super::super::{example, example_with, fixture};
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let html = render(&fixture::report());
        assert_eq!(html.matches("</script>").count(), 4, "only the page's own scripts end");
        assert!(html.contains("<title>Emoji &amp; &lt;friends&gt;</title>"));
        assert!(html.contains("&lt;i&gt;&quot;broken&quot; &amp; more"));
        assert!(!html.contains("<i>"));
    }

    #[test]
    fn a_failed_variant_is_shown_with_its_message_and_counted() {
        let html = render(&fixture::report());
        assert!(html.contains("failed: step 7: [31mno &lt;/script&gt; teacher"));
        assert!(html.contains("interrupted after step 12,000"));
        assert!(html.contains("2 of 4 variants finished; 1 failed, 1 interrupted."));
    }

    #[test]
    fn page_and_terminal_show_the_same_numbers() {
        let report = fixture::report();
        let (html, text) = (render(&report), super::super::table_text(&report));
        for cell in Table::new(&report).rows.iter().flat_map(|row| &row.cells).flatten() {
            assert!(text.contains(&cell.text));
            assert!(html.contains(cell.parts().0) && html.contains(cell.parts().1));
        }
    }

    #[test]
    fn an_empty_report_is_a_page() {
        let html = render(&Report::default());
        assert!(html.contains("No variant logged a curve."));
        assert!(html.ends_with("</html>\n"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let html = render(&fixture::report());
        assert!(!html.contains("src=\"http") && !html.contains("href=\"http") && !html.contains("url(http"));
    }

    #[test]
    fn sections_stand_in_order_and_those_without_data_are_left_out() {
        let ids = |report: &Report| -> Vec<String> {
            let html = render(report);
            let ids = html.split("<h2 id=\"").skip(1);
            ids.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
        };
        let all = "results seeds curves times quality copies samples representations maps cost speed-up differences provenance";
        assert_eq!(ids(&example()).join(" "), all);
        assert_eq!(ids(&example_with(1)).join(" "), all, "one seed has every section");
        assert_eq!(
            ids(&fixture::report()).join(" "),
            "results curves cost differences provenance"
        );
        assert_eq!(
            ids(&Report::default()).join(" "),
            "results curves differences provenance"
        );
    }

    #[test]
    fn the_page_stays_below_ten_megabytes_however_many_pictures_there_are() {
        let mut report = example();
        let grids: Vec<super::super::Grid> = (0..40)
            .map(|step| super::super::Grid {
                step,
                png: report.variants[0].grids[0].png.repeat(20),
            })
            .collect();
        assert!(grids.iter().map(|grid| grid.png.len()).sum::<usize>() > 3_000_000);
        report
            .variants
            .iter_mut()
            .for_each(|variant| variant.grids = grids.clone());
        let html = render(&report);
        assert!(html.len() < 10_000_000, "{} bytes", html.len());
        assert!(html.contains("Grids of some steps are left out"));
    }

    #[test]
    fn many_curves_are_thinned_and_leave_room_for_pictures() {
        let mut report = example();
        let noise = |step: u64| (step as f64 * 0.7).sin();
        let point = |step| Point {
            step,
            value: noise(step),
        };
        let curve: Vec<Point> = (1..3000).map(point).collect();
        for variant in &mut report.variants {
            variant.seed_curves.clear();
            variant.curves = (0..60).map(|i| (format!("metric {i}"), curve.clone())).collect();
        }
        let html = render(&report);
        assert!(html.len() < 10_000_000, "{} bytes", html.len());
        assert!(html.contains("points, the extremes among them") && html.contains("id=\"map-time-0\""));
        assert!(!html.contains("left out, to keep this page small"));
    }

    #[test]
    fn every_link_leads_somewhere_and_no_id_comes_twice() {
        let html = render(&example());
        let mut ids: Vec<&str> = html
            .split(" id=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        for target in html
            .split("href=\"#")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert!(ids.contains(&target), "{target}");
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
