//! What happened here, as the contract that the other services read.

use chassis::Clock;
// template: if events=user
use contracts::erasure::ErasureConfirmed;
// template: end
use contracts::sample::SampleCreated;
use messaging::{EnqueueError, Outbox};
use sqlx::PgConnection;

use crate::domain::{Event, Sample};

/// The key in `[exchanges]` of what they are published through.
pub(crate) const EXCHANGE: &str = <SampleCreated as contracts::Event>::EXCHANGE;
// template: if events=user
/// The key in `[exchanges]` of what is answered to a deletion.
pub(crate) const ERASURES: &str = <ErasureConfirmed as contracts::Event>::EXCHANGE;
// template: end

/// Writes the events to the outbox, in the transaction that saves the sample.
pub(crate) async fn enqueue(
    outbox: &Outbox,
    clock: &Clock,
    tx: &mut PgConnection,
    sample: &Sample,
    events: Vec<Event>,
) -> Result<(), EnqueueError> {
    let sample_id = sample.id;
    let user_id = sample.user_id;
    let at = sample.updated_at;
    for event in events {
        let id = clock.new_id();
        match event {
            Event::Created => {
                outbox.enqueue(tx, id, at, &SampleCreated { sample_id, user_id }).await?;
            }
        }
    }
    Ok(())
}
