//! What is true after a campaign: intents against effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::campaign::intent::{Kind, line};
use crate::campaign::reader::Reader;

/// What was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    /// Intents that were committed.
    pub(crate) committed: BTreeSet<i64>,
    /// Intents in the order in which they had their effects, at each reader.
    pub(crate) effects: BTreeMap<Reader, Vec<i64>>,
    /// Intents whose messages are in the dead-letter queue of a reader.
    pub(crate) dead_letters: BTreeSet<(Reader, i64)>,
    /// Intents that are left in the outbox.
    pub(crate) outbox: BTreeSet<i64>,
}

impl Findings {
    /// Intents with exactly one effect at each of their readers.
    pub(crate) fn fulfilled(&self) -> usize {
        let times = self.times();
        let wanted = self.committed.iter().filter(|intent| !Kind::of(**intent).is_poison());
        let once = |reader: &Reader, intent| times.get(&(*reader, intent)) == Some(&1);
        wanted.filter(|&&intent| readers(intent).all(|reader| once(&reader, intent))).count()
    }

    /// Effects that are missing, and poison that is not in a dead-letter queue.
    pub(crate) fn lost(&self) -> usize {
        self.missing().count()
    }

    /// Effects that were had more than once.
    pub(crate) fn duplicated(&self) -> usize {
        self.times().values().filter(|times| **times > 1).count()
    }

    /// Effects of what was not committed, of poison, or at another one's reader; and dead letters of
    /// nothing.
    pub(crate) fn invented(&self) -> usize {
        let wanted = |&(reader, intent): &(Reader, i64)| {
            let kind = Kind::of(intent);
            self.committed.contains(&intent) && !kind.is_poison() && reader.reads(kind)
        };
        let effects = self.times().into_keys().filter(|effect| !wanted(effect)).count();
        let of_nothing = |(_, intent): &&(Reader, i64)| !self.committed.contains(intent);
        effects + self.dead_letters.iter().filter(of_nothing).count()
    }

    /// Effects at the ordered reader, the first of each intent, after one of a later intent.
    pub(crate) fn out_of_order(&self) -> usize {
        self.overtaken().len()
    }

    /// Those intents, in the order of their effects.
    pub(crate) fn overtaken(&self) -> Vec<i64> {
        let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
        let effects = self.effects.get(&Reader::Ordered).into_iter().flatten();
        let first = effects.filter(|intent| seen.insert(**intent));
        let mut is_late = |intent: i64| {
            let last = last.entry(line(intent)).or_insert(intent);
            *last = intent.max(*last);
            intent < *last
        };
        first.copied().filter(|intent| is_late(*intent)).collect()
    }

    /// Dead letters that are no poison.
    pub(crate) fn innocents(&self) -> usize {
        let is_innocent = |(_, intent): &&(Reader, i64)| !Kind::of(*intent).is_poison();
        self.dead_letters.iter().filter(is_innocent).count()
    }

    /// Whether nothing is missing any more.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost() == 0 && self.outbox.is_empty()
    }

    /// Whether a reader has all that has left the outbox.
    pub(crate) fn has_all_that_was_sent(&self, reader: Reader) -> bool {
        let mut missing = self.missing().filter(|(at, _)| *at == reader);
        missing.all(|(_, intent)| self.outbox.contains(&intent))
    }

    /// What may not be: lost, duplicated, invented, out of order, innocent in a dead-letter queue,
    /// left in the outbox.
    fn faults(&self) -> [usize; 6] {
        let lost = self.lost();
        let duplicated = self.duplicated();
        let invented = self.invented();
        let out_of_order = self.out_of_order();
        let innocents = self.innocents();
        [lost, duplicated, invented, out_of_order, innocents, self.outbox.len()]
    }

    /// Nothing is wrong.
    pub(crate) fn assert_sound(&self) {
        let missing: Vec<_> = self.missing().take(9).collect();
        let overtaken = self.overtaken();
        assert_eq!(
            self.faults(),
            [0; 6],
            "{self}\nmissing, the first of them: {missing:?}\novertaken: {overtaken:?}"
        );
    }

    fn missing(&self) -> impl Iterator<Item = (Reader, i64)> {
        let had: BTreeSet<(Reader, i64)> = self.times().into_keys().collect();
        let wanted = self
            .committed
            .iter()
            .flat_map(|&intent| readers(intent).map(move |reader| (reader, intent)));
        wanted.filter(move |one| {
            let is_poison = Kind::of(one.1).is_poison();
            !(if is_poison { self.dead_letters.contains(one) } else { had.contains(one) })
        })
    }

    fn times(&self) -> BTreeMap<(Reader, i64), usize> {
        let mut times = BTreeMap::new();
        for (&reader, intents) in &self.effects {
            for &intent in intents {
                *times.entry((reader, intent)).or_default() += 1;
            }
        }
        times
    }
}

fn readers(intent: i64) -> impl Iterator<Item = Reader> {
    Reader::ALL.into_iter().filter(move |reader| reader.reads(Kind::of(intent)))
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lost, duplicated, invented, out_of_order, innocents, left] = self.faults();
        let committed = self.committed.len();
        let ok = self.fulfilled();
        let dead_letters = self.dead_letters.len();
        write!(
            f,
            "{committed} committed, {ok} ok, {dead_letters} dead-lettered, {lost} lost, \
             {duplicated} doubled, {invented} invented, {out_of_order} out of order, \
             {innocents} innocents dead-lettered, {left} left"
        )
    }
}

#[test]
fn each_way_of_being_wrong_is_counted() {
    use Reader::{Competing, Late, Ordered};

    // 13 is poison, 1 and 2 are about one user.
    let sound = Findings {
        committed: BTreeSet::from([1, 2, 13]),
        effects: BTreeMap::from([(Competing, vec![2, 1]), (Ordered, vec![1, 2])]),
        dead_letters: BTreeSet::from([(Competing, 13), (Ordered, 13)]),
        outbox: BTreeSet::new(),
    };
    let after = |change: &dyn Fn(&mut Findings)| {
        let mut wrong = sound.clone();
        change(&mut wrong);
        wrong.faults()
    };
    let effects = |reader: Reader, intents: &'static [i64]| {
        after(&|wrong| drop(wrong.effects.insert(reader, intents.to_vec())))
    };
    assert_eq!(sound.faults(), [0; 6]);
    assert_eq!(sound.fulfilled(), 2);
    assert_eq!(effects(Competing, &[1]), [1, 0, 0, 0, 0, 0]);
    assert_eq!(effects(Competing, &[1, 2, 2]), [0, 1, 0, 0, 0, 0]);
    assert_eq!(effects(Competing, &[1, 2, 3]), [0, 0, 1, 0, 0, 0], "an effect of nothing");
    assert_eq!(effects(Competing, &[1, 2, 13]), [0, 0, 1, 0, 0, 0], "an effect of poison");
    assert_eq!(effects(Late, &[1]), [0, 0, 1, 0, 0, 0], "at another one's reader");
    assert_eq!(effects(Ordered, &[2, 1]), [0, 0, 0, 1, 0, 0]);
    assert_eq!(effects(Ordered, &[1, 2, 1]), [0, 1, 0, 0, 0, 0], "the second effect has no order");
    assert_eq!(after(&|wrong| wrong.dead_letters.clear()), [2, 0, 0, 0, 0, 0], "poison is nowhere");
    let innocent = after(&|wrong| wrong.dead_letters.extend([(Ordered, 1)]));
    assert_eq!(innocent, [0, 0, 0, 0, 1, 0]);
    assert_eq!(after(&|wrong| wrong.outbox.extend([1])), [0, 0, 0, 0, 0, 1]);
}
