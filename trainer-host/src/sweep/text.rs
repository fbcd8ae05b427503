//! A sweep as a table for the terminal, and as Markdown.

use super::outcome::{Edge, Sweep, Tuned};

/// The columns: every setting, and of each variant its score there, with a mark on the best.
struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

struct Cell {
    text: String,
    best: bool,
}

impl Grid {
    fn new(sweep: &Sweep) -> Self {
        let mut head: Vec<String> = Vec::new();
        for trial in sweep.variants.iter().flat_map(|tuned| &tuned.trials) {
            let words = words(&trial.setting);
            if !head.contains(&words) {
                head.push(words);
            }
        }
        let row = |tuned: &Tuned| head.iter().map(|words| cell(tuned, words)).collect();
        let rows = sweep.variants.iter().map(row).collect();
        Self { head, rows }
    }
}

fn words(setting: &super::Setting) -> String {
    match setting.words() {
        words if words.is_empty() => "as it is".into(),
        words => words,
    }
}

fn cell(tuned: &Tuned, column: &str) -> Cell {
    let place = tuned.trials.iter().position(|trial| words(&trial.setting) == column);
    let text = match place.map(|place| &tuned.trials[place]) {
        None => "—".into(),
        Some(trial) => trial.score.map_or("failed".into(), |score| format!("{score:.4}")),
    };
    Cell {
        text,
        best: place.is_some() && place == tuned.best,
    }
}

/// The table and what is to be said about it.
pub fn terminal(sweep: &Sweep) -> String {
    let grid = Grid::new(sweep);
    let marked = |cell: &Cell| format!("{}{}", cell.text, if cell.best { "*" } else { " " });
    let first = sweep.variants.iter().map(|tuned| width(&tuned.variant));
    let first = first.chain(["variant".len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..grid.head.len())
        .map(|c| {
            grid.rows
                .iter()
                .map(|row| width(&row[c].text))
                .max()
                .unwrap_or(0)
                .max(width(&grid.head[c]))
        })
        .collect();
    let line = |name: &str, cells: Vec<String>| {
        let padded = cells.iter().zip(&widths);
        let padded = padded.map(|(cell, w)| format!("{}{cell}", " ".repeat((w + 1).saturating_sub(width(cell)))));
        let cells: Vec<String> = padded.collect();
        format!("{name}{}  {}", " ".repeat(first - width(name)), cells.join(" "))
            .trim_end()
            .to_owned()
    };
    let mut lines = vec![line(
        "variant",
        grid.head.iter().map(|head| format!("{head} ")).collect(),
    )];
    lines.push("─".repeat(first + 1 + widths.iter().map(|w| w + 2).sum::<usize>()));
    for (tuned, row) in sweep.variants.iter().zip(&grid.rows) {
        lines.push(line(&tuned.variant, row.iter().map(marked).collect()));
    }
    lines.push(String::new());
    lines.push(format!(
        "* the best of its variant by {}. {}",
        sweep.score,
        protocol(sweep)
    ));
    lines.extend(remarks(sweep));
    lines.join("\n") + "\n"
}

/// The same in Markdown, with how it was made.
pub fn markdown(sweep: &Sweep) -> String {
    let grid = Grid::new(sweep);
    let mut lines = vec![
        format!("# Sweep: {}", sweep.title),
        String::new(),
        protocol(sweep),
        String::new(),
        format!("| variant | {} |", grid.head.join(" | ")),
        format!("|---|{}", "---:|".repeat(grid.head.len())),
    ];
    for (tuned, row) in sweep.variants.iter().zip(&grid.rows) {
        let marked = |cell: &Cell| {
            if cell.best {
                format!("**{}**", cell.text)
            } else {
                cell.text.clone()
            }
        };
        let cells: Vec<String> = row.iter().map(marked).collect();
        lines.push(format!("| {} | {} |", tuned.variant, cells.join(" | ")));
    }
    lines.push(String::new());
    lines.push(format!(
        "{}, lower is better; the best of each variant in bold.",
        capital(sweep.score)
    ));
    for remark in remarks(sweep) {
        lines.extend([String::new(), format!("- {remark}")]);
    }
    lines.extend([String::new(), format!("Made by `{}`.", sweep.command)]);
    lines.join("\n") + "\n"
}

/// The way in which settings were compared, and what that does not show.
fn protocol(sweep: &Sweep) -> String {
    let runs = if sweep.budget == 1 { "run" } else { "runs" };
    let earlier: Vec<String> = sweep
        .variants
        .iter()
        .filter(|tuned| tuned.earlier_steps > 0)
        .map(|tuned| {
            format!(
                "{} has {} steps of earlier phases before them",
                tuned.variant, tuned.earlier_steps
            )
        })
        .collect();
    let earlier = if earlier.is_empty() {
        String::new()
    } else {
        format!("; {}", earlier.join(", "))
    };
    format!(
        "{} {runs} a variant of {} steps with seed {}{earlier}. One seed chooses a setting, it ranks no variant.",
        sweep.budget, sweep.steps, sweep.seed
    )
}

/// Remarks that a person should know before using the best settings.
fn remarks(sweep: &Sweep) -> Vec<String> {
    let mut remarks = Vec::new();
    for tuned in &sweep.variants {
        for trial in &tuned.trials {
            if let Some(failure) = &trial.failure {
                let reason = failure.lines().next().unwrap_or_default();
                remarks.push(format!(
                    "{} with {} failed: {reason}",
                    tuned.variant,
                    words(&trial.setting)
                ));
            }
        }
        remarks.extend(tuned.edges.iter().map(|edge| edge_remark(&tuned.variant, edge)));
        if tuned.best.is_none() {
            remarks.push(format!(
                "{} has no best setting: none of its runs was finished",
                tuned.variant
            ));
        }
    }
    remarks
}

fn edge_remark(variant: &str, edge: &Edge) -> String {
    let (extreme, beyond) = if edge.greatest {
        ("greatest", "greater")
    } else {
        ("least", "smaller")
    };
    format!(
        "warning: the best {} of {variant} is {}, the {extreme} that was tried: try {beyond} ones too, for every variant",
        edge.key, edge.value
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Trial;
    use super::super::setting::{Vary, grid};
    use super::*;

    fn sweep() -> Sweep {
        let tuned = |name: &str, earlier, vary: &str, scores: [Option<f64>; 2]| {
            let settings = grid(&[Vary::parse(vary).unwrap()]);
            let trial = |(setting, score): (_, Option<f64>)| Trial {
                setting,
                score,
                failure: score.is_none().then(|| "denoising became NaN\nthe run stopped".into()),
            };
            Tuned::new(
                name.into(),
                earlier,
                settings.into_iter().zip(scores).map(trial).collect(),
            )
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
─────────────────────────────────────
none       0.6100   0.5800*        —
guided     0.6000*       —    failed

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
        assert!(text.contains("| none | 0.6100 | **0.5800** | — |"), "{text}");
        assert!(
            text.contains("\n\n- warning: the best optimiser.lr of none is 0.01"),
            "{text}"
        );
        assert!(text.ends_with("Made by `sextant sweep tiny.toml --lr 0.001,0.01`.\n"));
    }
}
