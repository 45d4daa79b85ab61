//! Moves a message on: to a retry queue or to the dead-letter queue, and what its headers then say.
//!
//! | header | meaning |
//! |---|---|
//! | `x-attempt` | in a retry queue: the attempt to come; dead-lettered: attempts made |
//! | `x-cause` | why the last attempt failed, at most 1,000 characters |
//! | `x-first-failed-at`, `x-last-failed-at` | RFC 3339, UTC |
//! | `x-original-exchange`, `x-original-routing-key` | where it came in |
//! | `x-unavailable` | how often in a row something it needs was away |
//!
//! All other headers are kept, `traceparent` among them, but for those by which the broker would
//! route or count, and for the longest where a frame would be too short for them all.

use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use lapin::BasicProperties;
use lapin::message::Delivery as Raw;
use lapin::types::FieldTable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::Attachment;
use crate::consumer::delivery::{
    ATTEMPT, ORIGINAL_EXCHANGE, ORIGINAL_ROUTING_KEY, headers, original,
};
use crate::header_bound::bounded;
use crate::message::{self, PERSISTENT};
use crate::publisher::{Message, PublishOutcome, Publisher};
use crate::topology::{Readers, Topology};

/// Header: how often in a row something that the message needs was away.
pub(crate) const UNAVAILABLE: &str = "x-unavailable";
pub(crate) const CAUSE: &str = "x-cause";
pub(crate) const FIRST_FAILED_AT: &str = "x-first-failed-at";
pub(crate) const LAST_FAILED_AT: &str = "x-last-failed-at";
/// Headers that the broker routes or counts by: they say nothing true of the message any more.
pub(crate) const BROKERS_OWN: [&str; 7] = [
    "CC",
    "BCC",
    "x-death",
    "x-delivery-count",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
];
/// The longest cause that is kept: headers must fit a frame.
pub(crate) const CAUSE_CHARS_MAX: usize = 1_000;
/// The longest exchange or key: AMQP's short string.
pub(crate) const NAME_CHARS_MAX: usize = 255;
/// The longest wait for the broker's confirm of a message that moves on.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer a message may still move on once the subscription is ending.
const ENDING_GRACE: Duration = Duration::from_secs(5);

/// Where messages go that are not done with.
pub(super) struct Outlet {
    publisher: Publisher,
    topology: Arc<Topology>,
}

impl Outlet {
    pub(super) fn new(link: Attachment, topology: Arc<Topology>) -> Self {
        let publisher = Publisher::new(link, Readers::default(), CONFIRM_TIMEOUT);
        Self { publisher, topology }
    }

    /// Puts `raw` with new headers into `queue` and waits for the broker's confirm. Tries until it
    /// is done or the subscription has ended: then false, and the broker delivers `raw` again.
    pub(super) async fn move_to(
        &self,
        queue: &str,
        raw: &Raw,
        headers: FieldTable,
        ending: &CancellationToken,
    ) -> bool {
        let properties = kept(&raw.properties).with_headers(bounded(headers));
        let given_up = async {
            ending.cancelled().await;
            sleep(ENDING_GRACE).await;
        };
        tokio::select! {
            biased;
            () = self.insist(queue, &raw.data, &properties) => true,
            () = given_up => false,
        }
    }

    async fn insist(&self, queue: &str, body: &[u8], properties: &BasicProperties) {
        let backoff = backoff::again();
        for attempt in 1.. {
            match self.publish(queue, body, properties.clone()).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(outcome = ?error, attempt, "message could not be moved on");
                }
            }
            sleep(backoff.delay(attempt)).await;
        }
    }

    async fn publish(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), PublishOutcome> {
        // The default exchange: straight into the queue of that name.
        let message = Message { exchange: "".into(), routing_key: queue.into(), body, properties };
        match self.publisher.publish(message).await {
            PublishOutcome::Confirmed => Ok(()),
            outcome => {
                if outcome == PublishOutcome::Returned {
                    // Somebody deleted the queue: the next try finds it again.
                    self.publisher.declare(&self.topology).await;
                }
                Err(outcome)
            }
        }
    }

    /// Ends the hold on the connection.
    pub(super) async fn detach(self) {
        self.publisher.close().await;
    }
}

/// The headers of a message that failed for `cause`, with `attempt` as its number.
pub(super) fn failed(raw: &Raw, attempt: u32, cause: &str) -> FieldTable {
    let mut headers = moved(raw);
    let now = now();
    let first = message::text(&headers, FIRST_FAILED_AT).unwrap_or_else(|| now.clone());
    message::set_number(&mut headers, ATTEMPT, attempt);
    message::set_text(&mut headers, CAUSE, cause, CAUSE_CHARS_MAX);
    message::set_text(&mut headers, FIRST_FAILED_AT, &first, NAME_CHARS_MAX);
    message::set_text(&mut headers, LAST_FAILED_AT, &now, NAME_CHARS_MAX);
    without(&headers, &[UNAVAILABLE])
}

/// The headers of a message whose handler found something away for the `times`-th time in a row.
pub(super) fn unavailable(raw: &Raw, times: u32, cause: &str) -> FieldTable {
    let mut headers = moved(raw);
    message::set_number(&mut headers, UNAVAILABLE, times);
    message::set_text(&mut headers, CAUSE, cause, CAUSE_CHARS_MAX);
    headers
}

/// The headers of a message that leaves its queue: it remembers where it came in.
fn moved(raw: &Raw) -> FieldTable {
    let mut headers = headers(raw);
    let exchange = original(&headers, ORIGINAL_EXCHANGE, raw.exchange.as_str());
    let key = original(&headers, ORIGINAL_ROUTING_KEY, raw.routing_key.as_str());
    message::set_text(&mut headers, ORIGINAL_EXCHANGE, &exchange, NAME_CHARS_MAX);
    message::set_text(&mut headers, ORIGINAL_ROUTING_KEY, &key, NAME_CHARS_MAX);
    without(&headers, &BROKERS_OWN)
}

pub(crate) fn without(headers: &FieldTable, names: &[&str]) -> FieldTable {
    let mut kept = headers.inner().clone();
    for name in names {
        kept.remove(*name);
    }
    kept.into()
}

/// The properties that are the message's own. Not kept: `expiration`, which would cut a pause
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

/// For people who look into a dead-letter queue; no decision hangs on it, so it needs no injected clock.
#[allow(clippy::disallowed_methods)]
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}
