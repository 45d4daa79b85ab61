//! The only file with SQL. All samples change through the store's methods: `create` and `change` for
//! requests, those that end with `_once` for messages; what happened is saved and sent together or not at all.

use std::time::Duration;

use chassis::Clock;
use chassis::database::{Database, FutureExt};
use chrono::{DateTime, Utc};
use contracts::UserId;
// template: if events=user
use contracts::erasure::ErasureConfirmed;
// template: end
use contracts::sample::SampleId;
use messaging::Outbox;
use messaging::inbox::InboxKey;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{DomainError, Event, Sample, Status, Title};
use crate::error::Error;
use crate::events;

/// Rows that are read at a time when all of a user's are changed.
const BATCH: i64 = 100;

/// All samples. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    outbox: Outbox,
    clock: Clock,
}

/// What a decision gives: what is then, and what happened.
type Decided = (Sample, Vec<Event>);

/// A statement that reads samples: all columns of [`Row`], and the rest of it.
macro_rules! select_samples {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select id, user_id, title, status, version, created_at, updated_at
             from samples " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    pub(crate) fn new(database: Database, outbox: Outbox, clock: Clock) -> Self {
        Self { database, outbox, clock }
    }

    /// The same repository over other connections, such as those of background work.
    pub(crate) fn over(self, database: Database) -> Self {
        Self { database, ..self }
    }

    /// Saves a new sample. Gives the first one when the user has used the key before;
    /// [`Error::KeyReused`] when that one was asked for in other words.
    pub(crate) async fn create(
        &self,
        key: &str,
        (sample, events): Decided,
    ) -> Result<Sample, Error> {
        let sample = &sample;
        let events = &events;
        let sample = self
            .database
            .transaction(|tx| self.insert(tx, key, sample, events).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(sample)
    }

    async fn insert(
        &self,
        tx: &mut PgConnection,
        key: &str,
        sample: &Sample,
        events: &[Event],
    ) -> Result<Sample, Error> {
        let inserted = sqlx::query!(
            "insert into samples (id, user_id, idempotency_key, title, status, version,
                                  created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (user_id, idempotency_key) do nothing",
            sample.id.as_uuid(),
            sample.user_id.as_uuid(),
            key,
            sample.title.as_str(),
            sample.status.as_str(),
            sample.version,
            sample.created_at,
            sample.updated_at,
        );
        if inserted.execute(&mut *tx).await?.rows_affected() == 0 {
            let first = by_key(tx, sample.user_id, key).await?;
            return if first.title == sample.title { Ok(first) } else { Err(Error::KeyReused) };
        }
        events::enqueue(&self.outbox, &self.clock, tx, sample, events.to_vec()).await?;
        Ok(sample.clone())
    }

    /// Changes one as `decide` says, for a request.
    pub(crate) async fn change(
        &self,
        id: SampleId,
        decide: impl Fn(Sample) -> Result<Decided, DomainError> + Send + Sync,
    ) -> Result<Sample, Error> {
        let sample =
            self.database.transaction(|tx| self.change_one(tx, id, &decide).scope_boxed()).await?;
        self.outbox.wake();
        Ok(sample)
    }

    async fn change_one(
        &self,
        tx: &mut PgConnection,
        id: SampleId,
        decide: &(impl Fn(Sample) -> Result<Decided, DomainError> + Sync),
    ) -> Result<Sample, Error> {
        let row = select_samples!("where id = $1 for update", id.as_uuid());
        let row = row.fetch_optional(&mut *tx).await?.ok_or(DomainError::NotFound)?;
        let seen = row.version;
        let decided = decide(row.try_into()?)?;
        self.write(tx, seen, decided).await
    }

    // template: if events=user
    /// Erases all that a user has as `erase` says, and confirms it, for a message; a message seen before
    /// changes nothing.
    pub(crate) async fn erase_once(
        &self,
        message: &InboxKey,
        user: UserId,
        erase: impl Fn(Sample) -> Decided + Send + Sync,
    ) -> Result<(), Error> {
        self.database
            .transaction(|tx| self.erase_all(tx, message, user, &erase).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(())
    }

    async fn erase_all(
        &self,
        tx: &mut PgConnection,
        message: &InboxKey,
        user: UserId,
        erase: &(impl Fn(Sample) -> Decided + Sync),
    ) -> Result<(), Error> {
        if self.change_all(tx, message, user, erase).await? {
            let confirmed = ErasureConfirmed { user_id: user };
            self.outbox.enqueue(tx, self.clock.new_id(), self.clock.now(), &confirmed).await?;
        }
        Ok(())
    }
    // template: end

    // template: if events=payment
    /// Changes all that a user has as `decide` says, for a message; a message seen before changes
    /// nothing.
    pub(crate) async fn change_once(
        &self,
        message: &InboxKey,
        user: UserId,
        decide: impl Fn(Sample) -> Decided + Send + Sync,
    ) -> Result<(), Error> {
        self.database
            .transaction(|tx| self.change_all(tx, message, user, &decide).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(())
    }
    // template: end

    /// Changes all that a user has as `decide` says; false where the message was seen before.
    async fn change_all(
        &self,
        tx: &mut PgConnection,
        message: &InboxKey,
        user: UserId,
        decide: &(impl Fn(Sample) -> Decided + Sync),
    ) -> Result<bool, Error> {
        if !message.claim(tx).await? {
            return Ok(false);
        }
        let mut after = Uuid::nil();
        while let Some(last) = self.change_batch(tx, user, after, decide).await? {
            after = last;
        }
        Ok(true)
    }

    /// Locks the user's next rows after an id, decides, saves, sends; gives the last row's id.
    async fn change_batch(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        after: Uuid,
        decide: &(impl Fn(Sample) -> Decided + Sync),
    ) -> Result<Option<Uuid>, Error> {
        let rows = select_samples!(
            "where user_id = $1 and id > $2 order by id limit $3 for update",
            user.as_uuid(),
            after,
            BATCH,
        );
        let rows = rows.fetch_all(&mut *tx).await?;
        let last = rows.last().map(|row| row.id);
        for row in rows {
            let seen = row.version;
            let decided = decide(row.try_into()?);
            self.write(tx, seen, decided).await?;
        }
        Ok(last)
    }

    /// Saves what was decided, where that is a new version, and sends what happened.
    async fn write(
        &self,
        tx: &mut PgConnection,
        seen: i64,
        (sample, events): Decided,
    ) -> Result<Sample, Error> {
        if sample.version != seen {
            save(tx, &sample).await?;
        }
        events::enqueue(&self.outbox, &self.clock, tx, &sample, events).await?;
        Ok(sample)
    }

    /// One sample.
    pub(crate) async fn sample(&self, id: SampleId) -> Result<Sample, Error> {
        let row = select_samples!("where id = $1", id.as_uuid());
        row.fetch_optional(&self.database).await?.ok_or(DomainError::NotFound)?.try_into()
    }

    /// Removes up to `limit` samples that were closed so long ago; tells how many.
    pub(crate) async fn sweep(&self, retention: Duration, limit: i64) -> Result<u64, Error> {
        let swept = sqlx::query!(
            "delete from samples where id = any(array
               (select id from samples where status = 'closed' and updated_at <= $1
                order by updated_at limit $2 for update skip locked))",
            self.clock.now() - retention,
            limit,
        );
        Ok(swept.execute(&self.database).await?.rows_affected())
    }
}

/// What was made under a key.
async fn by_key(tx: &mut PgConnection, user: UserId, key: &str) -> Result<Sample, Error> {
    let row = select_samples!("where user_id = $1 and idempotency_key = $2", user.as_uuid(), key);
    row.fetch_one(tx).await?.try_into()
}

async fn save(tx: &mut PgConnection, sample: &Sample) -> Result<(), Error> {
    sqlx::query!(
        "update samples set title = $2, status = $3, version = $4, updated_at = $5 where id = $1",
        sample.id.as_uuid(),
        sample.title.as_str(),
        sample.status.as_str(),
        sample.version,
        sample.updated_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    title: String,
    status: String,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Sample {
    type Error = Error;

    /// Fails on a row that a newer version of the service has written.
    fn try_from(row: Row) -> Result<Self, Error> {
        let status = match row.status.as_str() {
            "open" => Status::Open,
            "closed" => Status::Closed,
            _ => return Err(sqlx::Error::Decode("unknown status".into()).into()),
        };
        Ok(Self {
            id: SampleId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            title: Title::from_stored(row.title),
            status,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
