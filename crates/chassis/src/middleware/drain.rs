//! A service that drains tells callers with a kept connection to come back on another one.

use axum::response::Response;
use http::HeaderValue;
use http::header::CONNECTION;

use crate::health::Health;

/// `Connection: close` on every answer once readiness is withdrawn: who is told closes the
/// connection after this answer. One that is idle is closed when the port is, and a request that
/// is sent in that very moment is lost to a caller who does not repeat it (RFC 9112, section 9.5).
pub(super) fn close_when_draining(health: &Health, response: &mut Response) {
    if !health.is_serving() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
