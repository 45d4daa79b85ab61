//! The consumer: takes messages off a service's queue, one handler call for each, and settles them
//! by the handler's verdict.
//!
//! ```text
//!   delivery ─▶ a handler of its type and version? ─▶ decode ─▶ handler, within its time ─▶ verdict
//!                 │no                                  │no        Ack          acknowledged
//!                 ▼                                    ▼          Retry        comes back after a pause, an attempt later;
//!               dead-lettered                               dead-lettered                    dead-lettered when attempts are used up
//!                                                                 DeadLetter   dead-lettered
//!                                                                 Unavailable  comes back after a pause, no attempt lost
//! ```
//!
//! "Comes back" and "dead-lettered" are confirmed publishes to another queue, and only then the
//! acknowledgement: a message is at no time in no queue. A crash in between makes it two, and the
//! [inbox](crate::inbox) makes that one effect. Nothing is ever put back to the head of its queue:
//! that is how one poison message becomes thousands of redeliveries a second.
//!
//! Where effects are cheaper together, a handler takes a batch of messages
//! ([`Handlers::on_batch`]); what fails together is tried one by one.

mod answer;
pub(crate) mod delivery;
mod gauges;
mod handlers;
pub(crate) mod settle;
mod waiting;
mod work;

use std::convert::Infallible;
use std::sync::Arc;

use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::{Attachment, Broker};
use crate::consumer::answer::Answers;
use crate::consumer::handlers::Routes;
use crate::consumer::settle::Outlet;
use crate::consumer::work::Work;
use crate::metrics;
use crate::settings::{ConsumerSettings, MessagingSettings, SettingsError};
use crate::topology::{self, Topology, TopologyError};

pub use delivery::{Delivery, Verdict};
pub use handlers::Handlers;

/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;

/// Takes messages off one queue. Several consumers of one queue, in many processes, share it.
#[derive(Debug, Clone)]
pub struct Consumer {
    broker: Broker,
    routes: Arc<Routes>,
    topology: Arc<Topology>,
    settings: ConsumerSettings,
}

impl Consumer {
    /// A consumer of the queue that `queue_key` names in `[queues]`, bound to what `handlers` are
    /// for. Refused when it could hold a message for longer than the broker waits.
    pub fn new<S>(
        broker: Broker,
        settings: &MessagingSettings,
        queue_key: &str,
        handlers: Handlers<S>,
    ) -> Result<Self, SettingsError> {
        let routes = handlers.routes;
        let topology = Topology::of(settings, queue_key, routes.bindings())?;
        let settings = settings.consumer_of(queue_key)?;
        if routes.have_batches() {
            // What fails in a batch is handled twice.
            settings.check_held(queue_key, 2)?;
        }
        Ok(Self { broker, routes: Arc::new(routes), topology: Arc::new(topology), settings })
    }

    /// The queue's name: what the [inbox](crate::inbox) calls this consumer.
    pub fn queue(&self) -> &str {
        &self.topology.queue
    }

    /// Consumes until `shutdown`; then takes nothing new, finishes what was prefetched, and closes.
    /// Everything that may go wrong on the way passes, and is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        // A series that is there from the beginning: the first duplicate is an increase too.
        metrics::duplicates(self.queue(), 0);
        let link = self.broker.consuming();
        let outlet = Outlet::new(self.broker.publishing_at_times(), Arc::clone(&self.topology));
        tokio::select! {
            () = self.consume(&link, &outlet, &shutdown) => {}
            never = gauges::keep(&self.broker, self.queue()) => match never {},
            never = topology::watch(&self.broker, &self.topology) => match never {},
        }
        outlet.detach().await;
        link.detach().await;
        Ok(())
    }

    /// One subscription after the other, each for as long as its channel lasts.
    async fn consume(&self, link: &Attachment, outlet: &Outlet, shutdown: &CancellationToken) {
        let backoff = backoff::again();
        let mut failures = 0_u32;
        let mut waiting = Some(self.broker.waiting());
        // Getting a channel waits for the broker, endlessly; shutdown cuts it short.
        while let Some(channel) = shutdown.run_until_cancelled(link.channel()).await {
            // Dropped once `waiting` is back: in between, the consumer counts as one of the two.
            let _counted = self.broker.subscribed(&channel);
            let subscribing = shutdown.run_until_cancelled(self.subscribe(&channel));
            let Some(subscribed) = subscribing.await else { break };
            match subscribed {
                Ok(subscription) => {
                    failures = 0;
                    drop(waiting.take());
                    tracing::info!(messaging.queue = %self.queue(), "consumer subscribed");
                    self.serve(&channel, subscription, outlet, shutdown).await;
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
        let answers = Answers::new(&self.topology, &self.settings, outlet, &ending);
        let work = Work { routes: &self.routes, answers };
        // A broker that hangs answers neither of these: what it gave goes to somebody else once the
        // connection is gone.
        let draining = async {
            shutdown.cancelled().await;
            let cancelling = channel.basic_cancel(tag, BasicCancelOptions::default());
            let cancelled = topology::answered(self.queue(), cancelling).await;
            cancelled.inspect_err(|error| {
                tracing::warn!(error = %error, "subscription was not cancelled in order");
            })
        };
        let in_order = work.all(subscription, draining).await;
        if shutdown.is_cancelled() {
            if in_order {
                let closing = channel.close(REPLY_SUCCESS, "OK".into());
                if let Err(error) = topology::answered(self.queue(), closing).await {
                    tracing::debug!(error = %error, "channel was not closed in order");
                }
            }
            tracing::info!(messaging.queue = %self.queue(), "consumer drained");
        } else {
            tracing::warn!(messaging.queue = %self.queue(), "subscription ended");
        }
    }
}
