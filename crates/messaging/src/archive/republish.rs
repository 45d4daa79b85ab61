//! Sends archived events again: to one queue, past its exchange, or to all that are bound.

use lapin::BasicProperties;
use lapin::types::FieldTable;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ArchiveError, ArchivedEvent, EventArchive, Filter, Page};
use crate::headers::{NAME_CHARS_MAX, ORIGINAL_EXCHANGE, ORIGINAL_ROUTING_KEY, set_text};
use crate::message::{self, CONTENT_TYPE, PERSISTENT};
use crate::publisher::{Message, PublishOutcome, Publisher, Refusal};
use crate::topology::Readers;

/// Bodies that are in memory at a time, in bytes; the first is taken whatever its size.
const CHUNK_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// Where events are sent again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventTarget)]
pub enum Target {
    /// To all readers, through the outbox and the exchange; inboxes drop what they remember.
    All,
    /// To the one queue of this name, which is in `[queues]`: no other reader gets them.
    Queue(String),
}

/// What became of republishing, or would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Republished {
    /// Events of this page that match.
    pub matched: u32,
    /// Events that were sent again: none as long as the confirmation is missing.
    pub republished: u32,
    /// `after` of the next page; none when there may be no more. After `stopped`, that of the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// Stands for exactly the events that match and where they go: to be sent with the request that
    /// republishes them.
    pub confirmation: String,
    /// Why it ended before everything that matched was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// An event with what it says.
struct Body {
    event_id: Uuid,
    id: i64,
    exchange: String,
    routing_key: String,
    envelope: Vec<u8>,
}

impl EventArchive {
    /// Sends a page of what matches again, in order and under the same event ids, if `confirmation`
    /// stands for exactly that: to the one queue that is named, or through the outbox to all that are
    /// bound. Without a confirmation nothing is sent: the answer says how much would be, and its
    /// confirmation.
    ///
    /// # Errors
    /// The filter's limit; a queue that `[queues]` does not name; another confirmation; a database or
    /// a broker that is away.
    pub async fn republish(
        &self,
        filter: &Filter,
        target: &Target,
        confirmation: Option<&str>,
    ) -> Result<Republished, ArchiveError> {
        let queue = match target {
            Target::All => None,
            Target::Queue(name) => Some(name.as_str()),
        };
        if queue.is_some_and(|name| !self.queues.iter().any(|known| known == name)) {
            return Err(ArchiveError::UnknownQueue);
        }
        let Page { mut items, next } = self.list(filter).await?;
        // What its reader has no handler for would fill its dead-letter queue.
        items.retain(|item| queue.is_none_or(|queue| self.is_read_by(queue, &item.event_type)));
        let mut answer = Republished {
            matched: u32::try_from(items.len()).unwrap_or(u32::MAX),
            republished: 0,
            next,
            confirmation: confirmation_of(&items, queue),
            stopped: None,
        };
        match confirmation {
            None => return Ok(answer),
            Some(given) if given != answer.confirmation => return Err(ArchiveError::Changed),
            Some(_) => {}
        }
        match queue {
            Some(queue) => self.to_queue(queue, (&items, filter.after), &mut answer).await?,
            None => self.to_all(&items, &mut answer).await?,
        }
        let republished = answer.republished;
        tracing::warn!(messaging.queue = queue, republished, "archived events were republished");
        Ok(answer)
    }

    /// Whether a queue's reader handles an event type, as far as `[subscriptions]` says anything.
    fn is_read_by(&self, queue: &str, event_type: &str) -> bool {
        self.readers.is_empty()
            || self.readers.get(event_type).is_some_and(|queues| queues.iter().any(|q| q == queue))
    }

    /// Back into the outbox: the relay sends them once more.
    async fn to_all(
        &self,
        items: &[ArchivedEvent],
        answer: &mut Republished,
    ) -> Result<(), ArchiveError> {
        let ids: Vec<Uuid> = items.iter().map(|item| item.id).collect();
        let rows = sqlx::query!(
            "with numbered as materialized (select pg_current_xact_id())
             insert into messaging_outbox
                 (event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory)
             select event_id, aggregate_id, partition, exchange, routing_key, envelope, mandatory
             from numbered, messaging_archive where event_id = any($1) order by id",
            &ids,
        );
        let rows = rows.execute(&self.database).await?.rows_affected();
        answer.republished = u32::try_from(rows).unwrap_or(u32::MAX);
        self.outbox.wake();
        Ok(())
    }

    /// Past the exchange into one queue, with the exchange and the key of before in the headers, which
    /// its consumer reads.
    async fn to_queue(
        &self,
        queue: &str,
        (items, after): (&[ArchivedEvent], Option<i64>),
        answer: &mut Republished,
    ) -> Result<(), ArchiveError> {
        let connection = self.broker.publishing_at_times();
        let publisher = Publisher::new(connection, Readers::default(), self.confirm_timeout);
        let sent = self.publish(&publisher, queue, (items, after), answer).await;
        publisher.close().await;
        sent
    }

    async fn publish(
        &self,
        publisher: &Publisher,
        queue: &str,
        (items, after): (&[ArchivedEvent], Option<i64>),
        answer: &mut Republished,
    ) -> Result<(), ArchiveError> {
        let mut last = after;
        for chunk in chunks(items) {
            let bodies = self.bodies(chunk).await?;
            let messages: Vec<_> = bodies.iter().map(|body| self.message(queue, body)).collect();
            let outcomes = publisher.publish_all(&messages).await;
            for (body, outcome) in bodies.iter().zip(outcomes) {
                if let Some(reason) = stopped(&outcome) {
                    // Where to go on: behind the last one that arrived.
                    (answer.stopped, answer.next) = (Some(reason.to_owned()), last);
                    return Ok(());
                }
                answer.republished += 1;
                last = Some(body.id);
            }
        }
        Ok(())
    }

    /// What the events say that have not been erased meanwhile.
    async fn bodies(&self, items: &[ArchivedEvent]) -> Result<Vec<Body>, ArchiveError> {
        let ids: Vec<Uuid> = items.iter().map(|item| item.id).collect();
        let bodies = sqlx::query_as!(
            Body,
            "select event_id, id, exchange, routing_key, envelope
             from messaging_archive where event_id = any($1) order by id",
            &ids,
        );
        Ok(bodies.fetch_all(&self.database).await?)
    }

    fn message<'a>(&self, queue: &str, body: &'a Body) -> Message<'a> {
        let mut headers = FieldTable::default();
        set_text(&mut headers, ORIGINAL_EXCHANGE, &body.exchange, NAME_CHARS_MAX);
        set_text(&mut headers, ORIGINAL_ROUTING_KEY, &body.routing_key, NAME_CHARS_MAX);
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(body.event_id.to_string().into())
            .with_type(body.routing_key.as_str().into())
            .with_app_id(self.outbox.service().into())
            .with_headers(headers);
        Message { exchange: "".into(), routing_key: queue.into(), body: &body.envelope, properties }
    }
}

/// Why an event did not arrive; none when it did.
fn stopped(outcome: &PublishOutcome) -> Option<&'static str> {
    match outcome {
        PublishOutcome::Confirmed => None,
        PublishOutcome::Returned => Some("the queue is not there"),
        PublishOutcome::Refused(Refusal::Unavailable) => Some("the broker is not reachable"),
        PublishOutcome::Refused(_) => Some("the queue takes no message"),
        PublishOutcome::Unknown => Some("the broker did not confirm"),
    }
}

/// In parts whose bodies fit the memory for them.
fn chunks(items: &[ArchivedEvent]) -> impl Iterator<Item = &[ArchivedEvent]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|item| {
            let is_first = bytes == 0;
            bytes += i64::from(item.bytes).max(1);
            is_first || bytes <= CHUNK_BYTES_MAX
        });
        let (chunk, behind) = rest.split_at(fits.count());
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Stands for these events and where they go.
fn confirmation_of(items: &[ArchivedEvent], queue: Option<&str>) -> String {
    let target = Sha256::new().chain_update(queue.unwrap_or_default()).chain_update([0]);
    let digest = items.iter().fold(target, |digest, item| digest.chain_update(item.id.as_bytes()));
    message::hex(&digest.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES_MAX, chunks, confirmation_of};
    use crate::archive::ArchivedEvent;
    use uuid::Uuid;

    fn event(id: u128, bytes: i64) -> ArchivedEvent {
        ArchivedEvent {
            id: Uuid::from_u128(id),
            event_type: String::new(),
            aggregate: Uuid::nil(),
            exchange: String::new(),
            sent_at: chrono::DateTime::UNIX_EPOCH,
            bytes: i32::try_from(bytes).unwrap(),
            position: 0,
        }
    }

    #[test]
    fn chunks_hold_all_events_in_order_and_no_more_bytes_than_they_may() {
        let half = CHUNK_BYTES_MAX / 2;
        let events = [(1, half), (2, half), (3, CHUNK_BYTES_MAX + 1), (4, 0), (5, half)];
        let events: Vec<_> = events.map(|(id, bytes)| event(id, bytes)).into();

        let chunked: Vec<Vec<u128>> = chunks(&events)
            .map(|chunk| chunk.iter().map(|event| event.id.as_u128()).collect())
            .collect();

        assert_eq!(chunked, [vec![1, 2], vec![3], vec![4, 5]]);
        assert_eq!(chunks(&[]).count(), 0);
    }

    #[test]
    fn a_confirmation_is_of_these_events_and_of_this_queue() {
        let events = [event(1, 1), event(2, 1)];
        let of = |from: usize, to: usize, queue| confirmation_of(&events[from..to], queue);
        assert_eq!(of(0, 1, None), of(0, 1, None));
        assert_ne!(of(0, 1, None), of(1, 2, None));
        assert_ne!(of(0, 1, None), of(0, 2, None));
        assert_ne!(of(0, 1, None), of(0, 1, Some("q")));
    }
}
