//! Acknowledges a message, and notices when its channel is gone meanwhile.

use std::time::Duration;

use lapin::message::Delivery as Raw;
use lapin::options::BasicAckOptions;
use tokio::time::sleep;

/// How often it is looked whether a message's channel is still there.
const CHANNEL_INTERVAL: Duration = Duration::from_millis(100);

/// Tells the broker that a message is done with; false when it cannot be told any more, and will
/// deliver the message again.
pub(crate) async fn acknowledge(raw: &Raw, options: BasicAckOptions) -> bool {
    // lapin hands an acknowledgement to its connection's task. One that comes just as that ends is
    // neither sent nor refused: whoever waited for it alone would wait for ever.
    tokio::select! {
        biased;
        sent = raw.acker.ack(options) => matches!(sent, Ok(true)),
        () = channel_gone(raw) => false,
    }
}

async fn channel_gone(raw: &Raw) {
    while !raw.acker.poisoned() {
        sleep(CHANNEL_INTERVAL).await;
    }
}
