//! The registry: services by name, their instances, and the pick of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::endpoint::Endpoint;
use crate::service::Service;
use crate::tls::Secured;
use crate::{Health, Instance, LoadBalancingSettings, Pick, PickOptions, Report, Scheme, Status};

/// All known services. Cheap to clone; clones share the state. Reads take no lock.
#[derive(Debug, Clone)]
pub struct Registry(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    services: ArcSwap<BTreeMap<String, Arc<Service>>>,
    pub(crate) settings: Arc<LoadBalancingSettings>,
    /// Woken when a check is due earlier than planned.
    pub(crate) checks_due: Arc<Notify>,
    pub(crate) secured: ArcSwap<Secured>,
    /// This process among all that call the same services.
    caller: u64,
}

/// Picks among the instances of one service, without looking for its name each time. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct LoadBalancer(Arc<Service>);

impl Registry {
    /// A registry without services, with the defaults of [`LoadBalancingSettings`].
    pub fn empty() -> Self {
        Self::new(&LoadBalancingSettings::default())
    }

    /// A registry without services.
    pub fn new(settings: &LoadBalancingSettings) -> Self {
        Self(Arc::new(Shared {
            services: ArcSwap::default(),
            settings: Arc::new(settings.clone()),
            checks_due: Arc::default(),
            secured: ArcSwap::default(),
            caller: fastrand::u64(..),
        }))
    }

    /// Adds an instance, of unknown health. One that is there already keeps what is known of it.
    pub fn register(&self, instance: Instance) {
        self.service(&instance.service.clone()).register(instance);
    }

    /// Removes an instance; one that is not there is as good.
    pub fn deregister(&self, instance: &Instance) {
        if let Some(service) = self.0.services.load().get(&instance.service) {
            service.deregister(instance);
        }
    }

    /// Makes these the instances of a service. What is known of those that stay, stays.
    pub fn replace(&self, service: &str, instances: Vec<Instance>) {
        self.service(service).replace(instances);
    }

    /// A healthy instance of a service. See [`Registry::pick`] for one to call.
    pub fn get(&self, service: &str) -> Option<Arc<Instance>> {
        let endpoints = self.0.services.load().get(service)?.endpoints();
        let healthy = endpoints.iter().find(|known| is_healthy(known))?;
        Some(healthy.instance.clone())
    }

    /// All healthy instances of all services.
    pub fn list_healthy(&self) -> Vec<Arc<Instance>> {
        let all = self.services().flat_map(|service| service.endpoints());
        all.filter(is_healthy).map(|known| known.instance.clone()).collect()
    }

    /// Every instance of a service, in the order of registration, with what is known of it.
    pub fn statuses(&self, service: &str) -> Vec<(Arc<Instance>, Status)> {
        let services = self.0.services.load();
        let known = services.get(service).map(|service| service.endpoints()).unwrap_or_default();
        known.iter().map(|known| (known.instance.clone(), known.status())).collect()
    }

    /// The instance to call next; none only when none is registered. See [`Algorithm`] for how one
    /// is chosen, and the crate's head for who may be.
    ///
    /// [`Algorithm`]: crate::Algorithm
    #[inline]
    pub fn pick(&self, service: &str, options: &PickOptions<'_>) -> Option<Pick> {
        self.0.services.load().get(service)?.pick(options)
    }

    /// What picks for one service, which may still be unknown.
    pub fn balancer(&self, service: &str) -> LoadBalancer {
        LoadBalancer(self.service(service))
    }

    /// How a service is spoken to.
    pub fn scheme(&self, service: &str) -> Scheme {
        self.0.secured.load().scheme(service)
    }

    /// The HTTP client of a service, without time limits: over TLS where the settings say so, without
    /// a proxy, and without following redirects. Calls and health checks have the same.
    pub fn http_client(&self, service: &str) -> reqwest::ClientBuilder {
        self.0.secured.load().client(service)
    }

    /// Whether a provider has yet to say for the first time which instances of a service there are.
    pub(crate) fn set_awaited(&self, service: &str, is_awaited: bool) {
        self.service(service).set_awaited(is_awaited);
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = Arc<Service>> + use<> {
        let services = self.0.services.load();
        services.values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// The service of this name, new if there was none.
    fn service(&self, name: &str) -> Arc<Service> {
        if let Some(service) = self.0.services.load().get(name) {
            return service.clone();
        }
        let Shared { settings, caller, checks_due, .. } = &*self.0;
        let new = Service::new(name, settings, *caller, checks_due);
        self.0.services.rcu(|services| {
            let mut services = BTreeMap::clone(services);
            services.entry(name.to_owned()).or_insert_with(|| new.clone());
            services
        });
        // Another thread's may have come first.
        self.0.services.load().get(name).cloned().unwrap_or(new)
    }
}

fn is_healthy(endpoint: &Arc<Endpoint>) -> bool {
    endpoint.state.checks.health() == Health::Healthy
}

impl LoadBalancer {
    /// As [`Registry::pick`].
    #[inline]
    pub fn pick(&self, options: &PickOptions<'_>) -> Option<Pick> {
        self.0.pick(options)
    }

    /// Whether there is any other instance than these.
    pub fn has_other(&self, these: &[Arc<Instance>]) -> bool {
        self.0.has_other(these)
    }

    /// Has all instances checked soon: the first success is one of the [recoveries](Self::recoveries).
    pub fn check_all_soon(&self) {
        self.0.check_all_soon();
    }

    /// Whether there is any other instance than these that is not known to be down, be it in another zone.
    pub fn has_well_other(&self, these: &[Arc<Instance>]) -> bool {
        self.0.has_well_other(these)
    }

    /// Whether calls go to any other instance than these.
    pub fn calls_others(&self, these: &[Arc<Instance>]) -> bool {
        self.0.calls_others(these)
    }

    /// Whether the provider has yet to say for the first time which instances there are. A service
    /// whose instances nobody watches is not awaited.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.0.is_awaited()
    }

    /// Every instance, in the order of registration: whether new calls go to it, and why.
    pub fn reports(&self) -> Vec<Report> {
        self.0.reports()
    }

    /// Changes whenever a check or the provider says that calls may go well again: an instance that
    /// failed its last check passes one or is healthy again, one passes that somebody
    /// [waited for](Self::check_all_soon), a new one is there, or one is told anew. Whoever left the whole
    /// service alone then tries it.
    #[inline]
    pub fn recoveries(&self) -> u64 {
        self.0.recoveries()
    }

    /// Waits until the provider has said which instances there are, or has failed to once: not for
    /// long, and at the start alone.
    pub async fn first_update(&self) {
        self.0.first_update().await;
    }
}
