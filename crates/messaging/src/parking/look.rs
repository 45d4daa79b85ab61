//! One look into a parking lot: its messages, one after the other, given back at the end.

use std::time::Duration;

use lapin::Channel;
use lapin::message::Delivery as Raw;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use crate::broker::{Attachment, Broker};
use crate::parking::ParkingError;
use crate::parking::parked::{Filter, Parked};
use crate::topology::{Topology, parked_queue};

/// Messages that one look takes in its hands at most.
const SEEN_MAX: u32 = 2_000;
/// The longest wait for a channel: somebody waits for the answer.
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(5);
/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;

pub(super) struct Look {
    link: Attachment,
    channel: Channel,
    parked_queue: String,
    /// Messages in the lot when the look began. It ends there: what is parked meanwhile, a replayed
    /// message among them, is not seen.
    parked: u32,
    seen: u32,
}

impl Look {
    pub(super) async fn open(broker: &Broker, topology: &Topology) -> Result<Self, ParkingError> {
        let link = broker.consuming_at_times();
        let parked_queue = parked_queue(&topology.queue);
        match begin(&link, topology, &parked_queue).await {
            Ok((channel, parked)) => Ok(Self { link, channel, parked_queue, parked, seen: 0 }),
            Err(error) => {
                link.detach().await;
                Err(error)
            }
        }
    }

    /// The next message that matches; none at the end of the lot or of the look.
    pub(super) async fn next(
        &mut self,
        filter: &Filter,
    ) -> Result<Option<(Parked, Raw)>, ParkingError> {
        while self.seen < self.parked.min(SEEN_MAX) {
            let options = BasicGetOptions::default();
            let got = self.channel.basic_get(self.parked_queue.as_str().into(), options).await?;
            let Some(got) = got else { return Ok(None) };
            self.seen += 1;
            let parked = Parked::read(&got.delivery);
            if filter.matches(&parked) {
                return Ok(Some((parked, got.delivery)));
            }
        }
        Ok(None)
    }

    pub(super) fn parked(&self) -> u32 {
        self.parked
    }

    pub(super) fn seen(&self) -> u32 {
        self.seen
    }

    /// Messages that wait in `queue`; 0 when it is not there, over which the channel is closed.
    pub(super) async fn waiting(&self, queue: &str) -> Result<u32, ParkingError> {
        match count(&self.channel, queue).await {
            Err(ParkingError::Broker(error)) if error.is_amqp_soft_error() => Ok(0),
            other => other,
        }
    }

    /// Gives back everything that was not acknowledged.
    pub(super) async fn close(self) {
        if let Err(error) = self.channel.close(REPLY_SUCCESS, "OK".into()).await {
            tracing::debug!(error = %error, "channel was not closed in order");
        }
        self.link.detach().await;
    }
}

/// A channel, if the broker gives one in time.
pub(super) async fn channel(link: &Attachment) -> Result<Channel, ParkingError> {
    timeout(CHANNEL_TIMEOUT, link.channel()).await.map_err(|_| ParkingError::Unavailable)
}

async fn begin(
    link: &Attachment,
    topology: &Topology,
    parked_queue: &str,
) -> Result<(Channel, u32), ParkingError> {
    let channel = channel(link).await?;
    topology.declare_outlets(&channel).await?;
    let parked = count(&channel, parked_queue).await?;
    Ok((channel, parked))
}

async fn count(channel: &Channel, queue: &str) -> Result<u32, ParkingError> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
    Ok(found.message_count())
}
