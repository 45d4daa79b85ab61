//! Scopes: which of its caller's rights a token carries (`scope`, RFC 6749 §3.3, RFC 9068 §2.2.3).
//!
//! | scope | opens |
//! |---|---|
//! | `payment:read` | what payment-service has for `GET` and `HEAD` |
//! | `payment:write` | what it has for the other methods |
//! | `payment:admin` | what it has for administrators alone, and everybody's things besides the own |
//!
//! A scope is a service's name in `[policy.…]`, without `-service`, and one of three words. No scope holds another
//! one: they are compared as a whole, and `payment:admin` does not read payments. A token that has the claim may do
//! what its caller and its scopes may both do; one that has no such claim is not narrowed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Scopes of a token at most.
pub const SCOPES_MAX: usize = 32;
/// Bytes of all of them at most, with the spaces between them.
pub const SCOPE_BYTES_MAX: usize = 1024;

/// What of a service a scope opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// What changes nothing.
    Read,
    /// What changes something.
    Write,
    /// What is for administrators.
    Admin,
}

/// One scope, such as `user:read`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(Box<str>);

/// The scopes of a token: sorted, each once, [`SCOPES_MAX`] at most; maybe none, which open nothing. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Arc<[Scope]>);

/// Why scopes that somebody asks for are refused. Its text is for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// More, or longer ones, than a token may have.
    #[error("names more than {SCOPES_MAX} scopes, or has more than {SCOPE_BYTES_MAX} characters")]
    TooMany,
    /// No scopes with one space between them.
    #[error("must be scopes with one space between them; there are {0}")]
    Malformed(Scopes),
    /// A scope that there is not.
    #[error("names {0}, which is no scope; there are {1}")]
    Unknown(String, Scopes),
}

impl Access {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl Scope {
    /// The scope for `access` to a service.
    pub fn of(service: &str, access: Access) -> Self {
        Self(format!("{}:{}", name_of(service), access.word()).into())
    }

    /// The scope of this name; none where the word has not its form.
    fn named(word: &str) -> Option<Self> {
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let (service, access) = word.split_once(':')?;
        let is_service = !service.is_empty() && service.bytes().all(is_plain);
        let is_access = Access::ALL.iter().any(|known| known.word() == access);
        (is_service && is_access).then(|| Self(word.into()))
    }
}

/// How scopes call a service.
pub(crate) fn name_of(service: &str) -> &str {
    service.strip_suffix("-service").unwrap_or(service)
}

impl Scopes {
    /// What a claim, or a row, says. Whatever goes beyond its bounds or breaks its grammar opens nothing, and neither
    /// does a scope of another form than ours: one may come with a next release.
    pub fn read(text: &str) -> Self {
        let words = words(text).unwrap_or_default();
        words.into_iter().filter_map(Scope::named).collect()
    }

    /// What somebody asks for, of those that there are.
    ///
    /// # Errors
    /// Any of them is none of `known`, or they are too many.
    pub fn asked(text: &str, known: &Self) -> Result<Self, ScopeError> {
        let Some(words) = words(text) else {
            let is_too_many = text.len() > SCOPE_BYTES_MAX || text.split(' ').count() > SCOPES_MAX;
            let malformed = || ScopeError::Malformed(known.clone());
            return Err(if is_too_many { ScopeError::TooMany } else { malformed() });
        };
        let scope = |word: &str| {
            let scope = Scope::named(word).filter(|scope| known.contains(scope));
            scope.ok_or_else(|| ScopeError::Unknown(word.to_owned(), known.clone()))
        };
        words.into_iter().map(scope).collect()
    }

    /// Whether this one is among them.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }
}

/// The words of a list: at least one, each as RFC 6749 §3.3 has it, with one space between two.
fn words(text: &str) -> Option<Vec<&str>> {
    let is_sign = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    let words: Vec<&str> = text.split(' ').take(SCOPES_MAX + 1).collect();
    let are_fit = text.len() <= SCOPE_BYTES_MAX && words.len() <= SCOPES_MAX;
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(is_sign);
    (are_fit && words.iter().all(is_word)).then_some(words)
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes.into())
    }
}

/// In a claim. A claim of another type than text is there, and opens nothing.
impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Claim {
            Text(String),
            Other(serde::de::IgnoredAny),
        }
        Ok(match Claim::deserialize(deserializer)? {
            Claim::Text(text) => Self::read(&text),
            Claim::Other(_) => Self::default(),
        })
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// With one space between two, as a claim has them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        Scopes::read(text).to_string()
    }

    #[test]
    fn a_scope_has_the_services_short_name_and_what_it_opens() {
        for (service, access, expected) in [
            ("user-service", Access::Read, "user:read"),
            ("orders", Access::Write, "orders:write"),
            ("orders-service", Access::Admin, "orders:admin"),
            ("self-service-desk", Access::Read, "self-service-desk:read"),
        ] {
            assert_eq!(Scope::of(service, access).to_string(), expected);
            assert_eq!(Scope::named(expected), Some(Scope::of(service, access)));
        }
    }

    #[test]
    fn scopes_are_kept_sorted_and_once() {
        assert_eq!(read("user:write payment:read user:write"), "payment:read user:write");
        assert_eq!(Scopes::read("a-b:read c:read"), Scopes::read("c:read a-b:read c:read"));
    }

    #[test]
    fn what_breaks_the_grammar_or_the_bounds_opens_nothing() {
        let many: Vec<String> = (0..=SCOPES_MAX).map(|n| format!("s{n}:read")).collect();
        let long = format!("user:read {}:read", "x".repeat(SCOPE_BYTES_MAX));
        for text in [
            "",
            " ",
            " user:read",
            "user:read ",
            "user:read  user:write",
            "user:read\tuser:write",
            "user:read\nuser:write",
            "user:read,\"user:write\"",
            "user:read caf\u{e9}:read",
            &many.join(" "),
            &long,
        ] {
            assert_eq!(Scopes::read(text), Scopes::default(), "{text:?}");
        }
        assert_eq!(Scopes::read(&many[1..].join(" ")).0.len(), SCOPES_MAX);
    }

    #[test]
    fn a_word_that_is_no_scope_of_ours_opens_nothing_and_its_neighbours_do() {
        for word in [
            "openid",
            "user",
            "user:",
            ":read",
            "*",
            "user:*",
            "User:read",
            "user:READ",
            "a:read:x",
        ] {
            assert_eq!(read(&format!("{word} user:read")), "user:read", "{word}");
        }
    }

    #[test]
    fn a_scope_is_no_prefix_of_another_and_none_holds_another() {
        for other in ["user:readwrite", "user:write", "user:admin", "users:read", "user:read2"] {
            assert!(
                !Scopes::read(other).contains(&Scope::of("user-service", Access::Read)),
                "{other}"
            );
        }
    }

    #[test]
    fn a_claim_of_another_type_than_text_is_there_and_opens_nothing() {
        for claim in ["null", "7", "true", r#"["user:read"]"#, r#"{"user":"read"}"#, r#""""#] {
            let scopes: Scopes = serde_json::from_str(claim).unwrap();
            assert_eq!(scopes, Scopes::default(), "{claim}");
        }
        let scopes: Scopes = serde_json::from_str(r#""user:write user:read""#).unwrap();
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#""user:read user:write""#);
    }

    #[test]
    fn who_asks_for_what_there_is_not_is_told_which_and_what_there_is() {
        let known = Scopes::read("user:read user:write");
        let refused = |text: &str| Scopes::asked(text, &known).unwrap_err().to_string();
        assert_eq!(Scopes::asked("user:write", &known), Ok(Scopes::read("user:write")));
        let unknown = "names user:raed, which is no scope; there are user:read user:write";
        assert_eq!(refused("user:read user:raed"), unknown);
        for text in ["user", "USER:read", "payment:read", "user:readwrite", "openid"] {
            assert!(refused(text).starts_with(&format!("names {text}, ")), "{text}");
        }
        for text in ["", "user:read  user:write", "user:read\t"] {
            assert!(refused(text).starts_with("must be scopes "), "{text:?}");
        }
        for text in ["user:read ".repeat(40), "x".repeat(SCOPE_BYTES_MAX + 1)] {
            assert!(refused(text.trim()).starts_with("names more than "), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_claim_says_is_bounded_and_reads_the_same_again(text in "[a-z:,\" -]{0,80}|.{0,1100}") {
            let scopes = Scopes::read(&text);
            prop_assert!(scopes.0.len() <= SCOPES_MAX && scopes.to_string().len() <= SCOPE_BYTES_MAX);
            prop_assert!(scopes.0.iter().all(|scope| text.split(' ').any(|word| *word == *scope.0)));
            prop_assert!(scopes.0.is_empty() || Scopes::read(&scopes.to_string()) == scopes);
        }
    }
}
