//! The dead-letter queue: what a queue's consumer gave up on, for people to look at, put back or throw
//! away.
//!
//! AMQP cannot look into a queue. So a look takes messages without acknowledging them, on a channel
//! of its own, and returns them at its end, which may change their order. Two looks at the same moment
//! would each see a part: they take turns, in all processes. One look sees the first 50,000 messages;
//! answers say how many it saw, and how many there were.
//!
//! Nothing is lost on the way: a replayed message leaves the dead-letter queue after the broker has confirmed it
//! in its queue, and a discarded one after the caller has confirmed exactly what goes.

mod dead_letter;
mod look;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::broker::{Attachment, Broker};
use crate::dead_letter_queue::look::Look;
use crate::message::hex;
use crate::publisher::{Message, PublishOutcome, Publisher};
use crate::settings::{MessagingSettings, SettingsError};
use crate::topology::{Readers, Topology, TopologyError, dead_letter_queue, message_count};

pub use dead_letter::{DeadLetter, Filter, Peeked};

/// The longest wait for the broker's confirm of a message that is put back.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the dead-letter queue could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// No dead letter has this id, or somebody else holds it at this moment.
    #[error("no dead letter has this id")]
    NotFound,
    /// The filter's limit is out of its bounds.
    #[error("limit must be 1 to 1000")]
    Limit,
    /// What matches is not what the caller has confirmed.
    #[error("the dead-letter queue has changed since it was looked at; look again")]
    Changed,
    /// The broker gave no channel in time.
    #[error("the broker is not reachable")]
    Unavailable,
    /// Somebody else looks into it at this moment.
    #[error("somebody else looks into the dead-letter queue; try again")]
    Busy,
    /// The broker broke off.
    #[error("the broker broke off: {0}")]
    Broker(#[from] lapin::Error),
    /// The broker ended the look.
    #[error("the broker ended the look")]
    Ended,
    /// The queues are not as they must be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// How much is in a queue and in its dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Depth {
    /// The queue's name.
    pub queue: String,
    /// Messages that wait for the consumer, without those it holds already.
    pub waiting: u32,
    /// Messages that the consumer gave up on.
    pub dead_letters: u32,
}

/// What a look into a dead-letter queue found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Listing {
    /// What matches, oldest first.
    pub items: Vec<DeadLetter>,
    /// Messages that were looked at, at most 50,000.
    pub seen: u32,
    /// Messages in the dead-letter queue; more than `seen` when the look ended early.
    pub dead_letters: u32,
}

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Replayed {
    /// Messages that are in their queue again.
    pub replayed: u32,
    /// Messages that were looked at, at most 50,000.
    pub seen: u32,
    /// Messages that were in the dead-letter queue; those not seen are not replayed.
    pub dead_letters: u32,
    /// Why it ended before everything that matched was put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// What became of a discard, or would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Discarded {
    /// Messages that match.
    pub matched: u32,
    /// Messages that are gone: none as long as the confirmation is missing.
    pub discarded: u32,
    /// Messages that were looked at, at most 50,000.
    pub seen: u32,
    /// Messages that were in the dead-letter queue; those not seen are not discarded.
    pub dead_letters: u32,
    /// Stands for exactly the messages that match: to be sent with the request that discards them.
    pub confirmation: String,
}

/// The dead-letter queue of one queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeadLetterQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    broker: Broker,
    topology: Topology,
    /// Held by the one look that is under way.
    turn: Mutex<()>,
}

impl DeadLetterQueue {
    /// The dead-letter queue of the queue that `queue_key` names in `[queues]`.
    pub fn new(
        broker: Broker,
        settings: &MessagingSettings,
        queue_key: &str,
    ) -> Result<Self, SettingsError> {
        let topology = Topology::of(settings, queue_key, [])?;
        Ok(Self(Arc::new(Shared { broker, topology, turn: Mutex::new(()) })))
    }

    /// The name of the queue whose messages are dead-lettered here.
    pub fn queue(&self) -> &str {
        &self.0.topology.queue
    }

    /// How much is in the queue and in its dead-letter queue.
    pub async fn depth(&self) -> Result<Depth, DeadLetterError> {
        let link = self.0.broker.consuming_at_times();
        let depth = self.depth_over(&link).await;
        link.detach().await;
        depth
    }

    async fn depth_over(&self, link: &Attachment) -> Result<Depth, DeadLetterError> {
        let channel = look::channel(link).await?;
        self.0.topology.declare_outlets(&channel).await?;
        let dead_letters = message_count(&channel, &self.name()).await?;
        let waiting = match message_count(&channel, self.queue()).await {
            // The queue is not there yet, over which the channel is closed.
            Err(TopologyError::Broker { source, .. }) if source.is_amqp_soft_error() => 0,
            other => other?,
        };
        Ok(Depth { queue: self.queue().to_owned(), waiting, dead_letters })
    }

    /// What matches, without what the messages say.
    pub async fn list(&self, filter: &Filter) -> Result<Listing, DeadLetterError> {
        let limit = filter.limit()?;
        let _turn = self.0.turn.lock().await;
        let mut look = Look::open(&self.0.broker, &self.0.topology).await?;
        let items = async {
            let mut items = Vec::new();
            while let Some((dead_letter, _)) = look.next(filter).await? {
                items.push(dead_letter);
            }
            items.sort_by(DeadLetter::by_age);
            items.truncate(limit);
            Ok(items)
        };
        let items = items.await;
        let (seen, dead_letters) = (look.seen(), look.dead_letters());
        look.close().await;
        items.map(|items| Listing { items, seen, dead_letters })
    }

    /// One message with what it says.
    pub async fn peek(&self, id: &str) -> Result<Peeked, DeadLetterError> {
        let _turn = self.0.turn.lock().await;
        let mut look = Look::open(&self.0.broker, &self.0.topology).await?;
        let found = look.next(&Filter::of_id(id)).await;
        look.close().await;
        let (dead_letter, raw) = found?.ok_or(DeadLetterError::NotFound)?;
        Ok(Peeked::new(dead_letter, &raw))
    }

    /// Puts what matches back into its queue, with all attempts before it. Each
    /// leaves the dead-letter queue once the broker has confirmed it there; in between it is in both, and the
    /// [inbox](crate::inbox) makes that one effect.
    pub async fn replay(&self, filter: &Filter) -> Result<Replayed, DeadLetterError> {
        let limit = filter.limit()?;
        let _turn = self.0.turn.lock().await;
        let connection = self.0.broker.publishing_at_times();
        let publisher = Publisher::new(connection, Readers::default(), CONFIRM_TIMEOUT);
        let mut look = Look::open(&self.0.broker, &self.0.topology).await?;
        let replayed = self.replay_all(&mut look, &publisher, filter, limit).await;
        look.close().await;
        publisher.close().await;
        let queue = self.queue();
        let count = replayed.replayed;
        tracing::warn!(messaging.queue = queue, replayed = count, "dead letters were replayed");
        Ok(replayed)
    }

    async fn replay_all(
        &self,
        look: &mut Look,
        publisher: &Publisher,
        filter: &Filter,
        limit: usize,
    ) -> Replayed {
        let mut replayed = 0;
        let mut stopped = None;
        while stopped.is_none() && (replayed as usize) < limit {
            let raw = match look.next(filter).await {
                Ok(Some((_, raw))) => raw,
                Ok(None) => break,
                Err(error) => {
                    stopped = Some(error.to_string());
                    break;
                }
            };
            let properties = dead_letter::fresh(&raw);
            let routing_key = self.queue().into();
            let body = &raw.data;
            let message = Message { exchange: "".into(), routing_key, body, properties };
            match publisher.publish(message).await {
                PublishOutcome::Confirmed => {
                    replayed += 1;
                    // An acknowledgement that is not sent leaves it in both queues.
                    let removed = look.remove(&raw).await;
                    stopped = (!removed).then(|| "the broker broke off".to_owned());
                }
                PublishOutcome::Returned => stopped = Some("the queue is not there".to_owned()),
                PublishOutcome::Refused(_) => {
                    stopped = Some("the queue takes no message".to_owned());
                }
                PublishOutcome::Unknown => stopped = Some("the broker did not confirm".to_owned()),
            }
        }
        Replayed { replayed, seen: look.seen(), dead_letters: look.dead_letters(), stopped }
    }

    /// Throws away what matches if `confirmation` stands for exactly that. Without
    /// one nothing is thrown away: the answer says how much would be, and its confirmation.
    pub async fn discard(
        &self,
        filter: &Filter,
        confirmation: Option<&str>,
    ) -> Result<Discarded, DeadLetterError> {
        let limit = filter.limit()?;
        let _turn = self.0.turn.lock().await;
        let mut look = Look::open(&self.0.broker, &self.0.topology).await?;
        let discarded = discard_all(&mut look, filter, limit, confirmation).await;
        look.close().await;
        if let Ok(Discarded { discarded: discarded @ 1.., .. }) = discarded {
            let queue = self.queue();
            tracing::warn!(messaging.queue = queue, discarded, "dead letters were discarded");
        }
        discarded
    }

    /// The name of the dead-letter queue's own queue.
    pub fn name(&self) -> String {
        dead_letter_queue(self.queue())
    }
}

async fn discard_all(
    look: &mut Look,
    filter: &Filter,
    limit: usize,
    confirmation: Option<&str>,
) -> Result<Discarded, DeadLetterError> {
    let mut matching = Vec::new();
    while let Some((dead_letter, mut raw)) = look.next(filter).await? {
        // What it says is not needed any more, and many messages may be large.
        raw.data = Vec::new();
        matching.push((dead_letter, raw));
    }
    matching.sort_by(|(one, _), (other, _)| one.by_age(other));
    matching.truncate(limit);
    let ids = matching.iter().map(|(dead_letter, _)| dead_letter.id.as_bytes());
    let digest = ids.fold(Sha256::new(), |digest, id| digest.chain_update(id).chain_update([0]));
    let expected = hex(&digest.finalize()[..8]);
    let matched = u32::try_from(matching.len()).unwrap_or(u32::MAX);
    let mut discarded = 0;
    match confirmation {
        None => {}
        Some(given) if given != expected => return Err(DeadLetterError::Changed),
        Some(_) => {
            for (_, raw) in &matching {
                discarded += u32::from(look.remove(raw).await);
            }
        }
    }
    let (seen, dead_letters) = (look.seen(), look.dead_letters());
    Ok(Discarded { matched, discarded, seen, dead_letters, confirmation: expected })
}
