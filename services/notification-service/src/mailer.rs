//! Sending mail: over SMTP, or into files where no server is named.
//!
//! A trait, since the outside world has more than one shape. What a fault *means* is part of the
//! answer: the address is refused, or the mail, or it may pass. A time-out is neither sent nor not
//! sent, so it may pass; the mail keeps its Message-ID, and whoever counts mails counts by it.

mod file;
mod smtp;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use contracts::NotificationId;
use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use serde::Deserialize;
use tusk_config::{Secret, ValidationError};

pub use file::FileMailer;
pub use smtp::SmtpMailer;

use crate::domain::{Content, Failure};

/// Section `[mail]`.
#[derive(Debug, Clone, Deserialize)]
pub struct MailSettings {
    /// `smtps://user:password@host:port` (TLS from the first byte), `smtp://…?tls=required` (STARTTLS, or
    /// no mail), or `smtp://…` (no TLS); empty: mails go to `mail_dir`.
    pub smtp_url: Secret<String>,
    /// A file with the certificates (PEM) of the authorities to trust besides the public ones; empty for
    /// none. It is read at the start.
    #[serde(default)]
    pub smtp_tls_ca: PathBuf,
    /// Whether mails may go to a server on another machine without TLS, as to one that catches them in a
    /// network for tests.
    #[serde(default)]
    pub smtp_plaintext: bool,
    /// The folder for mails when there is no SMTP server.
    pub mail_dir: String,
    /// The sender, such as `Tusk <no-reply@example.com>`.
    pub from: Sender,
    /// Longest time to send one mail.
    pub send_timeout: Duration,
}

impl MailSettings {
    /// What cannot work. Opens no connection, and makes no folder. Where servers must be spoken to over
    /// TLS, `smtp_plaintext` excuses nothing.
    pub fn check(&self, requires_tls: bool) -> Vec<ValidationError> {
        let bounds = Duration::from_millis(100)..=Duration::from_mins(10);
        let timeout = ValidationError::outside("mail.send_timeout", self.send_timeout, bounds);
        let has_server = !self.smtp_url.expose().is_empty();
        let mut errors = Vec::from_iter(timeout);
        if has_server {
            errors.extend(smtp::check(self, requires_tls));
        }
        let text = "a folder for mails is needed without smtp_url; it is made at the start";
        let goes_somewhere = has_server || may_be_folder(Path::new(&self.mail_dir));
        errors.extend(ValidationError::unless(goes_somewhere, "mail.mail_dir", text));
        errors
    }
}

/// Whether a folder is there or can be made: what is there of its path is folders.
fn may_be_folder(path: &Path) -> bool {
    let there = path.ancestors().find(|part| part.exists());
    let is_relative = path.is_relative() && !path.as_os_str().is_empty();
    there.map_or(is_relative, Path::is_dir)
}

/// The sender's mailbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Sender(pub Mailbox);

impl TryFrom<String> for Sender {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_| "a mailbox is needed: Name <local@domain>")
    }
}

/// A mail to send. Neither address nor content is shown by Debug.
pub struct Mail {
    /// Names the mail, in every attempt.
    pub id: NotificationId,
    /// The recipient's address.
    pub to: String,
    /// What it says.
    pub content: Content,
}

/// What sending gives.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Sends mails.
pub trait Mailer: Send + Sync + 'static {
    /// Sends one mail, within the time limit of the settings.
    fn send(&self, mail: Mail) -> Sending<'_>;
}

/// Why no mailer could be made.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The SMTP address is none. It holds a password and is not shown.
    #[error(
        "[mail] smtp_url is not an SMTP address (smtps://user:password@host:port, or \
         smtp://user:password@host:port?tls=required)"
    )]
    SmtpUrl,
    /// The file of `smtp_tls_ca` cannot be read, or holds what is no certificate.
    #[error("the file of [mail] smtp_tls_ca cannot be used")]
    Authorities,
    /// The folder cannot be made.
    #[error("[mail] mail_dir {folder} cannot be used: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the file system says.
        source: std::io::Error,
    },
}

/// The mailer of the settings.
///
/// # Errors
/// The address or the folder cannot be used.
pub fn from_settings(settings: &MailSettings) -> Result<Box<dyn Mailer>, MailerError> {
    if settings.smtp_url.expose().is_empty() {
        return Ok(Box::new(FileMailer::new(settings)?));
    }
    Ok(Box::new(SmtpMailer::new(settings)?))
}

/// The mail as it goes over the wire. Headers are encoded by the library: nothing in a name or a
/// subject can end a header.
fn compose(from: &Mailbox, mail: Mail) -> Result<Message, Failure> {
    let invalid = |_| Failure::Permanent("the address is not valid".to_owned());
    let address = mail.to.parse().map_err(invalid)?;
    let part = |kind: ContentType, text: String| {
        let body = body(text);
        let encoding = ContentTransferEncoding::clone(&body.encoding());
        SinglePart::builder().header(kind).header(encoding).body(body)
    };
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, mail.content.text))
        .singlepart(part(ContentType::TEXT_HTML, mail.content.html));
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, address))
        .subject(mail.content.subject)
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .multipart(parts)
        .map_err(|_| Failure::Refused("the mail cannot be composed".to_owned()))
}

/// The longest line of a mail, without its end (RFC 5322 §2.1.1).
const LINE_BYTES_MAX: usize = 998;

/// A text as it is, where a mail may have it so: the library would break a link in two as soon as a line
/// is longer than 76 characters, for whoever reads the mail as a file.
fn body(text: String) -> Body {
    let is_plain = text.is_ascii() && !text.contains('\r');
    if is_plain && text.lines().all(|line| line.len() <= LINE_BYTES_MAX) {
        let lines = text.replace('\n', "\r\n").into_bytes();
        return Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}
