//! The one way to publish: for the relay, for events published directly, for the consumer's retries
//! and dead letters, and for replays.
//!
//! A publisher opens its channel when it needs one and again when that is broken, declares each
//! exchange once per channel, sends a round of messages without waiting in between, and says of each
//! what became of it once all confirms of the round are there ([`round`]).
//!
//! **Readers.** Before each round of messages, of at most five hundred, the publisher binds the queues of all readers that the
//! settings name in `[subscriptions]` to the messages' routes. Binding what is bound changes nothing
//! and takes the broker a fraction of a millisecond; it is done on the same channel, so that no
//! message passes by a reader whose binding, queue or exchange somebody has deleted: another reader's
//! binding alone would have confirmed it. What AMQP cannot tell is a binding that is deleted between
//! the two, within some ten milliseconds: messages on their way at that moment pass by.
//!
//! **Bounds.** One call is under way at a time; [`QUEUE_MAX`] callers may wait for their lease. One time
//! limit bounds the wait for the lease, and again all of opening, publishing and confirms.

mod channel;
mod round;

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::ShortString;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::broker::Attachment;
use crate::topology::{DRIFTS_MAX, Readers, Topology};
use channel::PublishChannel;

/// Callers that may wait for one publisher; further ones are refused at once.
const QUEUE_MAX: usize = 1_000;

/// Before another try to open a channel that the broker closed at once.
const REOPEN_DELAY: Duration = Duration::from_millis(200);

/// An exchange and a routing key.
type Route<'a> = (&'a str, &'a str);

/// A message to publish.
#[derive(Debug, Clone)]
pub(crate) struct Message<'a> {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) body: &'a [u8],
    pub(crate) properties: BasicProperties,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublishOutcome {
    /// The broker has it, in every queue it belongs to.
    Confirmed,
    /// No queue is bound for it: the broker gave it back.
    Returned,
    /// It is in no queue because the broker did not take it, or was not asked; see the reason.
    Refused(Refusal),
    /// No answer: it may have arrived or not. Publish it again under the same id.
    Unknown,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing was sent: the broker is away or blocks publishers, or too many callers wait.
    Unavailable,
    /// A queue that it belongs to is full, or has failed. Other queues may have it.
    Nacked,
    /// The broker closed the channel over this message alone: it is too large. What the broker says.
    Message(String),
    /// Its route cannot be used: the exchange is of another kind, the queue of a reader cannot be
    /// made, or publishing there is forbidden. What the broker says.
    Route(String),
}

/// Publishes on a channel of its own. Several callers may share it.
pub(crate) struct Publisher {
    connection: Attachment,
    readers: Readers,
    /// The longest that one call waits for its lease, and that it takes then.
    time_limit: Duration,
    callers: Semaphore,
    channel: Mutex<Option<PublishChannel>>,
}

/// The channel, lent to one caller at a time.
struct Lease<'a> {
    slot: MutexGuard<'a, Option<PublishChannel>>,
    _permit: SemaphorePermit<'a>,
    deadline: Instant,
}

impl Publisher {
    /// A publisher on this connection, which is opened when it is first needed.
    pub(crate) fn new(connection: Attachment, readers: Readers, time_limit: Duration) -> Self {
        let callers = Semaphore::new(QUEUE_MAX);
        let channel = Mutex::new(None);
        Self { connection, readers, time_limit, callers, channel }
    }

    /// Waits, endlessly, until there is a channel and the broker takes messages. For a task that had
    /// better not take up work before.
    pub(crate) async fn ready(&self) {
        let mut slot = self.channel.lock().await;
        loop {
            if slot.as_ref().is_some_and(PublishChannel::is_usable) && !self.is_blocked() {
                return;
            }
            *slot = PublishChannel::open(&self.connection).await;
            if slot.is_none() {
                sleep(REOPEN_DELAY).await;
            }
        }
    }

    /// Whether the broker, short of memory or disk, takes nothing for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.is_blocked()
    }

    /// Publishes one message and waits for what becomes of it.
    pub(crate) async fn publish(&self, message: Message<'_>) -> PublishOutcome {
        self.publish_all(&[message]).await.pop().unwrap_or(PublishOutcome::Unknown)
    }

    /// Publishes all messages without waiting in between, then waits for what becomes of each; the
    /// answer is in their order. A message over which the broker closes the channel is found by
    /// sending those without an answer once more, each alone and under its own id.
    pub(crate) async fn publish_all(&self, messages: &[Message<'_>]) -> Vec<PublishOutcome> {
        let unavailable = PublishOutcome::Refused(Refusal::Unavailable);
        let Some(mut lease) = self.lease().await else {
            return vec![unavailable; messages.len()];
        };
        // Taken out while in use: a call that is dropped half-way leaves no confirm behind that the
        // next one could take for its own.
        let Some(mut channel) = self.open(&mut lease).await else {
            return vec![unavailable; messages.len()];
        };
        let mut outcomes = channel.publish_all(&self.readers, messages, lease.deadline).await;
        if channel.error().is_some() {
            self.publish_each_alone(&mut channel, messages, &mut outcomes, lease.deadline).await;
        }
        *lease.slot = Some(channel).filter(PublishChannel::is_usable);
        outcomes
    }

    /// Makes the queues that a consumer's messages move to, which somebody deleted; logged
    /// when it cannot be done.
    pub(crate) async fn declare(&self, topology: &Topology) {
        let Some(lease) = self.lease().await else { return };
        let declaring =
            timeout_at(lease.deadline, topology.declare_error_queues_over(&self.connection));
        match declaring.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "queues could not be made anew"),
            Err(_) => tracing::warn!("queues could not be made anew in time"),
        }
    }

    /// Ends the hold on the connection.
    pub(crate) async fn close(self) {
        drop(self.channel);
        self.connection.detach().await;
    }

    async fn lease(&self) -> Option<Lease<'_>> {
        let permit = self.callers.try_acquire().ok()?;
        let slot = timeout(self.time_limit, self.channel.lock()).await.ok()?;
        let deadline = Instant::now() + self.time_limit;
        (!self.is_blocked()).then_some(Lease { slot, _permit: permit, deadline })
    }

    async fn open(&self, lease: &mut Lease<'_>) -> Option<PublishChannel> {
        if let Some(channel) = lease.slot.take().filter(PublishChannel::is_usable) {
            return Some(channel);
        }
        timeout_at(lease.deadline, PublishChannel::open(&self.connection)).await.ok()?
    }

    /// Publishes once more what a channel error left without an answer, in rounds of one. The
    /// routes are made anew first: a missing queue or exchange closes the channel, too.
    async fn publish_each_alone(
        &self,
        channel: &mut PublishChannel,
        messages: &[Message<'_>],
        outcomes: &mut [PublishOutcome],
        deadline: Instant,
    ) {
        let mending = timeout_at(deadline, self.mended(messages));
        let Ok(Some((mended, mut unusable))) = mending.await else { return };
        *channel = mended;
        for (message, outcome) in messages.iter().zip(outcomes) {
            let unavailable = PublishOutcome::Refused(Refusal::Unavailable);
            if *outcome != PublishOutcome::Unknown && *outcome != unavailable {
                continue;
            }
            if let Some(text) = unusable.get(&message.route()) {
                *outcome = PublishOutcome::Refused(Refusal::Route(text.clone()));
                continue;
            }
            if !channel.is_usable() {
                let opening = timeout_at(deadline, PublishChannel::open(&self.connection));
                let Ok(Some(opened)) = opening.await else { return };
                *channel = opened;
            }
            let alone = std::slice::from_ref(message);
            let answer = channel.publish_all(&self.readers, alone, deadline).await.pop();
            *outcome = match (answer, channel.error().cloned()) {
                (Some(PublishOutcome::Unknown), Some(error)) if error.is_of_message => {
                    PublishOutcome::Refused(Refusal::Message(error.text))
                }
                (Some(PublishOutcome::Unknown), Some(error)) => {
                    unusable.insert(message.route(), error.text.clone());
                    PublishOutcome::Refused(Refusal::Route(error.text))
                }
                (answer, _) => answer.unwrap_or(PublishOutcome::Unknown),
            };
        }
    }

    /// A new channel on which the routes of messages are made anew, and why some of them cannot be.
    async fn mended<'m>(
        &self,
        messages: &'m [Message<'_>],
    ) -> Option<(PublishChannel, BTreeMap<Route<'m>, String>)> {
        let mut channel = PublishChannel::open(&self.connection).await?;
        let mut unusable = BTreeMap::new();
        for route in channel::routes(messages) {
            for attempt in 1.. {
                let Err(error) = channel.mend(&self.readers, route).await else { break };
                channel = PublishChannel::open(&self.connection).await?;
                // A queue that is found to differ is used as it is from then on.
                if !error.is_drift() || attempt == DRIFTS_MAX {
                    tracing::warn!(error = %error, "a route could not be made anew");
                    unusable.insert(route, error.to_string());
                    break;
                }
            }
        }
        Some((channel, unusable))
    }
}
