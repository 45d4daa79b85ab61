//! One attempt: an instance is picked, asked, and told apart by its answer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use discovery::{Balancer, Choice, Instance, Registry};
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use resilience::Outcome;
use telemetry::propagation;
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
    instances: Balancer,
    http: reqwest::Client,
    bounds: Bounds,
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
        Ok(Self(Arc::new(Shared { service: service.to_owned(), instances, http, bounds })))
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
        Box::pin(async move { shared.attempt(request).await })
    }
}

impl Shared {
    async fn attempt(&self, request: Request) -> Result<Bytes, Kind> {
        let left = request.deadline.remaining().ok_or(Kind::DeadlineExceeded)?;
        let (number, tried) = request.journey.begin();
        if number > 1 {
            metrics::repeated(&self.service);
        }
        let address = request.client_address.map(|address| address.to_string());
        let choice =
            address.as_deref().map_or_else(Choice::any, |address| Choice::any().key(address));
        let picked = self.instances.pick(&choice.avoid(&tried)).ok_or(Kind::NoInstance)?;
        request.journey.goes_to(picked.instance());
        let instance = picked.instance().clone();
        let outcome = self.send(request, &instance, number, left).await;
        picked.settle(match &outcome {
            Ok(_) => Outcome::Success,
            // A caller in a hurry proves nothing, but half of an attempt's time is no hurry.
            Err(Kind::DeadlineExceeded) if left >= self.bounds.attempt_timeout / 2 => {
                Outcome::Failure
            }
            Err(kind) => kind.outcome(),
        });
        outcome
    }

    async fn send(
        &self,
        request: Request,
        instance: &Instance,
        number: u32,
        left: Duration,
    ) -> Result<Bytes, Kind> {
        // A client span by https://opentelemetry.io/docs/specs/semconv/http/http-spans/. No query,
        // which may hold anything; the path may hold ids, the name may not.
        let path = request.path.split('?').next().unwrap_or_default();
        let span = tracing::info_span!(
            "http.attempt",
            otel.name = request.method.as_str(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.request.method = request.method.as_str(),
            http.request.resend_count = (number > 1).then_some(number - 1),
            http.response.status_code = field::Empty,
            url.full = format!("{}{path}", instance.base_url()),
            server.address = instance.host,
            server.port = instance.port,
            error.type = field::Empty,
        );
        let exchange = self.exchange(request, instance).instrument(span.clone());
        let (limit, late) = if left < self.bounds.attempt_timeout {
            (left, Kind::DeadlineExceeded)
        } else {
            (self.bounds.attempt_timeout, Kind::TimedOut)
        };
        let outcome = tokio::time::timeout(limit, exchange).await.unwrap_or(Err(late));
        if let Err(kind) = &outcome {
            span.record("otel.status_code", "ERROR");
            // The status of an answer is the type of its error.
            if !matches!(kind, Kind::NotFound | Kind::Client { .. } | Kind::Server { .. }) {
                span.record("error.type", kind.label());
            }
        }
        outcome
    }

    async fn exchange(&self, request: Request, instance: &Instance) -> Result<Bytes, Kind> {
        let Request { method, path, mut headers, body, deadline, .. } = request;
        deadline.inject(&mut headers);
        propagation::inject(&mut headers);
        let url = format!("{}{path}", instance.base_url());
        let mut sent = self.http.request(method, url);
        if let Some(body) = body {
            sent = sent.body(body);
        }
        let answer = sent.headers(headers).send().await.map_err(|error| fault(&error))?;
        let status = answer.status();
        Span::current().record("http.response.status_code", status.as_u16());
        if status.is_success() {
            return read(answer, self.bounds.answer_bytes_max).await;
        }
        if status.is_client_error() || status.is_server_error() {
            Span::current().record("error.type", status.as_str());
        }
        Err(refusal(answer).await)
    }
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
async fn refusal(answer: reqwest::Response) -> Kind {
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
async fn read(mut answer: reqwest::Response, bytes_max: usize) -> Result<Bytes, Kind> {
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
