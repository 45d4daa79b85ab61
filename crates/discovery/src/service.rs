//! One service in the registry: its set of endpoints, and the picks from it.

mod change;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use arc_swap::ArcSwap;
use resilience::CachePadded;
use tokio::sync::Notify;

use crate::balance::{RoundRobin, below, least_connections, p2c};
use crate::clock::{AtomicTime, Time};
use crate::ejection::Trial;
use crate::endpoint::{Endpoint, InFlight};
use crate::rendezvous::hash;
use crate::set::Set;
use crate::{Algorithm, Instance, LoadBalancingSettings, Pick, PickOptions, Report};

/// One pick in so many reads the clock and measures its call: a reading costs as much as the rest of
/// a pick, and an eighth of the calls tells as much.
const MEASURED_ONE_IN: u64 = 8;

#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    /// That of the settings, nearer to the picks.
    algorithm: Algorithm,
    /// Whether latencies are measured though the algorithm does not look at them.
    is_measured: bool,
    settings: Arc<LoadBalancingSettings>,
    /// Which process this is, where each calls a part of the endpoints.
    caller: u64,
    /// Reads take no lock.
    set: ArcSwap<Set>,
    /// Whether the set has ejected ones, for the picks that need not look at it then.
    has_ejected: AtomicBool,
    /// Held while a set is replaced; never over an await.
    writing: Mutex<()>,
    /// Woken when a check is due earlier than planned.
    checks_due: Arc<Notify>,
    /// Whether a provider has yet to say for the first time which instances there are.
    is_awaited: AtomicBool,
    /// Woken when it has.
    first_update: Notify,
    /// Counts what says that calls may go well again: a check that succeeds after one that failed, that makes an
    /// instance healthy again, or that somebody waited for; a new instance; one of which the provider says
    /// something else.
    recoveries: AtomicU64,
    /// Whether somebody waits for a check that succeeds, whatever the one before said.
    is_success_awaited: AtomicBool,
    round_robin: RoundRobin,
    /// When a pick last read the clock: near enough to forget latencies by.
    seen: CachePadded<AtomicTime>,
    own: Weak<Service>,
}

impl Service {
    pub(crate) fn new(
        name: &str,
        settings: &Arc<LoadBalancingSettings>,
        caller: u64,
        checks_due: &Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            name: name.to_owned(),
            algorithm: settings.algorithm,
            is_measured: settings.latency_factor > 0 && settings.algorithm != Algorithm::P2c,
            settings: settings.clone(),
            caller,
            set: ArcSwap::default(),
            has_ejected: AtomicBool::new(false),
            writing: Mutex::new(()),
            checks_due: checks_due.clone(),
            is_awaited: AtomicBool::new(false),
            first_update: Notify::new(),
            recoveries: AtomicU64::new(0),
            is_success_awaited: AtomicBool::new(false),
            round_robin: RoundRobin::new(),
            seen: CachePadded::default(),
            own: own.clone(),
        })
    }

    /// All endpoints, in the order of registration.
    pub(crate) fn endpoints(&self) -> Box<[Arc<Endpoint>]> {
        self.set.load().endpoints.clone()
    }

    /// Those whose health is checked.
    pub(crate) fn checked_endpoints(&self) -> Box<[Arc<Endpoint>]> {
        self.set.load().checked.clone()
    }

    /// All instances as operators see them, in the order of registration.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.set.load().reports(&self.settings)
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Acquire)
    }

    pub(crate) fn set_awaited(&self, is_awaited: bool) {
        self.is_awaited.store(is_awaited, Ordering::Release);
        if !is_awaited {
            self.first_update.notify_waiters();
        }
    }

    pub(crate) async fn first_update(&self) {
        // Enabled first, so that an update between the check and the wait is not missed.
        let mut first_update = pin!(self.first_update.notified());
        first_update.as_mut().enable();
        if self.is_awaited() {
            first_update.await;
        }
    }

    pub(crate) fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    // Small enough to be inlined: one that is handed over in memory costs half as much again.
    #[inline]
    pub(crate) fn pick(&self, options: &PickOptions<'_>) -> Option<Pick> {
        if self.has_ejected.load(Ordering::Relaxed)
            && let Some(trial) = self.trial(options)
        {
            return Some(trial);
        }
        let (endpoint, began) = self.choose(options)?;
        Some(Pick { call: InFlight::new(endpoint), trial: None, began })
    }

    #[cold]
    pub(crate) fn has_other(&self, these: &[Arc<Instance>]) -> bool {
        let options = PickOptions::any().avoid(these);
        self.set.load().any_that(|endpoint| !options.avoids(&endpoint.instance)).is_some()
    }

    #[cold]
    pub(crate) fn has_well_other(&self, these: &[Arc<Instance>]) -> bool {
        let options = PickOptions::any().avoid(these);
        self.set.load().has_well(|endpoint| !options.avoids(&endpoint.instance))
    }

    #[cold]
    pub(crate) fn calls_others(&self, these: &[Arc<Instance>]) -> bool {
        let options = PickOptions::any().avoid(these);
        self.set.load().slots.iter().any(|slot| !options.avoids(&slot.instance))
    }

    /// One of those that are not left alone, and when its call began, where that is measured.
    #[inline(never)]
    fn choose(&self, options: &PickOptions<'_>) -> Option<(Arc<Endpoint>, Option<Time>)> {
        let mut set = self.set.load();
        if set.grows_at.is_some() && self.grow(&set) {
            set = self.set.load();
        }
        let slots = &set.slots;
        if slots.is_empty() {
            return None;
        }
        let mut began = None;
        let index = match (self.algorithm, &set.table) {
            (Algorithm::IpHash, Some(table)) => {
                let key = options.key.map_or_else(|| fastrand::u64(..), hash);
                table.pick(slots, key)
            }
            (Algorithm::P2c, _) => {
                let random = fastrand::u64(..);
                let now = self.time(random, &mut began);
                // The lowest bits decide whether this one is measured.
                p2c(slots, random.rotate_left(16), now)
            }
            (Algorithm::LeastConnections, _) => {
                least_connections(slots, self.turn(options, slots.len()))
            }
            (Algorithm::RoundRobin | Algorithm::IpHash, _) => self.turn(options, slots.len()),
        };
        if self.is_measured {
            self.time(fastrand::u64(..), &mut began);
        }
        let mut endpoint = &slots[index];
        if !options.avoid.is_empty() {
            endpoint = untried(&set, options, endpoint);
        }
        if self.algorithm == Algorithm::P2c && began.is_none() && !endpoint.state.latency.is_known()
        {
            began = Some(Time::now());
        }
        Some((endpoint.clone(), began))
    }

    /// The place of a call among so many. A repeated one takes no turn: of two instances of which one
    /// fails, that one would have every first attempt.
    #[inline]
    fn turn(&self, options: &PickOptions<'_>, slots: usize) -> usize {
        if options.avoid.is_empty() {
            self.round_robin.next(slots)
        } else {
            below(fastrand::u32(..), slots)
        }
    }

    /// The time, as near as it is known; `began` is set when it was read for this pick.
    fn time(&self, random: u64, began: &mut Option<Time>) -> Option<Time> {
        if !random.is_multiple_of(MEASURED_ONE_IN) {
            return self.seen.0.load();
        }
        *began = Some(Time::now());
        self.seen.0.store(*began);
        *began
    }

    /// An ejected endpoint, if the one that is looked at may be tried. Not for a repeated call: it
    /// has met a failing endpoint already.
    #[cold]
    fn trial(&self, options: &PickOptions<'_>) -> Option<Pick> {
        let set = self.set.load();
        if !options.avoid.is_empty() {
            return None;
        }
        // Not by turns: those of the others would be taken from them.
        let endpoint = fastrand::choice(set.ejected.iter())?;
        let trial = Trial::of(&endpoint.state)?;
        Some(Pick {
            call: InFlight::new(endpoint.clone()),
            trial: Some(trial),
            began: (self.algorithm == Algorithm::P2c).then(Time::now),
        })
    }

    /// Lets shares grow in a slow start, if it is time; whether it was.
    #[cold]
    fn grow(&self, set: &Set) -> bool {
        let is_time = set.grows_at.is_some_and(|at| Time::now() >= at);
        is_time && self.refresh_if_free()
    }
}

/// This one, unless the call avoids it: then one that it does not, if there is any. From anywhere, so
/// that the calls of one that is down do not all go to its neighbour; and from beyond those that are
/// preferred, when all of these were tried.
#[cold]
fn untried<'a>(
    set: &'a Set,
    options: &PickOptions<'_>,
    endpoint: &'a Arc<Endpoint>,
) -> &'a Arc<Endpoint> {
    if !options.avoids(&endpoint.instance) {
        return endpoint;
    }
    set.any_that(|other| !options.avoids(&other.instance)).unwrap_or(endpoint)
}
