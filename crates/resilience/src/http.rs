//! What the layers need to know of an HTTP request.

use http::{Method, Request, Response};

use crate::deadline::{Deadline, HasDeadline};
use crate::fallback::{MarkStale, Stale};
use crate::retry::Repeatable;

/// A key that makes any request repeatable: draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The deadline among the request's extensions.
impl<B> HasDeadline for Request<B> {
    fn deadline(&self) -> Option<Deadline> {
        self.extensions().get().copied()
    }

    fn set_deadline(&mut self, deadline: Deadline) {
        self.extensions_mut().insert(deadline);
    }
}

/// Idempotent methods (RFC 9110, 9.2.2), and requests with an idempotency key.
impl<B: Clone> Repeatable for Request<B> {
    fn may_repeat(&self) -> bool {
        let idempotent = [
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::TRACE,
            Method::PUT,
            Method::DELETE,
        ];
        idempotent.contains(self.method()) || self.headers().contains_key(IDEMPOTENCY_KEY)
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// The mark stands among the answer's extensions.
impl<B: Clone> MarkStale for Response<B> {
    fn mark_stale(&mut self, stale: Stale) {
        self.extensions_mut().insert(stale);
    }
}

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_post_may_be_repeated_with_an_idempotency_key_only() {
        let post = Request::post("/payments");
        assert!(!post.body(()).unwrap().may_repeat());
        let keyed = Request::post("/payments").header("Idempotency-Key", "7");
        assert!(keyed.body(()).unwrap().may_repeat());
        for method in ["GET", "PUT", "DELETE"] {
            assert!(Request::builder().method(method).body(()).unwrap().may_repeat(), "{method}");
        }
        assert!(!Request::patch("/users/1").body(()).unwrap().may_repeat());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_stays_with_a_copy() {
        let mut request = Request::get("/users/1").body("").unwrap();
        assert_eq!(request.deadline(), None);
        let deadline = Deadline::within(Duration::from_secs(2));
        request.set_deadline(deadline);
        assert_eq!(request.try_clone().unwrap().deadline(), Some(deadline));
    }
}
