//! The key of a request that may be repeated: `Idempotency-Key`.
//!
//! Source: the IETF draft "The Idempotency-Key HTTP Header Field".

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::Problem;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The caller's key: 1 to 255 visible characters. Missing, empty, too long, or more than one, since
/// nobody can say which of them counts: 400. A route that can do without takes an `Option` of it,
/// which a key of another shape refuses all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        key(&parts.headers)?.ok_or_else(bad)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        key(&parts.headers)
    }
}

fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let key = values.next().map(|value| parse(value).ok_or_else(bad)).transpose()?;
    if values.next().is_some() {
        return Err(Problem::bad_request("send one Idempotency-Key, not several"));
    }
    Ok(key)
}

fn parse(value: &HeaderValue) -> Option<IdempotencyKey> {
    let key = value.to_str().ok()?.trim();
    (1..=KEY_BYTES_MAX).contains(&key.len()).then(|| IdempotencyKey(key.to_owned()))
}

fn bad() -> Problem {
    Problem::bad_request(
        "send an Idempotency-Key of 1 to 255 visible characters: a new one for a new request, the \
         same one to ask again",
    )
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::*;

    async fn of(keys: &[&[u8]]) -> [Result<Option<IdempotencyKey>, StatusCode>; 2] {
        let mut request = Request::builder();
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let required =
            <IdempotencyKey as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await;
        let optional =
            <IdempotencyKey as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &());
        let status = |problem: Problem| problem.status();
        [required.map(Some).map_err(status), optional.await.map_err(status)]
    }

    #[tokio::test]
    async fn a_key_may_be_missing_where_it_is_optional_and_is_of_the_right_shape_everywhere() {
        let bad = StatusCode::BAD_REQUEST;
        let longest = "x".repeat(255);
        let key = Ok(Some(IdempotencyKey(longest.clone())));
        assert_eq!(of(&[]).await, [Err(bad), Ok(None)]);
        assert_eq!(of(&[longest.as_bytes()]).await, [key.clone(), key]);
        for wrong in [&b" "[..], "\u{e9}".as_bytes(), "x".repeat(256).as_bytes()] {
            assert_eq!(of(&[wrong]).await, [Err(bad), Err(bad)]);
        }
    }

    #[tokio::test]
    async fn several_keys_are_refused_whether_they_are_the_same_or_not() {
        let bad = StatusCode::BAD_REQUEST;
        for keys in [&[b"a", b"a"], &[b"a", b"b"]] {
            assert_eq!(of(&[keys[0], keys[1]]).await, [Err(bad), Err(bad)]);
        }
    }
}
