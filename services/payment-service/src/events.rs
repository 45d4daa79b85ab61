//! What happened to a payment, as the contract that the other services read.

use chassis::Clock;
use contracts::erasure::ErasureConfirmed;
use contracts::payment::{PaymentCompleted, PaymentFailed};
use messaging::{EnqueueError, Outbox};
use sqlx::PgConnection;

use crate::domain::{Event, Payment};

/// The key in `[exchanges]` of what they are published through.
pub(crate) const EXCHANGE: &str = <PaymentCompleted as contracts::Event>::EXCHANGE;

/// The key in `[exchanges]` of what is answered to a deletion.
pub(crate) const ERASURES: &str = <ErasureConfirmed as contracts::Event>::EXCHANGE;

/// Writes the events to the outbox, in the transaction that saves the payment.
pub(crate) async fn enqueue(
    outbox: &Outbox,
    clock: &Clock,
    tx: &mut PgConnection,
    payment: &Payment,
    events: Vec<Event>,
) -> Result<(), EnqueueError> {
    let payment_id = payment.id;
    let user_id = payment.user_id;
    let at = payment.updated_at;
    let amount = payment.money.minor();
    for event in events {
        let id = clock.new_id();
        let currency = payment.money.currency().as_str().to_owned();
        match event {
            Event::Completed => {
                let completed = PaymentCompleted { payment_id, user_id, amount, currency };
                outbox.enqueue(tx, id, at, &completed).await?;
            }
            Event::Failed { code, message } => {
                let reason = message;
                let decline_code = Some(code);
                let failed =
                    PaymentFailed { payment_id, user_id, amount, currency, reason, decline_code };
                outbox.enqueue(tx, id, at, &failed).await?;
            }
        }
    }
    Ok(())
}
