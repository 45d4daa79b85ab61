//! What discovery shows of itself. Labels are names of services and of providers, which the
//! settings close.

use std::time::{SystemTime, UNIX_EPOCH};

use telemetry::metrics::{counter, gauge};

use crate::set::Set;
use crate::{EjectionReason, Health};

/// `discovery_instances{service, health}`; an ejected instance counts as `ejected` alone. And
/// `discovery_set_rebuilds_total{service}`: this is told once for each set.
pub(crate) fn instances(service: &str, set: &Set) {
    let family =
        gauge("discovery_instances", "Known instances, by health.", &["service", "health"]);
    let mut counts = [("unknown", 0), ("healthy", 0), ("unhealthy", 0), ("ejected", 0)];
    for endpoint in &set.endpoints {
        let index = match endpoint.state.checks.health() {
            _ if endpoint.state.outlier.ejection().is_some() => 3,
            Health::Unknown => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
        };
        counts[index].1 += 1;
    }
    for (health, count) in counts {
        family.with_label_values(&[service, health]).set(count);
    }
    // Series that are there from the beginning: the first ejection is an increase too.
    let reasons =
        [EjectionReason::FailuresInARow, EjectionReason::SuccessRate, EjectionReason::Latency];
    for reason in reasons {
        ejections(service, reason, 0);
    }
    let help = "Times that the set of instances that are picked from was worked out anew.";
    let rebuilds = counter("discovery_set_rebuilds_total", help, &["service"]);
    rebuilds.with_label_values(&[service]).inc();
}

/// `discovery_ejections_total{service, reason}`: instances left alone because of what their calls say.
pub(crate) fn ejections(service: &str, reason: EjectionReason, times: u64) {
    let help = "Instances left alone because calls to them failed or did worse than others'.";
    let ejections = counter("discovery_ejections_total", help, &["service", "reason"]);
    ejections.with_label_values(&[service, reason.label()]).inc_by(times);
}

/// `discovery_provider_errors_total{service, provider}`: watches that ended and were begun anew.
pub(crate) fn provider_errors(service: &str, provider: &str, times: u64) {
    let help = "Watches of a provider that ended and were begun anew.";
    counter("discovery_provider_errors_total", help, &["service", "provider"])
        .with_label_values(&[service, provider])
        .inc_by(times);
}

/// `discovery_last_sync_timestamp_seconds{service, provider}`: when the provider was last heard of;
/// alert on how long ago that is.
pub(crate) fn synced(service: &str, provider: &str) {
    let help = "When the provider last told or confirmed the instances, in Unix time.";
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge("discovery_last_sync_timestamp_seconds", help, &["service", "provider"])
        .with_label_values(&[service, provider])
        .set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
}

/// `discovery_registered{service, provider}`: 1 while this process is registered.
pub(crate) fn registered(service: &str, provider: &str, is_registered: bool) {
    let help = "Whether this process is registered: 1 or 0.";
    gauge("discovery_registered", help, &["service", "provider"])
        .with_label_values(&[service, provider])
        .set(is_registered.into());
}
