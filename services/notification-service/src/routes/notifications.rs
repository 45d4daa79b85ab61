//! `/api/notifications`.

use auth::{Caller, CallerService, User};
use axum::extract::State;
use chassis::Problem;
use chassis::extract::{IdempotencyKey, Json, Path, Query};
use chassis::page::{Page, PageQuery};
use chrono::{DateTime, Utc};
use contracts::{NotificationId, UserId};
use http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{DomainError, Draft, Message, Notification, Status};
use crate::error::Error;
use crate::events;
use crate::store::Store;

/// What a service has to say to a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNotification {
    user_id: Uuid,
    /// One line of 1 to 150 characters.
    subject: String,
    /// Plain text, 1 to 16384 bytes.
    text: String,
}

/// A notification. The address is shown to nobody.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationView {
    notification_id: Uuid,
    user_id: Uuid,
    /// `welcome`, `email_changed`, `payment_receipt`, `payment_failure` or `message`.
    kind: &'static str,
    /// `email`.
    channel: &'static str,
    /// `pending`, `sent` or `failed`.
    status: &'static str,
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
        let status = notification.status.as_str();
        let (sent_at, failure_reason) = match notification.status {
            Status::Pending { .. } => (None, None),
            Status::Sent { at } => (Some(at), None),
            Status::Failed { reason } => (None, Some(reason)),
        };
        Self {
            notification_id: notification.id.as_uuid(),
            user_id: notification.user_id.as_uuid(),
            kind: notification.kind.as_str(),
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

/// One notification.
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

/// Writes to a user in another service's words. With an Idempotency-Key, a repeated request gives
/// the first one's notification.
#[utoipa::path(post, path = "/api/notifications", tag = "notifications",
    request_body = NewNotification, params(("idempotency-key" = Option<String>, Header)),
    security(("bearer" = [])), responses(
    (status = 201, body = NotificationView, headers(("location" = String))),
    (status = 401, body = Problem, description = "Not a service"),
    (status = 422, body = Problem, description = "A field is refused, or the user is unknown"),
))]
pub(crate) async fn create(
    caller: CallerService,
    State(store): State<Store>,
    State(clock): State<chassis::Clock>,
    key: Option<IdempotencyKey>,
    Json(new): Json<NewNotification>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<NotificationView>), Problem> {
    let message = Message::custom(&new.subject, &new.text).map_err(Error::from)?;
    let key = key.map_or_else(|| clock.new_id().to_string(), |key| key.0);
    let source = format!("{}:{key}", caller.name);
    let draft = |contact: crate::domain::Contact| {
        let reach = contact.reach.ok_or(DomainError::UnknownContact)?;
        Ok(Draft { email: reach.email, name: reach.name, message })
    };
    let made = store.create(UserId::from_uuid(new.user_id), &source, draft).await?;
    let location = [(header::LOCATION, format!("/api/notifications/{}", made.id))];
    Ok((StatusCode::CREATED, location, Json(made.into())))
}
