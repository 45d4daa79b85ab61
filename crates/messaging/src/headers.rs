//! The headers in which a message remembers what happened to it, and what of a message is kept when
//! it moves to another queue.
//!
//! | header | meaning |
//! |---|---|
//! | `x-attempt` | in a retry queue: the attempt to come; dead-lettered: attempts made |
//! | `x-cause` | why the last attempt failed, at most 1,000 characters |
//! | `x-first-failed-at`, `x-last-failed-at` | RFC 3339, UTC |
//! | `x-original-exchange`, `x-original-routing-key` | where it came in |
//! | `x-unavailable` | how often in a row something it needs was away |
//! | `traceparent` | W3C trace context of the request that made the event happen |
//!
//! All others are kept, but for those by which the broker would route or count. The broker's own
//! counters are not used: they differ between its versions.

use chrono::{SecondsFormat, Utc};
use lapin::BasicProperties;
use lapin::message::Delivery as Raw;
use lapin::types::{AMQPValue, FieldTable};

use crate::message::PERSISTENT;

/// Header: W3C trace context of the request that made the event happen.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// Header: which attempt a delivery is, 1 for the first.
pub(crate) const ATTEMPT: &str = "x-attempt";
/// Header: why the last attempt failed.
pub(crate) const CAUSE: &str = "x-cause";
/// Header: when the first attempt failed.
pub(crate) const FIRST_FAILED_AT: &str = "x-first-failed-at";
/// Header: when the last attempt failed.
pub(crate) const LAST_FAILED_AT: &str = "x-last-failed-at";
/// Header: the exchange that a message came through at first.
pub(crate) const ORIGINAL_EXCHANGE: &str = "x-original-exchange";
/// Header: the routing key that a message came with at first.
pub(crate) const ORIGINAL_ROUTING_KEY: &str = "x-original-routing-key";
/// Header: how often in a row something that the message needs was away.
pub(crate) const UNAVAILABLE: &str = "x-unavailable";
/// Header of quorum queues: deliveries that ended without an answer.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// Headers that the broker routes or counts by: they say nothing true of the message any more.
pub(crate) const BROKERS_OWN: [&str; 7] = [
    "CC",
    "BCC",
    "x-death",
    DELIVERY_COUNT,
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
];
/// The longest cause that is kept, in characters: headers must fit a frame.
pub(crate) const CAUSE_CHARS_MAX: usize = 1_000;
/// The longest exchange or key, in characters: AMQP's short string.
pub(crate) const NAME_CHARS_MAX: usize = 255;

/// What the headers of a message say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Headers {
    /// The attempt to come, the first is 1; of a dead letter: attempts made.
    pub(crate) attempt: u32,
    /// Why the last attempt failed.
    pub(crate) cause: Option<String>,
    /// When the first attempt failed, RFC 3339.
    pub(crate) first_failed_at: Option<String>,
    /// When the last attempt failed, RFC 3339.
    pub(crate) last_failed_at: Option<String>,
    /// The exchange it came through at first.
    pub(crate) exchange: String,
    /// The routing key it came with at first.
    pub(crate) routing_key: String,
    /// How often in a row something that it needs was away.
    pub(crate) unavailable: u32,
    /// The trace that it belongs to.
    pub(crate) traceparent: Option<String>,
    /// All headers as they came.
    table: FieldTable,
}

impl Headers {
    /// Those of a delivery.
    pub(crate) fn read(raw: &Raw) -> Self {
        let table = table(raw);
        Self {
            attempt: attempt(&table),
            cause: text(&table, CAUSE),
            first_failed_at: text(&table, FIRST_FAILED_AT),
            last_failed_at: text(&table, LAST_FAILED_AT),
            exchange: original(&table, ORIGINAL_EXCHANGE, raw.exchange.as_str()),
            routing_key: original(&table, ORIGINAL_ROUTING_KEY, raw.routing_key.as_str()),
            unavailable: number(&table, UNAVAILABLE).unwrap_or(0),
            traceparent: text(&table, TRACEPARENT),
            table,
        }
    }

    /// Those of the message after it failed for `cause`; `attempt` is its number from now on.
    pub(crate) fn failed(self, attempt: u32, cause: &str) -> Self {
        let now = now();
        Self {
            attempt,
            cause: Some(cause.to_owned()),
            first_failed_at: self.first_failed_at.or_else(|| Some(now.clone())),
            last_failed_at: Some(now),
            unavailable: 0,
            ..self
        }
    }

    /// Those of the message after its handler found something away once more.
    pub(crate) fn unavailable(self, cause: &str) -> Self {
        let unavailable = self.unavailable.saturating_add(1);
        Self { unavailable, cause: Some(cause.to_owned()), ..self }
    }

    /// The headers to send it on with.
    pub(crate) fn write(&self) -> FieldTable {
        let mut table = without(&self.table, &BROKERS_OWN);
        set_number(&mut table, ATTEMPT, self.attempt);
        set_text(&mut table, ORIGINAL_EXCHANGE, &self.exchange, NAME_CHARS_MAX);
        set_text(&mut table, ORIGINAL_ROUTING_KEY, &self.routing_key, NAME_CHARS_MAX);
        let texts = [
            (CAUSE, &self.cause),
            (FIRST_FAILED_AT, &self.first_failed_at),
            (LAST_FAILED_AT, &self.last_failed_at),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                set_text(&mut table, name, value, CAUSE_CHARS_MAX);
            }
        }
        if self.unavailable == 0 {
            return without(&table, &[UNAVAILABLE]);
        }
        set_number(&mut table, UNAVAILABLE, self.unavailable);
        table
    }
}

/// A message's headers; empty when it has none.
pub(crate) fn table(raw: &Raw) -> FieldTable {
    raw.properties.headers().clone().unwrap_or_default()
}

/// Which attempt a delivery with these headers is.
pub(crate) fn attempt(headers: &FieldTable) -> u32 {
    number(headers, ATTEMPT).unwrap_or(1).max(1)
}

/// How often the broker delivered a message without an answer, where it counts that.
pub(crate) fn delivery_count(raw: &Raw) -> u32 {
    number(&table(raw), DELIVERY_COUNT).unwrap_or(0)
}

/// What a header kept of the first delivery, else what this delivery says.
pub(crate) fn original(headers: &FieldTable, name: &str, now: &str) -> String {
    text(headers, name).unwrap_or_else(|| now.to_owned())
}

/// The headers without those of these names.
pub(crate) fn without(headers: &FieldTable, names: &[&str]) -> FieldTable {
    let mut kept = headers.inner().clone();
    for name in names {
        kept.remove(*name);
    }
    kept.into()
}

/// The properties that are the message's own. Not kept: `expiration`, which would cut a delay
/// short, and `user_id`, for which the broker would refuse us.
pub(crate) fn kept(properties: &BasicProperties) -> BasicProperties {
    let mut kept = BasicProperties::default().with_delivery_mode(PERSISTENT);
    if let Some(value) = properties.content_type().clone() {
        kept = kept.with_content_type(value);
    }
    if let Some(value) = properties.content_encoding().clone() {
        kept = kept.with_content_encoding(value);
    }
    if let Some(value) = properties.correlation_id().clone() {
        kept = kept.with_correlation_id(value);
    }
    if let Some(value) = properties.message_id().clone() {
        kept = kept.with_message_id(value);
    }
    if let Some(value) = *properties.timestamp() {
        kept = kept.with_timestamp(value);
    }
    if let Some(value) = properties.kind().clone() {
        kept = kept.with_type(value);
    }
    if let Some(value) = properties.app_id().clone() {
        kept = kept.with_app_id(value);
    }
    kept
}

/// The text of a header; none when it is missing or no text.
pub(crate) fn text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// The number in a header, whichever of AMQP's integers it is; none when missing or negative.
pub(crate) fn number(headers: &FieldTable, name: &str) -> Option<u32> {
    let number = match headers.inner().get(name)? {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        _ => return None,
    };
    u32::try_from(number).ok()
}

/// Puts text into a header, cut to `chars_max`: the headers of a message must fit a frame.
pub(crate) fn set_text(headers: &mut FieldTable, name: &str, value: &str, chars_max: usize) {
    let value: String = value.chars().take(chars_max).collect();
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

/// Puts a number into a header.
pub(crate) fn set_number(headers: &mut FieldTable, name: &str, value: u32) {
    headers.insert(name.into(), AMQPValue::LongLongInt(i64::from(value)));
}

/// For people who look into a dead-letter queue; no decision hangs on it, so it needs no injected
/// clock.
#[allow(clippy::disallowed_methods)]
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}
