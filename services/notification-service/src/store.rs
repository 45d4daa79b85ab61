//! All SQL is here and in `store/`. Contacts and notifications change through the store's methods only:
//! `create` for requests, `change_once` and `forget_once` for messages, `change` for the worker; what
//! happened is saved and sent together or not at all.

mod contacts;

use std::sync::Arc;
use std::time::Duration;

use chassis::Clock;
use chassis::database::{Database, FutureExt};
use chassis::page::{Page, PageRequest};
use chrono::{DateTime, Utc};
use contracts::erasure::ErasureConfirmed;
use contracts::{MailTokenId, NotificationId, UserId};
use messaging::Outbox;
use messaging::inbox::InboxKey;
use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::{
    Contact, Content, DomainError, Draft, Event, Kind, Notification, Status, Token,
};
use crate::error::Error;
use crate::events;

/// Contacts and notifications. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    outbox: Outbox,
    clock: Clock,
    due: Arc<Notify>,
    /// The words of the kinds that this version sends.
    kinds: Arc<[String]>,
}

/// A caller's claim on a key of its own.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The calling service and its key.
    pub(crate) source: String,
    /// SHA-256 of what is asked.
    pub(crate) fingerprint: [u8; 32],
}

/// What a decision gives: the notification as it is then, and what happened.
type Decided = Result<(Notification, Vec<Event>), DomainError>;

/// What a decision about a contact gives: the contact as it is then, and what to send.
pub(crate) type ContactDecided = Result<(Contact, Vec<Draft>), DomainError>;

/// A statement that reads notifications: all columns of [`Row`], and the rest of it.
macro_rules! select_notifications {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select id, user_id, kind, source, recipient, subject, text_body, html_body, status,
                    attempts, next_attempt_at, failure_reason, version, created_at, updated_at,
                    sent_at, recipient_version, token_id, expires_at
             from notifications " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    pub(crate) fn new(database: Database, outbox: Outbox, clock: Clock) -> Self {
        let kinds = Kind::ALL.map(|kind| kind.as_str().to_owned());
        Self { database, outbox, clock, due: Arc::default(), kinds: Arc::new(kinds) }
    }

    /// The same repository over other connections, such as those of background work.
    pub(crate) fn over(self, database: Database) -> Self {
        Self { database, ..self }
    }

    /// Waits until this process has made a notification.
    pub(crate) async fn due(&self) {
        self.due.notified().await;
    }

    /// Says that there may be more to send.
    pub(crate) fn wake(&self) {
        self.due.notify_one();
    }

    /// Makes a notification for a caller. The same claim again gives the first one, and true;
    /// [`Error::KeyReused`] when the key was claimed for another request.
    pub(crate) async fn create(
        &self,
        user: UserId,
        claim: &Claim,
        draft: impl Fn(Contact) -> Result<Draft, DomainError> + Send + Sync,
    ) -> Result<(Notification, bool), Error> {
        let made = self
            .database
            .transaction(|tx| self.make(tx, user, claim, &draft).scope_boxed())
            .await?;
        self.due.notify_one();
        Ok(made)
    }

    async fn make(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        claim: &Claim,
        draft: &(impl Fn(Contact) -> Result<Draft, DomainError> + Sync),
    ) -> Result<(Notification, bool), Error> {
        // Two requests of one key come one after the other, also those for different users.
        lock(tx, &format!("source:{}", claim.source)).await?;
        let mut replayed = is_claimed(tx, user, claim).await?;
        if !replayed {
            let contact = contacts::lock(tx, user).await?.ok_or(DomainError::UnknownContact)?;
            let source = &claim.source;
            let print = Some(&claim.fingerprint);
            // A replica of the version before takes no lock, and may have been faster.
            replayed = !self.insert(tx, user, source, print, draft(contact)?).await?;
        }
        let row = select_notifications!(
            "where source = $1 and user_id = $2 and channel = $3",
            claim.source,
            user.as_uuid(),
            events::EMAIL,
        );
        Ok((row.fetch_one(tx).await?.into(), replayed))
    }

    /// Applies a message: the contact changes and its notifications are made, once.
    pub(crate) async fn change_once(
        &self,
        message: &InboxKey,
        user: UserId,
        decide: impl Fn(Option<Contact>) -> ContactDecided + Send + Sync,
    ) -> Result<(), Error> {
        self.database
            .transaction(|tx| self.apply(tx, message, user, &decide).scope_boxed())
            .await?;
        self.due.notify_one();
        Ok(())
    }

    /// Forgets a contact, as it is then, and confirms it, for a message; one seen before does nothing.
    pub(crate) async fn forget_once(&self, message: &InboxKey, gone: Contact) -> Result<(), Error> {
        self.database.transaction(|tx| self.forget(tx, message, &gone).scope_boxed()).await?;
        self.outbox.wake();
        Ok(())
    }

    async fn forget(
        &self,
        tx: &mut PgConnection,
        message: &InboxKey,
        gone: &Contact,
    ) -> Result<(), Error> {
        let user = gone.user_id;
        if self.apply(tx, message, user, &|_| Ok((gone.clone(), vec![]))).await? {
            let confirmed = ErasureConfirmed { user_id: user };
            self.outbox.enqueue(tx, self.clock.new_id(), self.clock.now(), &confirmed).await?;
        }
        Ok(())
    }

    /// Whether the message is new, and applied.
    async fn apply(
        &self,
        tx: &mut PgConnection,
        message: &InboxKey,
        user: UserId,
        decide: &(impl Fn(Option<Contact>) -> ContactDecided + Sync),
    ) -> Result<bool, Error> {
        if !message.claim(tx).await? {
            return Ok(false);
        }
        // One message at a time decides about a contact, also about one that has no row yet: of two
        // that both found none, the second would overwrite the first unseen.
        lock(tx, &format!("contact:{user}")).await?;
        let before = contacts::lock(tx, user).await?;
        let (after, drafts) = decide(before.clone())?;
        if before.as_ref() != Some(&after) {
            contacts::save(tx, &after).await?;
        }
        for draft in drafts {
            if !self.may_have_more(tx, user, &draft.message.kind()).await? {
                continue;
            }
            self.insert(tx, user, message.message_id().as_str(), None, draft).await?;
        }
        Ok(true)
    }

    /// Whether one more of this kind is made for a user today. The caller holds the contact's lock.
    async fn may_have_more(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        kind: &Kind,
    ) -> Result<bool, Error> {
        let Some(max) = kind.per_day_max() else { return Ok(true) };
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from notifications
               where user_id = $1 and kind = $2 and created_at > $3"#,
            user.as_uuid(),
            kind.as_str(),
            self.clock.now() - Duration::from_hours(24),
        );
        let may_have_more = count.fetch_one(tx).await? < max;
        if !may_have_more {
            tracing::info!(
                notification.kind = kind.as_str(),
                "a notification is left out: the user had as many today as there may be"
            );
        }
        Ok(may_have_more)
    }

    /// Changes a notification as `decide` says.
    pub(crate) async fn change(
        &self,
        id: NotificationId,
        decide: impl Fn(Notification) -> Decided + Send + Sync,
    ) -> Result<Notification, Error> {
        let notification =
            self.database.transaction(|tx| self.write(tx, id, &decide).scope_boxed()).await?;
        self.outbox.wake();
        Ok(notification)
    }

    async fn write(
        &self,
        tx: &mut PgConnection,
        id: NotificationId,
        decide: &(impl Fn(Notification) -> Decided + Sync),
    ) -> Result<Notification, Error> {
        let row = select_notifications!("where id = $1 for update", id.as_uuid());
        let row = row.fetch_optional(&mut *tx).await?.ok_or(DomainError::NotFound)?;
        let before = Notification::from(row);
        let seen = before.version;
        let recipient = before.recipient.clone();
        let (notification, happened) = decide(before)?;
        if notification.version != seen {
            save(tx, &notification).await?;
        }
        let is_refused = |event: &Event| matches!(event, Event::Failed { permanent: true, .. });
        if let Some(address) = recipient.filter(|_| happened.iter().any(is_refused)) {
            contacts::mark_undeliverable(tx, notification.user_id, &address).await?;
        }
        events::enqueue(&self.outbox, &self.clock, tx, &notification, happened).await?;
        Ok(notification)
    }

    /// Takes up one due notification: nobody else gets it before the lease ends. With it comes the
    /// `traceparent` of what made it.
    pub(crate) async fn claim_due(
        &self,
        lease: Duration,
    ) -> Result<Option<(Notification, Option<String>)>, Error> {
        let now = self.clock.now();
        let claimed = sqlx::query!(
            "update notifications set next_attempt_at = $2, attempts = attempts + 1
             where id = (select id from notifications
                         where status = 'pending' and next_attempt_at <= $1 and kind = any($3)
                         order by next_attempt_at limit 1 for update skip locked)
             returning id, traceparent",
            now,
            now + lease,
            &*self.kinds,
        );
        let Some(claimed) = claimed.fetch_optional(&self.database).await? else { return Ok(None) };
        let notification = self.notification(NotificationId::from_uuid(claimed.id)).await?;
        Ok(Some((notification, claimed.traceparent)))
    }

    /// One notification.
    pub(crate) async fn notification(&self, id: NotificationId) -> Result<Notification, Error> {
        let row = select_notifications!("where id = $1", id.as_uuid());
        Ok(row.fetch_optional(&self.database).await?.ok_or(DomainError::NotFound)?.into())
    }

    /// A page of a user's notifications, or of all, newest first.
    pub(crate) async fn notifications(
        &self,
        of: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<Notification>, Error> {
        let rows = select_notifications!(
            "where ($1::uuid is null or user_id = $1) and ($2::uuid is null or id < $2)
             order by id desc limit $3",
            of.map(UserId::as_uuid),
            page.before,
            page.rows(),
        );
        let rows = rows.fetch_all(&self.database).await?;
        let all: Vec<Notification> = rows.into_iter().map(Into::into).collect();
        Ok(Page::new(all, page, |notification| notification.id.as_uuid()))
    }

    /// Removes up to `limit` notifications that are settled and were made longer ago than `retention`;
    /// tells how many. Ids sort by time, so that their index finds them.
    pub(crate) async fn sweep(&self, retention: Duration, limit: i64) -> Result<u64, Error> {
        let before = self.clock.now() - retention;
        let swept = sqlx::query!(
            "delete from notifications where id = any(array
               (select id from notifications where id < $1 and status <> 'pending'
                order by id limit $2 for update skip locked))",
            first_id_at(before),
            limit,
        );
        Ok(swept.execute(&self.database).await?.rows_affected())
    }

    /// Writes a new notification; one of the same source, user and channel stays as it is. Tells
    /// whether it is new.
    async fn insert(
        &self,
        tx: &mut PgConnection,
        user: UserId,
        source: &str,
        fingerprint: Option<&[u8; 32]>,
        draft: Draft,
    ) -> Result<bool, Error> {
        let id = NotificationId::from_uuid(self.clock.new_id());
        let new = Notification::new(id, user, source.to_owned(), draft, self.clock.now());
        let inserted = sqlx::query!(
            "insert into notifications (id, user_id, kind, channel, source, recipient, subject,
                                        text_body, html_body, status, attempts, next_attempt_at,
                                        version, created_at, updated_at, traceparent,
                                        fingerprint, recipient_version, token_id, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 0, $10, 1, $10, $10, $11, $12,
                     $13, $14, $15)
             on conflict (source, user_id, channel) do nothing",
            new.id.as_uuid(),
            new.user_id.as_uuid(),
            new.kind.as_str(),
            events::EMAIL,
            new.source,
            new.recipient,
            new.content.subject,
            new.content.text,
            new.content.html,
            new.created_at,
            telemetry::propagation::current_traceparent(),
            fingerprint.map(<[u8; 32]>::as_slice),
            new.recipient_version,
            new.token.map(|token| token.id.as_uuid()),
            new.token.map(|token| token.expires_at),
        );
        Ok(inserted.execute(tx).await?.rows_affected() > 0)
    }
}

/// The lowest id that can have been made at a time (`UUIDv7`: milliseconds in the upper 48 bits).
fn first_id_at(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// Whoever takes the lock of the same name waits until the transaction ends.
async fn lock(tx: &mut PgConnection, name: &str) -> Result<(), Error> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", name).execute(tx).await?;
    Ok(())
}

/// Whether the same request has claimed the key before; [`Error::KeyReused`] when another one has.
/// One whose words are not known is the same when it is for the same user.
async fn is_claimed(tx: &mut PgConnection, user: UserId, claim: &Claim) -> Result<bool, Error> {
    let first = sqlx::query!(
        "select user_id, fingerprint from notifications where source = $1 and channel = $2
         order by user_id <> $3 limit 1",
        claim.source,
        events::EMAIL,
        user.as_uuid(),
    );
    let Some(first) = first.fetch_optional(tx).await? else { return Ok(false) };
    let is_same_user = first.user_id == user.as_uuid();
    if is_same_user && first.fingerprint.is_none_or(|print| print == claim.fingerprint) {
        Ok(true)
    } else {
        Err(Error::KeyReused)
    }
}

async fn save(tx: &mut PgConnection, notification: &Notification) -> Result<(), Error> {
    let (status, next_attempt_at, failure_reason, sent_at) = match &notification.status {
        Status::Pending { next_attempt_at } => ("pending", Some(*next_attempt_at), None, None),
        Status::Sent { at } => ("sent", None, None, Some(*at)),
        Status::Failed { reason } => ("failed", None, Some(reason.as_str()), None),
        Status::Other(word) => (word.as_str(), None, None, None),
    };
    sqlx::query!(
        "update notifications
         set status = $2, next_attempt_at = $3, failure_reason = $4, sent_at = $5, recipient = $6,
             version = $7, updated_at = $8
         where id = $1",
        notification.id.as_uuid(),
        status,
        next_attempt_at,
        failure_reason,
        sent_at,
        notification.recipient,
        notification.version,
        notification.updated_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    user_id: Uuid,
    kind: String,
    source: String,
    recipient: Option<String>,
    subject: String,
    text_body: String,
    html_body: String,
    status: String,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    failure_reason: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    recipient_version: Option<i64>,
    token_id: Option<Uuid>,
    expires_at: Option<DateTime<Utc>>,
}

/// A row that a newer version of the service has written may have words that this one does not know.
impl From<Row> for Notification {
    fn from(row: Row) -> Self {
        let status = match (row.status.as_str(), row.next_attempt_at, row.sent_at) {
            ("pending", Some(next_attempt_at), _) => Status::Pending { next_attempt_at },
            ("sent", _, Some(at)) => Status::Sent { at },
            ("failed", _, _) => Status::Failed { reason: row.failure_reason.unwrap_or_default() },
            _ => Status::Other(row.status),
        };
        let token = row.token_id.map(MailTokenId::from_uuid).zip(row.expires_at);
        Self {
            id: NotificationId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            kind: row.kind.into(),
            source: row.source,
            recipient: row.recipient,
            recipient_version: row.recipient_version,
            content: Content { subject: row.subject, text: row.text_body, html: row.html_body },
            token: token.map(|(id, expires_at)| Token { id, expires_at }),
            status,
            attempts: u32::try_from(row.attempts).unwrap_or_default(),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
