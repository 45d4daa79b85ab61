//! What happened to a notification, as the contract that the other services read.

use chassis::Clock;
use contracts::erasure::ErasureConfirmed;
use contracts::notification::{NotificationFailed, NotificationSent};
use messaging::{EnqueueError, Outbox};
use sqlx::PgConnection;

use crate::domain::{Event, Notification};

/// The channel's name in events and in the table.
pub(crate) const EMAIL: &str = "email";

/// The key in `[exchanges]` of what they are published through.
pub(crate) const EXCHANGE: &str = <NotificationSent as contracts::Event>::EXCHANGE;

/// The key in `[exchanges]` of what is answered to a deletion.
pub(crate) const ERASURES: &str = <ErasureConfirmed as contracts::Event>::EXCHANGE;

/// Writes the events to the outbox, in the transaction that saves the notification.
pub(crate) async fn enqueue(
    outbox: &Outbox,
    clock: &Clock,
    tx: &mut PgConnection,
    notification: &Notification,
    events: Vec<Event>,
) -> Result<(), EnqueueError> {
    let notification_id = notification.id;
    let user_id = notification.user_id;
    let kind = notification.kind.as_str().to_owned();
    let channel = EMAIL.to_owned();
    let at = notification.updated_at;
    for event in events {
        let id = clock.new_id();
        let kind = kind.clone();
        let channel = channel.clone();
        match event {
            Event::Sent => {
                let sent = NotificationSent { notification_id, user_id, kind, channel };
                outbox.enqueue(tx, id, at, &sent).await?;
            }
            Event::Failed { reason, permanent } => {
                let failed = NotificationFailed {
                    notification_id,
                    user_id,
                    kind,
                    channel,
                    reason,
                    permanent,
                    user_version: notification.recipient_version,
                };
                outbox.enqueue(tx, id, at, &failed).await?;
            }
        }
    }
    Ok(())
}
