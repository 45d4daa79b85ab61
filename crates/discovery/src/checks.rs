//! Active health checks: each endpoint is asked as soon as it is known and then every interval, with
//! jitter so that many callers do not ask in step. One that may be down is asked again after a shorter
//! while, so that it gets calls soon after it is well. Each has its own time: one that hangs holds up no
//! other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use reqwest::{Client, Method, StatusCode};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::clock::Time;
use crate::endpoint::{Endpoint, State};
use crate::health::Due;
use crate::jitter::jittered;
use crate::service::Service;
use crate::{Health, Instance, LoadBalancingSettings, Registry};

/// Checks of one process that run at a time.
const CONCURRENCY_MAX: usize = 32;
/// The shortest time between two checks of an instance that may be down.
const RECHECK_MIN: Duration = Duration::from_millis(10);
/// When nothing is due.
const FAR: Duration = Duration::from_hours(1);

impl Registry {
    /// Checks all instances, and ejects those that do worse than their peers, until `shutdown`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), reqwest::Error> {
        let http = Clients::new(&self)?;
        let both = async { tokio::join!(self.check_for_ever(&http), self.compare_for_ever()) };
        shutdown.run_until_cancelled(both).await;
        // Where both are off, there is nothing to do until then.
        shutdown.cancelled().await;
        Ok(())
    }

    async fn compare_for_ever(&self) {
        let settings = &self.0.settings;
        if settings.success_rate_margin == 0 && settings.latency_factor == 0 {
            return;
        }
        loop {
            tokio::time::sleep(settings.outlier_interval.max(Duration::from_millis(100))).await;
            self.services().for_each(|service| service.eject_outliers());
        }
    }

    async fn check_for_ever(&self, http: &Clients) {
        if self.0.settings.health_check_interval.is_zero() {
            return;
        }
        let mut agenda = Agenda::of(self);
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < CONCURRENCY_MAX
                && let Some(endpoint) = agenda.next_due(Time::now())
            {
                endpoint.state.checks.begin();
                running.push(check(http, &self.0.settings, endpoint));
            }
            // One that ends makes room.
            let next = agenda.next_time().filter(|_| running.len() < CONCURRENCY_MAX);
            let next = next.unwrap_or_else(|| Time::now().after(FAR));
            tokio::select! {
                Some(checked) = running.next() => {
                    // All that ended meanwhile make one set: working it out takes the longer the more
                    // there are, and so do more end meanwhile.
                    let more = std::iter::from_fn(|| running.next().now_or_never().flatten());
                    let mut changed: Vec<Arc<Service>> = Vec::new();
                    for Checked { endpoint, outdated } in std::iter::once(checked).chain(more) {
                        agenda.add(&endpoint.state);
                        changed.extend(outdated);
                    }
                    changed.sort_by_key(Arc::as_ptr);
                    changed.dedup_by_key(|service| Arc::as_ptr(service));
                    for service in changed {
                        service.refresh();
                    }
                }
                () = self.0.checks_due.notified() => agenda = Agenda::of(self),
                () = sleep_until(next.instant()) => {}
            }
        }
    }
}

/// Which endpoint is to be checked when. Made anew when sets change and when somebody wants a check
/// sooner; between, each check that ends is put into its order.
struct Agenda {
    /// Those that are to be checked, by the place of their state.
    endpoints: HashMap<usize, Arc<Endpoint>>,
    /// Those of which no check runs, first those that nobody knows yet.
    due: BTreeSet<(Due, usize)>,
}

impl Agenda {
    fn of(registry: &Registry) -> Self {
        let mut agenda = Self { endpoints: HashMap::new(), due: BTreeSet::new() };
        for endpoint in registry.services().flat_map(|service| service.checked_endpoints()) {
            agenda.due.extend(due(&endpoint.state));
            agenda.endpoints.insert(place(&endpoint.state), endpoint);
        }
        agenda
    }

    /// A check has ended, of an endpoint that may have gone.
    fn add(&mut self, state: &Arc<State>) {
        if self.endpoints.contains_key(&place(state)) {
            self.due.extend(due(state));
        }
    }

    /// The next endpoint whose check is due.
    fn next_due(&mut self, now: Time) -> Option<Arc<Endpoint>> {
        let next = self.due.first().filter(|(due, _)| *due <= Due::At(now)).copied()?;
        self.due.remove(&next);
        self.endpoints.get(&next.1).cloned()
    }

    /// When a check is due.
    fn next_time(&self) -> Option<Time> {
        match self.due.first()? {
            (Due::At(at), _) => Some(*at),
            (Due::AtOnce, _) => Some(Time::now()),
        }
    }
}

/// What an endpoint keeps whatever its provider says of it has one place.
fn place(state: &Arc<State>) -> usize {
    Arc::as_ptr(state).addr()
}

fn due(state: &Arc<State>) -> Option<(Due, usize)> {
    Some((state.checks.due()?, place(state)))
}

/// A check that has ended.
struct Checked {
    endpoint: Arc<Endpoint>,
    /// The service whose set it changes.
    outdated: Option<Arc<Service>>,
}

impl LoadBalancingSettings {
    /// How soon an endpoint is checked again that may be down.
    pub(crate) fn recheck_interval(&self) -> Duration {
        jittered(self.recheck_interval.max(RECHECK_MIN).min(self.health_check_interval))
    }
}

/// The HTTP clients of the services. Redirects are not followed: a health check that moved is not
/// healthy.
struct Clients {
    plain: Client,
    /// Of those that are spoken to over TLS.
    secured: BTreeMap<String, Client>,
}

impl Clients {
    fn new(registry: &Registry) -> Result<Self, reqwest::Error> {
        let timeout = registry.0.settings.health_check_timeout;
        let client = |service: &str| registry.http_client(service).timeout(timeout).build();
        let secured = registry.0.secured.load();
        let secured = secured.names().map(|name| Ok((name.clone(), client(name)?)));
        Ok(Self { plain: client("")?, secured: secured.collect::<Result<_, _>>()? })
    }

    fn of(&self, service: &str) -> &Client {
        self.secured.get(service).unwrap_or(&self.plain)
    }
}

/// 200 is healthy, all else is not.
async fn check(
    http: &Clients,
    settings: &LoadBalancingSettings,
    endpoint: Arc<Endpoint>,
) -> Checked {
    let service = endpoint.state.service.upgrade();
    // One that began before says nothing about the time after.
    let is_awaited = service.as_ref().is_some_and(|service| service.is_success_awaited());
    let success = answers_well(http, &endpoint).await;
    let of = |service: &Arc<Service>| service.checked(&endpoint, success, is_awaited);
    let health = service.as_ref().and_then(of);
    let interval = if endpoint.is_in_doubt(settings) {
        settings.recheck_interval()
    } else {
        jittered(settings.health_check_interval)
    };
    endpoint.state.checks.end(Time::now().after(interval));
    if let Some(health) = health {
        log(&endpoint.instance, health);
    }
    Checked { endpoint, outdated: service.filter(|_| health.is_some()) }
}

fn log(instance: &Instance, health: Health) {
    match health {
        Health::Unhealthy => tracing::warn!(
            instance.service = instance.service,
            instance.host = instance.host,
            instance.port = instance.port,
            "instance is unhealthy"
        ),
        Health::Healthy | Health::Unknown => tracing::info!(
            instance.service = instance.service,
            instance.host = instance.host,
            instance.port = instance.port,
            "instance is healthy"
        ),
    }
}

async fn answers_well(http: &Clients, endpoint: &Endpoint) -> bool {
    let check = &endpoint.instance.health_check;
    let Ok(method) = Method::from_bytes(check.method.as_bytes()) else { return false };
    let http = http.of(&endpoint.instance.service);
    let answer = http.request(method, &check.url).send().await;
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}
