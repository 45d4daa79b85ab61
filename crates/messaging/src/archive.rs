//! The archive: events that were sent, kept for readers that come later.
//!
//! ```text
//!   relay      remove_sent       messaging_outbox ──▶ messaging_archive, one statement
//!   people     EventArchive      list; republish to one queue, or to all who are bound
//!   cleaner    purge             what is older than [outbox] archive
//!   service    erase             all of one aggregate, in the transaction that deletes it (erasure)
//! ```
//!
//! It is off unless `[outbox] archive` says for how long: events may hold names and addresses, and
//! each costs a second row. A service whose events do calls [`erase`](crate::erasure::erase) where it
//! deletes whom they are about.
//!
//! **Republishing** keeps event ids. A reader's inbox drops what it remembers, so that an event has no
//! second effect where it had one within `[consumer] inbox_retention`, which should therefore be no
//! shorter than the archive's time. Events of the time before are had again by all readers that are
//! bound: to feed one new reader, name its queue, and no other reader gets them.

mod republish;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{Database, drain};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::broker::Broker;
use crate::outbox::Outbox;
use crate::settings::{MessagingSettings, OutboxSettings};

pub use republish::{Republished, Target};

/// Events of one page when the caller does not say.
const LIMIT_DEFAULT: u16 = 100;
/// Events of one page at most.
const LIMIT_MAX: u16 = 1_000;

/// Why the archive could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The filter's limit is out of its bounds.
    #[error("limit must be 1 to 1000")]
    Limit,
    /// `[queues]` has no such name.
    #[error("[queues] names no such queue")]
    UnknownQueue,
    /// What matches is not what the caller has confirmed.
    #[error("other events match than when it was asked; ask again")]
    Changed,
    /// The broker gave no channel in time.
    #[error("the broker is not reachable")]
    Unavailable,
    /// The database.
    #[error("the archive could not be read: {}", database::safe(.0))]
    Database(#[from] sqlx::Error),
}

/// Which events are meant: those that match everything that is given, in the order in which they were
/// written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = EventFilter)]
// A name that is not known must not widen what is meant.
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The event with this id.
    pub id: Option<Uuid>,
    /// Events of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    pub event_type: Option<String>,
    /// Events of this aggregate.
    pub aggregate: Option<Uuid>,
    /// Those that were sent at this time or later (RFC 3339).
    pub since: Option<DateTime<Utc>>,
    /// Those that were sent before this time (RFC 3339).
    pub until: Option<DateTime<Utc>>,
    /// Those behind this position: `next` of the page before.
    pub after: Option<i64>,
    /// Events at most, 1 to 1,000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
}

/// An event that was sent, without what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ArchivedEvent {
    /// The event's id.
    pub id: Uuid,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it happened to.
    pub aggregate: Uuid,
    /// The exchange that it was sent to.
    pub exchange: String,
    /// When the broker had confirmed it.
    pub sent_at: DateTime<Utc>,
    /// Bytes of its body.
    pub bytes: i32,
    /// Its place in the order in which events were written.
    pub position: i64,
}

/// A page of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EventPage)]
pub struct Page {
    /// What matches, in the order in which it was written.
    pub items: Vec<ArchivedEvent>,
    /// `after` of the next page; none when there may be no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// The archive of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventArchive {
    database: Database,
    broker: Broker,
    outbox: Outbox,
    /// The names that events may be sent to.
    queues: Vec<String>,
    /// The names of the queues that read each event type.
    readers: BTreeMap<String, Vec<String>>,
    confirm_timeout: Duration,
}

impl EventArchive {
    /// The archive of the events that `outbox` has written, in this database.
    pub fn new(
        database: impl Into<Database>,
        broker: Broker,
        outbox: Outbox,
        settings: &MessagingSettings,
    ) -> Self {
        let names = |keys: &Vec<String>| {
            keys.iter().filter_map(|key| settings.queues.get(key).cloned()).collect()
        };
        let readers = settings.subscriptions.iter();
        Self {
            database: database.into(),
            broker,
            outbox,
            queues: settings.queues.values().cloned().collect(),
            readers: readers.map(|(event_type, keys)| (event_type.clone(), names(keys))).collect(),
            confirm_timeout: settings.relay.confirm_timeout,
        }
    }

    /// A page of what matches.
    pub async fn list(&self, filter: &Filter) -> Result<Page, ArchiveError> {
        let limit = filter.limit()?;
        let items = sqlx::query_as!(
            ArchivedEvent,
            r#"select event_id as id, routing_key as event_type, aggregate_id as aggregate,
                      exchange, sent_at, octet_length(envelope) as "bytes!", id as position
               from messaging_archive
               where ($1::uuid is null or event_id = $1)
                 and ($2::text is null or routing_key = $2)
                 and ($3::uuid is null or aggregate_id = $3)
                 and ($4::timestamptz is null or sent_at >= $4)
                 and ($5::timestamptz is null or sent_at < $5)
                 and ($6::bigint is null or messaging_archive.id > $6)
               order by messaging_archive.id
               limit $7"#,
            filter.id,
            filter.event_type,
            filter.aggregate,
            filter.since,
            filter.until,
            filter.after,
            i64::from(limit),
        );
        let items = items.fetch_all(&self.database).await?;
        let is_full = items.len() >= usize::from(limit);
        let next = items.last().filter(|_| is_full).map(|last| last.position);
        Ok(Page { items, next })
    }
}

impl Filter {
    fn limit(&self) -> Result<u16, ArchiveError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if (1..=LIMIT_MAX).contains(&limit) { Ok(limit) } else { Err(ArchiveError::Limit) }
    }
}

/// Takes rows that the broker has confirmed out of the outbox, and into the archive where `archive`
/// says so; one statement in the relay's transaction. Events of an erased aggregate from before its
/// erasure are not kept.
pub(crate) async fn remove_sent(
    tx: &mut PgConnection,
    ids: &[i64],
    archive: bool,
) -> Result<(), sqlx::Error> {
    if !archive {
        let removed = sqlx::query!("delete from messaging_outbox where id = any($1)", ids);
        return removed.execute(tx).await.map(drop);
    }
    let removed = sqlx::query!(
        "with sent as (
             delete from messaging_outbox where id = any($1)
             returning event_id, id, aggregate_id, partition, exchange, routing_key, envelope,
                       mandatory
         )
         insert into messaging_archive
             (event_id, id, aggregate_id, partition, exchange, routing_key, envelope, mandatory)
         select * from sent
         where not exists (
             select from messaging_erased
             where messaging_erased.aggregate_id = sent.aggregate_id
               and sent.id < messaging_erased.up_to
         )
         on conflict (event_id) do nothing",
        ids,
    );
    removed.execute(tx).await.map(drop)
}

/// Deletes archived events that were sent longer ago than `[outbox] archive`, all of them while it is
/// off, and those of erased aggregates; says how many. It goes on until nothing is left.
pub async fn purge(database: &Database, settings: &OutboxSettings) -> Result<u64, sqlx::Error> {
    let older_than = settings.archive.as_secs_f64();
    let shutdown = CancellationToken::new();
    let old = drain(&shutdown, async |limit| {
        let purged = sqlx::query!(
            "delete from messaging_archive where event_id = any(array(
                 select event_id from messaging_archive
                 where sent_at < now() - make_interval(secs => $1)
                 order by sent_at
                 limit $2
                 for update skip locked
             ))",
            older_than,
            limit,
        );
        Ok::<_, sqlx::Error>(purged.execute(database).await?.rows_affected())
    });
    let old = old.await?;
    let erased = drain(&shutdown, async |limit| {
        let purged = sqlx::query!(
            "delete from messaging_archive where event_id = any(array(
                 select archived.event_id from messaging_archive archived
                 join messaging_erased erased on archived.aggregate_id = erased.aggregate_id
                 where archived.id < erased.up_to
                 limit $1
                 for update of archived skip locked
             ))",
            limit,
        );
        Ok::<_, sqlx::Error>(purged.execute(database).await?.rows_affected())
    });
    Ok(old + erased.await?)
}

/// Forgets erasures once nothing from before them is in the outbox, and no message from before them can
/// become a dead letter: `retention` is as long as that takes, and an hour at least, which is more than
/// the transaction of any relay takes that may still archive such an event. Says how many.
pub(crate) async fn forget_erased(
    database: &Database,
    retention: Duration,
) -> Result<u64, sqlx::Error> {
    let retention = retention.max(Duration::from_hours(1)).as_secs_f64();
    drain(&CancellationToken::new(), async |limit| {
        let forgotten = sqlx::query!(
            "delete from messaging_erased where aggregate_id = any(array(
                 select aggregate_id from messaging_erased
                 where erased_at < now() - make_interval(secs => $1)
                   and up_to < (select coalesce(min(id), 9223372036854775807) from messaging_outbox)
                 order by erased_at
                 limit $2
                 for update skip locked
             ))",
            retention,
            limit,
        );
        Ok(forgotten.execute(database).await?.rows_affected())
    })
    .await
}
