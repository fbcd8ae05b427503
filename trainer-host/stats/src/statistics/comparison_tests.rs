//! Comparisons of scores whose answer is known.

use proptest::prelude::*;

use super::Direction::{HigherIsBetter, LowerIsBetter};
use super::*;

fn contender(name: &str, scores: &[f64]) -> ScoredVariant {
    ScoredVariant {
        name: name.into(),
        scores: Sample::new((1..).zip(scores.iter().copied())).unwrap(),
    }
}

/// A name with its scores.
type Named<'a> = (&'a str, &'a [f64]);

/// A case in words, the baseline's scores, the variants, the best.
type Case<'a> = (&'a str, &'a [f64], &'a [Named<'a>], Option<&'a str>);

fn compare(direction: Direction, baseline: &[f64], variants: &[Named]) -> Comparison {
    let variants: Vec<_> = variants.iter().map(|(name, scores)| contender(name, scores)).collect();
    Comparison::new("loss", direction, &contender("none", baseline), &variants).unwrap()
}

fn verdict(comparison: &Comparison, name: &str) -> Option<Verdict> {
    comparison.row(name).unwrap().verdict()
}

#[test]
fn one_variant_by_hand() {
    // Mean 2, deviation 1, t = 2√3 = 3.4641, two degrees of freedom: p = 1 - t/√(2 + t²) = 0.07418.
    let one = compare(LowerIsBetter, &[0.0; 3], &[("a", &[1.0, 2.0, 3.0])]);
    let Outcome::Tested(tested) = one.rows[0].outcome else {
        panic!("{one:?}");
    };
    assert_eq!(one.rows[0].mean_difference, Some(2.0));
    assert!((tested.t - 12.0_f64.sqrt()).abs() < 1e-12);
    assert!((tested.p - (1.0 - (12.0_f64 / 14.0).sqrt())).abs() < 1e-12);
    assert_eq!((tested.adjusted_p, tested.verdict), (tested.p, Verdict::NotResolved));
    assert!((tested.interval.half_width() - 4.302652729911275 / 3.0_f64.sqrt()).abs() < 1e-9);
    assert!((tested.simultaneous.low - tested.interval.low).abs() < 1e-12);
}

#[test]
fn direction_turns_the_verdict() {
    let variants: [(&str, &[f64]); 2] = [("up", &[1.0, 1.01, 0.99]), ("down", &[-1.0, -1.01, -0.99])];
    let lower = compare(LowerIsBetter, &[0.0; 3], &variants);
    let higher = compare(HigherIsBetter, &[0.0; 3], &variants);
    assert_eq!(verdict(&lower, "up"), Some(Verdict::Worse));
    assert_eq!(verdict(&lower, "down"), Some(Verdict::Better));
    assert_eq!(verdict(&higher, "up"), Some(Verdict::Better));
    assert_eq!(
        (lower.best.as_deref(), higher.best.as_deref()),
        (Some("down"), Some("up"))
    );
}

#[test]
fn more_variants_make_a_verdict_harder() {
    // t = 5.892, p = 0.0276 with two degrees of freedom: resolved alone, not among three.
    let weak: &[f64] = &[0.6, 1.0, 1.1];
    let alone = compare(HigherIsBetter, &[0.0; 3], &[("a", weak)]);
    assert_eq!(verdict(&alone, "a"), Some(Verdict::Better));
    let others: &[f64] = &[-1.0, 0.0, 1.5];
    let among = compare(HigherIsBetter, &[0.0; 3], &[("a", weak), ("b", others), ("c", others)]);
    assert_eq!(verdict(&among, "a"), Some(Verdict::NotResolved));
    let Outcome::Tested(tested) = among.rows[0].outcome else {
        panic!("{among:?}");
    };
    assert!((tested.adjusted_p / (3.0 * tested.p) - 1.0).abs() < 1e-12);
    assert!(
        !tested.interval.contains(0.0),
        "the uncorrected interval says otherwise, and is labelled as such"
    );
    assert!(tested.simultaneous.contains(0.0));
    assert!((tested.simultaneous.level - (1.0 - 0.05 / 3.0)).abs() < 1e-12);
}

#[test]
fn two_seeds_rank_nothing() {
    let two = compare(LowerIsBetter, &[5.0, 6.0], &[("a", &[1.0, 2.1])]);
    assert_eq!(
        two.rows[0].outcome,
        Outcome::Unranked(NoInterval::TooFewSeeds { seeds: 2 })
    );
    assert_eq!(two.rows[0].mean_difference, Some((1.0 - 5.0 + 2.1 - 6.0) / 2.0));
}

#[test]
fn a_failed_variant_keeps_its_place_in_the_family() {
    let weak: &[f64] = &[0.6, 1.0, 1.1];
    let failed = compare(HigherIsBetter, &[0.0; 3], &[("a", weak), ("b", &[])]);
    assert_eq!(failed.without_score, ["b"]);
    assert_eq!(
        failed.rows[1].outcome,
        Outcome::Unranked(NoInterval::TooFewSeeds { seeds: 0 })
    );
    assert_eq!(verdict(&failed, "a"), Some(Verdict::NotResolved));
}

#[test]
fn the_best_is_resolved_from_all_that_have_a_score() {
    let (nought, strong): (&[f64], &[f64]) = (&[0.0; 3], &[1.0, 1.01, 0.99]);
    // p = 0.0276 against nought: enough of two contenders, not of three, where 0.025 is asked.
    let weak: &[f64] = &[0.6, 1.0, 1.1];
    let cases: [Case; 10] = [
        (
            "a failed one does not stand in the way",
            nought,
            &[("a", strong), ("b", &[])],
            Some("a"),
        ),
        (
            "one of too few seeds does",
            nought,
            &[("a", strong), ("b", &[0.5])],
            None,
        ),
        (
            "two are close",
            nought,
            &[("a", strong), ("b", &[0.99, 1.02, 0.98])],
            None,
        ),
        ("one of two", nought, &[("a", weak)], Some("a")),
        (
            "the choice among three has its price",
            &[-100.0, -100.1, -100.2],
            &[("a", weak), ("b", nought)],
            None,
        ),
        (
            "the baseline",
            &[2.0, 2.1, 2.2],
            &[("a", &[1.0, 1.11, 1.2]), ("b", &[0.0, 0.1, 0.21])],
            Some("none"),
        ),
        ("two seeds", &[5.0, 6.0], &[("a", &[11.0, 12.1])], None),
        ("alone", &[1.0, 2.0, 3.0], &[], None),
        ("none has a score", &[], &[("a", &[])], None),
        ("no baseline", &[], &[("a", strong), ("b", nought)], None),
    ];
    for (case, baseline, variants, best) in cases {
        let found = compare(HigherIsBetter, baseline, variants);
        assert_eq!(found.best.as_deref(), best, "{case}");
        let scoreless = variants.iter().filter(|(_, scores)| scores.is_empty()).count();
        assert_eq!(
            found.without_score.len(),
            scoreless + usize::from(baseline.is_empty()),
            "{case}"
        );
    }
}

#[test]
fn names_are_unique() {
    let none = contender("none", &[1.0]);
    let error = Comparison::new("loss", LowerIsBetter, &none, std::slice::from_ref(&none)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "two contenders of the comparison are called \"none\""
    );
}

#[test]
fn json_says_what_it_is() {
    let two = compare(LowerIsBetter, &[0.0; 3], &[("a", &[1.0, 2.0, 3.0]), ("b", &[])]);
    let json = serde_json::to_value(&two).unwrap();
    assert_eq!(json["direction"], "lower-is-better");
    assert_eq!(json["rows"][0]["outcome"]["tested"]["verdict"], "not-resolved");
    assert_eq!(json["rows"][1]["outcome"]["unranked"]["because"], "too-few-seeds");
}

/// A baseline and one to five variants over three to six seeds, some of them far apart and some close.
fn family() -> impl Strategy<Value = Vec<ScoredVariant>> {
    (3..7_usize, 2..7_usize).prop_flat_map(|(seeds, contenders)| {
        let noise = proptest::collection::vec(-1.0..1.0_f64, seeds);
        let one = (prop_oneof![Just(0.0), -3.0..3.0_f64, -30.0..30.0_f64], noise);
        proptest::collection::vec(one, contenders).prop_map(|all| {
            let named = all.into_iter().enumerate();
            named
                .map(|(i, (mean, noise))| {
                    let scores: Vec<f64> = noise.into_iter().map(|n| mean + n).collect();
                    contender(&format!("v{i}"), &scores)
                })
                .collect()
        })
    })
}

fn of(family: &[ScoredVariant], direction: Direction) -> Comparison {
    Comparison::new("score", direction, &family[0], &family[1..]).unwrap()
}

/// The verdict with better and worse exchanged.
fn mirrored(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Better => Verdict::Worse,
        Verdict::Worse => Verdict::Better,
        Verdict::NotResolved => Verdict::NotResolved,
    }
}

proptest! {
    #[test]
    fn order_of_variants_does_not_matter(family in family()) {
        let one = of(&family, LowerIsBetter);
        let mut turned = family.clone();
        turned[1..].reverse();
        let other = of(&turned, LowerIsBetter);
        prop_assert_eq!(&one.best, &other.best);
        for row in &one.rows {
            prop_assert_eq!(Some(row), other.row(&row.name));
        }
    }

    #[test]
    fn sign_and_direction_flip_together(family in family()) {
        let negated: Vec<_> = family
            .iter()
            .map(|c| contender(&c.name, &c.scores.values().iter().map(|v| -v).collect::<Vec<_>>()))
            .collect();
        let one = of(&family, LowerIsBetter);
        let turned = of(&negated, HigherIsBetter);
        let opposite = of(&negated, LowerIsBetter);
        prop_assert_eq!(&one.best, &turned.best);
        for ((row, turned), opposite) in one.rows.iter().zip(&turned.rows).zip(&opposite.rows) {
            prop_assert_eq!(row.verdict(), turned.verdict());
            prop_assert_eq!(row.verdict(), opposite.verdict().map(mirrored));
        }
    }

    #[test]
    fn exchanging_variant_and_baseline_turns_the_verdict(family in family()) {
        let pair = [family[0].clone(), family[1].clone()];
        let one = of(&pair, LowerIsBetter);
        let other = of(&[family[1].clone(), family[0].clone()], LowerIsBetter);
        prop_assert_eq!(one.rows[0].verdict(), other.rows[0].verdict().map(mirrored));
        prop_assert_eq!(one.best, other.best);
    }

    /// Holm lies between Bonferroni and no correction. 1e-6 keeps clear of rounding at the very border.
    #[test]
    fn the_verdict_lies_between_the_two_intervals(family in family()) {
        for row in &of(&family, LowerIsBetter).rows {
            let Outcome::Tested(tested) = row.outcome else { continue };
            let resolved = tested.verdict != Verdict::NotResolved;
            let clear = |interval: Interval, by: f64| {
                interval.low > by * interval.half_width() || interval.high < -by * interval.half_width()
            };
            prop_assert!(resolved || !clear(tested.simultaneous, 1e-6));
            prop_assert!(!resolved || clear(tested.interval, -1e-6));
        }
    }

    #[test]
    fn the_best_is_resolved_and_first(family in family()) {
        let one = of(&family, LowerIsBetter);
        let Some(best) = &one.best else { return Ok(()) };
        let sum = |c: &ScoredVariant| c.scores.values().iter().sum::<f64>();
        let first = family.iter().min_by(|a, b| sum(a).total_cmp(&sum(b))).unwrap();
        prop_assert_eq!(&first.name, best);
        match one.row(best) {
            Some(row) => prop_assert_eq!(row.verdict(), Some(Verdict::Better)),
            None => prop_assert!(one.rows.iter().all(|r| r.verdict() == Some(Verdict::Worse))),
        }
    }
}
