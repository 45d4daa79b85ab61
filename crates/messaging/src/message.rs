//! A message on the wire: its properties, and the id it is known by.

use std::fmt;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use contracts::EventId;
use sha2::{Digest, Sha256};

/// Every body is JSON.
pub(crate) const CONTENT_TYPE: &str = "application/json";
/// Delivery mode of a message that survives the broker's restart.
pub(crate) const PERSISTENT: u8 = 2;
/// What makes two deliveries the same message: the key of the [inbox](crate::inbox).
///
/// The envelope's `event_id`; else the AMQP message id, at most 255 bytes; else `sha256:` and a
/// hash of routing key and body, for clients that send only the envelope of a type, data, time and service.
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
