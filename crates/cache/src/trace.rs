//! A client span for each command, by <https://opentelemetry.io/docs/specs/semconv/db/redis/>: its
//! name, never its keys and values.

use std::sync::Arc;

use redis::{Cmd, ConnectionAddr, ConnectionInfo};
use tracing::Span;
use tracing::field::Empty;

use crate::CacheError;

/// Where the commands go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Server(Arc<Address>);

#[derive(Debug)]
struct Address {
    host: String,
    port: Option<u16>,
    /// The number of the database.
    database: String,
}

impl Server {
    pub(crate) fn of(info: &ConnectionInfo) -> Self {
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host.clone(), Some(*port))
            }
            other => (other.to_string(), None),
        };
        Self(Arc::new(Address { host, port, database: info.redis_settings().db().to_string() }))
    }

    /// The span of a command within a trace that is recorded; outside of one there is none.
    pub(crate) fn span(&self, command: &Cmd) -> Span {
        if !telemetry::propagation::is_sampled() {
            return Span::none();
        }
        let Address { host, port, database } = &*self.0;
        let name = crate::name(command);
        tracing::info_span!(
            "cache",
            otel.name = format!("{name} {database}"),
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = "redis",
            db.namespace = database,
            db.operation.name = name,
            db.response.status_code = Empty,
            server.address = host,
            server.port = port,
            error.type = Empty,
        )
    }
}

/// Leaves what went wrong on the span: the code that Redis gave (`WRONGTYPE`), or the kind of fault.
pub(crate) fn record(span: &Span, error: &CacheError) {
    span.record("otel.status_code", "ERROR");
    let code = match error {
        CacheError::Redis(error) => error.code(),
        _ => None,
    };
    span.record("db.response.status_code", code);
    span.record("error.type", code.unwrap_or(error.kind()));
}
