//! Idempotency keys: <https://docs.stripe.com/api/idempotent_requests>.

use super::error::ApiError;
use super::form::Form;
use super::server::Answer;
use super::state::State;

/// Stripe's limit.
const KEY_LENGTH_MAX: usize = 255;

/// What is known of a key.
pub(super) struct Entry {
    path: String,
    form: Form,
    /// `None` while the first request runs.
    answer: Option<Answer>,
}

/// What to do with a request under a key.
pub(super) enum Begin {
    /// It is the first: run it, then [`finish`].
    Run,
    /// It is not: give this answer again.
    Replay(Answer),
}

/// Claims a key for a request, or finds what came of the request that had it before.
pub(super) fn begin(
    state: &mut State,
    key: &str,
    path: &str,
    form: &Form,
) -> Result<Begin, ApiError> {
    if key.is_empty() || key.chars().count() > KEY_LENGTH_MAX {
        let message =
            format!("Idempotency keys must have between 1 and {KEY_LENGTH_MAX} characters.");
        return Err(ApiError::idempotency(400, message));
    }
    let Some(entry) = state.keys.get(key) else {
        let entry = Entry { path: path.to_owned(), form: form.clone(), answer: None };
        state.keys.insert(key, entry);
        return Ok(Begin::Run);
    };
    if entry.path != path {
        return Err(other(key, "for the same endpoint they were first used for"));
    }
    if entry.form != *form {
        return Err(other_parameters(Some(key)));
    }
    if let Some(answer) = &entry.answer {
        return Ok(Begin::Replay(answer.clone()));
    }
    let message = format!(
        "There is currently another in-progress request using this Stripe idempotent Key (that \
         probably means you submitted twice, and the other request is still going through): {key}. \
         Please try again later."
    );
    Err(ApiError::idempotency(409, message).code("idempotency_key_in_use"))
}

/// The key's first request had other parameters.
pub(super) fn other_parameters(key: Option<&str>) -> ApiError {
    other(key.unwrap_or_default(), "with the same parameters they were first used with")
}

fn other(key: &str, only: &str) -> ApiError {
    let message = format!(
        "Keys for idempotent requests can only be used {only}. Try using a key other than '{key}' \
         if you meant to execute a different request.",
    );
    ApiError::idempotency(400, message)
}

/// Saves the answer of a request that was executed. One that was refused before it began frees its
/// key: the caller may correct it and use the same key.
pub(super) fn finish(state: &mut State, key: &str, answer: &Answer) {
    let executed = matches!(answer.status, 200 | 402 | 500..);
    if !executed {
        state.keys.remove(key);
    } else if let Some(entry) = state.keys.get_mut(key) {
        entry.answer = Some(answer.clone());
    }
}
