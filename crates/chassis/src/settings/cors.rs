//! Settings of what browsers of other origins may do: `[cors]` of a service's own file.

use std::time::Duration;

use http::uri::Authority;
use http::{HeaderValue, Uri};
use serde::Deserialize;
use tusk_config::ValidationError;

/// The longest time that browsers remember what they may do.
const MAX_AGE: Duration = Duration::from_hours(24);
/// For every origin.
const ANY: &str = "*";

/// Section `[cors]`: which pages of other origins may call from a browser. Left out, none.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CorsSettings {
    /// Origins, such as `https://app.example.com`, or `*` alone for all.
    pub allowed_origins: Vec<String>,
    /// Whether browsers send what they keep for the service, such as client certificates. Tokens need
    /// none of it: the page sends them itself.
    pub allow_credentials: bool,
    /// How long a browser may remember what it may do.
    pub max_age: Duration,
}

impl CorsSettings {
    /// Whether every origin may call.
    pub(crate) fn is_any(&self) -> bool {
        self.allowed_origins == [ANY]
    }

    /// The origins that may call, as browsers name them.
    pub(crate) fn origins(&self) -> impl Iterator<Item = HeaderValue> {
        self.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())
    }

    /// What cannot work.
    pub fn check(&self) -> Vec<ValidationError> {
        let origins = self.allowed_origins.iter();
        let wrong = origins.filter(|origin| !self.is_any() && !is_origin(origin)).map(|origin| {
            let text = format!(
                "`{origin}` is no origin: write scheme://host or scheme://host:port in lower case, as \
                 browsers do, or * alone"
            );
            ValidationError::at("cors.allowed_origins", text)
        });
        let others = [
            ValidationError::unless(
                !(self.is_any() && self.allow_credentials),
                "cors.allow_credentials",
                "with allowed_origins: * every page could do everything in its visitor's name; name \
                 the origins",
            ),
            ValidationError::outside("cors.max_age", self.max_age, Duration::ZERO..=MAX_AGE),
        ];
        wrong.chain(others.into_iter().flatten()).collect()
    }
}

/// Whether a text is what a browser writes into `Origin`: no path, no slash at the end, no port that is
/// the scheme's own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let own = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let uri = text.parse::<Uri>().ok();
    let parsed = uri.as_ref().and_then(Uri::authority).map(Authority::as_str);
    parsed == Some(authority)
        && !authority.is_empty()
        && !authority.contains(['@', '*'])
        && !authority.ends_with(own)
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(origins: &[&str], allow_credentials: bool) -> Vec<String> {
        let allowed_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let max_age = Duration::from_mins(10);
        let settings = CorsSettings { allowed_origins, allow_credentials, max_age };
        settings.check().into_iter().map(|error| error.path().to_owned()).collect()
    }

    #[test]
    fn origins_as_browsers_write_them_are_taken_and_nothing_else() {
        for origin in
            ["https://app.example.com", "http://localhost:5173", "https://[::1]:8443", "*"]
        {
            assert!(reported(&[origin], false).is_empty(), "{origin}");
        }
        for origin in [
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://App.example.com",
            "https://user@app.example.com",
            "https://*.example.com",
            "https://",
            "ftp://app.example.com",
            "null",
            "",
        ] {
            assert_eq!(reported(&[origin], false), ["cors.allowed_origins"], "{origin}");
        }
        assert_eq!(reported(&["*", "https://app.example.com"], false), ["cors.allowed_origins"]);
    }

    #[test]
    fn every_origin_with_credentials_is_a_fault() {
        assert_eq!(reported(&["*"], true), ["cors.allow_credentials"]);
        assert!(reported(&["https://app.example.com"], true).is_empty());
    }
}
