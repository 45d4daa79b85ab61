//! Conditional reads (RFC 9110 §13): an answer with an `ETag` is not sent to who has it already.
//!
//! Handlers say what there is now, and its tag; what the caller knew is compared here, for every
//! route alike. What a change is conditional on is its handler's, since it must be compared within the
//! transaction: [`IfMatch`](crate::extract::IfMatch).

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use http_body::Body as _;

use crate::Problem;
use crate::extract::{EntityTag, EntityTags};

/// What a read is conditional on; other requests are not looked at.
pub(super) struct Conditions {
    wanted: Option<EntityTags>,
    known: Option<EntityTags>,
    is_head: bool,
}

impl Conditions {
    pub(super) fn of(request: &Request) -> Self {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let tags = |name| is_read.then(|| EntityTags::of(request.headers(), name)).flatten();
        let wanted = tags(&header::IF_MATCH);
        let known = tags(&header::IF_NONE_MATCH);
        Self { wanted, known, is_head: request.method() == Method::HEAD }
    }

    /// Answers 304 in the place of what `If-None-Match` names, and 412 in the place of what `If-Match`
    /// does not.
    pub(super) fn apply(self, response: Response) -> Response {
        let Self { wanted, known, is_head } = self;
        if wanted.is_none() && known.is_none() || response.status() != StatusCode::OK {
            return response;
        }
        let tag = response.headers().get(header::ETAG);
        let Some(tag) = tag.and_then(|tag| EntityTag::parse(tag.as_bytes())) else {
            return response;
        };
        if wanted.is_some_and(|wanted| !wanted.name_strongly(&tag)) {
            Problem::precondition_failed().into_response()
        } else if known.is_some_and(|known| known.name_weakly(&tag)) {
            not_modified(response, is_head)
        } else {
            response
        }
    }
}

/// The same head without what describes the body. To a `HEAD` axum tells the length of what is sent,
/// and 0 would be that of no answer (RFC 9110 §8.6): there it is the length of what was found.
fn not_modified(response: Response, is_head: bool) -> Response {
    let (mut head, body) = response.into_parts();
    head.status = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        head.headers.remove(name);
    }
    if let Some(length) = body.size_hint().exact().filter(|_| is_head) {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Body::empty())
}
