//! The name by which a user wants to be called.
//!
//! It stands in mails and on the screens of others, so it must show what it is: no signs that turn the
//! direction of what stands around them (UAX #9), none that cannot be seen (Unicode's
//! `Default_Ignorable_Code_Point`). Joiners and variation selectors are a part of how names are written in
//! some scripts; they are taken where these have them.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::DomainError;

/// Longest name, in characters.
const CHARS_MAX: usize = 100;

/// One line of 1 to 100 characters, composed (NFC) and trimmed. Not shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// It is empty, too long, or holds characters that cannot be seen or turn its direction.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let invalid = |reason| DomainError::Invalid { pointer: "/name", reason };
        let text: String = text.trim().nfc().collect();
        match text.chars().count() {
            0 => return Err(invalid("is empty")),
            count if count > CHARS_MAX => return Err(invalid("is longer than 100 characters")),
            _ => {}
        }
        if text.chars().any(|sign| sign.is_control() || is_line_end(sign)) {
            return Err(invalid("has a control character"));
        }
        if text.chars().any(turns_direction) {
            return Err(invalid("has a character that changes the direction of writing"));
        }
        if text.starts_with(is_combining_mark) || !hidden_are_in_place(&text) {
            return Err(invalid("has a character that cannot be seen"));
        }
        Ok(Self(text))
    }

    /// A name as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name")
    }
}

/// Line and paragraph separator, which are no control characters to Unicode.
fn is_line_end(sign: char) -> bool {
    matches!(sign, '\u{2028}' | '\u{2029}')
}

fn turns_direction(sign: char) -> bool {
    matches!(sign,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether each character that cannot be seen stands where a script has it: a joiner or non-joiner
/// between two characters of scripts that have such (none before Arabic in Unicode's order does), a
/// variation selector after what it varies.
fn hidden_are_in_place(text: &str) -> bool {
    let signs: Vec<char> = text.chars().collect();
    signs.iter().enumerate().filter(|(_, sign)| is_hidden(**sign)).all(|(index, sign)| {
        let before = index.checked_sub(1).and_then(|index| signs.get(index)).copied();
        let after = signs.get(index + 1).copied();
        match *sign {
            '\u{200c}' | '\u{200d}' => {
                before.is_some_and(is_joined) && after.is_some_and(is_joined)
            }
            sign if is_selector(sign) => before.is_some_and(|it| !is_hidden(it) && it != ' '),
            _ => false,
        }
    })
}

fn is_joined(sign: char) -> bool {
    sign >= '\u{600}' && (!is_hidden(sign) || is_selector(sign))
}

fn is_selector(sign: char) -> bool {
    matches!(sign, '\u{180b}'..='\u{180d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Unicode's `Default_Ignorable_Code_Point`, the blank of Braille, and what has no meaning to anybody
/// else: the areas for private use.
fn is_hidden(sign: char) -> bool {
    matches!(sign,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_composed_and_trimmed_whatever_its_script() {
        for (given, kept) in [
            ("  Ada Lovelace ", "Ada Lovelace"),
            ("Zoe\u{308}", "Zo\u{eb}"),
            ("\u{30cf}\u{3099}\u{30eb}", "\u{30d0}\u{30eb}"),
            // A zero width non-joiner as Persian has it, a joiner as in Sinhala, a variant of a letter.
            ("\u{645}\u{6cc}\u{200c}\u{631}", "\u{645}\u{6cc}\u{200c}\u{631}"),
            (
                "\u{0dc1}\u{0dca}\u{200d}\u{0dbb}\u{0dd3}",
                "\u{0dc1}\u{0dca}\u{200d}\u{0dbb}\u{0dd3}",
            ),
            ("\u{845b}\u{e0100}\u{57ce}", "\u{845b}\u{e0100}\u{57ce}"),
            ("\u{2764}\u{fe0f}\u{200d}\u{1f525}", "\u{2764}\u{fe0f}\u{200d}\u{1f525}"),
        ] {
            assert_eq!(Name::parse(given).unwrap().as_str(), kept);
        }
    }

    #[test]
    fn a_name_that_cannot_be_seen_or_turns_what_stands_around_it_is_refused() {
        for given in [
            "",
            "  \u{3000} ",
            "\u{0}",
            "a\nb",
            "a\u{2028}b",
            "\u{200b}",
            "\u{3164}",
            "\u{2800}\u{2800}",
            "a\u{202e}gnp.exe",
            "\u{2067}abc",
            "\u{200f}abc",
            "ad\u{200b}a",
            "ad\u{200d}a",
            "\u{200c}\u{645}",
            "ad\u{ad}a",
            "\u{feff}ada",
            "\u{308}ada",
            "ada\u{e0041}",
            "\u{fe0f}",
            "\u{e000}",
        ] {
            let error = Name::parse(given);
            assert!(
                matches!(error, Err(DomainError::Invalid { pointer: "/name", .. })),
                "{given:?}"
            );
        }
    }

    #[test]
    fn the_length_is_that_of_what_is_kept() {
        assert!(Name::parse(&"e\u{301}".repeat(100)).is_ok());
        assert!(Name::parse(&"\u{e9}".repeat(101)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,40}") {
            if let Ok(name) = Name::parse(&text) {
                proptest::prop_assert_eq!(Name::parse(name.as_str()), Ok(name));
            }
        }
    }
}
