//! Bearer tokens (JWT, RFC 7519), signed with a key of the ring, which their header names.
//!
//! | claim | of a user | of a service |
//! |---|---|---|
//! | `iss` | `tusk-microservices` | the same |
//! | `aud` | `tusk-api` | the *target* service, such as `user-service` |
//! | `sub` | the user's id | – |
//! | `service` | – | the *calling* service, |
//! | `role`, `sid` | `user` or `admin`; the session | – |
//! | `scope` | where the session is narrowed: its [scopes](crate::scope) | those of the rules that name the caller |
//! | `jti` | – | the token's own id, by which a log tells one from another |
//! | `iat`, `exp` | seconds since 1970 | the same |
//!
//! A service's token is good at its target alone: the service of a path must equal `aud`.

use std::sync::Arc;
use std::time::Duration;

use chassis::Clock;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Header, Validation};
use serde::{Deserialize, Serialize};
use tusk_config::Secret;
use uuid::Uuid;

use crate::claims::Claims;
use crate::ended::EndedSessions;
use crate::extract::{Caller, CallerService, User};
use crate::keys::{self, KeyRing, Keys};
use crate::policy::{self, PolicySettings};
use crate::scope::{Scope, ScopeError, Scopes};
use crate::settings::AuthSettings;

const ISSUER: &str = "tusk-microservices";
/// The audience of users' tokens: every service's public routes.
const USER_AUDIENCE: &str = "tusk-api";
/// Clocks of two machines may differ by this much.
const LEEWAY_SECONDS: i64 = 30;
/// A longer token is refused unread.
const TOKEN_BYTES_MAX: usize = 4096;

/// Issues and verifies tokens for one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens {
    service: &'static str,
    keys: KeyRing,
    user_lifetime: Duration,
    service_lifetime: Duration,
    clock: Clock,
    ended: EndedSessions,
    policy: Option<Arc<PolicySettings>>,
}

/// Whom a token speaks for, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) caller: Caller,
    /// None where the token is not narrowed.
    pub(crate) scopes: Option<Scopes>,
}

/// A signed token and its time.
#[derive(Debug, Clone)]
pub struct Token {
    /// The compact form, for `Authorization: Bearer …`.
    pub value: Secret<String>,
    /// How long it is valid from its issue on.
    pub lifetime: Duration,
    /// Its `exp`.
    pub expires_at: DateTime<Utc>,
    /// Its `jti`, fit for logs; a user's token has none, and is known by its session.
    pub id: Option<Uuid>,
}

/// Why a token is refused. Says nothing of the token's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("a bearer token is needed")]
    Missing,
    /// Its time is up.
    #[error("the token has expired")]
    Expired,
    /// Its session has ended before it.
    #[error("the session has ended")]
    Ended,
    /// Its time has not come, by more than clocks differ.
    #[error("the token is not valid yet")]
    Early,
    /// It is for another service.
    #[error("the token is for another audience")]
    Audience,
    /// It names a key that is not known, or not any more.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// It is malformed, forged, from another issuer or signed in another way.
    #[error("the token is not valid")]
    Invalid,
    /// There is no key yet to verify it with, or none to sign it with.
    #[error("there are no keys yet")]
    NoKey,
}

/// What a user may see and do beyond the own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The own things.
    User,
    /// Everybody's.
    Admin,
}

impl Bearer {
    /// Whether the token carries this scope, or is not narrowed.
    pub(crate) fn carries(&self, scope: &Scope) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope))
    }

    /// The same; without the scope for administrators, an administrator is a user as others.
    pub(crate) fn narrowed(mut self, admin: &Scope) -> Self {
        let carries = self.carries(admin);
        if let Caller::User(user) = &mut self.caller
            && !carries
        {
            user.role = Role::User;
        }
        self
    }
}

impl Tokens {
    /// Tokens for the service called `service`.
    pub fn new(
        settings: &AuthSettings,
        keys: KeyRing,
        service: &'static str,
        clock: Clock,
    ) -> Self {
        let user_lifetime = settings.jwt_expiration;
        let service_lifetime = settings.service_token_expiration;
        let ended = EndedSessions::default();
        Self { service, keys, user_lifetime, service_lifetime, clock, ended, policy: None }
    }

    /// The same, with the rules of all services, of which the scopes are made. Without them a service's token is
    /// not narrowed, and there are no scopes to ask for.
    #[must_use]
    pub fn with_policy(self, policy: &PolicySettings) -> Self {
        Self { policy: Some(Arc::new(policy.clone())), ..self }
    }

    /// What somebody who signs in asks that the tokens of the session carry.
    ///
    /// # Errors
    /// There is no such scope, or they are too many.
    pub fn asked_scopes(&self, text: &str) -> Result<Scopes, ScopeError> {
        let known = self.policy.as_deref().map(policy::scopes).unwrap_or_default();
        Scopes::asked(text, &known)
    }

    /// What `caller` may ask for at `target`, and has if it does not: the scopes of the rules that name it. None
    /// where the rules are not known.
    pub fn granted_scopes(&self, caller: &str, target: &str) -> Option<Scopes> {
        self.policy.as_deref().map(|policy| policy::granted(policy, caller, target))
    }

    /// How long a user's token lives.
    pub fn user_lifetime(&self) -> Duration {
        self.user_lifetime
    }

    /// How long after the end of a session a token of it may be good by its own time.
    pub fn outlives_session(&self) -> Duration {
        self.user_lifetime + Duration::from_secs(LEEWAY_SECONDS.unsigned_abs())
    }

    /// The sessions whose tokens are refused.
    pub fn ended_sessions(&self) -> &EndedSessions {
        &self.ended
    }

    /// The keys behind the tokens.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// A token for a user.
    ///
    /// # Errors
    /// There is no key to sign with, or signing failed; a fault of ours.
    pub fn for_user(&self, id: Uuid, role: Role, session: Uuid) -> Result<Token, TokenError> {
        self.for_session(User { id, role, session }, None, DateTime::<Utc>::MAX_UTC)
    }

    /// A token for a user whose session is narrowed to `scopes`, if to any, and ends at `end`, and the token with it.
    ///
    /// # Errors
    /// There is no key to sign with, or signing failed; a fault of ours.
    pub fn for_session(
        &self,
        User { id, role, session }: User,
        scopes: Option<&Scopes>,
        end: DateTime<Utc>,
    ) -> Result<Token, TokenError> {
        let left = (end - self.clock.now()).to_std().unwrap_or_default();
        let lifetime = self.user_lifetime.min(left);
        let claims = self.claims(USER_AUDIENCE, lifetime);
        let (sub, role, sid) = (Some(id), Some(role), Some(session));
        let claims = Claims { sub, role, sid, scope: scopes.cloned(), ..claims };
        self.sign(&claims, lifetime)
    }

    /// A token with which this service calls `target`.
    ///
    /// # Errors
    /// There is no key to sign with, or signing failed; a fault of ours.
    pub fn for_service(&self, target: &str) -> Result<Token, TokenError> {
        self.for_caller(self.service, target, self.granted_scopes(self.service, target))
    }

    /// A token with which `caller` calls `target`, narrowed to `scopes`, for whoever has made sure that it is
    /// `caller` who asks, and that it [may have](Self::granted_scopes) them.
    ///
    /// # Errors
    /// There is no key to sign with, or signing failed; a fault of ours.
    pub fn for_caller(
        &self,
        caller: &str,
        target: &str,
        scope: Option<Scopes>,
    ) -> Result<Token, TokenError> {
        let claims = self.claims(target, self.service_lifetime);
        let service = Some(caller.to_owned());
        let jti = Some(self.clock.new_id());
        let claims = Claims { service, jti, scope, ..claims };
        self.sign(&claims, self.service_lifetime)
    }

    /// Whom a token speaks for. A token of a service must be meant for this service. What the caller
    /// may do is decided by [`crate::policy`].
    ///
    /// # Errors
    /// The token is refused.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        self.bearer(token).map(|bearer| bearer.caller)
    }

    /// [`Self::verify`], with what the token carries of the caller's rights.
    pub(crate) fn bearer(&self, token: &str) -> Result<Bearer, TokenError> {
        let claims = self.checked(token)?;
        let caller = self.caller(&claims)?;
        Ok(Bearer { caller, scopes: claims.scope.clone() })
    }

    fn caller(&self, claims: &Claims) -> Result<Caller, TokenError> {
        match claims {
            &Claims {
                sub: Some(id),
                role: Some(role),
                sid: Some(session),
                service: None,
                ref aud,
                ..
            } if aud == USER_AUDIENCE => {
                if self.ended.refuses(session) {
                    return Err(TokenError::Ended);
                }
                Ok(Caller::User(User { id, role, session }))
            }
            Claims { sub: None, role: None, sid: None, service: Some(name), aud, .. }
                if aud == self.service =>
            {
                Ok(Caller::Service(CallerService { name: name.clone() }))
            }
            Claims { aud, .. } if [USER_AUDIENCE, self.service].contains(&aud.as_str()) => {
                Err(TokenError::Invalid)
            }
            _ => Err(TokenError::Audience),
        }
    }

    /// [`Self::verify`]; on an unknown key the keys are read again first.
    ///
    /// # Errors
    /// The token is refused.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, TokenError> {
        self.authenticated(token).await.map(|bearer| bearer.caller)
    }

    /// [`Self::authenticate`], with what the token carries of the caller's rights.
    pub(crate) async fn authenticated(&self, token: &str) -> Result<Bearer, TokenError> {
        match self.bearer(token) {
            Err(TokenError::UnknownKey) if self.keys.read_for_unknown().await => self.bearer(token),
            Err(TokenError::UnknownKey) => Err(TokenError::NoKey),
            other => other,
        }
    }

    fn claims(&self, audience: &str, lifetime: Duration) -> Claims {
        let iat = self.clock.now().timestamp();
        let exp = iat.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let iss = ISSUER.to_owned();
        let aud = audience.to_owned();
        let (sub, role, sid, service, jti, scope, nbf) = (None, None, None, None, None, None, None);
        Claims { iss, aud, sub, role, sid, service, jti, scope, iat, exp, nbf }
    }

    fn sign(&self, claims: &Claims, lifetime: Duration) -> Result<Token, TokenError> {
        let (kid, key) = self.keys.signer().ok_or(TokenError::NoKey)?;
        let header = Header { kid: Some(kid), ..Header::new(self.keys.algorithm().jwt()) };
        let token = jsonwebtoken::encode(&header, claims, &key);
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Invalid)?;
        let value = token.map_err(|_| TokenError::Invalid)?.into();
        Ok(Token { value, lifetime, expires_at, id: claims.jti })
    }

    /// The claims of a token that is ours and in its time.
    fn checked(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let claims = self.keys.verified(token, |keys| decoded(token, keys))?;
        self.in_time(&claims).map(|()| claims)
    }

    fn in_time(&self, claims: &Claims) -> Result<(), TokenError> {
        let now = self.clock.now().timestamp();
        let begins = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
        if claims.exp.saturating_add(LEEWAY_SECONDS) < now {
            Err(TokenError::Expired)
        } else if begins > now.saturating_add(LEEWAY_SECONDS) {
            Err(TokenError::Early)
        } else {
            Ok(())
        }
    }
}

/// The claims of a token that one of the keys has signed.
fn decoded(token: &str, keys: &Keys) -> Result<Claims, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
    // The algorithm is ours to choose, so neither `none` nor a public key used as a secret gets
    // through. We understand no extension that could be critical (RFC 7515 §4.1.11).
    let algorithm = keys.algorithm().jwt();
    if header.alg != algorithm || header.crit.is_some() {
        return Err(TokenError::Invalid);
    }
    let kid = header.kid.filter(|kid| keys::is_kid(kid)).ok_or(TokenError::Invalid)?;
    let key = keys.verifier(&kid).ok_or(TokenError::UnknownKey)?;
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // Told apart by the kinds of callers.
    validation.validate_aud = false;
    // Checked for each request, against a clock that tests control.
    validation.validate_exp = false;
    let data = jsonwebtoken::decode::<Claims>(token, key, &validation);
    Ok(data.map_err(|_| TokenError::Invalid)?.claims)
}
