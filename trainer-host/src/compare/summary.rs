//! What a comparison can and cannot tell, in words that its numbers support.

use crate::report::{Outcome, Variant};
use crate::statistics;

/// The sentences over the table. One seed ranks nothing, and they say so; what several support has a section of its own.
pub fn summary(variants: &[Variant], seeds: usize) -> String {
    let finished: Vec<_> = variants
        .iter()
        .filter_map(|v| match &v.outcome {
            Outcome::Finished(m) => Some((v.name.as_str(), m)),
            _ => None,
        })
        .collect();
    let losses: Vec<f64> = finished.iter().map(|(_, m)| m.validation_loss).collect();
    let (low, high) = losses
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), l| {
            (low.min(*l), high.max(*l))
        });
    let mut text = match (finished.len(), finished.first()) {
        (0, _) | (_, None) => return "No variant has finished; nothing can be compared.".into(),
        (1, Some((name, m))) => format!(
            "One variant, {name}, finished {} steps with {}; its validation loss is {low:.4}.",
            m.steps,
            number_of(seeds)
        ),
        (n, Some((_, m))) if seeds > 1 => format!(
            "{n} variants of {} steps, each with {}; runs of one seed share initial weights, batches, times, noise and dropped \
             labels. Their mean validation losses lie between {low:.4} and {high:.4}, {:.1} % apart. A validation loss is not \
             sample quality.{}",
            m.steps,
            number_of(seeds),
            (high / low - 1.0) * 100.0,
            if seeds < statistics::MIN_SEEDS {
                " Two seeds rank nothing."
            } else {
                ""
            }
        ),
        (n, Some((_, m))) => format!(
            "{n} variants of {} steps, one seed, the same initial weights, batches, times, noise and dropped labels. \
             Their validation losses lie between {low:.4} and {high:.4}, {:.1} % apart. \
             One seed cannot tell such a difference from chance, and a validation loss is not sample quality: \
             this comparison ranks nothing.",
            m.steps,
            (high / low - 1.0) * 100.0
        ),
    };
    if finished.len() < variants.len() {
        text.push_str(&format!(
            " {} of {} variants did not finish.",
            variants.len() - finished.len(),
            variants.len()
        ));
    }
    let costs: Vec<String> = finished
        .iter()
        .filter_map(|(name, m)| {
            let overhead = m.overhead? * 100.0;
            let before = match m.earlier_phases_seconds {
                s if s > 0.0 => format!(" after {} of earlier phases", crate::train::duration(s)),
                _ => String::new(),
            };
            Some(format!("{name} {overhead:+.0} % a step{before}"))
        })
        .collect();
    if !costs.is_empty() {
        text.push_str(&format!(
            " What it does show is what guidance costs on this machine against none: {}.",
            costs.join("; ")
        ));
    }
    text
}

fn number_of(seeds: usize) -> String {
    match seeds {
        1 => "one seed".into(),
        more => format!("{more} seeds"),
    }
}
