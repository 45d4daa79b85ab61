//! Optimistic concurrency over HTTP: `ETag` out, `If-Match` in (RFC 9110 §13.1.1).

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponseParts, ResponseParts};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::Problem;

/// A resource's version as a strong entity tag: `"7"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(pub i64);

impl IntoResponseParts for ETag {
    type Error = Problem;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Problem> {
        let value = HeaderValue::try_from(format!("\"{}\"", self.0));
        parts.headers_mut().insert(header::ETAG, value.map_err(|_| Problem::internal())?);
        Ok(parts)
    }
}

/// An entity tag (RFC 9110 §8.8.3): a text without quotation marks and spaces, weak or not. `"01"` is
/// another one than `"1"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag {
    is_weak: bool,
    opaque: Vec<u8>,
}

impl EntityTag {
    /// The tag that a text is, without anything behind it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Self::first(text).filter(|(_, rest)| rest.is_empty()).map(|(tag, _)| tag)
    }

    /// The tag that a text begins with, and the rest.
    fn first(text: &[u8]) -> Option<(Self, &[u8])> {
        let weak = text.strip_prefix(b"W/");
        let quoted = weak.unwrap_or(text).strip_prefix(b"\"")?;
        let (opaque, rest) = quoted.split_at(quoted.iter().position(|&byte| byte == b'"')?);
        let is_visible = |&byte: &u8| byte > b' ' && byte != 0x7f;
        let tag = Self { is_weak: weak.is_some(), opaque: opaque.to_vec() };
        opaque.iter().all(is_visible).then_some((tag, &rest[1..]))
    }

    fn of_version(version: i64) -> Self {
        Self { is_weak: false, opaque: version.to_string().into_bytes() }
    }
}

/// What `If-Match` or `If-None-Match` names. What is no list of entity tags names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntityTags {
    /// `*`: whatever there is.
    Any,
    /// One of these.
    These(Vec<EntityTag>),
}

impl EntityTags {
    /// The tags in this header, in one line or in several; none without it.
    pub(crate) fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let lines: Vec<&[u8]> = lines.collect();
        if lines.is_empty() {
            return None;
        }
        let list = lines.join(&b","[..]);
        if list.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        Some(Self::These(Self::list(&list).unwrap_or_default()))
    }

    /// The members of a list; empty ones count for nothing (RFC 9110 §5.6.1.2).
    fn list(mut rest: &[u8]) -> Option<Vec<EntityTag>> {
        let mut tags = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            if let Some((&b',', behind)) = rest.split_first() {
                rest = behind;
                continue;
            }
            if rest.is_empty() {
                return Some(tags);
            }
            let (tag, behind) = EntityTag::first(rest)?;
            tags.push(tag);
            rest = behind.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
    }

    /// Whether they name this tag by the strong comparison, for which a weak tag is equal to none.
    pub(crate) fn name_strongly(&self, tag: &EntityTag) -> bool {
        self.any(|named| named == tag && !named.is_weak)
    }

    /// Whether they name this tag by the weak comparison.
    pub(crate) fn name_weakly(&self, tag: &EntityTag) -> bool {
        self.any(|named| named.opaque == tag.opaque)
    }

    fn any(&self, is_it: impl Fn(&EntityTag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(is_it),
        }
    }
}

/// The versions that the caller takes the resource to be at, one or more of them, or `*` for
/// whichever it is. Missing: 428. A route that can do without takes an `Option` of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(EntityTags);

impl IfMatch {
    /// Whether a request may go on when the resource is at this version: 412 if not, which is
    /// [`Problem::precondition_failed`].
    pub fn admits(&self, version: i64) -> bool {
        self.0.name_strongly(&EntityTag::of_version(version))
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let tags = EntityTags::of(&parts.headers, &header::IF_MATCH);
        tags.map(Self).ok_or_else(Problem::precondition_required)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(EntityTags::of(&parts.headers, &header::IF_MATCH).map(Self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(lines: &[&str]) -> EntityTags {
        let line = |line: &&str| (header::IF_MATCH, HeaderValue::from_str(line).unwrap());
        EntityTags::of(&lines.iter().map(line).collect(), &header::IF_MATCH).unwrap()
    }

    #[test]
    fn tags_are_compared_as_the_standard_says() {
        for (lines, strongly, weakly) in [
            (&["\"1\""][..], true, true),
            (&["*"], true, true),
            (&["\"1\", \"99\""], true, true),
            (&["\"99\",\"1\""], true, true),
            (&["\"99\"", "\"1\""], true, true),
            (&[" , \"1\" ,, "], true, true),
            (&["W/\"1\""], false, true),
            (&["W/\"99\", \"1\""], true, true),
            (&["\"01\""], false, false),
            (&["\"+1\""], false, false),
            (&["\"1 \""], false, false),
            (&["\"99, 1\""], false, false),
            (&["\",\", \"1\""], true, true),
            (&["\"99\""], false, false),
            (&["\"\""], false, false),
            (&[""], false, false),
            (&["1"], false, false),
            (&["\"1"], false, false),
            (&["'1'"], false, false),
            (&["w/\"1\""], false, false),
            (&["\"1\"; \"2\""], false, false),
            (&["\"1\" \"2\""], false, false),
            (&["*, \"1\""], false, false),
            (&["*", "*"], false, false),
        ] {
            let tags = tags(lines);
            let one = EntityTag::of_version(1);
            assert_eq!(
                (tags.name_strongly(&one), tags.name_weakly(&one)),
                (strongly, weakly),
                "{lines:?}"
            );
            assert_eq!(IfMatch(tags).admits(1), strongly, "{lines:?}");
        }
    }

    #[test]
    fn a_weak_tag_of_ours_is_named_weakly_alone() {
        let weak = EntityTag::parse(b"W/\"1\"").unwrap();
        assert!(!tags(&["\"1\""]).name_strongly(&weak) && !tags(&["W/\"1\""]).name_strongly(&weak));
        assert!(tags(&["\"1\""]).name_weakly(&weak));
        assert_eq!(EntityTag::parse(b"\"1\" "), None);
    }
}
