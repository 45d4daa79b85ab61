//! `/api/users/{id}/export`: what all services know of a user, put together where the user is known.
//!
//! It comes in pages, each of which is whole or is none: where a service does not answer, there is no
//! page, and the caller asks for the same one again. A list that has ended is not asked for any more.
//! Left out: secrets and proofs (hashes of passwords and tokens), and the audit trail, which holds ids
//! alone and is about what others did, too.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use auth::{Access, Caller, Scope, TokenScopes, User as SignedIn};
use axum::extract::State;
use chassis::Problem;
use chassis::extract::{Json, Path, Query, RequestContext};
use chrono::{DateTime, Utc};
use contracts::UserId;
use http::{HeaderName, header};
use platform::audit::{Actor, AuditTrail, Entry};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service_client::{Call, CallError, Kind, ServiceClient};
use utoipa::ToSchema;
use uuid::Uuid;

use super::queries::ExportQuery;
use super::second_factor::SecondFactor;
use super::users::{Profile, visible};
use crate::config::SessionSettings;
use crate::store::{Shown, ShownAccount, ShownToken, Store};

/// Why there is no page.
const INCOMPLETE: &str =
    "a service that knows of the user does not answer; nothing was left out, ask again";
/// What a caller is told to wait then.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Whom it asks.
pub(crate) const ASKED: [&str; 2] = ["payment-service", "notification-service"];
/// Payments on a page.
const PAYMENTS: u8 = 100;
/// Notifications on a page: each holds up to 16 KiB of text, and an answer may have 1 MiB.
const NOTIFICATIONS: u8 = 20;

/// Those whom it asks.
#[derive(Clone)]
pub(crate) struct ExportClients {
    pub(crate) payments: ServiceClient,
    pub(crate) notifications: ServiceClient,
}

/// A page of what is known of a user. The lists go on until there is no `next_cursor`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Export {
    user_id: Uuid,
    /// What user-service knows; on the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Own>,
    /// What payment-service knows, as its `GET /api/payments/exports/{user_id}` says it; absent once all
    /// payments were on pages before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payments: Option<Map<String, Value>>,
    /// What notification-service knows, as its `GET /api/notifications/exports/{user_id}` says it; absent
    /// once all notifications were on pages before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    notifications: Option<Map<String, Value>>,
    /// Give it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What user-service knows.
#[derive(Serialize, ToSchema)]
struct Own {
    profile: Profile,
    /// Where the user is signed in.
    sessions: Vec<ExportedSession>,
    /// What was sent by mail and is good still; without what is secret of it.
    mail_tokens: Vec<ExportedToken>,
    /// The accounts elsewhere by which the user is let in.
    external_accounts: Vec<ExportedAccount>,
    /// Whether a code is asked for besides the password; without what codes are made of.
    second_factor: SecondFactor,
}

/// A session that is open.
#[derive(Serialize, ToSchema)]
struct ExportedSession {
    session_id: Uuid,
    /// What the client said of itself when it signed in; may be empty.
    device: String,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// What its tokens carry of the user's rights; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// An account at an external issuer.
#[derive(Serialize, ToSchema)]
struct ExportedAccount {
    account_id: Uuid,
    issuer: String,
    /// The issuer's own name for the account.
    subject: String,
    linked_at: DateTime<Utc>,
    /// When the user was let in by it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime<Utc>>,
}

/// A token that went to an address.
#[derive(Serialize, ToSchema)]
struct ExportedToken {
    /// `verification` or `password_reset`; another word when a newer version of the service wrote it.
    purpose: String,
    email: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Start,
    After(Uuid),
    End,
}

/// Where the lists of payments and of notifications go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    payments: Position,
    notifications: Position,
}

/// What another service answers: what it knows, and where its list goes on.
#[derive(Deserialize)]
struct Answer {
    next_cursor: Option<Uuid>,
    #[serde(flatten)]
    known: Map<String, Value>,
}

/// Gives what all services know of a user, a page at a time; a page of which something would be missing
/// is 503. A token that is narrowed needs the scopes to read at each of them, and for somebody else's export those
/// of administrators.
#[utoipa::path(get, path = "/api/users/{id}/export", operation_id = "export_user", tag = "users",
    params(("id" = Uuid, Path), ExportQuery),
    security(("bearer" = ["payment:read", "notification:read"])), responses(
    (status = 200, body = Export),
    (status = 404, body = Problem, description = "No such user, or not the caller's to see"),
    (status = 503, body = Problem, description = "A service does not answer; ask for the same page again"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn export(
    caller: SignedIn,
    scopes_of_token: TokenScopes,
    State(store): State<Store>,
    State(sessions): State<SessionSettings>,
    State(others): State<ExportClients>,
    State(audit): State<AuditTrail>,
    Path(id): Path<Uuid>,
    Query(query): Query<ExportQuery>,
    context: RequestContext,
) -> Result<([(HeaderName, &'static str); 1], Json<Export>), Problem> {
    // The others are asked with tokens of this service: what the caller's own would not open there is no part of it.
    let needs = |access| {
        ASKED.iter().try_for_each(|asked| scopes_of_token.needs(&Scope::of(asked, access)))
    };
    needs(Access::Read)?;
    visible(&Caller::User(caller), id)?;
    if caller.id != id {
        needs(Access::Admin)?;
    }
    let cursor = query.cursor.as_deref().map_or(Ok(Cursor::START), str::parse)?;
    let profile = Profile::from(store.user(UserId::from_uuid(id)).await?);
    let (payments, notifications) = tokio::try_join!(
        others.payments(id, cursor.payments, &context),
        others.notifications(id, cursor.notifications, &context),
    )?;
    let user = if cursor == Cursor::START {
        let shown = store.sessions(id, &sessions).await?;
        let sessions = shown.into_iter().map(ExportedSession::from).collect();
        let tokens = store.shown_tokens(id).await?;
        let mail_tokens = tokens.into_iter().map(ExportedToken::from).collect();
        let accounts = store.accounts_of(id).await?;
        let external_accounts = accounts.into_iter().map(ExportedAccount::from).collect();
        let second_factor = store.second_factor(id).await?.into();
        Some(Own { profile, sessions, mail_tokens, external_accounts, second_factor })
    } else {
        None
    };
    let actor = if caller.id == id { Actor::User } else { Actor::Administrator };
    let entry = Entry::new(actor(caller.id), "user-export", "given");
    let entry = entry.target(format_args!("user:{id}"));
    audit.count(entry).await;
    let next_cursor = Cursor::behind(payments.as_ref(), notifications.as_ref());
    let [payments, notifications] =
        [payments, notifications].map(|answer| answer.map(|answer| answer.known));
    let export = Export { user_id: id, user, payments, notifications, next_cursor };
    // All at once is what nobody keeps a copy of in between.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(export)))
}

impl ExportClients {
    async fn payments(
        &self,
        user: Uuid,
        place: Position,
        context: &RequestContext,
    ) -> Result<Option<Answer>, Problem> {
        let path = format!("/api/payments/exports/{user}?limit={PAYMENTS}");
        ask(&self.payments, path, place, Call::new("export_payments").passing_on(context)).await
    }

    async fn notifications(
        &self,
        user: Uuid,
        place: Position,
        context: &RequestContext,
    ) -> Result<Option<Answer>, Problem> {
        let path = format!("/api/notifications/exports/{user}?limit={NOTIFICATIONS}");
        let call = Call::new("export_notifications").passing_on(context);
        ask(&self.notifications, path, place, call).await
    }
}

/// Asks a service for what its list holds behind a place; nothing at its end.
async fn ask(
    client: &ServiceClient,
    path: String,
    place: Position,
    call: Call,
) -> Result<Option<Answer>, Problem> {
    let path = match place {
        Position::Start => path,
        Position::After(id) => format!("{path}&cursor={id}"),
        Position::End => return Ok(None),
    };
    client.get(&path, call).await.map(Some).map_err(|error: CallError| match error.kind {
        // A replica of the version before, which has no such route.
        Kind::NotFound => Problem::unavailable(INCOMPLETE, RETRY_AFTER),
        _ => error.problem(INCOMPLETE),
    })
}

impl Cursor {
    const START: Self = Self { payments: Position::Start, notifications: Position::Start };

    /// Where the next page begins; none when both lists have ended.
    fn behind(payments: Option<&Answer>, notifications: Option<&Answer>) -> Option<String> {
        let place = |answer: Option<&Answer>| {
            answer.and_then(|answer| answer.next_cursor).map_or(Position::End, Position::After)
        };
        let payments = place(payments);
        let notifications = place(notifications);
        let goes_on = payments != Position::End || notifications != Position::End;
        goes_on.then(|| Self { payments, notifications }.to_string())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |place| match place {
            Position::After(id) => id.to_string(),
            Position::Start | Position::End => String::new(),
        };
        write!(f, "{}.{}", word(self.payments), word(self.notifications))
    }
}

impl FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let place = |word: &str| match word {
            "" => Some(Position::End),
            id => id.parse().ok().map(Position::After),
        };
        let places = text.split_once('.').map(|(one, other)| (place(one), place(other)));
        match places {
            Some((Some(payments), Some(notifications))) => Ok(Self { payments, notifications }),
            _ => Err(Problem::bad_request("cursor is no next_cursor of this list")),
        }
    }
}

impl From<Shown> for ExportedSession {
    fn from(shown: Shown) -> Self {
        let Shown { id: session_id, device, created_at, last_used_at, expires_at, scope } = shown;
        Self { session_id, device, created_at, last_used_at, expires_at, scope }
    }
}

impl From<ShownAccount> for ExportedAccount {
    fn from(shown: ShownAccount) -> Self {
        let ShownAccount { id, issuer, subject, created_at, used_at } = shown;
        Self { account_id: id, issuer, subject, linked_at: created_at, last_used_at: used_at }
    }
}

impl From<ShownToken> for ExportedToken {
    fn from(shown: ShownToken) -> Self {
        let ShownToken { purpose, email, created_at, expires_at } = shown;
        Self { purpose, email, created_at, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_where_the_lists_were_left_and_ends_when_both_have_ended() {
        let answer = |next_cursor| Answer { next_cursor, known: Map::new() };
        let more = answer(Some(Uuid::max()));
        let last = answer(None);
        for (payments, notifications) in
            [(Some(&more), Some(&last)), (Some(&last), Some(&more)), (None, Some(&more))]
        {
            let text = Cursor::behind(payments, notifications).unwrap();
            let cursor: Cursor = text.parse().unwrap();
            let is_more =
                |answer: Option<&Answer>| answer.is_some_and(|it| it.next_cursor.is_some());
            assert_eq!(cursor.payments != Position::End, is_more(payments), "{text}");
            assert_eq!(cursor.notifications != Position::End, is_more(notifications), "{text}");
        }
        assert_eq!(Cursor::behind(Some(&last), None), None);
        for wrong in ["", "x", "x.y", "0.", &Uuid::nil().to_string()] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
