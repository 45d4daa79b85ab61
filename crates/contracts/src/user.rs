//! What user-service publishes, on `user_exchange`.
//!
//! `user_id` and `email` are required where they stand: no reader can do its work without them.
//! The rest may be left out.
//!
//! **Tokens.** What a mail has its reader prove an address or set a password with is a secret, and an
//! event is none: it stands in tables, queues and archives, where operators look at it. So an event
//! names a token by its id. Who may send the mail makes the token from the id, with a key that only it
//! and user-service have (`auth::MailTokens`).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bounds::{self, Checked, or_default};
use crate::{Event, id};

id! {
    /// A user of user-service.
    UserId
}

id! {
    /// A token that goes to an address by mail; not the token itself.
    MailTokenId
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
    /// The token with which they prove that the address is theirs; left out when none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<MailTokenId>,
    /// When the token is no longer good; there when `token_id` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
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

/// `user.erasure_timed_out`: not all readers of `user.deleted` have confirmed in time that they erased the
/// user (`erasure.confirmed`). From user-service to itself, scheduled with the deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserErasureTimedOut {
    /// Who was deleted.
    pub user_id: UserId,
}

/// `user.email_verification_requested`: somebody is to prove that an address is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserEmailVerificationRequested {
    /// Who.
    pub user_id: UserId,
    /// The address to prove, in lower case.
    pub email: String,
    /// Whether the user's address becomes another one by that: until then mail goes to the one before,
    /// and what becomes of this mail says nothing of that one.
    #[serde(default, deserialize_with = "or_default")]
    pub is_change: bool,
    /// The token with which it is proven.
    pub token_id: MailTokenId,
    /// When the token is no longer good: no mail is of use after that.
    pub expires_at: DateTime<Utc>,
    /// The user's version; see [`UserUpdated::version`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// `user.email_change_requested`: somebody asked for another address of a user, and has not proven it
/// yet. The owner is told where mail reaches them now; the other address is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserEmailChangeRequested {
    /// Who.
    pub user_id: UserId,
}

/// `user.password_reset_requested`: somebody who does not know a user's password asked for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserPasswordResetRequested {
    /// Who.
    pub user_id: UserId,
    /// The user's address, in lower case: the token is good for nobody who does not get its mail.
    pub email: String,
    /// The token with which the password is set.
    pub token_id: MailTokenId,
    /// When the token is no longer good: no mail is of use after that.
    pub expires_at: DateTime<Utc>,
    /// The user's version; see [`UserUpdated::version`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// `user.password_changed`: a user has another password now, and other sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserPasswordChanged {
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

/// `user.second_factor_enabled`: a code is asked for when the user signs in; other sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserSecondFactorEnabled {
    /// Who.
    pub user_id: UserId,
}

/// `user.second_factor_disabled`: the password is enough again; other sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserSecondFactorDisabled {
    /// Who.
    pub user_id: UserId,
}

/// `user.recovery_code_used`: somebody showed one of the codes that are for a lost authenticator app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserRecoveryCodeUsed {
    /// Whose.
    pub user_id: UserId,
    /// How many are left.
    pub left: i64,
}

/// `user.external_account_linked`: an account at an external issuer lets a user in from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserExternalAccountLinked {
    /// Whom.
    pub user_id: UserId,
}

/// `user.external_account_unlinked`: an account at an external issuer lets a user in no more; other sessions have
/// ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserExternalAccountUnlinked {
    /// Whom.
    pub user_id: UserId,
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

impl Event for UserErasureTimedOut {
    const TYPE: &'static str = "user.erasure_timed_out";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserEmailVerificationRequested {
    const TYPE: &'static str = "user.email_verification_requested";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::email("email", &self.email)?;
        bounds::version("version", self.version)
    }
}

impl Event for UserEmailChangeRequested {
    const TYPE: &'static str = "user.email_change_requested";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserPasswordResetRequested {
    const TYPE: &'static str = "user.password_reset_requested";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::email("email", &self.email)?;
        bounds::version("version", self.version)
    }
}

impl Event for UserSessionReused {
    const TYPE: &'static str = "user.session_reused";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserSecondFactorEnabled {
    const TYPE: &'static str = "user.second_factor_enabled";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserSecondFactorDisabled {
    const TYPE: &'static str = "user.second_factor_disabled";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserRecoveryCodeUsed {
    const TYPE: &'static str = "user.recovery_code_used";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }

    fn check(&self) -> Checked {
        bounds::count("left", self.left)
    }
}

impl Event for UserExternalAccountLinked {
    const TYPE: &'static str = "user.external_account_linked";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserExternalAccountUnlinked {
    const TYPE: &'static str = "user.external_account_unlinked";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

impl Event for UserPasswordChanged {
    const TYPE: &'static str = "user.password_changed";
    const EXCHANGE: &'static str = "user_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{USER, assert_golden, id};

    const TOKEN: MailTokenId = MailTokenId::from_uuid(id(4));

    fn expires_at() -> DateTime<Utc> {
        "2026-01-15T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn user_created() {
        assert_golden(
            "user-service",
            UserCreated {
                user_id: USER,
                email: "ada@example.com".to_owned(),
                name: "Ada Lovelace".to_owned(),
                version: Some(1),
                token_id: Some(TOKEN),
                expires_at: Some(expires_at()),
            },
        );
    }

    #[test]
    fn user_email_verification_requested() {
        assert_golden(
            "user-service",
            UserEmailVerificationRequested {
                user_id: USER,
                email: "ada@example.org".to_owned(),
                is_change: true,
                token_id: TOKEN,
                expires_at: expires_at(),
                version: Some(2),
            },
        );
    }

    #[test]
    fn user_email_change_requested() {
        assert_golden("user-service", UserEmailChangeRequested { user_id: USER });
    }

    #[test]
    fn user_password_reset_requested() {
        assert_golden(
            "user-service",
            UserPasswordResetRequested {
                user_id: USER,
                email: "ada@example.com".to_owned(),
                token_id: TOKEN,
                expires_at: expires_at(),
                version: Some(2),
            },
        );
    }

    #[test]
    fn user_password_changed() {
        assert_golden("user-service", UserPasswordChanged { user_id: USER });
    }

    #[test]
    fn user_session_reused() {
        let session_id = "019aca00-0000-7000-8000-0000000000c1".parse().unwrap();
        assert_golden("user-service", UserSessionReused { user_id: USER, session_id });
    }

    #[test]
    fn user_second_factor_enabled() {
        assert_golden("user-service", UserSecondFactorEnabled { user_id: USER });
    }

    #[test]
    fn user_second_factor_disabled() {
        assert_golden("user-service", UserSecondFactorDisabled { user_id: USER });
    }

    #[test]
    fn user_recovery_code_used() {
        assert_golden("user-service", UserRecoveryCodeUsed { user_id: USER, left: 9 });
    }

    #[test]
    fn user_external_account_linked() {
        assert_golden("user-service", UserExternalAccountLinked { user_id: USER });
    }

    #[test]
    fn user_external_account_unlinked() {
        assert_golden("user-service", UserExternalAccountUnlinked { user_id: USER });
    }

    #[test]
    fn user_updated() {
        assert_golden(
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
        assert_golden("user-service", UserDeleted { user_id: USER });
    }

    #[test]
    fn user_erasure_timed_out() {
        assert_golden("user-service", UserErasureTimedOut { user_id: USER });
    }
}
