//! What every service refuses: tokens that are not good for it, and bodies that nobody can read.

use std::time::Duration;

use auth::Role;
use chassis::Clock;
use reqwest::Method;
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

/// Bodies that nobody can read, made of a good one with a field of text: what each is, its media type, the
/// body, and the status of the answer.
pub fn unreadable(
    good: &Value,
    text: &'static str,
) -> Vec<(&'static str, &'static str, Vec<u8>, u16)> {
    let whole = good.to_string().into_bytes();
    let mut oversized = good.clone();
    oversized[text] = "x".repeat(70_000).into();
    let no_utf8 = [b"{\"", text.as_bytes(), b"\":\"\xff\"}"].concat();
    vec![
        ("no body", JSON, Vec::new(), 400),
        ("truncated", JSON, whole[..whole.len() - 1].to_vec(), 400),
        ("bad UTF-8", JSON, no_utf8, 400),
        ("wrong media type", "text/plain", whole, 415),
        ("oversized", JSON, oversized.to_string().into_bytes(), 413),
    ]
}
