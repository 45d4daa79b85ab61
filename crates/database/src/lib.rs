//! PostgreSQL: pools that are open before there is load, limits for every statement, migrations, and
//! statements that outlive a change of the schema.
//!
//! [`connect`] gives a service its [`Pools`]: one for requests, one for background work, and a
//! connection for health checks, so that a backlog of one takes nothing from another and a busy
//! database is told from one that is away.
//!
//! A connection that was used cleanly goes back to its pool without a round trip. One that was given
//! up has its transaction rolled back first, or is closed ([`PooledConnection`]).
//!
//! The server ends each statement that takes too long, waits too long for a lock, or leaves its
//! transaction idle, also when nobody waits for it any more:
//!
//! | limit of `[database]` | SQLSTATE | [`kind`] | to a caller |
//! |---|---|---|---|
//! | `statement_timeout` | 57014 | `statement timed out` | 503 with `Retry-After` |
//! | `lock_timeout` | 55P03 | `lock timed out` | 503 with `Retry-After` |
//! | `idle_in_transaction_timeout` | 25P03 | `idle in transaction` | 503 with `Retry-After` |
//!
//! Each is counted in `database_unavailable_total`.
//!
//! A statement is prepared once on each connection. When a migration changes the type of a column
//! that it returns, PostgreSQL refuses the prepared one from then on ("cached plan must not change
//! result type"), on each connection of each process of the version before, until the connection
//! ends. Nothing was done by a statement that is refused so; prepared anew, it goes well. So
//! [`Database`] does just that, and nobody sees more of it than a line in the log:
//!
//! - a statement on [`Database`] itself is prepared anew and repeated;
//! - a transaction, which such a refusal ends, is begun anew and its work done again, which is why
//!   [`Database::transaction`] takes the work as a closure.
//!
//! What PostgreSQL gives up to end a deadlock is repeated in the same way.
//!
//! ```no_run
//! use database::{Database, FutureExt};
//!
//! async fn rename(database: &Database, id: i64, name: &str) -> Result<bool, sqlx::Error> {
//!     database
//!         .transaction(|tx| {
//!             async move {
//!                 let row = sqlx::query("select name from things where id = $1 for update");
//!                 if row.bind(id).fetch_optional(&mut *tx).await?.is_none() {
//!                     return Ok(false);
//!                 }
//!                 let renamed = sqlx::query("update things set name = $2 where id = $1");
//!                 renamed.bind(id).bind(name).execute(&mut *tx).await?;
//!                 Ok(true)
//!             }
//!             .scope_boxed()
//!         })
//!         .await
//! }
//! ```

mod connect;
mod database;
mod fault;
mod limit;
mod migrate;
mod pool;
mod probe;
mod session;
mod settings;
mod sweep;
mod target;

pub use connect::{DatabaseError, Pools, connect, unopened};
pub use database::Database;
pub use fault::{Fault, is_unavailable, kind, safe};
pub use migrate::migrate;
pub use pool::PooledConnection;
pub use probe::{Condition, Probe};
pub use scoped_futures::ScopedFutureExt as FutureExt;
pub use settings::DatabaseSettings;
pub use sweep::drain;
pub use target::Target;
