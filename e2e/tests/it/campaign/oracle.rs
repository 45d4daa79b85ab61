//! What is true after a campaign: intents against effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Every so many intents is one that no consumer can handle.
const POISON_EVERY: i64 = 500;

/// Whether no consumer can handle this intent.
pub(crate) fn is_poison(intent: i64) -> bool {
    intent % POISON_EVERY == 13
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Intents that were committed.
    pub(crate) committed: BTreeSet<i64>,
    /// How many effects each intent has had.
    pub(crate) effects: BTreeMap<i64, u64>,
    /// Intents whose messages are in the dead-letter queue.
    pub(crate) dead_letters: BTreeSet<i64>,
    /// Rows that are left in the outbox.
    pub(crate) outbox: i64,
}

impl Findings {
    /// Intents with exactly one effect.
    pub(crate) fn fulfilled(&self) -> usize {
        self.wanted().filter(|intent| self.effects.get(intent) == Some(&1)).count()
    }

    /// Intents without an effect, and poison that is not in the dead-letter queue.
    pub(crate) fn lost(&self) -> usize {
        let missing = self.wanted().filter(|intent| !self.effects.contains_key(intent)).count();
        missing + self.poison().filter(|intent| !self.dead_letters.contains(intent)).count()
    }

    /// Intents with more than one effect.
    pub(crate) fn duplicated(&self) -> usize {
        self.effects.values().filter(|times| **times > 1).count()
    }

    /// Effects and dead letters that should not be.
    pub(crate) fn invented(&self) -> usize {
        let wanted = |intent: &i64| self.committed.contains(intent) && !is_poison(*intent);
        let dead_letters = |intent: &i64| self.committed.contains(intent) && is_poison(*intent);
        let effects = self.effects.keys().filter(|intent| !wanted(intent)).count();
        effects + self.dead_letters.iter().filter(|intent| !dead_letters(intent)).count()
    }

    /// Whether nothing is missing any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost() == 0 && self.outbox == 0
    }

    pub(crate) fn assert_sound(&self) {
        let bad = (self.lost(), self.duplicated(), self.invented(), self.outbox);
        assert_eq!(bad, (0, 0, 0, 0), "lost, duplicated, invented, left in the outbox:\n{self}");
    }

    fn wanted(&self) -> impl Iterator<Item = &i64> {
        self.committed.iter().filter(|intent| !is_poison(**intent))
    }

    fn poison(&self) -> impl Iterator<Item = &i64> {
        self.committed.iter().filter(|intent| is_poison(**intent))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in [
            ("committed", self.committed.len()),
            ("ok", self.fulfilled()),
            ("dead_letters", self.dead_letters.len()),
            ("lost", self.lost()),
            ("duplicated", self.duplicated()),
            ("invented", self.invented()),
        ] {
            writeln!(f, "  {count:>6} {name}")?;
        }
        writeln!(f, "  {:>6} left in the outbox", self.outbox)
    }
}

#[test]
fn each_way_of_being_wrong_is_counted() {
    let sound = || Findings {
        committed: BTreeSet::from([1, 2, 13]),
        effects: BTreeMap::from([(1, 1), (2, 1)]),
        dead_letters: BTreeSet::from([13]),
        outbox: 0,
    };
    let counts = |findings: &Findings| {
        [findings.fulfilled(), findings.lost(), findings.duplicated(), findings.invented()]
    };
    sound().assert_sound();
    let mut wrong = sound();
    wrong.effects.remove(&1);
    assert_eq!(counts(&wrong), [1, 1, 0, 0]);
    let mut wrong = sound();
    wrong.dead_letters.clear();
    assert_eq!(counts(&wrong), [2, 1, 0, 0], "poison that is nowhere");
    let mut wrong = sound();
    wrong.effects.insert(2, 2);
    assert_eq!(counts(&wrong), [1, 0, 1, 0]);
    let mut wrong = sound();
    wrong.effects.insert(3, 1);
    assert_eq!(counts(&wrong), [2, 0, 0, 1], "an effect of nothing");
    wrong.effects.insert(13, 1);
    wrong.dead_letters.insert(1);
    assert_eq!(counts(&wrong), [2, 0, 0, 3], "an effect of poison, and a dead_letters good one");
}
