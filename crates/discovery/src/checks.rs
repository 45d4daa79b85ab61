//! Active health checks: each endpoint is asked as soon as it is known and then every interval, with
//! jitter so that many callers do not ask in step. One that may be down is asked again after a shorter
//! while, so that it gets calls soon after it is well. Each has its own time: one that hangs holds up no
//! other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::{Client, Method, StatusCode};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::clock::Time;
use crate::endpoint::Endpoint;
use crate::health::Due;
use crate::jitter::jittered;
use crate::{Health, LoadBalancingSettings, Registry};

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
        let mut running = FuturesUnordered::new();
        loop {
            let next = self.begin_due(CONCURRENCY_MAX - running.len(), |endpoint| {
                running.push(check(http, &self.0.settings, endpoint));
            });
            tokio::select! {
                Some(()) = running.next() => {}
                () = self.0.checks_due.notified() => {}
                () = sleep_until(next.instant()) => {}
            }
        }
    }

    /// Begins up to so many checks that are due, first those of endpoints that nobody knows yet; gives the
    /// time of the next.
    fn begin_due(&self, places: usize, mut begin: impl FnMut(Arc<Endpoint>)) -> Time {
        let now = Time::now();
        let far = now.after(FAR);
        if places == 0 {
            // One that ends makes room.
            return far;
        }
        let mut waiting: Vec<_> = self
            .services()
            .flat_map(|service| service.checked_endpoints())
            .filter_map(|endpoint| Some((endpoint.state.checks.due()?, endpoint)))
            .collect();
        waiting.sort_by_key(|(due, _)| *due);
        let is_due = waiting.partition_point(|(due, _)| *due <= Due::At(now)).min(places);
        let later = waiting.split_off(is_due);
        for (_, endpoint) in waiting {
            endpoint.state.checks.begin();
            begin(endpoint);
        }
        match later.first() {
            Some((Due::At(at), _)) if *at > now => *at,
            _ => far,
        }
    }
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
async fn check(http: &Clients, settings: &LoadBalancingSettings, endpoint: Arc<Endpoint>) {
    let service = endpoint.state.service.upgrade();
    // One that began before says nothing about the time after.
    let is_awaited = service.as_ref().is_some_and(|service| service.is_success_awaited());
    let success = answers_well(http, &endpoint).await;
    let health = service.and_then(|service| service.checked(&endpoint, success, is_awaited));
    let interval = if endpoint.is_in_doubt(settings) {
        settings.recheck_interval()
    } else {
        jittered(settings.health_check_interval)
    };
    endpoint.state.checks.end(Time::now().after(interval));
    let Some(health) = health else { return };
    let instance = &endpoint.instance;
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
