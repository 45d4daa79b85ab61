//! Extractors: a handler that names one in its signature cannot be reached without it.
//!
//! They take what the policy's guard has found out; the token is verified once per request.

use axum::extract::FromRequestParts;
use chassis::Problem;
use http::Extensions;
use http::request::Parts;
use uuid::Uuid;

use crate::policy::Identity;
use crate::scope::{Scope, Scopes};
use crate::tokens::Role;

/// A signed-in user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// What the user may do beyond the own, when the token was issued and as far as the token carries it.
    pub role: Role,
    /// The session of the token.
    pub session: Uuid,
}

/// Another service of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerService {
    /// Its name in `services.tsk`.
    pub name: String,
}

/// Either of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A signed-in user.
    User(User),
    /// Another service.
    Service(CallerService),
}

/// Which of the caller's rights the token carries, for a handler that does more than the scope of its own route
/// says: the guard has asked for that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScopes(Option<Scopes>);

impl TokenScopes {
    /// Makes sure that the token carries this scope too, or is not narrowed.
    ///
    /// # Errors
    /// It does not: 403, as the guard says it.
    pub fn needs(&self, scope: &Scope) -> Result<(), Problem> {
        let carries = self.0.as_ref().is_none_or(|scopes| scopes.contains(scope));
        if carries { Ok(()) } else { Err(Problem::insufficient_scope(scope)) }
    }
}

impl User {
    /// Whether the user is an administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl Caller {
    /// Who sends a request, by what the policy in front of its route has left in its extensions.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        Identity::known(extensions)
    }

    /// Whether the caller may see what belongs to `owner`: the owner, an administrator, a service.
    pub fn may_see(&self, owner: Uuid) -> bool {
        match self {
            Self::User(user) => user.id == owner || user.is_admin(),
            Self::Service(_) => true,
        }
    }

    /// Whether the caller may change what belongs to `owner`: the owner, an administrator. A service
    /// changes it by an event, or by a route for services that asks for [`CallerService`].
    pub fn may_change(&self, owner: Uuid) -> bool {
        match self {
            Self::User(user) => user.id == owner || user.is_admin(),
            Self::Service(_) => false,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Identity::of(&parts.extensions)
    }
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Identity::of(&parts.extensions)? {
            Caller::User(user) => Ok(user),
            Caller::Service(_) => Err(Problem::forbidden()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for CallerService {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Identity::of(&parts.extensions)? {
            Caller::Service(service) => Ok(service),
            Caller::User(_) => Err(Problem::forbidden()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for TokenScopes {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Identity::scopes(&parts.extensions).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_and_an_administrator_may_change_and_a_service_only_see() {
        let owner = Uuid::from_u128(1);
        let user = |id, role| Caller::User(User { id, role, session: Uuid::nil() });
        let other = Uuid::from_u128(2);
        let service = Caller::Service(CallerService { name: "payment-service".to_owned() });
        for (caller, may_see, may_change) in [
            (user(owner, Role::User), true, true),
            (user(other, Role::User), false, false),
            (user(other, Role::Admin), true, true),
            (service, true, false),
        ] {
            let may = (caller.may_see(owner), caller.may_change(owner));
            assert_eq!(may, (may_see, may_change), "{caller:?}");
        }
    }
}
