//! A delivery as a handler sees it, and what a handler can say of it.

use std::fmt::Display;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use contracts::{Envelope, Event, FieldFault, bounds};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgConnection;
use strict_json::Strict;

use crate::headers::Headers;
use crate::inbox::InboxKey;
use crate::message::{self, MessageId};
use crate::outbox::EnqueueError;

/// One delivery of an event, as a handler gets it.
///
/// `D` is [`Value`] as long as nobody has looked at [`Delivery::event_type`].
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery<D = Value> {
    /// The queue that it came from: the name of the consumer in the [inbox](crate::inbox).
    pub queue: Arc<str>,
    /// The same in every delivery of this message.
    pub message_id: MessageId,
    /// What happened: `user.created`.
    pub event_type: String,
    /// The version of [`Delivery::data`].
    pub version: u16,
    /// The key it was published with; kept over retries.
    pub routing_key: String,
    /// The exchange it was published to; kept over retries.
    pub exchange: String,
    /// The event itself.
    pub data: D,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// Who published it.
    pub service: String,
    /// Which attempt this is; the first is 1.
    pub attempt: u32,
    /// Whether the broker delivered it before and got no answer.
    pub redelivered: bool,
}

/// What is to become of a message.
///
/// The reasons are logged and kept in the message's headers: no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its effect is committed, or there is none to have.
    Ack,
    /// This attempt failed; a later one may not. Dead-lettered when the attempts are used up.
    Retry {
        /// Why.
        reason: String,
    },
    /// It can never be handled: dead-lettered at once, for people to look at.
    DeadLetter {
        /// Why.
        reason: String,
    },
    /// What the handler needs (its database, another service) is away: not the message's fault.
    /// Comes back after growing delays, half a minute at most; costs no attempt before it has waited
    /// for `[consumer] unavailable_max`. Only for what passes by itself: a statement that violates a
    /// constraint does so for ever, and is a [`Verdict::Retry`] or [`Verdict::DeadLetter`].
    Unavailable {
        /// What is away.
        reason: String,
    },
}

impl Verdict {
    /// [`Verdict::Retry`] for a reason.
    pub fn retry(reason: impl Display) -> Self {
        Self::Retry { reason: reason.to_string() }
    }

    /// [`Verdict::DeadLetter`] for a reason.
    pub fn dead_letter(reason: impl Display) -> Self {
        Self::DeadLetter { reason: reason.to_string() }
    }

    /// [`Verdict::Unavailable`] for a reason.
    pub fn unavailable(reason: impl Display) -> Self {
        Self::Unavailable { reason: reason.to_string() }
    }
}

/// What a handler that may fail says: done, or what its error means to the broker.
impl<E: Into<Verdict>> From<Result<(), E>> for Verdict {
    fn from(done: Result<(), E>) -> Self {
        done.map_or_else(Into::into, |()| Self::Ack)
    }
}

/// A database that cannot do it now is away: not the message's fault. Any other fault of it, a violated
/// constraint, say, is tried again, and after some attempts people look at the message.
impl From<sqlx::Error> for Verdict {
    fn from(error: sqlx::Error) -> Self {
        let kind = database::kind(&error);
        if database::is_unavailable(&error) { Self::unavailable(kind) } else { Self::retry(kind) }
    }
}

/// An event that cannot be enqueued never can, unless it was the database that failed.
impl From<EnqueueError> for Verdict {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Database(error) => error.into(),
            error => Self::dead_letter(error),
        }
    }
}

impl<D> Delivery<D> {
    /// Claims the message for its consumer in the transaction of its effect: true when it is new,
    /// false when its effect is there already. See the [inbox](crate::inbox).
    pub async fn claim(&self, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        self.inbox_key().claim(tx).await
    }

    /// What the message is claimed by, for a function that makes the transaction of its effect and
    /// does not need the rest of the delivery.
    pub fn inbox_key(&self) -> InboxKey {
        InboxKey::new(Arc::clone(&self.queue), self.message_id.clone())
    }

    /// The same delivery with another event: for a handler of an older version, which makes the
    /// newer one of it.
    pub fn map<T>(self, event: impl FnOnce(D) -> T) -> Delivery<T> {
        Delivery {
            queue: self.queue,
            message_id: self.message_id,
            event_type: self.event_type,
            version: self.version,
            routing_key: self.routing_key,
            exchange: self.exchange,
            data: event(self.data),
            timestamp: self.timestamp,
            service: self.service,
            attempt: self.attempt,
            redelivered: self.redelivered,
        }
    }
}

impl Delivery {
    /// The event as a type; the error says, without its values, what is wrong with it.
    pub(crate) fn decode<E: Event>(self) -> Result<Delivery<E>, String> {
        let fault = |fault: &dyn Display| format!("data of {}: {fault}", E::TYPE);
        self.check().map_err(|of_envelope| of_envelope.to_string())?;
        let event = E::deserialize(&self.data).map_err(|error| fault(&without_values(&error)))?;
        event.check().map_err(|of_event| fault(&of_event))?;
        Ok(self.map(|_| event))
    }

    /// Whether what stands around the event is within its bounds.
    fn check(&self) -> Result<(), FieldFault> {
        bounds::word("service", &self.service)?;
        bounds::time("timestamp", self.timestamp, message::now())
    }

    /// Reads a message off the wire; the error says, without its values, what is wrong with it.
    pub(crate) fn read(raw: &lapin::message::Delivery) -> Result<Self, String> {
        let envelope: Envelope = parse(&raw.data)?;
        let Headers { attempt, exchange, routing_key, .. } = Headers::read(raw);
        let amqp_id = raw.properties.message_id().as_ref().map(lapin::types::ShortString::as_str);
        Ok(Self {
            // Whoever consumes says what it consumes.
            queue: Arc::default(),
            message_id: MessageId::of(envelope.event_id, amqp_id, &routing_key, &raw.data),
            event_type: envelope.event_type,
            version: envelope.version,
            routing_key,
            exchange,
            data: envelope.data,
            timestamp: envelope.timestamp,
            service: envelope.service,
            attempt,
            redelivered: raw.redelivered,
        })
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let parsed = serde_json::from_slice::<Strict<T>>(body);
    parsed.map(|Strict(value)| value).map_err(|error| without_values(&error))
}

/// What a decoder says, without the values it read: they may be personal data, and this is logged.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") || text.starts_with("duplicate field") {
        return text;
    }
    let Some((before, rest)) = text.split_once(['"', '`']) else {
        return text;
    };
    let expected = rest.rfind(", expected ").map_or("", |at| &rest[at..]);
    format!("{}{expected}", before.trim_end())
}

#[cfg(test)]
mod tests {
    use super::{parse, without_values};
    use contracts::user::UserCreated;

    #[test]
    fn a_fault_is_reported_without_the_values() {
        let wrong_type = serde_json::from_str::<u32>("\"ada@example.com\"").unwrap_err();
        let text = without_values(&wrong_type);
        assert!(text.contains("expected u32") && !text.contains("ada"), "{text}");

        let missing = serde_json::from_str::<UserCreated>("{}").unwrap_err();
        assert!(without_values(&missing).contains("user_id"));
    }

    #[test]
    fn an_array_is_no_event_in_the_order_of_its_fields() {
        let array = r#"["0197c1f0-5c00-7000-8000-000000000001","ada@example.com","Ada"]"#;
        let fault = parse::<UserCreated>(array.as_bytes()).unwrap_err();
        assert!(fault.contains("sequence") && !fault.contains("ada"), "{fault}");
    }
}
