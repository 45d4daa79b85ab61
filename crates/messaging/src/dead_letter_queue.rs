//! The dead-letter queue: what a queue's consumer gave up on, for people to look at, put back or throw
//! away.
//!
//! AMQP cannot look into a queue. So a scan takes messages without acknowledging them, on a channel
//! of its own, and returns them at its end, which may change their order. Two scans at the same moment
//! would each see a part: they are made one after the other, in all processes. One scan sees the first
//! 50,000 messages, and reads for six seconds; answers say how many it saw, how many there were, and why it ended. It
//! keeps in memory only what it chose, so that a full queue costs as little as a short one.
//!
//! Nothing is lost on the way: a replayed message leaves the dead-letter queue after the broker has
//! confirmed it in its queue, and a discarded one after the caller has confirmed exactly what goes.

mod dead_letter;
mod lock;
mod oldest;
mod replay;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use database::Database;
use lapin::BasicProperties;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::broker::{Attachment, Broker};
use crate::dead_letter_queue::oldest::Oldest;
use crate::dead_letter_queue::replay::Replay;
use crate::erasure::{self, EraseError, Erased};
use crate::message::hex;
use crate::publisher::Publisher;
use crate::settings::{ConsumerSettings, MessagingSettings, SettingsError};
use crate::topology::{Readers, Topology, TopologyError, dead_letter_queue, message_count};

pub use dead_letter::{DeadLetter, Filter, Peeked};
pub(crate) use lock::count_at_rest;
pub use replay::BeyondInboxRetention;
pub(crate) use scan::Scan;

/// The longest wait for the broker's confirm of a message that is put back.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the dead-letter queue could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// No dead letter has this id, or somebody else holds it at this moment.
    #[error("no dead letter has this id")]
    NotFound,
    /// The scan ended before it had seen all, and none that it saw has this id.
    #[error("none of the {seen} dead letters that were looked at has this id; there are more")]
    NotSeen {
        /// Messages that were looked at.
        seen: u32,
    },
    /// The filter's limit is out of its bounds.
    #[error("limit must be 1 to 1000")]
    Limit,
    /// What matches is not what the caller has confirmed.
    #[error("the dead-letter queue has changed since it was looked at; look again")]
    Changed,
    /// The broker gave no channel in time.
    #[error("the broker is not reachable")]
    Unavailable,
    /// Somebody else scans it at this moment.
    #[error("somebody else looks into the dead-letter queue; try again")]
    Busy,
    /// The broker broke off.
    #[error("the broker broke off: {0}")]
    Broker(#[from] lapin::Error),
    /// The broker ended the scan.
    #[error("the broker ended the scan")]
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
    /// Why the look ended before it had seen all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// What became of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Replayed {
    /// Messages that are in their queue again: the oldest that match, up to the limit.
    pub replayed: u32,
    /// Messages that match and were left: their first attempt failed so long ago, or at a time so
    /// unknown, that the inbox may have forgotten an effect that they had.
    pub beyond_inbox_retention: u32,
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
    /// Why the look ended before it had seen all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
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
    /// How its consumer tries, and how long the inbox remembers.
    consumer: ConsumerSettings,
    /// Held by the one scan that is under way.
    scanning: Mutex<()>,
}

impl DeadLetterQueue {
    /// The dead-letter queue of the queue that `queue_key` names in `[queues]`.
    pub fn new(
        broker: Broker,
        settings: &MessagingSettings,
        queue_key: &str,
    ) -> Result<Self, SettingsError> {
        let topology = Topology::of(settings, queue_key, [])?;
        let consumer = settings.consumer_of(queue_key)?;
        Ok(Self(Arc::new(Shared { broker, topology, consumer, scanning: Mutex::new(()) })))
    }

    /// The name of the queue whose messages are dead-lettered here.
    pub fn queue(&self) -> &str {
        &self.0.topology.queue
    }

    /// The name of the dead-letter queue itself.
    pub fn name(&self) -> String {
        dead_letter_queue(self.queue())
    }

    /// How much is in the queue and in its dead-letter queue. Waits for the end of a scan, which
    /// holds messages that belong to it.
    pub async fn depth(&self) -> Result<Depth, DeadLetterError> {
        let link = self.0.broker.consuming_at_times();
        let depth = self.depth_over(&link).await;
        link.detach().await;
        depth
    }

    async fn depth_over(&self, link: &Attachment) -> Result<Depth, DeadLetterError> {
        lock::declare_error_queues(link, &self.0.topology).await?;
        let channel = lock::channel(link).await?;
        let dead_letters = lock::count(&channel, &self.name()).await?;
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
        let _scanning = self.0.scanning.lock().await;
        let mut scan = Scan::open(&self.0.broker, &self.0.topology).await?;
        let listing = list_oldest(&mut scan, filter, limit).await;
        scan.close().await;
        listing
    }

    /// One message with what it says.
    pub async fn peek(&self, id: &str) -> Result<Peeked, DeadLetterError> {
        let _scanning = self.0.scanning.lock().await;
        let mut scan = Scan::open(&self.0.broker, &self.0.topology).await?;
        let found = scan.next_match(&Filter::of_id(id)).await;
        let seen = scan.seen();
        let stopped = scan.stopped();
        scan.close().await;
        match found? {
            Some((dead_letter, raw)) => Ok(Peeked::new(dead_letter, &raw)),
            None if stopped.is_some() => Err(DeadLetterError::NotSeen { seen }),
            None => Err(DeadLetterError::NotFound),
        }
    }

    /// Puts the oldest that match back into their queue, with all attempts before them. Each leaves
    /// the dead-letter queue once the broker has confirmed it there; in between it is in both, and the
    /// [inbox](crate::inbox) makes that one effect.
    pub async fn replay(
        &self,
        filter: &Filter,
        beyond: BeyondInboxRetention,
    ) -> Result<Replayed, DeadLetterError> {
        let limit = filter.limit()?;
        let oldest = match beyond {
            BeyondInboxRetention::Leave => Some(replay::remembered_since(&self.0.consumer)),
            BeyondInboxRetention::Replay => None,
        };
        let replay = Replay { queue: self.queue(), filter, limit, oldest };
        let _scanning = self.0.scanning.lock().await;
        let connection = self.0.broker.publishing_at_times();
        let publisher = Publisher::new(connection, Readers::default(), CONFIRM_TIMEOUT);
        let mut scan = Scan::open(&self.0.broker, &self.0.topology).await?;
        let replayed = replay.run(&mut scan, &publisher).await;
        scan.close().await;
        publisher.close().await;
        if let Ok(Replayed { replayed, .. }) = replayed {
            let queue = self.queue();
            tracing::warn!(messaging.queue = queue, replayed, "dead letters were replayed");
        }
        replayed
    }

    /// Throws away the oldest that match if `confirmation` stands for exactly those. Without one
    /// nothing is thrown away: the answer says how much would be, and its confirmation.
    pub async fn discard(
        &self,
        filter: &Filter,
        confirmation: Option<&str>,
    ) -> Result<Discarded, DeadLetterError> {
        let limit = filter.limit()?;
        let _scanning = self.0.scanning.lock().await;
        let mut scan = Scan::open(&self.0.broker, &self.0.topology).await?;
        let discarded = discard_oldest(&mut scan, filter, limit, confirmation).await;
        scan.close().await;
        if let Ok(Discarded { discarded: discarded @ 1.., .. }) = discarded {
            let queue = self.queue();
            tracing::warn!(messaging.queue = queue, discarded, "dead letters were discarded");
        }
        discarded
    }

    /// Takes out for good what names an aggregate that was erased, as the database remembers it
    /// ([`erasure`]); one scan.
    ///
    /// # Errors
    /// As for a discard, and the database's.
    pub async fn erase(&self, database: &Database) -> Result<Erased, EraseError> {
        let _scanning = self.0.scanning.lock().await;
        let mut scan = Scan::open(&self.0.broker, &self.0.topology).await?;
        let erased = erasure::erase_dead_letters(&mut scan, database).await;
        scan.close().await;
        erased
    }
}

async fn list_oldest(
    scan: &mut Scan,
    filter: &Filter,
    limit: usize,
) -> Result<Listing, DeadLetterError> {
    let mut items = Oldest::new(limit, usize::MAX);
    while let Some((dead_letter, raw)) = scan.next_match(filter).await? {
        items.offer(dead_letter.age(&raw), 0, dead_letter);
    }
    let items = items.into_values().collect();
    let seen = scan.seen();
    let dead_letters = scan.dead_letters();
    let stopped = scan.stopped();
    Ok(Listing { items, seen, dead_letters, stopped })
}

async fn discard_oldest(
    scan: &mut Scan,
    filter: &Filter,
    limit: usize,
    confirmation: Option<&str>,
) -> Result<Discarded, DeadLetterError> {
    let mut chosen = Oldest::new(limit, usize::MAX);
    while let Some((dead_letter, mut raw)) = scan.next_match(filter).await? {
        // What it says is not needed any more: only to tell the broker that it goes.
        (raw.data, raw.properties) = (Vec::new(), BasicProperties::default());
        chosen.offer(dead_letter.age(&raw), 0, raw);
    }
    scan.stop_reading().await?;
    let digest = Sha256::new();
    let digest = chosen.ids().fold(digest, |digest, id| digest.chain_update(id).chain_update([0]));
    let expected = hex(&digest.finalize()[..8]);
    let matched = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
    let mut discarded = 0;
    match confirmation {
        None => {}
        Some(given) if given != expected => return Err(DeadLetterError::Changed),
        Some(_) => {
            for raw in chosen.into_values() {
                discarded += u32::from(scan.remove(&raw).await);
            }
        }
    }
    let seen = scan.seen();
    let dead_letters = scan.dead_letters();
    let stopped = scan.stopped();
    Ok(Discarded { matched, discarded, seen, dead_letters, stopped, confirmation: expected })
}
