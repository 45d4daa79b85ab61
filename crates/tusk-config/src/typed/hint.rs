//! What a refused tag was asked for as.

use crate::unread::UNREAD;

/// How to give a value to serde's buffer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hint {
    Integer {
        min: i128,
        max: i128,
    },
    Float,
    Bool,
    Text,
    Char,
    Duration,
    /// Nothing at all; [`crate::Unread`] only wants to know that it is there.
    Unread,
    /// The name of a variant, out of these.
    Variant(&'static [&'static str]),
    /// As it is. Holds the words that asked for it.
    Natural(String),
}

impl Hint {
    /// Reads the words of a visitor, as the implementations in serde itself spell them.
    pub(super) fn of(expected: &str) -> Self {
        if let Some((min, max)) = integer(expected) {
            return Self::Integer { min, max };
        }
        match expected {
            "f32" | "f64" => Self::Float,
            "a boolean" => Self::Bool,
            "a string" => Self::Text,
            "a character" => Self::Char,
            "struct Duration" => Self::Duration,
            UNREAD => Self::Unread,
            _ => Self::Natural(expected.to_owned()),
        }
    }
}

/// The range of a type of whole numbers.
fn integer(name: &str) -> Option<(i128, i128)> {
    let (name, nonzero) = match name.strip_prefix("a nonzero ") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (min, max) = match name {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" | "u128" => (0, u64::MAX.into()),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" | "isize" | "i128" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    };
    Some((if nonzero && min == 0 { 1 } else { min }, max))
}
