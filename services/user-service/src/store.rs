//! The service's repository: all its SQL is here and in `store/`. A user changes by `create` and
//! `change` for routes, by `change_once` for messages; what happened is saved and sent together or not
//! at all.

mod administrators;
mod ended;
mod erasures;
mod exports;
mod external_accounts;
mod external_flows;
mod mail_tokens;
mod passwords;
mod proofs;
mod refresh_tokens;
mod reset_requests;
mod second_factors;
mod sessions;

use std::sync::Arc;

use auth::SealingKeys;
use auth::User as SignedIn;
use auth::password::HashedPassword;
use chassis::Clock;
use chassis::database::{Database, FutureExt};
use chassis::page::{Page, PageRequest};
use chrono::{DateTime, Utc};
use contracts::UserId;
use messaging::Outbox;
use messaging::inbox::InboxKey;
use platform::audit::{AuditTrail, Entry};
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::{DomainError, Email, Event, Name, Status, User};
use crate::erasure::ErasureTerms;
use crate::error::Error;
use crate::events;
use crate::metrics::{self, ErasureOutcome};
use crate::profiles::Profiles;

pub(crate) use administrators::{First, appoint_first};
pub(crate) use exports::ShownToken;
pub(crate) use external_accounts::{NewAccount, ShownAccount};
pub(crate) use external_flows::{Flow, Linked};
pub(crate) use mail_tokens::TokenMaking;
pub(crate) use passwords::{Account, NewPassword};
pub(crate) use proofs::{Proof, ShownPassword};
pub(crate) use refresh_tokens::Refreshed;
pub(crate) use second_factors::SecondFactor;
pub(crate) use sessions::{Opening, Shown};

/// Users, their sessions, and the tokens that they get by mail. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    outbox: Outbox,
    erasures: ErasureTerms,
    clock: Clock,
    profiles: Profiles,
    audit: AuditTrail,
    tokens: TokenMaking,
    sealing: SealingKeys,
    /// This process has committed a request for another password.
    reset_requested: Arc<Notify>,
}

/// Which users are asked for; all, where nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserFilter {
    pub(crate) status: Option<Status>,
    pub(crate) admin: Option<bool>,
    /// How the address begins, in lower case.
    pub(crate) email_prefix: Option<String>,
}

/// What a decision gives: the user as it is then, and what happened.
type Decided = Result<(User, Vec<Event>), DomainError>;

/// A statement that reads users: all columns of [`Row`], and the rest of it.
macro_rules! select_users {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select id, email, name, pending_email, admin, status, email_deliverable, version,
                    email_version, email_verified_version, created_at, updated_at
             from users " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    pub(crate) fn new(
        database: Database,
        (outbox, erasures): (Outbox, ErasureTerms),
        clock: Clock,
        profiles: Profiles,
        audit: AuditTrail,
        tokens: TokenMaking,
        sealing: SealingKeys,
    ) -> Self {
        let reset_requested = Arc::default();
        Self {
            database,
            outbox,
            erasures,
            clock,
            profiles,
            audit,
            tokens,
            sealing,
            reset_requested,
        }
    }

    /// The same repository over other connections, such as those of background work.
    pub(crate) fn over(self, database: Database) -> Self {
        Self { database, ..self }
    }

    /// Saves a new user, which `entry` says in the audit trail.
    pub(crate) async fn create(
        &self,
        (user, events): (User, Vec<Event>),
        password: &HashedPassword,
        entry: &Entry,
    ) -> Result<User, Error> {
        let user = &user;
        let events = &events;
        let insert = async |tx: &mut PgConnection| {
            self.insert(tx, user, events, Some(password)).await?;
            self.audit.record_in(tx, entry).await?;
            Ok::<_, Error>(())
        };
        self.database.transaction(|tx| insert(tx).scope_boxed()).await?;
        self.outbox.wake();
        entry.log();
        Ok(user.clone())
    }

    /// Inserts a new user; one without a password is let in by something else.
    async fn insert(
        &self,
        tx: &mut PgConnection,
        user: &User,
        events: &[Event],
        password: Option<&HashedPassword>,
    ) -> Result<(), Error> {
        sqlx::query!(
            "insert into users (id, email, name, password_hash, admin, status,
                                email_deliverable, version, email_version, created_at,
                                updated_at, email_verified_version)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            user.id.as_uuid(),
            user.email.as_str(),
            user.name.as_str(),
            password.map(HashedPassword::as_str),
            user.admin,
            user.status.as_str(),
            user.email_deliverable,
            user.version,
            user.email_version,
            user.created_at,
            user.updated_at,
            user.email_verified_version,
        )
        .execute(&mut *tx)
        .await
        .map_err(taken)?;
        self.send(tx, user, events.to_vec()).await
    }

    /// Changes a user as `decide` says, for the request of a signed-in user (see [`Self::lock_for`]).
    /// `entry` says so in the audit trail, in the same transaction; of what changed nothing it is silent.
    pub(crate) async fn change(
        &self,
        id: UserId,
        (caller, entry): (SignedIn, &Entry),
        decide: impl Fn(User) -> Decided + Send + Sync,
    ) -> Result<User, Error> {
        self.change_proven(id, (caller, entry), None, decide).await
    }

    /// [`Self::change`], for which a code has to be shown where a second factor is on.
    pub(crate) async fn change_proven(
        &self,
        id: UserId,
        (caller, entry): (SignedIn, &Entry),
        proof: Option<Proof<'_>>,
        decide: impl Fn(User) -> Decided + Send + Sync,
    ) -> Result<User, Error> {
        let write = async |tx: &mut PgConnection| {
            let before = self.lock_for(tx, caller, id).await?;
            let used = match proof {
                Some(proof) => self.prove(tx, proof).await?,
                None => None,
            };
            let decided = decide(before.clone())?;
            let is_change = decided.0 != before || !decided.1.is_empty();
            // Before the change: little is to come between withholding the profile and the commit.
            if is_change {
                self.audit.record_in(tx, entry).await?;
            }
            Ok::<_, Error>((self.apply(tx, before, decided).await?, used, is_change))
        };
        let (user, used, is_change) =
            self.database.transaction(|tx| write(tx).scope_boxed()).await?;
        self.outbox.wake();
        if is_change {
            entry.log();
            if user.status == Status::Deleted {
                metrics::erasure(ErasureOutcome::Begun);
                if !self.erasures.has_readers() {
                    metrics::erasure(ErasureOutcome::Completed);
                }
            }
        }
        used.inspect(Entry::log);
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

    /// Locks a user's row, decides, and saves what was decided.
    async fn write(
        &self,
        tx: &mut PgConnection,
        id: UserId,
        decide: &(impl Fn(User) -> Decided + Sync),
    ) -> Result<User, Error> {
        let before = self.lock(tx, id).await?;
        let decided = decide(before.clone())?;
        self.apply(tx, before, decided).await
    }

    /// A user that nobody else changes until the transaction ends.
    async fn lock(&self, tx: &mut PgConnection, id: UserId) -> Result<User, Error> {
        let row = select_users!("where id = $1 for update", id.as_uuid(),);
        Ok(row.fetch_optional(tx).await?.ok_or(DomainError::NotFound)?.into())
    }

    /// The same for the request of a signed-in user, if the session and the role of the token are there
    /// still: it is good for minutes after they are gone, and what is changed stays.
    ///
    /// [`Error::SessionEnded`] when they are not.
    async fn lock_for(
        &self,
        tx: &mut PgConnection,
        caller: SignedIn,
        id: UserId,
    ) -> Result<User, Error> {
        let user = self.lock(tx, id).await?;
        sessions::check_caller(tx, caller, id).await?;
        Ok(user)
    }

    /// The one way into the table: sends, saves, keeps the profile before out of the cache. The caller has
    /// locked the row, and commits at once.
    async fn apply(
        &self,
        tx: &mut PgConnection,
        before: User,
        (user, events): (User, Vec<Event>),
    ) -> Result<User, Error> {
        let id = user.id;
        if let Some(email) = user.pending_email_since(&before) {
            check_free(tx, id, email).await?;
        }
        if before.is_administrator() && !user.is_administrator() {
            administrators::check_not_last(tx, id).await?;
        }
        // Tokens name the role that the user had. Who had the address before may not be who has it now,
        // and a user who is deleted has none.
        let has_other_role = before.is_administrator() != user.is_administrator();
        if has_other_role || before.email != user.email || before.status != user.status {
            sessions::end_sessions(tx, id, None).await?;
        }
        self.send(tx, &user, events).await?;
        if user.version != before.version {
            save(tx, &user).await?;
            // Last, so that little more than the commit comes after it.
            self.profiles.withhold(id).await;
        }
        Ok(user)
    }

    /// A user, deleted ones included.
    pub(crate) async fn user(&self, id: UserId) -> Result<User, Error> {
        let row = select_users!("where id = $1", id.as_uuid());
        let row = row.fetch_optional(&self.database).await?;
        Ok(row.ok_or(DomainError::NotFound)?.into())
    }

    /// A page of the users that are asked for, newest first. What few have has a statement of its own, whose index
    /// finds them without a look at all the others; users who are active, or no administrators, are nearly all of them.
    pub(crate) async fn users(
        &self,
        filter: &UserFilter,
        page: PageRequest,
    ) -> Result<Page<User>, Error> {
        let status = filter.status.as_ref().map(Status::as_str);
        let admin = filter.admin;
        // No condition that may be left out: with one, a plan for any page would begin at the first.
        let before = page.before.unwrap_or(Uuid::max());
        let rows = match (&filter.email_prefix, admin, &filter.status) {
            (Some(prefix), ..) => {
                // An array: joined to the order and the limit, the planner would go through all users.
                let found = select_users!(
                    "where id = any(array(select id from users where lower(email) ~>=~ $5
                                          and lower(email) ~<~ ($5 || U&'\\+10FFFF')))
                     and ($3::text is null or status = $3) and ($4::boolean is null or admin = $4)
                     and id < $1 order by id desc limit $2",
                    before,
                    page.rows(),
                    status,
                    admin,
                    prefix,
                );
                found.fetch_all(&self.database).await?
            }
            (None, Some(true), _) => {
                let administrators = select_users!(
                    "where admin and ($3::text is null or status = $3) and id < $1
                     order by id desc limit $2",
                    before,
                    page.rows(),
                    status,
                );
                administrators.fetch_all(&self.database).await?
            }
            (None, _, Some(Status::Deleted)) => {
                let deleted = select_users!(
                    "where status = 'deleted'
                     and ($3::boolean is null or admin = $3) and id < $1
                     order by id desc limit $2",
                    before,
                    page.rows(),
                    admin,
                );
                deleted.fetch_all(&self.database).await?
            }
            (None, ..) => {
                let all = select_users!(
                    "where ($3::text is null or status = $3) and ($4::boolean is null or admin = $4)
                     and id < $1 order by id desc limit $2",
                    before,
                    page.rows(),
                    status,
                    admin,
                );
                all.fetch_all(&self.database).await?
            }
        };
        let users = rows.into_iter().map(User::from).collect();
        Ok(Page::new(users, page, |user: &User| user.id.as_uuid()))
    }

    /// Sends what happened to a user, and keeps the hashes of the tokens that go with it.
    async fn send(
        &self,
        tx: &mut PgConnection,
        user: &User,
        events: Vec<Event>,
    ) -> Result<(), Error> {
        let tokens: Vec<_> = events.iter().filter_map(Event::token).cloned().collect();
        let by = (&self.outbox, &self.clock);
        events::enqueue(by, &self.erasures, tx, user, events).await?;
        for token in tokens {
            self.insert_token(tx, user.id, &token).await?;
        }
        Ok(())
    }
}

/// Saves a changed user. A deleted one loses password and tokens.
async fn save(tx: &mut PgConnection, user: &User) -> Result<(), Error> {
    let deleted = user.status == Status::Deleted;
    sqlx::query!(
        "update users set email = $2, name = $3, admin = $4, status = $5, email_deliverable = $6,
                version = $7, email_version = $8, updated_at = $9,
                password_hash = case when $10 then null else password_hash end,
                pending_email = $11, email_verified_version = $12
         where id = $1",
        user.id.as_uuid(),
        user.email.as_str(),
        user.name.as_str(),
        user.admin,
        user.status.as_str(),
        user.email_deliverable,
        user.version,
        user.email_version,
        user.updated_at,
        deleted,
        user.pending_email.as_ref().map(Email::as_str),
        user.email_verified_version,
    )
    .execute(&mut *tx)
    .await
    .map_err(taken)?;
    if deleted {
        sqlx::query!("delete from mail_tokens where user_id = $1", user.id.as_uuid())
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// Makes sure that nobody but `id` has an address. Somebody may have it when it is proven: then the unique
/// index says so.
async fn check_free(tx: &mut PgConnection, id: UserId, email: &Email) -> Result<(), Error> {
    let is_taken = sqlx::query_scalar!(
        r#"select exists (select from users where lower(email) = lower($1) and id <> $2)
               as "is_taken!""#,
        email.as_str(),
        id.as_uuid(),
    );
    if is_taken.fetch_one(tx).await? { Err(DomainError::EmailTaken.into()) } else { Ok(()) }
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
    pending_email: Option<String>,
    admin: bool,
    status: String,
    email_deliverable: bool,
    version: i64,
    email_version: i64,
    email_verified_version: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: Email::from_stored(row.email),
            name: Name::from_stored(row.name),
            pending_email: row.pending_email.map(Email::from_stored),
            admin: row.admin,
            status: row.status.into(),
            email_deliverable: row.email_deliverable,
            version: row.version,
            email_version: row.email_version,
            email_verified_version: row.email_verified_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
