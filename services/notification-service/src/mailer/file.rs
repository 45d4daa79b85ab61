//! Mails as files, for development: `<folder>/<notification id>.eml`. A repeated send replaces the
//! file, so that counting files counts mails.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf};

use lettre::message::Mailbox;
use tokio::{fs, io::AsyncWriteExt};

use super::{Mail, MailSettings, Mailer, MailerError, Sending, compose};
use crate::domain::Failure;

/// Writes mails into a folder.
#[derive(Debug)]
pub struct FileMailer {
    folder: PathBuf,
    from: Mailbox,
}

impl FileMailer {
    /// A mailer into `[mail] mail_dir`, which is made when it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(settings: &MailSettings) -> Result<Self, MailerError> {
        let folder = settings.mail_dir.clone();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| MailerError::Folder { folder: folder.clone(), source })?;
        Ok(Self { folder: folder.into(), from: settings.from.0.clone() })
    }
}

impl Mailer for FileMailer {
    fn send(&self, mail: Mail) -> Sending<'_> {
        Box::pin(async move {
            let path = self.folder.join(format!("{}.eml", mail.id));
            let draft = path.with_extension("eml.part");
            let bytes = compose(&self.from, mail)?.formatted();
            let written = async {
                let mut options = fs::OpenOptions::new();
                // Nobody else reads what it says of people.
                options.write(true).create(true).truncate(true).mode(0o600);
                let mut file = options.open(&draft).await?;
                file.write_all(&bytes).await?;
                file.flush().await?;
                // Whole or not at all: nobody reads half a mail.
                fs::rename(&draft, &path).await
            };
            written.await.map_err(|error| Failure::Transient(format!("file: {}", error.kind())))
        })
    }
}
