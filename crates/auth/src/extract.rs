//! Extractors: a handler that names one in its signature cannot be reached without it.

use axum::extract::{FromRef, FromRequestParts};
use chassis::Problem;
use http::header;
use http::request::Parts;
use uuid::Uuid;

use crate::tokens::{Role, TokenError, Tokens};

/// A signed-in user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: Uuid,
    /// What the user may do beyond the own.
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

impl User {
    /// Whether the user is an administrator.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Goes on only for an administrator.
    ///
    /// # Errors
    /// A 403 problem.
    pub fn require_admin(&self) -> Result<(), Problem> {
        if self.is_admin() { Ok(()) } else { Err(Problem::forbidden()) }
    }
}

impl Caller {
    /// Whether the caller may see what belongs to `owner`: the owner, an administrator, a service.
    pub fn may_see(&self, owner: Uuid) -> bool {
        match self {
            Self::User(user) => user.id == owner || user.is_admin(),
            Self::Service(_) => true,
        }
    }
}

impl<S> FromRequestParts<S> for User
where
    S: Sync,
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        user(&Tokens::from_ref(state), parts).map_err(refused)
    }
}

impl<S> FromRequestParts<S> for CallerService
where
    S: Sync,
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        service(&Tokens::from_ref(state), parts).map_err(refused)
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Sync,
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tokens = Tokens::from_ref(state);
        match user(&tokens, parts) {
            Ok(user) => Ok(Self::User(user)),
            Err(TokenError::Audience | TokenError::Invalid) => {
                service(&tokens, parts).map(Self::Service).map_err(refused)
            }
            Err(error) => Err(refused(error)),
        }
    }
}

fn user(tokens: &Tokens, parts: &Parts) -> Result<User, TokenError> {
    let verified = tokens.verify_user(bearer(parts)?)?;
    Ok(User { id: verified.id, role: verified.role, session: verified.session })
}

fn service(tokens: &Tokens, parts: &Parts) -> Result<CallerService, TokenError> {
    let verified = tokens.verify_service(bearer(parts)?)?;
    Ok(CallerService { name: verified.name })
}

fn bearer(parts: &Parts) -> Result<&str, TokenError> {
    let value = parts.headers.get(header::AUTHORIZATION).ok_or(TokenError::Missing)?;
    let value = value.to_str().map_err(|_| TokenError::Invalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(TokenError::Missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(TokenError::Missing) }
}

fn refused(error: TokenError) -> Problem {
    Problem::unauthorized(error.to_string())
}
