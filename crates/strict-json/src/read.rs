//! Reads the one JSON value of a text.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::faults::{self, FieldFault};
use crate::{Strict, whole};

/// Why a text gives no value. None of it repeats a value of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no text.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// It ends too early.
    #[error("the body is cut short: its JSON does not end")]
    CutShort,
    /// It is no JSON, or JSON with something behind it.
    #[error("the body is not JSON: line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In bytes.
        column: usize,
    },
    /// It is JSON, and some fields are wrong, missing or unknown: one at least, 32 at most.
    #[error("some fields are not valid")]
    Fields(Vec<FieldFault>),
}

/// Reads a value. Where an integer is wanted, `5.0` and `5e2` are integers, as JSON Schema has it; what
/// has a fraction or is out of range is none. All that is wrong is told at once, as far as one can read
/// on behind a fault; of a text of more than 16 KiB the first is told.
///
/// # Errors
/// The text gives no such value.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unreadable> {
    let text = std::str::from_utf8(text).map_err(|_| Unreadable::NotUtf8)?;
    let in_other_words = match first(text) {
        Err(Unreadable::Fields(_)) => whole::rewritten(text),
        other => return other,
    };
    let text = in_other_words.as_deref().unwrap_or(text);
    match first(text) {
        Err(Unreadable::Fields(first)) => Err(Unreadable::Fields(faults::all::<T>(text, first))),
        other => other,
    }
}

/// Reads a value; tells the first fault only.
fn first<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize::<_, Strict<T>>(&mut json);
    let Strict(value) = read.map_err(|error| {
        let fields = || Unreadable::Fields(vec![faults::fault(&error)]);
        not_json(error.inner()).unwrap_or_else(fields)
    })?;
    json.end().map_err(|error| not_json(&error).unwrap_or(Unreadable::CutShort))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Option<Unreadable> {
    match error.classify() {
        Category::Data => None,
        Category::Eof => Some(Unreadable::CutShort),
        Category::Syntax | Category::Io => {
            Some(Unreadable::Syntax { line: error.line(), column: error.column() })
        }
    }
}

#[cfg(test)]
mod tests;
