//! Erasure: what messaging keeps of an aggregate goes with it, where it was deleted and where its events
//! are read.
//!
//! ```text
//!   service    erase                    in the transaction of the deletion, and in that of the effect of
//!                                       the event that tells of it: the archive at once
//!   eraser     DeadLetterQueue::erase   the service's dead letters that name an erased aggregate: within
//!                                       ten seconds, and every ten minutes those that came later
//! ```
//!
//! An event that is in the outbox, in a queue or in a retry queue at that time goes on its way: its reader
//! has it or gives up on it, and then it is a dead letter. So an erasure is remembered for
//! `[consumer] inbox_retention`, which is longer than any redelivery can take.
//!
//! The event of the deletion itself, whose type ends with `.deleted`, stays among the dead letters, and so
//! does the time-out of whoever waits for the erasure (`.erasure_timed_out`): they hold an id, and what they
//! ask for is still to be done.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::time::Duration;

use chrono::{DateTime, Utc};
use database::Database;
use lapin::BasicProperties;
use lapin::message::Delivery as Raw;
use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::dead_letter_queue::{DeadLetter, DeadLetterError, DeadLetterQueue, Filter, Scan};

/// How often erasures that are new are looked for.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long after a scan another one looks for what they left: dead letters may come late.
const REPEATED_AFTER: Duration = Duration::from_mins(10);
/// How long after a scan that could not see all there is another one: somebody else may have held some.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Dead letters that are asked about at a time.
const BATCH: usize = 500;
/// How the types of events end that have an erasure seen through.
const STAY: [&str; 2] = [".deleted", ".erasure_timed_out"];
/// Bytes of an id as it is written with hyphens.
const ID_BYTES: usize = 36;

/// Erases what messaging keeps of an aggregate: archived events, also those that are in the outbox at this
/// moment, once they are sent, and dead letters of the service's queue. Events that are enqueued after
/// this call, such as that of the deletion, are kept.
///
/// Call it in the transaction that deletes the aggregate, while holding its row lock, as for
/// [`Outbox::enqueue`](crate::Outbox::enqueue); and in a reader of its events, in the transaction that
/// erases what the reader knows of it. What a relay archives at the very moment of the commit goes with
/// the next [purge](crate::archive::purge), within ten minutes. What is [scheduled](crate::schedule) about
/// the aggregate stays: its owner cancels it by its key.
///
/// # Errors
/// The database's.
pub async fn erase(tx: &mut PgConnection, aggregate_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with erased as (
             insert into messaging_erased (aggregate_id, up_to)
             values ($1, nextval(pg_get_serial_sequence('messaging_outbox', 'id')))
             on conflict (aggregate_id) do update
             set up_to = excluded.up_to, erased_at = excluded.erased_at
         )
         delete from messaging_archive where aggregate_id = $1",
        aggregate_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes dead letters that name what was erased out of a service's dead-letter queue.
#[derive(Debug, Clone)]
pub struct Eraser {
    database: Database,
    dead_letters: DeadLetterQueue,
}

impl Eraser {
    /// An eraser of the dead letters of this queue, for the erasures in this database.
    pub fn new(database: impl Into<Database>, dead_letters: DeadLetterQueue) -> Self {
        Self { database: database.into(), dead_letters }
    }

    /// Scans until `shutdown`. A scan that fails is logged, not returned: the next one does its work.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        // The newest erasure that the last scan covered, and when the next scan is due in any case.
        let mut last: Option<(DateTime<Utc>, Instant)> = None;
        loop {
            match self.newest().await {
                Ok(Some(newest)) if is_due(last, newest) => match self.scan().await {
                    Ok(next) => last = Some((newest, Instant::now() + next)),
                    Err(error) => tracing::warn!(error = %error, "dead letters were not erased"),
                },
                Ok(_) => {}
                Err(error) => tracing::warn!(error = %error, "erasures could not be read"),
            }
            let delay = tokio::time::sleep(INTERVAL);
            if shutdown.run_until_cancelled(delay).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn newest(&self) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let newest = sqlx::query_scalar!("select max(erased_at) from messaging_erased");
        newest.fetch_one(&self.database).await
    }

    /// One scan; tells when the next one is due.
    async fn scan(&self) -> Result<Duration, EraseError> {
        let Erased { erased, seen, dead_letters } = self.dead_letters.erase(&self.database).await?;
        let queue = self.dead_letters.queue();
        if erased > 0 {
            tracing::info!(messaging.queue = queue, erased, "dead letters were erased");
        }
        if seen < dead_letters {
            tracing::warn!(
                messaging.queue = queue,
                messaging.seen = seen,
                messaging.dead_letters = dead_letters,
                "one scan cannot see all dead letters: those of erased aggregates may be left until \
                 others are replayed or discarded"
            );
            return Ok(AGAIN_AFTER);
        }
        Ok(REPEATED_AFTER)
    }
}

/// Whether there is something new, or it is time for the next scan.
fn is_due(last: Option<(DateTime<Utc>, Instant)>, newest: DateTime<Utc>) -> bool {
    last.is_none_or(|(of, next)| of < newest || Instant::now() >= next)
}

/// Why dead letters were not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The dead-letter queue could not be scanned.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// The database does not say what was erased.
    #[error("the database does not say what was erased: {}", database::safe(.0))]
    Database(#[from] sqlx::Error),
}

/// What became of a scan for dead letters that name what was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Messages that are gone.
    pub erased: u32,
    /// Messages that were looked at, at most 50,000.
    pub seen: u32,
    /// Messages that were in the dead-letter queue.
    pub dead_letters: u32,
}

/// Reads dead letters to the end of a scan, and takes out those that name what was erased.
pub(crate) async fn erase_dead_letters(
    scan: &mut Scan,
    database: &Database,
) -> Result<Erased, EraseError> {
    let (mut chosen, mut batch) = (Vec::new(), Vec::new());
    let all = Filter::default();
    while let Some((dead_letter, raw)) = scan.next_match(&all).await? {
        batch.extend(NamedIds::of(&dead_letter, raw));
        if batch.len() >= BATCH {
            chosen.extend(erased_of(std::mem::take(&mut batch), database).await?);
        }
    }
    chosen.extend(erased_of(batch, database).await?);
    scan.stop_reading().await?;
    let mut erased = 0;
    for raw in chosen {
        erased += u32::from(scan.remove(&raw).await);
    }
    Ok(Erased { erased, seen: scan.seen(), dead_letters: scan.dead_letters() })
}

/// A dead letter without what it says, and whom it names.
struct NamedIds {
    raw: Raw,
    ids: BTreeSet<Uuid>,
}

impl NamedIds {
    /// None of a message that names nobody, or that an erasure needs.
    fn of(dead_letter: &DeadLetter, mut raw: Raw) -> Option<Self> {
        let event_type = dead_letter.event_type.as_deref().unwrap_or_default();
        let stays = STAY.iter().any(|end| event_type.ends_with(end));
        let ids = ids_in(&raw.data);
        // What it says is not needed any more: only to tell the broker that it goes.
        (raw.data, raw.properties) = (Vec::new(), BasicProperties::default());
        (!stays && !ids.is_empty()).then_some(Self { raw, ids })
    }
}

/// Those of a batch that name what was erased.
async fn erased_of(batch: Vec<NamedIds>, database: &Database) -> Result<Vec<Raw>, sqlx::Error> {
    let named: Vec<Uuid> = batch.iter().flat_map(|named| named.ids.iter().copied()).collect();
    let erased = sqlx::query_scalar!(
        "select aggregate_id from messaging_erased where aggregate_id = any($1)",
        &named,
    );
    let erased: HashSet<Uuid> = erased.fetch_all(database).await?.into_iter().collect();
    let is_erased = |named: &NamedIds| named.ids.iter().any(|id| erased.contains(id));
    Ok(batch.into_iter().filter(is_erased).map(|named| named.raw).collect())
}

/// The ids that a body holds anywhere, whether or not it can be read as an event.
fn ids_in(body: &[u8]) -> BTreeSet<Uuid> {
    let windows = body.windows(ID_BYTES);
    let has_hyphens = |id: &&[u8]| [8, 13, 18, 23].iter().all(|place| id[*place] == b'-');
    windows.filter(has_hyphens).filter_map(|id| Uuid::try_parse_ascii(id).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_wherever_they_stand_in_whatever_case() {
        let one = Uuid::from_u128(1);
        let other = Uuid::max();
        let body = format!("{{\"user_id\": \"{one}\", x{}-", other.to_string().to_uppercase());
        assert_eq!(ids_in(body.as_bytes()), BTreeSet::from([one, other]));
        for none in ["", "00000000-0000-0000-0000-00000000000", "--------"] {
            assert!(ids_in(none.as_bytes()).is_empty(), "{none}");
        }
    }
}
