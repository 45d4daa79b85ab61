//! Which fault comes when: the same for the same seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    BrokerKilled,
    BrokerFrozen,
    BrokerCutOff,
    BrokerBehindABlackHole,
    BrokerShortOfDisk,
    DatabaseKilled,
    DatabaseFrozen,
    DatabaseCutOff,
    DatabaseBehindABlackHole,
    /// Every open connection hears nothing for ever; new ones are well.
    DatabaseConnectionsStranded,
    /// Its process is stopped in the middle of a batch, until another relay has sent that.
    RelayVanished,
    PublisherKilled,
    PublisherFrozen,
    PublisherTerminated,
    ConsumerKilled,
    ConsumerFrozen,
    ConsumerTerminated,
    ExchangeDeleted,
    /// Of one of two readers.
    BindingDeleted,
    /// Of one of two readers, when it has all that was sent: a queue takes its messages along.
    QueueDeleted,
    /// Messages that no client library can parse come to the readers' queues.
    UnreadableMessages,
    /// For a while there is a reader of events that were unroutable until then.
    LateReaderCame,
}

impl Fault {
    pub(crate) const ALL: [Self; 22] = [
        Self::BrokerKilled,
        Self::BrokerFrozen,
        Self::BrokerCutOff,
        Self::BrokerBehindABlackHole,
        Self::BrokerShortOfDisk,
        Self::DatabaseKilled,
        Self::DatabaseFrozen,
        Self::DatabaseCutOff,
        Self::DatabaseBehindABlackHole,
        Self::DatabaseConnectionsStranded,
        Self::RelayVanished,
        Self::PublisherKilled,
        Self::PublisherFrozen,
        Self::PublisherTerminated,
        Self::ConsumerKilled,
        Self::ConsumerFrozen,
        Self::ConsumerTerminated,
        Self::ExchangeDeleted,
        Self::BindingDeleted,
        Self::QueueDeleted,
        Self::UnreadableMessages,
        Self::LateReaderCame,
    ];

    /// Whether it needs servers that are this test's alone.
    pub(crate) fn is_of_a_server(self) -> bool {
        use Fault::{
            BrokerFrozen, BrokerKilled, BrokerShortOfDisk, DatabaseFrozen, DatabaseKilled,
        };
        matches!(
            self,
            BrokerKilled | BrokerFrozen | BrokerShortOfDisk | DatabaseKilled | DatabaseFrozen
        )
    }
}

/// A fault and its times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) fault: Fault,
    /// Which of two processes or readers it is about.
    pub(crate) which: usize,
    /// Before it begins.
    pub(crate) delay: Duration,
    /// Until it is over.
    pub(crate) lasts: Duration,
}

/// Faults in rounds: in each one every fault comes once, in an order of its own.
#[derive(Debug)]
pub(crate) struct Schedule {
    faults: &'static [Fault],
    round: Vec<Fault>,
    state: u64,
    injected: BTreeMap<Fault, u32>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, faults: &'static [Fault]) -> Self {
        Self { faults, round: Vec::new(), state: seed, injected: BTreeMap::new() }
    }

    pub(crate) fn next(&mut self) -> Step {
        if self.round.is_empty() {
            self.round = self.faults.to_vec();
        }
        let index = usize::try_from(self.below(self.round.len() as u64)).unwrap();
        let fault = self.round.swap_remove(index);
        *self.injected.entry(fault).or_default() += 1;
        let which = usize::try_from(self.below(2)).unwrap();
        let delay = Duration::from_millis(50 + self.below(450));
        let lasts = Duration::from_millis(100 + self.below(900));
        Step { fault, which, delay, lasts }
    }

    /// How often each fault was there.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for (fault, times) in &self.injected {
            writeln!(table, "  {times:>4} × {fault:?}").unwrap();
        }
        table
    }

    /// Any number below `end`: `SplitMix64`, small and the same everywhere.
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[test]
fn a_seed_gives_one_order_in_which_every_fault_comes() {
    let order = |seed| {
        let mut schedule = Schedule::new(seed, &Fault::ALL);
        (0..Fault::ALL.len()).map(|_| schedule.next().fault).collect::<Vec<_>>()
    };
    assert_eq!(order(7), order(7));
    assert_ne!(order(7), order(8));
    let mut all = order(7);
    all.sort();
    assert_eq!(all, Fault::ALL);
}
