//! Mails over SMTP, a connection each.
//!
//! Not pooled: a mail that ran out of time leaves its connection in the middle of a command, and a
//! pool would hand it to the next one.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{Mail, MailSettings, Mailer, MailerError, Sending, compose};
use crate::domain::Failure;

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
    let code = error.status().map(|code| format!("the mail server answered {code}"));
    match code {
        Some(reason) if error.is_permanent() => Failure::Permanent(reason),
        Some(reason) => Failure::Transient(reason),
        None if error.is_timeout() => Failure::Transient("the mail server timed out".to_owned()),
        None => Failure::Transient("the mail server cannot be reached".to_owned()),
    }
}
