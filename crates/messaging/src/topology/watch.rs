//! Looks again and again whether exchanges, queues and bindings are there, and makes what is missing:
//! people delete them, and a broker can be set up anew under running services.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use super::Topology;
use crate::broker::Broker;

/// Between two looks. A message that comes in between is safe without them: its publisher binds the
/// readers that it knows of before it publishes.
const INTERVAL: Duration = Duration::from_secs(10);
/// AMQP's code of a close that nothing is wrong with.
const REPLY_SUCCESS: u16 = 200;

/// Declares the topology for as long as it is polled.
pub(crate) async fn watch(broker: &Broker, topology: &Topology) -> Infallible {
    let connection = broker.consuming_at_times();
    loop {
        sleep(INTERVAL).await;
        match topology.declare_again(&connection).await {
            Ok(channel) => {
                let _ = channel.close(REPLY_SUCCESS, "OK".into()).await;
            }
            Err(error) => tracing::warn!(error = %error, "queues and bindings were not checked"),
        }
    }
}
