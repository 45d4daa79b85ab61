//! The broker: one connection to publish and one to consume, opened when first needed and reopened
//! for as long as somebody needs it.
//!
//! ```text
//!   Broker ─▶ Link ◀─ Attachment        a task's hold, which gives channels
//!               └▶ Session              keeps the connection; ends with the last hold
//!                    └▶ Connection      lapin's, in a thread of its own
//!                         └▶ Wire       its stream: ends when told, mends what lapin cannot parse
//! ```
//!
//! Two, because a broker that is short of memory or disk blocks a publishing connection as a whole:
//! acknowledgements on it would wait too. lapin's own recovery is off: it leaves publishes hanging
//! for many seconds and gives up after sixteen tries. Here a broken connection is an error at once;
//! the relay and the consumer ask for a new channel, and get one as soon as there is a broker.

mod attachment;
mod connect;
mod frames;
mod session;
pub(crate) mod substitute;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lapin::Channel;

use crate::settings::RabbitSettings;

use attachment::Link;

pub(crate) use attachment::Attachment;
pub(crate) use connect::FRAME_MAX;

/// The broker as one service sees it. Cheap to clone; makes no connection by itself, so a service
/// starts and serves while the broker is away.
#[derive(Clone)]
pub struct Broker(Arc<Shared>);

struct Shared {
    publish: Arc<Link>,
    consume: Arc<Link>,
    /// Consumers that run and have no subscription at this moment.
    waiting: AtomicUsize,
    /// The channels that the others subscribed on, for as long as they say so.
    subscriptions: Mutex<Vec<Weak<Channel>>>,
}

impl Broker {
    /// The broker of `settings`. Its connections are called `<service>.publish` and
    /// `<service>.consume` in the broker's list.
    pub fn new(service: &str, settings: &RabbitSettings) -> Self {
        Self(Arc::new(Shared {
            publish: Arc::new(Link::new(service, "publish", settings)),
            consume: Arc::new(Link::new(service, "consume", settings)),
            waiting: AtomicUsize::new(0),
            subscriptions: Mutex::default(),
        }))
    }

    /// Whether the connections that the running relay and consumer work on are open at this moment,
    /// the broker takes messages, and the consumer is subscribed: from then on its queue is bound,
    /// and no event passes it by. False while neither runs, and while the broker, short of memory or
    /// disk, blocks publishers.
    pub fn is_connected(&self) -> bool {
        let waiting = self.0.waiting.load(Ordering::SeqCst) > 0;
        if waiting || !self.are_subscribed() || self.0.publish.is_blocked() {
            return false;
        }
        let links = [&self.0.publish, &self.0.consume];
        let mut worked = links.into_iter().filter(|link| link.is_worked()).peekable();
        worked.peek().is_some() && worked.all(|link| link.is_open())
    }

    /// Each connection: its name, whether it is open, and whether the broker blocks it.
    pub(crate) fn connections(&self) -> [(&str, bool, bool); 2] {
        [&self.0.publish, &self.0.consume]
            .map(|link| (link.name(), link.is_open(), link.is_blocked()))
    }

    /// Whether what consumers subscribed on is still there: the connection may be a new one by now.
    fn are_subscribed(&self) -> bool {
        let channels = self.subscriptions();
        channels.iter().filter_map(Weak::upgrade).all(|channel| channel.status().connected())
    }

    fn subscriptions(&self) -> MutexGuard<'_, Vec<Weak<Channel>>> {
        self.0.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a consumer as subscribed only as long as `channel` is open, until it is dropped.
    pub(crate) fn subscribed(&self, channel: &Channel) -> Arc<Channel> {
        let channel = Arc::new(channel.clone());
        let mut all = self.subscriptions();
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&channel));
        channel
    }

    /// Counts a consumer as not subscribed, until it is dropped.
    pub(crate) fn waiting(&self) -> Waiting {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self.clone())
    }

    /// The publishing connection, for a task that keeps it open.
    pub(crate) fn publishing(&self) -> Attachment {
        Attachment::working(&self.0.publish)
    }

    /// The publishing connection, for a task that needs it now and then.
    pub(crate) fn publishing_at_times(&self) -> Attachment {
        Attachment::occasional(&self.0.publish)
    }

    /// The consuming connection, for a task that needs it now and then.
    pub(crate) fn consuming_at_times(&self) -> Attachment {
        Attachment::occasional(&self.0.consume)
    }

    /// The consuming connection, for a task that keeps it open.
    pub(crate) fn consuming(&self) -> Attachment {
        Attachment::working(&self.0.consume)
    }
}

/// A consumer that runs without a subscription.
pub(crate) struct Waiting(Broker);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
