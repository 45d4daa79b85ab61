//! The mails that notification-service has written to files instead of sending them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use mail_parser::{Address, MessageParser};

/// Files that are looked at, the newest of them.
const FILES_MAX: usize = 1_000;
/// Bytes of a mail that are read for the list, and to show it.
const HEAD_MAX: u64 = 4_096;
const MAIL_MAX: u64 = 4 << 20;

/// A mail in a line.
#[derive(Debug)]
pub(crate) struct Caught {
    /// The notification's id, which names the file.
    pub(crate) id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) to: String,
    pub(crate) subject: String,
}

/// A mail in whole.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// As they stand there.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) subject: String,
    pub(crate) to: String,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    /// Names of what is attached.
    pub(crate) attachments: Vec<String>,
    pub(crate) source: String,
}

/// The newest mails that match, the newest first, and how many files there are. Blocks.
pub(crate) fn list(
    folder: &Path,
    limit: usize,
    matches: impl Fn(&Caught) -> bool,
) -> (Vec<Caught>, usize) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|item| {
        let id = item.file_name().to_str()?.strip_suffix(".eml")?.to_owned();
        Some((item.metadata().ok()?.modified().ok()?, id)).filter(|(_, id)| is_id(id))
    });
    let mut files: Vec<(SystemTime, String)> = files.collect();
    let count = files.len();
    files.sort_by(|one, other| other.cmp(one));
    let read = files.into_iter().take(FILES_MAX).filter_map(|(at, id)| {
        let head = read(folder, &id, HEAD_MAX)?;
        let parsed = MessageParser::new().parse_headers(&head)?;
        let to = addresses(parsed.to());
        let subject = parsed.subject().unwrap_or_default().to_owned();
        Some(Caught { id, at: at.into(), to, subject })
    });
    (read.filter(matches).take(limit).collect(), count)
}

/// One mail; none where there is no such file. Blocks.
pub(crate) fn open(folder: &Path, id: &str) -> Option<Mail> {
    let bytes = read(folder, id, MAIL_MAX)?;
    let source = String::from_utf8_lossy(&bytes).into_owned();
    let Some(parsed) = MessageParser::default().parse(&bytes) else {
        return Some(Mail { source, ..Mail::default() });
    };
    // What stands for a part that is missing would be made up of the other one.
    let has = |html: bool| {
        let mut parts = parsed.parts.iter();
        parts.any(
            |part| if html { part.is_text_html() } else { part.is_text() && !part.is_text_html() },
        )
    };
    let names = parsed.attachments().map(|part| {
        use mail_parser::MimeHeaders as _;
        part.attachment_name().unwrap_or("without a name").to_owned()
    });
    Some(Mail {
        headers: parsed
            .headers_raw()
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        subject: parsed.subject().unwrap_or_default().to_owned(),
        to: addresses(parsed.to()),
        text: has(false).then(|| parsed.body_text(0).map(std::borrow::Cow::into_owned)).flatten(),
        html: has(true).then(|| parsed.body_html(0).map(std::borrow::Cow::into_owned)).flatten(),
        attachments: names.collect(),
        source,
    })
}

/// What may name a mail: nothing that leads out of the folder.
fn is_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
}

fn read(folder: &Path, id: &str, limit: u64) -> Option<Vec<u8>> {
    if !is_id(id) {
        return None;
    }
    let mut bytes = Vec::new();
    let file = File::open(folder.join(format!("{id}.eml"))).ok()?;
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn addresses(given: Option<&Address<'_>>) -> String {
    let all = given.into_iter().flat_map(Address::iter).map(|one| {
        let address = one.address().unwrap_or_default();
        one.name().map_or_else(|| address.to_owned(), |name| format!("{name} <{address}>"))
    });
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: Tusk <no-reply@example.com>\r\nTo: ada@example.com\r\n\
        Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative;\r\n boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nHello J=C3=BCrgen,\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nPHA+SGVsbG88L3A+\r\n--b--\r\n";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("01-a.eml"), MAIL).unwrap();
        fs::write(folder.path().join("01-b.eml.part"), "half").unwrap();
        fs::write(folder.path().join("01-c.eml"), "To: bob@example.com\r\n\r\nonly text").unwrap();
        folder
    }

    #[test]
    fn mails_are_listed_by_what_their_heads_say_and_half_written_ones_are_not() {
        let folder = folder();
        let (all, count) = list(folder.path(), 10, |_| true);
        assert_eq!((all.len(), count), (2, 2));
        let (of_ada, _) = list(folder.path(), 10, |mail| mail.to.contains("ada"));
        assert_eq!(of_ada.len(), 1);
        assert_eq!((of_ada[0].id.as_str(), of_ada[0].subject.as_str()), ("01-a", "Grüße"));
    }

    #[test]
    fn both_parts_of_a_mail_are_decoded_and_none_is_made_up() {
        let folder = folder();
        let mail = open(folder.path(), "01-a").unwrap();
        assert_eq!(mail.text.as_deref().map(str::trim), Some("Hello Jürgen,"));
        assert_eq!(mail.html.as_deref(), Some("<p>Hello</p>"));
        assert!(mail.headers.iter().any(|(name, _)| name == "MIME-Version"), "{:?}", mail.headers);
        let plain = open(folder.path(), "01-c").unwrap();
        assert_eq!((plain.text.as_deref(), plain.html), (Some("only text"), None));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_no_mail() {
        let folder = folder();
        for id in ["../01-a", "", "01-a.eml/..", "a/b"] {
            assert!(open(folder.path(), id).is_none(), "{id}");
        }
    }
}
