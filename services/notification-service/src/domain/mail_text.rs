//! The text of every mail: one variant per kind, with the variables its text needs; rendered once, when the
//! notification is made, so that a later change of the profile does not alter it.

use chrono::TimeDelta;

use super::format::{amount, duration, escape};
use super::{DomainError, Kind};

/// Longest subject that another service may write, in characters.
const SUBJECT_CHARS_MAX: usize = 150;
/// Longest text that another service may write, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Where a link will stand: a paragraph of its own. No other words of the messages that have one come
/// from elsewhere.
const LINK: &str = "[link]";

/// To whoever has not registered, and is asked to confirm the address.
const NOT_REGISTERED: &str = "If it was not you, do not follow the link: whoever registered with your \
     address could show it as theirs. A new password, by the mail that you can ask for where you sign in, \
     makes the account yours alone.";

/// To whoever has asked for nothing.
const NOT_ASKED: &str = "If it was not you, do nothing: nothing changes.";

/// Something to tell a user. A message with a link says how long it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailText {
    /// The user registered; there may be a link that proves the address.
    Welcome(Option<TimeDelta>),
    /// The user is to prove the address.
    EmailVerification(TimeDelta),
    /// The user is to prove the address that is to be the account's; goes there.
    EmailChange(TimeDelta),
    /// Another address was asked for.
    EmailChangeRequested,
    /// The user's address changed; goes to the address before.
    EmailChanged,
    /// Another password was asked for.
    PasswordReset(TimeDelta),
    /// There is another password.
    PasswordChanged,
    /// A used token of a session came again: somebody else may have it. The session has ended.
    SessionReused,
    /// A code is asked for besides the password from now on.
    SecondFactorEnabled,
    /// The password is enough from now on.
    SecondFactorDisabled,
    /// A code was used that is for a lost authenticator app.
    RecoveryCodeUsed {
        /// How many are left.
        left: i64,
    },
    /// An account elsewhere lets the user in from now on.
    ExternalAccountLinked,
    /// An account elsewhere lets the user in no more.
    ExternalAccountUnlinked,
    /// A payment succeeded.
    PaymentReceipt {
        /// The payment.
        payment: String,
        /// Minor units.
        amount: i64,
        /// ISO 4217, upper case.
        currency: String,
    },
    /// A payment did not.
    PaymentFailure {
        /// The payment.
        payment: String,
        /// Minor units.
        amount: i64,
        /// ISO 4217, upper case.
        currency: String,
        /// Why, in the provider's words; may be empty.
        reason: String,
    },
    /// What another service has to say.
    Custom {
        /// One line.
        subject: String,
        /// Plain text.
        text: String,
    },
}

/// A rendered message: always with a text part. Not shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// One line without control characters.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML, every variable escaped.
    pub html: String,
}

impl MailText {
    /// A message in another service's words.
    ///
    /// # Errors
    /// The subject is empty, long or more than one line; the text is empty, long or no plain text.
    pub fn custom(subject: &str, text: &str) -> Result<Self, Vec<DomainError>> {
        let subject = subject.trim();
        let text = text.trim();
        let faults = [("/subject", check_subject(subject)), ("/text", check_text(text))];
        let faults = faults.into_iter().filter_map(|(pointer, checked)| {
            checked.err().map(|reason| DomainError::Invalid { pointer, reason })
        });
        let faults: Vec<_> = faults.collect();
        let message = Self::Custom { subject: subject.to_owned(), text: text.to_owned() };
        if faults.is_empty() { Ok(message) } else { Err(faults) }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Welcome(_) => Kind::Welcome,
            Self::EmailVerification(_) => Kind::EmailVerification,
            Self::EmailChange(_) => Kind::EmailChange,
            Self::EmailChangeRequested => Kind::EmailChangeRequested,
            Self::EmailChanged => Kind::EmailChanged,
            Self::PasswordReset(_) => Kind::PasswordReset,
            Self::PasswordChanged => Kind::PasswordChanged,
            Self::SessionReused => Kind::SessionReused,
            Self::SecondFactorEnabled => Kind::SecondFactorEnabled,
            Self::SecondFactorDisabled => Kind::SecondFactorDisabled,
            Self::RecoveryCodeUsed { .. } => Kind::RecoveryCodeUsed,
            Self::ExternalAccountLinked => Kind::ExternalAccountLinked,
            Self::ExternalAccountUnlinked => Kind::ExternalAccountUnlinked,
            Self::PaymentReceipt { .. } => Kind::PaymentReceipt,
            Self::PaymentFailure { .. } => Kind::PaymentFailure,
            Self::Custom { .. } => Kind::Message,
        }
    }

    /// The message as it is sent. It greets nobody by name: the name is whatever whoever registered
    /// the address has written, and nobody has shown that the address is theirs. A hundred characters of
    /// a stranger's choice would go to anybody, in our name.
    pub fn render(&self) -> Content {
        let (subject, paragraphs) = self.wording();
        let all = [vec!["Hello,".to_owned()], paragraphs].concat();
        let html = all.iter().map(|text| format!("<p>{}</p>\n", escape(text)));
        Content { subject, text: all.join("\n\n") + "\n", html: html.collect() }
    }

    #[expect(clippy::too_many_lines, reason = "it is the texts of all kinds, one beside the other")]
    fn wording(&self) -> (String, Vec<String>) {
        match self {
            Self::Welcome(valid_for) => {
                let words = ["your account is ready.", "Good to have you here."];
                let why = "Please confirm that this is your address:";
                let link = valid_for.map(|valid_for| with_link(why, valid_for, NOT_REGISTERED));
                let words = words.map(str::to_owned).into_iter();
                ("Welcome".to_owned(), words.chain(link.into_iter().flatten()).collect())
            }
            Self::EmailVerification(valid_for) => {
                let why = "please confirm that this is your address:";
                let link = with_link(why, *valid_for, NOT_REGISTERED);
                ("Confirm your e-mail address".to_owned(), link)
            }
            Self::EmailChange(valid_for) => {
                let why = "somebody asked for this address as the one of an account. If it was you, \
                           please confirm it:";
                (
                    "Confirm your new e-mail address".to_owned(),
                    with_link(why, *valid_for, NOT_ASKED),
                )
            }
            Self::PasswordReset(valid_for) => {
                let why = "somebody asked for a new password of your account. If it was you, choose \
                           one here:";
                ("Choose a new password".to_owned(), with_link(why, *valid_for, NOT_ASKED))
            }
            Self::EmailChangeRequested => notice(
                "Another e-mail address was asked for",
                "somebody asked for another e-mail address of your account. Until that address is \
                 confirmed we write to this one.",
                "If it was not you, change your password now: that ends it.",
            ),
            Self::EmailChanged => notice(
                "Your e-mail address was changed",
                "the e-mail address of your account was changed. From now on we write to the new one.",
                "If this was not you, contact us at once.",
            ),
            Self::PasswordChanged => notice(
                "Your password was changed",
                "the password of your account was changed, and other sessions were signed out.",
                "If this was not you, choose a new password at once, by the mail that you can ask for \
                 where you sign in.",
            ),
            Self::SessionReused => notice(
                "A device was signed out to protect your account",
                "somebody used a copy of what keeps one of your devices signed in. We signed that \
                 device out. It may have been you, after a backup was restored or a browser copied.",
                "If it was not you, change your password now and sign out everywhere else.",
            ),
            Self::SecondFactorEnabled => notice(
                "A second factor protects your account",
                "from now on we ask for a code of your authenticator app when you sign in. Other sessions \
                 were signed out. Keep the recovery codes where you find them without your phone.",
                "If this was not you, choose a new password at once, by the mail that you can ask for \
                 where you sign in, and contact us.",
            ),
            Self::SecondFactorDisabled => notice(
                "Your account has no second factor any more",
                "from now on your password alone is enough to sign in. Other sessions were signed out.",
                "If this was not you, choose a new password at once, by the mail that you can ask for \
                 where you sign in.",
            ),
            Self::RecoveryCodeUsed { left } => notice(
                "A recovery code of your account was used",
                &format!(
                    "somebody used one of your recovery codes in place of your authenticator app. \
                     Codes that are left: {left}. Make new ones before you run out of them."
                ),
                "If it was not you, change your password and make new recovery codes now.",
            ),
            Self::ExternalAccountLinked => notice(
                "Another way to sign in to your account",
                "an account that you have elsewhere was linked to your account here. Whoever signs in there can \
                 sign in here.",
                "If this was not you, sign in, unlink it, and choose another password at once.",
            ),
            Self::ExternalAccountUnlinked => notice(
                "A way to sign in to your account was removed",
                "an account that you have elsewhere was unlinked, and signs in here no more. Other sessions were \
                 signed out.",
                "If this was not you, choose a new password at once, by the mail that you can ask for \
                 where you sign in.",
            ),
            Self::PaymentReceipt { payment, amount: minor, currency } => {
                let amount = amount(*minor, currency);
                let subject = format!("Receipt: {amount}");
                let thanks = format!("we have received your payment of {amount}. Thank you.");
                (subject, vec![thanks, format!("Payment: {payment}")])
            }
            Self::PaymentFailure { payment, amount: minor, currency, reason } => {
                let amount = amount(*minor, currency);
                let failed = match reason.as_str() {
                    "" => format!("your payment of {amount} was declined."),
                    reason => format!("your payment of {amount} was declined: {reason}"),
                };
                let charged = "You have not been charged. You can pay again with another method.";
                let subject = format!("Your payment of {amount} was declined");
                (subject, vec![failed, charged.to_owned(), format!("Payment: {payment}")])
            }
            Self::Custom { subject, text } => (subject.clone(), vec![text.clone()]),
        }
    }
}

fn notice(subject: &str, what: &str, otherwise: &str) -> (String, Vec<String>) {
    (subject.to_owned(), vec![what.to_owned(), otherwise.to_owned()])
}

fn with_link(why: &str, valid_for: TimeDelta, otherwise: &str) -> Vec<String> {
    let how_long = format!("The link works once, within {}.", duration(valid_for));
    vec![why.to_owned(), LINK.to_owned(), how_long, otherwise.to_owned()]
}

impl Content {
    /// The message with the link in its place. It is made to be sent, and not to be kept.
    #[must_use]
    pub fn with_link(self, url: &str) -> Self {
        let place = format!("\n\n{LINK}\n\n");
        let html_place = format!("<p>{LINK}</p>");
        let shown = escape(url);
        Self {
            subject: self.subject,
            text: self.text.replacen(&place, &format!("\n\n{url}\n\n"), 1),
            html: self.html.replacen(
                &html_place,
                &format!("<p><a href=\"{shown}\">{shown}</a></p>"),
                1,
            ),
        }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content")
    }
}

fn check_subject(subject: &str) -> Result<(), &'static str> {
    if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
        return Err("needs 1 to 150 characters");
    }
    if subject.chars().any(char::is_control) {
        return Err("has a control character");
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err("needs 1 to 16384 bytes");
    }
    if text.chars().any(|letter| letter.is_control() && !"\r\n\t".contains(letter)) {
        return Err("has a control character other than line ends and tabs");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anybody can register with somebody else's address.
    #[test]
    fn whoever_did_not_ask_for_it_is_told_what_to_do_about_a_link() {
        for (message, otherwise) in [
            (MailText::Welcome(Some(TimeDelta::hours(24))), NOT_REGISTERED),
            (MailText::EmailVerification(TimeDelta::hours(1)), NOT_REGISTERED),
            (MailText::EmailChange(TimeDelta::hours(1)), NOT_ASKED),
            (MailText::PasswordReset(TimeDelta::hours(1)), NOT_ASKED),
        ] {
            let Content { text, html, .. } = message.render();
            assert!(text.ends_with(&format!("{otherwise}\n")), "{text}");
            assert!(html.contains(&escape(otherwise)), "{html}");
        }
        let text = MailText::Welcome(None).render().text;
        assert!(!text.contains("If it was not you"), "it asks for nothing: {text}");
    }

    #[test]
    fn a_receipt_names_amount_and_payment_in_text_and_html() {
        let receipt = MailText::PaymentReceipt {
            payment: "p-1".to_owned(),
            amount: 1999,
            currency: "EUR".to_owned(),
        };
        let content = receipt.render();
        assert_eq!(content.subject, "Receipt: 19.99 EUR");
        assert_eq!(
            content.text,
            "Hello,\n\nwe have received your payment of 19.99 EUR. Thank you.\n\nPayment: p-1\n"
        );
        assert!(content.html.starts_with("<p>Hello,</p>\n<p>we have received"));
    }

    #[test]
    fn a_failure_without_a_reason_reads_well() {
        let failure = MailText::PaymentFailure {
            payment: "p-1".to_owned(),
            amount: 500,
            currency: "JPY".to_owned(),
            reason: String::new(),
        };
        let text = failure.render().text;
        assert!(text.starts_with("Hello,\n\nyour payment of 500 JPY was declined.\n"), "{text}");
    }

    #[test]
    fn markup_of_another_service_stays_text() {
        let content = MailText::custom("News", "<b onclick='x'>").unwrap().render();
        assert!(content.text.contains("<b onclick='x'>"));
        assert!(content.html.contains("&lt;b onclick=&#39;x&#39;&gt;"), "{}", content.html);
    }

    #[test]
    fn a_subject_of_two_lines_and_a_text_that_is_none_are_refused() {
        for (subject, text) in [("a\r\nBcc: x@y.z", "b"), ("", "b"), ("a", " "), ("a", "b\0c")] {
            assert!(MailText::custom(subject, text).is_err_and(|faults| faults.len() == 1));
        }
    }

    #[test]
    fn a_message_with_a_link_has_one_place_for_it_and_says_how_long_it_works() {
        let url = "https://app.example.com/a?b=1&c=2#token=x";
        for (message, how_long) in [
            (MailText::Welcome(Some(TimeDelta::hours(24))), "24 hours"),
            (MailText::EmailVerification(TimeDelta::hours(1)), "1 hour"),
            (MailText::EmailChange(TimeDelta::days(3)), "3 days"),
            (MailText::PasswordReset(TimeDelta::minutes(30)), "30 minutes"),
        ] {
            assert!(message.kind().link().is_some());
            let content = message.render();
            assert!(!content.text.contains("token"), "{}", content.text);
            let Content { text, html, .. } = content.with_link(url);
            assert!(text.contains(&format!("\n\n{url}\n\n")), "{text}");
            assert!(text.contains(&format!("within {how_long}.")), "{text}");
            let escaped = "https://app.example.com/a?b=1&amp;c=2#token=x";
            assert!(html.contains(&format!("<a href=\"{escaped}\">{escaped}</a>")), "{html}");
            assert!(!text.contains(LINK) && !html.contains(LINK));
        }
        assert!(!MailText::Welcome(None).render().text.contains(LINK));
    }
}
