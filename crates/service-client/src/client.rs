//! The client of one service: typed calls, guarded.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use discovery::Registry;
use http::{HeaderValue, Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tower::ServiceExt;
use tracing::{Instrument, field};
use tusk_config::Secret;

use crate::guard::{self, Guarded};
use crate::request::{Journey, Request};
use crate::send::Sender;
use crate::{Call, CallError, ClientSettings, Kind, metrics};

/// Gives the token with which this service calls `target`; none when it cannot.
pub type TokenSource = Arc<dyn Fn(&str) -> Option<Secret<String>> + Send + Sync>;

/// Calls one service. Cheap to clone; clones share connections and the breaker.
#[derive(Clone)]
pub struct ServiceClient(Arc<Shared>);

struct Shared {
    service: String,
    guarded: Guarded,
    tokens: Option<TokenSource>,
}

impl ServiceClient {
    /// A client of `service`, as `services.tsk` names it, that sends no token.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(
        service: &str,
        registry: Registry,
        settings: &ClientSettings,
    ) -> Result<Self, reqwest::Error> {
        Self::build(service, registry, settings, None)
    }

    /// A client that sends a service token with each call.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn with_tokens(
        service: &str,
        registry: Registry,
        settings: &ClientSettings,
        tokens: TokenSource,
    ) -> Result<Self, reqwest::Error> {
        Self::build(service, registry, settings, Some(tokens))
    }

    fn build(
        service: &str,
        registry: Registry,
        settings: &ClientSettings,
        tokens: Option<TokenSource>,
    ) -> Result<Self, reqwest::Error> {
        let sender = Sender::new(service, registry, &settings.client)?;
        let guarded = guard::guarded(service, sender, settings);
        Ok(Self(Arc::new(Shared { service: service.to_owned(), guarded, tokens })))
    }

    /// `GET path`.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, call: Call) -> Result<T, CallError> {
        self.call(Method::GET, path, None::<&()>, call).await
    }

    /// `POST path`; repeated only with an idempotency key.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        call: Call,
    ) -> Result<T, CallError> {
        self.call(Method::POST, path, Some(body), call).await
    }

    /// `PUT path`.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        call: Call,
    ) -> Result<T, CallError> {
        self.call(Method::PUT, path, Some(body), call).await
    }

    /// `PATCH path`; repeated only with an idempotency key.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn patch<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        call: Call,
    ) -> Result<T, CallError> {
        self.call(Method::PATCH, path, Some(body), call).await
    }

    /// `DELETE path`; an answer without a body is read as `null`.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        call: Call,
    ) -> Result<T, CallError> {
        self.call(Method::DELETE, path, None::<&()>, call).await
    }

    async fn call<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        call: Call,
    ) -> Result<T, CallError> {
        let service = self.0.service.as_str();
        let span = tracing::info_span!(
            "service_call",
            otel.name = format!("service_call.{service}.{}", call.operation),
            otel.status_code = field::Empty,
            peer.service = service,
            operation = call.operation,
        );
        let answer = self.guarded(method, path, body, call).instrument(span.clone()).await;
        metrics::ended(service, answer.as_ref().err().map(|error| &error.kind));
        span.record("otel.status_code", if answer.is_ok() { "OK" } else { "ERROR" });
        answer
    }

    async fn guarded<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        call: Call,
    ) -> Result<T, CallError> {
        let (began, journey) = (Instant::now(), Journey::default());
        let answer = async {
            let request = self.request(method, path, body, &call, journey.clone()).await?;
            let answer = self.0.guarded.clone().oneshot(request).await?;
            let answer = if answer.is_empty() { Bytes::from_static(b"null") } else { answer };
            serde_json::from_slice(&answer).map_err(|_| Kind::Unexpected("it has another shape"))
        };
        answer.await.map_err(|kind| {
            let (attempts, instance) = journey.so_far();
            let (service, elapsed) = (self.0.service.clone(), began.elapsed());
            CallError { service, operation: call.operation, instance, attempts, elapsed, kind }
        })
    }

    async fn request<B: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        call: &Call,
        journey: Journey,
    ) -> Result<Request, Kind> {
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|_| Kind::Unexpected("the request is no JSON"))?.map(Bytes::from);
        let mut headers = call.headers()?;
        if body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(tokens) = &self.0.tokens {
            headers.insert(header::AUTHORIZATION, bearer(tokens, &self.0.service)?);
        }
        Ok(Request {
            may_repeat: may_repeat(&method) || call.idempotency_key.is_some(),
            method,
            path: path.into(),
            headers,
            body,
            deadline: call.deadline,
            client_address: call.client_address,
            journey,
        })
    }

    /// Calls, and on a fault that may pass answers with what `fallback` gives, as the seed's
    /// `context[:fallback]`. A refusal (4xx) is an answer and comes through.
    ///
    /// # Errors
    /// A fault that will not pass, or that the fallback has no answer for.
    pub async fn or_fallback<T>(
        answer: impl Future<Output = Result<T, CallError>>,
        fallback: impl FnOnce(&CallError) -> Option<T>,
    ) -> Result<T, CallError> {
        match answer.await {
            Err(error) if error.kind.is_transient() => fallback(&error).ok_or(error),
            other => other,
        }
    }
}

/// The token for `service`. One that cannot be had ends the call: without it the call would be
/// somebody else's.
fn bearer(tokens: &TokenSource, service: &str) -> Result<HeaderValue, Kind> {
    let token = tokens(service).ok_or(Kind::Unexpected("there is no token"))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut bearer = bearer.map_err(|_| Kind::Unexpected("the token is no header"))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// Methods that HTTP defines as idempotent (RFC 9110 §9.2.2).
fn may_repeat(method: &Method) -> bool {
    [Method::GET, Method::PUT, Method::DELETE].contains(method)
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").field("service", &self.0.service).finish_non_exhaustive()
    }
}
