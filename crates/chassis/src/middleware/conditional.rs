//! Conditional reads (RFC 9110 §13): an answer with an `ETag` is not sent to who has it already.
//!
//! Handlers say what there is now, and its tag; what the caller knew is compared here, for every
//! route alike. What a change is conditional on is its handler's, since it must be compared within the
//! transaction: [`IfMatch`](crate::extract::IfMatch).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};

use crate::Problem;
use crate::extract::{EntityTag, EntityTags};

/// Answers 304 in the place of what `If-None-Match` names, and 412 in the place of what `If-Match`
/// does not.
pub(super) async fn conditional(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let wanted = EntityTags::of(request.headers(), &header::IF_MATCH);
    let known = EntityTags::of(request.headers(), &header::IF_NONE_MATCH);
    let response = next.run(request).await;
    let tag = response.headers().get(header::ETAG);
    let tag = tag.and_then(|tag| EntityTag::parse(tag.as_bytes()));
    let Some(tag) = tag.filter(|_| response.status() == StatusCode::OK) else { return response };
    if wanted.is_some_and(|wanted| !wanted.name_strongly(&tag)) {
        Problem::precondition_failed().into_response()
    } else if known.is_some_and(|known| known.name_weakly(&tag)) {
        not_modified(response)
    } else {
        response
    }
}

/// The same head without what describes the body.
fn not_modified(response: Response) -> Response {
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::NOT_MODIFIED;
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        head.headers.remove(name);
    }
    Response::from_parts(head, Body::empty())
}
