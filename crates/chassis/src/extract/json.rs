//! JSON bodies: media type, size, encoding, syntax and fields, each with its own status.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strict_json::{FieldFault, Unreadable};

use crate::Problem;
use crate::extract::media_type;

const JSON: &str = "application/json";

/// A JSON body. As an argument: 415 for another media type, 413 for one that is too large, 400 for
/// one that is cut short or no JSON, 422 with a pointer for each field that is wrong, missing or
/// unknown. A struct is read from an object only, see [`strict_json`].
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state, &[JSON]).await.map(Self)
    }
}

/// A JSON merge patch (RFC 7396), as a [`Json`] body: `application/merge-patch+json`, and plain JSON
/// for those who have always sent that. A patch of another kind (RFC 6902) is 415, not guessed at.
#[derive(Debug)]
pub struct MergePatch<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MergePatch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state, &["application/merge-patch+json", JSON]).await.map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

async fn read<S: Send + Sync, T: DeserializeOwned>(
    request: Request,
    state: &S,
    accepted: &[&str],
) -> Result<T, Problem> {
    if !is_one_of(accepted, request.headers()) {
        let types = accepted.join(" or ");
        let detail = format!("send JSON with the header Content-Type: {types}");
        return Err(Problem::media_type(detail));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::media_type("send the body as it is, without a Content-Encoding"));
    }
    let body =
        Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
    parse(&body)
}

/// Whether the body is of one of these types, whatever the parameters say: JSON has none.
fn is_one_of(accepted: &[&str], headers: &HeaderMap) -> bool {
    accepted.iter().any(|accepted| media_type(headers).eq_ignore_ascii_case(accepted))
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_large();
    }
    cut_short()
}

/// 400, for a body whose end does not come.
pub(crate) fn cut_short() -> Problem {
    Problem::bad_request("the body ended before its announced length")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    strict_json::from_slice(body).map_err(|unreadable| match unreadable {
        Unreadable::Fields(faults) => faults
            .into_iter()
            .fold(Problem::validation(), |problem, FieldFault { pointer, detail }| {
                problem.field(pointer, detail)
            }),
        other => Problem::bad_request(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        amount: i64,
    }

    fn body(json: &str) -> (StatusCode, String) {
        let problem = parse::<Order>(json.as_bytes()).unwrap_err();
        (problem.status(), serde_json::to_string(&problem).unwrap())
    }

    #[test]
    fn a_wrong_type_is_named_by_pointer_and_not_echoed() {
        let (status, text) = body(r#"{"amount": "4242424242424242"}"#);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(text.contains(r#""pointer":"/amount","detail":"expected an integer""#), "{text}");
        assert!(!text.contains("4242"), "{text}");
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_and_told_that_one_is_expected() {
        for json in ["[1]", "[]", "[null]", "null", "7", "\"amount\"", "true"] {
            let (status, text) = body(json);
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{json}");
            let field = r#""pointer":"","detail":"expected an object""#;
            assert!(text.contains(field), "{json}: {text}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_or_an_exponent() {
        for (json, amount) in [(r#"{"amount": 5.0}"#, 5), (r#"{"amount": 5e2}"#, 500)] {
            assert_eq!(parse::<Order>(json.as_bytes()).unwrap().amount, amount, "{json}");
        }
        assert_eq!(body(r#"{"amount": 5.5}"#).0, StatusCode::UNPROCESSABLE_ENTITY);
    }

    #[test]
    fn all_faults_of_a_body_are_reported_in_one_answer() {
        let (status, text) = body(r#"{"colour": "red", "size": 7}"#);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        for pointer in ["/colour", "/size", "/amount"] {
            assert!(text.contains(&format!(r#""pointer":"{pointer}""#)), "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let (status, text) = body(r#"{"amount": 1, "colour": "red"}"#);
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(text.contains("unknown field `colour`"), "{text}");
        assert!(!text.contains("red"), "{text}");
    }

    #[test]
    fn neither_serdes_own_words_in_a_value_nor_a_key_that_is_a_value_come_back() {
        for json in [
            r#"{"amount": "4242424242424242 at line 1"}"#,
            r#"{"amount": "4242424242424242, expected i64"}"#,
            r#"{"amount": 1, "4242424242424242": 1}"#,
            r#"{"amount": 1, "card4242424242424242": 1}"#,
            r#"{"amount": {"4242424242424242": 1}}"#,
        ] {
            let (status, text) = body(json);
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(!text.contains("4242"), "{text}");
        }
    }

    #[test]
    fn a_body_cut_short_and_one_followed_by_more_are_distinguished_from_wrong_fields() {
        assert_eq!(body(r#"{"amount": "#).0, StatusCode::BAD_REQUEST);
        assert_eq!(body(r#"{"amount": 1} {}"#).0, StatusCode::BAD_REQUEST);
    }
}
