//! Mails over SMTP, a connection each.
//!
//! Not pooled: a mail that ran out of time leaves its connection in the middle of a command, and a
//! pool would hand it to the next one.

use std::error::Error as _;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{Mail, MailSettings, Mailer, MailerError, Sending, compose};
use crate::domain::Failure;

/// Our credentials are missing or wrong (RFC 4954 §6): mended in the settings, and no fault of any
/// address.
const NOT_SIGNED_IN: [u16; 4] = [530, 534, 535, 538];
/// The recipient is refused (RFC 5321 §4.2.2, RFC 7504).
const OF_RECIPIENT: [u16; 4] = [550, 551, 553, 556];

/// Hands mails to an SMTP server.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    timeout: Duration,
}

impl SmtpMailer {
    /// A mailer over `[mail] smtp_url`. It connects at its first mail.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(settings: &MailSettings) -> Result<Self, MailerError> {
        let url = settings.smtp_url.expose();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailerError::SmtpUrl)?
            .timeout(Some(settings.send_timeout))
            .build();
        let (from, timeout) = (settings.from.0.clone(), settings.send_timeout);
        Ok(Self { transport, from, timeout })
    }
}

impl Mailer for SmtpMailer {
    fn send(&self, mail: Mail) -> Sending<'_> {
        Box::pin(async move {
            let message = compose(&self.from, mail)?;
            match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(failure(&error)),
                Err(_) => Err(Failure::Transient("the mail server timed out".to_owned())),
            }
        })
    }
}

/// 5xx is for good (RFC 5321 §4.2.1), all else may pass. The server's words may repeat the address,
/// so only its code is kept.
fn failure(error: &Error) -> Failure {
    let Some(code) = error.status() else {
        let reason = if error.is_timeout() { "timed out" } else { "cannot be reached" };
        return Failure::Transient(format!("the mail server {reason}"));
    };
    let (number, reason) = (u16::from(code), format!("the mail server answered {code}"));
    let words = error.source().map(ToString::to_string).unwrap_or_default();
    match number {
        _ if !error.is_permanent() || NOT_SIGNED_IN.contains(&number) => Failure::Transient(reason),
        _ if is_of_recipient(number, &words) => Failure::Permanent(reason),
        _ => Failure::Refused(reason),
    }
}

/// Whether a refusal is about the recipient, not the sender, the mail or the server's policy: by its
/// enhanced status (RFC 3463 §3.2, §3.3) or, without one, by its code.
fn is_of_recipient(number: u16, words: &str) -> bool {
    let status = words.split_whitespace().next().and_then(|word| word.strip_prefix("5."));
    match status.and_then(|status| status.split_once('.')) {
        // 5.1.7 and 5.1.8 are about the sender's address.
        Some(("1", detail)) => !["7", "8"].contains(&detail),
        Some(("2", detail)) => detail == "1",
        Some(_) => false,
        None => OF_RECIPIENT.contains(&number),
    }
}
