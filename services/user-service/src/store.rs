//! The only file with SQL. A user changes through its doors only: `create` and `change` for
//! routes, `change_once` for messages; what happened is saved and sent together or not at all.

use auth::opaque::OpaqueHash;
use auth::password::HashedPassword;
use chassis::database::{Database, FutureExt};
use chassis::page::{Page, PageRequest};
use chassis::{Clock, RequestId};
use chrono::{DateTime, Utc};
use contracts::UserId;
use messaging::Outbox;
use messaging::inbox::InboxKey;
use platform::audit::{Actor, AuditTrail, Entry};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{DomainError, Email, Event, Name, Presented, Refresh, Session, Status, User};
use crate::error::Error;
use crate::events;
use crate::profiles::Profiles;

/// Users and sessions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    outbox: Outbox,
    clock: Clock,
    profiles: Profiles,
    audit: AuditTrail,
}

/// Tokens that a session remembers at most: enough for one every five minutes over thirty days. One
/// that has so many ends, because a thief could make room by using tokens if the oldest went.
const TOKENS_MAX: i64 = 10_000;

/// What became of a refresh token that was presented.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refreshed {
    /// It was exchanged, or exchanged again.
    Exchanged { session: Uuid, user: UserId, admin: bool, repeated: bool },
    /// It is of no session, or its time is up.
    Unknown,
    /// It came again too late; the session goes on.
    Late,
    /// It came again after its successor was used; the session has ended.
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
            Self::Exchanged { .. } | Self::Unknown | Self::Late => return None,
        };
        let actor = Actor::User(user.as_uuid());
        let entry = Entry::new(actor, "refresh", outcome).target(format_args!("session:{session}"));
        Some(entry.request(request))
    }
}

/// What a decision gives: the user as it is then, and what happened.
type Decided = Result<(User, Vec<Event>), DomainError>;

impl Store {
    pub(crate) fn new(
        database: Database,
        outbox: Outbox,
        clock: Clock,
        profiles: Profiles,
        audit: AuditTrail,
    ) -> Self {
        Self { database, outbox, clock, profiles, audit }
    }

    /// The same repository over other connections, such as those of background work.
    pub(crate) fn over(self, database: Database) -> Self {
        Self { database, ..self }
    }

    /// Saves a new user.
    pub(crate) async fn create(
        &self,
        (user, events): (User, Vec<Event>),
        password: &HashedPassword,
    ) -> Result<User, Error> {
        let (user, events) = (&user, &events);
        self.database
            .transaction(|tx| self.insert(tx, user, events, password).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(user.clone())
    }

    async fn insert(
        &self,
        tx: &mut PgConnection,
        user: &User,
        events: &[Event],
        password: &HashedPassword,
    ) -> Result<(), Error> {
        sqlx::query!(
            "insert into users (id, email, name, password_hash, admin, status,
                                email_deliverable, version, email_version, created_at,
                                updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            user.id.as_uuid(),
            user.email.as_str(),
            user.name.as_str(),
            password.as_str(),
            user.admin,
            status_text(user.status),
            user.email_deliverable,
            user.version,
            user.email_version,
            user.created_at,
            user.updated_at,
        )
        .execute(&mut *tx)
        .await
        .map_err(taken)?;
        events::enqueue(&self.outbox, &self.clock, tx, user, events.to_vec()).await?;
        Ok(())
    }

    /// Changes a user as `decide` says, for a request.
    pub(crate) async fn change(
        &self,
        id: UserId,
        decide: impl Fn(User) -> Decided + Send + Sync,
    ) -> Result<User, Error> {
        let user =
            self.database.transaction(|tx| self.write(tx, id, &decide).scope_boxed()).await?;
        self.outbox.wake();
        Ok(user)
    }

    /// Changes a user as `decide` says, for a message; a message seen before changes nothing.
    pub(crate) async fn change_once(
        &self,
        message: &InboxKey,
        id: UserId,
        decide: impl Fn(User) -> Decided + Send + Sync,
    ) -> Result<(), Error> {
        self.database
            .transaction(|tx| self.write_once(tx, message, id, &decide).scope_boxed())
            .await?;
        self.outbox.wake();
        Ok(())
    }

    async fn write_once(
        &self,
        tx: &mut PgConnection,
        message: &InboxKey,
        id: UserId,
        decide: &(impl Fn(User) -> Decided + Sync),
    ) -> Result<(), Error> {
        if message.claim(tx).await? {
            self.write(tx, id, decide).await?;
        }
        Ok(())
    }

    /// The one way into the table: locks the row, decides, sends, saves, keeps the profile before
    /// out of the cache. The caller commits at once.
    async fn write(
        &self,
        tx: &mut PgConnection,
        id: UserId,
        decide: &(impl Fn(User) -> Decided + Sync),
    ) -> Result<User, Error> {
        let before = sqlx::query_as!(
            Row,
            "select id, email, name, admin, status, email_deliverable, version,
                    email_version, created_at, updated_at
             from users where id = $1 for update",
            id.as_uuid(),
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(DomainError::NotFound)?;
        let seen = before.version;
        let (user, events) = decide(before.into())?;
        events::enqueue(&self.outbox, &self.clock, tx, &user, events).await?;
        if user.version != seen {
            save(tx, &user).await?;
            // Last, so that little more than the commit comes after it.
            self.profiles.withhold(id).await;
        }
        Ok(user)
    }

    /// A user, deleted ones included.
    pub(crate) async fn user(&self, id: UserId) -> Result<User, Error> {
        let row = sqlx::query_as!(
            Row,
            "select id, email, name, admin, status, email_deliverable, version,
                    email_version, created_at, updated_at
             from users where id = $1",
            id.as_uuid(),
        );
        let row = row.fetch_optional(&self.database).await?;
        Ok(row.ok_or(DomainError::NotFound)?.into())
    }

    /// A page of users, newest first.
    pub(crate) async fn users(&self, page: PageRequest) -> Result<Page<User>, Error> {
        let rows = sqlx::query_as!(
            Row,
            "select id, email, name, admin, status, email_deliverable, version,
                    email_version, created_at, updated_at
             from users where $1::uuid is null or id < $1 order by id desc limit $2",
            page.before,
            page.rows(),
        );
        let users = rows.fetch_all(&self.database).await?.into_iter().map(User::from).collect();
        Ok(Page::new(users, page, |user: &User| user.id.as_uuid()))
    }

    /// The active user with an address, and the hash of the password.
    pub(crate) async fn credentials(
        &self,
        email: &Email,
    ) -> Result<Option<(UserId, bool, HashedPassword)>, Error> {
        let row = sqlx::query!(
            r#"select id, admin, password_hash as "password_hash!" from users
               where lower(email) = lower($1) and status = 'active' and password_hash is not null"#,
            email.as_str(),
        );
        let row = row.fetch_optional(&self.database).await?;
        Ok(row.map(|row| {
            let hash = HashedPassword::from_stored(row.password_hash);
            (UserId::from_uuid(row.id), row.admin, hash)
        }))
    }

    /// Keeps another hash of a user's password, unless the one before has been replaced meanwhile.
    pub(crate) async fn replace_password_hash(
        &self,
        user: UserId,
        before: &HashedPassword,
        hash: &HashedPassword,
    ) -> Result<(), Error> {
        let (before, hash) = (before.as_str(), hash.as_str());
        let id = user.as_uuid();
        sqlx::query!(
            "update users set password_hash = $3 where id = $1 and password_hash = $2",
            id,
            before,
            hash,
        )
        .execute(&self.database)
        .await?;
        Ok(())
    }

    /// Opens a session; `entry` says so in the audit trail.
    pub(crate) async fn open_session(
        &self,
        (session, user): (Uuid, UserId),
        refresh: OpaqueHash,
        expires_at: DateTime<Utc>,
        entry: &Entry,
    ) -> Result<(), Error> {
        self.database
            .transaction(|tx| {
                async move {
                    self.insert_session(tx, (session, user), refresh, expires_at).await?;
                    self.audit.record_in(tx, entry).await?;
                    Ok::<_, Error>(())
                }
                .scope_boxed()
            })
            .await?;
        entry.log();
        Ok(())
    }

    async fn insert_session(
        &self,
        tx: &mut PgConnection,
        (session, user): (Uuid, UserId),
        refresh: OpaqueHash,
        expires_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        sqlx::query!(
            "insert into sessions (id, user_id, refresh_hash, created_at, expires_at)
             values ($1, $2, $3, $4, $5)",
            session,
            user.as_uuid(),
            refresh.as_slice(),
            now,
            expires_at,
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Exchanges a refresh token for the next one, as the session decides; a session that ends
    /// takes all its tokens with it, and the audit trail says so.
    pub(crate) async fn refresh_session(
        &self,
        presented: OpaqueHash,
        next: OpaqueHash,
        expires_at: DateTime<Utc>,
        request: &RequestId,
    ) -> Result<Refreshed, Error> {
        let refreshed = self
            .database
            .transaction(|tx| {
                async move {
                    let refreshed = self.exchange(tx, presented, next, expires_at).await?;
                    if let Some(entry) = refreshed.entry(request) {
                        self.audit.record_in(tx, &entry).await?;
                    }
                    Ok::<_, Error>(refreshed)
                }
                .scope_boxed()
            })
            .await?;
        refreshed.entry(request).inspect(Entry::log);
        Ok(refreshed)
    }

    async fn exchange(
        &self,
        tx: &mut PgConnection,
        presented: OpaqueHash,
        next: OpaqueHash,
        expires_at: DateTime<Utc>,
    ) -> Result<Refreshed, Error> {
        let now = self.clock.now();
        let Some(line) = lock_session(tx, presented, now).await? else {
            return Ok(Refreshed::Unknown);
        };
        let refreshed = match line.session.present(line.presented, now) {
            Refresh::Late => return Ok(Refreshed::Late),
            Refresh::Reused => Refreshed::Reused { session: line.id, user: line.user },
            Refresh::Rotated | Refresh::Repeated if line.is_full => {
                Refreshed::Full { session: line.id, user: line.user }
            }
            decided => Refreshed::Exchanged {
                session: line.id,
                user: line.user,
                admin: line.admin,
                repeated: decided == Refresh::Repeated,
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

    /// Ends a session, which `entry` says in the audit trail; one that has ended already is as good.
    pub(crate) async fn close_session(
        &self,
        session: Uuid,
        user: Uuid,
        entry: &Entry,
    ) -> Result<(), Error> {
        let delete = async |tx: &mut PgConnection| {
            sqlx::query!("delete from sessions where id = $1 and user_id = $2", session, user)
                .execute(&mut *tx)
                .await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(())
        };
        self.database.transaction(|tx| delete(tx).scope_boxed()).await?;
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

/// The session of a token that is presented.
struct Line {
    id: Uuid,
    user: UserId,
    admin: bool,
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
        "select sessions.user_id, users.admin
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

/// Saves a changed user. A deleted one loses password and sessions.
async fn save(tx: &mut PgConnection, user: &User) -> Result<(), Error> {
    let deleted = user.status == Status::Deleted;
    sqlx::query!(
        "update users set email = $2, name = $3, admin = $4, status = $5, email_deliverable = $6,
                version = $7, email_version = $8, updated_at = $9,
                password_hash = case when $10 then null else password_hash end
         where id = $1",
        user.id.as_uuid(),
        user.email.as_str(),
        user.name.as_str(),
        user.admin,
        status_text(user.status),
        user.email_deliverable,
        user.version,
        user.email_version,
        user.updated_at,
        deleted,
    )
    .execute(&mut *tx)
    .await
    .map_err(taken)?;
    if deleted {
        sqlx::query!("delete from sessions where user_id = $1", user.id.as_uuid())
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// The unique index on addresses, by name, is a domain error; all else stays a fault.
fn taken(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("users_email_key") => DomainError::EmailTaken.into(),
        _ => error.into(),
    }
}

struct Row {
    id: Uuid,
    email: String,
    name: String,
    admin: bool,
    status: String,
    email_deliverable: bool,
    version: i64,
    email_version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: Email::from_stored(row.email),
            name: Name::from_stored(row.name),
            admin: row.admin,
            // The table's check admits no third word.
            status: if row.status == "active" { Status::Active } else { Status::Deleted },
            email_deliverable: row.email_deliverable,
            version: row.version,
            email_version: row.email_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn status_text(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Deleted => "deleted",
    }
}
