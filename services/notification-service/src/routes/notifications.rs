//! `/api/notifications`.

use auth::{Caller, CallerService, User};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::Problem;
use chassis::extract::{IdempotencyKey, Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chrono::{DateTime, Utc};
use contracts::{NotificationId, UserId};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{DomainError, Draft, MailText, Notification, Status};
use crate::error::Error;
use crate::events;
use crate::store::{Claim, Store};

/// What a service has to say to a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNotification {
    user_id: Uuid,
    /// One line of 1 to 150 characters.
    #[schema(example = "Your order", min_length = 1, max_length = 150)]
    subject: String,
    /// Plain text, 1 to 16384 bytes.
    #[schema(example = "It is on its way.", min_length = 1, max_length = 16384)]
    text: String,
}

/// A notification. The address is shown to nobody.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationView {
    notification_id: Uuid,
    user_id: Uuid,
    /// `welcome`, `email_verification`, `email_change`, `email_change_requested`, `email_changed`,
    /// `password_reset`, `password_changed`, `session_reused`, `second_factor_enabled`,
    /// `second_factor_disabled`, `recovery_code_used`, `external_account_linked`, `external_account_unlinked`,
    /// `payment_receipt`, `payment_failure` or `message`; another word when a newer version of the service wrote it.
    kind: String,
    /// `email`.
    channel: &'static str,
    /// `pending`, `sent` or `failed`; another word when a newer version of the service wrote it.
    status: String,
    /// Empty once the user is deleted.
    subject: String,
    attempts: u32,
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
}

impl From<Notification> for NotificationView {
    fn from(notification: Notification) -> Self {
        let status = notification.status.as_str().to_owned();
        let (sent_at, failure_reason) = match notification.status {
            Status::Pending { .. } | Status::Other(_) => (None, None),
            Status::Sent { at } => (Some(at), None),
            Status::Failed { reason } => (None, Some(reason)),
        };
        Self {
            notification_id: notification.id.as_uuid(),
            user_id: notification.user_id.as_uuid(),
            kind: notification.kind.as_str().to_owned(),
            channel: events::EMAIL,
            status,
            subject: notification.content.subject,
            attempts: notification.attempts,
            created_at: notification.created_at,
            sent_at,
            failure_reason,
        }
    }
}

/// The caller's notifications, newest first; an administrator sees all.
#[utoipa::path(get, path = "/api/notifications", tag = "notifications", params(PageQuery),
    security(("bearer" = [])), responses(
    (status = 200, body = Page<NotificationView>),
    (status = 401, body = Problem),
))]
pub(crate) async fn list(
    caller: User,
    State(store): State<Store>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<NotificationView>>, Problem> {
    let of = (!caller.is_admin()).then(|| UserId::from_uuid(caller.id));
    let notifications = store.notifications(of, page.check()?).await?;
    Ok(Json(notifications.map(NotificationView::from)))
}

/// One of the caller's notifications; an administrator may ask for any.
#[utoipa::path(get, path = "/api/notifications/{id}", tag = "notifications",
    params(("id" = Uuid, Path)), security(("bearer" = [])), responses(
    (status = 200, body = NotificationView),
    (status = 404, body = Problem, description = "None, or not the caller's to see"),
))]
pub(crate) async fn show(
    caller: Caller,
    State(store): State<Store>,
    Path(id): Path<Uuid>,
) -> Result<Json<NotificationView>, Error> {
    let notification = store.notification(NotificationId::from_uuid(id)).await?;
    if !caller.may_see(notification.user_id.as_uuid()) {
        return Err(DomainError::NotFound.into());
    }
    Ok(Json(notification.into()))
}

/// Writes to a user in another service's words. With an Idempotency-Key, which is the calling
/// service's own, a repeated request gives the first one's notification.
#[utoipa::path(post, path = "/api/notifications", tag = "notifications",
    request_body = NewNotification, params(("idempotency-key" = Option<String>, Header)),
    security(("bearer" = [])), responses(
    (status = 201, body = NotificationView, headers(
        ("location" = String),
        ("idempotent-replayed" = String, description = "`true` when the key was used before"),
    )),
    (status = 403, body = Problem, description = "Not a service"),
    (status = 422, body = Problem, description = "A field, the user, or the key's reuse is refused"),
))]
pub(crate) async fn create(
    caller: CallerService,
    State(store): State<Store>,
    State(clock): State<chassis::Clock>,
    key: Option<IdempotencyKey>,
    Json(new): Json<NewNotification>,
) -> Result<Response, Error> {
    let message = MailText::custom(&new.subject, &new.text)?;
    let key = key.map_or_else(|| clock.new_id().to_string(), |key| key.0);
    let source = format!("{}:{key}", caller.name);
    let claim = Claim { source, fingerprint: new.fingerprint() };
    let draft = |contact: crate::domain::Contact| {
        let version = contact.version;
        let details = contact.details.filter(|_| !contact.undeliverable);
        let email = details.ok_or(DomainError::UnknownContact)?.email;
        Ok(Draft { email, version, message: message.clone(), token: None })
    };
    let (made, replayed) = store.create(UserId::from_uuid(new.user_id), &claim, draft).await?;
    let location = [(header::LOCATION, format!("/api/notifications/{}", made.id))];
    let view = Json(NotificationView::from(made));
    let mut response = (StatusCode::CREATED, location, view).into_response();
    if replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", replayed);
    }
    Ok(response)
}

impl NewNotification {
    /// Of what is written to whom; spaces around it are not sent and make no other request. A
    /// subject is one line, so that it ends where the text begins.
    fn fingerprint(&self) -> [u8; 32] {
        let hash = Sha256::new().chain_update(self.user_id);
        let hash = hash.chain_update(self.subject.trim()).chain_update("\n");
        hash.chain_update(self.text.trim()).finalize().into()
    }
}
