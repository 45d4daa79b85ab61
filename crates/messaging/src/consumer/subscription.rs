//! Takes messages off the queue over one channel, for as long as that lasts.
//!
//! ```text
//!   one at a time ── a message that nobody had before ─▶ prefetching ── kill switch ─▶ paused
//!                                                             ▲                          │
//!                                                             └── a probe goes well ─────┘
//! ```
//!
//! It begins with one message at a time, because a message that was delivered before may have taken
//! its process down: whoever is prefetched with it would come back with it, and be dead-lettered
//! with it in the end. The broker delivers such messages first. One that comes back later, because
//! another instance died, is handled beside the others: should it take this process down too, both
//! begin anew. Where order is kept, it prefetches from the beginning (`keeps_order`).

use std::convert::Infallible;
use std::future::pending;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery as Raw;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::Waiting;
use crate::consumer::Consumer;
use crate::consumer::kill_switch::KillSwitch;
use crate::consumer::session::Session;
use crate::consumer::work::Input;
use crate::headers;
use crate::metrics;
use crate::topology::{TopologyError, answered};

/// How long a message that was delivered before is handled alone. A lost connection brings messages
/// back too, and a slow one of those must not stop the queue.
const ALONE: Duration = Duration::from_secs(5);
/// After so many deliveries without an answer it is no lost connection: then it is alone for as long
/// as it takes.
const SUSPICIOUS_DELIVERIES: u32 = 3;

/// A subscription that is idle for so long is renewed on another channel. When a queue is deleted,
/// RabbitMQ moves its consumers to a queue of the same name that a publisher has made by then, without a
/// word, and the channel forgets whose messages it gets from there: it drops them, while they count as
/// delivered. Nothing but another channel brings them back.
const RENEWED_AFTER: Duration = Duration::from_secs(15);

/// How a subscription ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By shutdown, in order: all that was delivered was given over.
    Drained,
    /// In order too, to be followed by another one at once: nothing came for a while, or a message
    /// was in hand for as long as it may be.
    Renewed,
    /// By a fault, which the broker may have said.
    Lost(Option<TopologyError>),
}

impl From<TopologyError> for Ended {
    fn from(error: TopologyError) -> Self {
        Self::Lost(Some(error))
    }
}

pub(super) struct Subscription<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) session: &'a Arc<Session>,
    pub(super) work: &'a UnboundedSender<Input>,
    pub(super) kill_switch: &'a KillSwitch,
    pub(super) shutdown: &'a CancellationToken,
    /// Counts the consumer as not subscribed, until the broker says that it is.
    pub(super) waiting: &'a mut Option<Waiting>,
}

impl Subscription<'_> {
    /// Takes messages until the shutdown or a fault.
    pub(super) async fn run(mut self) -> Ended {
        match self.phases().await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn phases(&mut self) -> Result<Infallible, Ended> {
        let declared = self.consumer.topology.declare(&self.session.channel);
        self.shutdown.run_until_cancelled(declared).await.ok_or(Ended::Drained)??;
        if !self.keeps_order() {
            self.take_one_at_a_time().await?;
        }
        loop {
            self.take_until_the_kill_switch_trips().await?;
            self.pause().await?;
        }
    }

    /// Takes messages that were delivered before, each when the one before it is settled.
    async fn take_one_at_a_time(&mut self) -> Result<(), Ended> {
        let mut consumer = self.consume(NonZeroU16::MIN).await?;
        let mut raw = self.next(&mut consumer).await?;
        while raw.redelivered {
            let alone = self.time_alone(&raw);
            self.give_alone(raw);
            // With a prefetch of one, the next one comes when this one is settled.
            match timeout(alone, self.next(&mut consumer)).await {
                Ok(next) => raw = next?,
                Err(_) => return self.cancel(&mut consumer).await,
            }
        }
        self.give(raw);
        self.cancel(&mut consumer).await
    }

    fn time_alone(&self, raw: &Raw) -> Duration {
        if headers::delivery_count(raw) >= SUSPICIOUS_DELIVERIES {
            return self.consumer.settings.handler_timeout + ALONE;
        }
        ALONE
    }

    async fn take_until_the_kill_switch_trips(&mut self) -> Result<(), Ended> {
        let mut consumer = self.consume(self.consumer.settings.prefetch).await?;
        loop {
            tokio::select! {
                biased;
                () = self.kill_switch.tripped() => return self.cancel(&mut consumer).await,
                next = self.next(&mut consumer) => self.take(next?).await?,
            }
        }
    }

    /// Gives over a message. Where order is kept there is no turn of one at a time, which is a consumer
    /// of its own; there, what was delivered before is handled alone.
    async fn take(&self, raw: Raw) -> Result<(), Ended> {
        if self.keeps_order() && raw.redelivered {
            self.give_alone(raw);
            return self.at_rest().await;
        }
        self.give(raw);
        Ok(())
    }

    /// Probes after each pause, which grows, until a probe goes well.
    async fn pause(&mut self) -> Result<(), Ended> {
        let _paused = Paused::new(self.consumer.queue());
        let backoff = backoff::paused(self.consumer.settings.kill_switch_delay_max);
        for probes in 1.. {
            self.flush();
            self.settled().await?;
            self.kill_switch.reset();
            tokio::select! {
                () = sleep(backoff.delay(probes)) => {}
                () = self.shutdown.cancelled() => return Err(Ended::Drained),
                () = self.session.lost() => return Err(Ended::Lost(None)),
            }
            if self.probe().await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one message after the other, as many as the kill switch judges by, until handling one
    /// goes well: the first ones may be of an event type that fails while others do not.
    async fn probe(&mut self) -> Result<bool, Ended> {
        let mut consumer = self.consume(NonZeroU16::MIN).await?;
        for _ in 0..self.consumer.settings.kill_switch_messages.get() {
            let raw = self.next(&mut consumer).await?;
            self.give_alone(raw);
            self.settled().await?;
            if self.kill_switch.went_well() {
                break;
            }
        }
        self.cancel(&mut consumer).await?;
        Ok(self.kill_switch.went_well())
    }

    async fn consume(&mut self, prefetch: NonZeroU16) -> Result<lapin::Consumer, Ended> {
        if self.shutdown.is_cancelled() {
            return Err(Ended::Drained);
        }
        let queue = self.consumer.queue();
        let channel = &self.session.channel;
        // Before consuming, and for this consumer only: lapin's own buffer has no bound, the
        // prefetch is the only one.
        let bound = channel.basic_qos(prefetch.get(), BasicQosOptions::default());
        answered(queue, bound).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = channel.basic_consume(queue.into(), "".into(), options, arguments);
        let consumer = answered(queue, consuming).await?;
        if self.keeps_order() {
            self.session.keep(consumer.clone());
        }
        if self.waiting.take().is_some() {
            tracing::info!(messaging.queue = queue, "consumer subscribed");
        }
        Ok(consumer)
    }

    /// The next message. The shutdown ends the consumer in order, and so does a long wait.
    async fn next(&self, consumer: &mut lapin::Consumer) -> Result<Raw, Ended> {
        let next = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {
                self.leave(consumer).await?;
                return Err(Ended::Drained);
            }
            next = consumer.next() => next,
            () = self.idle() => return Err(self.renew(consumer).await?),
            () = self.held_long() => return Err(self.renew(consumer).await?),
        };
        match next {
            Some(Ok(raw)) => Ok(raw),
            Some(Err(error)) => {
                tracing::warn!(error = %error, "subscription failed");
                Err(Ended::Lost(None))
            }
            None => Err(Ended::Lost(None)),
        }
    }

    /// Ends a consumer, to be followed by another one.
    async fn renew(&self, consumer: &mut lapin::Consumer) -> Result<Ended, Ended> {
        self.leave(consumer).await?;
        self.flush();
        self.settled().await?;
        Ok(if self.shutdown.is_cancelled() { Ended::Drained } else { Ended::Renewed })
    }

    /// Ends a consumer for good. One that is to keep the order hands back what it has not begun.
    async fn leave(&self, consumer: &mut lapin::Consumer) -> Result<(), Ended> {
        if self.keeps_order() {
            self.hand_back().await;
            return Ok(());
        }
        self.cancel(consumer).await
    }

    /// Whether a channel has one consumer from its beginning to its end. Where one is active at a time,
    /// the next one would be so as soon as that one is cancelled; and what a lost channel's consumers
    /// had comes back in order of each of them alone.
    fn keeps_order(&self) -> bool {
        self.consumer.topology.like.single_active_consumer || self.consumer.routes.are_ordered
    }

    /// Leaves to the next consumer what no handler has yet, and stays the active one until what
    /// handlers have is settled: the next one would overtake it. All else goes back with the channel.
    async fn hand_back(&self) {
        self.session.hand_back();
        self.flush();
        tokio::select! {
            () = self.session.settled() => {}
            () = self.session.lost() => {}
        }
    }

    /// Returns once nothing has been delivered for a while, and nothing is in hand.
    async fn idle(&self) {
        loop {
            sleep(RENEWED_AFTER).await;
            if self.session.is_idle() {
                return;
            }
        }
    }

    /// Returns once a message that is tried again in its place must go back, and all behind it with
    /// it, before the broker takes them. Never where messages are tried again by way of retry queues.
    async fn held_long(&self) {
        if !self.consumer.routes.are_ordered {
            return pending().await;
        }
        self.session.held_for(self.consumer.settings.handed_back_after()).await;
    }

    /// Ends a consumer. What it was delivered until then is given over.
    async fn cancel(&self, consumer: &mut lapin::Consumer) -> Result<(), Ended> {
        let options = BasicCancelOptions::default();
        let cancelling = self.session.channel.basic_cancel(consumer.tag(), options);
        answered(self.consumer.queue(), cancelling).await?;
        while let Some(Ok(raw)) = consumer.next().await {
            self.give(raw);
        }
        Ok(())
    }

    /// Gives over a message that no other one comes beside.
    fn give_alone(&self, raw: Raw) {
        self.give(raw);
        self.flush();
    }

    /// Lets no batch wait for more messages: for now, none come.
    fn flush(&self) {
        let _ = self.work.send(Input::Flush);
    }

    fn give(&self, raw: Raw) {
        metrics::delivered(self.consumer.queue());
        // The work goes on for as long as there are subscriptions.
        let _ = self.work.send(Input::Message(Box::new(self.session.receive(raw))));
    }

    /// Returns once no handler has anything that was given over, or at the shutdown: it is settled, or
    /// waits to be tried again.
    async fn at_rest(&self) -> Result<(), Ended> {
        let (rested, at_rest) = oneshot::channel();
        let _ = self.work.send(Input::Rest(rested));
        tokio::select! {
            _ = at_rest => Ok(()),
            () = self.shutdown.cancelled() => Ok(()),
            () = self.session.lost() => Err(Ended::Lost(None)),
        }
    }

    /// Returns once everything that was given over is settled, or at the shutdown.
    async fn settled(&self) -> Result<(), Ended> {
        tokio::select! {
            () = self.session.settled() => Ok(()),
            () = self.shutdown.cancelled() => Ok(()),
            () = self.session.lost() => Err(Ended::Lost(None)),
        }
    }
}

/// Shows that a consumer is paused, until it is dropped.
struct Paused<'a>(&'a str);

impl<'a> Paused<'a> {
    fn new(queue: &'a str) -> Self {
        metrics::paused(queue, true);
        tracing::warn!(
            messaging.queue = queue,
            "consumer is paused: most messages found unavailable what they need"
        );
        Self(queue)
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        metrics::paused(self.0, false);
        tracing::info!(messaging.queue = self.0, "consumer is paused no longer");
    }
}
