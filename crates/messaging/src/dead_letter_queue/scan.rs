//! One scan of a dead-letter queue: its messages, one after the other, given back at the end.
//!
//! The messages stay unacknowledged until then, or the scan would see them twice. They come in
//! windows: the broker sends as much as the prefetch allows, and the client's buffer has no bound. So
//! each window is a subscription of its own, small enough for its bytes, and cancelled when it was
//! read; the broker remembers what it delivered, this process only what it chose.
//!
//! The lock is given up only when all is back. A quorum queue writes down what is returned
//! before it counts it: whoever came in between would see a queue without it.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery as Raw;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::acknowledge::acknowledge;
use crate::broker::{Attachment, Broker};
use crate::dead_letter_queue::DeadLetterError;
use crate::dead_letter_queue::dead_letter::{DeadLetter, Filter};
use crate::dead_letter_queue::lock::{self, ScanLock};
use crate::topology::{Topology, TopologyError, answered, dead_letter_queue, message_count};

/// Messages that one scan sees at most.
const SEEN_MAX: u32 = 50_000;
/// The time from the start of a scan, its wait for the lock included, to the last message that it
/// reads. A request has ten seconds, and what is chosen is still to be acted on.
const READ_TIMEOUT: Duration = Duration::from_secs(6);
/// The time from the start of a scan to the last message that is acted on.
const ACT_TIMEOUT: Duration = Duration::from_secs(8);
/// Messages in the first window: nobody knows yet how large they are.
const WINDOW_FIRST: usize = 8;
/// Messages in a window at most.
const WINDOW_MAX: usize = 128;
/// Bytes of bodies in a window, if the messages to come are no larger than the largest one seen.
const WINDOW_BYTES: usize = 2 * 1024 * 1024;
/// The longest wait for the next message; then somebody took what was counted.
const NEXT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest wait until what was taken is back.
const BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two counts whether it is.
const BACK_INTERVAL: Duration = Duration::from_millis(10);
/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;

pub(crate) struct Scan {
    /// None once it is being given back.
    held: Option<Held>,
    started: Instant,
    /// Messages in the dead-letter queue when the scan began. It ends there: what is dead-lettered
    /// meanwhile, a replayed message among them, is not seen.
    dead_letters: u32,
    seen: u32,
    /// Bytes of the largest body seen.
    largest: usize,
    /// Why it ended before it had seen all.
    stopped: Option<&'static str>,
}

/// What one scan has of the broker.
struct Held {
    link: Attachment,
    lock: ScanLock,
    /// The name of the dead-letter queue.
    queue: String,
    window: Option<Window>,
    /// The tag of the window's subscription, noted before it is asked for: a caller may give up while
    /// the broker answers.
    tag: Option<String>,
    windows: u32,
    /// Messages that are to be in the dead-letter queue when the next scan has the lock.
    left: u32,
}

/// A subscription to a few messages.
struct Window {
    messages: lapin::Consumer,
    /// Messages that are still to come.
    open: usize,
}

impl Scan {
    /// Begins in a task of its own, which ends what it began when the caller gives up: a subscription
    /// that nobody waits for any more would hold the lock, and the messages, for good.
    #[expect(clippy::disallowed_methods, reason = "waited for here, or ends by itself soon")]
    pub(super) async fn open(
        broker: &Broker,
        topology: &Topology,
    ) -> Result<Self, DeadLetterError> {
        let started = Instant::now();
        let link = broker.consuming_at_times();
        let topology = topology.clone();
        let opening = async move {
            match begin(&link, &topology).await {
                Ok((lock, queue, left)) => {
                    let held = Held::new(link, lock, queue, left);
                    let dead_letters = left;
                    let seen = 0;
                    let largest = WINDOW_BYTES / WINDOW_FIRST;
                    let stopped = None;
                    Ok(Self { held: Some(held), started, dead_letters, seen, largest, stopped })
                }
                Err(error) => {
                    link.detach().await;
                    Err(error)
                }
            }
        };
        // It fails only when it panics or the process ends.
        tokio::spawn(telemetry::in_current_trace(opening))
            .await
            .map_err(|_| DeadLetterError::Ended)?
    }

    /// The next message that matches; none at the end of the dead-letter queue or of the scan.
    pub(crate) async fn next_match(
        &mut self,
        filter: &Filter,
    ) -> Result<Option<(DeadLetter, Raw)>, DeadLetterError> {
        while let Some(raw) = self.next().await? {
            let dead_letter = DeadLetter::read(&raw);
            if filter.matches(&dead_letter) {
                return Ok(Some((dead_letter, raw)));
            }
        }
        Ok(None)
    }

    async fn next(&mut self) -> Result<Option<Raw>, DeadLetterError> {
        let size = self.window_size();
        let held = self.held.as_mut().ok_or(DeadLetterError::Ended)?;
        if self.seen >= self.dead_letters.min(SEEN_MAX) {
            if self.seen < self.dead_letters {
                self.stopped = Some("one scan sees 50,000 messages at most");
            }
            return Ok(None);
        }
        if self.started.elapsed() >= READ_TIMEOUT {
            self.stopped = Some("one scan reads for 6 seconds at most");
            return Ok(None);
        }
        let Some(raw) = held.next(size).await? else {
            self.stopped = Some("the broker gave no further message");
            return Ok(None);
        };
        self.seen += 1;
        // The first size was a guess.
        self.largest = if self.seen == 1 { 0 } else { self.largest }.max(raw.data.len());
        Ok(Some(raw))
    }

    fn window_size(&self) -> usize {
        let unseen = usize::try_from(self.dead_letters.saturating_sub(self.seen));
        let fitting = WINDOW_BYTES / self.largest.max(1);
        fitting.clamp(1, WINDOW_MAX).min(unseen.unwrap_or(WINDOW_MAX))
    }

    /// Ends the reading: nothing more is sent, also not in the place of what is removed.
    pub(crate) async fn stop_reading(&mut self) -> Result<(), DeadLetterError> {
        let held = self.held.as_mut().ok_or(DeadLetterError::Ended)?;
        Ok(held.cancel().await?)
    }

    /// Takes a message out of the dead-letter queue for good; false when the broker cannot be told
    /// any more.
    pub(crate) async fn remove(&mut self, raw: &Raw) -> bool {
        let removed = acknowledge(raw, BasicAckOptions::default()).await;
        if let Some(held) = self.held.as_mut() {
            held.left = held.left.saturating_sub(removed.into());
        }
        removed
    }

    /// Whether there is time to act on one more message.
    pub(super) fn has_time(&self) -> bool {
        self.started.elapsed() < ACT_TIMEOUT
    }

    pub(crate) fn dead_letters(&self) -> u32 {
        self.dead_letters
    }

    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    /// Why it ended before it had seen all; none when it saw all.
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.map(str::to_owned)
    }

    /// Gives back everything that was not removed, and then the lock.
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
        Some(runtime.spawn(telemetry::in_current_trace(held.give_back())))
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Held {
    fn new(link: Attachment, lock: ScanLock, queue: String, left: u32) -> Self {
        Self { link, lock, queue, window: None, tag: None, windows: 0, left }
    }

    /// The next message, of a new window of this size where the one before is over.
    async fn next(&mut self, size: usize) -> Result<Option<Raw>, DeadLetterError> {
        if self.window.is_none() {
            self.subscribe(size).await?;
        }
        let window = self.window.as_mut().ok_or(DeadLetterError::Ended)?;
        let Ok(next) = timeout(NEXT_TIMEOUT, window.messages.next()).await else {
            return Ok(None);
        };
        let raw = next.ok_or(DeadLetterError::Ended)??;
        window.open -= 1;
        if window.open == 0 {
            self.cancel().await?;
        }
        Ok(Some(raw))
    }

    async fn subscribe(&mut self, size: usize) -> Result<(), TopologyError> {
        let prefetch = u16::try_from(size).unwrap_or(u16::MAX);
        let bounded = self.lock.channel.basic_qos(prefetch, BasicQosOptions::default());
        answered(&self.queue, bounded).await?;
        self.windows += 1;
        let tag = self.tag.insert(format!("window-{}", self.windows));
        let options = BasicConsumeOptions::default();
        let messages = lock::consume(&self.lock.channel, &self.queue, tag, options).await?;
        self.window = Some(Window { messages, open: size });
        Ok(())
    }

    async fn cancel(&mut self) -> Result<(), TopologyError> {
        let Some(tag) = &self.tag else { return Ok(()) };
        let options = BasicCancelOptions::default();
        answered(&self.queue, self.lock.channel.basic_cancel(tag.as_str().into(), options)).await?;
        (self.tag, self.window) = (None, None);
        Ok(())
    }

    async fn give_back(mut self) {
        let back = timeout(BACK_TIMEOUT, self.return_all()).await;
        let queue = self.queue.as_str();
        if !matches!(back, Ok(Ok(()))) {
            tracing::debug!(messaging.queue = queue, "messages were not returned in order");
        }
        let closing = self.lock.channel.close(REPLY_SUCCESS, "OK".into());
        if let Err(error) = answered(queue, closing).await {
            tracing::debug!(error = %error, "channel was not closed in order");
        }
        self.link.detach().await;
    }

    /// Returns the messages, and waits until the queue has them.
    async fn return_all(&mut self) -> Result<(), TopologyError> {
        self.cancel().await?;
        // All that are open on this channel.
        let options = BasicNackOptions { multiple: true, requeue: true };
        answered(&self.queue, self.lock.channel.basic_nack(0, options)).await?;
        while message_count(&self.lock.channel, &self.queue).await? < self.left {
            sleep(BACK_INTERVAL).await;
        }
        Ok(())
    }
}

/// The lock, the name of the dead-letter queue, and the messages in it.
async fn begin(
    link: &Attachment,
    topology: &Topology,
) -> Result<(ScanLock, String, u32), DeadLetterError> {
    let queue = dead_letter_queue(&topology.queue);
    lock::declare_error_queues(link, topology).await?;
    let lock = lock::take(link, &queue).await?;
    let dead_letters = message_count(&lock.channel, &queue).await?;
    Ok((lock, queue, dead_letters))
}
