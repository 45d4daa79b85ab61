//! The broker: one connection to publish and one to consume, opened when first needed and reopened
//! for as long as somebody needs it.
//!
//! Two, because a broker that is short of memory or disk blocks a publishing connection as a whole:
//! acknowledgements on it would wait too. lapin's own recovery is off: it leaves publishes hanging
//! for many seconds and gives up after sixteen tries. Here a broken connection is an error at once;
//! the relay and the consumer ask for a new channel, and get one as soon as there is a broker.

mod link;

use std::fmt;
use std::sync::Arc;

use crate::settings::RabbitSettings;

pub(crate) use link::{Attachment, Link};

/// The broker as one service sees it. Cheap to clone; makes no connection by itself, so a service
/// starts and serves while the broker is away.
#[derive(Clone)]
pub struct Broker(Arc<Shared>);

struct Shared {
    publish: Arc<Link>,
    consume: Arc<Link>,
}

impl Broker {
    /// The broker of `settings`. Its connections are called `<service>.publish` and
    /// `<service>.consume` in the broker's list.
    pub fn new(service: &str, settings: &RabbitSettings) -> Self {
        Self(Arc::new(Shared {
            publish: Arc::new(Link::new(service, "publish", settings)),
            consume: Arc::new(Link::new(service, "consume", settings)),
        }))
    }

    /// Whether the connections that the running relay and consumer work on are open at this moment.
    /// False while neither runs.
    pub fn is_connected(&self) -> bool {
        let links = [&self.0.publish, &self.0.consume];
        let mut worked = links.into_iter().filter(|link| link.is_worked()).peekable();
        worked.peek().is_some() && worked.all(|link| link.is_open())
    }

    /// The publishing connection, for a task that keeps it open.
    pub(crate) fn publishing(&self) -> Attachment {
        Attachment::working(&self.0.publish)
    }

    /// The publishing connection, for a task that needs it now and then.
    pub(crate) fn publishing_at_times(&self) -> Attachment {
        Attachment::occasional(&self.0.publish)
    }

    /// The consuming connection, for a task that keeps it open.
    pub(crate) fn consuming(&self) -> Attachment {
        Attachment::working(&self.0.consume)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
