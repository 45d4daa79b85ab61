//! The consumer: takes messages off a service's queue, one handler call for each, and settles them
//! by the handler's verdict.
//!
//! ```text
//!   delivery ─▶ decode ─▶ known type? ─▶ handler, within its time ─▶ verdict
//!                 │no         │no                                      Ack          acknowledged
//!                 ▼           ▼                                        Retry        comes back after a pause, an attempt later;
//!               parked      parked                                                  parked when attempts are used up
//!                                                                      DeadLetter   parked
//!                                                                      Unavailable  comes back after a pause, no attempt lost
//! ```
//!
//! "Comes back" and "parked" are confirmed publishes to another queue, and only then the
//! acknowledgement: a message is at no time in no queue. A crash in between makes it two, and the
//! [inbox](crate::inbox) makes that one effect. Nothing is ever put back to the head of its queue:
//! that is how one poison message becomes thousands of redeliveries a second.

pub(crate) mod delivery;
mod gauges;
pub(crate) mod settle;
mod waiting;
mod work;

use std::future::Future;
use std::sync::Arc;

use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::{Attachment, Broker};
use crate::consumer::settle::Outlet;
use crate::consumer::work::Work;
use crate::settings::{ConsumerSettings, MessagingSettings, SettingsError};
use crate::topology::{self, Topology, TopologyError};

pub use delivery::{Delivery, Verdict};

/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;

/// What a service does with the messages it takes.
pub trait Handler: Send + Sync + 'static {
    /// What this handler understands: the exchange's key in `[exchanges]`, and the event type. The
    /// queue is bound to exactly these; any other type is parked.
    fn handles(&self) -> &'static [(&'static str, &'static str)];

    /// Whether messages of one [`Handler::key`] are handled one after the other, in the order in
    /// which they came. It holds within one consumer, and until one of them is tried again: those
    /// behind it do not wait for it.
    const ORDERED: bool = false;

    /// What a message is about, where order matters; none: in no order. Asked only if
    /// [`Handler::ORDERED`].
    fn key(&self, delivery: &Delivery) -> Option<String> {
        let _ = delivery;
        None
    }

    /// Has the message's effect, once. Called for several messages at the same time; dropped when
    /// it takes longer than `[consumer] handler_timeout`, so its effect belongs in a transaction.
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Verdict> + Send;
}

/// Why a consumer ended. Everything that may pass is waited for instead.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// An exchange or queue is there with other arguments.
    #[error(transparent)]
    Drift(TopologyError),
}

/// Takes messages off one queue. Several consumers of one queue, in many processes, share it.
#[derive(Debug)]
pub struct Consumer<H> {
    broker: Broker,
    handler: Arc<H>,
    topology: Arc<Topology>,
    settings: ConsumerSettings,
}

impl<H> Clone for Consumer<H> {
    fn clone(&self) -> Self {
        Self {
            broker: self.broker.clone(),
            handler: Arc::clone(&self.handler),
            topology: Arc::clone(&self.topology),
            settings: self.settings.clone(),
        }
    }
}

impl<H: Handler> Consumer<H> {
    /// A consumer of the queue that `queue_key` names in `[queues]`. Refused when it could hold a
    /// message for longer than the broker waits.
    pub fn new(
        broker: Broker,
        settings: &MessagingSettings,
        queue_key: &str,
        handler: H,
    ) -> Result<Self, SettingsError> {
        settings.consumer.check()?;
        let bindings = handler
            .handles()
            .iter()
            .map(|(exchange, key)| Ok((settings.exchange(exchange)?.to_owned(), *key)))
            .collect::<Result<_, _>>()?;
        let topology = Topology {
            queue: settings.queue(queue_key)?.to_owned(),
            bindings,
            retry_delays: settings.consumer.retry_delays.clone(),
        };
        Ok(Self {
            broker,
            handler: Arc::new(handler),
            topology: Arc::new(topology),
            settings: settings.consumer.clone(),
        })
    }

    /// The queue's name: what the [inbox](crate::inbox) calls this consumer.
    pub fn queue(&self) -> &str {
        &self.topology.queue
    }

    /// Consumes until `shutdown`; then takes nothing new, finishes what was prefetched, and closes.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ConsumerError> {
        let link = self.broker.consuming();
        let outlet = Outlet::new(self.broker.publishing_at_times(), Arc::clone(&self.topology));
        let ended = tokio::select! {
            ended = self.consume(&link, &outlet, &shutdown) => ended,
            never = gauges::keep(&self.broker, self.queue()) => match never {},
        };
        outlet.detach().await;
        link.detach().await;
        ended
    }

    /// One subscription after the other, each for as long as its channel lasts.
    async fn consume(
        &self,
        link: &Attachment,
        outlet: &Outlet,
        shutdown: &CancellationToken,
    ) -> Result<(), ConsumerError> {
        let backoff = backoff::again();
        let mut failures = 0_u32;
        let mut waiting = Some(self.broker.waiting());
        // Getting a channel waits for the broker, endlessly; shutdown cuts it short.
        while let Some(channel) = shutdown.run_until_cancelled(link.channel()).await {
            match self.subscribe(&channel).await {
                Ok(subscription) => {
                    failures = 0;
                    drop(waiting.take());
                    tracing::info!(messaging.queue = %self.queue(), "consumer subscribed");
                    self.serve(&channel, subscription, outlet, shutdown).await;
                }
                Err(drift @ TopologyError::Drift { .. }) => {
                    return Err(ConsumerError::Drift(drift));
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = %error, failures, "consumer could not subscribe");
                    shutdown.run_until_cancelled(sleep(backoff.delay(failures))).await;
                }
            }
            if shutdown.is_cancelled() {
                break;
            }
            waiting.get_or_insert_with(|| self.broker.waiting());
        }
        Ok(())
    }

    async fn subscribe(&self, channel: &Channel) -> Result<lapin::Consumer, TopologyError> {
        self.topology.declare(channel).await?;
        let queue = self.queue();
        // Before consuming: lapin's own buffer has no bound, the prefetch is the only one.
        let bound = channel.basic_qos(self.settings.prefetch.get(), BasicQosOptions::default());
        topology::answered(queue, bound).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let subscribing = channel.basic_consume(queue.into(), "".into(), options, arguments);
        topology::answered(queue, subscribing).await
    }

    /// Handles deliveries until the subscription ends, by shutdown or by a fault.
    async fn serve(
        &self,
        channel: &Channel,
        subscription: lapin::Consumer,
        outlet: &Outlet,
        shutdown: &CancellationToken,
    ) {
        let tag = subscription.tag();
        let ending = shutdown.child_token();
        let work = Work {
            handler: &*self.handler,
            topology: &self.topology,
            settings: &self.settings,
            outlet,
            ending: &ending,
        };
        let draining = async {
            shutdown.cancelled().await;
            let cancelled = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            if let Err(error) = cancelled {
                tracing::debug!(error = %error, "subscription was not cancelled in order");
            }
        };
        work.all(subscription, draining).await;
        if shutdown.is_cancelled() {
            if let Err(error) = channel.close(REPLY_SUCCESS, "OK".into()).await {
                tracing::debug!(error = %error, "channel was not closed in order");
            }
            tracing::info!(messaging.queue = %self.queue(), "consumer drained");
        } else {
            tracing::warn!(messaging.queue = %self.queue(), "subscription ended");
        }
    }
}
