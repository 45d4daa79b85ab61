//! How much waits in the queue and in its parking lot: whether the consumer keeps up, and whether
//! people have to look.

use std::convert::Infallible;

use lapin::Channel;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::metrics::{self, INTERVAL};
use crate::topology::{TopologyError, message_count, parked_queue};

/// Keeps the gauges of `queue` while the broker answers.
pub(super) async fn keep(broker: &Broker, queue: &str) -> Infallible {
    let link = broker.consuming_at_times();
    loop {
        // The consumer declares the queues first; asking for one that is not there costs a channel.
        sleep(INTERVAL).await;
        let channel = link.channel().await;
        while let Ok((waiting, parked)) = measure(&channel, queue).await {
            metrics::depth(queue, waiting, parked);
            sleep(INTERVAL).await;
        }
    }
}

async fn measure(channel: &Channel, queue: &str) -> Result<(u32, u32), TopologyError> {
    let waiting = message_count(channel, queue).await?;
    Ok((waiting, message_count(channel, &parked_queue(queue)).await?))
}
