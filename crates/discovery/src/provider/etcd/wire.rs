//! The gateway's JSON: bytes are base64, 64-bit numbers are strings, and what has its default value
//! is left out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::provider::ProviderError;

/// Bytes, in base64 on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(Vec<u8>);

impl Text {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_owned())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

/// The value of a key: an instance.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Value {
    pub(super) host: String,
    pub(super) port: u16,
    #[serde(default = "one")]
    pub(super) weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct KeyValue {
    pub(super) key: Text,
    #[serde(default)]
    pub(super) value: Text,
    #[serde(default, deserialize_with = "number")]
    pub(super) mod_revision: u64,
}

/// The answer to a range request.
#[derive(Debug, Deserialize)]
pub(super) struct Range {
    pub(super) header: Header,
    /// As many as were asked for.
    #[serde(default)]
    pub(super) kvs: Vec<KeyValue>,
    /// Of all.
    #[serde(default, deserialize_with = "number")]
    pub(super) count: u64,
}

/// A line of a watch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WatchLine {
    Result(WatchResponse),
    Error(serde_json::Value),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchResponse {
    pub(super) header: Header,
    canceled: bool,
    #[serde(deserialize_with = "number")]
    compact_revision: u64,
    cancel_reason: String,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    /// `PUT`, which is left out, or `DELETE`.
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    pub(super) kv: KeyValue,
}

impl WatchLine {
    /// What was told; a watch that was cancelled for another reason than compaction is an error.
    pub(super) fn into_result(self) -> Result<WatchResponse, ProviderError> {
        match self {
            Self::Result(told) if told.canceled && !told.is_compacted() => {
                Err(ProviderError::Malformed(format!("watch cancelled: {}", told.cancel_reason)))
            }
            Self::Result(told) => Ok(told),
            Self::Error(error) => Err(ProviderError::Malformed(format!("watch failed: {error}"))),
        }
    }
}

impl WatchResponse {
    pub(super) fn is_compacted(&self) -> bool {
        self.canceled && self.compact_revision > 0
    }
}

/// A lease that was granted.
#[derive(Debug, Deserialize)]
pub(super) struct Granted {
    #[serde(rename = "ID")]
    pub(super) id: String,
}

/// The answer to a heartbeat.
#[derive(Debug, Deserialize)]
pub(super) struct KeptAlive {
    pub(super) result: Kept,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// Seconds left; 0, and so left out, when there is no such lease.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(super) ttl: u64,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
