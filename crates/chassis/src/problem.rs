//! Problem details (RFC 9457): the one shape of every error, framework rejections included.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

pub mod kind;
pub(crate) mod pages;

pub use kind::Kind;

/// Rejections of single fields in one answer at most.
const FIELD_ERRORS_MAX: usize = 32;

/// An error answer: `application/problem+json`.
///
/// `kind` is stable and made for programs, one of [`kind`]; `title` is fixed per kind; `detail` is about this one
/// request and never holds a secret or another person's data.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Identifies the kind of problem: `/problems/<kind>`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/validation")]
    kind: Cow<'static, str>,
    /// The same sentence for every problem of this kind.
    title: &'static str,
    /// The HTTP status code, again.
    status: u16,
    /// What went wrong with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Which fields were refused, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after: Option<Duration>,
    /// How to come, where that is more than with a token. In a box, since problems go through every handler.
    #[serde(skip)]
    challenge: Option<Box<HeaderValue>>,
}

/// One refused field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body (RFC 6901), such as `/email`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// A problem of a kind, with its status and its title.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind: Cow::Owned(format!("/problems/{}", kind.name)),
            title: kind.title,
            status: kind.status.as_u16(),
            detail: None,
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
        }
    }

    /// The problem of an error that is known by its status alone.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::bad_request("it is not what is expected here"),
            StatusCode::NOT_FOUND => Self::not_found("there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::REQUEST_TIMEOUT => Self::request_timeout("it did not end"),
            StatusCode::URI_TOO_LONG => Self::new(kind::URI_TOO_LONG),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::new(kind::HEAD_TOO_LARGE),
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(),
            StatusCode::SERVICE_UNAVAILABLE => {
                Self::unavailable("the service is busy; try again", Duration::from_secs(1))
            }
            StatusCode::HTTP_VERSION_NOT_SUPPORTED => Self::new(kind::HTTP_VERSION),
            // RFC 9457, section 4.2.1: nothing is said beyond the status.
            _ => Self {
                kind: Cow::Borrowed("about:blank"),
                title: status.canonical_reason().unwrap_or("Unknown"),
                status: status.as_u16(),
                ..Self::internal()
            },
        }
    }

    /// 422: the request was understood and some of its fields are refused.
    pub fn validation() -> Self {
        Self::new(kind::VALIDATION)
    }

    /// 400: the request could not be read.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(kind::BAD_REQUEST).detail(detail)
    }

    /// 401: no credentials, or none that are accepted.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(kind::UNAUTHORIZED).detail(detail)
    }

    /// 403: the caller is known and may not do this.
    pub fn forbidden() -> Self {
        Self::new(kind::FORBIDDEN)
    }

    /// 403: the caller may do this, and the token that is shown carries too little. The header says what is missing
    /// (RFC 6750 §3.1).
    pub fn insufficient_scope(scope: impl Display) -> Self {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        let problem = Self::new(kind::INSUFFICIENT_SCOPE);
        let problem = problem.detail(format!("a token with the scope {scope} is needed"));
        Self { challenge: HeaderValue::try_from(challenge).ok().map(Box::new), ..problem }
    }

    /// 404: there is no such thing, or it is not the caller's to see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(kind::NOT_FOUND).detail(detail)
    }

    /// 405: the path is there, and has no such method. Which it has, the header `Allow` says.
    pub fn method_not_allowed() -> Self {
        Self::new(kind::METHOD_NOT_ALLOWED)
    }

    /// 408: a request, or the rest of one, did not come in time.
    pub fn request_timeout(detail: impl Into<String>) -> Self {
        Self::new(kind::REQUEST_TIMEOUT).detail(detail)
    }

    /// 412: the resource is not in the state that the caller takes it to be in.
    pub fn precondition_failed() -> Self {
        Self::new(kind::PRECONDITION_FAILED).detail(
            "If-Match does not name its current ETag: read it again and send that, as it is. A weak \
             tag, W/\"…\", names none",
        )
    }

    /// 413: the body is larger than the route takes.
    pub fn too_large() -> Self {
        Self::new(kind::TOO_LARGE)
    }

    /// 415: the body is of a type that the route does not take.
    pub fn media_type(detail: impl Into<String>) -> Self {
        Self::new(kind::MEDIA_TYPE).detail(detail)
    }

    /// 428: the change needs a precondition.
    pub fn precondition_required() -> Self {
        Self::new(kind::PRECONDITION).detail("read the resource and send its ETag in If-Match")
    }

    /// 429: the caller does this more often than it may; refused without having been looked at.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self::new(kind::RATE_LIMITED)
            .detail("try again once the time in Retry-After is over")
            .retry_after(retry_after)
    }

    /// 503: something that this service needs is away; the caller may try again.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(kind::UNAVAILABLE).detail(detail).retry_after(retry_after)
    }

    /// 500: our fault. Says nothing of the cause; the log does, under the answer's request id.
    pub fn internal() -> Self {
        Self::new(kind::INTERNAL)
    }

    /// Says what went wrong with this request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names a refused field; those past the 32nd are left out.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        if self.errors.len() < FIELD_ERRORS_MAX {
            self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        }
        self
    }

    /// This problem with the refused fields of another one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let fields = other.errors.into_iter();
        fields.fold(self, |problem, error| problem.field(error.pointer, error.detail))
    }

    /// Tells the caller when to try again (`Retry-After`, rounded up to whole seconds).
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after;
        let bearer = || HeaderValue::from_static("Bearer");
        let is_unknown = status == StatusCode::UNAUTHORIZED;
        let challenge = self.challenge.as_deref().cloned().or_else(|| is_unknown.then(bearer));
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A cache may keep some errors unless it is told otherwise (RFC 9111 §4.2.2).
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
