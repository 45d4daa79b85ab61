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
//! Three files follow one message: `subscription` takes it off the queue, `work` brings it to its
//! handler, `settlement` settles it.
//!
//! "Comes back" and "dead-lettered" are confirmed publishes to another queue, and only then the
//! acknowledgement: a message is at no time in no queue. A crash in between makes it two, and the
//! [inbox](crate::inbox) makes that one effect. Nothing is ever put back to the head of its queue:
//! that is how one poison message becomes thousands of redeliveries a second.
//!
//! An ordered consumer ([`Handlers::ordered`]) tries a message again in its place instead, while those
//! of its aggregate wait in hand, and hands all of it back to the broker before that loses patience.
//!
//! Where effects are cheaper together, a handler takes a batch of messages
//! ([`Handlers::on_batch`]); what fails together is tried one by one.

pub(crate) mod delivery;
mod gauges;
mod handlers;
mod kill_switch;
mod queued;
mod republisher;
mod session;
mod settlement;
mod subscription;
mod work;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff;
use crate::broker::{Attachment, Broker};
use crate::consumer::handlers::Routes;
use crate::consumer::kill_switch::KillSwitch;
use crate::consumer::republisher::Republisher;
use crate::consumer::session::Session;
use crate::consumer::settlement::Settlement;
use crate::consumer::subscription::{Ended, Subscription};
use crate::consumer::work::{Input, Work};
use crate::metrics;
use crate::settings::{ConsumerSettings, MessagingSettings, SettingsError};
use crate::topology::{self, Topology};

pub use delivery::{Delivery, Verdict};
pub use handlers::Handlers;

/// A subscription that lived as long was a good one: the next is made at once when it is lost.
const LIVED: Duration = Duration::from_secs(5);

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
    /// for. Refused when it could hold a message for longer than the broker waits, and when a batch
    /// is larger than the prefetch.
    pub fn new<S>(
        broker: Broker,
        settings: &MessagingSettings,
        queue_key: &str,
        handlers: Handlers<S>,
    ) -> Result<Self, SettingsError> {
        let routes = handlers.routes;
        let topology = Topology::of(settings, queue_key, routes.bindings())?;
        let settings = settings.consumer_of(queue_key)?;
        routes.fit(queue_key, &settings)?;
        Ok(Self { broker, routes: Arc::new(routes), topology: Arc::new(topology), settings })
    }

    /// The queue's name: what the [inbox](crate::inbox) calls this consumer.
    pub fn queue(&self) -> &str {
        &self.topology.queue
    }

    /// Consumes until `shutdown`; then takes nothing new, finishes what was prefetched, and closes.
    /// Everything that may go wrong on the way passes, and is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        // Series that are there from the beginning: the first duplicate is an increase too.
        metrics::duplicates(self.queue(), 0);
        metrics::paused(self.queue(), false);
        let link = self.broker.consuming();
        let publishing = self.broker.publishing_at_times();
        let republisher = Republisher::new(publishing, Arc::clone(&self.topology));
        tokio::select! {
            () = self.consume(&link, &republisher, &shutdown) => {}
            never = gauges::keep(&self.broker, self.queue()) => match never {},
            never = topology::watch(&self.broker, &self.topology) => match never {},
        }
        republisher.detach().await;
        link.detach().await;
        Ok(())
    }

    /// Subscribes and works, side by side: what a lost subscription left in handlers is finished
    /// while the next one delivers.
    async fn consume(
        &self,
        link: &Attachment,
        republisher: &Republisher,
        shutdown: &CancellationToken,
    ) {
        let kill_switch = KillSwitch::new(&self.settings);
        let topology = &*self.topology;
        let settings = &self.settings;
        let in_place = self.routes.are_ordered;
        let work = Work {
            queue: self.queue().into(),
            routes: &self.routes,
            settlement: Settlement { topology, settings, republisher, in_place },
            kill_switch: &kill_switch,
        };
        let (sender, inputs) = unbounded_channel();
        let subscribing = self.subscribe(link, sender, &kill_switch, shutdown);
        let (drained, ()) = tokio::join!(subscribing, work.run(inputs));
        if let Some(session) = drained {
            session.close(self.queue()).await;
        }
        tracing::info!(messaging.queue = %self.queue(), "consumer drained");
    }

    /// One subscription after the other, each for as long as its channel lasts; gives the session
    /// that the last one was drained in.
    async fn subscribe(
        &self,
        link: &Attachment,
        work: UnboundedSender<Input>,
        kill_switch: &KillSwitch,
        shutdown: &CancellationToken,
    ) -> Option<Arc<Session>> {
        let backoff = backoff::again();
        let mut failures = 0_u32;
        let mut waiting = Some(self.broker.waiting());
        // Getting a channel waits for the broker, endlessly; shutdown cuts it short.
        while let Some(channel) = shutdown.run_until_cancelled(link.channel()).await {
            // Dropped once `waiting` is back: in between, the consumer counts as one of the two.
            let _counted = self.broker.subscribed(&channel);
            let session = Arc::new(Session::new(channel));
            let started = Instant::now();
            let subscription = Subscription {
                consumer: self,
                session: &session,
                work: &work,
                kill_switch,
                shutdown,
                waiting: &mut waiting,
            };
            let ended = subscription.run().await;
            // What it delivered and no handler has yet comes again by another one.
            session.ended.cancel();
            let _ = work.send(Input::Flush);
            match ended {
                Ended::Drained => return Some(session),
                Ended::Renewed => {
                    session.close(self.queue()).await;
                    continue;
                }
                // It is told already, and the queue is used as it is from now on.
                Ended::Lost(Some(drift)) if drift.is_drift() => continue,
                Ended::Lost(error) => {
                    waiting.get_or_insert_with(|| self.broker.waiting());
                    let error = error.map(tracing::field::display);
                    tracing::warn!(messaging.queue = %self.queue(), error, "subscription ended");
                    session.close(self.queue()).await;
                }
            }
            if started.elapsed() >= LIVED {
                failures = 0;
            } else {
                failures = failures.saturating_add(1);
                shutdown.run_until_cancelled(sleep(backoff.delay(failures))).await;
            }
        }
        None
    }
}
