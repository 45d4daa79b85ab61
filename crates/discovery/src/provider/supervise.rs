//! Keeps a provider's watch of a service going, whatever happens to its server.

use std::time::Duration;

use resilience::retry::{Backoff, RetrySettings};
use tokio::time::sleep;

use super::{Provider, Sink};
use crate::metrics;

/// The ceiling of the first delay after an error; doubled each time.
const DELAY_FIRST: Duration = Duration::from_millis(200);
/// The ceiling of all delays.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// No delay is shorter than this part of its ceiling.
const DELAY_MIN: Duration = Duration::from_millis(20);

/// Watches for ever.
pub(crate) async fn supervise(provider: &dyn Provider, sink: &Sink) {
    tokio::join!(watch(provider, sink), sink.remove_late());
}

async fn watch(provider: &dyn Provider, sink: &Sink) {
    let mut failures = 0;
    metrics::provider_errors(sink.service(), provider.name(), 0);
    loop {
        let count = sink.count();
        let error = match provider.watch(sink).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        sink.failed();
        failures = if sink.count() > count { 1 } else { failures + 1 };
        metrics::provider_errors(sink.service(), provider.name(), 1);
        tracing::warn!(
            error = %error,
            discovery.provider = provider.name(),
            discovery.service = sink.service(),
            failures,
            "instances are not being watched"
        );
        sleep(delay(failures)).await;
    }
}

/// The delay after so many failures in a row.
pub(crate) fn delay(failures: u32) -> Duration {
    let settings = RetrySettings {
        max_attempts: u32::MAX,
        backoff_multiplier: 2.0,
        max_backoff: DELAY_MAX,
        initial_backoff: DELAY_FIRST,
        ..RetrySettings::default()
    };
    Backoff::new(&settings).delay(failures).max(DELAY_MIN)
}
