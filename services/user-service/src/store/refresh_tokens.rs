//! Refresh tokens: the exchange of one for the next, and what it means that a used one comes back.

use auth::Scopes;
use auth::opaque::OpaqueHash;
use chassis::RequestId;
use chassis::database::FutureExt;
use chrono::{DateTime, Utc};
use contracts::UserId;
use contracts::user::UserSessionReused;
use platform::audit::{Actor, Entry};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Store;
use crate::config::SessionSettings;
use crate::domain::{Presented, Refresh, Session};
use crate::error::Error;
use crate::events;

/// Tokens that a session remembers at most: enough for one every five minutes over thirty days. One
/// that has so many ends, because a thief could make room by using tokens if the oldest went.
const TOKENS_MAX: i64 = 10_000;
/// What became of a refresh token that was presented.
#[derive(Debug, Clone)]
pub(crate) enum Refreshed {
    /// It was exchanged, or exchanged again.
    Exchanged {
        session: Uuid,
        user: UserId,
        admin: bool,
        /// What the session's tokens carry, from its begin to its end.
        scopes: Option<Scopes>,
        repeated: bool,
        /// When the session ends unless it is refreshed again.
        expires_at: DateTime<Utc>,
    },
    /// It is of no session, or its time is up.
    Unknown,
    /// It came again after its successor was used, or too late; the session has ended.
    Reused { session: Uuid, user: UserId },
    /// The session remembered as many tokens as it may and has ended.
    Full { session: Uuid, user: UserId },
}

impl Refreshed {
    /// What the audit trail is told: that a session was ended, since its token may have been stolen.
    fn entry(&self, request: &RequestId) -> Option<Entry> {
        let (session, user, outcome) = match *self {
            Self::Reused { session, user } => (session, user, "reused"),
            Self::Full { session, user } => (session, user, "full"),
            Self::Exchanged { .. } | Self::Unknown => return None,
        };
        let actor = Actor::User(user.as_uuid());
        let entry = Entry::new(actor, "refresh", outcome).target(format_args!("session:{session}"));
        Some(entry.request(request))
    }
}

impl Store {
    /// Exchanges a refresh token for the next one, as the session decides; a session that ends
    /// takes all its tokens with it, and the audit trail says so; the owner of one whose token came
    /// again is told.
    pub(crate) async fn refresh_session(
        &self,
        presented: OpaqueHash,
        next: OpaqueHash,
        settings: &SessionSettings,
        request: &RequestId,
    ) -> Result<Refreshed, Error> {
        let refreshed = self
            .database
            .transaction(|tx| {
                async move {
                    let refreshed = self.exchange(tx, presented, next, settings).await?;
                    if let Refreshed::Reused { session, user } = refreshed {
                        let at = (&self.outbox, &self.clock);
                        let reused = UserSessionReused { user_id: user, session_id: session };
                        events::enqueue_notice(at, tx, &reused).await?;
                    }
                    if let Some(entry) = refreshed.entry(request) {
                        self.audit.record_in(tx, &entry).await?;
                    }
                    Ok::<_, Error>(refreshed)
                }
                .scope_boxed()
            })
            .await?;
        refreshed.entry(request).inspect(Entry::log);
        if let Refreshed::Reused { .. } = refreshed {
            self.outbox.wake();
        }
        Ok(refreshed)
    }

    async fn exchange(
        &self,
        tx: &mut PgConnection,
        presented: OpaqueHash,
        next: OpaqueHash,
        settings: &SessionSettings,
    ) -> Result<Refreshed, Error> {
        let now = self.clock.now();
        let Some(line) = lock_session(tx, presented, now).await? else {
            return Ok(Refreshed::Unknown);
        };
        let expires_at = settings.expires_at(line.created_at, now);
        if expires_at <= now {
            return Ok(Refreshed::Unknown);
        }
        let refreshed = match line.session.present(line.presented, now) {
            Refresh::Reused => Refreshed::Reused { session: line.id, user: line.user },
            Refresh::Rotated | Refresh::Repeated if line.is_full => {
                Refreshed::Full { session: line.id, user: line.user }
            }
            decided => Refreshed::Exchanged {
                session: line.id,
                user: line.user,
                admin: line.admin,
                scopes: line.scopes,
                repeated: decided == Refresh::Repeated,
                expires_at,
            },
        };
        match refreshed {
            Refreshed::Exchanged { repeated, .. } => {
                let begins = (!repeated).then_some((presented, now));
                save_token(tx, line.id, next, expires_at, begins).await?;
            }
            _ => {
                sqlx::query!("delete from sessions where id = $1", line.id).execute(tx).await?;
            }
        }
        Ok(refreshed)
    }

    /// The session and the user of a refresh token, used or not.
    pub(crate) async fn session_of(
        &self,
        presented: OpaqueHash,
    ) -> Result<Option<(Uuid, Uuid)>, Error> {
        let found = sqlx::query!(
            "select id, user_id from sessions
             where refresh_hash = $1 or id = (select session_id from former_refresh_tokens
                                              where refresh_hash = $1 and expires_at > $2)",
            presented.as_slice(),
            self.clock.now(),
        );
        let found = found.fetch_optional(&self.database).await?;
        Ok(found.map(|found| (found.id, found.user_id)))
    }
}

/// The session of a token that is presented.
struct Line {
    id: Uuid,
    user: UserId,
    admin: bool,
    created_at: DateTime<Utc>,
    session: Session,
    presented: Presented,
    /// Whether it remembers as many tokens as it may.
    is_full: bool,
    scopes: Option<Scopes>,
}

/// Finds the session of a token and locks its row, so that tokens of one session are decided on one
/// after the other. None when the token is unknown or past its time, or the user is gone.
async fn lock_session(
    tx: &mut PgConnection,
    presented: OpaqueHash,
    now: DateTime<Utc>,
) -> Result<Option<Line>, Error> {
    let id = sqlx::query_scalar!(
        r#"select id as "id!" from sessions where refresh_hash = $1
           union all
           select session_id from former_refresh_tokens
           where refresh_hash = $1 and expires_at > $2"#,
        presented.as_slice(),
        now,
    );
    let Some(id) = id.fetch_optional(&mut *tx).await? else { return Ok(None) };
    // The tokens are read by a statement of their own: the one that waits for the lock would see
    // those that there were before the lock.
    let row = sqlx::query!(
        "select sessions.user_id, sessions.created_at, sessions.scope, users.admin
         from sessions join users on users.id = sessions.user_id
         where sessions.id = $1 and sessions.expires_at > $2 and users.status = 'active'
         for update of sessions",
        id,
        now,
    );
    let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(None) };
    let tokens = sqlx::query!(
        r#"select sessions.generation, sessions.rotated_at,
                  coalesce(sessions.parent_hash = $2, false) as "is_parent!",
                  case when sessions.refresh_hash = $2 then sessions.generation
                       else former.generation end as presented,
                  exists (select from former_refresh_tokens where session_id = $1
                          offset $3) as "is_full!"
           from sessions
           left join former_refresh_tokens former
             on former.refresh_hash = $2 and former.session_id = sessions.id
           where sessions.id = $1"#,
        id,
        presented.as_slice(),
        TOKENS_MAX - 1,
    );
    let tokens = tokens.fetch_one(tx).await?;
    // A replica of the version before has exchanged the token meanwhile, and remembers none.
    let Some(generation) = tokens.presented else { return Ok(None) };
    Ok(Some(Line {
        id,
        user: UserId::from_uuid(row.user_id),
        admin: row.admin,
        created_at: row.created_at,
        session: Session { generation: tokens.generation, rotated_at: tokens.rotated_at },
        presented: Presented { generation, is_parent: tokens.is_parent },
        is_full: tokens.is_full,
        scopes: row.scope.as_deref().map(Scopes::read),
    }))
}

/// Makes `next` the newest token of a session and remembers the one before; `begins` is the token
/// that is exchanged when that begins a generation, and when it does.
async fn save_token(
    tx: &mut PgConnection,
    session: Uuid,
    next: OpaqueHash,
    expires_at: DateTime<Utc>,
    begins: Option<(OpaqueHash, DateTime<Utc>)>,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into former_refresh_tokens (refresh_hash, session_id, generation, expires_at)
         select refresh_hash, id, generation, expires_at from sessions where id = $1",
        session,
    )
    .execute(&mut *tx)
    .await?;
    let (parent, at) = begins.unzip();
    sqlx::query!(
        "update sessions
         set refresh_hash = $2::bytea, expires_at = $3,
             scope_refresh_hash = case when scope is not null then $2::bytea end,
             generation = generation + case when $4::bytea is null then 0 else 1 end,
             parent_hash = coalesce($4, parent_hash), rotated_at = coalesce($5, rotated_at)
         where id = $1",
        session,
        next.as_slice(),
        expires_at,
        parent.as_ref().map(<[u8; 32]>::as_slice),
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
