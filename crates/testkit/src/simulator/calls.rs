//! Which call does what, and who may make it.

use serde_json::{Value, json};

use super::error::ApiError;
use super::form::Form;
use super::intents;
use super::state::{State, new_id, now};

/// A call under `/v1`, read from the wire.
pub(super) struct Call {
    pub(super) method: String,
    /// Starts with `/v1/`.
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) stripe_version: Option<String>,
    pub(super) form: Form,
}

impl Call {
    /// A secret test key as bearer token, nothing else: a live key sent here by mistake is refused.
    pub(super) fn authenticate(&self) -> Result<(), ApiError> {
        let Some(authorization) = &self.authorization else {
            return Err(ApiError::unauthorized(
                "You did not provide an API key. You need to provide your API key in the \
                 Authorization header, using Bearer auth (e.g. 'Authorization: Bearer \
                 YOUR_SECRET_KEY').",
            ));
        };
        let key = authorization.strip_prefix("Bearer ").unwrap_or_default();
        if key.strip_prefix("sk_test_").is_some_and(|rest| !rest.is_empty()) {
            return Ok(());
        }
        // Stripe shows the key's end; what was sent here may be real, so this shows nothing of it.
        Err(ApiError::unauthorized("Invalid API Key provided: this simulator takes sk_test_ keys"))
    }

    /// The key under which the call's answer is saved: only calls that change something have one.
    pub(super) fn key(&self) -> Option<&str> {
        self.idempotency_key.as_deref().filter(|_| self.method == "POST")
    }

    /// Does it.
    pub(super) fn execute(&self, state: &mut State) -> Result<Value, ApiError> {
        let segments: Vec<&str> = self.path.split('/').skip(2).collect();
        match (self.method.as_str(), segments.as_slice()) {
            ("POST", ["payment_intents"]) => intents::create(state, &self.form),
            ("GET", ["payment_intents", "search"]) => intents::search(state, &self.form),
            ("GET", ["payment_intents", id]) => intents::get(state, id),
            ("POST", ["payment_intents", id, "confirm"]) => intents::confirm(state, id, &self.form),
            ("POST", ["customers"]) => create_customer(state, &self.form),
            ("GET", ["customers", id]) => customer(state, id),
            (method, _) => Err(ApiError::not_found(format!(
                "Unrecognized request URL ({method}: {}); only the calls that the services use are \
                 here.",
                self.path.escape_default()
            ))),
        }
    }
}

fn create_customer(state: &mut State, form: &Form) -> Result<Value, ApiError> {
    form.only(&["email", "name", "description", "metadata"])?;
    let id = new_id("cus");
    let customer = json!({
        "id": id,
        "object": "customer",
        "created": now(),
        "description": form.get("description"),
        "email": form.get("email"),
        "livemode": false,
        "metadata": form.metadata()?,
        "name": form.get("name"),
    });
    state.customers.insert(&id, customer.clone());
    Ok(customer)
}

fn customer(state: &State, id: &str) -> Result<Value, ApiError> {
    state.customers.get(id).cloned().ok_or_else(|| {
        let message = format!("No such customer: '{}'", id.escape_default());
        ApiError::not_found(message).code("resource_missing").param("id")
    })
}
