//! Each law against a source that breaks it, and all of them against one that uses everything and breaks none.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use sextant_plugin_api::schemars::{self, JsonSchema};
use sextant_plugin_api::{
    Buffer, Condition, Distribution, Error, Geometry, Guidance, GuidanceSource, Init, Network, Plan, Step, Tensor,
    TimeRange, describe_guidance, descriptor, rows_inside,
};

use super::*;
use sextant_guidance::Library;

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    #[default]
    None,
    /// Overflows for large features.
    Infinite,
    /// Remembers in the instance how often it was called.
    Remembers,
    /// Numbers from the address of something new.
    OwnNumbers,
    /// Reads the batch's mean without a word.
    Coupled,
    /// Declares that, but does not.
    FalselyCoupled,
    /// The tap is detached.
    NoGradient,
    /// A parameter that nothing depends on.
    UnusedParameter,
    /// A factor that depends on the tap goes through the CPU.
    LostGradient,
    /// A loss outside the declared range.
    Outside,
    /// The teacher runs on every row.
    TeacherOutside,
    /// Each step holds more tensors than the one before.
    Grows,
    /// Draws that a row's number decides.
    DrawsByRow,
    /// A weight on the denoising loss that is not finite.
    InfiniteWeight,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    fault: Fault,
}

/// Uses whatever a source can use.
struct Source {
    fault: Fault,
    calls: AtomicU32,
}

fn range() -> TimeRange {
    TimeRange::new(0.25, 0.75).unwrap()
}

impl GuidanceSource for Source {
    type Config = Config;

    fn new(config: Config) -> Result<Self, Error> {
        Ok(Self {
            fault: config.fault,
            calls: AtomicU32::new(0),
        })
    }

    fn plan(&self, geometry: &Geometry) -> Result<Plan, Error> {
        let width = geometry.student().width;
        let plan = Plan::new()
            .tap(1)
            .output()
            .attention(1)
            .teacher(2)
            .field("features")
            .field("attention")
            .parameter("weight", [width, width], Init::XavierUniform)
            .buffer(Buffer::new("seen", [1], Init::Constant(0.0)))
            .metric("mean");
        Ok(match self.fault {
            Fault::FalselyCoupled => plan.batch_coupled(),
            Fault::UnusedParameter => plan.parameter("unused", [2], Init::Constant(1.0)),
            Fault::Outside | Fault::TeacherOutside => plan.t_range(range()),
            _ => plan,
        })
    }

    fn guide(&self, step: &Step) -> Result<Guidance, Error> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let h = step.tap(1)?;
        let size = |tensor: Tensor| tensor.square().mean_per_sample();
        let loss = match self.fault {
            Fault::Infinite => (h.abs() / 100.0).exp().mean_per_sample(),
            Fault::NoGradient => return Ok(Guidance::new(size(h.detach()))),
            Fault::LostGradient => {
                let lengths: Vec<f32> = size(h.clone()).download()?;
                let lengths = step.upload(&lengths, [step.batch()]);
                return Ok(Guidance::new(size(h) * lengths));
            }
            Fault::Outside => return Ok(Guidance::new(size(h))),
            Fault::TeacherOutside => {
                let teacher = self.teacher(step)?;
                let rows = rows_inside(step.times(), range());
                let near = size(h.gather(0, &rows) - teacher.gather(0, &rows));
                return Ok(Guidance::new(near.scatter(0, &rows, step.batch())));
            }
            _ => size(h.linear(step.parameter("weight")?, None) - self.teacher(step)?),
        };
        let attention = step.attention(1)?.square().mean_per_sample() + size(step.field("attention")?);
        let drawn = step.random("noise", Distribution::Normal, [4]);
        let loss = loss + attention + size(step.output()?) * size(step.field("features")?) + size(drawn);
        // A state that acts on the loss, as a bank of earlier tokens does.
        let loss = loss * (step.buffer("seen")? + 1.0);
        let loss = match self.fault {
            Fault::Remembers => loss * f64::from(calls + 1),
            Fault::OwnNumbers => {
                // Where a new allocation lies differs from call to call while those before are kept.
                let kept: &'static u8 = Box::leak(Box::new(0));
                loss * (1.0 + (std::ptr::from_ref(kept) as usize % 4096) as f64)
            }
            Fault::Coupled if step.batch() > 0 => loss.clone() + loss.mean_keep(&[0]),
            Fault::Grows => {
                (0..step.index()).for_each(|_| std::mem::forget(step.x() * 2.0));
                loss
            }
            Fault::DrawsByRow => {
                let rows: Vec<f32> = (0..step.batch()).map(|row| row as f32).collect();
                loss + step.upload(&rows, [step.batch()])
            }
            _ => loss,
        };
        let weight = match self.fault {
            Fault::InfiniteWeight => (step.t() * 0.0 - 1.0).log(),
            _ => step.t() + 0.5,
        };
        let guidance = Guidance::new(loss.clone()).denoising_weight(weight);
        // The mean of nothing is no number.
        Ok(match step.batch() {
            0 => guidance,
            _ => guidance
                .metric("mean", loss.mean(&[0]))
                .buffer("seen", step.buffer("seen")? + 1.0),
        })
    }
}

impl Source {
    fn teacher(&self, step: &Step) -> Result<Tensor, Error> {
        let rows: Vec<u32> = (0..step.batch() as u32).collect();
        let own = vec![Condition::Own; rows.len()];
        let features = step.forward(Network::Teacher, step.x_t(), step.t(), &[2], &rows, &own);
        Ok(features?.remove(0))
    }
}

describe_guidance!(Source, name = "check-tests");

fn plugin(fault: &str) -> PluginUnderTest {
    // SAFETY: written by the public API, which keeps the contract.
    #[allow(unsafe_code)]
    let library = unsafe { Library::in_process(descriptor::<Source>()) }.unwrap();
    let settings = Settings {
        config: toml::from_str(&format!("fault = \"{fault}\"")).unwrap(),
        ..Settings::default()
    };
    PluginUnderTest::new(library, settings).unwrap()
}

fn finding(law: &str, plugin: &PluginUnderTest) -> Finding {
    let options = Options {
        cases: 32,
        ..Options::default()
    };
    hold(invariant(law).unwrap(), plugin, &options)
}

#[test]
fn should_hold_for_a_source_that_uses_everything() {
    let plugin = plugin("none");
    for invariant in invariants() {
        let finding = finding(invariant.name, &plugin);
        match invariant.name {
            "t-range" | "devices" => assert!(matches!(finding.verdict, Verdict::NotApplicable { .. }), "{finding:?}"),
            _ => assert!(matches!(finding.verdict, Verdict::Held { .. }), "{finding:?}"),
        }
    }
}

#[test]
fn should_find_each_fault_by_the_law_that_forbids_it() {
    for (fault, law, words) in [
        ("infinite", "shape-and-finite", "is inf"),
        ("infinite-weight", "shape-and-finite", "weight on the denoising loss"),
        ("remembers", "same-bits", "a second time"),
        ("remembers", "resume", "after a stop"),
        ("own-numbers", "same-bits", "the loss[0] is"),
        ("own-numbers", "draws", "outside the step's stream"),
        ("coupled", "splitting", "split in two"),
        ("falsely-coupled", "splitting", "never changed it"),
        ("draws-by-row", "permutation", "in reverse"),
        ("draws-by-row", "draws", "in reverse"),
        ("no-gradient", "gradients-only-where-declared", "no declared tap"),
        (
            "unused-parameter",
            "gradients-only-where-declared",
            "parameter `unused`",
        ),
        ("lost-gradient", "finite-differences", "as its gradient says"),
        ("outside", "t-range", "lies outside [0.25, 0.75], has the loss"),
        ("teacher-outside", "t-range", "the Teacher network is run"),
        ("grows", "handles", "they grow in number"),
    ] {
        let finding = finding(law, &plugin(fault));
        match &finding.verdict {
            Verdict::Broken { reason, .. } => assert!(reason.contains(words), "{fault}: {reason}"),
            other => panic!("{fault}: {law} is {other:?}"),
        }
    }
}

#[test]
fn should_shrink_to_what_matters() {
    let finding = finding("splitting", &plugin("coupled"));
    let Verdict::Broken { case: Some(case), .. } = &finding.verdict else {
        panic!("{finding:?}");
    };
    assert_eq!(case.samples.len(), 2, "{case:?}");
    let finding = hold(
        invariant("splitting").unwrap(),
        &plugin("coupled"),
        &Options {
            case: Some(case),
            ..Options::default()
        },
    );
    assert!(finding.is_broken(), "{finding:?}");
}

#[test]
fn should_count_a_refused_geometry_as_no_case() {
    let never = Invariant::new("never", "No case is one.", |_, case, _| {
        Err(Violation::Discard(format!("{} blocks are too many", case.depth)))
    });
    let finding = hold(never, &plugin("none"), &Options::default());
    let Verdict::NotApplicable { reason } = &finding.verdict else {
        panic!("{finding:?}");
    };
    assert!(reason.contains("blocks are too many"), "{reason}");
}

#[test]
fn should_have_a_name_of_its_own_for_every_invariant() {
    let names: std::collections::BTreeSet<_> = invariants().into_iter().map(|invariant| invariant.name).collect();
    assert_eq!(names.len(), invariants().len());
    assert!(
        invariant("beauty")
            .err()
            .unwrap()
            .to_string()
            .contains("shape-and-finite")
    );
}
