//! Refusals as problem details (RFC 9457), in the shape that the chassis gives all others.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

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
}

impl Refusal {
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        let title = "The request could not be read";
        Self { status: StatusCode::BAD_REQUEST, kind: "bad-request", title, detail: detail.into() }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        let title = "There is no such resource";
        Self { status: StatusCode::NOT_FOUND, kind: "not-found", title, detail: detail.into() }
    }
}

impl From<DeadLetterError> for Refusal {
    fn from(error: DeadLetterError) -> Self {
        let detail = error.to_string();
        match error {
            DeadLetterError::NotFound | DeadLetterError::NotSeen { .. } => Self::not_found(detail),
            DeadLetterError::Limit => Self::bad_request(detail),
            DeadLetterError::Changed => Self {
                status: StatusCode::CONFLICT,
                kind: "changed",
                title: "What matches is not what was confirmed",
                detail,
            },
            DeadLetterError::Busy => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                kind: "unavailable",
                title: "The service cannot do this now",
                detail,
            },
            DeadLetterError::Unavailable
            | DeadLetterError::Broker(_)
            | DeadLetterError::Ended
            | DeadLetterError::Topology(_) => {
                tracing::warn!(error = detail, "dead-letter queue could not be worked on");
                Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    kind: "unavailable",
                    title: "The service cannot do this now",
                    detail: "the broker does not answer as it should".to_owned(),
                }
            }
        }
    }
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        let detail = error.to_string();
        let (status, kind, title, detail) = match error {
            ArchiveError::Limit | ArchiveError::UnknownQueue => return Self::bad_request(detail),
            ArchiveError::Changed => {
                (StatusCode::CONFLICT, "changed", "What matches is not what was confirmed", detail)
            }
            ArchiveError::Unavailable | ArchiveError::Database(_) => {
                tracing::warn!(error = detail, "archived events could not be worked on");
                let detail = "the broker or the database does not answer as it should".to_owned();
                let title = "The service cannot do this now";
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail)
            }
        };
        Self { status, kind, title, detail }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(_: QueryRejection) -> Self {
        Self::bad_request(
            "the query string is not valid: times are RFC 3339, limit is a number, flags are true or false",
        )
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        let mut refusal = Self::bad_request(
            "the body is no object with a filter in JSON: times are RFC 3339, numbers are whole",
        );
        refusal.status = rejection.status();
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, kind, title, detail } = self;
        let body = json!({
            "type": format!("/problems/{kind}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = (status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
