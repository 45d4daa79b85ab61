//! One service in the registry: its set, and everything that changes it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use resilience::breaker::State;
use tokio::sync::Notify;

use crate::endpoint::{Endpoint, Member};
use crate::random::{below, next, unit};
use crate::rendezvous;
use crate::set::Set;
use crate::{
    Algorithm, Choice, Health, Instance, LoadBalancingSettings, Picked, Report, balance, clock,
    metrics,
};

/// One pick in so many reads the clock and measures its call: a reading costs as much as the rest of
/// a pick, and an eighth of the calls tells as much.
const MEASURED_ONE_IN: u64 = 8;
/// How often a pick goes on to the next because an instance is warming up.
const WARM_UP_PASSES: usize = 4;

#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    /// That of the settings, nearer to the picks.
    algorithm: Algorithm,
    settings: Arc<LoadBalancingSettings>,
    /// Reads take no lock.
    set: ArcSwap<Set>,
    /// Whether the set has ejected ones, for the picks that need not look at it then.
    has_ejected: AtomicBool,
    /// Held while a set is replaced; never over an await.
    writing: Mutex<()>,
    /// Woken when there are instances that were never checked.
    unchecked: Arc<Notify>,
    /// Whether a provider has yet to say for the first time which instances there are.
    is_awaited: AtomicBool,
    /// Woken when it has.
    told: Notify,
    /// Counts what says that calls may go well again: a check that succeeds after one that failed, a
    /// new instance, one of which the provider says something else.
    recoveries: AtomicU64,
    /// Counts picks.
    turn: OwnLine<AtomicUsize>,
    /// When a pick last read the clock, as [`clock::nanos`]: near enough to forget latencies by.
    seen: OwnLine<AtomicU64>,
    own: Weak<Service>,
}

/// Keeps what every pick writes out of the cache line of what every pick reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OwnLine<T>(T);

impl Service {
    pub(crate) fn new(
        name: &str,
        settings: &Arc<LoadBalancingSettings>,
        unchecked: &Arc<Notify>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            name: name.to_owned(),
            algorithm: settings.algorithm,
            settings: settings.clone(),
            set: ArcSwap::default(),
            has_ejected: AtomicBool::new(false),
            writing: Mutex::new(()),
            unchecked: unchecked.clone(),
            is_awaited: AtomicBool::new(false),
            told: Notify::new(),
            recoveries: AtomicU64::new(0),
            turn: OwnLine::default(),
            seen: OwnLine::default(),
            own: own.clone(),
        })
    }

    /// All instances, in the order of registration.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        self.set.load().members.to_vec()
    }

    /// All instances as operators see them, in the order of registration.
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.set.load().reports()
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Acquire)
    }

    pub(crate) fn set_awaited(&self, is_awaited: bool) {
        self.is_awaited.store(is_awaited, Ordering::Release);
        if !is_awaited {
            self.told.notify_waiters();
        }
    }

    pub(crate) async fn told(&self) {
        // Heard from here on: what is told between the look and the wait is not missed.
        let mut told = pin!(self.told.notified());
        told.as_mut().enable();
        if self.is_awaited() {
            told.await;
        }
    }

    pub(crate) fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    // Small enough to be inlined: one that is handed over in memory costs half as much again.
    #[inline]
    pub(crate) fn pick(&self, choice: &Choice<'_>) -> Option<Picked> {
        if self.has_ejected.load(Ordering::Relaxed)
            && let Some(trial) = self.trial(choice)
        {
            return Some(trial);
        }
        let (endpoint, began) = self.choose(choice)?;
        let turns = endpoint.turns();
        Some(Picked { endpoint, trial: None, turns, began })
    }

    /// One of those that are not left alone, and when its call began, as [`clock::nanos`]; 0: that is
    /// not measured.
    #[inline(never)]
    fn choose(&self, choice: &Choice<'_>) -> Option<(Arc<Endpoint>, u64)> {
        let set = self.set.load();
        let slots = &set.slots;
        if slots.is_empty() {
            return None;
        }
        let mut began = 0;
        let mut index = match (self.algorithm, &set.table) {
            (Algorithm::IpHash, Some(table)) => {
                let key = choice.key.map_or_else(next, rendezvous::hash);
                table.pick(slots, key, |member| set.may_have(member))
            }
            (Algorithm::P2c, _) => {
                let random = next();
                balance::p2c(slots, random, self.time(random, &mut began))
            }
            (Algorithm::LeastConnections, _) => balance::least_connections(slots, self.turn()),
            (Algorithm::RoundRobin | Algorithm::IpHash, _) => of_turn(self.turn(), slots.len()),
        };
        if set.is_warming && set.table.is_none() {
            index = self.past_the_cold(&set, index);
        }
        if !choice.avoid.is_empty() {
            index = past_the_tried(&set, choice, index);
        }
        let endpoint = slots[index].hold();
        if self.algorithm == Algorithm::P2c && began == 0 && !endpoint.latency.is_known() {
            began = clock::now();
        }
        Some((endpoint, began))
    }

    /// The time, as near as it is known; `began` is set when it was read for this pick.
    fn time(&self, random: u64, began: &mut u64) -> u64 {
        if !random.is_multiple_of(MEASURED_ONE_IN) {
            return self.seen.0.load(Ordering::Relaxed);
        }
        *began = clock::now();
        self.seen.0.store(*began, Ordering::Relaxed);
        *began
    }

    fn turn(&self) -> usize {
        self.turn.0.fetch_add(1, Ordering::Relaxed)
    }

    /// An ejected instance, if the one that is looked at may be tried. Not for a repeated call: it
    /// had its bad luck already.
    #[cold]
    fn trial(&self, choice: &Choice<'_>) -> Option<Picked> {
        let set = self.set.load();
        let ejected = &set.ejected;
        if ejected.is_empty() || !choice.avoid.is_empty() {
            return None;
        }
        // Not by turns: those of the others would be taken from them.
        let member = &ejected[below(next(), ejected.len())];
        let permit = member.breaker.try_acquire().ok()?;
        let began = if self.algorithm == Algorithm::P2c { clock::now() } else { 0 };
        let endpoint = member.hold();
        let turns = endpoint.turns();
        Some(Picked { endpoint, trial: Some(Box::new(permit)), turns, began })
    }

    /// This one or one after it, by the share that each has in its slow start.
    #[cold]
    fn past_the_cold(&self, set: &Set, index: usize) -> usize {
        let window = self.settings.slow_start;
        let is_cold = |index: &usize| {
            let share = set.slots[*index].share(window);
            share < 1.0 && unit(next()) > share
        };
        let following = (0..WARM_UP_PASSES).map(|step| (index + step) % set.slots.len());
        let warm = following.clone().find(|index| !is_cold(index));
        if set.slots.iter().all(|slot| slot.share(window) >= 1.0) {
            self.refresh();
        }
        warm.unwrap_or(index)
    }

    /// Makes these the instances. What is known of those that stay, stays.
    pub(crate) fn replace(&self, instances: Vec<Instance>) {
        self.change(|members| {
            let before = std::mem::take(members);
            for instance in instances {
                if !members.iter().any(|member| member.instance.is_same(&instance)) {
                    members.push(self.member(&before, instance));
                }
            }
        });
    }

    /// Adds an instance, of unknown health. One at the same address keeps what is known of it.
    pub(crate) fn register(&self, instance: Instance) {
        self.change(|members| {
            let place = members.iter().position(|known| known.instance.is_same(&instance));
            let member = self.member(members, instance);
            match place {
                Some(place) => members[place] = member,
                None => members.push(member),
            }
        });
    }

    /// Removes an instance.
    pub(crate) fn deregister(&self, instance: &Instance) {
        self.change(|members| members.retain(|known| !known.instance.is_same(instance)));
    }

    /// The member for an instance: the one that is there, with what is known of it, or a new one.
    fn member(&self, before: &[Arc<Member>], instance: Instance) -> Arc<Member> {
        match before.iter().find(|known| known.instance.is_same(&instance)) {
            Some(known) if *known.instance == instance => known.clone(),
            Some(known) => {
                self.recoveries.fetch_add(1, Ordering::Release);
                Arc::new(known.told_anew(instance))
            }
            None => {
                self.recoveries.fetch_add(1, Ordering::Release);
                let member = Member::new(instance, &self.settings, self.own.clone());
                // The first ones come together: nobody would take over their part.
                if !before.is_empty() && !self.settings.slow_start.is_zero() {
                    member.warm_up();
                }
                self.unchecked.notify_one();
                Arc::new(member)
            }
        }
    }

    /// Notes the outcome of a check; gives the health when that changed it.
    pub(crate) fn checked(&self, endpoint: &Endpoint, success: bool) -> Option<Health> {
        let (before, had_failed) = (endpoint.checks.health(), endpoint.checks.has_failed());
        let health = endpoint.checks.note(success, &self.settings);
        if success && had_failed {
            // Nobody waits for the time that it was to be left alone.
            endpoint.breaker.half_open();
            self.recoveries.fetch_add(1, Ordering::Release);
        }
        let health = health?;
        if before == Health::Unhealthy {
            self.warm_up(endpoint);
        }
        self.refresh();
        Some(health)
    }

    /// Ejects an instance whose breaker has opened, or takes it back when it has closed.
    pub(crate) fn review(&self, reviewed: &Endpoint) {
        self.change(|members| self.review_among(members, reviewed));
    }

    fn review_among(&self, members: &[Arc<Member>], reviewed: &Endpoint) {
        // The one that is there now: what a provider tells anew makes another, of the same breaker.
        let is_it = |member: &&Arc<Member>| member.instance.is_same(&reviewed.instance);
        let Some(endpoint) = members.iter().find(is_it) else { return };
        match (endpoint.breaker.state(), endpoint.is_ejected()) {
            (State::Open, false) => {
                let ejected = members.iter().filter(|member| member.is_ejected()).count() + 1;
                let max = members.len() * self.settings.ejection_percent_max as usize / 100;
                if ejected <= max {
                    endpoint.turn();
                    metrics::ejections(&self.name, 1);
                    log_ejection(endpoint, "instance is ejected");
                }
            }
            (State::Closed, true) => {
                endpoint.turn();
                self.warm_up(endpoint);
                log_ejection(endpoint, "instance is back");
            }
            _ => {}
        }
    }

    fn warm_up(&self, endpoint: &Endpoint) {
        if !self.settings.slow_start.is_zero() {
            endpoint.warm_up();
        }
    }

    fn refresh(&self) {
        self.change(|_| {});
    }

    /// Replaces the set; readers see the one before or the one after.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Member>>)) {
        let _writing: MutexGuard<'_, ()> =
            self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut members = self.members();
        change(&mut members);
        let set = Set::build(members, &self.settings);
        metrics::instances(&self.name, &set);
        self.has_ejected.store(!set.ejected.is_empty(), Ordering::Relaxed);
        self.set.store(Arc::new(set));
    }
}

/// Whose turn it is. In 32 bits, whose division takes a fraction of the time; turns begin again with
/// the count.
#[allow(clippy::cast_possible_truncation, reason = "a set has far fewer than 2^32 slots")]
fn of_turn(turn: usize, slots: usize) -> usize {
    (turn as u32 % slots as u32) as usize
}

/// This one, unless the choice avoids it: then one that it does not, if there is any, looked for from
/// anywhere, so that the calls of one that is down do not all go to its neighbour.
#[cold]
fn past_the_tried(set: &Set, choice: &Choice<'_>, index: usize) -> usize {
    let slots = &set.slots;
    let is_tried = |index: usize| choice.avoids(&slots[index].instance);
    if !is_tried(index) {
        return index;
    }
    let start = below(next(), slots.len());
    let mut all = (start..slots.len()).chain(0..start);
    all.find(|index| set.may_have(&slots[*index]) && !is_tried(*index)).unwrap_or(index)
}

fn log_ejection(endpoint: &Endpoint, message: &'static str) {
    let instance = &endpoint.instance;
    tracing::warn!(
        instance.service = instance.service,
        instance.host = instance.host,
        instance.port = instance.port,
        "{message}"
    );
}
