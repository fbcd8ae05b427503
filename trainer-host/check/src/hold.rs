//! Trying an invariant on generated cases.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::case::Case;
use super::generate;
use super::invariant::{Evidence, Finding, Invariant, Verdict};
use super::plugin::PluginUnderTest;
use super::violation::Violation;
use sextant_model::device::panic_text;

/// Milliseconds that shrinking may take.
const SHRINKING: u32 = 20_000;

/// The way in which an invariant is tried.
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
pub fn hold(invariant: Invariant, plugin: &PluginUnderTest, options: &Options<'_>) -> Finding {
    let verdict = match ((invariant.applies)(plugin), options.case) {
        (Err(why), _) => verdict(why, None),
        (Ok(()), Some(case)) => one(invariant, plugin, case, options),
        (Ok(()), None) => many(invariant, plugin, options),
    };
    Finding {
        invariant: invariant.name.into(),
        verdict,
    }
}

fn one(invariant: Invariant, plugin: &PluginUnderTest, case: &Case, options: &Options<'_>) -> Verdict {
    match examine(invariant, plugin, case, &mut Evidence::default(), options) {
        Ok(()) => Verdict::Held { cases: 1 },
        Err(broken) => verdict(broken, Some(case.clone())),
    }
}

/// The verdict on an invariant that did not hold.
fn verdict(why: Violation, case: Option<Case>) -> Verdict {
    let failed = matches!(why, Violation::Failed(_));
    match why {
        Violation::Discard(reason) => Verdict::NotApplicable { reason },
        Violation::Broken(reason) | Violation::Failed(reason) => Verdict::Broken {
            reason,
            failed,
            case: case.map(Box::new),
        },
    }
}

fn many(invariant: Invariant, plugin: &PluginUnderTest, options: &Options<'_>) -> Verdict {
    let cases = options.cases.min(invariant.most_cases);
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
    // Of the last case that was discarded, and the last that broke it, which is the simplest.
    let (held, discarded, broken) = (Cell::new(0u32), RefCell::new(String::new()), RefCell::new(None));
    let result = runner.run(&generate::cases(plugin), |case| {
        match examine(invariant, plugin, &case, &mut evidence.borrow_mut(), options) {
            Ok(()) => {
                held.set(held.get() + 1);
                Ok(())
            }
            Err(Violation::Discard(reason)) => {
                discarded.borrow_mut().clone_from(&reason);
                Err(TestCaseError::reject(reason))
            }
            Err(why) => {
                broken.replace(Some(why));
                Err(TestCaseError::fail("it is broken"))
            }
        }
    });
    match result {
        Err(TestError::Fail(reason, case)) => {
            let why = broken.into_inner();
            verdict(why.unwrap_or_else(|| Violation::broken(reason.message())), Some(case))
        }
        // Too many cases were no cases for this source: those that were have held.
        Err(TestError::Abort(_)) if held.get() == 0 => Verdict::NotApplicable {
            reason: discarded.into_inner(),
        },
        _ => match (invariant.conclude)(plugin, &evidence.into_inner()) {
            Ok(()) => Verdict::Held { cases: held.get() },
            Err(why) => verdict(why, None),
        },
    }
}

fn examine(
    invariant: Invariant,
    plugin: &PluginUnderTest,
    case: &Case,
    evidence: &mut Evidence,
    options: &Options<'_>,
) -> Result<(), Violation> {
    if let Some(watch) = options.watch {
        watch(case);
    }
    catch_unwind(AssertUnwindSafe(|| (invariant.examine)(plugin, case, evidence)))
        .unwrap_or_else(|panic| Err(Violation::Failed(format!("the host panicked: {}", panic_text(&*panic)))))
}
