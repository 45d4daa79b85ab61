//! Stripe's error format: <https://docs.stripe.com/api/errors>.

use serde_json::{Map, Value, json};

/// An answer that is not 2xx.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    fields: Map<String, Value>,
}

impl ApiError {
    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let mut fields = Map::new();
        fields.insert("type".to_owned(), kind.into());
        fields.insert("message".to_owned(), message.into().into());
        Self { status, fields }
    }

    /// The caller's fault.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// An object that a path names and that is not there.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "invalid_request_error", message)
    }

    /// No key, or none that is taken.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", message)
    }

    /// The card does not pay.
    pub(super) fn card(code: &str, message: &str) -> Self {
        Self::new(402, "card_error", message).code(code)
    }

    /// A key used in two ways (400), or twice at the same time (409).
    pub(super) fn idempotency(status: u16, message: impl Into<String>) -> Self {
        Self::new(status, "idempotency_error", message)
    }

    /// The provider's own fault, or that of something in front of it.
    pub(super) fn provider(status: u16) -> Self {
        let message = "An unknown error occurred; please try again later.";
        Self::new(status, "api_error", message)
    }

    /// Too many calls.
    pub(super) fn rate_limited() -> Self {
        let message = "Request rate limit exceeded. See https://docs.stripe.com/rate-limits.";
        Self::new(429, "invalid_request_error", message).code("rate_limit")
    }

    pub(super) fn code(self, code: &str) -> Self {
        let doc_url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        self.with("code", code).with("doc_url", doc_url)
    }

    pub(super) fn param(self, name: &str) -> Self {
        self.with("param", name)
    }

    pub(super) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    pub(super) fn body(self) -> Value {
        json!({ "error": self.fields })
    }
}
