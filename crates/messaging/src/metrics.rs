//! What messaging counts, on the process's Prometheus registry.
//!
//! The first four are OpenTelemetry's metrics of messaging clients, in Prometheus' spelling
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/>): labels
//! `messaging_destination_name`, `messaging_operation_name`, `messaging_system` and `error_type`,
//! which is empty when nothing failed. The destination is the exchange where a message is sent and the
//! queue where it is consumed, without the routing key, which other teams choose.
//!
//! | family | counts |
//! |---|---|
//! | `messaging_client_sent_messages_total` | messages sent, from the outbox and directly; `error_type`: `returned`, `refused`, `no_answer` |
//! | `messaging_client_operation_duration_seconds` | from sending, of the relay's batch or of one message, to the last confirm |
//! | `messaging_client_consumed_messages_total` | deliveries taken from a queue |
//! | `messaging_process_duration_seconds` | time of a handler, for one delivery or for a batch; `error_type`: `retry`, `dead_letter`, `unavailable` |
//! | `messaging_settled_total{queue, outcome}` | deliveries by what became of them: `acked`, `retried`, `unavailable`, `dead_lettered`, `unsettled`; of the dead letters ones also `undecodable`, `unknown_type`, `unknown_version`. What an ordered consumer tries again counts each time |
//! | `messaging_duplicates_total{consumer}` | messages that had had their effect before: dropped |
//! | `messaging_outbox_depth{service}` | committed events that wait to be sent, counted up to 100,000 |
//! | `messaging_outbox_age_seconds{service}` | age of the oldest of them |
//! | `messaging_partitions_stuck{service}` | partitions of the outbox that a relay leases and sends nothing of |
//! | `messaging_scheduled_depth{service}` | events whose time has not come, counted up to 100,000 |
//! | `messaging_scheduled_overdue_seconds{service}` | for how long the first of them has been due |
//! | `messaging_queue_depth{queue}` | messages that wait in a consumer's queue |
//! | `messaging_dead_letters{queue}` | messages in its dead-letter queue |
//! | `messaging_consumer_paused{queue}` | 1 while the kill switch has paused its consumer |
//! | `messaging_topology_drift{name}` | 1 while a queue or exchange has other arguments than the settings say |
//! | `messaging_connected{service}` | 1 while the broker can be worked with: what `/health` says |
//! | `messaging_connection_open{connection}` | 1 while it is open; its name is that of the broker's list |
//! | `messaging_connection_blocked{connection}` | 1 while the broker, short of memory or disk, takes nothing on it |
//!
//! Gauges are set every five seconds. What the broker tells is as old as its last answer.
//!
//! Label values are names of the settings and closed sets, never text of a message: each new value is
//! a new time series.

use std::sync::LazyLock;
use std::time::Duration;

use telemetry::metrics::{counter, gauge, histogram};

use crate::broker::Broker;
use crate::consumer::Verdict;

/// How often gauges are set. Measuring costs the database a scan and the broker a question.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// The labels that OpenTelemetry asks for.
const LABELS: [&str; 4] =
    ["messaging_destination_name", "messaging_operation_name", "messaging_system", "error_type"];
const SYSTEM: &str = "rabbitmq";

/// A counter family made once.
type Counter = LazyLock<prometheus::IntCounterVec>;

static SENT: Counter = LazyLock::new(|| {
    let help = "Messages sent to the broker, by exchange and error.";
    counter("messaging_client_sent_messages_total", help, &LABELS)
});

static CONSUMED: Counter = LazyLock::new(|| {
    let help = "Messages delivered by the broker, by queue.";
    counter("messaging_client_consumed_messages_total", help, &LABELS)
});

static SETTLED: Counter = LazyLock::new(|| {
    let help = "Deliveries settled, by queue and what became of them.";
    counter("messaging_settled_total", help, &["queue", "outcome"])
});

/// What became of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// The broker has it; or no queue is bound for it and nobody minds.
    Sent,
    /// No queue is bound for it.
    Returned,
    /// The broker did not take it.
    Refused,
    /// No answer.
    NoAnswer,
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
    DeadLettered,
    /// Could not be read.
    Undecodable,
    /// No handler for its type.
    UnknownType,
    /// No handler for its type's version.
    UnknownVersion,
    /// The answer did not reach the broker, which delivers the message again.
    Unsettled,
}

impl Published {
    /// OpenTelemetry's `error.type`; empty when nothing failed.
    pub(crate) const fn error(self) -> &'static str {
        match self {
            Self::Sent => "",
            Self::Returned => "returned",
            Self::Refused => "refused",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// Counts messages sent, each by its exchange and what became of it. Those alike in a row are counted at
/// once: to find a counter by its labels takes a hash and a lock.
pub(crate) fn sent<'e>(messages: impl IntoIterator<Item = (&'e str, Published)>) {
    let mut alike: Option<((&str, Published), u64)> = None;
    for message in messages {
        match &mut alike {
            Some((of, count)) if *of == message => *count += 1,
            _ => alike.replace((message, 1)).into_iter().for_each(count_sent),
        }
    }
    alike.into_iter().for_each(count_sent);
}

fn count_sent(((exchange, published), count): ((&str, Published), u64)) {
    SENT.with_label_values(&[exchange, "send", SYSTEM, published.error()]).inc_by(count);
}

/// Records how long the broker took to confirm what was sent to `exchange`.
pub(crate) fn send_took(exchange: &str, published: Published, took: Duration) {
    let help = "Time from sending to the last confirm, by exchange and error, in seconds.";
    histogram("messaging_client_operation_duration_seconds", help, &LABELS)
        .with_label_values(&[exchange, "send", SYSTEM, published.error()])
        .observe(took.as_secs_f64());
}

/// Counts a delivery of `queue`.
pub(crate) fn delivered(queue: &str) {
    CONSUMED.with_label_values(&[queue, "process", SYSTEM, ""]).inc();
}

/// Records how long a handler took.
pub(crate) fn handled(queue: &str, verdict: &Verdict, took: Duration) {
    let error = error_of(verdict);
    let help = "Time a handler took for one delivery or batch, by queue and error, in seconds.";
    histogram("messaging_process_duration_seconds", help, &LABELS)
        .with_label_values(&[queue, "process", SYSTEM, error])
        .observe(took.as_secs_f64());
}

/// What a handler's failure is called; empty for none.
pub(crate) fn error_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ack => "",
        Verdict::Retry { .. } => "retry",
        Verdict::DeadLetter { .. } => "dead_letter",
        Verdict::Unavailable { .. } => "unavailable",
    }
}

/// Counts what became of a delivery.
pub(crate) fn consumed(queue: &str, consumed: Consumed) {
    let outcome = match consumed {
        Consumed::Acked => "acked",
        Consumed::Retried => "retried",
        Consumed::Unavailable => "unavailable",
        Consumed::DeadLettered => "dead_lettered",
        Consumed::Undecodable => "undecodable",
        Consumed::UnknownType => "unknown_type",
        Consumed::UnknownVersion => "unknown_version",
        Consumed::Unsettled => "unsettled",
    };
    SETTLED.with_label_values(&[queue, outcome]).inc();
}

/// Counts messages whose effect is there already.
pub(crate) fn duplicates(consumer: &str, messages: usize) {
    let help = "Messages that had had their effect before, by consumer: dropped.";
    let duplicates = counter("messaging_duplicates_total", help, &["consumer"]);
    duplicates.with_label_values(&[consumer]).inc_by(messages as u64);
}

/// Sets the outbox's gauges.
pub(crate) fn outbox(service: &str, depth: i64, age_seconds: i64) {
    let help = "Committed events that wait to be sent.";
    gauge("messaging_outbox_depth", help, &["service"]).with_label_values(&[service]).set(depth);
    let help = "Age of the oldest event that waits to be sent, in seconds.";
    gauge("messaging_outbox_age_seconds", help, &["service"])
        .with_label_values(&[service])
        .set(age_seconds);
}

/// Sets how many partitions of an outbox are leased by a relay that sends nothing.
pub(crate) fn partitions_stuck(service: &str, count: usize) {
    let help = "Partitions of the outbox that a relay leases and sends nothing of.";
    gauge("messaging_partitions_stuck", help, &["service"])
        .with_label_values(&[service])
        .set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Says whether a queue or exchange has other arguments than the settings say.
pub(crate) fn drift(name: &str, is_other: bool) {
    let help = "1 while a queue or exchange has other arguments than the settings say.";
    gauge("messaging_topology_drift", help, &["name"])
        .with_label_values(&[name])
        .set(i64::from(is_other));
}

/// Sets the gauges of what is scheduled.
pub(crate) fn scheduled(service: &str, depth: i64, overdue_seconds: i64) {
    let help = "Events whose time has not come.";
    gauge("messaging_scheduled_depth", help, &["service"]).with_label_values(&[service]).set(depth);
    let help = "For how long the first scheduled event has been due, in seconds.";
    gauge("messaging_scheduled_overdue_seconds", help, &["service"])
        .with_label_values(&[service])
        .set(overdue_seconds);
}

/// Sets the gauges of a queue and its dead-letter queue; that of the latter stays as it is when it could
/// not be counted.
pub(crate) fn depth(queue: &str, waiting: u32, dead_letters: Option<u32>) {
    let help = "Messages that wait in a consumer's queue, without those it holds.";
    gauge("messaging_queue_depth", help, &["queue"])
        .with_label_values(&[queue])
        .set(i64::from(waiting));
    let help = "Messages that the queue's consumer gave up on.";
    if let Some(dead_letters) = dead_letters {
        gauge("messaging_dead_letters", help, &["queue"])
            .with_label_values(&[queue])
            .set(i64::from(dead_letters));
    }
}

/// Sets whether the kill switch has paused a queue's consumer.
pub(crate) fn paused(queue: &str, is_paused: bool) {
    let help = "1 while the consumer is paused: most messages found unavailable what they need.";
    gauge("messaging_consumer_paused", help, &["queue"])
        .with_label_values(&[queue])
        .set(i64::from(is_paused));
}

/// Sets the gauges of the connections.
pub(crate) fn connections(service: &str, broker: &Broker) {
    let help = "1 while the broker is connected, takes messages, and the consumer is subscribed.";
    gauge("messaging_connected", help, &["service"])
        .with_label_values(&[service])
        .set(i64::from(broker.is_connected()));
    for (name, is_open, is_blocked) in broker.connections() {
        let help = "1 while the connection is open.";
        gauge("messaging_connection_open", help, &["connection"])
            .with_label_values(&[name])
            .set(i64::from(is_open));
        let help = "1 while the broker takes nothing on the connection.";
        gauge("messaging_connection_blocked", help, &["connection"])
            .with_label_values(&[name])
            .set(i64::from(is_blocked));
    }
}
