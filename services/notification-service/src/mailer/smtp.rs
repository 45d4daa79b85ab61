//! Mails over SMTP, a connection each.
//!
//! A server on another machine is spoken to over TLS. `?tls=opportunistic` is no TLS here: whoever stands
//! in between takes `STARTTLS` out of what the server offers, and reads all that follows.
//!
//! Not pooled: a mail that ran out of time leaves its connection in the middle of a command, and a
//! pool would hand it to the next one.

use std::error::Error as _;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tusk_config::ValidationError;
use url::Url;

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
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailerError::SmtpUrl)?
            .timeout(Some(settings.send_timeout));
        if let Some(tls) = tls(settings)? {
            transport = transport.tls(tls);
        }
        let transport = transport.build();
        let from = settings.from.0.clone();
        let timeout = settings.send_timeout;
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

/// What of the server's address and its certificate's authority cannot work.
pub(super) fn check(settings: &MailSettings, requires_tls: bool) -> Vec<ValidationError> {
    let Some(server) = Server::of(settings) else {
        return vec![
            ValidationError::at("mail.smtp_url", MailerError::SmtpUrl.to_string()).secret(),
        ];
    };
    let remedy = "write smtps:// in SMTP_URL, or smtp:// and ?tls=required at its end";
    let excused = settings.smtp_plaintext && !requires_tls;
    let plaintext = if server.is_encrypted || excused {
        None
    } else {
        ValidationError::plaintext("mail.smtp_url", &server.host, remedy)
            .map(ValidationError::secret)
    };
    let ca = ValidationError::authorities(
        "mail.smtp_tls_ca",
        &settings.smtp_tls_ca,
        server.is_encrypted,
    );
    let mut errors: Vec<ValidationError> = plaintext.into_iter().chain(ca).collect();
    if errors.is_empty()
        && let Err(error) = SmtpMailer::new(settings)
    {
        errors.push(ValidationError::at("mail.smtp_url", error.to_string()).secret());
    }
    errors
}

/// What the address says of the server.
struct Server {
    host: String,
    is_encrypted: bool,
    /// TLS from the first byte, without STARTTLS.
    is_wrapped: bool,
}

impl Server {
    fn of(settings: &MailSettings) -> Option<Self> {
        let url = settings.smtp_url.expose();
        AsyncSmtpTransport::<Tokio1Executor>::from_url(url).ok()?;
        let url = Url::parse(url).ok()?;
        let is_wrapped = url.scheme() == "smtps";
        let mode =
            url.query_pairs().find(|(key, _)| key == "tls").map(|(_, mode)| mode == "required");
        let is_encrypted = is_wrapped || mode == Some(true);
        Some(Self { host: url.host_str()?.to_owned(), is_encrypted, is_wrapped })
    }
}

/// The TLS of a server with an authority of its own; none where lettre's own is right.
fn tls(settings: &MailSettings) -> Result<Option<Tls>, MailerError> {
    let server = Server::of(settings).ok_or(MailerError::SmtpUrl)?;
    if settings.smtp_tls_ca.as_os_str().is_empty() || !server.is_encrypted {
        return Ok(None);
    }
    let pem = std::fs::read(&settings.smtp_tls_ca).map_err(|_| MailerError::Authorities)?;
    let authority = Certificate::from_pem(&pem).map_err(|_| MailerError::Authorities)?;
    let parameters = TlsParameters::builder(server.host).add_root_certificate(authority);
    let parameters = parameters.build().map_err(|_| MailerError::Authorities)?;
    Ok(Some(if server.is_wrapped { Tls::Wrapper(parameters) } else { Tls::Required(parameters) }))
}

/// 5xx is for good (RFC 5321 §4.2.1), all else may pass. The server's words may repeat the address,
/// so only its code is kept.
fn failure(error: &Error) -> Failure {
    let Some(code) = error.status() else {
        let reason = if error.is_timeout() { "timed out" } else { "cannot be reached" };
        return Failure::Transient(format!("the mail server {reason}"));
    };
    let number = u16::from(code);
    let reason = format!("the mail server answered {code}");
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
