//! Several runs, one after another: where they are, and how long the rest takes.

use std::collections::BTreeMap;

/// Runs in their order, with the pace seen so far. It measures nothing itself: it is told.
#[derive(Clone, Debug, Default)]
pub struct Itinerary {
    legs: Vec<Leg>,
    /// Steps and their seconds, by variant and phase. Seeds of a variant share their pace.
    paces: BTreeMap<(String, String), Pace>,
    /// Evaluations and their seconds, by variant.
    evaluations: BTreeMap<String, Pace>,
}

/// One run.
#[derive(Clone, Debug)]
struct Leg {
    variant: String,
    phases: Vec<PhaseSteps>,
    over: bool,
}

/// A phase's name and its steps, done and in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseSteps {
    /// Its name.
    pub name: String,
    /// Steps that are done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// A count and its seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    count: f64,
    seconds: f64,
}

/// The time that is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Left {
    /// Nothing was seen yet.
    Unknown,
    /// Seconds without the evaluations, of which none was seen yet.
    AtLeast(f64),
    /// Seconds.
    About(f64),
}

impl Pace {
    fn add(&mut self, count: f64, seconds: f64) {
        self.count += count;
        self.seconds += seconds;
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.seconds / self.count)
    }

    fn of_all<'a>(paces: impl Iterator<Item = &'a Self>) -> Option<f64> {
        let mut sum = Self::default();
        paces.for_each(|pace| sum.add(pace.count, pace.seconds));
        sum.mean()
    }
}

impl Itinerary {
    /// Adds a run after the others and returns its number, counted from 0. A run that is `over` takes no time.
    pub fn add(&mut self, variant: &str, phases: Vec<PhaseSteps>, over: bool) -> usize {
        self.legs.push(Leg {
            variant: variant.into(),
            phases,
            over,
        });
        self.legs.len() - 1
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.legs.len()
    }

    /// A run begins or goes on: those before it are over, whether they were finished or failed.
    pub fn reach(&mut self, run: usize) {
        self.legs[..run].iter_mut().for_each(|leg| leg.over = true);
    }

    /// A phase of a run has `done` steps behind it now; the last `steps` of them took `seconds`.
    pub fn stepped(&mut self, run: usize, phase: &str, done: u64, steps: u64, seconds: f64) {
        let leg = &mut self.legs[run];
        if let Some(phase) = leg.phases.iter_mut().find(|p| p.name == phase) {
            phase.done = done;
        }
        let pace = self.paces.entry((leg.variant.clone(), phase.into())).or_default();
        pace.add(steps as f64, seconds);
    }

    /// A run's evaluation took so many seconds, all in all.
    pub fn evaluated(&mut self, run: usize, seconds: f64) {
        let variant = self.legs[run].variant.clone();
        self.evaluations.entry(variant).or_default().add(1.0, seconds);
        self.legs[run].over = true;
    }

    /// True if a run has no step left in any phase.
    pub fn trained(&self, run: usize) -> bool {
        self.legs[run].phases.iter().all(|phase| phase.done >= phase.total)
    }

    /// Steps of all runs, done and in all.
    pub fn steps(&self) -> (u64, u64) {
        let mut steps = (0, 0);
        for leg in &self.legs {
            for phase in &leg.phases {
                steps.0 += if leg.over { phase.total } else { phase.done };
                steps.1 += phase.total;
            }
        }
        steps
    }

    /// The time for what is left. A pace that was not seen yet is guessed: that of the same phase in other variants, else
    /// that of all steps; of an evaluation, that of other variants.
    pub fn left(&self) -> Left {
        let mut seconds = 0.0;
        let mut guessed_without = false;
        for leg in self.legs.iter().filter(|leg| !leg.over) {
            for phase in leg.phases.iter().filter(|phase| phase.done < phase.total) {
                match self.pace(&leg.variant, &phase.name) {
                    Some(pace) => seconds += (phase.total - phase.done) as f64 * pace,
                    None => return Left::Unknown,
                }
            }
            match self.evaluation(&leg.variant) {
                Some(evaluation) => seconds += evaluation,
                None => guessed_without = true,
            }
        }
        if guessed_without {
            Left::AtLeast(seconds)
        } else {
            Left::About(seconds)
        }
    }

    fn pace(&self, variant: &str, phase: &str) -> Option<f64> {
        let own = self.paces.get(&(variant.to_owned(), phase.to_owned()));
        let alike = || self.paces.iter().filter(|((_, name), _)| name == phase);
        own.and_then(|pace| pace.mean())
            .or_else(|| Pace::of_all(alike().map(|(_, pace)| pace)))
            .or_else(|| Pace::of_all(self.paces.values()))
    }

    fn evaluation(&self, variant: &str) -> Option<f64> {
        let own = self.evaluations.get(variant).and_then(|pace| pace.mean());
        own.or_else(|| Pace::of_all(self.evaluations.values()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(phases: &[(&str, u64, u64)]) -> Vec<PhaseSteps> {
        let phase = |&(name, done, total): &(&str, u64, u64)| PhaseSteps {
            name: name.into(),
            done,
            total,
        };
        phases.iter().map(phase).collect()
    }

    /// A baseline, and a variant with a phase more, each with two seeds.
    fn four() -> Itinerary {
        let mut itinerary = Itinerary::default();
        for _ in 0..2 {
            itinerary.add("none", phases(&[("train", 0, 100)]), false);
            itinerary.add("guided", phases(&[("align", 0, 50), ("train", 0, 100)]), false);
        }
        itinerary
    }

    #[test]
    fn nothing_is_claimed_before_the_first_step() {
        assert_eq!(four().left(), Left::Unknown);
    }

    #[test]
    fn a_pace_that_was_not_seen_is_that_of_the_steps_that_were() {
        let mut itinerary = four();
        itinerary.reach(0);
        itinerary.stepped(0, "train", 10, 10, 20.0);
        // 500 steps in all, ten of them done, two seconds each.
        assert_eq!(itinerary.left(), Left::AtLeast(490.0 * 2.0));
        assert_eq!(itinerary.steps(), (10, 500));
    }

    #[test]
    fn each_variant_and_phase_has_its_own_pace_once_seen() {
        let mut itinerary = four();
        itinerary.stepped(0, "train", 100, 100, 100.0);
        itinerary.evaluated(0, 30.0);
        itinerary.reach(1);
        itinerary.stepped(1, "align", 50, 50, 25.0);
        itinerary.stepped(1, "train", 40, 40, 80.0);
        let rest_of_this = 60.0 * 2.0 + 30.0;
        let second_seed = (100.0 + 30.0) + (25.0 + 200.0 + 30.0);
        assert_eq!(itinerary.left(), Left::About(rest_of_this + second_seed));
    }

    #[test]
    fn finished_and_failed_runs_take_no_time() {
        let mut itinerary = Itinerary::default();
        itinerary.add("none", phases(&[("train", 0, 100)]), true);
        itinerary.add("fails", phases(&[("train", 0, 100)]), false);
        itinerary.add("last", phases(&[("train", 0, 100)]), false);
        itinerary.stepped(1, "train", 10, 10, 10.0);
        // It fails after ten steps, and the next begins.
        itinerary.reach(2);
        assert_eq!(itinerary.left(), Left::AtLeast(100.0));
        assert_eq!(itinerary.steps(), (200, 300));
        itinerary.stepped(2, "train", 100, 100, 100.0);
        itinerary.evaluated(2, 5.0);
        assert_eq!(itinerary.left(), Left::About(0.0));
    }

    #[test]
    fn a_run_that_goes_on_counts_what_it_has_left() {
        let mut itinerary = Itinerary::default();
        let run = itinerary.add("none", phases(&[("train", 60, 100)]), false);
        itinerary.stepped(run, "train", 70, 10, 5.0);
        assert_eq!(itinerary.left(), Left::AtLeast(15.0));
        assert!(!itinerary.trained(run));
    }
}
