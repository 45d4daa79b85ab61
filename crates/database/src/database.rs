//! The pool as stores use it.

use either::Either;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use scoped_futures::{ScopedBoxFuture, ScopedFutureExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Execute, Executor, PgPool, Postgres, SqlStr};

use crate::Fault;
use crate::fault::{count_unavailable, has_lost_a_race, is_outdated};
use crate::session::Session;

/// How often work is done in all: one more time for each of a few changes of the schema or lost races.
const ATTEMPTS_MAX: u32 = 4;

/// A pool of connections whose prepared statements follow the schema. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    session: Session,
}

type Step = Either<PgQueryResult, PgRow>;

impl From<PgPool> for Database {
    fn from(pool: PgPool) -> Self {
        Self::new(pool, Session::default())
    }
}

impl Database {
    pub(crate) fn new(pool: PgPool, session: Session) -> Self {
        Self { pool, session }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The pool itself, whose statements nobody looks after: behind a pooler each of them needs a
    /// transaction that [`begin_statement`](Self::begin_statement) begins.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The statements that begin a transaction, with its limits where a connection has none, for
    /// whoever takes a connection of the [pool](Self::pool). They are sent as they are
    /// ([`sqlx::raw_sql`]).
    pub fn begin_statement(&self) -> SqlStr {
        self.session.begin_statement()
    }

    /// Does `work` in a transaction, which is committed when it succeeds and rolled back when it
    /// fails. When a statement of it was prepared before the schema changed, or lost to another
    /// transaction (a deadlock), the work is done again from the beginning: it must do nothing but
    /// what its transaction undoes.
    ///
    /// # Errors
    /// That of the work, or the transaction cannot be begun or committed.
    pub async fn transaction<'a, T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: Fault,
        F: for<'c> Fn(&'c mut PgConnection) -> ScopedBoxFuture<'a, 'c, Result<T, E>>,
    {
        let done = self.attempts(work).await;
        if let Some(error) = done.as_ref().err().and_then(Fault::database) {
            count_unavailable(error);
        }
        done
    }

    async fn attempts<'a, T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: Fault,
        F: for<'c> Fn(&'c mut PgConnection) -> ScopedBoxFuture<'a, 'c, Result<T, E>>,
    {
        let mut held = Held { connection: Some(self.pool.acquire().await?), is_beginning: false };
        let mut attempt = 1;
        loop {
            let connection = held.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
            held.is_beginning = true;
            let mut tx = self.session.begin(connection).await?;
            held.is_beginning = false;
            let error = match work(&mut tx).await {
                Ok(done) => {
                    tx.commit().await?;
                    return Ok(done);
                }
                Err(error) => error,
            };
            if attempt == ATTEMPTS_MAX || !error.database().is_some_and(is_worth_repeating) {
                return Err(error);
            }
            tx.rollback().await?;
            if error.database().is_some_and(is_outdated) {
                prepare_anew(connection).await?;
            }
            attempt += 1;
        }
    }

    /// All that a statement gives.
    async fn all<'q>(&self, query: impl Execute<'q, Postgres>) -> Result<Vec<Step>, sqlx::Error> {
        let query = parts(query)?;
        let steps = if self.session.is_pooled() {
            let query = &query;
            self.attempts(|tx| async move { steps(tx, query).await }.scope_boxed()).await
        } else {
            self.repeated(&query).await
        };
        steps.inspect_err(count_unavailable)
    }

    async fn repeated(&self, query: &Query) -> Result<Vec<Step>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut attempt = 1;
        loop {
            match steps(&mut connection, query).await {
                Err(error) if attempt < ATTEMPTS_MAX && is_worth_repeating(&error) => {
                    if is_outdated(&error) {
                        prepare_anew(&mut connection).await?;
                    }
                    attempt += 1;
                }
                steps => return steps,
            }
        }
    }
}

/// A statement and its arguments.
type Query = (SqlStr, Option<PgArguments>);

async fn steps(connection: &mut PgConnection, query: &Query) -> Result<Vec<Step>, sqlx::Error> {
    connection.fetch_many(query.clone()).try_collect().await
}

fn parts<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Query, sqlx::Error> {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
    Ok((query.sql(), arguments))
}

/// Whether nothing was done, and the same once more may go well.
fn is_worth_repeating(error: &sqlx::Error) -> bool {
    is_outdated(error) || has_lost_a_race(error)
}

async fn prepare_anew(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    tracing::warn!("the schema has changed; statements are prepared anew");
    connection.clear_cached_statements().await
}

/// A connection on which a transaction begins.
///
/// sqlx 0.9.0 forgets a `begin` that is dropped before the server has answered, as by a caller who
/// goes: the server has begun, nobody rolls back, and whatever runs on the connection next, reads and
/// writes of others, is part of that transaction and lost with it
/// (<https://github.com/transact-rs/sqlx/issues/4393>). So a connection that is given up at that
/// moment is closed instead of given back.
struct Held {
    connection: Option<PoolConnection<Postgres>>,
    is_beginning: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && self.is_beginning
        {
            connection.close_on_drop();
        }
    }
}

/// Statements outside of a transaction. What they return is collected before the first row is seen.
impl<'c> Executor<'c> for &'c Database {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = self.all(query).map_ok(|steps| stream::iter(steps).map(Ok));
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let row = |steps: Vec<Step>| steps.into_iter().find_map(Either::right);
        self.all(query).map_ok(row).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.pool).describe(sql)
    }
}
