//! Lenient scalars, and the words for a value that is not what was asked for.

use std::borrow::Cow;
use std::time::Duration;

use super::error::Error;
use super::session::{Session, SlotId};
use crate::evaluate::{Evaluated, Value};
use crate::fault::Fault;
use crate::scalar;
use crate::syntax::number::Number;

impl<'t> Session<'t> {
    pub(super) fn value(&self, slot: SlotId) -> Result<Evaluated<'t>, Error> {
        self.evaluate(slot).map_err(|none| Error::no_value(slot, none))
    }

    /// A whole number within bounds; also out of a text, or a fraction that is whole.
    pub(super) fn integer(&self, slot: SlotId, min: i128, max: i128) -> Result<i128, Error> {
        let evaluated = self.value(slot)?;
        let whole = match &evaluated.value {
            Value::Int(value) => Some(*value),
            Value::Text(text) => match scalar::number(text) {
                Some(Number::Int(value)) => Some(value),
                _ => None,
            },
            _ => None,
        };
        match whole.filter(|value| (min..=max).contains(value)) {
            Some(value) => Ok(value),
            None => Err(self.mismatch(slot, &evaluated, &range(min, max))),
        }
    }

    pub(super) fn float(&self, slot: SlotId) -> Result<f64, Error> {
        let evaluated = self.value(slot)?;
        let number = match &evaluated.value {
            Value::Int(value) => Some(Number::Int(*value)),
            Value::Float(value) => Some(Number::Float(*value)),
            Value::Text(text) => scalar::number(text),
            _ => None,
        };
        match number {
            Some(Number::Int(value)) => Ok(scalar::approximate(value)),
            Some(Number::Float(value)) => Ok(value),
            _ => Err(self.mismatch(slot, &evaluated, "a number")),
        }
    }

    pub(super) fn boolean(&self, slot: SlotId) -> Result<bool, Error> {
        let evaluated = self.value(slot)?;
        let truth = match &evaluated.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) => scalar::boolean(text),
            _ => None,
        };
        truth.ok_or_else(|| self.mismatch(slot, &evaluated, "true or false"))
    }

    pub(super) fn duration(&self, slot: SlotId) -> Result<Duration, Error> {
        let evaluated = self.value(slot)?;
        let duration = match &evaluated.value {
            Value::Int(value) => scalar::seconds(scalar::approximate(*value)),
            Value::Float(value) => scalar::seconds(*value),
            Value::Text(text) => scalar::duration(text),
            _ => None,
        };
        let expected = "a duration (seconds, or for example 250ms, 5s, 2m, 1h)";
        duration.ok_or_else(|| self.mismatch(slot, &evaluated, expected))
    }

    /// A text; a number or truth value as it was spelt; the URL of a request.
    pub(super) fn text(&self, slot: SlotId) -> Result<Cow<'t, str>, Error> {
        let mut evaluated = self.value(slot)?;
        let text = match (&mut evaluated.value, evaluated.raw) {
            (Value::Text(text), _) => Some(std::mem::take(text)),
            (Value::Http { url, .. }, _) => Some(Cow::Owned(std::mem::take(url))),
            (Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Range(..), Some(raw)) => {
                Some(raw.into())
            }
            (Value::Bool(value), None) => Some(value.to_string().into()),
            (Value::Int(value), None) => Some(value.to_string().into()),
            (Value::Float(value), None) => Some(value.to_string().into()),
            (Value::Range(first, last), None) => Some(format!("{first}-{last}").into()),
            _ => None,
        };
        text.ok_or_else(|| self.mismatch(slot, &evaluated, "a text"))
    }

    /// The value is something else than expected. Says the value unless it is secret, and the
    /// variable that gave it.
    pub(super) fn mismatch(&self, slot: SlotId, found: &Evaluated<'t>, expected: &str) -> Error {
        let name = self.name(slot);
        let subject = found.variable.map_or_else(|| format!("`{name}`"), str::to_owned);
        let secret = found.secret || self.is_secret(slot);
        let text = match (&found.value, found.raw, found.variable) {
            (Value::Null, _, Some(variable)) => {
                format!("{variable} is not set, but `{name}` has to be {expected}")
            }
            (Value::Null, ..) => format!("{subject} is null, not {expected}"),
            (Value::Call(call), ..) => {
                format!("{subject} is the operator @{}, which nothing evaluates", call.name)
            }
            (Value::Unknown, ..) => format!("{subject} is not known"),
            (Value::Argument(_), ..) => format!("{subject} is an argument, not {expected}"),
            (Value::List(_) | Value::Texts(_) | Value::Arguments(_) | Value::Calls(_), ..) => {
                format!("{subject} is a list, not {expected}")
            }
            (Value::Table(_), ..) => format!("{subject} is a group of keys, not {expected}"),
            _ if secret => format!("{subject} is a secret that is not {expected}"),
            (Value::Http { .. }, ..) => format!("{subject} is a request, not {expected}"),
            (Value::Text(text), ..) => {
                format!("{subject} is {}, not {expected}", scalar::shown(text))
            }
            (_, Some(raw), _) => format!("{subject} is {raw}, not {expected}"),
            (Value::Bool(value), ..) => format!("{subject} is {value}, not {expected}"),
            (Value::Int(value), ..) => format!("{subject} is {value}, not {expected}"),
            (Value::Float(value), ..) => format!("{subject} is {value}, not {expected}"),
            (Value::Range(first, last), ..) => {
                format!("{subject} is {first}-{last}, not {expected}")
            }
        };
        let mut fault = Fault::error(self.context.location(found.span), text);
        if let (Value::Null, Some(variable)) = (&found.value, found.variable) {
            fault = fault.help(format!("set {variable}, or give @env a default"));
        }
        Error::own(slot, Some(fault))
    }
}

/// What a type of whole numbers accepts, in words.
pub(super) fn range(min: i128, max: i128) -> String {
    let unlimited = max >= i64::MAX.into();
    match (min, unlimited) {
        (min, false) => format!("a number from {min} to {max}"),
        (0 | 1, true) => format!("a whole number of at least {min}"),
        (_, true) => "a whole number".to_owned(),
    }
}
