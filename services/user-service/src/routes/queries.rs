//! What the queries of routes may say.

use auth::Role;
use chassis::Problem;
use chassis::page::{PageQuery, PageRequest};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::Status;
use crate::store::UserFilter;

/// Shortest beginning of an address that is searched for: shorter ones are of too many users.
const PREFIX_CHARS_MIN: usize = 3;
/// The longest.
const PREFIX_CHARS_MAX: usize = 254;

/// Which users are listed; all conditions hold.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserQuery {
    /// `active` or `deleted`.
    #[param(inline)]
    status: Option<KnownStatus>,
    /// `user` or `admin`.
    #[param(inline)]
    role: Option<Role>,
    /// How the address begins, in upper or lower case; 3 to 254 characters.
    #[param(min_length = 3, max_length = 254)]
    email: Option<String>,
    /// Items on the page, 1 to 100; 20 when not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// The statuses that can be asked for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum KnownStatus {
    Active,
    Deleted,
}

impl UserQuery {
    /// Checks the bounds.
    pub(super) fn check(self) -> Result<(UserFilter, PageRequest), Problem> {
        let page = PageQuery::new(self.limit, self.cursor).check()?;
        let email_prefix = self.email.map(|prefix| prefix.to_lowercase());
        let lengths = PREFIX_CHARS_MIN..=PREFIX_CHARS_MAX;
        if email_prefix.as_ref().is_some_and(|it| !lengths.contains(&it.chars().count())) {
            return Err(Problem::bad_request("email needs 3 to 254 characters"));
        }
        if email_prefix.as_ref().is_some_and(|it| it.contains(char::is_control)) {
            return Err(Problem::bad_request("no address has control characters"));
        }
        let status = self.status.map(|status| match status {
            KnownStatus::Active => Status::Active,
            KnownStatus::Deleted => Status::Deleted,
        });
        let admin = self.role.map(|role| role == Role::Admin);
        Ok((UserFilter { status, admin, email_prefix }, page))
    }
}

/// Which sessions end.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ending {
    /// Whether the one of this request goes on.
    #[serde(default)]
    pub(super) keep_current: bool,
}

/// Which page of an export is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// The `next_cursor` of the page before.
    #[param(
        max_length = 73,
        pattern = r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?\.([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"
    )]
    pub(super) cursor: Option<String>,
}
