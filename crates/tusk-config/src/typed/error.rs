//! What surfaces from a deserialisation, kept apart by kind until it becomes a fault.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use super::session::SlotId;
use crate::evaluate::NoValue;
use crate::fault::Fault;

/// First bytes of a tag; not UTF-8, so that no text accepts it.
const TAG: [u8; 3] = [0xFF, b't', b'k'];
/// How the first of them comes out where serde makes a text of the bytes: the name of a variant.
const LOSSY: &str = "\u{fffd}tk";

/// The bytes that stand for the value of a slot in serde's buffer. The slot is in letters, so that a
/// text made of the bytes still tells it.
pub(super) fn tag(slot: SlotId) -> Vec<u8> {
    let id = format!("{:08x}", u32::try_from(slot).unwrap_or(u32::MAX));
    [&TAG[..], id.as_bytes()].concat()
}

fn untag(bytes: &[u8]) -> Option<SlotId> {
    slot(std::str::from_utf8(bytes.strip_prefix(&TAG)?).ok()?)
}

/// The slot whose tag was taken for the name of a variant.
fn tagged_name(name: &str) -> Option<SlotId> {
    slot(name.strip_prefix(LOSSY)?)
}

fn slot(id: &str) -> Option<SlotId> {
    let id = Some(id).filter(|id| id.len() == 8)?;
    usize::try_from(u32::from_str_radix(id, 16).ok()?).ok()
}

#[derive(Debug)]
pub(super) struct Error {
    pub(super) kind: Kind,
    /// Where it surfaced: the innermost value that was being read.
    pub(super) slot: Option<SlotId>,
    /// It is about the key, not the value.
    pub(super) at_key: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// Ready to be reported, from our own reading of a value; `None` when it was reported before.
    Own(Option<Box<Fault>>),
    /// A tag was refused.
    Tagged {
        slot: SlotId,
        expected: String,
    },
    Missing(&'static str),
    UnknownField {
        name: String,
        known: &'static [&'static str],
    },
    UnknownVariant {
        name: String,
        known: &'static [&'static str],
    },
    /// serde's words: this was found, that was wanted.
    Invalid {
        found: String,
        expected: String,
    },
    Custom(String),
}

/// Faults are equal when they say the same, which is all that comparing two rounds needs.
impl PartialEq for Fault {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.position() == other.position()
    }
}

impl Error {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, slot: None, at_key: false }
    }

    pub(super) fn own(slot: SlotId, fault: Option<Fault>) -> Self {
        Self { slot: Some(slot), ..Self::new(Kind::Own(fault.map(Box::new))) }
    }

    pub(super) fn no_value(slot: SlotId, none: NoValue) -> Self {
        Self::own(slot, none.into_fault())
    }

    /// Says the same of the same place.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.slot == other.slot
    }

    /// Says where it surfaced unless that is known.
    pub(super) fn at(self, slot: SlotId) -> Self {
        Self { slot: self.slot.or(Some(slot)), ..self }
    }

    /// As [`Error::at`], for what is wrong with the key of a slot.
    pub(super) fn at_key(self, slot: SlotId) -> Self {
        Self { at_key: self.slot.is_none(), ..self }.at(slot)
    }

    fn invalid(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        if let Unexpected::Bytes(bytes) = found
            && let Some(slot) = untag(bytes)
        {
            return Self::new(Kind::Tagged { slot, expected });
        }
        Self::new(Kind::Invalid { found: found.to_string(), expected })
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Own(Some(fault)) => f.write_str(&fault.text),
            Kind::Own(None) => f.write_str("could not be read"),
            Kind::Missing(name) => write!(f, "missing `{name}`"),
            Kind::UnknownField { name, .. } => write!(f, "unknown key `{name}`"),
            Kind::UnknownVariant { name, .. } => write!(f, "unknown variant `{name}`"),
            Kind::Tagged { expected, .. } => write!(f, "expected {expected}"),
            Kind::Invalid { found, expected } => write!(f, "{found}, expected {expected}"),
            Kind::Custom(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(found, expected)
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        if let Some(slot) = tagged_name(name) {
            let expected = "the name of a variant".to_owned();
            return Self::new(Kind::Tagged { slot, expected });
        }
        Self::new(Kind::UnknownVariant { name: name.to_owned(), known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownField { name: name.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }
}
