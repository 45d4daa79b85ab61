//! The pool as stores use it.

use either::Either;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use scoped_futures::ScopedBoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Execute, Executor, PgPool, Postgres, SqlStr};

use crate::Fault;
use crate::fault::{has_lost_a_race, is_outdated};

/// How often work is done in all: one more time for each of a few changes of the schema or lost races.
const ATTEMPTS_MAX: u32 = 4;

/// A pool of connections whose prepared statements follow the schema. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(PgPool);

type Step = Either<PgQueryResult, PgRow>;

impl From<PgPool> for Database {
    fn from(pool: PgPool) -> Self {
        Self(pool)
    }
}

impl Database {
    /// The pool itself, whose statements nobody looks after.
    pub fn pool(&self) -> &PgPool {
        &self.0
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
        let mut held = Held { connection: Some(self.0.acquire().await?), is_beginning: false };
        let mut attempt = 1;
        loop {
            let connection = held.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
            held.is_beginning = true;
            let mut tx = connection.begin().await?;
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
        let (sql, arguments) = parts(query)?;
        let mut connection = self.0.acquire().await?;
        let mut attempt = 1;
        loop {
            let query = (sql.clone(), arguments.clone());
            let steps = connection.fetch_many(query).try_collect().await;
            match steps {
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

fn parts<'q>(
    mut query: impl Execute<'q, Postgres>,
) -> Result<(SqlStr, Option<PgArguments>), sqlx::Error> {
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
        (&self.0).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.0).describe(sql)
    }
}
