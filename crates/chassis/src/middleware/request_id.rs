//! `X-Request-Id`: that of another service when it is sane, one of ours for everybody else; given back
//! with the answer. A stranger's is not logged either: it is a text of his own choice.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::header_trust::HeaderTrust;
use crate::Clock;

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// A longer id of a caller is replaced.
const LENGTH_MAX: usize = 128;

/// The id of the request at hand; an extension of every request.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    fn of(request: &Request) -> Option<Self> {
        if HeaderTrust::of(request.extensions()) == HeaderTrust::Untrusted {
            return None;
        }
        let value = request.headers().get(HEADER)?;
        let text = value.to_str().ok()?;
        let sane = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let fits = !text.is_empty() && text.len() <= LENGTH_MAX && text.bytes().all(sane);
        fits.then(|| Self(value.clone()))
    }

    fn new() -> Self {
        let id = Clock::system().new_id().to_string();
        Self(HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }
}

/// Gives a request its id.
pub(super) fn give(request: &mut Request) -> RequestId {
    let id = RequestId::of(request).unwrap_or_else(RequestId::new);
    request.extensions_mut().insert(id.clone());
    id
}

/// Gives the id back with the answer.
pub(super) fn give_back(id: RequestId, response: &mut Response) {
    response.headers_mut().insert(HEADER, id.0);
}
