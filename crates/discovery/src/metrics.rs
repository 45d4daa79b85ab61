//! What discovery shows of itself. Labels are names of services and of providers, which the
//! settings close.

use std::time::{SystemTime, UNIX_EPOCH};

use telemetry::metrics::{counter, gauge};

use crate::Health;
use crate::set::Set;

/// `discovery_instances{service, health}`; an ejected instance counts as `ejected` alone.
pub(crate) fn instances(service: &str, set: &Set) {
    let family =
        gauge("discovery_instances", "Known instances, by health.", &["service", "health"]);
    let mut counts = [("unknown", 0), ("healthy", 0), ("unhealthy", 0), ("ejected", 0)];
    for member in &set.members {
        let index = match member.checks.health() {
            _ if member.is_ejected() => 3,
            Health::Unknown => 0,
            Health::Healthy => 1,
            Health::Unhealthy => 2,
        };
        counts[index].1 += 1;
    }
    for (health, count) in counts {
        family.with_label_values(&[service, health]).set(count);
    }
    // A series that is there from the beginning: the first ejection is an increase too.
    ejections(service, 0);
}

/// `discovery_ejections_total{service}`: instances left alone because calls to them failed.
pub(crate) fn ejections(service: &str, times: u64) {
    let help = "Instances left alone because calls to them failed.";
    let ejections = counter("discovery_ejections_total", help, &["service"]);
    ejections.with_label_values(&[service]).inc_by(times);
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
