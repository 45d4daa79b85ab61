//! `[queue]` and `[queue:<key>]`: what queues are like. The broker keeps a queue as it was made: a
//! change is told at start as a drift, and takes effect once the old queue is deleted.

use std::num::NonZeroU32;

use serde::Deserialize;

/// Section `[queue]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// How the broker keeps its messages.
    #[serde(rename = "type")]
    pub queue_type: QueueType,
    /// Deliveries of one message that ended without an answer before the broker dead-letters it: a net
    /// under a handler that takes the process down. Attempts are counted by the consumer itself.
    /// Quorum queues only.
    pub delivery_limit: NonZeroU32,
    /// Whether the broker delivers to one consumer at a time, and to the next when that one is gone:
    /// with [`Handlers::ordered`](crate::Handlers::ordered), events of one aggregate are handled in
    /// order also by several instances. Their consumers then do the work of one.
    pub single_active_consumer: bool,
    /// Messages in the queue at most; further ones are refused and stay in their outboxes. 0: no
    /// limit. Quorum queues only, and so is the next.
    pub max_length: u32,
    /// Bytes of bodies in the queue at most; further messages are refused. 0: no limit.
    pub max_length_bytes: u64,
}

/// How a queue's messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueType {
    /// On a majority of the nodes; what moves between queues moves at least once.
    Quorum,
    /// On one node. A message that expires or is refused moves to the next queue without a confirm,
    /// and may be lost when the node dies at that moment: for trying things out.
    Classic,
}

/// Section `[queue:<key>]`: what is left out is as in `[queue]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct QueueOverrides {
    /// Instead of [`QueueSettings::queue_type`].
    #[serde(rename = "type")]
    pub queue_type: Option<QueueType>,
    /// Instead of [`QueueSettings::delivery_limit`].
    pub delivery_limit: Option<NonZeroU32>,
    /// Instead of [`QueueSettings::single_active_consumer`].
    pub single_active_consumer: Option<bool>,
    /// Instead of [`QueueSettings::max_length`].
    pub max_length: Option<u32>,
    /// Instead of [`QueueSettings::max_length_bytes`].
    pub max_length_bytes: Option<u64>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            queue_type: QueueType::Quorum,
            delivery_limit: super::nonzero(50).into(),
            single_active_consumer: false,
            max_length: 0,
            max_length_bytes: 0,
        }
    }
}

impl QueueSettings {
    /// Whether what moves to the queue by itself is dropped when the queue is full: only quorum
    /// queues wait for the confirm of the queue that they move a message to.
    pub(super) fn may_drop(&self) -> bool {
        let is_limited = self.max_length > 0 || self.max_length_bytes > 0;
        is_limited && self.queue_type == QueueType::Classic
    }

    pub(super) fn with(&self, overrides: &QueueOverrides) -> Self {
        Self {
            queue_type: overrides.queue_type.unwrap_or(self.queue_type),
            delivery_limit: overrides.delivery_limit.unwrap_or(self.delivery_limit),
            single_active_consumer: overrides
                .single_active_consumer
                .unwrap_or(self.single_active_consumer),
            max_length: overrides.max_length.unwrap_or(self.max_length),
            max_length_bytes: overrides.max_length_bytes.unwrap_or(self.max_length_bytes),
        }
    }
}
