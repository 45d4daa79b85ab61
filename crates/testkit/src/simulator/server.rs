//! The simulator's HTTP side: reading a call, letting it go wrong, answering.

use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State as Extracted};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::routing::{any, get};
use axum::serve::{IncomingStream, Listener};
use faults::{FaultKind, Faults, PROVIDER, Watched, now_ms};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::calls::Call;
use super::cards;
use super::error::ApiError;
use super::form::Form;
use super::idempotency::{self, Begin};
use super::state::{State, new_id};
use super::{Fault, HOLD_MAX, RecordedRequest};

/// Far above any call's parameters.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// After an accept that failed, for want of file descriptors as a rule.
const ACCEPT_DELAY: Duration = Duration::from_millis(50);

type OnAnswer = dyn Fn(&RecordedRequest) + Send + Sync;

/// The state and the listener of answers, shared by all connections and the handle.
#[derive(Clone)]
pub(super) struct Shared {
    state: Arc<Mutex<State>>,
    /// What goes wrong with every call, as a file says.
    standing: Arc<Mutex<Option<Watched<Faults>>>>,
    on_answer: Arc<OnAnswer>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// What goes back, without the headers.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Value,
    replayed: bool,
}

impl From<Result<Value, ApiError>> for Answer {
    fn from(result: Result<Value, ApiError>) -> Self {
        let (status, body) = match result {
            Ok(body) => (200, body),
            Err(error) => (error.status, error.body()),
        };
        Self { status, body, replayed: false }
    }
}

pub(super) async fn run(listener: TcpListener, shared: Shared) {
    let router = Router::new()
        .route("/health", get(async || r#"{"status":"healthy","service":"payment-simulator"}"#))
        .route("/ready", get(async || r#"{"status":"ready"}"#))
        .route("/v1/{*call}", any(serve))
        .with_state(shared);
    let service = router.into_make_service_with_connect_info::<Peer>();
    // Ends by being aborted: serving never fails.
    let _ = axum::serve(PeerListener(listener), service).await;
}

async fn serve(
    Extracted(shared): Extracted<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response<Body> {
    let id = new_id("req");
    let call = read(request).await;
    let (version, key) = match &call {
        Ok(call) => (call.stripe_version.clone(), call.idempotency_key.clone()),
        Err(_) => (None, None),
    };
    let admitted = call.and_then(|call| shared.admit(&id, call));
    let (call, fault) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            let answer = shared.answered(&id, Err(error).into());
            return respond(&id, version, key, &answer);
        }
    };
    if fault == Some(Fault::Timeout) {
        tokio::time::sleep(HOLD_MAX).await;
        return peer.hang_up().await;
    }
    let cut = fault == Some(Fault::DropConnectionAfterCharging);
    // A task of its own: what has begun goes on when the client gives up, as at the provider.
    let work = tokio::spawn(perform(shared.clone(), call, fault));
    let Ok(answer) = work.await else {
        return peer.hang_up().await;
    };
    if cut {
        return peer.hang_up().await;
    }
    respond(&id, version, key, &shared.answered(&id, answer))
}

/// Runs a call once per idempotency key, with what goes wrong around it.
async fn perform(shared: Shared, call: Call, fault: Option<Fault>) -> Answer {
    match fault {
        Some(Fault::Status(status)) => return Err(ApiError::provider(status)).into(),
        Some(Fault::RateLimited) => return Err(ApiError::rate_limited()).into(),
        Some(Fault::Rejected) => {
            let message = "Your account cannot currently make live charges.";
            return Err(ApiError::invalid(message)).into();
        }
        Some(Fault::KeyReused) => return Err(idempotency::other_parameters(call.key())).into(),
        _ => {}
    }
    if let Some(key) = call.key() {
        match idempotency::begin(&mut shared.state(), key, &call.path, &call.form) {
            Ok(Begin::Run) => {}
            Ok(Begin::Replay(answer)) => {
                return Answer { replayed: true, ..answer };
            }
            Err(error) => return Err(error).into(),
        }
    }
    if let Some(Fault::Slow(delay)) = &fault {
        tokio::time::sleep(*delay).await;
    }
    let mut state = shared.state();
    let failed = || Answer::from(Err(ApiError::provider(500)));
    let answer = match fault {
        Some(Fault::ErrorWithoutCharging) => failed(),
        Some(Fault::ErrorAfterCharging) => {
            let _ = call.execute(&mut state);
            failed()
        }
        Some(Fault::Declined(reason)) => {
            state.decline = cards::decline(&reason);
            let answer = call.execute(&mut state).into();
            state.decline = None;
            answer
        }
        _ => call.execute(&mut state).into(),
    };
    if let Some(key) = call.key() {
        idempotency::finish(&mut state, key, &answer);
    }
    answer
}

impl Shared {
    pub(super) fn new(on_answer: impl Fn(&RecordedRequest) + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), standing: Arc::default(), on_answer: Arc::new(on_answer) }
    }

    pub(super) fn apply_faults_of(&self, file: &Path) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Some(Watched::new(file));
    }

    /// What goes wrong with every call now. A file that cannot be read says what it said before.
    fn standing(&self) -> Option<Fault> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = standing.as_mut()?;
        let _as_before = watched.refresh();
        match &watched.value().of(PROVIDER, now_ms())?.kind {
            FaultKind::Slow { by_ms } => {
                Some(Fault::Slow(Duration::from_millis(*by_ms).min(HOLD_MAX)))
            }
            FaultKind::Decline { code } => Some(Fault::Declined(code.clone())),
            FaultKind::Fail { status } => Some(Fault::Status(*status)),
            FaultKind::Freeze { .. } | FaultKind::Cut => None,
        }
    }

    /// The state. A panic under the lock leaves it as usable as it was.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call, checks its key, and takes the fault that waits for it.
    fn admit(&self, id: &str, call: Call) -> Result<(Call, Option<Fault>), ApiError> {
        let mut state = self.state();
        let record = RecordedRequest {
            id: id.to_owned(),
            method: call.method.clone(),
            path: call.path.clone(),
            idempotency_key: call.idempotency_key.clone(),
            stripe_version: call.stripe_version.clone(),
            status: None,
            replayed: false,
        };
        state.requests.insert(id, record);
        call.authenticate()?;
        let fault = state.faults.pop_front();
        drop(state);
        Ok((call, fault.or_else(|| self.standing())))
    }

    /// Records what a call is answered.
    fn answered(&self, id: &str, answer: Answer) -> Answer {
        let record = {
            let mut state = self.state();
            state.requests.get_mut(id).map(|record| {
                record.status = Some(answer.status);
                record.replayed = answer.replayed;
                record.clone()
            })
        };
        if let Some(record) = record {
            (self.on_answer)(&record);
        }
        answer
    }
}

/// Reads a call: parameters are in the body of a POST and in the query of a GET.
async fn read(request: Request) -> Result<Call, ApiError> {
    let (parts, body) = request.into_parts();
    let text = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let body = to_bytes(body, BODY_BYTES_MAX).await;
    let body =
        body.map_err(|_| ApiError::invalid("The request's body is too large or incomplete."))?;
    if !body.is_empty() && !is_form(&parts.headers) {
        return Err(ApiError::invalid(
            "Invalid request: the API takes parameters as application/x-www-form-urlencoded.",
        ));
    }
    let is_post = parts.method == axum::http::Method::POST;
    let query = parts.uri.query().unwrap_or_default();
    Ok(Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        authorization: text("authorization"),
        idempotency_key: text("idempotency-key"),
        stripe_version: text("stripe-version"),
        form: Form::parse(if is_post { &body } else { query.as_bytes() }),
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn respond(
    id: &str,
    version: Option<String>,
    key: Option<String>,
    answer: &Answer,
) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.to_string()));
    *response.status_mut() = answer.status.try_into().unwrap_or_default();
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("content-type", "application/json");
    set("request-id", id);
    if let Some(version) = version {
        set("stripe-version", &version);
    }
    if let Some(key) = key {
        set("idempotency-key", &key);
    }
    if answer.replayed {
        set("idempotent-replayed", "true");
    }
    match answer.status {
        401 => set("www-authenticate", r#"Bearer realm="Stripe""#),
        429 => set("retry-after", "1"),
        _ => {}
    }
    response
}

/// Accepts connections and keeps a handle on each, so that a fault can cut it.
struct PeerListener(TcpListener);

impl Listener for PeerListener {
    type Io = TcpStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (TcpStream, Peer) {
        loop {
            let accepted = self.0.accept().await;
            if let Ok(pair) = accepted.and_then(|(stream, _)| with_handle(stream)) {
                return pair;
            }
            tokio::time::sleep(ACCEPT_DELAY).await;
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn with_handle(stream: TcpStream) -> io::Result<(TcpStream, Peer)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let peer = Peer(Arc::new(stream.try_clone()?));
    Ok((TcpStream::from_std(stream)?, peer))
}

/// The client's end of the wire.
#[derive(Debug, Clone)]
struct Peer(Arc<std::net::TcpStream>);

impl Peer {
    /// Closes the connection under the server, which then drops the request: nothing is answered.
    async fn hang_up(&self) -> Response<Body> {
        // It fails when the client has gone first.
        let _ = self.0.shutdown(Shutdown::Both);
        std::future::pending().await
    }
}

impl Connected<IncomingStream<'_, PeerListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, PeerListener>) -> Self {
        stream.remote_addr().clone()
    }
}
