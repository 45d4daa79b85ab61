//! The faults of a schedule. The same seed gives the same plan for the same system.

use std::{fmt, time::Duration};

use fastrand::Rng;
use faults::FaultKind;

/// With whom something can go wrong, and what; a process is killed where there is none of a kind.
pub(super) type Choice = (String, Option<FaultKind>);

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) target: String,
    pub(super) kind: Option<FaultKind>,
    pub(super) length: Duration,
}

/// The shortest fault.
const LENGTH_MIN: Duration = Duration::from_secs(2);
/// The longest, in milliseconds beyond the shortest.
const LENGTH_MORE_MS: u64 = 10_000;

/// Faults one after the other, each with a pause before it, that fit into this time; at least one. How much
/// slower something is differs each time.
pub(super) fn plan(seed: u64, time: Duration, pause: Duration, choices: &[Choice]) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    let mut steps = Vec::new();
    let mut left = time;
    while steps.is_empty() || left >= pause + LENGTH_MIN {
        let Some((target, kind)) = random.choice(choices).cloned() else { break };
        let length = LENGTH_MIN + Duration::from_millis(random.u64(..LENGTH_MORE_MS));
        let length = length.min(left.saturating_sub(pause).max(LENGTH_MIN));
        let kind = match kind {
            Some(FaultKind::Slow { .. }) => Some(FaultKind::Slow { by_ms: random.u64(50..=2_000) }),
            other => other,
        };
        left = left.saturating_sub(pause + length);
        steps.push(Step { target, kind, length });
    }
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        let seconds = self.length.as_secs_f64();
        match &self.kind {
            Some(kind) => write!(f, "{target} is {kind} for {seconds:.1} s"),
            None => write!(f, "{target} is killed, and started again after {seconds:.1} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Vec<Choice> {
        let kinds = [None, Some(FaultKind::Cut), Some(FaultKind::Slow { by_ms: 0 })];
        kinds.map(|kind| ("redis".to_owned(), kind)).into()
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_another() {
        let time = Duration::from_secs(600);
        let pause = Duration::from_secs(5);
        let plans = [7, 7, 8].map(|seed| plan(seed, time, pause, &choices()));
        assert_eq!(plans[0], plans[1]);
        assert_ne!(plans[0], plans[2]);
    }

    #[test]
    fn a_plan_fits_into_its_time_and_has_everything_that_can_be_done_sooner_or_later() {
        let pause = Duration::from_secs(1);
        let mut kinds = std::collections::HashSet::new();
        for seed in 0..200 {
            let time = Duration::from_secs(10 + seed);
            let steps = plan(seed, time, pause, &choices());
            assert!(!steps.is_empty());
            let all: Duration = steps.iter().map(|step| pause + step.length).sum();
            assert!(all <= time, "{all:?} of {time:?}: {steps:?}");
            for Step { kind, length, .. } in steps {
                assert!(length >= LENGTH_MIN);
                assert_ne!(kind, Some(FaultKind::Slow { by_ms: 0 }));
                kinds.insert(kind.as_ref().map(std::mem::discriminant));
            }
        }
        assert_eq!(kinds.len(), 3, "{kinds:?}");
        assert_eq!(plan(1, Duration::ZERO, pause, &choices()).len(), 1);
        assert_eq!(plan(1, Duration::from_secs(60), pause, &[]), []);
    }
}
