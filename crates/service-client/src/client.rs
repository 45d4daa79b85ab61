//! The client of one service: typed calls, guarded.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use discovery::{Choice, Registry};
use http::{HeaderMap, HeaderValue, Method, header};
use resilience::breaker::CircuitBreaker;
use resilience::retry::Backoff;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{Instrument, field};
use tusk_config::Secret;

use crate::attempt::{Attempt, send};
use crate::{Call, CallError, ClientSettings, Kind};

/// Idle connections kept to one instance.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// How long an idle connection is kept: below the usual 60 seconds of servers and balancers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Gives the token with which this service calls `target`; none when it cannot.
pub type TokenSource = Arc<dyn Fn(&str) -> Option<Secret<String>> + Send + Sync>;

/// Calls one service. Cheap to clone; clones share connections and the breaker.
#[derive(Clone)]
pub struct ServiceClient(Arc<Shared>);

struct Shared {
    service: String,
    registry: Registry,
    breaker: CircuitBreaker,
    backoff: Backoff,
    attempt_timeout: Duration,
    http: reqwest::Client,
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
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build()?;
        Ok(Self(Arc::new(Shared {
            service: service.to_owned(),
            registry,
            breaker: CircuitBreaker::new(service, &settings.circuit_breaker),
            backoff: Backoff::new(&settings.retry),
            attempt_timeout: settings.attempt_timeout,
            http,
            tokens,
        })))
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
        let answer = self.attempts(method, path, body, &call).instrument(span.clone()).await;
        span.record("otel.status_code", if answer.is_ok() { "OK" } else { "ERROR" });
        answer
    }

    /// Attempts until one succeeds, or none may follow.
    async fn attempts<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
        call: &Call,
    ) -> Result<T, CallError> {
        let began = Instant::now();
        let body = body.map(serde_json::to_vec).transpose();
        let mut failed = CallError {
            service: self.0.service.clone(),
            operation: call.operation,
            instance: None,
            attempts: 0,
            elapsed: Duration::ZERO,
            kind: Kind::Unexpected("the request is no JSON"),
        };
        let Ok(body) = body else { return Err(failed) };
        let repeatable = may_repeat(&method) || call.idempotency_key.is_some();
        loop {
            let kind = match self.attempt(&method, path, body.as_deref(), call, &mut failed).await {
                Ok(answer) => return Ok(answer),
                Err(kind) => kind,
            };
            let open = matches!(kind, Kind::Open { .. });
            let again = (repeatable && kind.is_transient() && !open)
                .then(|| self.0.backoff.next(failed.attempts, kind.retry_after(), call.deadline));
            failed.kind = kind;
            failed.elapsed = began.elapsed();
            let Some(pause) = again.flatten() else { return Err(failed) };
            tokio::time::sleep(pause).await;
        }
    }

    /// One attempt: permit, instance, request, outcome to the breaker.
    async fn attempt<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        call: &Call,
        failed: &mut CallError,
    ) -> Result<T, Kind> {
        let left = call.deadline.remaining().ok_or(Kind::TimedOut)?;
        let headers = self.headers(call)?;
        let permit = self
            .0
            .breaker
            .try_acquire()
            .map_err(|open| Kind::Open { retry_after: open.retry_after })?;
        failed.attempts += 1;
        // Without an instance nothing was called: the permit goes back without an outcome.
        let picked = self.0.registry.pick(&self.0.service, &Choice::any());
        let picked = picked.ok_or(Kind::Unreachable)?;
        let instance = picked.instance();
        failed.instance = Some(format!("{}:{}", instance.host, instance.port));
        let attempt = Attempt {
            method,
            url: format!("{}{path}", instance.base_url()),
            headers,
            body,
            timeout: left.min(self.0.attempt_timeout),
            number: failed.attempts,
            instance,
        };
        let outcome = send(&self.0.http, attempt).await;
        // A caller in a hurry proves nothing about the target.
        let hurried = left < self.0.attempt_timeout;
        match &outcome {
            Err(Kind::TimedOut) if hurried => drop(permit),
            Err(Kind::Server { status: 429, .. }) => drop(permit),
            Err(kind) if kind.is_failure() => permit.failure(),
            _ => permit.success(),
        }
        outcome.and_then(|bytes| {
            let bytes = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
            serde_json::from_slice(bytes).map_err(|_| Kind::Unexpected("it has another shape"))
        })
    }

    /// What goes along. A key or a token that cannot be sent is a fault: without the one a repeated
    /// request is not safe, without the other the call is somebody else's.
    fn headers(&self, call: &Call) -> Result<HeaderMap, Kind> {
        let mut headers = HeaderMap::new();
        call.deadline.inject(&mut headers);
        if let Some(tokens) = &self.0.tokens {
            let token = tokens(&self.0.service).ok_or(Kind::Unexpected("there is no token"))?;
            let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut bearer = bearer.map_err(|_| Kind::Unexpected("the token is no header"))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        if let Some(key) = &call.idempotency_key {
            let key = HeaderValue::from_str(key);
            let key = key.map_err(|_| Kind::Unexpected("the idempotency key is no header"))?;
            headers.insert("idempotency-key", key);
        }
        if let Some(Ok(id)) = call.request_id.as_deref().map(HeaderValue::from_str) {
            headers.insert("x-request-id", id);
        }
        Ok(headers)
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

/// Methods that HTTP defines as idempotent (RFC 9110 §9.2.2).
fn may_repeat(method: &Method) -> bool {
    [Method::GET, Method::PUT, Method::DELETE].contains(method)
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").field("service", &self.0.service).finish_non_exhaustive()
    }
}
