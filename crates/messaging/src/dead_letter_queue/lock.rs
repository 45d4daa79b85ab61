//! The lock of a dead-letter queue: one scan at a time, in all processes.
//!
//! Whoever scans is the one consumer of a small queue that stands for the lock. The broker frees the
//! lock when the channel ends, however it ends.

use std::time::Duration;

use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ErrorKind};
use tokio::time::{Instant, sleep, timeout};

use crate::broker::Attachment;
use crate::dead_letter_queue::DeadLetterError;
use crate::topology::{Topology, TopologyError, answered, message_count};

/// The longest wait for a channel, and for the lock: somebody waits for the answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two tries to get the lock.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long the queue of the lock stays, in milliseconds, if nobody takes it.
const LOCK_EXPIRES_MS: i32 = 60_000;

/// A channel, if the broker gives one in time.
pub(super) async fn channel(link: &Attachment) -> Result<Channel, DeadLetterError> {
    timeout(OPEN_TIMEOUT, link.channel()).await.map_err(|_| DeadLetterError::Unavailable)
}

/// Makes the queues that messages move to, if they are not there, in the time of one channel.
pub(super) async fn declare_error_queues(
    link: &Attachment,
    topology: &Topology,
) -> Result<(), DeadLetterError> {
    let declaring = timeout(OPEN_TIMEOUT, topology.declare_error_queues_over(link));
    Ok(declaring.await.map_err(|_| DeadLetterError::Unavailable)??)
}

/// The lock, and the channel to scan on. The lock is free when either is gone.
#[derive(Debug)]
pub(super) struct ScanLock {
    pub(super) channel: Channel,
    /// Dropped, it would be cancelled, and the lock be free.
    _consumer: lapin::Consumer,
}

/// Waits for the lock, but not for ever.
pub(super) async fn take(
    link: &Attachment,
    dead_letters: &str,
) -> Result<ScanLock, DeadLetterError> {
    let deadline = Instant::now() + OPEN_TIMEOUT;
    let lock = lock_queue(dead_letters);
    loop {
        let channel = channel(link).await?;
        declare(&channel, &lock).await?;
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        match consume(&channel, &lock, "turn", options).await {
            Ok(consumer) => return Ok(ScanLock { channel, _consumer: consumer }),
            Err(error) if !is_taken(&error) => return Err(error.into()),
            Err(_) if Instant::now() >= deadline => return Err(DeadLetterError::Busy),
            Err(_) => sleep(LOCK_RETRY_INTERVAL).await,
        }
    }
}

/// Messages in a dead-letter queue; none while somebody scans it and holds some of them.
pub(crate) async fn count_at_rest(
    channel: &Channel,
    dead_letters: &str,
) -> Result<Option<u32>, TopologyError> {
    let lock = lock_queue(dead_letters);
    if declare(channel, &lock).await? > 0 {
        return Ok(None);
    }
    let count = message_count(channel, dead_letters).await?;
    // A scan that began before the count took messages away from it.
    Ok((declare(channel, &lock).await? == 0).then_some(count))
}

/// Waits for the end of a scan, if there is one, and counts then.
pub(super) async fn count(channel: &Channel, dead_letters: &str) -> Result<u32, DeadLetterError> {
    let deadline = Instant::now() + OPEN_TIMEOUT;
    loop {
        match count_at_rest(channel, dead_letters).await? {
            Some(count) => return Ok(count),
            None if Instant::now() >= deadline => return Err(DeadLetterError::Busy),
            None => sleep(LOCK_RETRY_INTERVAL).await,
        }
    }
}

pub(super) async fn consume(
    channel: &Channel,
    queue: &str,
    tag: &str,
    options: BasicConsumeOptions,
) -> Result<lapin::Consumer, TopologyError> {
    let consuming = channel.basic_consume(queue.into(), tag.into(), options, FieldTable::default());
    answered(queue, consuming).await
}

fn lock_queue(dead_letters: &str) -> String {
    format!("{dead_letters}.turn")
}

/// Declares the queue of the lock; says how many have the lock, which is one or none.
///
/// The queue lives while somebody has the lock, and a little longer where a caller gave up before.
/// It belongs to no connection: a service's channels share one, which outlives a scan.
async fn declare(channel: &Channel, lock: &str) -> Result<u32, TopologyError> {
    let options =
        QueueDeclareOptions { durable: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert("x-expires".into(), AMQPValue::LongInt(LOCK_EXPIRES_MS));
    let declared = answered(lock, channel.queue_declare(lock.into(), options, arguments)).await?;
    Ok(declared.consumer_count())
}

/// Somebody has the lock, or gave it back, and the queue with it, just now.
fn is_taken(error: &TopologyError) -> bool {
    let TopologyError::Broker { source, .. } = error else { return false };
    let ErrorKind::ProtocolError(error) = source.kind() else { return false };
    let expected = [AMQPSoftError::ACCESSREFUSED, AMQPSoftError::NOTFOUND];
    expected.map(AMQPErrorKind::Soft).contains(error.kind())
}
