//! Trying an invariant on generated cases.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::{Config, Reason, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::case::Case;
use super::generate;
use super::invariant::{Break, Evidence, Finding, Invariant, Verdict};
use super::subject::Subject;
use sextant_model::device::panic_text;

/// Milliseconds that shrinking may take.
const SHRINKING: u32 = 20_000;

/// How an invariant is tried.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Generated cases.
    pub cases: u32,
    /// Seed of the generator: the same seed gives the same cases.
    pub seed: u64,
    /// Try this case alone instead.
    pub case: Option<&'a Case>,
    /// Sees each case before it is tried.
    pub watch: Option<&'a dyn Fn(&Case)>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            cases: 64,
            seed: 0,
            case: None,
            watch: None,
        }
    }
}

/// Tries the invariant in this process, and shrinks what breaks it. A panic of the host is a finding; a crash or a hang of
/// the library is one only for who runs this in [another process](super::Isolation).
pub fn hold(invariant: &dyn Invariant, subject: &Subject, options: &Options<'_>) -> Finding {
    let verdict = match invariant.applies(subject) {
        Err(reason) => Verdict::NotApplicable { reason },
        Ok(()) => match options.case {
            Some(case) => one(invariant, subject, case, options),
            None => many(invariant, subject, options),
        },
    };
    Finding {
        invariant: invariant.name().into(),
        verdict,
    }
}

fn one(invariant: &dyn Invariant, subject: &Subject, case: &Case, options: &Options<'_>) -> Verdict {
    match examine(invariant, subject, case, &mut Evidence::default(), options) {
        Ok(()) => Verdict::Held { cases: 1 },
        Err(Break::Discard(reason)) => Verdict::NotApplicable { reason },
        Err(Break::Broken(reason)) => Verdict::Broken {
            reason,
            case: Some(Box::new(case.clone())),
        },
    }
}

fn many(invariant: &dyn Invariant, subject: &Subject, options: &Options<'_>) -> Verdict {
    let cases = options.cases.min(invariant.most_cases());
    let config = Config {
        cases,
        max_global_rejects: 16 * cases + 64,
        max_shrink_time: SHRINKING,
        max_shrink_iters: 400,
        failure_persistence: None,
        source_file: None,
        test_name: None,
        fork: false,
        timeout: 0,
        verbose: 0,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&options.seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let evidence = RefCell::new(Evidence::default());
    let (held, discarded) = (Cell::new(0u32), RefCell::new(String::new()));
    let result = runner.run(&generate::cases(subject), |case| {
        match examine(invariant, subject, &case, &mut evidence.borrow_mut(), options) {
            Ok(()) => {
                held.set(held.get() + 1);
                Ok(())
            }
            Err(Break::Broken(reason)) => Err(TestCaseError::fail(reason)),
            Err(Break::Discard(reason)) => {
                discarded.borrow_mut().clone_from(&reason);
                Err(TestCaseError::reject(reason))
            }
        }
    });
    match result {
        Err(TestError::Fail(reason, case)) => Verdict::Broken {
            reason: words(&reason),
            case: Some(Box::new(case)),
        },
        // Too many cases were no cases for this source: those that were have held.
        Err(TestError::Abort(_)) if held.get() == 0 => Verdict::NotApplicable {
            reason: discarded.into_inner(),
        },
        _ => match invariant.conclude(subject, &evidence.into_inner()) {
            Ok(()) => Verdict::Held { cases: held.get() },
            Err(Break::Discard(reason)) => Verdict::NotApplicable { reason },
            Err(Break::Broken(reason)) => Verdict::Broken { reason, case: None },
        },
    }
}

fn examine(
    invariant: &dyn Invariant,
    subject: &Subject,
    case: &Case,
    evidence: &mut Evidence,
    options: &Options<'_>,
) -> Result<(), Break> {
    if let Some(watch) = options.watch {
        watch(case);
    }
    catch_unwind(AssertUnwindSafe(|| invariant.examine(subject, case, evidence)))
        .unwrap_or_else(|panic| Err(Break::Broken(format!("the host panicked: {}", panic_text(&*panic)))))
}

fn words(reason: &Reason) -> String {
    reason.message().to_owned()
}
