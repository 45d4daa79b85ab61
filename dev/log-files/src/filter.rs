//! Which entries are asked for.

use std::collections::BTreeSet;

use crate::{Entry, Level, Term, Time};

/// The fewest digits of a trace id that name it.
const PREFIX_MIN: usize = 8;

/// What an entry has to be, all of it.
#[derive(Debug, Default)]
pub struct Filter {
    /// Written at this time or later.
    pub since: Option<Time>,
    /// Written before that.
    pub until: Option<Time>,
    /// As bad as that, or worse.
    pub level: Option<Level>,
    /// Says this text.
    pub grep: Option<String>,
    /// Belongs to this trace.
    pub trace: Option<Trace>,
    /// Answers all of these words.
    pub terms: Vec<Term>,
}

/// A trace, by its id, the beginning of that, or the id of one of its requests.
#[derive(Debug)]
pub struct Trace {
    id: String,
    /// The traces of the request, as far as they are known.
    of_request: BTreeSet<String>,
}

impl Trace {
    /// # Errors
    /// What is too short to be either.
    pub fn parse(text: &str) -> Result<Self, String> {
        let id = text.trim();
        if id.len() < PREFIX_MIN {
            return Err(format!(
                "give a trace id, its first {PREFIX_MIN} digits or more, or a request id"
            ));
        }
        Ok(Self { id: id.to_owned(), of_request: BTreeSet::new() })
    }

    /// Whether it may be a request's id, whose trace is known only once its line was seen.
    pub fn may_be_request(&self) -> bool {
        let is_trace = self.id.len() == 32 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        !is_trace
    }

    /// Notes the trace of the request.
    pub fn learn(&mut self, entry: &Entry) {
        if entry.request_id.as_ref() == Some(&self.id) {
            self.of_request.extend(entry.trace_id.clone());
        }
    }

    pub(crate) fn admits(&self, entry: &Entry) -> bool {
        let is_of_trace = entry.trace_id.as_ref().is_some_and(|trace| {
            let begin = trace.get(..self.id.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(&self.id))
                || self.of_request.contains(trace)
        });
        is_of_trace || entry.request_id.as_ref() == Some(&self.id)
    }
}

impl Filter {
    /// Whether every entry is asked for.
    pub fn is_empty(&self) -> bool {
        let Self { since, until, level, grep, trace, terms } = self;
        let has_any = since.is_some() || until.is_some() || level.is_some() || grep.is_some();
        !has_any && trace.is_none() && terms.is_empty()
    }

    /// The traces that are asked for, which have to [learn](Trace::learn) of each entry.
    pub fn traces(&mut self) -> impl Iterator<Item = &mut Trace> {
        self.trace.iter_mut().chain(self.terms.iter_mut().filter_map(Term::trace))
    }

    /// Whether an entry of the log of this name is asked for.
    pub fn admits(&self, log: &str, entry: &Entry) -> bool {
        // What does not tell how bad it is counts as information, and what has no time as old.
        let level = entry.level.unwrap_or(Level::Info);
        self.since.is_none_or(|since| entry.time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| entry.time.is_none_or(|time| time < until))
            && self.level.is_none_or(|asked| level >= asked)
            && self.trace.as_ref().is_none_or(|trace| trace.admits(entry))
            && self.grep.as_ref().is_none_or(|text| holds(entry, text))
            && self.terms.iter().all(|term| term.admits(log, entry))
    }
}

/// Whether it says this text, as it is shown or in an id that is shown by its first digits.
fn holds(entry: &Entry, text: &str) -> bool {
    entry.trace_id.as_ref().is_some_and(|trace| trace.contains(text))
        || entry.said().contains(text)
        || entry.more.iter().any(|line| line.contains(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TRACE: &str = "13a2124116acc68c586b5bc363e699b0";

    fn entry(second: u32, level: &str, rest: &str) -> Entry {
        Entry::begin(&format!("2026-01-15T12:00:{second:02}Z {level} {rest}")).unwrap()
    }

    fn at(second: i64) -> Option<Time> {
        let noon = entry(0, "INFO", "").time.unwrap();
        noon.checked_add_signed(chrono::TimeDelta::seconds(second))
    }

    #[test]
    fn times_begin_with_since_and_end_before_until() {
        let filter = Filter { since: at(10), until: at(20), ..Filter::default() };
        let admitted = [9, 10, 19, 20].map(|second| filter.admits("", &entry(second, "INFO", "x")));
        assert_eq!(admitted, [false, true, true, false]);
    }

    #[test]
    fn a_level_admits_what_is_as_bad_or_worse() {
        let filter = Filter { level: Some(Level::Warn), ..Filter::default() };
        let levels = ["DEBUG", "INFO", "WARN", "ERROR"];
        let admitted = levels.map(|level| filter.admits("", &entry(0, level, "x")));
        assert_eq!(admitted, [false, false, true, true]);
        assert!(
            !filter.admits("", &entry(0, "POST", "/v1/x 200")),
            "it does not say how bad it is"
        );
    }

    #[test]
    fn a_trace_is_named_by_its_id_or_the_beginning_of_it() {
        let of_it = entry(0, "INFO", &format!("x trace_id={TRACE}"));
        let of_another = entry(0, "INFO", &format!("x trace_id=ff{}", &TRACE[2..]));
        for asked in [TRACE, &TRACE[..8], &TRACE[..20].to_uppercase()] {
            let filter = Filter { trace: Some(Trace::parse(asked).unwrap()), ..Filter::default() };
            assert!(filter.admits("", &of_it), "{asked}");
            assert!(!filter.admits("", &of_another) && !filter.admits("", &entry(0, "INFO", "x")));
        }
        Trace::parse(&TRACE[..7]).unwrap_err();
    }

    #[test]
    fn a_request_admits_all_of_its_trace() {
        let answered =
            entry(1, "INFO", &format!("answered request.id=my-request trace_id={TRACE}"));
        let other = entry(0, "INFO", &format!("charged trace_id={TRACE}"));
        let mut trace = Trace::parse("my-request").unwrap();
        assert!(trace.may_be_request());
        trace.learn(&other);
        trace.learn(&answered);
        let filter = Filter { trace: Some(trace), ..Filter::default() };
        assert!(filter.admits("", &answered) && filter.admits("", &other));
        assert!(!filter.admits("", &entry(0, "INFO", "x request.id=my-request-2")));
    }

    #[test]
    fn a_text_is_looked_for_in_all_that_is_said() {
        let line = r#"{"timestamp":"2026-01-15T12:00:00Z","message":"charged","payment.id":"p-1"}"#;
        let mut entry = Entry::begin(line).unwrap();
        entry.more.push("  at src/a.rs".into());
        for (text, is_there) in
            [("charged", true), ("payment.id=p-1", true), ("a.rs", true), ("p-2", false)]
        {
            let filter = Filter { grep: Some(text.into()), ..Filter::default() };
            assert_eq!(filter.admits("", &entry), is_there, "{text}");
        }
    }
}
