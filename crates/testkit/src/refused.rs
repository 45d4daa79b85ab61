//! What every service refuses: tokens that are not good for it, and bodies that nobody can read.

use std::time::Duration;

use auth::Role;
use chassis::Clock;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

use crate::{Instance, problem};

const JSON: &str = "application/json";

impl Instance {
    /// Asserts that reading `path` without a token that is good for it is answered with 401: without one,
    /// with nonsense, with a user's whose time is up, with one for another service.
    pub async fn assert_needs_token(&self, path: &str) {
        let past = Clock::manual(Clock::system().now() - Duration::from_secs(7_200));
        let expired = self.tokens("user-service", past.clone());
        let expired = expired.for_user(Uuid::now_v7(), Role::User, past.new_id());
        let expired = expired.unwrap_or_else(|error| panic!("no token: {error}"));
        let elsewhere = self.service_token("user-service", "another-service");
        let cases = [
            ("missing", None),
            ("nonsense", Some("nonsense")),
            ("expired", Some(expired.value.expose().as_str())),
            ("of another audience", Some(elsewhere.as_str())),
        ];
        for (case, token) in cases {
            let request = self.request(Method::GET, path);
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            assert_eq!(problem(request).await.0, 401, "{case}");
        }
    }

    /// Asserts that reading each path with this token is answered with its status.
    pub async fn assert_refused(&self, token: &str, paths: &[(&str, u16)]) {
        for (path, expected) in paths {
            let request = self.request(Method::GET, path).bearer_auth(token);
            assert_eq!(problem(request).await.0, *expected, "{path}");
        }
    }
}

/// Asserts that a route refuses every bad body made of a good one, in a problem document that has none of
/// `secrets`: with `fields` (what the case is, the field, its value), without any, and those that nobody can
/// read, for which `text` is a field of text. `request` makes the request of a case, but for its body.
pub async fn assert_refuses_bodies(
    request: impl Fn(&str) -> RequestBuilder,
    good: &Value,
    text: &str,
    fields: &[(&str, &str, Value)],
    secrets: &[&str],
) {
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string().into_bytes()
    };
    let with_fields =
        fields.iter().map(|(case, field, value)| (*case, JSON, with(field, value.clone()), 422));
    let whole = good.to_string().into_bytes();
    let no_utf8 = [b"{\"", text.as_bytes(), b"\":\"\xff\"}"].concat();
    let unreadable = [
        ("no fields", JSON, b"{}".to_vec(), 422),
        ("no object", JSON, b"[]".to_vec(), 422),
        ("no body", JSON, Vec::new(), 400),
        ("truncated", JSON, whole[..whole.len() - 1].to_vec(), 400),
        ("bad UTF-8", JSON, no_utf8, 400),
        ("wrong media type", "text/plain", whole, 415),
        ("oversized", JSON, with(text, "x".repeat(70_000).into()), 413),
    ];
    for (case, media_type, body, expected) in with_fields.chain(unreadable) {
        let request = request(case).header("content-type", media_type).body(body);
        let (status, document) = problem(request).await;
        assert_eq!(status, expected, "{case}: {document}");
        let document = document.to_string();
        for secret in secrets {
            assert!(!document.contains(secret), "{case} echoes: {document}");
        }
    }
}
