//! The registry: services by name, their instances, and the pick of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::instance::Tracked;
use crate::{Address, Algorithm, Health, Instance, LoadBalancingSettings, ServiceSettings, Status};

/// Interval of the checks for a registry without settings: the seed's 30 seconds.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// All known services. Cheap to clone; clones share the state. Reads take no lock.
#[derive(Debug, Clone)]
pub struct Registry(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    services: ArcSwap<BTreeMap<String, Arc<Service>>>,
    pub(crate) check_interval: Duration,
}

/// One service's instances, in the order of registration.
#[derive(Debug, Default)]
struct Service {
    instances: Vec<Arc<Tracked>>,
    /// Counts picks, over all changes of the list.
    picks: Arc<AtomicUsize>,
}

impl Registry {
    /// A registry without services.
    pub fn empty() -> Self {
        Self::with_interval(CHECK_INTERVAL)
    }

    /// The services of `services.tsk`.
    pub fn from_settings(
        services: &BTreeMap<String, ServiceSettings>,
        balancing: &LoadBalancingSettings,
    ) -> Self {
        let Algorithm::RoundRobin = balancing.algorithm;
        let registry = Self::with_interval(balancing.health_check_interval);
        for (name, settings) in services {
            instances(name, settings).for_each(|instance| registry.register(instance));
        }
        registry
    }

    fn with_interval(check_interval: Duration) -> Self {
        Self(Arc::new(Shared { services: ArcSwap::default(), check_interval }))
    }

    /// Adds an instance, of unknown health. One that is there already stays as it is.
    pub fn register(&self, instance: Instance) {
        let new = Arc::new(Tracked::new(instance));
        self.change(&new.instance.service, |instances| {
            if !instances.iter().any(|known| known.instance == new.instance) {
                instances.push(new.clone());
            }
        });
    }

    /// Removes an instance; one that is not there is as good.
    pub fn deregister(&self, instance: &Instance) {
        self.change(&instance.service, |instances| {
            instances.retain(|known| known.instance != *instance);
        });
    }

    /// A healthy instance of a service, as the seed's `get_service`. See [`Registry::pick`] for one
    /// to call.
    pub fn get(&self, service: &str) -> Option<Instance> {
        let healthy = |known: &Tracked| known.status().health == Health::Healthy;
        let services = self.0.services.load();
        let known = services.get(service)?.instances.iter().find(|known| healthy(known))?;
        Some(known.instance.clone())
    }

    /// All healthy instances of all services, as the seed's `list_services`.
    pub fn list_healthy(&self) -> Vec<Instance> {
        let all = self.tracked();
        let healthy = all.iter().filter(|known| known.status().health == Health::Healthy);
        healthy.map(|known| known.instance.clone()).collect()
    }

    /// Every instance of a service with what is known of it.
    pub fn statuses(&self, service: &str) -> Vec<(Instance, Status)> {
        let services = self.0.services.load();
        let known = services.get(service).into_iter().flat_map(|service| &service.instances);
        known.map(|known| (known.instance.clone(), known.status())).collect()
    }

    /// The instance to call next: the healthy ones in turn; while there are none, the unknown
    /// ones; else all. None only when none is registered.
    pub fn pick(&self, service: &str) -> Option<Instance> {
        let services = self.0.services.load();
        let service = services.get(service)?;
        let turn = service.picks.fetch_add(1, Ordering::Relaxed);
        let of = |health| nth(&service.instances, turn, |status| status.health == health);
        let picked = of(Health::Healthy)
            .or_else(|| of(Health::Unknown))
            .or_else(|| nth(&service.instances, turn, |_| true))?;
        Some(picked.instance.clone())
    }

    pub(crate) fn tracked(&self) -> Vec<Arc<Tracked>> {
        let services = self.0.services.load();
        services.values().flat_map(|service| service.instances.iter().cloned()).collect()
    }

    /// Replaces a service's list; readers see the one before or the one after.
    fn change(&self, name: &str, change: impl Fn(&mut Vec<Arc<Tracked>>)) {
        self.0.services.rcu(|services| {
            let mut services = BTreeMap::clone(services);
            let before = services.get(name);
            let mut instances = before.map(|before| before.instances.clone()).unwrap_or_default();
            change(&mut instances);
            let picks = before.map(|before| before.picks.clone()).unwrap_or_default();
            services.insert(name.to_owned(), Arc::new(Service { instances, picks }));
            services
        });
    }
}

/// The `turn`-th of those that fit, counted round and round.
fn nth(
    instances: &[Arc<Tracked>],
    turn: usize,
    fits: impl Fn(Status) -> bool,
) -> Option<&Arc<Tracked>> {
    let count = instances.iter().filter(|known| fits(known.status())).count();
    let index = turn.checked_rem(count)?;
    instances.iter().filter(|known| fits(known.status())).nth(index)
}

/// The instances that a section names. With several, the health check's own host and port are
/// replaced by each instance's.
fn instances(name: &str, settings: &ServiceSettings) -> impl Iterator<Item = Instance> {
    let own = Address { host: settings.host.clone(), port: settings.port };
    let named = format!("{}:{}", own.host, own.port);
    let addresses =
        if settings.instances.is_empty() { vec![own] } else { settings.instances.clone() };
    addresses.into_iter().map(move |Address { host, port }| {
        let health_url = settings.health_check.url.replacen(&named, &format!("{host}:{port}"), 1);
        Instance { service: name.to_owned(), host, port, health_url }
    })
}
