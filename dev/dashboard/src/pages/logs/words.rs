//! The words of a filter, as they are written.

/// The filter with this word in the place of those of the same name; without them when the value is empty.
pub(super) fn with(filter: &str, name: &str, value: &str) -> String {
    let others = pieces(filter).into_iter().filter(|piece| {
        let of_it = piece.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        !of_it
    });
    let mut words: Vec<String> = others.map(str::to_owned).collect();
    if !value.is_empty() {
        words.push(format!("{name}:{value}"));
    }
    words.join(" ")
}

/// The filter with a field's word behind it; none where no word can say that.
pub(super) fn and_field(filter: &str, name: &str, value: &str) -> Option<String> {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(is_sign)
        && !matches!(name, "service" | "level" | "trace");
    if !is_name || value.is_empty() || value.contains('"') {
        return None;
    }
    let word = format!("{name}:{value}");
    let word = if value.contains(char::is_whitespace) { format!("\"{word}\"") } else { word };
    let pieces = pieces(filter);
    if pieces.contains(&word.as_str()) {
        return Some(filter.trim().to_owned());
    }
    Some(pieces.into_iter().chain([word.as_str()]).collect::<Vec<_>>().join(" "))
}

/// The words with their quotes.
fn pieces(filter: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let split = filter.split(|sign: char| {
        is_quoted ^= sign == '"';
        sign.is_whitespace() && !is_quoted
    });
    split.filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_takes_the_place_of_those_of_its_name() {
        for (filter, name, value, expected) in [
            ("", "level", "warn", "level:warn"),
            ("level:info \"slow one\" a:b", "level", "warn", "\"slow one\" a:b level:warn"),
            ("level:info x", "level", "", "x"),
            ("-service:a levels", "level", "error", "-service:a levels level:error"),
        ] {
            assert_eq!(with(filter, name, value), expected);
        }
    }

    #[test]
    fn a_field_is_added_once_and_as_the_filter_reads_it() {
        for (name, value, expected) in [
            ("payment.id", "p-1", Some("x payment.id:p-1")),
            ("error", "no such row", Some("x \"error:no such row\"")),
            ("error", "a \"b\"", None),
            ("level", "warn", None),
            ("9", "x", None),
        ] {
            let added = and_field("x", name, value);
            assert_eq!(added.as_deref(), expected);
            let Some(added) = added else { continue };
            assert_eq!(and_field(&added, name, value), Some(added.clone()));
            assert!(log_files::Term::parse_all(&added).is_ok());
        }
    }
}
