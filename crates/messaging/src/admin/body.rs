//! The bodies of these routes, read as the services read theirs.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header;
use serde::de::DeserializeOwned;

use crate::admin::refusal::Refusal;

/// A JSON body: 415 for another media type, 413 for one that is too large, 400 for one that is no JSON,
/// 422 with a pointer for each field that is wrong, missing or unknown.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::media_type());
        }
        let body = Bytes::from_request(request, state).await?;
        Ok(Self(strict_json::from_slice(&body)?))
    }
}
