//! Puts a message into another queue of its consumer: a retry queue or the dead-letter queue.

use std::sync::Arc;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::message::Delivery as Raw;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::Attachment;
use crate::header_bound::bounded;
use crate::headers::{Headers, kept};
use crate::publisher::{Message, PublishOutcome, Publisher};
use crate::topology::{Readers, Topology};

/// The longest wait for the broker's confirm of a message that moves on.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer a message may still move on once its subscription has ended.
const ENDING_GRACE: Duration = Duration::from_secs(5);

/// Puts messages into the retry queues and the dead-letter queue.
pub(super) struct Republisher {
    publisher: Publisher,
    topology: Arc<Topology>,
}

impl Republisher {
    pub(super) fn new(link: Attachment, topology: Arc<Topology>) -> Self {
        let publisher = Publisher::new(link, Readers::default(), CONFIRM_TIMEOUT);
        Self { publisher, topology }
    }

    /// Puts `raw` with new headers into `queue` and waits for the broker's confirm. Tries until it
    /// is done, or `ended` was cancelled a while ago: then false, and the broker delivers `raw` again.
    pub(super) async fn move_to(
        &self,
        queue: &str,
        raw: &Raw,
        headers: &Headers,
        ended: &CancellationToken,
    ) -> bool {
        let properties = kept(&raw.properties).with_headers(bounded(headers.write()));
        let given_up = async {
            ended.cancelled().await;
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
