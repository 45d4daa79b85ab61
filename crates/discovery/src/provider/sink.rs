//! Where a provider tells the instances of one service: the way into the registry.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::{Instance, Registry, ServiceSettings, metrics};

/// Where a provider tells the instances of one service.
///
/// What a provider says after an error may be wrong by omission: a server that was away has let
/// registrations lapse, or comes back without its data. So for a while after an error instances
/// come at once but go only when the while is over and they are still missing.
#[derive(Debug)]
pub struct Sink {
    registry: Registry,
    service: String,
    section: ServiceSettings,
    provider: &'static str,
    removal_grace: Duration,
    latest: Mutex<Latest>,
    /// Woken when removals begin to wait.
    waiting: Notify,
}

#[derive(Debug, Default)]
struct Latest {
    instances: Vec<Instance>,
    /// What was told may be missing some.
    is_suspect: bool,
    /// Whether nobody was missing since `removals_at` was set.
    was_complete: bool,
    removals_at: Option<Instant>,
    /// Counts what was told and confirmed.
    count: u64,
}

impl Sink {
    pub(crate) fn new(
        registry: &Registry,
        service: &str,
        section: &ServiceSettings,
        provider: &'static str,
        removal_grace: Duration,
    ) -> Self {
        Self {
            registry: registry.clone(),
            service: service.to_owned(),
            section: section.clone(),
            provider,
            removal_grace,
            latest: Mutex::default(),
            waiting: Notify::new(),
        }
    }

    /// The service's name in `services.tsk`.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The service's section of `services.tsk`.
    pub fn section(&self) -> &ServiceSettings {
        &self.section
    }

    /// An instance at an address, with the health check of `services.tsk` asked there.
    pub fn instance(&self, host: &str, port: u16) -> Instance {
        self.section.at(&self.service, host, port)
    }

    /// The instances that `services.tsk` names.
    pub(crate) fn named(&self) -> Vec<Instance> {
        self.section.named(&self.service)
    }

    /// All instances that there are now.
    pub fn publish(&self, instances: Vec<Instance>) {
        let mut latest = self.latest();
        latest.count += 1;
        if std::mem::take(&mut latest.is_suspect) {
            // From the first of several faults on: a watch that keeps breaking must not keep who left. A fault
            // after all was there again is another one, and has a time of its own.
            if latest.removals_at.is_none() || std::mem::take(&mut latest.was_complete) {
                latest.removals_at = Some(Instant::now() + self.removal_grace);
            }
            self.waiting.notify_one();
        }
        let mut all = instances.clone();
        latest.instances = instances;
        if latest.removals_at.is_some_and(|at| Instant::now() < at) {
            let known = self.registry.statuses(&self.service);
            let told: HashSet<_> = latest.instances.iter().map(Instance::address).collect();
            let missing = known.iter().filter(|(known, _)| !told.contains(&known.address()));
            all.extend(missing.map(|(known, _)| Instance::clone(known)));
            let is_complete = all.len() == latest.instances.len();
            latest.was_complete |= is_complete;
        }
        self.registry.replace(&self.service, all);
        self.registry.set_awaited(&self.service, false);
        metrics::synced(&self.service, self.provider);
    }

    /// What was told last is still so.
    pub fn confirm(&self) {
        self.latest().count += 1;
        metrics::synced(&self.service, self.provider);
    }

    /// The next set may be missing instances.
    pub fn suspect(&self) {
        self.latest().is_suspect = true;
    }

    /// The watch ended: nobody waits for a provider that is away.
    pub(crate) fn failed(&self) {
        self.suspect();
        self.registry.set_awaited(&self.service, false);
    }

    /// How often something was told or confirmed.
    pub(crate) fn count(&self) -> u64 {
        self.latest().count
    }

    /// Lets removals happen when they have waited long enough.
    pub(crate) async fn remove_late(&self) -> ! {
        loop {
            self.waiting.notified().await;
            while let Some(at) = self.removals_at() {
                sleep_until(at).await;
                self.remove_missing();
            }
        }
    }

    fn removals_at(&self) -> Option<Instant> {
        self.latest().removals_at
    }

    fn remove_missing(&self) {
        let mut latest = self.latest();
        if latest.removals_at.is_some_and(|at| at <= Instant::now()) {
            latest.removals_at = None;
            latest.was_complete = false;
            self.registry.replace(&self.service, latest.instances.clone());
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::LoadBalancingSettings;

    const SERVICE: &str = "user-service";
    const GRACE: Duration = Duration::from_secs(30);

    fn section() -> ServiceSettings {
        let section = serde_json::json!({
            "host": "localhost", "port": 1, "version": "1.0.0",
            "health_check": { "method": "GET", "url": "http://localhost:1/health" },
        });
        serde_json::from_value(section).unwrap()
    }

    fn known(registry: &Registry) -> Vec<u16> {
        registry.statuses(SERVICE).iter().map(|(instance, _)| instance.port).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_of_two_outages_has_its_own_grace_when_all_was_there_between_them() {
        let registry = Registry::new(&LoadBalancingSettings::default());
        let sink = Sink::new(&registry, SERVICE, &section(), "etcd", GRACE);
        let removals = async {
            let full = || vec![Instance::new(SERVICE, "10.0.0.1", 1)];
            sink.publish(full());
            sink.suspect();
            sink.publish(full());
            advance(Duration::from_secs(29)).await;
            sink.suspect();
            sink.publish(vec![]);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(known(&registry), [1], "it may be back soon");
            tokio::time::sleep(GRACE).await;
            assert_eq!(known(&registry), [0_u16; 0]);
        };
        tokio::select! {
            () = removals => {}
            _ = sink.remove_late() => {}
        }
    }
}
