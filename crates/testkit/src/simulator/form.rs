//! Form parameters as Stripe takes them: flat names, with brackets for what is nested.

use std::collections::BTreeMap;

use super::error::ApiError;

/// Limits of metadata: <https://docs.stripe.com/metadata>.
const METADATA_KEYS_MAX: usize = 50;
const METADATA_KEY_LENGTH_MAX: usize = 40;
const METADATA_VALUE_LENGTH_MAX: usize = 500;

/// The parameters of a call, from its body or its query. Sorted, so that two calls with the same
/// parameters are equal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// Refuses names that the call does not know; `metadata[…]` is known where `metadata` is.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let is_known = |name: &str| {
            known.contains(&name) || (name.starts_with("metadata[") && known.contains(&"metadata"))
        };
        match self.0.keys().find(|name| !is_known(name)) {
            // The value is not repeated: it may be what must never be repeated, a card number.
            Some(name) => Err(ApiError::invalid(format!("Received unknown parameter: {name}"))
                .code("parameter_unknown")
                .param(name)),
            None => Ok(()),
        }
    }

    /// A parameter that may be left out; empty counts as left out.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        match self.0.get(name).map(String::as_str) {
            None => Err(ApiError::invalid(format!("Missing required param: {name}."))
                .code("parameter_missing")
                .param(name)),
            Some("") => Err(ApiError::invalid(format!(
                "You passed an empty string for '{name}'. We assume empty values are an attempt to \
                 unset a parameter; however '{name}' cannot be unset."
            ))
            .code("parameter_invalid_empty")
            .param(name)),
            Some(value) => Ok(value),
        }
    }

    /// One of `true` and `false`; `false` when left out.
    pub(super) fn boolean(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid("Invalid boolean").param(name)),
        }
    }

    /// One of `choices`; the first when left out.
    pub(super) fn choice(
        &self,
        name: &str,
        choices: &[&'static str],
    ) -> Result<&'static str, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(choices[0]);
        };
        choices.iter().copied().find(|choice| *choice == value).ok_or_else(|| {
            let choices = choices.join(", ");
            ApiError::invalid(format!("Invalid {name}: must be one of {choices}")).param(name)
        })
    }

    /// `metadata[key]=value`, without the ones whose value is empty.
    pub(super) fn metadata(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let mut metadata = BTreeMap::new();
        for (name, value) in &self.0 {
            let key = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
            let Some(key) = key else { continue };
            let too_long = |what: &str, most: usize| {
                let message = format!("Metadata {what} can have up to {most} characters.");
                ApiError::invalid(message).param(name)
            };
            if key.chars().count() > METADATA_KEY_LENGTH_MAX {
                return Err(too_long("keys", METADATA_KEY_LENGTH_MAX));
            }
            if value.chars().count() > METADATA_VALUE_LENGTH_MAX {
                return Err(too_long("values", METADATA_VALUE_LENGTH_MAX));
            }
            if !value.is_empty() {
                metadata.insert(key.to_owned(), value.clone());
            }
        }
        if metadata.len() > METADATA_KEYS_MAX {
            let message = format!("Metadata can have up to {METADATA_KEYS_MAX} keys.");
            return Err(ApiError::invalid(message).param("metadata"));
        }
        Ok(metadata)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Form;

    #[test]
    fn nested_names_and_escapes_are_read_as_stripe_writes_them() {
        let form = Form::parse(b"metadata[payment_id]=7&metadata%5Border%5D=a+b%26c&confirm=true");
        let metadata = form.metadata().unwrap();
        assert_eq!(metadata["payment_id"], "7");
        assert_eq!(metadata["order"], "a b&c");
        assert!(form.boolean("confirm").unwrap());
    }

    #[test]
    fn order_makes_no_difference() {
        assert_eq!(Form::parse(b"a=1&b=2"), Form::parse(b"b=2&a=1"));
    }

    #[test]
    fn an_unknown_parameter_is_named_without_its_value() {
        let form = Form::parse(b"amount=1&card[number]=4242424242424242");
        let error = form.only(&["amount"]).unwrap_err().body().to_string();
        assert!(error.contains("card[number]") && !error.contains("4242"), "{error}");
    }

    #[test]
    fn metadata_is_limited_as_stripe_limits_it() {
        let long_key = format!("metadata[{}]=x", "k".repeat(41));
        let long_value = format!("metadata[k]={}", "v".repeat(501));
        let many: Vec<_> = (0..51).map(|n| format!("metadata[{n}]=x")).collect();
        let many = many.join("&");
        for form in [long_key, long_value, many] {
            assert_eq!(Form::parse(form.as_bytes()).metadata().unwrap_err().status, 400);
        }
    }
}
