//! Whether the server gives a process the connections that its settings want.

use sqlx::{PgConnection, Row};

use crate::DatabaseSettings;
use crate::connect::DatabaseError;
use crate::target::{Target, cause};

/// What the server gives this role in this database, and what is taken there already, by everybody.
/// Minus one: no limit. Statistics may be hidden from a role, and then count nothing.
const LIMITS: &str = "
    select current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int as server,
           (select rolconnlimit from pg_roles where rolname = current_user) as role,
           (select datconnlimit from pg_database where datname = current_database()) as database,
           (select coalesce(sum(numbackends), 0)::int from pg_stat_database) as taken";

/// # Errors
/// This process alone wants more connections than there can be. When there are only too few left at
/// the moment, that is logged.
pub(crate) async fn check(
    connection: &mut PgConnection,
    settings: &DatabaseSettings,
    target: &Target,
) -> Result<(), DatabaseError> {
    // Behind a pooler it is the pooler's limits that count, and it has the others wait.
    if settings.transaction_pooling {
        return Ok(());
    }
    let wanted = i64::from(settings.connections());
    let refused = |why| DatabaseError::Refused { target: target.clone(), why };
    let (limits, taken) = ask(connection).await.map_err(|error| refused(cause(&error)))?;
    let sum = format!(
        "[database] pool_size {}, background_pool_size {} and one for health checks are {wanted}",
        settings.pool_size, settings.background_pool_size
    );
    for (limit, whose) in limits {
        if wanted > limit {
            return Err(refused(format!("{sum} connections, and {whose} is {limit}")));
        }
    }
    let (server, _) = limits[0];
    // One of those that are taken is the one that asks.
    let free = server - taken + 1;
    if wanted > free {
        tracing::warn!(
            database = %target,
            connections.wanted = wanted,
            connections.free = free,
            connections.max = server,
            "the server has fewer connections left than this process may open: make its \
             max_connections larger, the pools smaller, or put a pooler in between"
        );
    }
    Ok(())
}

async fn ask(
    connection: &mut PgConnection,
) -> Result<([(i64, &'static str); 3], i64), sqlx::Error> {
    let row = sqlx::query(LIMITS).persistent(false).fetch_one(connection).await?;
    let number = |name| row.try_get::<i32, _>(name).map(i64::from);
    let limit = |name| number(name).map(|limit| if limit < 0 { i64::MAX } else { limit });
    let limits = [
        (limit("server")?, "what the server leaves to ordinary roles of its max_connections"),
        (limit("role")?, "the connection limit of the role"),
        (limit("database")?, "the connection limit of the database"),
    ];
    Ok((limits, number("taken")?))
}
