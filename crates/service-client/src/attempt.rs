//! One HTTP request to one instance, and what its answer means.

use std::time::Duration;

use discovery::Instance;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use telemetry::propagation;
use tracing::{Instrument, field};

use crate::{Kind, ProblemDocument};

/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Largest problem document read, in bytes.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;
/// A longer `Retry-After` counts as this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

pub(crate) struct Attempt<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) timeout: Duration,
    pub(crate) number: u32,
    pub(crate) instance: &'a Instance,
}

/// Sends it; gives the body of a 2xx answer.
pub(crate) async fn send(http: &reqwest::Client, attempt: Attempt<'_>) -> Result<Vec<u8>, Kind> {
    // A client span by OpenTelemetry's HTTP conventions; the path may hold ids, the name may not.
    let span = tracing::info_span!(
        "http.attempt",
        otel.name = attempt.method.as_str(),
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = attempt.method.as_str(),
        http.request.resend_count = attempt.number - 1,
        http.response.status_code = field::Empty,
        server.address = attempt.instance.host,
        server.port = attempt.instance.port,
        error.r#type = field::Empty,
    );
    let timeout = attempt.timeout;
    let exchange = exchange(http, attempt).instrument(span.clone());
    let outcome = tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Kind::TimedOut));
    if let Err(kind) = &outcome {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", field::display(kind));
    }
    outcome
}

async fn exchange(http: &reqwest::Client, attempt: Attempt<'_>) -> Result<Vec<u8>, Kind> {
    let mut headers = attempt.headers;
    propagation::inject(&mut headers);
    let mut request = http.request(attempt.method.clone(), attempt.url);
    if let Some(body) = attempt.body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request = request.body(body.to_vec());
    }
    let answer = request.headers(headers).send().await.map_err(|error| fault(&error))?;
    let status = answer.status();
    tracing::Span::current().record("http.response.status_code", status.as_u16());
    if status.is_success() {
        return read(answer, ANSWER_BYTES_MAX).await;
    }
    Err(refusal(answer).await)
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

/// Reads the body up to a bound.
async fn read(mut answer: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, Kind> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => body.extend(chunk),
            Ok(Some(_)) => return Err(Kind::Unexpected("it is too large")),
            Ok(None) => return Ok(body),
            Err(error) => return Err(fault(&error)),
        }
    }
}
