//! A sweep as a table for the terminal, and as Markdown.

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::outcome::{Edge, Sweep, Tuned};

/// Heads and rows of the table: a column for every setting, in which each variant has its score there; `mark` changes the best.
fn table(sweep: &Sweep, mark: impl Fn(String) -> String) -> (Vec<String>, Vec<Vec<String>>) {
    let mut settings: Vec<String> = Vec::new();
    for trial in sweep.variants.iter().flat_map(|tuned| &tuned.trials) {
        let words = trial.setting.words();
        if !settings.contains(&words) {
            settings.push(words);
        }
    }
    let cell = |tuned: &Tuned, setting: &String| {
        let place = tuned.trials.iter().position(|trial| trial.setting.words() == *setting);
        match place.map(|place| tuned.trials[place].score) {
            None => "—".into(),
            Some(None) => "failed".into(),
            Some(Some(score)) if place == tuned.best => mark(format!("{score:.4}")),
            Some(Some(score)) => format!("{score:.4}"),
        }
    };
    let row = |tuned: &Tuned| {
        let cells = settings.iter().map(|setting| cell(tuned, setting));
        [tuned.variant.clone()].into_iter().chain(cells).collect()
    };
    let rows = sweep.variants.iter().map(row).collect();
    settings.insert(0, "variant".into());
    (settings, rows)
}

/// The table and what is to be said about it.
pub fn terminal(sweep: &Sweep) -> String {
    let (head, rows) = table(sweep, |score| format!("*{score}"));
    let mut table = comfy_table::Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head)
        .add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.push(format!(
        "\n* the best of its variant by {}. {}",
        sweep.score,
        protocol(sweep)
    ));
    lines.extend(remarks(sweep));
    lines.join("\n") + "\n"
}

/// The same in Markdown, with how it was made.
pub fn markdown(sweep: &Sweep) -> String {
    let (head, rows) = table(sweep, |score| format!("**{score}**"));
    let line = |cells: &Vec<String>| format!("| {} |", cells.join(" | "));
    let rule = format!("|---|{}", "---:|".repeat(head.len() - 1));
    let table: Vec<String> = [line(&head), rule].into_iter().chain(rows.iter().map(line)).collect();
    let remarks: String = remarks(sweep).iter().map(|remark| format!("- {remark}\n\n")).collect();
    format!(
        "# Sweep: {}\n\n{}\n\n{}\n\nThe score is the {}, lower is better; the best of each variant in bold.\n\n{remarks}Made by `{}`.\n",
        sweep.title,
        protocol(sweep),
        table.join("\n"),
        sweep.score,
        sweep.command
    )
}

/// The way in which settings were compared, and what that does not show.
fn protocol(sweep: &Sweep) -> String {
    let runs = if sweep.budget == 1 { "run" } else { "runs" };
    let earlier = sweep.variants.iter().filter(|tuned| tuned.earlier_steps > 0);
    let earlier: Vec<String> = earlier
        .map(|tuned| {
            format!(
                "; {} has {} steps of earlier phases before them",
                tuned.variant, tuned.earlier_steps
            )
        })
        .collect();
    format!(
        "{} {runs} a variant of {} steps with seed {}{}. One seed chooses a setting, it ranks no variant.",
        sweep.budget,
        sweep.steps,
        sweep.seed,
        earlier.concat()
    )
}

/// Remarks that a person should know before using the best settings.
fn remarks(sweep: &Sweep) -> Vec<String> {
    let mut remarks = Vec::new();
    for tuned in &sweep.variants {
        let variant = &tuned.variant;
        for trial in &tuned.trials {
            if let Some(failure) = &trial.failure {
                let reason = failure.lines().next().unwrap_or_default();
                remarks.push(format!("{variant} with {} failed: {reason}", trial.setting.words()));
            }
        }
        for Edge { key, value, greatest } in &tuned.edges {
            let (extreme, beyond) = if *greatest {
                ("greatest", "greater")
            } else {
                ("least", "smaller")
            };
            remarks.push(format!(
                "warning: the best {key} of {variant} is {value}, the {extreme} that was tried: try {beyond} ones too, for every variant"
            ));
        }
        if tuned.best.is_none() {
            remarks.push(format!("{variant} has no best setting: none of its runs was finished"));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Trial;
    use super::super::setting::{Vary, grid};
    use super::*;

    fn sweep() -> Sweep {
        let tuned = |name: &str, earlier, vary: &str, scores: [Option<f64>; 2]| {
            let settings = grid(&[Vary::parse(vary).unwrap()]).into_iter();
            let trial = |(setting, score): (_, Option<f64>)| Trial {
                setting,
                score,
                failure: score.is_none().then(|| "denoising became NaN\nthe run stopped".into()),
            };
            Tuned::new(name.into(), earlier, settings.zip(scores).map(trial).collect())
        };
        Sweep {
            title: "Tiny".into(),
            command: "sextant sweep tiny.toml --lr 0.001,0.01".into(),
            seed: 1000,
            score: "validation loss",
            steps: 200,
            budget: 2,
            variants: vec![
                tuned("none", 0, "optimiser.lr=0.001,0.01", [Some(0.61), Some(0.58)]),
                tuned("guided", 50, "optimiser.lr=0.001,0.003", [Some(0.6), None]),
            ],
        }
    }

    #[test]
    fn the_terminal_marks_the_best_and_warns_of_edges() {
        let wanted = "\
variant  lr=0.001  lr=0.01  lr=0.003
none       0.6100  *0.5800         —
guided    *0.6000        —    failed

* the best of its variant by validation loss. 2 runs a variant of 200 steps with seed 1000; guided has 50 steps of earlier phases before them. One seed chooses a setting, it ranks no variant.
warning: the best optimiser.lr of none is 0.01, the greatest that was tried: try greater ones too, for every variant
guided with lr=0.003 failed: denoising became NaN
warning: the best optimiser.lr of guided is 0.001, the least that was tried: try smaller ones too, for every variant
";
        assert_eq!(terminal(&sweep()), wanted);
    }

    #[test]
    fn markdown_says_the_same() {
        let text = markdown(&sweep());
        for words in [
            "| variant | lr=0.001 | lr=0.01 | lr=0.003 |\n|---|---:|---:|---:|\n| none | 0.6100 | **0.5800** | — |\n",
            "\n\n- warning: the best optimiser.lr of none is 0.01",
        ] {
            assert!(text.contains(words), "{text}");
        }
        assert!(text.ends_with("Made by `sextant sweep tiny.toml --lr 0.001,0.01`.\n"));
    }
}
