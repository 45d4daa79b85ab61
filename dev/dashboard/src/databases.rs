//! The services' databases, read only: one small pool for each, opened when it is asked for, and closed
//! when it is not used.

mod catalogue;
mod masking;
mod rows;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};

pub(crate) use catalogue::{Column, Relation, Table, relations, table};
pub(crate) use masking::{Sensitivity, looks_personal};
pub(crate) use rows::{Key, ROWS_MAX, Rows, rows};

use crate::system::State;

/// Connections to one database at most.
const CONNECTIONS_MAX: u32 = 2;
/// How long a connection stays open that nobody uses.
const IDLE: Duration = Duration::from_secs(30);
/// How long a statement may take there, and all of a reading here.
const STATEMENT_LIMIT: &str = "1000";
const LIMIT: Duration = Duration::from_secs(2);

/// The pools, by the name of the database.
#[derive(Debug, Default)]
pub(crate) struct Databases(Mutex<HashMap<String, Opened>>);

#[derive(Debug)]
struct Opened {
    /// The server's address at that time.
    server: String,
    pool: PgPool,
}

/// The services that have a database, whether they run or were stopped, in the order of their names.
pub(crate) fn services(state: &State) -> Vec<String> {
    let running = state.services().into_iter().map(|service| service.name.clone());
    let mut names: Vec<String> = running.chain(state.stopped.iter().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

/// `user_db` of `user-service`.
fn database(service: &str) -> String {
    let role = service.replace('-', "_");
    format!("{}_db", role.strip_suffix("_service").unwrap_or(&role))
}

impl Databases {
    /// A transaction that can only read.
    ///
    /// # Errors
    /// The service is not one of the system, or its database does not answer.
    pub(crate) async fn begin(
        &self,
        state: &State,
        service: &str,
    ) -> sqlx::Result<Transaction<'static, Postgres>> {
        if !services(state).iter().any(|known| known == service) {
            return Err(sqlx::Error::Configuration("the system has no such service".into()));
        }
        self.pool(&state.addresses.postgres, &database(service))?
            .begin_with("begin read only")
            .await
    }

    fn pool(&self, server: &str, database: &str) -> sqlx::Result<PgPool> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = all.get(database).filter(|opened| opened.server == server) {
            return Ok(opened.pool.clone());
        }
        let options = PgConnectOptions::from_str(server)?
            .database(database)
            .application_name("dashboard")
            .options([
                ("default_transaction_read_only", "on"),
                ("statement_timeout", STATEMENT_LIMIT),
                ("idle_in_transaction_session_timeout", "5000"),
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(LIMIT)
            .idle_timeout(IDLE)
            .connect_lazy_with(options);
        let opened = Opened { server: server.to_owned(), pool: pool.clone() };
        all.insert(database.to_owned(), opened);
        Ok(pool)
    }
}

/// What a reading gives, which is not waited for long; an error is a sentence for the page.
pub(crate) async fn limited<T>(
    reading: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, String> {
    match tokio::time::timeout(LIMIT, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(sqlx::Error::Database(error))) => Err(error.message().to_owned()),
        Ok(Err(sqlx::Error::Configuration(error))) => Err(error.to_string()),
        // What others say may hold the address, and the address a password.
        Ok(Err(_)) => Err("the database cannot be read".to_owned()),
        Err(_) => Err("the database does not answer in time".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
