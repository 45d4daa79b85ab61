//! All faults of a text, where serde stops at the first.
//!
//! After each fault the text is read again with something better in the faulty place: what serde then
//! stops at is the next fault. What is put in is thrown away with all that is read.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::{Error, Segment};

use crate::Strict;
use crate::words::{is_name, without_values};

/// Faults that are told at most.
const FAULTS_MAX: usize = 32;
/// How often a text is read at most.
const ROUNDS_MAX: usize = 100;
/// Of a longer text only the first fault is told, in bytes: reading is paid for by the reader.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// One wrong, missing or unknown field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// A JSON pointer (RFC 6901) to it. A key that is no name, which may be a value in the wrong place,
    /// is `…`.
    pub pointer: String,
    /// What is wrong with it, never its value.
    pub detail: String,
}

/// What is put in the place of a wrong or missing field, one after the other.
fn substitutes() -> impl Iterator<Item = Value> {
    [
        json!(null),
        json!(""),
        json!(0),
        json!({}),
        json!([]),
        json!(false),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("1970-01-01T00:00:00Z"),
    ]
    .into_iter()
}

/// A way into a value: a key of an object or an index of an array at each step.
type Pointer = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// What serde stopped at.
struct Stop {
    pointer: Pointer,
    is_unknown: bool,
    detail: String,
}

/// The fault that a reader stopped at.
pub(crate) fn fault(error: &Error<serde_json::Error>) -> FieldFault {
    Stop::at(error).fault()
}

/// All faults of a text of which `faults` are known.
pub(crate) fn all<T: DeserializeOwned>(text: &str, mut faults: Vec<FieldFault>) -> Vec<FieldFault> {
    if text.len() > TEXT_BYTES_MAX {
        return faults;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return faults };
    let mut replaced = Replaced::default();
    for _ in 0..ROUNDS_MAX {
        let read = serde_path_to_error::deserialize::<_, Strict<T>>(&value);
        let Err(error) = read else { break };
        let stop = Stop::at(&error);
        let fault = stop.fault();
        let is_known = faults.iter().any(|known| known.pointer == fault.pointer);
        if !is_known && !replaced.reaches(&stop.pointer) {
            faults.push(fault);
        }
        let goes_on = if stop.is_unknown {
            remove(&mut value, &stop.pointer)
        } else {
            replaced.replace(&mut value, &stop)
        };
        if !goes_on || faults.len() == FAULTS_MAX {
            break;
        }
    }
    faults
}

/// What has been put in, and what can be tried next in each place.
#[derive(Default)]
struct Replaced(BTreeMap<Pointer, Box<dyn Iterator<Item = Value>>>);

impl Replaced {
    /// Whether a place is in something that was put in: what is wrong there is nobody's fault.
    fn reaches(&self, pointer: &[Step]) -> bool {
        self.0.keys().any(|replaced| pointer.starts_with(replaced))
    }

    /// Puts the next thing in the place; false when there is nothing more, or no such place.
    fn replace(&mut self, value: &mut Value, stop: &Stop) -> bool {
        // As in: expected `one` or `other`.
        let named = stop.detail.strip_prefix("expected ").and_then(|words| words.split('`').nth(1));
        let tried = self.0.entry(stop.pointer.clone()).or_insert_with(|| Box::new(substitutes()));
        let Some(next) = tried.next() else { return false };
        put(value, &stop.pointer, named.map_or(next, |name| json!(name)))
    }
}

impl Stop {
    fn at(error: &Error<serde_json::Error>) -> Self {
        let mut pointer = steps(error.path());
        let message = error.inner().to_string();
        let of_object =
            [("missing field `", "is missing"), ("duplicate field `", "is there twice")];
        for (words, detail) in of_object {
            if let Some(name) = message.strip_prefix(words).and_then(|rest| rest.split('`').next())
            {
                pointer.push(Step::Key(name.to_owned()));
                return Self { pointer, is_unknown: false, detail: detail.to_owned() };
            }
        }
        let is_unknown = message.starts_with("unknown field `");
        Self { pointer, is_unknown, detail: without_values(&message) }
    }

    fn fault(&self) -> FieldFault {
        let step = |step: &Step| match step {
            Step::Key(key) if is_name(key) => format!("/{key}"),
            Step::Key(_) => "/…".to_owned(),
            Step::Index(index) => format!("/{index}"),
        };
        let pointer = self.pointer.iter().map(step).collect();
        FieldFault { pointer, detail: self.detail.clone() }
    }
}

fn steps(path: &serde_path_to_error::Path) -> Pointer {
    let step = |segment: &Segment| match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

/// What a place is in, and its last step.
fn parent<'a, 'p>(value: &'a mut Value, pointer: &'p [Step]) -> Option<(&'a mut Value, &'p Step)> {
    let (last, way) = pointer.split_last()?;
    let mut inner = value;
    for step in way {
        inner = match step {
            Step::Key(key) => inner.get_mut(key)?,
            Step::Index(index) => inner.get_mut(index)?,
        };
    }
    Some((inner, last))
}

fn put(value: &mut Value, pointer: &[Step], new: Value) -> bool {
    match parent(value, pointer) {
        Some((Value::Object(fields), Step::Key(key))) => {
            fields.insert(key.clone(), new);
            true
        }
        Some((Value::Array(elements), Step::Index(index))) => {
            elements.get_mut(*index).map(|element| *element = new).is_some()
        }
        _ => false,
    }
}

fn remove(value: &mut Value, pointer: &[Step]) -> bool {
    match parent(value, pointer) {
        Some((Value::Object(fields), Step::Key(key))) => fields.remove(key).is_some(),
        _ => false,
    }
}
