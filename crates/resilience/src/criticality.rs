//! Criticality: who is refused first where there is not room for all, passed on from caller to callee.
//!
//! It is said once, where the work begins, and goes along with every call that the work makes, as its
//! deadline does. What a stranger says may only lower it: see `chassis`.

use http::{HeaderMap, HeaderName, HeaderValue};

/// One of the words of [`Criticality::as_str`].
pub const HEADER: HeaderName = HeaderName::from_static("x-criticality");

/// How much it matters that work is done now. The order is that of its worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Criticality {
    /// Nobody waits for it, and it is tried again: refused first.
    Background,
    /// Somebody waits for it.
    #[default]
    Default,
    /// Others cannot go on without it: refused last.
    Critical,
}

impl Criticality {
    /// What the header says; none without one, or when it says something else.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let word = headers.get(HEADER)?.as_bytes();
        [Self::Background, Self::Default, Self::Critical]
            .into_iter()
            .find(|criticality| criticality.as_str().as_bytes() == word)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Default => "default",
            Self::Critical => "critical",
        }
    }

    /// Tells the callee, unless it would assume the same.
    pub fn inject(self, headers: &mut HeaderMap) {
        if self != Self::Default {
            headers.insert(HEADER, HeaderValue::from_static(self.as_str()));
        }
    }

    /// The part of a limit, in quarters, up to which work of this kind is let in.
    pub(crate) fn quarters(self) -> usize {
        match self {
            Self::Background => 3,
            Self::Default | Self::Critical => 4,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom_resilience))]
mod tests {
    use super::*;

    #[test]
    fn it_goes_through_a_header_and_any_other_word_is_none() {
        for criticality in [Criticality::Background, Criticality::Critical] {
            let mut headers = HeaderMap::new();
            criticality.inject(&mut headers);
            assert_eq!(Criticality::from_headers(&headers), Some(criticality));
        }
        let mut headers = HeaderMap::new();
        Criticality::Default.inject(&mut headers);
        assert!(headers.is_empty());
        headers.insert(HEADER, HeaderValue::from_static("CRITICAL"));
        assert_eq!(Criticality::from_headers(&headers), None);
        assert!(Criticality::Background < Criticality::Default);
    }
}
