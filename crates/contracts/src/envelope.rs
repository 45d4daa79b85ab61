//! What every event travels in: four fields that every client knows, and two that one may leave out.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::EventId;
use crate::bounds::{self, Checked, FieldFault};

/// An event as it stands in a message's body, JSON in this order of fields.
///
/// `D` is [`Value`] for a reader that looks at [`Envelope::event_type`] first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Envelope<D = Value> {
    /// `noun.verb` in the past tense; also the routing key, such as `user.created`.
    pub event_type: String,
    /// What happened: the event itself.
    pub data: D,
    /// When it happened: RFC 3339, written in UTC, read with any offset.
    pub timestamp: DateTime<Utc>,
    /// The publisher, as `services.tsk` names it.
    pub service: String,
    /// The event's own id, the same in every delivery. A client that knows the four fields alone sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// The version of `data`. A client that knows the four fields alone sends none and means 1.
    #[serde(default = "one", deserialize_with = "or_one")]
    pub version: u16,
}

/// One kind of event: its name, its version, and where it is published.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The event type, which is the routing key too: `user.created`.
    const TYPE: &'static str;
    /// The version of the fields that this type knows.
    const VERSION: u16 = 1;
    /// Whether somebody must be listening. The outbox keeps a mandatory event until a queue is bound
    /// for it; one that is not mandatory is news for whoever cares, and gone when nobody does.
    const MANDATORY: bool = true;
    /// The key of its exchange in `[exchanges]` of `message_queue.tsk`: `user_exchange`.
    const EXCHANGE: &'static str;

    /// What it happened to. Events of one aggregate keep their order.
    fn aggregate_id(&self) -> Uuid;

    /// Whether each field is within its [bounds]: asked where the event is published
    /// and where it is read. An event that holds ids, flags and closed sets only has nothing to check.
    ///
    /// # Errors
    /// The first field that is not, without its value.
    fn check(&self) -> Checked {
        Ok(())
    }
}

impl<E: Event> Envelope<E> {
    /// The envelope of an event that `service` publishes.
    pub fn new(event_id: EventId, timestamp: DateTime<Utc>, service: &str, event: E) -> Self {
        Self {
            event_type: E::TYPE.to_owned(),
            data: event,
            timestamp,
            service: service.to_owned(),
            event_id: Some(event_id),
            version: E::VERSION,
        }
    }
}

impl<D> Envelope<D> {
    /// Whether the fields around the event are within their [bounds]; `now` is the time of whoever
    /// asks.
    ///
    /// # Errors
    /// The first field that is not, without its value.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), FieldFault> {
        bounds::word("event_type", &self.event_type)?;
        bounds::word("service", &self.service)?;
        bounds::time("timestamp", self.timestamp, now)
    }
}

const fn one() -> u16 {
    1
}

/// `null` is as good as left out.
fn or_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(one))
}
