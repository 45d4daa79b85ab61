//! One attempt: the request to one instance, its time limit, and what its end says of the instance.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use discovery::{Instance, LoadBalancer, Pick, PickOptions, Scheme};
use reqwest::Url;
use resilience::Outcome;
use resilience::deadline::Deadline;
use resilience::limit::LimitPermit;
use resilience::quantile::P95;
use telemetry::propagation;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, field};

use crate::request::{Attempts, Request};
use crate::{Bounds, Kind, response};

/// An answer of 503 that comes this soon before the call's deadline is the target's way to say that
/// the deadline passed: it was told of it, in whole milliseconds.
const DEADLINE_SLACK: Duration = Duration::from_millis(5);

/// Sends attempts to the instances of one service.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) instances: LoadBalancer,
    http: reqwest::Client,
    scheme: Scheme,
    pub(crate) bounds: Bounds,
    /// What nearly all reads take.
    pub(crate) reads: P95,
    /// The last one. Written when an attempt fails, and held over no await.
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

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct AttemptResult {
    pub(crate) instance: Arc<Instance>,
    pub(crate) answer: Result<Bytes, Kind>,
}

impl Transport {
    pub(crate) fn new(
        instances: LoadBalancer,
        http: reqwest::Client,
        scheme: Scheme,
        bounds: &Bounds,
    ) -> Self {
        let (reads, last_fault) = (P95::default(), Mutex::default());
        Self { instances, http, scheme, bounds: bounds.clone(), reads, last_fault }
    }

    /// What went wrong last.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A process that has just started may be called before it knows whom to call. That is no fault
    /// of a call: it waits, as long as an attempt may take.
    pub(crate) async fn wait_for_instances(&self, deadline: Deadline) {
        if self.instances.is_awaited() {
            let left = deadline.remaining().unwrap_or_default();
            let limit = left.min(self.bounds.attempt_timeout);
            let _nobody_knows = timeout(limit, self.instances.first_update()).await;
        }
    }

    /// An instance that was not tried, if there is one; else one that has not asked to be left alone.
    pub(crate) fn pick(&self, request: &Request, attempts: &Attempts) -> Option<Pick> {
        let key = request.client_address.map(|address| address.to_string());
        let choice =
            key.as_deref().map_or_else(PickOptions::any, |key| PickOptions::any().key(key));
        if attempts.busy.is_empty() || self.has_untried(attempts) {
            return self.instances.pick(&choice.avoid(&attempts.instances));
        }
        self.instances.pick(&choice.avoid(&attempts.busy()))
    }

    /// Whether there is an instance that was not tried.
    pub(crate) fn has_untried(&self, attempts: &Attempts) -> bool {
        self.instances.has_other(&attempts.instances)
    }

    /// Whether one that was not tried may answer sooner: one that is known to be down does not.
    pub(crate) fn has_well_untried(&self, attempts: &Attempts) -> bool {
        self.instances.has_well_other(&attempts.instances)
    }

    /// How long the instances that are called ask to be left alone, when all of them do. One that is down
    /// is no reason to hurry.
    pub(crate) fn busy_for(&self, attempts: &Attempts) -> Option<Duration> {
        let asked = attempts.busy_for()?;
        let is_wait = !self.has_untried(attempts) && !self.instances.calls_others(&attempts.busy());
        is_wait.then_some(asked)
    }

    /// Sends a request, in attempt `number` of its call, from 1. No async function, whose future would
    /// keep all of the parts until the answer is there.
    pub(crate) fn send<'a>(
        &'a self,
        request: &'a Request,
        picked: Pick,
        place: LimitPermit,
        number: u32,
    ) -> impl Future<Output = AttemptResult> + use<'a> {
        let deadline = request.deadline;
        let left = deadline.remaining().unwrap_or_default();
        let url = self.base_url(&picked);
        let span = span(request, picked.instance(), url.as_ref(), number);
        let sent = url.map(|url| self.http.execute(span.in_scope(|| http_request(request, url))));
        let mut attempt = InFlight::new(self, request, picked, left);
        async move {
            let Some(sent) = sent else {
                return attempt.end(Err(Kind::Unexpected("the request cannot be built")), place);
            };
            // Pinned here: it is large, and would be moved with every future around it.
            let sent = pin!(sent);
            let answer = response::read(sent, self.bounds.answer_bytes_max);
            let answer = self.within(left, answer.instrument(span.clone())).await;
            let answer = answer.map_err(|kind| at_the_deadline(kind, deadline));
            if let Err(kind) = &answer {
                record(kind, &span);
            }
            attempt.end(answer, place)
        }
    }

    fn base_url(&self, picked: &Pick) -> Option<Url> {
        let mut url = picked.base_url()?.clone();
        if self.scheme == Scheme::Https {
            // Its port is the instance's, and not that of the scheme.
            url.set_scheme("https").ok()?;
            url.set_port(Some(picked.instance().port)).ok()?;
        }
        Some(url)
    }

    /// Waits for an answer as long as an attempt may take.
    async fn within(
        &self,
        left: Duration,
        answer: impl Future<Output = Result<Bytes, Kind>>,
    ) -> Result<Bytes, Kind> {
        let (limit, late) = if left < self.bounds.attempt_timeout {
            (left, Kind::DeadlineExceeded)
        } else {
            (self.bounds.attempt_timeout, Kind::TimedOut)
        };
        timeout(limit, answer).await.unwrap_or(Err(late))
    }

    /// Whether so much time without an answer counts against the target: at least half of
    /// `attempt_timeout`. Of a shorter one the caller's own deadline may be the cause.
    fn is_conclusive(&self, time: Duration) -> bool {
        time >= self.bounds.attempt_timeout / 2
    }

    /// Keeps a fault for operators, in the place of the one before.
    #[cold]
    fn note_fault(&self, kind: &Kind, instance: &Instance) {
        let what = kind.to_string();
        let endpoint = instance.authority();
        let fault = Fault { what, endpoint, at: Instant::now() };
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

/// An attempt under way. One that is dropped was given up by its caller, or another was quicker.
struct InFlight<'a> {
    transport: &'a Transport,
    request: &'a Request,
    instance: Arc<Instance>,
    picked: Option<Pick>,
    /// Until the call's deadline, at its begin.
    left: Duration,
    began: Instant,
}

impl<'a> InFlight<'a> {
    fn new(transport: &'a Transport, request: &'a Request, picked: Pick, left: Duration) -> Self {
        let instance = picked.instance().clone();
        let began = Instant::now();
        Self { transport, request, instance, picked: Some(picked), left, began }
    }

    fn end(&mut self, answer: Result<Bytes, Kind>, place: LimitPermit) -> AttemptResult {
        let outcome = match &answer {
            Ok(_) => Outcome::Success,
            Err(Kind::DeadlineExceeded) if self.transport.is_conclusive(self.left) => {
                Outcome::Failure
            }
            Err(kind) => kind.outcome(),
        };
        match &answer {
            Err(kind) if kind.is_overload() => place.overloaded(),
            _ if outcome == Outcome::Success => place.answered(),
            Err(_) | Ok(_) => drop(place),
        }
        let is_late = matches!(answer, Err(Kind::TimedOut | Kind::DeadlineExceeded));
        if self.request.is_read() && (answer.is_ok() || is_late) {
            self.transport.reads.note(self.began.elapsed());
        }
        if let (Err(kind), Outcome::Failure | Outcome::Throttled) = (&answer, outcome) {
            self.transport.note_fault(kind, &self.instance);
        }
        if outcome == Outcome::Failure {
            self.request.note_failure();
        }
        if let Some(picked) = self.picked.take() {
            picked.settle(outcome);
        }
        AttemptResult { instance: self.instance.clone(), answer }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Some(picked) = self.picked.take() else { return };
        let took = self.began.elapsed();
        let reads = &self.transport.reads;
        let is_late = self.request.is_read() && reads.get().is_some_and(|usual| took >= usual);
        if self.request.is_read() {
            reads.note(took);
        }
        if self.transport.is_conclusive(took) {
            self.request.note_failure();
            picked.settle(Outcome::Failure);
        } else if is_late {
            picked.outpaced();
        }
    }
}

/// What the end of an attempt means at the deadline of its call.
fn at_the_deadline(kind: Kind, deadline: Deadline) -> Kind {
    let is_over = || deadline.remaining().is_none_or(|left| left <= DEADLINE_SLACK);
    match kind {
        Kind::Server { status: 503, .. } if is_over() => Kind::DeadlineExceeded,
        other => other,
    }
}

fn record(kind: &Kind, span: &Span) {
    span.record("otel.status_code", "ERROR");
    span.in_scope(|| tracing::debug!(error = kind.label(), "attempt failed"));
    // The status of an answer is the type of its error.
    if !matches!(kind, Kind::NotFound | Kind::Client { .. } | Kind::Server { .. }) {
        span.record("error.type", kind.label());
    }
}

/// A client span by <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>. No query, which
/// may hold anything; the path may hold ids, the name may not.
fn span(request: &Request, instance: &Instance, base_url: Option<&Url>, number: u32) -> Span {
    let (path, _) = path_and_query(&request.path);
    let origin = base_url.map_or("", |url| url.as_str().trim_end_matches('/'));
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

/// The request as it is sent, with what is left of the deadline and the current span's context.
fn http_request(request: &Request, mut url: Url) -> reqwest::Request {
    let (path, query) = path_and_query(&request.path);
    url.set_path(path);
    url.set_query(query);
    let mut http = reqwest::Request::new(request.method.clone(), url);
    let headers = http.headers_mut();
    headers.clone_from(&request.headers);
    request.deadline.inject(headers);
    request.criticality.inject(headers);
    propagation::inject(headers);
    *http.body_mut() = request.body.clone().map(Into::into);
    http
}

fn path_and_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_target_that_gives_up_at_the_deadline_of_a_call_is_no_failure_of_its_own() {
        let busy = || Kind::Server { status: 503, retry_after: None };
        let within = |millis| Deadline::within(Duration::from_millis(millis));
        assert!(matches!(at_the_deadline(busy(), within(5)), Kind::DeadlineExceeded));
        assert!(matches!(at_the_deadline(busy(), within(6)), Kind::Server { status: 503, .. }));
        assert!(matches!(at_the_deadline(Kind::NotFound, within(0)), Kind::NotFound));
    }
}
