//! `/api/notifications/exports`: what the service knows of a user. user-service asks for it, for the user.

use axum::extract::State;
use chassis::Problem;
use chassis::extract::{Json, Path, Query};
use chassis::page::PageQuery;
use contracts::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::notifications::NotificationView;
use crate::domain::{Contact, ContactDetails, Notification};
use crate::store::Store;

/// What the service knows of a user, a page of notifications at a time.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationExport {
    /// Absent for a user of whom no event has come, and for one who is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<ExportedContact>,
    /// Newest first.
    items: Vec<ExportedNotification>,
    /// Give it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Uuid>,
}

/// How the user is reached.
#[derive(Serialize, ToSchema)]
struct ExportedContact {
    email: String,
    name: String,
    /// Whether mail to the address was refused for good.
    undeliverable: bool,
}

/// A notification and what it says.
#[derive(Serialize, ToSchema)]
struct ExportedNotification {
    #[serde(flatten)]
    notification: NotificationView,
    /// Where it goes; absent once it is sent or given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    /// Its plain text, with a mark in the place of a link, which is kept nowhere. Empty once the user is
    /// deleted.
    text: String,
}

impl ExportedContact {
    fn of(contact: Contact) -> Option<Self> {
        let undeliverable = contact.undeliverable;
        contact.details.map(|ContactDetails { email, name }| Self { email, name, undeliverable })
    }
}

impl From<Notification> for ExportedNotification {
    fn from(mut notification: Notification) -> Self {
        let text = std::mem::take(&mut notification.content.text);
        let recipient = notification.recipient.take();
        Self { notification: notification.into(), recipient, text }
    }
}

/// What the service knows of a user, notifications newest first. For user-service, which shows it to the
/// user.
#[utoipa::path(get, path = "/api/notifications/exports/{user_id}",
    operation_id = "export_notifications", tag = "exports",
    params(("user_id" = Uuid, Path), PageQuery), security(("bearer" = [])), responses(
    (status = 200, body = NotificationExport),
    (status = 403, body = Problem, description = "Not user-service"),
))]
pub(crate) async fn export(
    State(store): State<Store>,
    Path(user): Path<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<Json<NotificationExport>, Problem> {
    let user = UserId::from_uuid(user);
    let page = page.check()?;
    let contact = store.contact(user).await?.and_then(ExportedContact::of);
    let notifications = store.notifications(Some(user), page).await?;
    let notifications = notifications.map(ExportedNotification::from);
    let items = notifications.items;
    let next_cursor = notifications.next_cursor;
    Ok(Json(NotificationExport { contact, items, next_cursor }))
}
