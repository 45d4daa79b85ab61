//! A span, as it is kept.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span as Received;
use serde::{Deserialize, Serialize};

/// Attributes, events and links of a span that are kept, each.
const MANY_MAX: usize = 64;
/// Bytes of a text that are kept.
const TEXT_MAX: usize = 2048;

pub(crate) type TraceId = [u8; 16];
pub(crate) type Id = [u8; 8];

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A span.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Span {
    #[serde(with = "hexadecimal")]
    pub(crate) trace: TraceId,
    #[serde(with = "hexadecimal")]
    pub(crate) id: Id,
    #[serde(with = "optional", default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Id>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Nanoseconds since 1970.
    pub(crate) began: u64,
    /// Nanoseconds.
    pub(crate) took: u64,
    /// Whether its status is an error, and what that says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attributes: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
}

/// Something that happened during a span.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Nanoseconds since 1970.
    pub(crate) at: u64,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attributes: Vec<(String, String)>,
}

/// Another span that a span has to do with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Link {
    #[serde(with = "hexadecimal")]
    pub(crate) trace: TraceId,
    #[serde(with = "hexadecimal")]
    pub(crate) id: Id,
}

impl Span {
    /// Of what was received; none when its ids are not ids.
    pub(crate) fn of(received: Received, service: &str) -> Option<Self> {
        let kind = match received.kind {
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Internal,
        };
        // 2 is `STATUS_CODE_ERROR`.
        let error = received.status.filter(|status| status.code == 2);
        let links = received.links.into_iter().take(MANY_MAX);
        let links = links
            .filter_map(|link| Some(Link { trace: id(&link.trace_id)?, id: id(&link.span_id)? }));
        let events = received.events.into_iter().take(MANY_MAX).map(|event| Event {
            at: event.time_unix_nano,
            name: cut(event.name),
            attributes: attributes(event.attributes),
        });
        Some(Self {
            trace: id(&received.trace_id)?,
            id: id(&received.span_id)?,
            parent: id(&received.parent_span_id),
            service: service.to_owned(),
            name: cut(received.name),
            kind,
            began: received.start_time_unix_nano,
            took: received.end_time_unix_nano.saturating_sub(received.start_time_unix_nano),
            error: error.map(|status| cut(status.message)),
            attributes: attributes(received.attributes),
            events: events.collect(),
            links: links.collect(),
        })
    }

    /// An attribute; empty when there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Nanoseconds since 1970.
    pub(crate) fn ended(&self) -> u64 {
        self.began.saturating_add(self.took)
    }
}

/// The name of the service that sent these attributes of its process.
pub(crate) fn service(resource: &[KeyValue]) -> String {
    let name = resource.iter().find(|pair| pair.key == "service.name");
    let name = name.and_then(|pair| pair.value.clone()).map(|value| text(value, 0));
    cut(name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned()))
}

/// Names and values, as many as are kept.
pub(crate) fn attributes(pairs: Vec<KeyValue>) -> Vec<(String, String)> {
    let pairs = pairs.into_iter().take(MANY_MAX);
    pairs.filter_map(|pair| Some((cut(pair.key), cut(text(pair.value?, 0))))).collect()
}

/// A value as text; lists that hold lists are left out below the third.
pub(crate) fn text(value: AnyValue, depth: usize) -> String {
    match value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::ArrayValue(list)) if depth < 3 => {
            let items = list.values.into_iter().take(MANY_MAX);
            items.map(|item| text(item, depth + 1)).collect::<Vec<_>>().join(", ")
        }
        Some(_) => "…".to_owned(),
    }
}

/// As much of a text as is kept.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
    }
    text
}

/// An id of its length that is not all zeros.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id: &[u8; N]| id.iter().any(|byte| *byte != 0))
}

/// In hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

/// An id of hexadecimal digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == N * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut id = [0; N];
    for (at, byte) in id.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    is_hex.then_some(id)
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        id: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(id))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        super::parse_hex(&text).ok_or_else(|| D::Error::custom("an id of hexadecimal digits"))
    }
}

mod optional {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(
        id: &Option<super::Id>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&id.map(|id| super::hex(&id)).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<super::Id>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(super::parse_hex(&text))
    }
}
