//! The faults of a schedule. The same seed gives the same plan for the same system.

use std::{fmt, time::Duration};

/// What may go wrong with one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) name: String,
    /// Whether its process is ours.
    pub(super) has_process: bool,
    /// Whether services reach it through the proxy.
    pub(super) has_wire: bool,
    /// Whether it is the payment provider's simulator.
    pub(super) is_provider: bool,
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) target: String,
    pub(super) length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Freeze,
    Kill,
    Slow(Duration),
    Cut,
    ProviderSlow(Duration),
    ProviderDeclines,
    ProviderFails,
}

/// The shortest fault.
const LENGTH_MIN: Duration = Duration::from_secs(2);
/// The longest, in milliseconds beyond the shortest.
const LENGTH_MORE_MS: u64 = 10_000;

/// Faults one after the other, each with a pause before it, that fit into this time; at least one.
pub(super) fn plan(
    seed: u64,
    time: Duration,
    pause: Duration,
    candidates: &[Candidate],
) -> Vec<Step> {
    let mut choices = Vec::new();
    for candidate in candidates {
        choices.extend(faults_of(candidate).into_iter().map(|what| (what, &candidate.name)));
    }
    let (mut random, mut steps, mut left) = (Random(seed), Vec::new(), time);
    while !choices.is_empty() && (steps.is_empty() || left >= pause + LENGTH_MIN) {
        let (what, target) = choices[random.below(choices.len())];
        let length = LENGTH_MIN + Duration::from_millis(random.next() % LENGTH_MORE_MS);
        let length = length.min(left.saturating_sub(pause).max(LENGTH_MIN));
        let what = match what {
            What::Slow(_) => What::Slow(random.delay()),
            What::ProviderSlow(_) => What::ProviderSlow(random.delay()),
            other => other,
        };
        left = left.saturating_sub(pause + length);
        steps.push(Step { what, target: target.clone(), length });
    }
    steps
}

fn faults_of(candidate: &Candidate) -> Vec<What> {
    let mut faults = Vec::new();
    if candidate.has_process {
        faults.extend([What::Freeze, What::Kill]);
    }
    if candidate.has_wire {
        faults.extend([What::Slow(Duration::ZERO), What::Cut]);
    }
    if candidate.is_provider {
        let slow = What::ProviderSlow(Duration::ZERO);
        faults.extend([slow, What::ProviderDeclines, What::ProviderFails]);
    }
    faults
}

/// Numbers that are the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap_or(1)).unwrap_or(0)
    }

    /// 50 ms to 2 s.
    fn delay(&mut self) -> Duration {
        Duration::from_millis(50 + self.next() % 1_951)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, seconds) = (&self.target, self.length.as_secs_f64());
        match self.what {
            What::Freeze => write!(f, "freeze {target}"),
            What::Kill => write!(f, "kill {target}"),
            What::Slow(by) => write!(f, "slow {target} by {} ms", by.as_millis()),
            What::Cut => write!(f, "cut {target}"),
            What::ProviderSlow(by) => write!(f, "slow the provider by {} ms", by.as_millis()),
            What::ProviderDeclines => write!(f, "the provider declines every card"),
            What::ProviderFails => write!(f, "the provider fails every call"),
        }?;
        write!(f, " for {seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<Candidate> {
        let one = |name: &str, has_process, has_wire, is_provider| Candidate {
            name: name.to_owned(),
            has_process,
            has_wire,
            is_provider,
        };
        vec![
            one("given", false, true, false),
            one("ours", true, true, false),
            one("simulator", true, true, true),
            one("unreachable", false, false, false),
        ]
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_another() {
        let (time, pause) = (Duration::from_secs(600), Duration::from_secs(5));
        let plans = [7, 7, 8].map(|seed| plan(seed, time, pause, &candidates()));
        assert_eq!(plans[0], plans[1]);
        assert_ne!(plans[0], plans[2]);
    }

    #[test]
    fn a_plan_fits_into_its_time_and_holds_only_what_can_be_done() {
        let pause = Duration::from_secs(1);
        let mut kinds = std::collections::HashSet::new();
        for seed in 0..200 {
            let time = Duration::from_secs(10 + seed);
            let steps = plan(seed, time, pause, &candidates());
            assert!(!steps.is_empty());
            let all: Duration = steps.iter().map(|step| pause + step.length).sum();
            assert!(all <= time, "{all:?} of {time:?}: {steps:?}");
            for Step { what, target, length } in steps {
                assert!(length >= LENGTH_MIN);
                assert_ne!(target, "unreachable");
                let is_of_process = matches!(what, What::Freeze | What::Kill);
                assert!(target != "given" || !is_of_process, "{what:?} of {target}");
                kinds.insert(std::mem::discriminant(&what));
            }
        }
        assert_eq!(kinds.len(), 7, "{kinds:?}");
        assert_eq!(plan(1, Duration::ZERO, pause, &candidates()).len(), 1);
        assert_eq!(plan(1, Duration::from_secs(60), pause, &[]), []);
    }
}
