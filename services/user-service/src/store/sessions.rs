//! Sessions: how one is opened, shown and ended.

use auth::opaque::OpaqueHash;
use auth::{Scopes, User as SignedIn};
use chassis::database::FutureExt;
use chrono::{DateTime, Utc};
use contracts::UserId;
use platform::audit::Entry;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Account, Proof, Store};
use crate::config::SessionSettings;
use crate::domain::Code;
use crate::error::Error;

/// Sessions of a user at most; a further sign-in ends the one that was not used for the longest time.
const SESSIONS_MAX: i64 = 100;

/// A session of a user, as its owner is shown it.
pub(crate) struct Shown {
    pub(crate) id: Uuid,
    pub(crate) device: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    /// None where it has all rights of its user.
    pub(crate) scope: Option<String>,
}

/// What a session begins with.
pub(crate) struct Opening<'a> {
    pub(crate) session: Uuid,
    pub(crate) refresh: OpaqueHash,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) device: &'a str,
    /// What its tokens carry; none where it is all rights of the user.
    pub(crate) scopes: Option<&'a Scopes>,
    /// The code that was shown besides the password.
    pub(crate) code: Option<&'a Code>,
}

impl Store {
    /// Opens a session; `entry` says so in the audit trail. [`Error::WrongCredentials`] when the
    /// account is not any more what was read of it: its sessions would have ended. [`Error::CodeMissing`]
    /// and [`Error::WrongCode`] where a second factor is on.
    pub(crate) async fn open_session(
        &self,
        account: &Account,
        opening: &Opening<'_>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let proof = Proof::by_code(account.user, opening.code);
        let used = self
            .database
            .transaction(|tx| {
                async move {
                    // Locks the user's row: a second factor that is switched on meanwhile ends the session.
                    self.insert_session(tx, account, opening).await?;
                    let used = self.prove(tx, proof).await?;
                    make_room(tx, account.user).await?;
                    self.audit.record_in(tx, entry).await?;
                    Ok::<_, Error>(used)
                }
                .scope_boxed()
            })
            .await?;
        self.after_commit(used.as_ref(), entry);
        Ok(())
    }

    pub(super) async fn insert_session(
        &self,
        tx: &mut PgConnection,
        account: &Account,
        &Opening { session, refresh, expires_at, device, scopes, .. }: &Opening<'_>,
    ) -> Result<(), Error> {
        // Waits for whoever is changing the account just now.
        let opened = sqlx::query!(
            "insert into sessions (id, user_id, refresh_hash, created_at, expires_at, device, code_asked,
                                   scope, scope_refresh_hash)
             select $1, id, $3::bytea, $4, $5, $7, true, $9,
                    case when $9::text is not null then $3::bytea end
             from users
             where id = $2 and status = 'active' and password_version = $6 and admin = $8
             for share",
            session,
            account.user.as_uuid(),
            refresh.as_slice(),
            self.clock.now(),
            expires_at,
            account.password_version,
            device,
            account.admin,
            scopes.map(Scopes::to_string),
        );
        if opened.execute(tx).await?.rows_affected() == 0 {
            return Err(Error::WrongCredentials);
        }
        Ok(())
    }

    /// The sessions of a user, the one that was used last first.
    pub(crate) async fn sessions(
        &self,
        user: Uuid,
        settings: &SessionSettings,
    ) -> Result<Vec<Shown>, Error> {
        let now = self.clock.now();
        let shown = sqlx::query_as!(
            Shown,
            r#"select id, device, created_at, expires_at, scope,
                      coalesce(rotated_at, created_at) as "last_used_at!"
               from sessions where user_id = $1 and expires_at > $2 and created_at > $3
               order by coalesce(rotated_at, created_at) desc, id limit $4"#,
            user,
            now,
            now - settings.max_age,
            SESSIONS_MAX,
        );
        Ok(shown.fetch_all(&self.database).await?)
    }

    /// Ends a session, which `entry` says in the audit trail; tells whether the user had it.
    pub(crate) async fn close_session(
        &self,
        session: Uuid,
        user: Uuid,
        entry: &Entry,
    ) -> Result<bool, Error> {
        let delete = async |tx: &mut PgConnection| {
            let delete =
                sqlx::query!("delete from sessions where id = $1 and user_id = $2", session, user);
            let closed = delete.execute(&mut *tx).await?.rows_affected() > 0;
            if closed {
                self.audit.record_in(tx, entry).await?;
            }
            Ok::<_, Error>(closed)
        };
        let closed = self.database.transaction(|tx| delete(tx).scope_boxed()).await?;
        if closed {
            entry.log();
        }
        Ok(closed)
    }

    /// Ends all sessions of a user but one, if one is named, which `entry` says in the audit trail.
    pub(crate) async fn close_sessions(
        &self,
        user: UserId,
        except: Option<Uuid>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let end = async |tx: &mut PgConnection| {
            end_sessions(tx, user, except).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(())
        };
        self.database.transaction(|tx| end(tx).scope_boxed()).await?;
        entry.log();
        Ok(())
    }

    /// Removes former tokens and sessions whose time is up, up to `limit` in all; tells how many.
    /// Tokens first: each expires before its session does, so that few are left to go with it.
    pub(crate) async fn sweep_sessions(&self, limit: i64) -> Result<u64, Error> {
        let now = self.clock.now();
        let tokens = sqlx::query!(
            "delete from former_refresh_tokens where refresh_hash = any(array
               (select refresh_hash from former_refresh_tokens where expires_at <= $1
                order by expires_at limit $2 for update skip locked))",
            now,
            limit,
        );
        let tokens = tokens.execute(&self.database).await?.rows_affected();
        let limit = limit.saturating_sub_unsigned(tokens);
        if limit == 0 {
            return Ok(tokens);
        }
        let sessions = sqlx::query!(
            "delete from sessions where id = any(array
               (select id from sessions where expires_at <= $1
                order by expires_at limit $2 for update skip locked))",
            now,
            limit,
        );
        Ok(tokens + sessions.execute(&self.database).await?.rows_affected())
    }
}

/// Ends the sessions of a user, but for one that is to go on; whatever takes from the user what the
/// sessions were opened with calls it, in the same transaction.
pub(super) async fn end_sessions(
    tx: &mut PgConnection,
    user: UserId,
    except: Option<Uuid>,
) -> Result<(), Error> {
    sqlx::query!(
        "delete from sessions where user_id = $1 and id is distinct from $2",
        user.as_uuid(),
        except,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes sure that the session of a request's token is there, and that its user may still do what the
/// request does to `to`. Whoever ends sessions of a user or takes a role away has locked a row of theirs;
/// with the row of `to` locked, what they committed before is seen here.
pub(super) async fn check_caller(
    tx: &mut PgConnection,
    caller: SignedIn,
    to: UserId,
) -> Result<(), Error> {
    let stands = sqlx::query_scalar!(
        r#"select exists (select from sessions join users on users.id = sessions.user_id
                          where sessions.id = $1 and users.id = $2 and users.status <> 'deleted'
                          and (users.admin or users.id = $3)) as "stands!""#,
        caller.session,
        caller.id,
        to.as_uuid(),
    );
    if stands.fetch_one(tx).await? { Ok(()) } else { Err(Error::SessionEnded) }
}

/// Ends the sessions that a user has beyond [`SESSIONS_MAX`].
pub(super) async fn make_room(tx: &mut PgConnection, user: UserId) -> Result<(), Error> {
    sqlx::query!(
        "delete from sessions where id = any(array
           (select id from sessions where user_id = $1
            order by coalesce(rotated_at, created_at) desc, id desc offset $2))",
        user.as_uuid(),
        SESSIONS_MAX,
    )
    .execute(tx)
    .await?;
    Ok(())
}
