//! A dead letter as people see it, and how they say which ones they mean.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lapin::BasicProperties;
use lapin::message::Delivery as Raw;
use lapin::types::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::broker::substitute;
use crate::consumer::Delivery;
use crate::dead_letter_queue::DeadLetterError;
use crate::dead_letter_queue::oldest::Age;
use crate::header_bound::bounded;
use crate::headers::{
    self, ATTEMPT, BROKERS_OWN, CAUSE, CAUSE_CHARS_MAX, FIRST_FAILED_AT, LAST_FAILED_AT,
    NAME_CHARS_MAX, ORIGINAL_EXCHANGE, ORIGINAL_ROUTING_KEY, UNAVAILABLE, attempt, kept, original,
    without,
};
use crate::message::MessageId;

/// Header: how often people put a message back.
const REPLAYS: &str = "x-replays";
/// Messages that one listing, replay or discard is about when the caller does not say.
const LIMIT_DEFAULT: u16 = 100;
/// Messages that one listing, replay or discard is about at most.
const LIMIT_MAX: u16 = 1_000;
/// How much of a body a peek shows.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// The cause of what the broker dead-lettered by itself.
const CRASHED: &str = "its consumer ended without an answer too often";

/// A dead letter, without what it says.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeadLetter {
    /// What the message is known by: the event's id, else the AMQP message id, else a hash.
    pub id: String,
    /// The event type; none when the message cannot be read.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Why it is here.
    pub cause: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// When the first attempt failed; none when the broker dead-lettered it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failed_at: Option<DateTime<Utc>>,
    /// When the last attempt failed, or the broker dead-lettered it; none when nothing says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failed_at: Option<DateTime<Utc>>,
    /// The exchange it came through at first.
    pub exchange: String,
    /// The routing key it came with at first.
    pub routing_key: String,
    /// Bytes of its body.
    pub bytes: usize,
    /// How often it was put back before.
    pub replays: u32,
}

/// A dead letter with what it says.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Peeked {
    /// What is known of it.
    #[serde(flatten)]
    pub dead_letter: DeadLetter,
    /// What a reader has to know.
    pub note: &'static str,
    /// Its text headers.
    pub headers: BTreeMap<String, String>,
    /// Its body: as JSON when it is JSON, else as text, with what is no UTF-8 replaced. Up to
    /// 256 KiB; a longer one is cut and shown as text.
    pub payload: Value,
}

/// Which dead letters are meant: those that match everything that is given, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
// A name that is not known must not widen what is meant.
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The message with this id.
    pub id: Option<String>,
    /// Events of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    pub event_type: Option<String>,
    /// Those whose cause holds this text.
    pub cause: Option<String>,
    /// Those whose last attempt failed at this time or later (RFC 3339).
    pub since: Option<DateTime<Utc>>,
    /// Those whose last attempt failed before this time (RFC 3339).
    pub until: Option<DateTime<Utc>>,
    /// Messages at most, 1 to 1,000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
}

impl Filter {
    /// The message with an id.
    pub fn of_id(id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..Self::default() }
    }

    pub(super) fn limit(&self) -> Result<usize, DeadLetterError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let valid = (1..=LIMIT_MAX).contains(&limit);
        valid.then_some(usize::from(limit)).ok_or(DeadLetterError::Limit)
    }

    pub(super) fn matches(&self, dead_letter: &DeadLetter) -> bool {
        let Self { id, event_type, cause, since, until, limit: _ } = self;
        let at = dead_letter.last_failed_at;
        id.as_ref().is_none_or(|id| *id == dead_letter.id)
            && event_type.as_ref().is_none_or(|of| dead_letter.event_type.as_ref() == Some(of))
            && cause.as_ref().is_none_or(|part| dead_letter.cause.contains(part.as_str()))
            && since.is_none_or(|since| at.is_some_and(|at| at >= since))
            && until.is_none_or(|until| at.is_some_and(|at| at < until))
    }
}

impl DeadLetter {
    pub(super) fn read(raw: &Raw) -> Self {
        let headers = headers::table(raw);
        let routing_key = original(&headers, ORIGINAL_ROUTING_KEY, raw.routing_key.as_str());
        let delivery = Delivery::read(raw).ok();
        let (id, event_type) = match delivery {
            Some(delivery) => (delivery.message_id, Some(delivery.event_type)),
            None => (unread_id(raw, &routing_key), None),
        };
        let time = |name| headers::text(&headers, name)?.parse().ok();
        let cause = headers::text(&headers, CAUSE)
            .or_else(|| substitute::found_in(&raw.properties))
            .unwrap_or_else(|| CRASHED.to_owned());
        let exchange = original(&headers, ORIGINAL_EXCHANGE, raw.exchange.as_str());
        Self {
            id: id.to_string(),
            event_type: event_type.map(|name| cut(&name, NAME_CHARS_MAX)),
            cause: cut(&cause, CAUSE_CHARS_MAX),
            attempts: attempt(&headers),
            first_failed_at: time(FIRST_FAILED_AT),
            last_failed_at: time(LAST_FAILED_AT).max(moved_by_the_broker_at(&headers)),
            exchange: cut(&exchange, NAME_CHARS_MAX),
            routing_key: cut(&routing_key, NAME_CHARS_MAX),
            bytes: raw.data.len(),
            replays: headers::number(&headers, REPLAYS).unwrap_or(0),
        }
    }

    /// Where it stands in time among the messages of a scan.
    pub(super) fn age(&self, raw: &Raw) -> Age {
        let last_failed_at = self.last_failed_at;
        let delivery_tag = raw.delivery_tag;
        Age { last_failed_at, id: self.id.clone(), delivery_tag }
    }

    /// Whether its first attempt failed at this time or later; false when nothing says when.
    pub(super) fn has_first_failed_since(&self, time: DateTime<Utc>) -> bool {
        self.first_failed_at.or(self.last_failed_at).is_some_and(|failed_at| failed_at >= time)
    }
}

impl Peeked {
    pub(super) fn new(dead_letter: DeadLetter, raw: &Raw) -> Self {
        let headers = headers::table(raw);
        let names = headers.inner().keys().map(|name| name.as_str().to_owned());
        let headers = names
            .filter_map(|name| headers::text(&headers, &name).map(|text| (name, text)))
            .collect();
        let note = "the payload may hold personal data: do not copy it to where it does not belong";
        Self { dead_letter, note, headers, payload: payload(&raw.data) }
    }
}

/// What a message takes while it is held, in bytes: its body and the text in its headers.
pub(super) fn size(raw: &Raw) -> usize {
    let headers = headers::table(raw);
    let texts = headers.inner().iter().map(|(name, value)| match value {
        AMQPValue::LongString(text) => name.as_str().len() + text.len(),
        _ => name.as_str().len(),
    });
    raw.data.len() + texts.sum::<usize>()
}

/// The properties of a message that begins anew.
pub(super) fn fresh(raw: &Raw) -> BasicProperties {
    kept(&raw.properties).with_headers(bounded(fresh_headers(&headers::table(raw))))
}

fn fresh_headers(dead_letter: &FieldTable) -> FieldTable {
    let mut headers = without(dead_letter, &BROKERS_OWN);
    let replays = headers::number(dead_letter, REPLAYS).unwrap_or(0).saturating_add(1);
    headers::set_number(&mut headers, REPLAYS, replays);
    without(&headers, &[ATTEMPT, CAUSE, FIRST_FAILED_AT, LAST_FAILED_AT, UNAVAILABLE])
}

/// When the broker dead-lettered a message by itself for the last time.
fn moved_by_the_broker_at(headers: &FieldTable) -> Option<DateTime<Utc>> {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { return None };
    let times = deaths.as_slice().iter().filter_map(|death| {
        let AMQPValue::FieldTable(death) = death else { return None };
        let Some(AMQPValue::Timestamp(seconds)) = death.inner().get("time") else { return None };
        DateTime::from_timestamp(i64::try_from(*seconds).ok()?, 0)
    });
    times.max()
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

fn payload(body: &[u8]) -> Value {
    if body.len() <= PAYLOAD_BYTES_MAX
        && let Ok(json) = serde_json::from_slice(body)
    {
        return json;
    }
    let shown = &body[..body.len().min(PAYLOAD_BYTES_MAX)];
    Value::String(String::from_utf8_lossy(shown).into_owned())
}

/// The id of a message whose body cannot be read.
fn unread_id(raw: &Raw, routing_key: &str) -> MessageId {
    let amqp_id = raw.properties.message_id().as_ref().map(lapin::types::ShortString::as_str);
    MessageId::of(None, amqp_id, routing_key, &raw.data)
}

#[cfg(test)]
mod tests {
    use super::{DeadLetter, Filter, PAYLOAD_BYTES_MAX, payload};
    use serde_json::{Value, json};

    #[test]
    fn a_filter_means_what_matches_all_of_it() {
        let dead_letter = DeadLetter {
            id: "1".to_owned(),
            event_type: Some("user.created".to_owned()),
            cause: "no such user".to_owned(),
            attempts: 3,
            first_failed_at: None,
            last_failed_at: "2026-01-15T09:30:00Z".parse().ok(),
            exchange: "user.events".to_owned(),
            routing_key: "user.created".to_owned(),
            bytes: 2,
            replays: 0,
        };
        let filter =
            |json| serde_json::from_value::<Filter>(json).is_ok_and(|f| f.matches(&dead_letter));

        assert!(filter(json!({})));
        assert!(filter(json!({"type": "user.created", "cause": "such", "id": "1"})));
        assert!(filter(json!({"since": "2026-01-15T09:30:00Z", "until": "2026-01-15T09:30:01Z"})));
        assert!(!filter(json!({"until": "2026-01-15T09:30:00Z"})));
        assert!(!filter(json!({"type": "user.created", "cause": "other"})));
        assert!(!filter(json!({"type": "user.deleted"})));
        assert!(!filter(json!({"id": "2"})));
        assert!(!filter(json!({"typ": "user.created"})), "a mistyped name does not mean all");
    }

    #[test]
    fn a_payload_is_shown_as_what_it_is_and_not_without_end() {
        assert_eq!(payload(b"{\"a\":1}"), json!({"a": 1}));
        assert_eq!(payload(b"not json"), json!("not json"));
        let Value::String(cut) = payload(&vec![b'1'; PAYLOAD_BYTES_MAX + 1]) else {
            panic!("a long one is text");
        };
        assert_eq!(cut.len(), PAYLOAD_BYTES_MAX);
    }
}
