//! Optimistic concurrency over HTTP: `ETag` out, `If-Match` in (RFC 9110 §13.1.1).

use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use crate::Problem;

/// A resource's version as a strong entity tag: `"7"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(pub i64);

impl IntoResponseParts for ETag {
    type Error = Problem;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Problem> {
        let value = HeaderValue::try_from(format!("\"{}\"", self.0));
        parts.headers_mut().insert(header::ETAG, value.map_err(|_| Problem::internal())?);
        Ok(parts)
    }
}

/// The version that the caller last saw. Missing: 428. Not one of our tags: 412.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub i64);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            let title = "The change needs a precondition";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition", title)
                .detail("read the resource and send its ETag in If-Match"));
        };
        let tag = value.to_str().ok().map(str::trim);
        tag.and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
            .map(Self)
            .ok_or_else(Problem::precondition_failed)
    }
}
