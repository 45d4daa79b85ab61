//! Sessions: the refresh tokens in use, those before them, and how a session ends.

use auth::User as SignedIn;
use auth::opaque::OpaqueHash;
use chassis::RequestId;
use chassis::database::FutureExt;
use chrono::{DateTime, Utc};
use contracts::UserId;
use contracts::user::UserSessionReused;
use platform::audit::{Actor, Entry};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Account, Proof, Store};
use crate::config::SessionSettings;
use crate::domain::{Code, Presented, Refresh, Session};
use crate::error::Error;
use crate::events;

/// Tokens that a session remembers at most: enough for one every five minutes over thirty days. One
/// that has so many ends, because a thief could make room by using tokens if the oldest went.
const TOKENS_MAX: i64 = 10_000;
/// Sessions of a user at most; a further sign-in ends the one that was not used for the longest time.
const SESSIONS_MAX: i64 = 100;

/// A session of a user, as its owner is shown it.
pub(crate) struct Shown {
    pub(crate) id: Uuid,
    pub(crate) device: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// What a session begins with.
pub(crate) struct Opening<'a> {
    pub(crate) refresh: OpaqueHash,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) device: &'a str,
    /// The code that was shown besides the password.
    pub(crate) code: Option<&'a Code>,
}

/// What became of a refresh token that was presented.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refreshed {
    /// It was exchanged, or exchanged again.
    Exchanged {
        session: Uuid,
        user: UserId,
        admin: bool,
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
    fn entry(self, request: &RequestId) -> Option<Entry> {
        let (session, user, outcome) = match self {
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
    /// Opens a session; `entry` says so in the audit trail. [`Error::WrongCredentials`] when the
    /// account is not any more what was read of it: its sessions would have ended. [`Error::CodeMissing`]
    /// and [`Error::WrongCode`] where a second factor is on.
    pub(crate) async fn open_session(
        &self,
        session: Uuid,
        account: &Account,
        opening: &Opening<'_>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let proof = Proof { user: account.user, code: opening.code };
        let used = self
            .database
            .transaction(|tx| {
                async move {
                    // Locks the user's row: a second factor that is switched on meanwhile ends the session.
                    self.insert_session(tx, session, account, opening).await?;
                    let used = self.prove(tx, proof).await?;
                    make_room(tx, account.user).await?;
                    self.audit.record_in(tx, entry).await?;
                    Ok::<_, Error>(used)
                }
                .scope_boxed()
            })
            .await?;
        self.told(used.as_ref(), entry);
        Ok(())
    }

    async fn insert_session(
        &self,
        tx: &mut PgConnection,
        session: Uuid,
        account: &Account,
        &Opening { refresh, expires_at, device, .. }: &Opening<'_>,
    ) -> Result<(), Error> {
        // Waits for whoever is changing the account just now.
        let opened = sqlx::query!(
            "insert into sessions (id, user_id, refresh_hash, created_at, expires_at, device)
             select $1, id, $3, $4, $5, $7 from users
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
        );
        if opened.execute(tx).await?.rows_affected() == 0 {
            return Err(Error::WrongCredentials);
        }
        Ok(())
    }

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

    /// The sessions of a user, the one that was used last first.
    pub(crate) async fn sessions(
        &self,
        user: Uuid,
        settings: &SessionSettings,
    ) -> Result<Vec<Shown>, Error> {
        let now = self.clock.now();
        let shown = sqlx::query_as!(
            Shown,
            r#"select id, device, created_at, expires_at,
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
async fn make_room(tx: &mut PgConnection, user: UserId) -> Result<(), Error> {
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
        "select sessions.user_id, sessions.created_at, users.admin
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
         set refresh_hash = $2, expires_at = $3,
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
