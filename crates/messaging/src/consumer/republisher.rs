//! Puts a message into another queue of its consumer: a retry queue or the dead-letter queue.

use std::sync::Arc;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::message::Delivery as Raw;
use tokio::sync::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::Attachment;
use crate::headers::{Headers, kept};
use crate::publisher::{Message, Outcome, Publisher};
use crate::topology::{Topology, TopologyError};

/// The longest wait for the broker's confirm of a message that moves on.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer a message may still move on once its subscription has ended.
const ENDING_GRACE: Duration = Duration::from_secs(5);

/// Puts messages into the retry queues and the dead-letter queue. One publisher, used by one handler
/// at a time.
pub(super) struct Republisher {
    link: Attachment,
    topology: Arc<Topology>,
    publisher: Mutex<Option<Publisher>>,
}

/// Why a message did not move on at the first try.
#[derive(Debug, thiserror::Error)]
enum RepublishError {
    #[error("the broker gave no channel: {0}")]
    Channel(#[from] lapin::Error),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("the broker takes no messages")]
    Blocked,
    #[error("the broker did not confirm it")]
    Unconfirmed,
}

impl Republisher {
    pub(super) fn new(link: Attachment, topology: Arc<Topology>) -> Self {
        Self { link, topology, publisher: Mutex::new(None) }
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
        let properties = kept(&raw.properties).with_headers(headers.write());
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
                    tracing::warn!(error = %error, attempt, "message could not be moved on");
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
    ) -> Result<(), RepublishError> {
        let mut slot = self.publisher.lock().await;
        if self.link.is_blocked() {
            return Err(RepublishError::Blocked);
        }
        // Taken out while in use: a call that is dropped half-way leaves no confirm behind that the
        // next one could take for its own.
        let mut publisher = match slot.take().filter(Publisher::is_usable) {
            Some(publisher) => publisher,
            None => Publisher::new(self.link.channel().await, CONFIRM_TIMEOUT).await?,
        };
        // The default exchange: straight into the queue of that name.
        let message = Message { exchange: "".into(), routing_key: queue.into(), body, properties };
        match publisher.publish(message).await {
            Outcome::Confirmed => {}
            Outcome::Unroutable => {
                // Somebody deleted the queue: the next try finds it again.
                self.topology.declare_outlets(publisher.channel()).await?;
                *slot = Some(publisher);
                return Err(RepublishError::Unconfirmed);
            }
            Outcome::Refused | Outcome::Unknown(_) => return Err(RepublishError::Unconfirmed),
        }
        *slot = Some(publisher);
        Ok(())
    }

    /// Ends the hold on the connection.
    pub(super) async fn detach(self) {
        drop(self.publisher);
        self.link.detach().await;
    }
}
