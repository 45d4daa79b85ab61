//! The pool as stores use it.

use std::time::Duration;

use deadpool::managed::Pool;
use either::Either;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use scoped_futures::{ScopedBoxFuture, ScopedFutureExt as _};
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{Connection, Describe, Execute, Executor, PgPool, Postgres, SqlStr};

use crate::Fault;
use crate::fault::{count_unavailable, is_concurrency_failure, is_outdated};
use crate::pool::{self, Limits, Manager, PooledConnection};
use crate::session::Session;

/// How often work is done in all: one more time for each of a few changes of the schema or lost races.
const ATTEMPTS_MAX: u32 = 4;
/// Idle time after which a connection is closed, where nobody says another one.
const IDLE_MAX: Duration = Duration::from_mins(10);

/// A pool of connections whose prepared statements follow the schema. A clone is one pointer.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool<Manager>,
}

type Step = Either<PgQueryResult, PgRow>;

/// A pool of the same size and limits of time, for the same database. It has connections of its own,
/// with whatever limits the server has for them.
impl From<PgPool> for Database {
    fn from(pool: PgPool) -> Self {
        let options = pool.options();
        let limits = Limits {
            size_max: options.get_max_connections(),
            checkout_timeout: options.get_acquire_timeout(),
            idle_max: options.get_idle_timeout().unwrap_or(IDLE_MAX),
        };
        Self::lazy((*pool.connect_options()).clone(), Session::default(), limits)
    }
}

impl Database {
    /// Opens nothing before it is used.
    pub(crate) fn lazy(options: PgConnectOptions, session: Session, limits: Limits) -> Self {
        Self { pool: pool::lazy(options, session, limits) }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.pool.manager().session
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.pool.manager().options
    }

    /// How many connections there may be, how many are open, and how many of these are idle.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let status = self.pool.status();
        (status.max_size, status.size, status.available)
    }

    /// Takes a connection, whose statements nobody looks after: behind a pooler each of them needs a
    /// transaction that [`begin_statement`](Self::begin_statement) begins. Those who wait for one have
    /// theirs in the order in which they came.
    ///
    /// # Errors
    /// None is free, or could be opened, within `checkout_timeout`
    /// ([`sqlx::Error::PoolTimedOut`]); what the server said to a new one.
    pub async fn acquire(&self) -> Result<PooledConnection, sqlx::Error> {
        pool::acquire(&self.pool).await
    }

    /// The statements that begin a transaction, with its limits where a connection has none, for
    /// whoever [takes a connection](Self::acquire). They are sent as they are
    /// ([`sqlx::raw_sql`]).
    pub fn begin_statement(&self) -> SqlStr {
        self.session().begin_statement()
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
        let mut connection = self.acquire().await?;
        let mut attempt = 1;
        loop {
            let mut tx = connection.begin_as(self.session()).await?;
            let error = match work(&mut tx).await {
                Ok(done) => {
                    tx.commit().await?;
                    connection.release();
                    return Ok(done);
                }
                Err(error) => error,
            };
            if attempt == ATTEMPTS_MAX || !error.database().is_some_and(is_worth_repeating) {
                return Err(error);
            }
            tx.rollback().await?;
            if error.database().is_some_and(is_outdated) {
                reprepare(&mut connection).await?;
            }
            attempt += 1;
        }
    }

    /// Runs a statement outside of a transaction of its caller.
    async fn run<T, R>(&self, query: Result<Query, sqlx::Error>, run: R) -> Result<T, sqlx::Error>
    where
        R: for<'c> Fn(&'c mut PgConnection, Query) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + Sync,
        T: Send,
    {
        let query = query?;
        let done = if self.session().is_pooled() {
            let query = &query;
            let run = &run;
            // Boxed: the other way needs less room.
            Box::pin(self.attempts(|tx| async move { run(tx, query.clone()).await }.scope_boxed()))
                .await
        } else {
            self.repeated(&query, run).await
        };
        done.inspect_err(count_unavailable)
    }

    async fn repeated<T, R>(&self, query: &Query, run: R) -> Result<T, sqlx::Error>
    where
        R: for<'c> Fn(&'c mut PgConnection, Query) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    {
        let mut connection = self.acquire().await?;
        let mut attempt = 1;
        loop {
            match run(&mut connection, query.clone()).await {
                Ok(done) => {
                    connection.release();
                    return Ok(done);
                }
                Err(error) if attempt < ATTEMPTS_MAX && is_worth_repeating(&error) => {
                    if is_outdated(&error) {
                        reprepare(&mut connection).await?;
                    }
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A statement and its arguments.
type Query = (SqlStr, Option<PgArguments>);

fn parts<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Query, sqlx::Error> {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
    Ok((query.sql(), arguments))
}

/// Whether nothing was done, and the same once more may go well.
fn is_worth_repeating(error: &sqlx::Error) -> bool {
    is_outdated(error) || is_concurrency_failure(error)
}

async fn reprepare(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    tracing::warn!("the schema has changed; statements are prepared anew");
    connection.clear_cached_statements().await
}

/// Statements outside of a transaction. What they return is collected before the first row is seen.
impl<'c> Executor<'c> for &'c Database {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<PgQueryResult, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.run(parts(query), |connection, query| connection.execute(query)))
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = self.run(parts(query), |connection, query| {
            Box::pin(connection.fetch_many(query).try_collect::<Vec<_>>())
        });
        stream::once(steps.map_ok(|steps| stream::iter(steps).map(Ok))).try_flatten().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.run(parts(query), |connection, query| connection.fetch_all(query)))
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.run(parts(query), |connection, query| connection.fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move { self.acquire().await?.describe(sql).await })
    }
}
