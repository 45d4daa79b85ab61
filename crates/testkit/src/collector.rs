//! A receiver of spans: OTLP over gRPC on a real socket, as a collector has it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let collector = testkit::collector::Collector::start();
//! // … give `collector.endpoint()` to the process under test as `TRACING_ENDPOINT` …
//! assert!(collector.spans().is_empty());
//! # }
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span as ProtocolSpan;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::certificates::Certificates;

/// A running receiver. It ends when this value is dropped.
#[derive(Debug)]
pub struct Collector {
    scheme: &'static str,
    address: SocketAddr,
    spans: Spans,
    task: JoinHandle<()>,
}

/// A span as it was exported.
#[derive(Debug, Clone)]
pub struct Span {
    /// In hexadecimal digits.
    pub trace_id: String,
    /// In hexadecimal digits.
    pub span_id: String,
    /// In hexadecimal digits; empty for the root of a trace.
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer`, `internal` or `unspecified`.
    pub kind: &'static str,
    /// Whether its status says that it failed.
    pub failed: bool,
    /// Nanoseconds since 1970.
    pub began: u64,
    /// Nanoseconds since 1970.
    pub ended: u64,
    /// Its attributes, values as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the process that exported it, values as text.
    pub resource: BTreeMap<String, String>,
    /// Trace and span ids of what it is linked to, in hexadecimal digits.
    pub links: Vec<(String, String)>,
    /// All of it, for what looks for a word that must not be anywhere.
    pub whole: String,
}

impl Span {
    /// An attribute; empty when there is none.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The name of the service that exported it.
    pub fn service(&self) -> &str {
        self.resource.get("service.name").map_or("", String::as_str)
    }
}

impl Collector {
    /// Listens on a free port of 127.0.0.1. Must be called within a tokio runtime.
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// Listens on this port of 127.0.0.1, which is free; 0 for any. Must be called within a tokio
    /// runtime.
    pub fn start_at(port: u16) -> Self {
        Self::serve(port, Spans::default())
    }

    /// The same on a free port, of a receiver that keeps nothing: where figures are measured, and one that
    /// takes spans apart would have the processor that they are about.
    pub fn start_discarding() -> Self {
        Self::serve(0, Spans(None))
    }

    fn serve(port: u16, spans: Spans) -> Self {
        let (address, incoming) = listen(port);
        let service = TraceServiceServer::new(spans.clone());
        let server = Server::builder().add_service(service).serve_with_incoming(incoming);
        let task = tokio::spawn(async move { server.await.expect("the receiver serves") });
        Self { scheme: "http", address, spans, task }
    }

    /// Listens on a free port of 127.0.0.1, speaks TLS, and refuses whom does not send `header` with
    /// each export: its name, in lower case, and its value. Must be called within a tokio runtime.
    pub fn start_with_tls(certificates: &Certificates, header: (&'static str, &str)) -> Self {
        let read = |path| std::fs::read(path).expect("a certificate can be read");
        let identity =
            Identity::from_pem(read(certificates.certificate()), read(certificates.key()));
        let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity));
        let server = server.expect("the certificate fits its key");
        let name = header.0;
        let value = header.1.to_owned();
        let admit = move |request: Request<()>| match request.metadata().get(name) {
            Some(found) if found.as_bytes() == value.as_bytes() => Ok(request),
            _ => Err(Status::unauthenticated("the header is missing")),
        };
        let spans = Spans::default();
        let service = TraceServiceServer::with_interceptor(spans.clone(), admit);
        let (address, incoming) = listen(0);
        let server = { server }.add_service(service).serve_with_incoming(incoming);
        let task = tokio::spawn(async move { server.await.expect("the receiver serves") });
        Self { scheme: "https", address, spans, task }
    }

    /// Where to export to.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// All spans so far, in the order of their arrival.
    pub fn spans(&self) -> Vec<Span> {
        let Some(kept) = &self.spans.0 else { return Vec::new() };
        kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn listen(port: u16) -> (SocketAddr, TcpIncoming) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let incoming = TcpIncoming::bind(address).expect("a free port can be listened on");
    let address = incoming.local_addr().expect("a port that is listened on has a number");
    (address, incoming)
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came in; none where nothing is kept.
#[derive(Debug, Clone)]
struct Spans(Option<Arc<Mutex<Vec<Span>>>>);

impl Default for Spans {
    fn default() -> Self {
        Self(Some(Arc::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let done = Ok(Response::new(ExportTraceServiceResponse::default()));
        let Some(kept) = &self.0 else { return done };
        let mut spans = Vec::new();
        for of_process in request.into_inner().resource_spans {
            let resource = attributes(of_process.resource.unwrap_or_default().attributes);
            let scopes = of_process.scope_spans.into_iter();
            spans.extend(scopes.flat_map(|scope| scope.spans).map(|it| span(it, &resource)));
        }
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
        done
    }
}

fn span(span: ProtocolSpan, resource: &BTreeMap<String, String>) -> Span {
    let whole = format!("{span:?} {resource:?}");
    let links = span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id)));
    Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        kind: ["unspecified", "internal", "server", "client", "producer", "consumer"]
            .get(usize::try_from(span.kind).unwrap_or_default())
            .copied()
            .unwrap_or("unspecified"),
        // 2 is `STATUS_CODE_ERROR`.
        failed: span.status.is_some_and(|status| status.code == 2),
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        links: links.collect(),
        attributes: attributes(span.attributes),
        resource: resource.clone(),
        name: span.name,
        whole,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
