//! The audit trail: who signed in, what administrators did, which tokens were minted. Each entry is a
//! row of the table `audit` in the service's own database, and a log line of the target `audit`.
//!
//! | what | how |
//! |---|---|
//! | a change in the database | [`AuditTrail::record_in`] its transaction: both or neither |
//! | an administrator's request | a step before each route, before the request is carried out |
//! | what anybody may cause, such as failed sign-ins | [`AuditTrail::count`]: a row an hour |
//!
//! An entry holds ids of users and sessions, names of services, a route: no address, no name, no
//! secret, and no client address, which is personal data too. `x-request-id` leads to the request's
//! other log lines as long as those are kept.
//!
//! A flood of failed sign-ins fills no table: they are counted by the hour, and one process names
//! 100 different users an hour whom strangers tried; further ones are counted together.

mod requests;
mod routes;
mod settings;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::database::{Database, FutureExt};
use chassis::page::{Page, PageRequest};
use chassis::{CancellationToken, Clock, RequestId, worker};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::PgConnection;
use tokio::time::timeout;
use uuid::Uuid;

pub use routes::AuditEntry;
pub(crate) use routes::router;
pub use settings::AuditSettings;

/// Different targets that strangers may have named an hour, by one process.
const TARGETS_MAX: usize = 100;
/// How long an entry that belongs to no transaction is waited for.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who did not prove who it is.
    Anybody,
    /// A user.
    User(Uuid),
    /// A user as an administrator.
    Administrator(Uuid),
    /// A service by its name.
    Service(String),
}

/// What somebody did. Words of the code only: no text of a caller's choice.
#[derive(Debug, Clone)]
pub struct Entry {
    actor: Actor,
    action: Cow<'static, str>,
    target: String,
    outcome: Cow<'static, str>,
    request_id: Option<String>,
}

/// Writes and reads the trail. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct AuditTrail {
    database: Database,
    clock: Clock,
    settings: AuditSettings,
    named: Arc<Mutex<Named>>,
}

/// Whom strangers named in an hour.
#[derive(Default)]
struct Named {
    hour: DateTime<Utc>,
    targets: BTreeSet<String>,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("anybody"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Administrator(id) => write!(f, "administrator:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl Entry {
    /// That `actor` did `action`, such as `sign-in`, with this outcome, such as `success`.
    pub fn new(
        actor: Actor,
        action: impl Into<Cow<'static, str>>,
        outcome: impl Into<Cow<'static, str>>,
    ) -> Self {
        let action = action.into();
        let outcome = outcome.into();
        Self { actor, action, target: String::new(), outcome, request_id: None }
    }

    /// What it was done to: `session:ID`, `user:ID`, `service:NAME`.
    #[must_use]
    pub fn target(mut self, target: impl fmt::Display) -> Self {
        self.target = target.to_string();
        self
    }

    /// The request that did it.
    #[must_use]
    pub fn request(mut self, id: &RequestId) -> Self {
        self.request_id = Some(id.as_str().to_owned());
        self
    }

    /// Writes the log line; for an entry that was [recorded](AuditTrail::record_in) in a transaction,
    /// once that is committed.
    pub fn log(&self) {
        tracing::info!(
            target: "audit",
            {
                audit.actor = %self.actor,
                audit.action = %self.action,
                audit.target = self.target,
                audit.outcome = %self.outcome,
                audit.request_id = self.request_id,
            },
            "audited"
        );
    }
}

impl AuditTrail {
    /// The trail in a service's database, which has its table once the service has started.
    pub fn new(database: Database, clock: Clock, settings: AuditSettings) -> Self {
        Self { database, clock, settings, named: Arc::default() }
    }

    /// Writes an entry's row in the transaction of the change that it is about; gives the row's id.
    /// Its [line](Entry::log) is the caller's to write, after the commit.
    ///
    /// # Errors
    /// The database's.
    pub async fn record_in(&self, tx: &mut PgConnection, entry: &Entry) -> sqlx::Result<Uuid> {
        let id = self.clock.new_id();
        let now = self.clock.now();
        sqlx::query!(
            "insert into audit (id, at, last_at, actor, action, target, outcome, request_id)
             values ($1, $2, $2, $3, $4, $5, $6, $7)",
            id,
            now,
            entry.actor.to_string(),
            &*entry.action,
            entry.target,
            &*entry.outcome,
            entry.request_id,
        )
        .execute(tx)
        .await?;
        Ok(id)
    }

    /// Writes an entry that belongs to no change of the database: its line, then its row, for which
    /// it waits a second at most. A row that cannot be written is told in the log.
    pub async fn record(&self, entry: &Entry) {
        self.begin(entry).await;
    }

    /// [Records](Self::record) an entry; gives its row's id, under which it can be
    /// [finished](Self::finish).
    async fn begin(&self, entry: &Entry) -> Option<Uuid> {
        entry.log();
        let trail = &self;
        let entry = &entry;
        written(self.database.transaction(|tx| trail.record_in(tx, entry).scope_boxed())).await
    }

    /// Counts an entry in the row of its hour, for which it waits a second at most. Of whom strangers
    /// name, a process keeps 100 an hour apart. A row that cannot be written is told in the log.
    pub async fn count(&self, entry: Entry) {
        entry.log();
        let now = self.clock.now();
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let is_named = entry.actor != Actor::Anybody || self.may_name(&entry.target, hour);
        let target = if is_named { entry.target.as_str() } else { "" };
        let counted = sqlx::query!(
            "insert into audit (id, at, last_at, actor, action, target, outcome, hour)
             values ($1, $2, $2, $3, $4, $5, $6, $7)
             on conflict (hour, actor, action, target, outcome) where hour is not null
             do update set times = audit.times + 1, last_at = excluded.last_at",
            self.clock.new_id(),
            now,
            entry.actor.to_string(),
            &*entry.action,
            target,
            &*entry.outcome,
            hour,
        );
        written(counted.execute(&self.database)).await;
    }

    fn may_name(&self, target: &str, hour: DateTime<Utc>) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.hour != hour {
            *named = Named { hour, targets: BTreeSet::new() };
        }
        let may = named.targets.len() < TARGETS_MAX || named.targets.contains(target);
        if may {
            named.targets.insert(target.to_owned());
        }
        may
    }

    /// Says what became of an entry that was recorded before.
    async fn finish(&self, id: Uuid, outcome: &str) {
        let now = self.clock.now();
        let update = sqlx::query!(
            "update audit set outcome = $2, last_at = $3 where id = $1",
            id,
            outcome,
            now
        );
        written(update.execute(&self.database)).await;
    }

    async fn page(&self, page: PageRequest) -> sqlx::Result<Page<AuditEntry>> {
        let rows = sqlx::query_as!(
            AuditEntry,
            r#"select id, at, last_at, times, actor, action, nullif(target, '') as target, outcome,
                      request_id
               from audit where $1::uuid is null or id < $1 order by id desc limit $2"#,
            page.before,
            page.rows(),
        );
        let rows = rows.fetch_all(&self.database).await?;
        Ok(Page::new(rows, page, |entry| entry.id))
    }

    /// Removes entries that are older than `[audit] retention`, until `shutdown`.
    pub(crate) async fn sweep(
        self,
        shutdown: CancellationToken,
    ) -> Result<(), std::convert::Infallible> {
        let batch = async |limit| self.sweep_batch(limit).await;
        worker::sweep("audit entries", self.settings.sweep_interval, &shutdown, batch).await;
        Ok(())
    }

    async fn sweep_batch(&self, limit: i64) -> sqlx::Result<u64> {
        let retention: Duration = self.settings.retention;
        let before = self.clock.now() - retention;
        let delete = sqlx::query!(
            "delete from audit where id = any(array
               (select id from audit where last_at <= $1
                order by last_at limit $2 for update skip locked))",
            before,
            limit,
        );
        Ok(delete.execute(&self.database).await?.rows_affected())
    }
}

/// What a write gives within [`WRITE_LIMIT`]; the log is told of one that fails.
async fn written<T, E>(write: impl Future<Output = Result<T, E>>) -> Option<T>
where
    E: Into<sqlx::Error>,
{
    let kind = match timeout(WRITE_LIMIT, write).await {
        Ok(Ok(written)) => return Some(written),
        Ok(Err(error)) => chassis::database::kind(&error.into()),
        Err(_) => "it takes too long",
    };
    tracing::error!(error.kind = kind, "an audit entry was not written to the database");
    None
}
