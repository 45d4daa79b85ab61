//! The client of one service: typed calls, guarded.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use auth::ServiceTokens;
use bytes::Bytes;
use discovery::Registry;
use http::{HeaderValue, Method, header};
use resilience::breaker::CircuitBreaker;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, field};
use tusk_config::Secret;

use crate::attempt::Transport;
use crate::guard::Guards;
use crate::request::{Attempts, Body, Request};
use crate::{Call, CallError, ClientSettings, Kind, metrics};

/// Calls one service. Cheap to clone; clones share connections, breaker and retry budget.
#[derive(Clone)]
pub struct ServiceClient {
    service: Arc<str>,
    guards: Arc<Guards>,
    /// Whether the service's breaker is left out.
    is_persistent: bool,
    tokens: Option<ServiceTokens>,
}

impl ServiceClient {
    /// A client of `service`, as `services.tsk` names it, that sends no token.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(
        service: &str,
        registry: &Registry,
        settings: &ClientSettings,
    ) -> Result<Self, reqwest::Error> {
        let http = registry
            .http_client(service)
            .connect_timeout(settings.client.connect_timeout)
            .pool_idle_timeout(settings.client.idle_timeout)
            .pool_max_idle_per_host(settings.client.idle_connections_max)
            .build()?;
        let transport = Transport::new(
            registry.balancer(service),
            http,
            registry.scheme(service),
            &settings.client,
        );
        let guards = Arc::new(Guards::new(service, transport, settings));
        Ok(Self { service: service.into(), guards, is_persistent: false, tokens: None })
    }

    /// The same client without the service's breaker: for what asks seldom, by itself, and without
    /// which nothing goes on. Keys and tokens must be there as soon as their issuer is.
    #[must_use]
    pub(crate) fn persistent(&self) -> Self {
        Self { is_persistent: true, ..self.clone() }
    }

    /// The same client, with a service token in each call.
    #[must_use]
    pub fn with_tokens(&self, tokens: ServiceTokens) -> Self {
        Self { tokens: Some(tokens), ..self.clone() }
    }

    /// The breaker to the service.
    pub(crate) fn breaker(&self) -> &CircuitBreaker {
        &self.guards.recovery.breaker
    }

    pub(crate) fn guards(&self) -> &Guards {
        &self.guards
    }

    /// `GET path`.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str, call: Call) -> Result<T, CallError> {
        self.call(Method::GET, path, None, call).await
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
        self.call(Method::POST, path, Some(Body::json(body)), call).await
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
        self.call(Method::PUT, path, Some(Body::json(body)), call).await
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
        self.call(Method::PATCH, path, Some(Body::json(body)), call).await
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
        self.call(Method::DELETE, path, None, call).await
    }

    /// `POST path` with a form, as OAuth has it; repeated only with an idempotency key, or when the
    /// call says that it may be.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn post_form<T: DeserializeOwned>(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        call: Call,
    ) -> Result<T, CallError> {
        self.call(Method::POST, path, Some(Ok(Body::form(fields))), call).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Result<Body, Kind>>,
        call: Call,
    ) -> Result<T, CallError> {
        let service = &*self.service;
        let span = tracing::info_span!(
            "service_call",
            otel.name = %format_args!("service_call.{service}.{}", call.operation),
            otel.status_code = field::Empty,
            error.type = field::Empty,
            peer.service = service,
            operation = call.operation,
        );
        let answer = self.answer(method, path, body, call).instrument(span.clone()).await;
        metrics::ended(service, answer.as_ref().err().map(|error| &error.kind));
        if let Err(error) = &answer {
            span.record("otel.status_code", "ERROR").record("error.type", error.kind.label());
        }
        answer
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Result<Body, Kind>>,
        call: Call,
    ) -> Result<T, CallError> {
        let began = Instant::now();
        let mut attempts = Attempts::default();
        let answer = async {
            let request = request(method, path, body.transpose()?, &call)?;
            let answer = self.authenticated(request, &mut attempts).await?;
            let answer = if answer.is_empty() { Bytes::from_static(b"null") } else { answer };
            serde_json::from_slice(&answer).map_err(|_| Kind::Unexpected("it has another shape"))
        };
        let answer = answer.await;
        answer.map_err(|kind| CallError {
            service: self.service.to_string(),
            operation: call.operation,
            instance: attempts.last_instance(),
            attempts: attempts.count,
            elapsed: began.elapsed(),
            kind,
        })
    }

    /// Sends with a token, where there are tokens. One that the target refuses is replaced, once: its
    /// key may be gone before its time, or the target has a rule that is younger than the token. It is refused
    /// before any work, so every request may be sent again.
    async fn authenticated(
        &self,
        mut request: Request,
        attempts: &mut Attempts,
    ) -> Result<Bytes, Kind> {
        let Some(tokens) = &self.tokens else { return self.sent(&request, attempts).await };
        let token = self.token(tokens, &request).await?;
        request.authorize(&token)?;
        let answer = self.sent(&request, attempts).await;
        if !answer.as_ref().is_err_and(Kind::refuses_token) {
            return answer;
        }
        tokens.refused(&self.service, &token);
        let renewed = self.token(tokens, &request).await?;
        if renewed.expose() == token.expose() {
            return answer;
        }
        request.authorize(&renewed)?;
        self.sent(&request, attempts).await
    }

    /// A token that cannot be had ends the call: without it the call would be somebody else's.
    async fn token(
        &self,
        tokens: &ServiceTokens,
        request: &Request,
    ) -> Result<Secret<String>, Kind> {
        let token = timeout_at(request.deadline.instant(), tokens.token(&self.service)).await;
        token.map_err(|_| Kind::DeadlineExceeded)?.map_err(Kind::NoToken)
    }

    // In boxes: a call is large, and would be moved with every handler that makes one.
    async fn sent(&self, request: &Request, attempts: &mut Attempts) -> Result<Bytes, Kind> {
        if self.is_persistent {
            return Box::pin(self.guards.call_persistently(request, attempts)).await;
        }
        Box::pin(self.guards.call(request, attempts)).await
    }

    /// Calls, and on a fault that may pass answers with what `fallback` gives: a constant, or the last
    /// good answer, as stale as the caller can bear (`stale-if-error`, RFC 5861 §4). A refusal (4xx) is
    /// an answer and comes through. Right for a greeting, never for a question such as whether somebody
    /// may pay.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use std::time::{Duration, Instant};
    ///
    /// use service_client::{Call, CallError, ServiceClient};
    ///
    /// const STALE_MAX: Duration = Duration::from_secs(3600);
    ///
    /// struct Greeting {
    ///     users: ServiceClient,
    ///     /// The last name, and when it was told.
    ///     last: Mutex<Option<(Instant, String)>>,
    /// }
    ///
    /// impl Greeting {
    ///     async fn name(&self) -> Result<String, CallError> {
    ///         let name = async {
    ///             let name: String = self.users.get("/name", Call::new("get_name")).await?;
    ///             *self.last.lock().unwrap() = Some((Instant::now(), name.clone()));
    ///             Ok(name)
    ///         };
    ///         let last = |fault: &CallError| {
    ///             tracing::warn!(%fault, "the name may be stale");
    ///             let (told, name) = self.last.lock().unwrap().clone()?;
    ///             (told.elapsed() < STALE_MAX).then_some(name)
    ///         };
    ///         ServiceClient::or_fallback(name, last).await
    ///     }
    /// }
    /// # use axum::{Json, Router, http::StatusCode, routing::get};
    /// # use discovery::{Instance, Registry};
    /// # use service_client::{ClientSettings, Kind};
    /// # async fn serve(router: Router) -> Instance {
    /// #     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    /// #     let port = listener.local_addr().unwrap().port();
    /// #     tokio::spawn(async { axum::serve(listener, router).await });
    /// #     Instance::new("user-service", "127.0.0.1", port)
    /// # }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let registry = Registry::empty();
    /// # let users = ServiceClient::new("user-service", &registry, &ClientSettings::default()).unwrap();
    /// let greeting = Greeting { users, last: Mutex::default() };
    ///
    /// // Nobody is there, and nothing was told before.
    /// assert!(matches!(greeting.name().await.unwrap_err().kind, Kind::NoInstance));
    /// # registry.register(serve(Router::new().route("/name", get(async || Json("Ada")))).await);
    /// // An instance answers.
    /// assert_eq!(greeting.name().await.unwrap(), "Ada");
    /// # registry.replace("user-service", Vec::new());
    /// // It has gone: the last answer is still good for a greeting.
    /// assert_eq!(greeting.name().await.unwrap(), "Ada");
    /// # let gone = Router::new().route("/name", get(async || StatusCode::NOT_FOUND));
    /// # registry.register(serve(gone).await);
    /// // An instance says that there is no such name any more: that is no fault, and not passed over.
    /// assert!(matches!(greeting.name().await.unwrap_err().kind, Kind::NotFound));
    /// # });
    /// ```
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

fn request(method: Method, path: &str, body: Option<Body>, call: &Call) -> Result<Request, Kind> {
    if !path.starts_with('/') {
        // Behind host and port, anything else could name another host.
        return Err(Kind::Unexpected("a path begins with a slash"));
    }
    let mut headers = call.headers()?;
    if let Some(body) = &body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(body.content_type));
    }
    Ok(Request {
        may_repeat: is_idempotent(&method) || call.may_repeat,
        method,
        path: path.to_owned(),
        headers,
        body: body.map(|body| body.bytes),
        deadline: call.deadline,
        client_address: call.client_address,
        criticality: call.criticality,
        target_failed: AtomicBool::new(false),
    })
}

/// Methods that HTTP defines as idempotent (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::PUT, Method::DELETE].contains(method)
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient").field("service", &self.service).finish_non_exhaustive()
    }
}
