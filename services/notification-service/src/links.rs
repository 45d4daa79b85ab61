//! The links of mails: pages of the front end, with a token behind `#`.
//!
//! A browser sends what is behind `#` to no server and names it to no other page, so that the token is in
//! no access log. The page reads it and sends it to user-service in the body of a request.

use auth::MailTokens;
use platform::BuildError;
use serde::Deserialize;
use tusk_config::{Secret, ValidationError};
use url::Url;

use crate::config::OwnSecret;
use crate::domain::{LinkPurpose, Notification};

/// Section `[links]`.
#[derive(Debug, Clone, Deserialize)]
pub struct LinkSettings {
    /// The front end's address, `https://host` with or without a path.
    pub front_end: String,
    /// The page on which an address is proven, below that.
    pub verification: String,
    /// The page on which another password is chosen, below that.
    pub password_reset: String,
}

impl LinkSettings {
    /// What cannot work: no address of a page, or one to which tokens would go without TLS where that is
    /// asked for.
    pub(crate) fn check(&self, requires_tls: bool) -> Vec<ValidationError> {
        let page = |key: &str, page: &str| {
            let fault = match self.page(page) {
                Ok(url) if !requires_tls || url.scheme() == "https" => return None,
                Ok(_) => "https:// is needed: whoever reads a link can use it",
                Err(fault) => fault,
            };
            Some(ValidationError::at(format!("links.{key}"), fault))
        };
        let front_end = page("front_end", "");
        if front_end.is_some() {
            return Vec::from_iter(front_end);
        }
        let pages = [
            page("verification", &self.verification),
            page("password_reset", &self.password_reset),
        ];
        pages.into_iter().flatten().collect()
    }

    /// The address of a page.
    fn page(&self, page: &str) -> Result<Url, &'static str> {
        let front_end = self.front_end.trim_end_matches('/');
        let page = page.trim_start_matches('/');
        let url = Url::parse(&format!("{front_end}/{page}"));
        let url = url.map_err(|_| "the address of a page is needed: https://host/path")?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err("the address of a page begins with https://");
        }
        // The token stands there.
        if url.fragment().is_some() { Err("the address has a # already") } else { Ok(url) }
    }
}

/// Makes links. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    tokens: MailTokens,
    verification: Url,
    password_reset: Url,
}

impl Links {
    pub(crate) fn new(settings: &LinkSettings, secret: &OwnSecret) -> Result<Self, BuildError> {
        Ok(Self {
            tokens: MailTokens::new(&secret.notification_service_token),
            verification: settings.page(&settings.verification)?,
            password_reset: settings.page(&settings.password_reset)?,
        })
    }

    /// The link that goes into a notification's mail, if one does.
    pub(crate) fn of(&self, notification: &Notification) -> Option<Secret<String>> {
        let token = self.tokens.token(notification.token?.id.as_uuid());
        let mut url = match notification.kind.link()? {
            LinkPurpose::Verification => self.verification.clone(),
            LinkPurpose::PasswordReset => self.password_reset.clone(),
        };
        url.set_fragment(Some(&format!("token={}", token.expose())));
        Some(String::from(url).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(front_end: &str, page: &str) -> LinkSettings {
        let [front_end, verification] = [front_end, page].map(str::to_owned);
        LinkSettings { front_end, verification, password_reset: "/reset".to_owned() }
    }

    #[test]
    fn a_page_is_an_address_without_a_fragment_and_over_tls_where_that_is_asked_for() {
        for (front_end, page, anywhere, with_tls) in [
            ("https://app.example.com/shop/", "/verify?lang=en", 0, 0),
            ("http://localhost:3000", "verify", 0, 1),
            ("https://app.example.com/#", "/verify", 1, 1),
            ("https://app.example.com", "/verify#now", 1, 1),
            ("app.example.com", "/verify", 1, 1),
            ("mailto:ada@example.com", "/verify", 1, 1),
            ("", "/verify", 1, 1),
        ] {
            let settings = settings(front_end, page);
            let faults = (settings.check(false).len(), settings.check(true).len());
            assert_eq!(faults, (anywhere, with_tls), "{front_end} {page}");
        }
        let page = settings("https://app.example.com/shop/", "/verify?lang=en");
        let page = page.page(&page.verification).unwrap();
        assert_eq!(page.as_str(), "https://app.example.com/shop/verify?lang=en");
    }
}
