//! Bearer tokens (JWT, RFC 7519), signed with HS256 by the key all services share.
//!
//! | claim | of a user | of a service |
//! |---|---|---|
//! | `iss` | `tusk-microservices` | the same |
//! | `aud` | `tusk-api` | the *target* service, such as `user-service` |
//! | `sub` | the user's id | – |
//! | `service` | – | the *calling* service, as in the seed |
//! | `role`, `sid` | `user` or `admin`; the session | – |
//! | `iat`, `exp` | seconds since 1970 | the same |
//!
//! The seed compares the caller with the service of the path, so that no service could call
//! another; here the path names the target and must equal `aud`.

use std::time::Duration;

use chassis::Clock;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tusk_config::Secret;
use uuid::Uuid;

use crate::AuthSettings;

const ISSUER: &str = "tusk-microservices";
/// The audience of users' tokens: every service's public routes.
const USER_AUDIENCE: &str = "tusk-api";
/// Clocks of two machines may differ by this much.
const LEEWAY_SECONDS: i64 = 30;
/// A longer token is refused unread.
const TOKEN_BYTES_MAX: usize = 4096;

/// Issues and verifies tokens for one service. Cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    service: &'static str,
    encoding: EncodingKey,
    decoding: DecodingKey,
    user_lifetime: Duration,
    service_lifetime: Duration,
    clock: Clock,
}

/// A signed token and when it ends.
#[derive(Debug, Clone)]
pub struct Token {
    /// The compact form, for `Authorization: Bearer …`.
    pub value: Secret<String>,
    /// Its `exp`.
    pub expires_at: DateTime<Utc>,
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
    /// It is for another service or another kind of caller.
    #[error("the token is for another audience")]
    Audience,
    /// It is malformed, forged, from another issuer or signed in another way.
    #[error("the token is not valid")]
    Invalid,
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

/// A verified user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedUser {
    /// The user's id.
    pub id: Uuid,
    /// The user's role when the token was issued.
    pub role: Role,
    /// The session that the token belongs to.
    pub session: Uuid,
}

/// A verified calling service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedService {
    /// Its name in `services.tsk`.
    pub name: String,
}

/// The claims of both kinds; which ones there are tells the kinds apart.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Claims {
    iss: String,
    aud: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Tokens for the service called `service`.
    pub fn new(settings: &AuthSettings, service: &'static str, clock: Clock) -> Self {
        Self {
            service,
            encoding: EncodingKey::from_secret(settings.jwt_secret.as_bytes()),
            decoding: DecodingKey::from_secret(settings.jwt_secret.as_bytes()),
            user_lifetime: settings.jwt_expiration,
            service_lifetime: settings.service_token_expiration,
            clock,
        }
    }

    /// How long a user's token lives.
    pub fn user_lifetime(&self) -> Duration {
        self.user_lifetime
    }

    /// A token for a user.
    ///
    /// # Errors
    /// The signature could not be made; a fault of ours.
    pub fn for_user(&self, id: Uuid, role: Role, session: Uuid) -> Result<Token, TokenError> {
        let claims = self.claims(USER_AUDIENCE, self.user_lifetime);
        self.sign(&Claims { sub: Some(id), role: Some(role), sid: Some(session), ..claims })
    }

    /// A token with which this service calls `target`.
    ///
    /// # Errors
    /// The signature could not be made; a fault of ours.
    pub fn for_service(&self, target: &str) -> Result<Token, TokenError> {
        let claims = self.claims(target, self.service_lifetime);
        self.sign(&Claims { service: Some(self.service.to_owned()), ..claims })
    }

    /// The user that a token speaks for.
    ///
    /// # Errors
    /// The token is refused.
    pub fn verify_user(&self, token: &str) -> Result<VerifiedUser, TokenError> {
        match self.verify(token, USER_AUDIENCE)? {
            Claims { sub: Some(id), role: Some(role), sid: Some(session), .. } => {
                Ok(VerifiedUser { id, role, session })
            }
            _ => Err(TokenError::Invalid),
        }
    }

    /// The service that a token speaks for; it must be meant for this service.
    ///
    /// # Errors
    /// The token is refused.
    pub fn verify_service(&self, token: &str) -> Result<VerifiedService, TokenError> {
        let claims = self.verify(token, self.service)?;
        claims.service.map(|name| VerifiedService { name }).ok_or(TokenError::Invalid)
    }

    fn claims(&self, audience: &str, lifetime: Duration) -> Claims {
        let iat = self.clock.now().timestamp();
        let exp = iat.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let (iss, aud) = (ISSUER.to_owned(), audience.to_owned());
        Claims { iss, aud, iat, exp, ..Claims::default() }
    }

    fn sign(&self, claims: &Claims) -> Result<Token, TokenError> {
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding);
        let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Invalid)?;
        let value = token.map_err(|_| TokenError::Invalid)?.into();
        Ok(Token { value, expires_at })
    }

    fn verify(&self, token: &str, audience: &str) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        // Only HS256: neither `none` nor a public key used as a secret gets through.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Checked below, against a clock that tests control.
        validation.validate_exp = false;
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| refusal(error.kind()))?;
        let expired = data.claims.exp.saturating_add(LEEWAY_SECONDS) < self.clock.now().timestamp();
        if expired { Err(TokenError::Expired) } else { Ok(data.claims) }
    }
}

fn refusal(kind: &jsonwebtoken::errors::ErrorKind) -> TokenError {
    match kind {
        jsonwebtoken::errors::ErrorKind::InvalidAudience => TokenError::Audience,
        _ => TokenError::Invalid,
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("service", &self.service).finish_non_exhaustive()
    }
}
