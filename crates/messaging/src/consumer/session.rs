//! One channel of a consumer: what it delivered, and what of that is still to be acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lapin::Channel;
use lapin::message::Delivery as Raw;
use lapin::options::BasicAckOptions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::acknowledge::acknowledge;
use crate::headers::Headers;
use crate::topology::answered;

/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;
/// How often it is looked whether a channel without a consumer is still there.
const CHANNEL_INTERVAL: Duration = Duration::from_millis(500);

/// A channel that messages are delivered on. Delivery tags mean something only within it.
pub(super) struct Session {
    pub(super) channel: Channel,
    /// Cancelled when it delivers nothing any more: what moves on has little time left.
    pub(super) ended: CancellationToken,
    /// Whether what no handler has yet is the next consumer's: it is passed over here.
    handed_back: AtomicBool,
    /// The tags of what was delivered and not acknowledged, and when it was.
    unacked: Mutex<BTreeMap<u64, Instant>>,
    /// How many of its deliveries exist in this process.
    in_hand: watch::Sender<usize>,
    /// A consumer that must not be cancelled before the channel is closed.
    kept: Mutex<Option<lapin::Consumer>>,
}

/// A message that a session delivered.
pub(super) struct Received {
    pub(super) raw: Raw,
    pub(super) session: Arc<Session>,
}

impl Session {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            ended: CancellationToken::new(),
            handed_back: AtomicBool::new(false),
            unacked: Mutex::default(),
            in_hand: watch::Sender::new(0),
            kept: Mutex::default(),
        }
    }

    /// Has a consumer last as long as its channel. The client library cancels one that is dropped, and
    /// where one consumer is active at a time the next one is so at once: it gets what comes after the
    /// messages that are in hand here, and those only when the channel is closed.
    pub(super) fn keep(&self, consumer: lapin::Consumer) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(consumer);
    }

    /// Closes the channel: what is not acknowledged goes back to its place.
    pub(super) async fn close(&self, queue: &str) {
        let closing = self.channel.close(REPLY_SUCCESS, "OK".into());
        if let Err(error) = answered(queue, closing).await {
            tracing::debug!(error = %error, "channel was not closed in order");
        }
    }

    /// Notes a delivery.
    pub(super) fn receive(self: &Arc<Self>, raw: Raw) -> Received {
        self.unacked().insert(raw.delivery_tag, Instant::now());
        self.in_hand.send_modify(|in_hand| *in_hand += 1);
        Received { raw, session: Arc::clone(self) }
    }

    /// Leaves what no handler has yet to the next consumer.
    pub(super) fn hand_back(&self) {
        self.handed_back.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_handed_back(&self) -> bool {
        self.handed_back.load(Ordering::SeqCst)
    }

    /// Whether nothing that it delivered is in hand.
    pub(super) fn is_idle(&self) -> bool {
        *self.in_hand.borrow() == 0
    }

    /// Returns once nothing that it delivered is in hand.
    pub(super) async fn settled(&self) {
        // The sender lives as long as `self`.
        let _ = self.in_hand.subscribe().wait_for(|in_hand| *in_hand == 0).await;
    }

    /// Returns once the channel is gone, while no consumer on it would say so.
    pub(super) async fn lost(&self) {
        while self.channel.status().connected() {
            sleep(CHANNEL_INTERVAL).await;
        }
    }

    /// Returns once a message has been in hand, unacknowledged, for so long.
    pub(super) async fn held_for(&self, bound: Duration) {
        loop {
            let oldest = self.unacked().values().next().copied();
            // What comes later is due later.
            let due = oldest.unwrap_or_else(Instant::now) + bound;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Acknowledges deliveries of this session: with one frame those that no unacknowledged one came
    /// before, and each of the others with its own. Says how many could be acknowledged; the broker
    /// delivers the others again.
    async fn ack(&self, received: &[Received]) -> usize {
        let tags: BTreeSet<u64> = received.iter().map(|one| one.raw.delivery_tag).collect();
        let last = self.unacked().keys().take_while(|tag| tags.contains(tag)).last().copied();
        let (first, others): (Vec<&Raw>, Vec<&Raw>) =
            received.iter().map(|one| &one.raw).partition(|raw| Some(raw.delivery_tag) <= last);
        let mut acked = 0;
        if let Some(raw) = first.iter().max_by_key(|raw| raw.delivery_tag)
            && acknowledge(raw, BasicAckOptions { multiple: true }).await
        {
            acked += self.forget(&first);
        }
        let each = others.into_iter().map(async |raw| {
            let is_acked = acknowledge(raw, BasicAckOptions::default()).await;
            if is_acked { self.forget(&[raw]) } else { 0 }
        });
        acked + join_all(each).await.into_iter().sum::<usize>()
    }

    fn forget(&self, acked: &[&Raw]) -> usize {
        let mut unacked = self.unacked();
        for raw in acked {
            unacked.remove(&raw.delivery_tag);
        }
        acked.len()
    }

    fn unacked(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.unacked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Acknowledges deliveries of any sessions; says how many could be acknowledged.
pub(super) async fn ack(received: &[Received]) -> usize {
    let mut acked = 0;
    for of_one in received.chunk_by(|one, next| Arc::ptr_eq(&one.session, &next.session)) {
        acked += of_one[0].session.ack(of_one).await;
    }
    acked
}

impl Received {
    /// Whether the broker delivers it again: its channel is gone, or will be.
    pub(super) fn is_given_up(&self) -> bool {
        self.session.is_handed_back() || !self.raw.acker.usable()
    }

    /// Notes in its headers what happened to it, as if it came out of a retry queue.
    pub(super) fn note(&mut self, headers: &Headers) {
        let properties = mem::take(&mut self.raw.properties);
        self.raw.properties = properties.with_headers(headers.write());
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.session.in_hand.send_modify(|in_hand| *in_hand -= 1);
    }
}
