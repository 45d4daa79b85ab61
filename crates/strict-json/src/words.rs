//! serde's words without the values that they quote: a card number in the wrong place must not come
//! back, and must not be logged.

/// serde's words without the value they quote.
pub fn without_values(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(words, _)| words);
    if let Some((name, _)) = message.strip_prefix("unknown field `").and_then(|m| m.split_once('`'))
        && !is_name(name)
    {
        return "unknown field".to_owned();
    }
    for found in ["invalid type: ", "invalid value: ", "unknown variant ", "invalid length "] {
        if let Some(rest) = message.find(found).map(|at| &message[at..])
            && let Some(expected) = rest.rfind("expected ")
        {
            return expected_words(&rest[expected..]).to_owned();
        }
    }
    // It goes on with a piece of the value.
    if message.starts_with("UUID parsing failed") { "expected a UUID" } else { message }.to_owned()
}

/// The name of a type in the code tells a caller nothing.
fn expected_words(expected: &str) -> &str {
    match expected {
        "expected i8" | "expected i16" | "expected i32" | "expected i64" => "expected an integer",
        "expected u8" | "expected u16" | "expected u32" | "expected u64" => {
            "expected an integer of 0 or more"
        }
        other if other.starts_with("expected struct ") => "expected an object",
        other => other,
    }
}

/// Whether a key reads like a field's name: then naming it helps, and it is no card number.
pub(crate) fn is_name(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(word)
        && key.bytes().filter(u8::is_ascii_digit).count() < 12
}
