//! PostgreSQL, and what a fault of it means to an HTTP caller.

use std::time::Duration;

pub use ::database::{
    Condition, Database, DatabaseError, Fault, FutureExt, Pools, Probe, connect, drain,
    is_unavailable, kind, migrate, unopened,
};

use crate::Problem;

/// What a caller is told to wait when the database cannot do it now.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The answer to a caller whose request met a database fault. The cause goes to the log only.
pub fn problem(error: &sqlx::Error) -> Problem {
    if is_unavailable(error) {
        tracing::warn!(error.kind = kind(error), "database unavailable");
        return Problem::unavailable("the database cannot do it now; try again", RETRY_AFTER);
    }
    tracing::error!(error.kind = kind(error), error = %::database::safe(error), "database fault");
    Problem::internal()
}
