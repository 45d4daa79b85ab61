//! Whatever an administrator asks of a service is recorded before it is carried out, so that nobody
//! acts unseen by hanging up; its outcome is added once it is known. Reads are counted by the hour.
//!
//! While the database is away the log alone has it: an operator must be able to act just then.

use auth::Caller;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::response::Response;
use chassis::{Next, RequestId};
use http::request::Parts;

use super::{Actor, AuditTrail, Entry};

/// Longest part of a path that an entry keeps.
const PART_LENGTH_MAX: usize = 100;

impl AuditTrail {
    /// Goes on with a request; what an administrator asks is recorded.
    pub(crate) async fn record_administrator(&self, request: Request, next: impl Next) -> Response {
        let Some(Caller::User(user)) = Caller::of(request.extensions()) else {
            return next.run(request).await;
        };
        if !user.is_admin() {
            return next.run(request).await;
        }
        let actor = Actor::Administrator(user.id);
        let (mut parts, body) = request.into_parts();
        let entry = entry(actor, &mut parts).await;
        let is_read = parts.method.is_safe();
        let request = Request::from_parts(parts, body);
        if is_read {
            self.count(entry).await;
            return next.run(request).await;
        }
        let id = self.begin(&entry).await;
        let answer = next.run(request).await;
        if let Some(id) = id {
            self.finish(id, answer.status().as_str()).await;
        }
        answer
    }
}

/// The entry of a request.
async fn entry(actor: Actor, parts: &mut Parts) -> Entry {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let action = format!("{} {path}", parts.method);
    let outcome = if parts.method.is_safe() { "asked" } else { "begun" };
    let target = target(parts).await;
    let entry = Entry::new(actor, action, outcome).target(target);
    let request_id = parts.extensions.get::<RequestId>();
    request_id.map_or(entry.clone(), |id| entry.request(id))
}

/// The variable parts of the path, as far as they are ids or names.
async fn target(parts: &mut Parts) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let named = |value: &str| {
        let is_named = value.len() <= PART_LENGTH_MAX && value.bytes().all(is_word);
        if is_named { value.to_owned() } else { "…".to_owned() }
    };
    let found = RawPathParams::from_request_parts(parts, &()).await;
    let values = found.iter().flat_map(|found| found.iter().map(|(_, value)| named(value)));
    values.collect::<Vec<_>>().join("/")
}
