//! What user-service publishes, on `user_exchange`.
//!
//! `user_id` and `email` are required where they stand: no reader can do its work without them.
//! The rest may be left out by a client of the seed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bounds::{self, Checked, or_default};
use crate::{Event, id};

id! {
    /// A user of user-service.
    UserId
}

/// `user.created`: somebody signed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserCreated {
    /// Who.
    pub user_id: UserId,
    /// Where mail reaches them, in lower case.
    pub email: String,
    /// What to call them; empty when it was not said.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Counts the user's changes: the event of a higher version is the later one. Left out by a
    /// client that counts none; then the times of events are all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// `user.updated`: a profile changed. Carries the whole new state, so that readers need no history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserUpdated {
    /// Who.
    pub user_id: UserId,
    /// Where mail reaches them from now on, in lower case.
    pub email: String,
    /// What to call them; empty when it was not said.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The names of the fields that changed; empty when it was not said.
    #[serde(default, deserialize_with = "or_default")]
    pub changed: Vec<String>,
    /// The address before this change, when it is the address that changed: both are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_email: Option<String>,
    /// Counts the user's changes: the event of a higher version is the later one. Left out by a
    /// client that counts none; then the times of events are all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// `user.deleted`: the user is gone; readers erase what they hold about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserDeleted {
    /// Who.
    pub user_id: UserId,
}

/// `user.session_reused`: a refresh token of a session came a second time, so that somebody else may have
/// it; the session has ended, and its owner is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserSessionReused {
    /// Whose.
    pub user_id: UserId,
    /// Which; for whoever looks into the audit trail.
    pub session_id: Uuid,
}

impl Event for UserCreated {
    const TYPE: &'static str = "user.created";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::email("email", &self.email)?;
        bounds::name("name", &self.name)?;
        bounds::version("version", self.version)
    }
}

impl Event for UserUpdated {
    const TYPE: &'static str = "user.updated";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::email("email", &self.email)?;
        bounds::name("name", &self.name)?;
        bounds::words("changed", &self.changed)?;
        if let Some(previous_email) = &self.previous_email {
            bounds::email("previous_email", previous_email)?;
        }
        bounds::version("version", self.version)
    }
}

impl Event for UserDeleted {
    const TYPE: &'static str = "user.deleted";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserSessionReused {
    const TYPE: &'static str = "user.session_reused";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{USER, holds};

    #[test]
    fn user_created() {
        let (email, name) = ("ada@example.com".to_owned(), "Ada Lovelace".to_owned());
        holds("user-service", UserCreated { user_id: USER, email, name, version: Some(1) });
    }

    #[test]
    fn user_updated() {
        holds(
            "user-service",
            UserUpdated {
                user_id: USER,
                email: "ada@example.org".to_owned(),
                name: "Ada King".to_owned(),
                changed: vec!["email".to_owned(), "name".to_owned()],
                previous_email: Some("ada@example.com".to_owned()),
                version: Some(2),
            },
        );
    }

    #[test]
    fn user_deleted() {
        holds("user-service", UserDeleted { user_id: USER });
    }

    #[test]
    fn user_session_reused() {
        let session_id = Uuid::from_u128(0x019a_ca00_0000_7000_8000_0000_0000_00c1);
        holds("user-service", UserSessionReused { user_id: USER, session_id });
    }
}
