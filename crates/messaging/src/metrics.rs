//! What messaging counts. Label values are names of ours and closed sets, never text of a message.

use std::sync::LazyLock;
use std::time::Duration;

use telemetry::metrics::{counter, gauge, histogram};

/// A counter family made once.
type Counter = LazyLock<prometheus::IntCounterVec>;

static PUBLISHED: Counter = LazyLock::new(|| {
    let help = "Outbox rows published, by service and what became of them.";
    counter("messaging_published_total", help, &["service", "outcome"])
});

static CONSUMED: Counter = LazyLock::new(|| {
    let help = "Deliveries handled, by queue and what became of them.";
    counter("messaging_consumed_total", help, &["queue", "outcome"])
});

/// What became of a published row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Published {
    /// The broker has it.
    Confirmed,
    /// No queue is bound for it: it waits.
    Unroutable,
    /// No queue is bound for it, and it was not mandatory: gone.
    Unheard,
    /// The broker did not take it.
    Refused,
    /// No answer.
    Unknown,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consumed {
    /// Done.
    Acked,
    /// Comes back after a pause, an attempt later.
    Retried,
    /// Comes back after a pause, because something it needs is away.
    Unavailable,
    /// Given up on.
    Parked,
    /// Could not be read.
    Undecodable,
    /// No handler for its type.
    UnknownType,
    /// No handler for its type's version.
    UnknownVersion,
    /// The answer did not reach the broker, which delivers the message again.
    Unsettled,
}

/// Counts a row.
pub(crate) fn published(service: &str, published: Published) {
    let outcome = match published {
        Published::Confirmed => "confirmed",
        Published::Unroutable => "unroutable",
        Published::Unheard => "unheard",
        Published::Refused => "refused",
        Published::Unknown => "unknown",
    };
    PUBLISHED.with_label_values(&[service, outcome]).inc();
}

/// Sets the outbox's gauges.
pub(crate) fn outbox(service: &str, depth: i64, age_seconds: i64) {
    gauge("messaging_outbox_depth", "Committed events that wait to be sent.", &["service"])
        .with_label_values(&[service])
        .set(depth);
    let help = "Age of the oldest event that waits to be sent, in seconds.";
    gauge("messaging_outbox_age_seconds", help, &["service"])
        .with_label_values(&[service])
        .set(age_seconds);
}

/// Says whether the broker can be worked with.
pub(crate) fn connected(service: &str, is_connected: bool) {
    let help = "1 while the broker is connected, takes messages, and the consumer is subscribed.";
    gauge("messaging_connected", help, &["service"])
        .with_label_values(&[service])
        .set(i64::from(is_connected));
}

/// Counts a message whose effect is there already.
pub(crate) fn duplicate(consumer: &str) {
    let help = "Messages that had had their effect before, by consumer: dropped.";
    counter("messaging_duplicates_total", help, &["consumer"]).with_label_values(&[consumer]).inc();
}

/// Records how long the broker took to confirm a batch.
pub(crate) fn sent(service: &str, took: Duration) {
    let help = "Time from publishing a batch of the outbox to its last confirm, in seconds.";
    histogram("messaging_publish_duration_seconds", help, &["service"])
        .with_label_values(&[service])
        .observe(took.as_secs_f64());
}

/// Counts a delivery.
pub(crate) fn consumed(queue: &str, consumed: Consumed) {
    let outcome = match consumed {
        Consumed::Acked => "acked",
        Consumed::Retried => "retried",
        Consumed::Unavailable => "unavailable",
        Consumed::Parked => "parked",
        Consumed::Undecodable => "undecodable",
        Consumed::UnknownType => "unknown_type",
        Consumed::UnknownVersion => "unknown_version",
        Consumed::Unsettled => "unsettled",
    };
    CONSUMED.with_label_values(&[queue, outcome]).inc();
}

/// Records how long a handler took.
pub(crate) fn handled(queue: &str, took: Duration) {
    let help = "Time a handler took for one delivery, in seconds.";
    histogram("messaging_handler_duration_seconds", help, &["queue"])
        .with_label_values(&[queue])
        .observe(took.as_secs_f64());
}
