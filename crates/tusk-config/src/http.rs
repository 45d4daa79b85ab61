//! The value of `@http(method, url)`: a request described, never made.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// The name under which [`HttpRequest`] asks our deserialiser for its content.
pub(crate) const HTTP_NAME: &str = "$tusk::HttpRequest";

/// A request that somebody may make later. Loading a configuration never makes it.
///
/// Reads from `@http("GET", "http://…")`, from an object with these two keys, or from a plain URL,
/// which means GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method in upper case, for example `GET`.
    pub method: String,
    /// The URL with all its interpolations filled in.
    pub url: String,
}

impl HttpRequest {
    /// A GET of this URL.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET".to_owned(), url: url.into() }
    }
}

/// The text of a request is its URL.
impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl<'de> Deserialize<'de> for HttpRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(HTTP_NAME, Request)
    }
}

struct Request;

impl<'de> Visitor<'de> for Request {
    type Value = HttpRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request: @http(method, url) or a URL")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<HttpRequest, D::Error> {
        d.deserialize_any(self)
    }

    fn visit_str<E: de::Error>(self, url: &str) -> Result<HttpRequest, E> {
        Ok(HttpRequest::get(url))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HttpRequest, A::Error> {
        let (mut method, mut url) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "method" => method = Some(map.next_value::<String>()?),
                "url" => url = Some(map.next_value()?),
                _ => return Err(de::Error::unknown_field(&key, &["method", "url"])),
            }
        }
        let method = method.map_or_else(|| "GET".to_owned(), |method| method.to_ascii_uppercase());
        Ok(HttpRequest { method, url: url.ok_or_else(|| de::Error::missing_field("url"))? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plain_url_means_get() {
        let request: HttpRequest = serde_json::from_str("\"http://a/health\"").unwrap();
        assert_eq!(request, HttpRequest::get("http://a/health"));
    }

    #[test]
    fn an_object_gives_both() {
        let request: HttpRequest =
            serde_json::from_str(r#"{"method":"head","url":"http://a"}"#).unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("HEAD", "http://a"));
    }
}
