//! What notification-service publishes, on `notification_exchange`.
//!
//! Ids are required; the words about them may be left out. No address is in here: who needs one
//! holds it already.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bounds::{self, Checked, or_default};
use crate::{Event, UserId, id};

id! {
    /// A notification of notification-service.
    NotificationId
}

/// `notification.sent`: a channel took the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotificationSent {
    /// Which notification.
    pub notification_id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// What it was about, such as `welcome` or `payment_receipt`.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: String,
    /// How it went out, such as `email`.
    #[serde(default, deserialize_with = "or_default")]
    pub channel: String,
}

/// `notification.failed`: it was not delivered and is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotificationFailed {
    /// Which notification.
    pub notification_id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// What it was about, such as `welcome` or `payment_receipt`.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: String,
    /// How it was to go out, such as `email`.
    #[serde(default, deserialize_with = "or_default")]
    pub channel: String,
    /// Why, without the address; empty when it was not said.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// Whether the address itself is bad, so that nothing will ever reach it. False when it was
    /// not said: no address is given up by accident.
    #[serde(default, deserialize_with = "or_default")]
    pub permanent: bool,
    /// The version of the user whose address it was, as `user.created` or `user.updated` told it:
    /// the user may have another address by now. Left out when none was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_version: Option<i64>,
}

impl Event for NotificationSent {
    const TYPE: &'static str = "notification.sent";
    // Until a service acts on it; then the outbox is to keep it for that one.
    const MANDATORY: bool = false;
    const EXCHANGE: &'static str = "notification_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.notification_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::word("kind", &self.kind)?;
        bounds::word("channel", &self.channel)
    }
}

impl Event for NotificationFailed {
    const TYPE: &'static str = "notification.failed";
    const EXCHANGE: &'static str = "notification_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.notification_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::word("kind", &self.kind)?;
        bounds::word("channel", &self.channel)?;
        bounds::text("reason", &self.reason)?;
        bounds::version("user_version", self.user_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{USER, assert_golden, id};

    const NOTIFICATION: NotificationId = NotificationId::from_uuid(id(3));

    #[test]
    fn notification_sent() {
        let kind = "welcome".to_owned();
        let channel = "email".to_owned();
        assert_golden(
            "notification-service",
            NotificationSent { notification_id: NOTIFICATION, user_id: USER, kind, channel },
        );
    }

    #[test]
    fn notification_failed() {
        assert_golden(
            "notification-service",
            NotificationFailed {
                notification_id: NOTIFICATION,
                user_id: USER,
                kind: "welcome".to_owned(),
                channel: "email".to_owned(),
                reason: "mailbox does not exist".to_owned(),
                permanent: true,
                user_version: Some(2),
            },
        );
    }
}
