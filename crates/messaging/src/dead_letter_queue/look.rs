//! One look into a dead-letter queue: its messages, one after the other, given back at the end.
//!
//! The turn goes to the next one only when all is back. A quorum queue writes down what is returned
//! before it counts it: whoever came in between would see a lot without it.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery as Raw;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use crate::acknowledge::acknowledge;
use crate::broker::{Attachment, Broker};
use crate::dead_letter_queue::DeadLetterError;
use crate::dead_letter_queue::dead_letter::{DeadLetter, Filter};
use crate::topology::{Topology, TopologyError, answered, dead_letter_queue, message_count};

/// Messages that one look takes in its hands at most: about what a request's time is enough for,
/// and less than AMQP's largest prefetch.
const SEEN_MAX: u16 = 50_000;
/// The longest wait for a channel, and for one's turn: somebody waits for the answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries to get one's turn.
const TURN_INTERVAL: Duration = Duration::from_millis(100);
/// How long the queue of the turn stays, in milliseconds, if nobody takes it.
const TURN_EXPIRES_MS: i32 = 60_000;
/// The longest wait for the next message; then somebody took what was counted.
const NEXT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest wait until what was taken is back.
const BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks whether it is.
const BACK_INTERVAL: Duration = Duration::from_millis(10);
/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;

pub(super) struct Look {
    /// None once it is being given back.
    held: Option<Held>,
    /// Messages in the dead-letter queue when the look began. It ends there: what is dead-lettered meanwhile, a replayed
    /// message among them, is not seen.
    dead_letters: u32,
    seen: u32,
}

/// What one look has of the broker.
struct Held {
    link: Attachment,
    channel: Channel,
    messages: lapin::Consumer,
    /// Messages that are to be in the dead-letter queue when the next one has the turn.
    left: u32,
}

impl Look {
    /// Begins in a task of its own, which ends what it began when the caller gives up: a subscription
    /// that nobody waits for any more would hold the turn, and the messages, for good.
    #[expect(clippy::disallowed_methods, reason = "waited for here, or ends by itself soon")]
    pub(super) async fn open(
        broker: &Broker,
        topology: &Topology,
    ) -> Result<Self, DeadLetterError> {
        let (link, topology) = (broker.consuming_at_times(), topology.clone());
        let opening = async move {
            match begin(&link, &topology).await {
                Ok((channel, messages, dead_letters)) => {
                    let held = Held { link, channel, messages, left: dead_letters };
                    Ok(Self { held: Some(held), dead_letters, seen: 0 })
                }
                Err(error) => {
                    link.detach().await;
                    Err(error)
                }
            }
        };
        // It fails only when it panics or the process ends.
        tokio::spawn(opening.in_current_span()).await.map_err(|_| DeadLetterError::Ended)?
    }

    /// The next message that matches; none at the end of the dead-letter queue or of the look.
    pub(super) async fn next(
        &mut self,
        filter: &Filter,
    ) -> Result<Option<(DeadLetter, Raw)>, DeadLetterError> {
        while self.seen < self.dead_letters.min(SEEN_MAX.into()) {
            let held = self.held.as_mut().ok_or(DeadLetterError::Ended)?;
            let Ok(next) = timeout(NEXT_TIMEOUT, held.messages.next()).await else {
                return Ok(None);
            };
            let raw = next.ok_or(DeadLetterError::Ended)??;
            self.seen += 1;
            let dead_letter = DeadLetter::read(&raw);
            if filter.matches(&dead_letter) {
                return Ok(Some((dead_letter, raw)));
            }
        }
        Ok(None)
    }

    /// Takes a message out of the dead-letter queue for good; false when the broker cannot be told any more.
    pub(super) async fn remove(&mut self, raw: &Raw) -> bool {
        let removed = acknowledge(raw, BasicAckOptions::default()).await;
        if let Some(held) = self.held.as_mut() {
            held.left = held.left.saturating_sub(removed.into());
        }
        removed
    }

    pub(super) fn dead_letters(&self) -> u32 {
        self.dead_letters
    }

    pub(super) fn seen(&self) -> u32 {
        self.seen
    }

    /// Gives back everything that was not removed, and then the turn.
    pub(super) async fn close(mut self) {
        if let Some(giving_back) = self.give_back() {
            // It fails only when it panics or the process ends.
            let _nobody_to_tell = giving_back.await;
        }
    }

    /// In a task of its own, which goes on when the caller gives up.
    fn give_back(&mut self) -> Option<JoinHandle<()>> {
        let held = self.held.take()?;
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(held.give_back().in_current_span()))
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Held {
    async fn give_back(self) {
        let dlq = self.messages.queue();
        let back = timeout(BACK_TIMEOUT, self.return_all(dlq.as_str())).await;
        if !matches!(back, Ok(Ok(()))) {
            tracing::debug!(messaging.queue = dlq.as_str(), "messages were not returned in order");
        }
        let closing = self.channel.close(REPLY_SUCCESS, "OK".into());
        if let Err(error) = answered(dlq.as_str(), closing).await {
            tracing::debug!(error = %error, "channel was not closed in order");
        }
        self.link.detach().await;
    }

    /// Returns the messages, and waits until the queue has them.
    async fn return_all(&self, dlq: &str) -> Result<(), TopologyError> {
        let (tag, options) = (self.messages.tag(), BasicCancelOptions::default());
        answered(dlq, self.channel.basic_cancel(tag, options)).await?;
        // All that are open on this channel.
        let options = BasicNackOptions { multiple: true, requeue: true };
        answered(dlq, self.channel.basic_nack(0, options)).await?;
        while message_count(&self.channel, dlq).await? < self.left {
            sleep(BACK_INTERVAL).await;
        }
        Ok(())
    }
}

/// A channel, if the broker gives one in time.
pub(super) async fn channel(link: &Attachment) -> Result<Channel, DeadLetterError> {
    timeout(OPEN_TIMEOUT, link.channel()).await.map_err(|_| DeadLetterError::Unavailable)
}

async fn begin(
    link: &Attachment,
    topology: &Topology,
) -> Result<(Channel, lapin::Consumer, u32), DeadLetterError> {
    let dlq = dead_letter_queue(&topology.queue);
    let channel = in_turn(link, &dlq).await?;
    topology.declare_outlets(&channel).await?;
    let dead_letters = message_count(&channel, &dlq).await?;
    let bound = channel.basic_qos(SEEN_MAX, BasicQosOptions::default());
    answered(&dlq, bound).await?;
    let messages = consume(&channel, &dlq, BasicConsumeOptions::default()).await?;
    Ok((channel, messages, dead_letters))
}

/// A channel that nobody else has at the same time, in any process: it is the one consumer of a
/// queue that stands for the turn. The broker takes that from it when the channel ends, however it
/// ends.
async fn in_turn(link: &Attachment, dlq: &str) -> Result<Channel, DeadLetterError> {
    let deadline = Instant::now() + OPEN_TIMEOUT;
    let turn = format!("{dlq}.turn");
    loop {
        let channel = channel(link).await?;
        declare_turn(&channel, &turn).await?;
        match take(&channel, &turn).await {
            Ok(()) => return Ok(channel),
            Err(error) if !is_taken(&error) => return Err(error.into()),
            Err(_) if Instant::now() >= deadline => return Err(DeadLetterError::Busy),
            Err(_) => sleep(TURN_INTERVAL).await,
        }
    }
}

/// The queue lives while somebody has the turn, and a little longer where a caller gave up before.
/// It belongs to no connection: a service's channels share one, which outlives a look.
async fn declare_turn(channel: &Channel, turn: &str) -> Result<(), TopologyError> {
    let options =
        QueueDeclareOptions { durable: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert("x-expires".into(), AMQPValue::LongInt(TURN_EXPIRES_MS));
    answered(turn, channel.queue_declare(turn.into(), options, arguments)).await.map(drop)
}

async fn take(channel: &Channel, turn: &str) -> Result<(), TopologyError> {
    let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
    consume(channel, turn, options).await.map(drop)
}

async fn consume(
    channel: &Channel,
    queue: &str,
    options: BasicConsumeOptions,
) -> Result<lapin::Consumer, TopologyError> {
    let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
    answered(queue, consuming).await
}

/// Somebody has the turn, or gave it back, and the queue with it, just now.
fn is_taken(error: &TopologyError) -> bool {
    let TopologyError::Broker { source, .. } = error else { return false };
    let ErrorKind::ProtocolError(error) = source.kind() else { return false };
    let expected = [AMQPSoftError::ACCESSREFUSED, AMQPSoftError::NOTFOUND];
    expected.map(AMQPErrorKind::Soft).contains(error.kind())
}
