//! Active health checks: each instance is asked as soon as it is known and then every interval,
//! with jitter so that many callers do not ask in step. One that may be down is asked again after
//! a shorter while, so that it gets calls soon after it is well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::{Client, Method, StatusCode};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::endpoint::Member;
use crate::jitter::jittered;
use crate::{Health, Registry};

/// Checks of one process that run at a time.
const CONCURRENCY_MAX: usize = 32;
/// The shortest time between two checks of an instance that may be down.
const RECHECK_MIN: Duration = Duration::from_millis(10);

impl Registry {
    /// Checks all instances until `shutdown`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), reqwest::Error> {
        let http = Clients::new(&self)?;
        shutdown.run_until_cancelled(self.check_for_ever(&http)).await;
        Ok(())
    }

    async fn check_for_ever(&self, http: &Clients) {
        let interval = self.0.settings.health_check_interval;
        if interval.is_zero() {
            return std::future::pending().await;
        }
        let recheck_interval = self.0.settings.recheck_interval.max(RECHECK_MIN).min(interval);
        loop {
            check_all(http, self.members()).await;
            let next_round = Instant::now() + jittered(interval);
            let mut next_recheck = Instant::now() + jittered(recheck_interval);
            while Instant::now() < next_round {
                tokio::select! {
                    () = sleep_until(next_round) => {}
                    () = sleep_until(next_recheck) => {
                        self.check(http, |member| member.is_in_doubt()).await;
                        next_recheck = Instant::now() + jittered(recheck_interval);
                    }
                    () = self.0.unchecked.notified() => {
                        self.check(http, |member| member.checks.last().is_none()).await;
                    }
                }
            }
        }
    }

    async fn check(&self, http: &Clients, which: impl Fn(&Member) -> bool) {
        let mut members = self.members();
        members.retain(|member| which(member));
        check_all(http, members).await;
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

async fn check_all(http: &Clients, members: Vec<Arc<Member>>) {
    let checks = stream::iter(members);
    checks.for_each_concurrent(CONCURRENCY_MAX, |member| check(http, member)).await;
}

/// The seed's rule: 200 is healthy, all else is not.
async fn check(http: &Clients, member: Arc<Member>) {
    let success = answers_well(http, &member).await;
    let Some(service) = member.service.upgrade() else { return };
    let Some(health) = service.checked(&member, success) else { return };
    let instance = &member.instance;
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

async fn answers_well(http: &Clients, member: &Member) -> bool {
    let check = &member.instance.health_check;
    let Ok(method) = Method::from_bytes(check.method.as_bytes()) else { return false };
    let http = http.of(&member.instance.service);
    let answer = http.request(method, &check.url).send().await;
    answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
}
