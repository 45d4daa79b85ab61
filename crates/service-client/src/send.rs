//! One attempt: an instance is picked, asked, and told apart by its answer.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use discovery::{Instance, LoadBalancer, Pick, PickOptions, Registry};
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use reqwest::{Response, Url};
use resilience::Outcome;
use telemetry::propagation;
use tokio::time::Instant;
use tower::Service;
use tracing::{Instrument, Span, field};

use crate::request::Request;
use crate::settings::Bounds;
use crate::{Kind, ProblemDocument, metrics};

/// Largest problem document read, in bytes.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;
/// A longer `Retry-After` counts as this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Sends attempts to instances of one service. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Sender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    service: String,
    instances: LoadBalancer,
    http: reqwest::Client,
    bounds: Bounds,
    /// Written when an attempt fails, and held over no await.
    last_fault: Mutex<Option<Fault>>,
}

/// An attempt that failed in a way that says that its instance is not well.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// In words.
    pub(crate) what: String,
    /// `host:port` of the instance.
    pub(crate) endpoint: String,
    pub(crate) at: Instant,
}

impl Sender {
    pub(crate) fn new(
        service: &str,
        registry: &Registry,
        bounds: &Bounds,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(bounds.connect_timeout)
            .pool_idle_timeout(bounds.idle_timeout)
            .pool_max_idle_per_host(bounds.idle_connections_max)
            .build()?;
        let (instances, bounds) = (registry.balancer(service), bounds.clone());
        let (service, last_fault) = (service.to_owned(), Mutex::default());
        Ok(Self(Arc::new(Shared { service, instances, http, bounds, last_fault })))
    }

    /// What went wrong last.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        self.0.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service<Request> for Sender {
    type Response = Bytes;
    type Error = Kind;
    type Future = BoxFuture<'static, Result<Bytes, Kind>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            if shared.instances.is_awaited() {
                shared.wait_for_instances(&request).await;
            }
            let Attempt { picked, left, span, answer } = shared.begin(request)?;
            // Pinned here: it is large, and would be moved with every future around it.
            let answer = pin!(answer);
            let outcome = shared.answered(answer, left, span).await;
            let told = shared.outcome(&outcome, left);
            if let (Err(kind), Outcome::Failure | Outcome::Throttled) = (&outcome, told) {
                shared.note(kind, picked.instance());
            }
            picked.settle(told);
            outcome
        })
    }
}

/// An attempt that goes to an instance. `answer` is its answer to come.
struct Attempt<F> {
    picked: Pick,
    /// Until the call's deadline.
    left: Duration,
    span: Span,
    answer: F,
}

impl Shared {
    /// A process that has just started may be called before it knows whom to call. That is no fault
    /// of a call: it waits, as long as an attempt may take.
    async fn wait_for_instances(&self, request: &Request) {
        let left = request.deadline.remaining().unwrap_or_default();
        let limit = left.min(self.bounds.attempt_timeout);
        let _nobody_knows = tokio::time::timeout(limit, self.instances.told()).await;
    }

    /// Picks an instance and writes the request to it. No future, which would keep all of the parts
    /// until the answer is there.
    fn begin(
        &self,
        request: Request,
    ) -> Result<Attempt<impl Future<Output = reqwest::Result<Response>> + use<>>, Kind> {
        let left = request.deadline.remaining().ok_or(Kind::DeadlineExceeded)?;
        let (number, tried) = request.journey.begin();
        if number > 1 {
            metrics::repeated(&self.service);
        }
        let address = request.client_address.map(|address| address.to_string());
        let choice = address
            .as_deref()
            .map_or_else(PickOptions::any, |address| PickOptions::any().key(address));
        let picked = self.instances.pick(&choice.avoid(&tried)).ok_or(Kind::NoInstance)?;
        request.journey.goes_to(picked.instance());
        let base_url = picked.base_url().ok_or(Kind::Unexpected("the request cannot be built"))?;
        let span = span(&request, picked.instance(), base_url, number);
        let request = span.in_scope(|| written(request, base_url.clone()));
        Ok(Attempt { answer: self.http.execute(request), picked, left, span })
    }

    /// Waits for the answer as long as an attempt may take, and tells it apart.
    async fn answered(
        &self,
        answer: impl Future<Output = reqwest::Result<Response>>,
        left: Duration,
        span: Span,
    ) -> Result<Bytes, Kind> {
        let (limit, late) = if left < self.bounds.attempt_timeout {
            (left, Kind::DeadlineExceeded)
        } else {
            (self.bounds.attempt_timeout, Kind::TimedOut)
        };
        let read = told_apart(answer, self.bounds.answer_bytes_max).instrument(span.clone());
        let outcome = tokio::time::timeout(limit, read).await.unwrap_or(Err(late));
        if let Err(kind) = &outcome {
            span.record("otel.status_code", "ERROR");
            span.in_scope(|| tracing::debug!(error = kind.label(), "attempt failed"));
            // The status of an answer is the type of its error.
            if !matches!(kind, Kind::NotFound | Kind::Client { .. } | Kind::Server { .. }) {
                span.record("error.type", kind.label());
            }
        }
        outcome
    }

    /// Keeps a fault for operators, in the place of the one before.
    #[cold]
    fn note(&self, kind: &Kind, instance: &Instance) {
        let (what, endpoint) = (kind.to_string(), instance.authority());
        let fault = Fault { what, endpoint, at: Instant::now() };
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// What the end of an attempt says of the instance.
    fn outcome(&self, answer: &Result<Bytes, Kind>, left: Duration) -> Outcome {
        match answer {
            Ok(_) => Outcome::Success,
            // A caller in a hurry proves nothing, but half of an attempt's time is no hurry.
            Err(Kind::DeadlineExceeded) if left >= self.bounds.attempt_timeout / 2 => {
                Outcome::Failure
            }
            Err(kind) => kind.outcome(),
        }
    }
}

/// A client span by <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>. No query, which
/// may hold anything; the path may hold ids, the name may not.
fn span(request: &Request, instance: &Instance, base_url: &Url, number: u32) -> Span {
    let (path, _) = path_and_query(&request.path);
    let origin = base_url.as_str().trim_end_matches('/');
    tracing::info_span!(
        "http.attempt",
        otel.name = request.method.as_str(),
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = request.method.as_str(),
        http.request.resend_count = (number > 1).then_some(number - 1),
        http.response.status_code = field::Empty,
        // Written only where spans are recorded.
        url.full = %format_args!("{origin}{path}"),
        server.address = instance.host,
        server.port = instance.port,
        error.type = field::Empty,
    )
}

/// What is sent, with what is left of the deadline and the current span's context.
fn written(request: Request, mut url: Url) -> reqwest::Request {
    let (path, query) = path_and_query(&request.path);
    url.set_path(path);
    url.set_query(query);
    let Request { method, mut headers, body, deadline, .. } = request;
    deadline.inject(&mut headers);
    propagation::inject(&mut headers);
    let mut written = reqwest::Request::new(method, url);
    *written.headers_mut() = headers;
    *written.body_mut() = body.map(Into::into);
    written
}

fn path_and_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

/// The body of a success, or what else the answer means.
async fn told_apart(
    answer: impl Future<Output = reqwest::Result<Response>>,
    bytes_max: usize,
) -> Result<Bytes, Kind> {
    let mut answer = answer.await.map_err(|error| fault(&error))?;
    let status = answer.status();
    Span::current().record("http.response.status_code", status.as_u16());
    if status.is_success() {
        return read(&mut answer, bytes_max).await;
    }
    if status.is_client_error() || status.is_server_error() {
        Span::current().record("error.type", status.as_str());
    }
    Err(refusal(&mut answer).await)
}

/// What a failed exchange means.
fn fault(error: &reqwest::Error) -> Kind {
    if error.is_connect() {
        // Not even begun, however long it took: the target did nothing.
        Kind::Unreachable
    } else if error.is_timeout() {
        Kind::TimedOut
    } else if error.is_builder() || error.is_redirect() {
        Kind::Unexpected("the request cannot be built")
    } else {
        Kind::Unreachable
    }
}

/// What an answer that is no success means.
async fn refusal(answer: &mut Response) -> Kind {
    let status = answer.status();
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = retry_after(answer.headers());
            Kind::Server { status: status.as_u16(), retry_after }
        }
        _ if status.is_client_error() => {
            let body = read(answer, PROBLEM_BYTES_MAX).await.unwrap_or_default();
            let problem = serde_json::from_slice::<ProblemDocument>(&body).ok();
            Kind::Client { status: status.as_u16(), problem }
        }
        _ => Kind::Unexpected("it is neither success nor error"),
    }
}

/// `Retry-After` in seconds; a date is not read, since clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Reads the body up to a bound. Most answers come in one piece, which is then not copied.
async fn read(answer: &mut Response, bytes_max: usize) -> Result<Bytes, Kind> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(piece) = answer.chunk().await.map_err(|error| fault(&error))? {
        length += piece.len();
        if length > bytes_max {
            return Err(Kind::Unexpected("it is too large"));
        }
        pieces.push(piece);
    }
    Ok(match pieces.len() {
        0 | 1 => pieces.pop().unwrap_or_default(),
        _ => pieces.concat().into(),
    })
}
