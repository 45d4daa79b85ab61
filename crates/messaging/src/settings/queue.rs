//! `[queue]` and `[queue:<key>]`: what queues are like. The broker keeps a queue as it was made: a
//! change is told at start as a drift, and takes effect once the old queue is deleted.

use std::num::NonZeroU32;

use serde::Deserialize;

/// Messages that wait for people or for another attempt at most: what a flood of poison messages may
/// take of the broker's disk, which all publishers share.
const FAILED_MAX_LENGTH: u32 = 100_000;
/// Bytes of them at most: 1 GiB.
const FAILED_MAX_LENGTH_BYTES: u64 = 1024 * 1024 * 1024;

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
    /// Messages in the dead-letter queue at most. Further ones stay where they are, and their consumer
    /// waits for room with them. 0: no limit.
    pub dead_letter_max_length: u32,
    /// Bytes of bodies in the dead-letter queue at most. 0: no limit.
    pub dead_letter_max_length_bytes: u64,
    /// Messages in each retry queue at most. Further ones stay where they are, and their consumer
    /// waits for room with them. 0: no limit. A queue that itself has a limit has retry queues without
    /// one: each could wait for room in the other, for ever.
    pub retry_max_length: u32,
    /// Bytes of bodies in each retry queue at most. 0: no limit.
    pub retry_max_length_bytes: u64,
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
    /// Instead of [`QueueSettings::dead_letter_max_length`].
    pub dead_letter_max_length: Option<u32>,
    /// Instead of [`QueueSettings::dead_letter_max_length_bytes`].
    pub dead_letter_max_length_bytes: Option<u64>,
    /// Instead of [`QueueSettings::retry_max_length`].
    pub retry_max_length: Option<u32>,
    /// Instead of [`QueueSettings::retry_max_length_bytes`].
    pub retry_max_length_bytes: Option<u64>,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            queue_type: QueueType::Quorum,
            delivery_limit: super::nonzero(50).into(),
            single_active_consumer: false,
            max_length: 0,
            max_length_bytes: 0,
            dead_letter_max_length: FAILED_MAX_LENGTH,
            dead_letter_max_length_bytes: FAILED_MAX_LENGTH_BYTES,
            retry_max_length: FAILED_MAX_LENGTH,
            retry_max_length_bytes: FAILED_MAX_LENGTH_BYTES,
        }
    }
}

impl QueueSettings {
    /// Whether what moves to the queue by itself is dropped when the queue is full: only quorum
    /// queues wait for the confirm of the queue that they move a message to.
    pub(super) fn may_drop(&self) -> bool {
        self.is_limited() && self.queue_type == QueueType::Classic
    }

    /// Whether the queue itself, apart from its retry queues and dead-letter queue, can be full.
    pub(crate) fn is_limited(&self) -> bool {
        self.max_length > 0 || self.max_length_bytes > 0
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
            dead_letter_max_length: overrides
                .dead_letter_max_length
                .unwrap_or(self.dead_letter_max_length),
            dead_letter_max_length_bytes: overrides
                .dead_letter_max_length_bytes
                .unwrap_or(self.dead_letter_max_length_bytes),
            retry_max_length: overrides.retry_max_length.unwrap_or(self.retry_max_length),
            retry_max_length_bytes: overrides
                .retry_max_length_bytes
                .unwrap_or(self.retry_max_length_bytes),
        }
    }
}
