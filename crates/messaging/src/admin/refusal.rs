//! Refusals as problem details (RFC 9457), in the shape that the chassis gives all others.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use strict_json::{FieldFault, Unreadable};

use crate::archive::ArchiveError;
use crate::dead_letter_queue::DeadLetterError;

/// When to ask again while the broker is away, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    faults: Vec<FieldFault>,
}

impl Refusal {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), faults: Vec::new() }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        let title = "The request could not be read";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", title, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such resource", detail)
    }

    pub(super) fn media_type() -> Self {
        let title = "The body's media type is not supported";
        let detail = "send JSON with the header Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title, detail)
    }

    fn changed(detail: String) -> Self {
        let title = "What matches is not what was confirmed";
        Self::new(StatusCode::CONFLICT, "changed", title, detail)
    }

    fn unavailable(detail: impl Into<String>) -> Self {
        let title = "The service cannot do this now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail)
    }
}

impl From<DeadLetterError> for Refusal {
    fn from(error: DeadLetterError) -> Self {
        let detail = error.to_string();
        match error {
            DeadLetterError::NotFound | DeadLetterError::NotSeen { .. } => Self::not_found(detail),
            DeadLetterError::Limit => Self::bad_request(detail),
            DeadLetterError::Changed => Self::changed(detail),
            DeadLetterError::Busy => Self::unavailable(detail),
            DeadLetterError::Unavailable
            | DeadLetterError::Broker(_)
            | DeadLetterError::Ended
            | DeadLetterError::Topology(_) => {
                tracing::warn!(error = detail, "dead-letter queue could not be worked on");
                Self::unavailable("the broker does not answer as it should")
            }
        }
    }
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        let detail = error.to_string();
        match error {
            ArchiveError::Limit | ArchiveError::UnknownQueue => Self::bad_request(detail),
            ArchiveError::Changed => Self::changed(detail),
            ArchiveError::Unavailable | ArchiveError::Database(_) => {
                tracing::warn!(error = detail, "archived events could not be worked on");
                Self::unavailable("the broker or the database does not answer as it should")
            }
        }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(_: QueryRejection) -> Self {
        Self::bad_request(
            "the query string is not valid: times are RFC 3339, limit is a number, flags are true or false",
        )
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let title = "The body is too large";
            return Self::new(rejection.status(), "too-large", title, "send less of it");
        }
        Self::bad_request("the body ended before its announced length")
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Fields(faults) => {
                let title = "Some fields are not valid";
                let detail = "times are RFC 3339, numbers are whole";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self { faults, ..Self::new(status, "validation", title, detail) }
            }
            other => Self::bad_request(other.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, kind, title, detail, faults } = self;
        let mut body = json!({
            "type": format!("/problems/{kind}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        if !faults.is_empty() {
            let error =
                |FieldFault { pointer, detail }| json!({"pointer": pointer, "detail": detail});
            body["errors"] = faults.into_iter().map(error).collect();
        }
        let mut response = (status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
