//! The report's page in a browser: every control is operated, at the width of a desk in light and of a phone in dark colours, and
//! nothing may be written on the console. Skipped where there is no Chromium, unless `CI` is set.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sextant_report::{Report, render};

mod fixture;

const DRIVER: &str = include_str!("driver.js");

/// The page lies in a frame, since a window has a least width above that of a phone. What the driver says is written beside it.
const FRAME: &str = r#"<!doctype html>
<body><iframe src="page.html" style="border:0;width:WIDTHpx;height:1800px"></iframe>
<script>
addEventListener("message", (event) => {
  const outcome = document.createElement("pre");
  outcome.id = "outcome";
  outcome.textContent = event.data;
  document.body.append(outcome);
});
</script></body>
"#;

/// Names of browsers here and there.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=20000",
];

fn browser() -> Option<&'static str> {
    let starts = |name: &&str| {
        let mut version = Command::new(name);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let found = NAMES.into_iter().find(starts);
    if found.is_none() {
        let names = NAMES.join(", ");
        assert!(
            std::env::var_os("CI").is_none(),
            "none of {names} is installed, and CI must open the page"
        );
        eprintln!("skipped: none of {names} is installed, so that the page is not opened");
    }
    found
}

/// Opens a page, in dark colours or in light ones, and returns its document when the scripts have run and what was written on the
/// console.
fn open(browser: &str, page: &Path, dark: bool) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let (dom, log) = (profile.path().join("dom.html"), profile.path().join("log.txt"));
    let mut running = Command::new(browser)
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .args(["--window-size=1400,1900", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&dom).unwrap())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while running.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(180) {
            running.kill().unwrap();
            running.wait().unwrap();
            panic!("{browser} has not answered for three minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = std::fs::read_to_string(log).unwrap();
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    (std::fs::read_to_string(dom).unwrap(), console.join("\n"))
}

/// The driver's findings on a page that is so many pixels wide, in light colours.
fn operate(browser: &str, html: &str, width: u32) -> Value {
    operate_in(browser, html, width, false)
}

fn operate_in(browser: &str, html: &str, width: u32, dark: bool) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let frame = folder.path().join("frame.html");
    let driven = html.replace("</body>", &format!("<script>\n{DRIVER}</script>\n</body>"));
    std::fs::write(folder.path().join("page.html"), driven).unwrap();
    std::fs::write(&frame, FRAME.replace("WIDTH", &width.to_string())).unwrap();
    let (dom, console) = open(browser, &frame, dark);
    assert_eq!(console, "", "the page wrote on the console at {width}");
    let outcome = dom
        .split("<pre id=\"outcome\">")
        .nth(1)
        .unwrap_or_else(|| panic!("the driver did not end"));
    let outcome = outcome.split("</pre>").next().unwrap();
    let outcome = outcome.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&outcome).unwrap_or_else(|e| panic!("{e}: {outcome}"))
}

#[test]
fn every_control_does_what_it_says() {
    let Some(browser) = browser() else { return };
    let (three_seeds, one_seed) = (fixture::example(), fixture::example_with(1));
    for (report, width, dark) in [
        (&three_seeds, 1280, false),
        (&three_seeds, 380, true),
        (&one_seed, 1280, false),
    ] {
        let outcome = operate_in(browser, &render(report), width, dark);
        assert_eq!((&outcome["width"], &outcome["dark"]), (&width.into(), &dark.into()));
        assert_eq!(outcome["found"], serde_json::json!([]), "at {width}");
        assert!(outcome["operated"].as_u64() > Some(18), "{outcome}");
    }
}

#[test]
fn the_answer_is_on_the_first_screen() {
    let Some(browser) = browser() else { return };
    let mut many = fixture::example();
    let more: Vec<_> = many.variants.iter().cycle().take(7).cloned().collect();
    many.variants.extend(more);
    for report in [fixture::example(), fixture::example_with(1), many] {
        let html = render(&report);
        let first = &operate(browser, &html, 1280)["first"];
        for part in ["sentence", "verdicts", "losses", "samples"] {
            let bottom = first[part].as_f64();
            assert!(
                bottom.is_some_and(|bottom| bottom > 20.0 && bottom <= 800.0),
                "{part} ends at {bottom:?} of 800"
            );
        }
    }
}

#[test]
fn a_page_without_measurements_works_too() {
    let Some(browser) = browser() else { return };
    let mut bare = fixture::example();
    bare.verdict = None;
    bare.seeds.truncate(1);
    for variant in &mut bare.variants {
        variant.curves.truncate(1);
        variant.evaluations.clear();
        variant.grids.clear();
        variant.pace = sextant_report::Pace::default();
    }
    let outcome = operate(browser, &render(&bare), 1280);
    assert_eq!(outcome["found"], serde_json::json!([]), "one seed, nothing evaluated");
    let outcome = operate(browser, &render(&Report::default()), 1280);
    assert_eq!(outcome["found"], serde_json::json!([]), "an empty report");
}

#[test]
fn a_control_that_nobody_operates_is_found() {
    let Some(browser) = browser() else { return };
    let html = render(&fixture::example());
    let html = html.replace(
        "<div class=\"bar\">",
        "<div class=\"bar\"><label><input id=\"new\">new</label>",
    );
    let found = operate(browser, &html, 1280)["found"].to_string();
    assert!(
        found.contains("nobody has operated") && found.contains("new"),
        "{found}"
    );
}

#[test]
fn without_its_script_the_page_holds_a_chart_and_the_last_samples() {
    let Some(browser) = browser() else { return };
    let html = render(&fixture::example()).replace("<script>", "<script type=\"text/plain\">");
    let outcome = operate(browser, &html, 1280);
    assert_eq!(outcome["found"], serde_json::json!([]));
}
