//! How long the headers of a message that is published once more may be.

use std::collections::BTreeMap;

use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::broker::FRAME_MAX;
use crate::headers::{
    ATTEMPT, CAUSE, FIRST_FAILED_AT, LAST_FAILED_AT, ORIGINAL_EXCHANGE, ORIGINAL_ROUTING_KEY,
    TRACEPARENT, UNAVAILABLE,
};

/// Half a frame, in bytes: leaves room for the other properties and for what the broker adds.
const HEADER_BYTES_MAX: usize = FRAME_MAX as usize / 2;
/// Headers that say what became of a message: they are kept before those of others.
const OURS: [&str; 8] = [
    ATTEMPT,
    CAUSE,
    FIRST_FAILED_AT,
    LAST_FAILED_AT,
    ORIGINAL_EXCHANGE,
    ORIGINAL_ROUTING_KEY,
    UNAVAILABLE,
    TRACEPARENT,
];

/// The headers of a message that is published once more, at most [`HEADER_BYTES_MAX`] of them: ours
/// come first, then the shortest. The broker closes the connection over a message whose
/// headers do not fit a frame.
pub(crate) fn bounded(headers: FieldTable) -> FieldTable {
    if table_bytes(&headers) <= HEADER_BYTES_MAX {
        return headers;
    }
    let mut entries: Vec<_> = headers.inner().iter().collect();
    entries.sort_by_key(|entry| (!OURS.contains(&entry.0.as_str()), entry_bytes(*entry)));
    let mut left = HEADER_BYTES_MAX;
    entries.retain(|entry| {
        let bytes = entry_bytes(*entry);
        let fits = bytes <= left;
        left -= if fits { bytes } else { 0 };
        fits
    });
    let dropped = headers.inner().len() - entries.len();
    tracing::warn!(dropped, "headers of a message are too long for another one, and left out");
    let kept = entries.into_iter().map(|(name, value)| (name.clone(), value.clone()));
    kept.collect::<BTreeMap<_, _>>().into()
}

fn table_bytes(table: &FieldTable) -> usize {
    table.inner().iter().map(entry_bytes).sum()
}

fn entry_bytes((name, value): (&ShortString, &AMQPValue)) -> usize {
    1 + name.as_str().len() + value_bytes(value)
}

/// What a value takes in a frame, or a little more.
fn value_bytes(value: &AMQPValue) -> usize {
    const TAG_AND_LENGTH: usize = 5;
    TAG_AND_LENGTH
        + match value {
            AMQPValue::LongString(text) => text.len(),
            AMQPValue::ByteArray(bytes) => bytes.len(),
            AMQPValue::FieldTable(table) => table_bytes(table),
            AMQPValue::FieldArray(array) => array.as_slice().iter().map(value_bytes).sum(),
            _ => 8,
        }
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES_MAX, bounded, table_bytes};
    use crate::headers::{set_number, set_text};
    use lapin::types::FieldTable;

    #[test]
    fn headers_beyond_the_bound_are_left_out_the_longest_of_others_first() {
        let mut headers = FieldTable::default();
        set_text(&mut headers, "long", &"a".repeat(50_000), usize::MAX);
        set_text(&mut headers, "longer", &"a".repeat(60_000), usize::MAX);
        set_text(&mut headers, "x-cause", &"a".repeat(4_000), usize::MAX);
        for number in 0..500 {
            set_number(&mut headers, &format!("h{number}"), 1);
        }

        let kept = bounded(headers.clone());

        assert!(table_bytes(&kept) <= HEADER_BYTES_MAX);
        assert!(kept.contains_key("x-cause") && kept.contains_key("h499"));
        assert!(!kept.contains_key("long") && !kept.contains_key("longer"));
        assert_eq!(bounded(kept.clone()), kept);
    }
}
