//! PostgreSQL: a pool that is open before there is load, migrations, and statements that outlive a
//! change of the schema.
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

mod database;
mod fault;
mod pool;
mod settings;
mod sweep;

pub use database::Database;
pub use fault::{Fault, is_unavailable, kind, safe};
pub use pool::{DatabaseError, connect, migrate, unopened};
pub use scoped_futures::ScopedFutureExt as FutureExt;
pub use settings::DatabaseSettings;
pub use sweep::drain;
