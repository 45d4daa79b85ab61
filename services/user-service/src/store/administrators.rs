//! Who administers the system: never nobody again, once there is somebody.

use chassis::Clock;
use chassis::database::{Database, FutureExt};
use contracts::UserId;
use platform::audit::{AuditTrail, Entry};
use sqlx::PgConnection;

use super::sessions::end_sessions;
use crate::domain::{DomainError, Email};
use crate::error::Error;
use crate::profiles::Profiles;

/// Holds, until the transaction ends, everybody else who changes who is an administrator.
async fn lock(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('user-service administrators'))")
        .execute(tx)
        .await?;
    Ok(())
}

/// Makes sure that there is another administrator than `id`.
pub(super) async fn check_not_last(tx: &mut PgConnection, id: UserId) -> Result<(), Error> {
    lock(tx).await?;
    let others = sqlx::query_scalar!(
        r#"select exists (select from users where admin and status = 'active' and id <> $1)
               as "others!""#,
        id.as_uuid(),
    );
    if others.fetch_one(tx).await? { Ok(()) } else { Err(DomainError::LastAdministrator.into()) }
}

/// What became of the wish for a first administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// The user is one.
    Appointed(UserId),
    /// There is one, who can appoint others.
    TooLate,
    /// No active user has the address.
    NoSuchUser,
    /// Whoever registered with the address has not proven that it is theirs.
    Unproven,
}

/// Makes the active user who has proven an address the first administrator, which `entry` of the id says in the
/// audit trail. Nobody sees the profile before any more.
pub(crate) async fn appoint_first(
    database: &Database,
    (audit, clock, profiles): (&AuditTrail, &Clock, &Profiles),
    email: &Email,
    entry: impl Fn(UserId) -> Entry + Send + Sync,
) -> Result<First, Error> {
    let appoint = async |tx: &mut PgConnection| {
        lock(tx).await?;
        let is_there = sqlx::query_scalar!(
            r#"select exists (select from users where admin and status = 'active') as "is_there!""#,
        );
        if is_there.fetch_one(&mut *tx).await? {
            return Ok(First::TooLate);
        }
        let found = sqlx::query!(
            r#"select id, coalesce(email_verified_version = email_version, false) as "is_proven!"
               from users where lower(email) = lower($1) and status = 'active' for update"#,
            email.as_str(),
        );
        let Some(found) = found.fetch_optional(&mut *tx).await? else {
            return Ok(First::NoSuchUser);
        };
        // Anybody can register with the address of somebody who is about to be appointed.
        if !found.is_proven {
            return Ok(First::Unproven);
        }
        sqlx::query!(
            "update users set admin = true, version = version + 1, updated_at = $2 where id = $1",
            found.id,
            clock.now(),
        )
        .execute(&mut *tx)
        .await?;
        let user = UserId::from_uuid(found.id);
        end_sessions(tx, user, None).await?;
        audit.record_in(tx, &entry(user)).await?;
        profiles.withhold(user).await;
        Ok::<_, Error>(First::Appointed(user))
    };
    database.transaction(|tx| appoint(tx).scope_boxed()).await
}
