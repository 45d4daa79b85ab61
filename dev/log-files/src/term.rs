//! What is asked for in words: `service:user-service level:warn trace:13a21241 payment.id:p-1 -"slow one"`.

use crate::{Entry, Level, Trace};

/// One word of a question; an entry has to answer all of them.
#[derive(Debug)]
pub struct Term {
    /// Whether the entry must not be like that.
    is_negated: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Of the log whose name is this, or begins with it.
    Service(String),
    /// As bad as that, or worse.
    Level(Level),
    Trace(Trace),
    /// With a field of this name that holds this text.
    Field(String, String),
    /// That says this text, in any case of letters.
    Text(String),
}

impl Term {
    /// Reads a question: words with spaces between them, each `name:value` or a text; `"…"` keeps spaces
    /// together, `-` before a word turns it round. `service`, `level` and `trace` are names of their own,
    /// all others are fields of the entry.
    ///
    /// # Errors
    /// A sentence that says which word cannot be read.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        words(text).into_iter().map(|word| Self::parse(&word)).collect()
    }

    fn parse(word: &str) -> Result<Self, String> {
        let (is_negated, word) = match word.strip_prefix('-') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, word),
        };
        let kind = match word.split_once(':') {
            Some((name, value)) if is_name(name) && !value.is_empty() => match name {
                "service" => Kind::Service(value.to_owned()),
                "level" => Kind::Level(Level::of(value).ok_or_else(|| {
                    format!("`{value}` is no level; there are trace, debug, info, warn, error")
                })?),
                "trace" => Kind::Trace(Trace::parse(value)?),
                name => Kind::Field(name.to_owned(), value.to_owned()),
            },
            _ => Kind::Text(word.to_lowercase()),
        };
        Ok(Self { is_negated, kind })
    }

    /// The trace that is asked for, whose requests it has to learn.
    pub(crate) fn trace(&mut self) -> Option<&mut Trace> {
        match &mut self.kind {
            Kind::Trace(trace) => Some(trace),
            _ => None,
        }
    }

    pub(crate) fn admits(&self, log: &str, entry: &Entry) -> bool {
        self.is_negated != self.is_met(log, entry)
    }

    fn is_met(&self, log: &str, entry: &Entry) -> bool {
        match &self.kind {
            Kind::Service(name) => log.starts_with(name.as_str()),
            // What does not tell how bad it is counts as information.
            Kind::Level(level) => entry.level.unwrap_or(Level::Info) >= *level,
            Kind::Trace(trace) => trace.admits(entry),
            Kind::Field(name, value) => entry.fields.get(name).is_some_and(|there| match there {
                serde_json::Value::String(there) => there.contains(value.as_str()),
                there => {
                    let there = there.to_string();
                    there == *value
                }
            }),
            Kind::Text(text) => {
                let holds = |said: &str| said.to_lowercase().contains(text.as_str());
                holds(&entry.said()) || entry.more.iter().any(|line| holds(line))
            }
        }
    }
}

/// Names of fields: `payment.id`, `error_type`. What looks otherwise is text, such as `http://a`.
fn is_name(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && text.bytes().all(is_sign)
}

/// The words; what stands in quotes is part of its word, without them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for sign in text.chars() {
        match sign {
            '"' => is_quoted = !is_quoted,
            sign if sign.is_whitespace() && !is_quoted => words.push(std::mem::take(&mut word)),
            sign => word.push(sign),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty() && word != "-");
    words
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TRACE: &str = "13a2124116acc68c586b5bc363e699b0";

    fn admits(asked: &str, log: &str, line: &str) -> bool {
        let entry = Entry::begin(line).unwrap();
        Term::parse_all(asked).unwrap().iter().all(|term| term.admits(log, &entry))
    }

    #[test]
    fn an_entry_answers_every_word_of_a_question() {
        let line = format!(
            r#"{{"timestamp":"2026-01-15T12:00:00Z","level":"WARN","message":"Slow provider",
            "payment.id":"p-1","attempts":3,"trace_id":"{TRACE}"}}"#
        );
        for (asked, expected) in [
            ("", true),
            ("service:payment", true),
            ("service:user-service", false),
            ("-service:user-service", true),
            ("level:info", true),
            ("level:error", false),
            ("trace:13a21241", true),
            ("payment.id:p-1", true),
            ("payment.id:p-2", false),
            ("-payment.id:p-2", true),
            ("attempts:3", true),
            ("attempts:30", false),
            ("\"slow provider\"", true),
            ("slow -provider", false),
            ("-\"slow service\" level:warn service:payment", true),
            ("http://nowhere", false),
            ("-", true),
        ] {
            assert_eq!(admits(asked, "payment-service", &line), expected, "{asked}");
        }
    }

    #[test]
    fn a_word_that_cannot_be_read_is_named() {
        assert!(Term::parse_all("level:loud").unwrap_err().contains("`loud`"));
        assert!(Term::parse_all("trace:12").unwrap_err().contains("first 8 digits"));
    }
}
