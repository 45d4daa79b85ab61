//! What happens to the replicas, and when.

use std::time::Duration;

use tokio::time::sleep;

use crate::replica::{Mode, Replica};

/// Replicas that are there from the beginning; one more waits to come.
pub(crate) const REPLICAS: usize = 3;
pub(crate) const BEFORE: Duration = Duration::from_secs(3);
pub(crate) const OUTAGE: Duration = Duration::from_secs(6);
pub(crate) const AFTER: Duration = Duration::from_secs(3);
/// How long the new replica is slow.
const COLD: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    EveryThirdFails,
    BusyAtOnce,
    SlowOne,
    SlowAll,
    Death,
    SlowStart,
}

impl Scenario {
    pub(crate) const ALL: [Self; 6] = [
        Self::EveryThirdFails,
        Self::BusyAtOnce,
        Self::SlowOne,
        Self::SlowAll,
        Self::Death,
        Self::SlowStart,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EveryThirdFails => "every third fails",
            Self::BusyAtOnce => "busy at once",
            Self::SlowOne => "slow one",
            Self::SlowAll => "slow all",
            Self::Death => "death",
            Self::SlowStart => "slow start",
        }
    }

    /// The replicas, the one that comes later last.
    pub(crate) fn replicas(self) -> Vec<Replica> {
        let count = REPLICAS + usize::from(self == Self::SlowStart);
        (0..count as u64).map(Replica::start).collect()
    }

    /// Lets it happen; `join` is called when the new replica comes.
    pub(crate) async fn play(self, replicas: &[Replica], join: impl FnOnce()) {
        sleep(BEFORE).await;
        let first = &replicas[0];
        match self {
            Self::EveryThirdFails => first.set(Mode::FailsEveryThird),
            Self::BusyAtOnce => first.set(Mode::Busy),
            Self::SlowOne => first.set(Mode::Slow(20.0)),
            Self::SlowAll => set_all(replicas, Mode::Slow(12.0)),
            Self::Death => first.kill(),
            Self::SlowStart => {
                replicas[REPLICAS].set(Mode::Slow(10.0));
                join();
                sleep(COLD).await;
                replicas[REPLICAS].set(Mode::Well);
                return;
            }
        }
        sleep(OUTAGE).await;
        set_all(replicas, Mode::Well);
    }
}

fn set_all(replicas: &[Replica], mode: Mode) {
    for replica in replicas {
        replica.set(mode);
    }
}
