//! A message on the wire: its properties and headers, and the id it is known by.

use std::fmt;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use contracts::EventId;
use lapin::types::{AMQPValue, FieldTable};
use sha2::{Digest, Sha256};

/// Every body is JSON.
pub(crate) const CONTENT_TYPE: &str = "application/json";
/// Delivery mode of a message that survives the broker's restart.
pub(crate) const PERSISTENT: u8 = 2;
/// Header: W3C trace context of the request that made the event happen.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// What makes two deliveries the same message: the key of the [inbox](crate::inbox).
///
/// The envelope's `event_id`; else the AMQP message id, at most 255 bytes; else `sha256:` and a
/// hash of routing key and body, for clients that know only the seed's envelope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    pub(crate) fn of(
        event_id: Option<EventId>,
        amqp_message_id: Option<&str>,
        routing_key: &str,
        body: &[u8],
    ) -> Self {
        match (event_id, amqp_message_id) {
            (Some(id), _) => Self(id.to_string()),
            (None, Some(id)) if !id.is_empty() => Self(id.to_owned()),
            (None, _) => Self(hash(routing_key, body)),
        }
    }

    /// The id as text, as the inbox keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AsRef<str> for MessageId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<EventId> for MessageId {
    fn from(id: EventId) -> Self {
        Self(id.to_string())
    }
}

fn hash(routing_key: &str, body: &[u8]) -> String {
    // The zero byte keeps key and body apart: a routing key cannot hold one that matters here.
    let digest = Sha256::new().chain_update(routing_key).chain_update([0]).chain_update(body);
    format!("sha256:{}", hex(&digest.finalize()))
}

/// The time by which the times of events are checked. Nothing else hangs on it, and what it is
/// compared with comes from other machines: so it needs no clock that tests control.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
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

#[cfg(test)]
mod tests {
    use super::MessageId;

    #[test]
    fn an_id_is_the_events_else_the_messages_else_the_contents() {
        let event_id = "0197c1f0-5c00-7000-8000-0000000000e1".parse().ok();
        let of = |event_id, amqp| MessageId::of(event_id, amqp, "user.created", b"{}");

        assert_eq!(of(event_id, Some("m")).as_str(), "0197c1f0-5c00-7000-8000-0000000000e1");
        assert_eq!(of(None, Some("m")).as_str(), "m");
        assert!(of(None, Some("")).as_str().starts_with("sha256:"));
        assert_eq!(of(None, None), of(None, None));
        assert_ne!(of(None, None), MessageId::of(None, None, "user.deleted", b"{}"));
        assert_ne!(of(None, None), MessageId::of(None, None, "user.created", b"{ }"));
    }
}
