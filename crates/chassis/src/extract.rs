//! Extractors whose rejections are problem documents that say what and where, without echoing values.

mod etag;
mod idempotency;
mod json;
mod request_context;

pub use etag::{ETag, IfMatch};
pub(crate) use etag::{EntityTag, EntityTags};
pub use idempotency::IdempotencyKey;
pub(crate) use json::cut_short;
pub use json::{Json, MergePatch};
pub use request_context::RequestContext;

use axum::extract::{FromRequestParts, rejection};
use http::request::Parts;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::Problem;

/// The media type that a message says its body is of, without parameters; empty when it says none.
pub fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
}

/// Path parameters; one that does not parse is a 400 problem.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection::PathRejection::FailedToDeserializePathParams(_)) => {
                Err(Problem::bad_request("a part of the path is not valid: ids are UUIDs"))
            }
            Err(_) => Err(Problem::internal()),
        }
    }
}

/// The query string; one that does not parse is a 400 problem.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::bad_request(format!(
                "the query string is not valid: {}",
                strict_json::without_values(&rejection.body_text())
            ))),
        }
    }
}
