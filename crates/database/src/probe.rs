//! Whether the database is there: asked on a connection of its own, so that pools whose connections
//! are all lent out do not look like a database that is away.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::{Database, Target};

/// How long the connection that is kept may take to answer, before another one is opened: it may hear
/// nothing for ever, as after a database was replaced behind its address.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(700);
/// A pool that has no connection to give for so long is busy.
const BUSY_AFTER: Duration = Duration::from_millis(500);

/// What a probe finds of a database that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Connections can be had.
    Ready,
    /// All connections of a pool are lent out, and none comes back for half a second.
    Busy,
}

/// Checks the database and the pools. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Probe(Arc<Shared>);

struct Shared {
    options: PgConnectOptions,
    /// None while a check is under way, and after one that failed.
    kept: Mutex<Option<PgConnection>>,
    pools: [Database; 2],
}

impl fmt::Debug for Shared {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = Target::from(&self.options);
        f.debug_struct("Probe").field("target", &target).finish_non_exhaustive()
    }
}

impl Probe {
    pub(crate) fn new(options: PgConnectOptions, kept: PgConnection, pools: [Database; 2]) -> Self {
        Self(Arc::new(Shared { options, kept: Mutex::new(Some(kept)), pools }))
    }

    /// Asks the database, over a new connection when the one that is kept does not answer. The caller
    /// limits the time.
    ///
    /// # Errors
    /// The database is away.
    pub async fn check(&self) -> Result<Condition, sqlx::Error> {
        let Shared { options, kept, pools } = &*self.0;
        let mut kept = kept.lock().await;
        // Taken out: what is given up in the middle of an answer is not asked again.
        let answering = match kept.take() {
            Some(mut connection) => {
                let answer = timeout(ANSWER_TIMEOUT, ask(&mut connection)).await;
                matches!(answer, Ok(Ok(()))).then_some(connection)
            }
            None => None,
        };
        *kept = Some(if let Some(connection) = answering {
            connection
        } else {
            let mut connection = PgConnection::connect_with(options).await?;
            ask(&mut connection).await?;
            connection
        });
        drop(kept);
        let ready = join_all(pools.iter().map(is_ready)).await;
        Ok(if ready.into_iter().all(|ready| ready) { Condition::Ready } else { Condition::Busy })
    }
}

async fn ask(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("select 1").execute(connection).await.map(drop)
}

async fn is_ready(pool: &Database) -> bool {
    // One that is idle is not taken: that would be measured as somebody's wait.
    pool.counts().2 > 0
        || timeout(BUSY_AFTER, pool.acquire()).await.is_ok_and(|acquired| acquired.is_ok())
}
