//! Payment intents: <https://docs.stripe.com/api/payment_intents>.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::Charge;
use super::cards::{self, AUTHENTICATION_REQUIRED, Decline, Outcome};
use super::error::ApiError;
use super::form::Form;
use super::money;
use super::state::{State, new_id, now};

const CREATE_PARAMETERS: &[&str] = &[
    "amount",
    "currency",
    "payment_method",
    "confirm",
    "capture_method",
    "metadata",
    "description",
    "customer",
    "automatic_payment_methods[enabled]",
    "automatic_payment_methods[allow_redirects]",
    "error_on_requires_action",
    "off_session",
    "return_url",
    "payment_method_types[]",
];
const CONFIRM_PARAMETERS: &[&str] =
    &["payment_method", "error_on_requires_action", "off_session", "return_url"];
/// Results of one search.
const SEARCH_LIMIT_MAX: usize = 100;

#[derive(Debug, Clone)]
pub(super) struct Intent {
    id: String,
    amount: i64,
    currency: String,
    status: &'static str,
    capture_method: &'static str,
    customer: Option<String>,
    description: Option<String>,
    metadata: BTreeMap<String, String>,
    payment_method: Option<String>,
    /// Whether a payment method may send the holder to another page, which needs a `return_url`.
    redirects: bool,
    last_payment_error: Option<Value>,
    latest_charge: Option<String>,
    created: u64,
    /// When it last changed: until some time after, the search does not show it.
    changed: Instant,
}

pub(super) fn create(state: &mut State, form: &Form) -> Result<Value, ApiError> {
    form.only(CREATE_PARAMETERS)?;
    let (amount, currency) = money::read(form)?;
    let capture_method =
        form.choice("capture_method", &["automatic_async", "automatic", "manual"])?;
    let automatic = form.boolean("automatic_payment_methods[enabled]")?;
    let redirects =
        form.choice("automatic_payment_methods[allow_redirects]", &["always", "never"])?;
    let customer = form.get("customer").map(str::to_owned);
    if let Some(customer) = customer.as_deref().filter(|id| state.customers.get(id).is_none()) {
        let message = format!("No such customer: '{}'", customer.escape_default());
        return Err(ApiError::invalid(message).code("resource_missing").param("customer"));
    }
    let confirm = form.boolean("confirm")?;
    if !confirm && (form.boolean("error_on_requires_action")? || form.boolean("off_session")?) {
        let message =
            "You can only use `error_on_requires_action` and `off_session` when confirming.";
        return Err(ApiError::invalid(message));
    }
    let mut intent = Intent {
        id: new_id("pi"),
        amount,
        currency,
        status: "requires_payment_method",
        capture_method,
        customer,
        description: form.get("description").map(str::to_owned),
        metadata: form.metadata()?,
        payment_method: None,
        // Without a list of types they are automatic, which may redirect unless told otherwise.
        redirects: (automatic || form.get("payment_method_types[]").is_none())
            && redirects == "always",
        last_payment_error: None,
        latest_charge: None,
        created: now(),
        changed: Instant::now(),
    };
    intent.take_payment_method(form)?;
    if confirm {
        return intent.confirm(state, form);
    }
    let body = intent.body();
    state.intents.insert(&intent.id.clone(), intent);
    Ok(body)
}

pub(super) fn confirm(state: &mut State, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(CONFIRM_PARAMETERS)?;
    let mut intent = find(state, id)?.clone();
    if !matches!(
        intent.status,
        "requires_payment_method" | "requires_confirmation" | "requires_action"
    ) {
        let message = format!(
            "You cannot confirm this PaymentIntent because it has a status of {}.",
            intent.status
        );
        let error = ApiError::invalid(message).code("payment_intent_unexpected_state");
        return Err(error.with("payment_intent", intent.body()));
    }
    intent.take_payment_method(form)?;
    intent.confirm(state, form)
}

pub(super) fn get(state: &State, id: &str) -> Result<Value, ApiError> {
    find(state, id).map(Intent::body)
}

/// The one query that finding a payment again needs: `metadata['key']:'value'`.
pub(super) fn search(state: &State, form: &Form) -> Result<Value, ApiError> {
    form.only(&["query", "limit", "page"])?;
    let (key, value) = metadata_query(form.required("query")?).ok_or_else(|| {
        let message = "We were unable to parse your search query; what is known here is \
                       metadata['key']:'value'.";
        ApiError::invalid(message).param("query")
    })?;
    let found = state
        .intents
        .values()
        .rev()
        .filter(|intent| intent.changed.elapsed() >= state.search_lag)
        .filter(|intent| intent.metadata.get(key).is_some_and(|v| v == value));
    let data: Vec<Value> = found.take(SEARCH_LIMIT_MAX).map(Intent::body).collect();
    Ok(json!({
        "object": "search_result",
        "url": "/v1/payment_intents/search",
        "has_more": false,
        "next_page": null,
        "data": data,
    }))
}

fn metadata_query(query: &str) -> Option<(&str, &str)> {
    let rest = query.trim().strip_prefix("metadata[")?;
    let (key, value) = rest.split_once("]:")?;
    Some((unquoted(key)?, unquoted(value)?))
}

fn unquoted(text: &str) -> Option<&str> {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"'))
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Intent, ApiError> {
    state.intents.get(id).ok_or_else(|| {
        let message = format!("No such payment_intent: '{}'", id.escape_default());
        ApiError::not_found(message).code("resource_missing").param("intent")
    })
}

impl Intent {
    fn take_payment_method(&mut self, form: &Form) -> Result<(), ApiError> {
        if let Some(payment_method) = form.get("payment_method") {
            cards::outcome(payment_method)?;
            self.payment_method = Some(payment_method.to_owned());
            self.status = "requires_confirmation";
        }
        Ok(())
    }

    /// Charges the card. The intent is stored whatever comes of it, unless the parameters are
    /// wrong.
    fn confirm(mut self, state: &mut State, form: &Form) -> Result<Value, ApiError> {
        if self.redirects && form.get("return_url").is_none() {
            return Err(ApiError::invalid(
                "This PaymentIntent is configured to accept payment methods that might redirect \
                 your customer off of your page: provide a `return_url`, or set \
                 `automatic_payment_methods[allow_redirects]` to `never`.",
            ));
        }
        let Some(payment_method) = self.payment_method.clone() else {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment \
                           method.";
            return Err(ApiError::invalid(message).code("payment_intent_unexpected_state"));
        };
        let never_act = form.boolean("error_on_requires_action")? || form.boolean("off_session")?;
        let outcome = cards::outcome(&payment_method)?;
        let result = match state.decline.map_or(outcome, Outcome::Declined) {
            Outcome::Approved => {
                self.approve(state, payment_method);
                Ok(())
            }
            Outcome::AuthenticationRequired if !never_act => {
                self.status = "requires_action";
                Ok(())
            }
            Outcome::AuthenticationRequired => Err(self.decline(AUTHENTICATION_REQUIRED)),
            Outcome::Declined(decline) => Err(self.decline(decline)),
        };
        self.changed = Instant::now();
        let body = self.body();
        state.intents.insert(&self.id.clone(), self);
        match result {
            Ok(()) => Ok(body),
            Err(error) => Err(error.with("payment_intent", body)),
        }
    }

    fn approve(&mut self, state: &mut State, payment_method: String) {
        let captured = self.capture_method != "manual";
        let charge = Charge {
            id: new_id("ch"),
            payment_intent: self.id.clone(),
            amount: self.amount,
            currency: self.currency.clone(),
            payment_method,
            captured,
            metadata: self.metadata.clone(),
        };
        self.status = if captured { "succeeded" } else { "requires_capture" };
        self.last_payment_error = None;
        self.latest_charge = Some(charge.id.clone());
        state.charges.insert(&charge.id.clone(), charge);
    }

    fn decline(&mut self, decline: Decline) -> ApiError {
        let charge = new_id("ch");
        let mut error =
            ApiError::card(decline.code, decline.message).with("charge", charge.as_str());
        if let Some(decline_code) = decline.decline_code {
            error = error.with("decline_code", decline_code);
        }
        let mut last =
            json!({ "type": "card_error", "code": decline.code, "message": decline.message });
        last["decline_code"] = decline.decline_code.into();
        last["charge"] = charge.as_str().into();
        self.last_payment_error = Some(last);
        self.latest_charge = Some(charge);
        self.status = "requires_payment_method";
        // A payment method that was refused does not stay with the intent.
        self.payment_method = None;
        error
    }

    fn body(&self) -> Value {
        let amount_when = |status| {
            if self.status == status { self.amount } else { 0 }
        };
        let next_action = (self.status == "requires_action")
            .then(|| json!({ "type": "use_stripe_sdk", "use_stripe_sdk": {} }));
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": amount_when("requires_capture"),
            "amount_received": amount_when("succeeded"),
            "automatic_payment_methods": {
                "allow_redirects": if self.redirects { "always" } else { "never" },
                "enabled": true,
            },
            "canceled_at": null,
            "capture_method": self.capture_method,
            "client_secret": format!("{}_secret_simulated", self.id),
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "last_payment_error": self.last_payment_error,
            "latest_charge": self.latest_charge,
            "livemode": false,
            "metadata": self.metadata,
            "next_action": next_action,
            "payment_method": self.payment_method,
            "payment_method_types": ["card"],
            "status": self.status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::metadata_query;

    #[test]
    fn a_query_names_a_key_and_a_value_in_either_quotes() {
        assert_eq!(metadata_query("metadata['payment_id']:'7'"), Some(("payment_id", "7")));
        assert_eq!(metadata_query(r#"metadata["payment_id"]:"7""#), Some(("payment_id", "7")));
        assert_eq!(metadata_query("status:'succeeded'"), None);
        assert_eq!(metadata_query("metadata['a']:'"), None);
    }
}
