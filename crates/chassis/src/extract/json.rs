//! JSON bodies: media type, size, encoding, syntax and fields, each with its own status.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use strict_json::Strict;

use crate::Problem;

/// A JSON body. As an argument: 415 for another media type, 413 for one that is too large, 400 for
/// one that is cut short or no JSON, 422 with a pointer for a field that is wrong or unknown. A
/// struct is read from an object only, see [`Strict`].
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let title = "The body's media type is not supported";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", title)
                .detail("send JSON with the header Content-Type: application/json"));
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    cut_short()
}

/// 400, for a body whose end does not come.
pub(crate) fn cut_short() -> Problem {
    Problem::bad_request("the body ended before its announced length")
}

/// 413, as the body limit gives it.
pub(crate) fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if std::str::from_utf8(body).is_err() {
        return Err(Problem::bad_request("the body is not UTF-8"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Strict(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        refused(&pointer, error.inner())
    })?;
    deserializer.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

fn refused(pointer: &str, error: &serde_json::Error) -> Problem {
    match error.classify() {
        Category::Data => Problem::validation().field(pointer, without_values(&error.to_string())),
        Category::Eof => Problem::bad_request("the body is cut short: its JSON does not end"),
        Category::Syntax | Category::Io => Problem::bad_request(format!(
            "the body is not JSON: line {}, column {}",
            error.line(),
            error.column()
        )),
    }
}

/// A JSON pointer (RFC 6901) to where the error is.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } => {
                pointer.push('/');
                // A key that is no name may be a value in the wrong place.
                pointer.push_str(if is_name(key) { key } else { "…" });
            }
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// serde's words without the value they quote: a card number in the wrong place must not come back.
pub(crate) fn without_values(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(words, _)| words);
    if let Some((name, _)) = message.strip_prefix("unknown field `").and_then(|m| m.split_once('`'))
        && !is_name(name)
    {
        return "unknown field".to_owned();
    }
    for found in ["invalid type: ", "invalid value: ", "unknown variant ", "invalid length "] {
        if let Some(rest) = message.find(found).map(|at| &message[at..])
            && let Some(expected) = rest.rfind("expected ")
        {
            let expected = &rest[expected..];
            // The name of the type in the code tells a caller nothing.
            let is_struct = expected.starts_with("expected struct ");
            return if is_struct { "expected an object" } else { expected }.to_owned();
        }
    }
    message.to_owned()
}

/// Whether a key reads like a field's name: then naming it helps, and it is no card number.
fn is_name(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(word)
        && key.bytes().filter(u8::is_ascii_digit).count() < 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[expect(dead_code, reason = "only read by serde")]
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
        assert!(text.contains(r#""pointer":"/amount","detail":"expected i64""#), "{text}");
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
    fn a_body_cut_short_and_one_followed_by_more_are_told_apart_from_wrong_fields() {
        assert_eq!(body(r#"{"amount": "#).0, StatusCode::BAD_REQUEST);
        assert_eq!(body(r#"{"amount": 1} {}"#).0, StatusCode::BAD_REQUEST);
    }
}
