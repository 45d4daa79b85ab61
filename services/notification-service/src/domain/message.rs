//! What is told: one variant per kind, with the variables its text needs; rendered once, when the
//! notification is made, so that a later change of the profile does not alter it.

use super::DomainError;
use super::text::{amount, escape};

/// Longest subject that another service may write, in characters.
const SUBJECT_CHARS_MAX: usize = 150;
/// Longest text that another service may write, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Something to tell a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The user registered.
    Welcome,
    /// The user's address changed; goes to the address before.
    EmailChanged,
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

/// The kind of a message, as it stands in the table, in the API and in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Message::Welcome`]
    Welcome,
    /// [`Message::EmailChanged`]
    EmailChanged,
    /// [`Message::PaymentReceipt`]
    PaymentReceipt,
    /// [`Message::PaymentFailure`]
    PaymentFailure,
    /// [`Message::Custom`]
    Message,
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

impl Message {
    /// A message in another service's words.
    ///
    /// # Errors
    /// The subject is empty, long or more than one line; the text is empty, long or no plain text.
    pub fn custom(subject: &str, text: &str) -> Result<Self, Vec<DomainError>> {
        let (subject, text) = (subject.trim(), text.trim());
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
            Self::Welcome => Kind::Welcome,
            Self::EmailChanged => Kind::EmailChanged,
            Self::PaymentReceipt { .. } => Kind::PaymentReceipt,
            Self::PaymentFailure { .. } => Kind::PaymentFailure,
            Self::Custom { .. } => Kind::Message,
        }
    }

    /// The message as it is sent. It greets nobody by name: the name is whatever whoever registered
    /// the address has written, and nobody has shown that the address is theirs. A hundred characters of
    /// a stranger's choice would go to anybody, in our name.
    pub fn render(&self) -> Content {
        let (subject, paragraphs) = self.words();
        let all = [vec!["Hello,".to_owned()], paragraphs].concat();
        let html = all.iter().map(|text| format!("<p>{}</p>\n", escape(text)));
        Content { subject, text: all.join("\n\n") + "\n", html: html.collect() }
    }

    fn words(&self) -> (String, Vec<String>) {
        match self {
            Self::Welcome => (
                "Welcome".to_owned(),
                vec!["your account is ready.".to_owned(), "Good to have you here.".to_owned()],
            ),
            Self::EmailChanged => (
                "Your e-mail address was changed".to_owned(),
                vec![
                    "the e-mail address of your account was changed. From now on we write to the \
                     new one."
                        .to_owned(),
                    "If this was not you, contact us at once.".to_owned(),
                ],
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

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::EmailChanged => "email_changed",
            Self::PaymentReceipt => "payment_receipt",
            Self::PaymentFailure => "payment_failure",
            Self::Message => "message",
        }
    }

    /// How many of it are made for one user in a day; none: as many as there are. A payment that is
    /// declined costs nothing, and whoever registered somebody else's address can have as many mails
    /// sent to it. The payer has been told by the answer.
    pub fn per_day_max(self) -> Option<i64> {
        match self {
            Self::PaymentFailure => Some(10),
            Self::Welcome | Self::EmailChanged | Self::PaymentReceipt | Self::Message => None,
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Welcome,
            Self::EmailChanged,
            Self::PaymentReceipt,
            Self::PaymentFailure,
            Self::Message,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
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

    #[test]
    fn a_receipt_names_amount_and_payment_in_text_and_html() {
        let receipt = Message::PaymentReceipt {
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
        let failure = Message::PaymentFailure {
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
        let content = Message::custom("News", "<b onclick='x'>").unwrap().render();
        assert!(content.text.contains("<b onclick='x'>"));
        assert!(content.html.contains("&lt;b onclick=&#39;x&#39;&gt;"), "{}", content.html);
    }

    #[test]
    fn a_subject_of_two_lines_and_a_text_that_is_none_are_refused() {
        for (subject, text) in [("a\r\nBcc: x@y.z", "b"), ("", "b"), ("a", " "), ("a", "b\0c")] {
            assert!(Message::custom(subject, text).is_err_and(|faults| faults.len() == 1));
        }
    }

    #[test]
    fn every_kind_is_found_by_its_word() {
        for word in ["welcome", "email_changed", "payment_receipt", "payment_failure", "message"] {
            assert_eq!(Kind::parse(word).unwrap().as_str(), word);
        }
    }
}
