//! `/oauth/token` and `/.well-known/jwks.json`: tokens for other services, and what they verify
//! tokens with.

use std::borrow::Cow;

use auth::credentials::CredentialsError;
use auth::{Credentials, Scopes, Tokens};
use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::RequestId;
use chassis::extract::media_type;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use platform::audit::{Actor, AuditTrail, Entry};
use serde::Serialize;
use tusk_config::Secret;
use utoipa::ToSchema;

/// The only grant there is.
const GRANT: &str = "client_credentials";
/// The only form of a request's body (RFC 6749 §4.4.2).
const FORM: &str = "application/x-www-form-urlencoded";

/// A service token (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct Granted {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds that the token is valid.
    expires_in: u64,
    /// What it opens there, as a token has it: maybe nothing, where no rule of the service names the one that asks.
    scope: String,
}

/// Why there is no token (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
pub(crate) struct Refusal {
    /// `invalid_request`, `invalid_client`, `invalid_scope`, `invalid_target` (RFC 8693 §2.2.2),
    /// `unsupported_grant_type` or `server_error`.
    error: &'static str,
    error_description: Cow<'static, str>,
    #[serde(skip)]
    status: StatusCode,
}

/// What is asked for: the fields of the form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described: fields are read one by one, each with its own error")]
pub(crate) struct TokenRequest {
    #[schema(example = "client_credentials", pattern = "^client_credentials$")]
    grant_type: String,
    /// The service that is to be called.
    #[schema(example = "user-service", min_length = 1)]
    audience: String,
    /// What of the scopes that the service's rules give to the one that asks; left out: all of them.
    #[schema(example = "user:read", min_length = 1, max_length = 1024)]
    scope: Option<String>,
    /// The service that asks, unless it says so in HTTP Basic.
    #[schema(example = "payment-service", min_length = 1)]
    client_id: Option<String>,
    /// Its own secret, unless it is in HTTP Basic.
    #[schema(value_type = Option<String>, format = Password, min_length = 1)]
    client_secret: Option<Secret<String>>,
}

/// What is asked for, as it is understood.
struct Request {
    client: String,
    /// The secret, in each way that what was sent can be read.
    secrets: Vec<Secret<String>>,
    target: String,
    scope: Option<String>,
}

/// Gives a service a token to call another one with, for its own secret: HTTP Basic, or `client_id`
/// and `client_secret` in the form. It is good at the service that `audience` names, for what `scope` says.
#[utoipa::path(post, path = "/oauth/token", tag = "tokens",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    security(("basic" = []), ()), responses(
    (status = 200, body = Granted),
    (status = 400, body = Refusal, description = "Not a request for client credentials"),
    (status = 401, body = Refusal, description = "The service or its secret is wrong"),
    (status = 429, body = Refusal, description = "Too many wrong secrets"),
))]
pub(crate) async fn grant(
    State(tokens): State<Tokens>,
    State(credentials): State<Credentials>,
    State(audit): State<AuditTrail>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let granted = match Request::read(&headers, &body) {
        Ok(request) => {
            let known = request.known(&credentials);
            let target = request.target.clone();
            let granted = request.granted(&tokens, &credentials);
            match &granted {
                Ok(_) => audit.record(&minted(known, &target).request(&id)).await,
                Err(refusal) => audit.count(refused(known, refusal)).await,
            }
            granted
        }
        Err(refusal) => Err(refusal),
    };
    let mut answer = granted.map_or_else(IntoResponse::into_response, IntoResponse::into_response);
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

/// A token that was given, in the audit trail.
fn minted(service: Option<String>, target: &str) -> Entry {
    let actor = service.map_or(Actor::Anybody, Actor::Service);
    Entry::new(actor, "service-token", "granted").target(format_args!("service:{target}"))
}

/// A token that was not given, in the audit trail: whose it would have been, if that is a service.
fn refused(service: Option<String>, refusal: &Refusal) -> Entry {
    let target = service.map(|name| format!("service:{name}")).unwrap_or_default();
    Entry::new(Actor::Anybody, "service-token", refusal.error).target(target)
}

/// The public keys that tokens are verified with; with HS256 there are none.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "tokens", responses(
    (status = 200, body = Object, content_type = "application/jwk-set+json",
        description = "A JSON Web Key Set (RFC 7517)"),
))]
pub(crate) async fn keys(State(tokens): State<Tokens>) -> Response {
    let seconds = tokens.keys().refresh_interval().as_secs();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json".to_owned()),
        (header::CACHE_CONTROL, format!("public, max-age={seconds}")),
    ];
    (headers, Json(tokens.keys().jwks())).into_response()
}

impl Request {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if !media_type(headers).eq_ignore_ascii_case(FORM) {
            return Err(Refusal::request("the body must be a form"));
        }
        let field = |name| field(body, name);
        match field("grant_type")?.as_deref() {
            Some(GRANT) => {}
            Some(_) => return Err(Refusal::GRANT),
            None => return Err(Refusal::request("grant_type is missing")),
        }
        let in_form = field("client_id")?.zip(field("client_secret")?);
        let in_form = in_form.map(|(client, secret)| (client, vec![secret.into()]));
        let (client, secrets) = match (basic(headers)?, in_form) {
            (Some(_), Some(_)) => return Err(Refusal::request("credentials are given twice")),
            (Some(pair), None) | (None, Some(pair)) => pair,
            (None, None) => return Err(Refusal::CLIENT),
        };
        let (target, scope) = match (field("audience")?, field("scope")?) {
            // A replica of the release before names the service so; no scope is without a colon.
            (None, Some(scope)) if !scope.contains(':') => (scope, None),
            (Some(audience), scope) => (audience, scope),
            (None, _) => return Err(Refusal::request("audience is missing")),
        };
        Ok(Self { client, secrets, target, scope })
    }

    /// The service that asks, if it is one.
    fn known(&self, credentials: &Credentials) -> Option<String> {
        credentials.services().find(|name| *name == self.client).map(str::to_owned)
    }

    fn granted(self, tokens: &Tokens, credentials: &Credentials) -> Result<Json<Granted>, Refusal> {
        let secrets = self.secrets.iter().map(|secret| secret.expose().as_str());
        credentials.check_any(&self.client, secrets).map_err(Refusal::from)?;
        if !credentials.services().any(|name| name == self.target) {
            return Err(Refusal::TARGET);
        }
        let (client, target) = (&self.client, &self.target);
        let granted = tokens.granted_scopes(client, target).unwrap_or_default();
        let scopes = match &self.scope {
            Some(scope) => Scopes::asked(scope, &granted)
                .map_err(|error| Refusal::scope(format!("scope {error} for you there")))?,
            None => granted,
        };
        let scope = scopes.to_string();
        let token = tokens.for_caller(client, target, Some(scopes)).map_err(|error| {
            tracing::error!(error = %error, "no service token could be made");
            Refusal::SERVER
        })?;
        Ok(Json(Granted {
            access_token: token.value.expose().clone(),
            token_type: "Bearer",
            expires_in: token.lifetime.as_secs(),
            scope,
        }))
    }
}

/// A field of a form. One that is there twice has no meaning (RFC 6749 §3.2), an empty one is not
/// there (§3.1).
fn field(body: &[u8], name: &str) -> Result<Option<String>, Refusal> {
    let pairs = form_urlencoded::parse(body);
    let mut values = pairs.filter(|(key, value)| key == name && !value.is_empty());
    let value = values.next().map(|(_, value)| value.into_owned());
    if values.next().is_some() {
        return Err(Refusal::request("a field is given twice"));
    }
    Ok(value)
}

/// Whom somebody says to be, and the secret in each way that it can be read.
type NameAndSecrets = (String, Vec<Secret<String>>);

/// Name and secret in HTTP Basic. RFC 6749 §2.3.1 wants each form-encoded before that; `curl -u` and
/// many clients send them as they are. Both readings of a secret are good, since each of them is as hard
/// to guess as the other; where it has no `+` and no `%`, they are the same.
fn basic(headers: &HeaderMap) -> Result<Option<NameAndSecrets>, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let pair = || -> Option<NameAndSecrets> {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        let (name, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        let secrets = vec![decode(secret).into(), secret.to_owned().into()];
        scheme.eq_ignore_ascii_case("basic").then(|| (decode(name), secrets))
    };
    pair().map(Some).ok_or(Refusal::CLIENT)
}

/// A form-encoded text. Unlike a whole form it has no separators: `=` and `&` are signs as others.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Refusal {
    const CLIENT: Self = Self {
        error: "invalid_client",
        error_description: Cow::Borrowed("the service or its secret is wrong"),
        status: StatusCode::UNAUTHORIZED,
    };
    const TARGET: Self = Self {
        error: "invalid_target",
        error_description: Cow::Borrowed("audience must be the name of one service"),
        status: StatusCode::BAD_REQUEST,
    };
    const GRANT: Self = Self {
        error: "unsupported_grant_type",
        error_description: Cow::Borrowed("grant_type must be client_credentials"),
        status: StatusCode::BAD_REQUEST,
    };
    const SERVER: Self = Self {
        error: "server_error",
        error_description: Cow::Borrowed("no token could be made"),
        status: StatusCode::INTERNAL_SERVER_ERROR,
    };

    const fn request(description: &'static str) -> Self {
        let error_description = Cow::Borrowed(description);
        Self { error: "invalid_request", error_description, status: StatusCode::BAD_REQUEST }
    }

    fn scope(description: String) -> Self {
        let error_description = Cow::Owned(description);
        Self { error: "invalid_scope", error_description, status: StatusCode::BAD_REQUEST }
    }
}

impl From<CredentialsError> for Refusal {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Wrong => {
                tracing::warn!("a service gave a wrong secret");
                Self::CLIENT
            }
            CredentialsError::TooMany { .. } => {
                Self { status: StatusCode::TOO_MANY_REQUESTS, ..Self::CLIENT }
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut answer = (status, Json(self)).into_response();
        let headers = answer.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"services\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        } else if status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}
