//! How much waits in the queue and in its dead-letter queue: whether the consumer keeps up, and whether
//! people have to look.

use std::convert::Infallible;

use lapin::Channel;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::dead_letter_queue::count_at_rest;
use crate::metrics::{self, INTERVAL};
use crate::topology::{TopologyError, dead_letter_queue, message_count};

/// Keeps the gauges of `queue` while the broker answers.
pub(super) async fn keep(broker: &Broker, queue: &str) -> Infallible {
    let link = broker.consuming_at_times();
    let mut last = u32::MAX;
    loop {
        // The consumer declares the queues first; asking for one that is not there costs a channel.
        sleep(INTERVAL).await;
        let channel = link.channel().await;
        while let Ok((waiting, dead_letters)) = measure(&channel, queue, last).await {
            metrics::depth(queue, waiting, dead_letters);
            last = dead_letters.unwrap_or(last);
            sleep(INTERVAL).await;
        }
    }
}

/// Messages in the queue, and in its dead-letter queue. When the latter are fewer than the `last` time,
/// they were replayed or discarded, or somebody looks at this moment and holds them: then none, so that
/// the gauge keeps what it said before.
async fn measure(
    channel: &Channel,
    queue: &str,
    last: u32,
) -> Result<(u32, Option<u32>), TopologyError> {
    let waiting = message_count(channel, queue).await?;
    let dead_letter_queue = dead_letter_queue(queue);
    let dead_letters = message_count(channel, &dead_letter_queue).await?;
    if dead_letters >= last {
        return Ok((waiting, Some(dead_letters)));
    }
    Ok((waiting, count_at_rest(channel, &dead_letter_queue).await?))
}
