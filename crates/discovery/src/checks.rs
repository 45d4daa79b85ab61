//! Active health checks: each instance is asked at start and then every interval, with jitter so
//! that many callers do not ask in step.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::instance::Tracked;
use crate::{Health, Registry};

/// Longest time for one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Each pause is the interval, longer or shorter by up to this share.
const JITTER: f64 = 0.1;

impl Registry {
    /// Checks all instances until `shutdown`. Every service's checks run beside each other.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), reqwest::Error> {
        // Redirects are not followed: a health check that moved is not healthy.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(CHECK_TIMEOUT)
            .build()?;
        loop {
            let round = join_all(self.tracked().into_iter().map(|known| check(&http, known)));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = round => {}
            }
            let pause =
                self.0.check_interval.mul_f64(1.0 + JITTER * rand::random_range(-1.0..=1.0));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// The seed's rule: 200 is healthy, all else is not.
async fn check(http: &reqwest::Client, known: Arc<Tracked>) {
    let answer = http.get(&known.instance.health_url).send().await;
    let success = answer.is_ok_and(|answer| answer.status() == reqwest::StatusCode::OK);
    if let Some(health) = known.checked(success) {
        let instance = &known.instance;
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
}
