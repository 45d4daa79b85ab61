//! The guard: who calls, once per request, and whether the rule of the route lets it in. A service
//! that calls also says how long it waits; nobody else's deadline counts.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use chassis::{Guard, Next, Problem, ReservedPermit, client_deadline};
use http::{Extensions, HeaderMap, header};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{Policy, PolicyError, PolicySettings, Refusal};
use crate::extract::Caller;
use crate::scope::Scopes;
use crate::tokens::{Bearer, TokenError, Tokens};

/// What a caller is told to wait when keys have not been fetched yet.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A policy, and what tells who calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PolicyGuard {
    policy: Policy,
    tokens: Tokens,
}

impl PolicyGuard {
    /// The guard of all these routes of a service, for whoever puts more behind the policy than
    /// [`protect`](super::protect) does.
    ///
    /// # Errors
    /// The policy does not fit all parts together.
    pub fn new(
        parts: &[OpenApiRouter],
        service: &str,
        settings: &PolicySettings,
        tokens: &Tokens,
    ) -> Result<Self, PolicyError> {
        let documents = parts.iter().map(|routes| routes.get_openapi().clone());
        let api = documents.reduce(OpenApi::merge_from).unwrap_or_default();
        Ok(Self { policy: Policy::new(service, settings, &api)?, tokens: tokens.clone() })
    }
}

/// Who calls, as far as is known; left in the request's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Result<Bearer, TokenError>);

impl Identity {
    /// The caller of a request, where one is known.
    pub(crate) fn known(extensions: &Extensions) -> Option<&Caller> {
        extensions.get::<Self>()?.0.as_ref().ok().map(|bearer| &bearer.caller)
    }

    /// The caller of a request.
    pub(crate) fn of(extensions: &Extensions) -> Result<Caller, Problem> {
        Self::bearer(extensions).map(|bearer| bearer.caller.clone())
    }

    /// What the token of a request carries; none where it is not narrowed.
    pub(crate) fn scopes(extensions: &Extensions) -> Result<Option<Scopes>, Problem> {
        Self::bearer(extensions).map(|bearer| bearer.scopes.clone())
    }

    fn bearer(extensions: &Extensions) -> Result<&Bearer, Problem> {
        let Some(Self(bearer)) = extensions.get() else {
            tracing::error!("a route that asks for the caller has no policy in front of it");
            return Err(Problem::internal());
        };
        bearer.as_ref().map_err(|error| refused(*error))
    }
}

/// A service whose token is verified already.
#[derive(Debug, Clone)]
struct Verified(Bearer);

/// Whether another service calls, by the keys that are here. The guard need not verify its token
/// again.
pub(super) fn is_service(tokens: &Tokens, request: &mut Request) -> bool {
    let bearer = known_bearer(tokens, request.headers());
    let service = bearer.ok().filter(|bearer| matches!(bearer.caller, Caller::Service(_)));
    let is_service = service.is_some();
    service.map(|service| request.extensions_mut().insert(Verified(service)));
    is_service
}

impl Guard for PolicyGuard {
    async fn decide(&self, request: Request, next: impl Next) -> Response {
        admit(self, request, next).await.unwrap_or_else(Problem::into_response)
    }
}

async fn admit(
    guard: &PolicyGuard,
    mut request: Request,
    next: impl Next,
) -> Result<Response, Problem> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(entry) = guard.policy.entry(request.method(), path) else {
        return Ok(without_rule(&guard.policy.methods(path)));
    };
    let is_open = entry.rule.is_open();
    let reserved = ReservedPermit::of(request.extensions());
    let bearer = match (request.extensions_mut().remove(), reserved) {
        (Some(Verified(service)), _) => Ok(service),
        (None, None) if !is_open => bearer(&guard.tokens, request.headers()).await,
        // Where anybody may come, nobody waits for keys: the answer would be the same.
        (None, _) => known_bearer(&guard.tokens, request.headers()),
    };
    let is_service = matches!(&bearer, Ok(Bearer { caller: Caller::Service(_), .. }));
    if let Some(permit) = reserved
        && !is_service
    {
        return Err(permit.refuse());
    }
    let bearer = match bearer {
        // Where anybody may come, a service is anybody, and limits hold for it too: its token may open nothing.
        Ok(_) if is_open && is_service => Err(TokenError::Missing),
        Ok(bearer) => Ok(guard.policy.admit(entry, bearer).map_err(|refusal| match refusal {
            Refusal::NotNamed => Problem::forbidden(),
            Refusal::Lacks(scope) => Problem::insufficient_scope(scope),
        })?),
        Err(error) if is_open => Err(error),
        Err(error) => return Err(refused(error)),
    };
    request.extensions_mut().insert(Identity(bearer));
    if is_service {
        return Ok(client_deadline(request, next).await);
    }
    Ok(next.run(request).await)
}

/// Whatever the router knows, nobody calls what has no rule.
fn without_rule(methods: &[&str]) -> Response {
    if methods.is_empty() {
        return Problem::forbidden().into_response();
    }
    ([(header::ALLOW, methods.join(", "))], Problem::method_not_allowed()).into_response()
}

async fn bearer(tokens: &Tokens, headers: &HeaderMap) -> Result<Bearer, TokenError> {
    tokens.authenticated(token(headers)?).await
}

/// Who calls, by the keys that are here: a stranger's token must not make a reserved permit, or a route
/// that is open to everybody, wait for others.
fn known_bearer(tokens: &Tokens, headers: &HeaderMap) -> Result<Bearer, TokenError> {
    tokens.bearer(token(headers)?)
}

/// The token of the one `Authorization: Bearer …`; with two of them it is not clear who calls.
fn token(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(TokenError::Missing)?;
    if values.next().is_some() {
        return Err(TokenError::Invalid);
    }
    let value = value.to_str().map_err(|_| TokenError::Invalid)?;
    let (scheme, token) = value.split_once(' ').ok_or(TokenError::Missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(TokenError::Missing) }
}

fn refused(error: TokenError) -> Problem {
    match error {
        TokenError::NoKey => Problem::unavailable(error.to_string(), RETRY_AFTER),
        _ => Problem::unauthorized(error.to_string()),
    }
}
