//! A small real SMTP server that says yes, no, or nothing: enough of RFC 5321 for one client.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The moment at which a client has connected and waits for the greeting.
pub(crate) const CONNECT: &str = "CONNECT";
/// The moment at which a mail is read and its client waits for the receipt.
pub(crate) const END: &str = "END";

/// What the server says. Commands are in upper case; [`CONNECT`] and [`END`] count as such.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says {
    /// Takes every mail.
    Yes,
    /// Answers this command with this line.
    No(&'static str, &'static str),
    /// Never answers this command.
    Nothing(&'static str),
}

#[derive(Clone)]
pub(crate) struct MailServer {
    says: Arc<Mutex<Says>>,
    mails: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl MailServer {
    pub(crate) async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self { says: Arc::new(Mutex::new(says)), mails: Arc::default(), address };
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = serving.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub(crate) fn url_with_password(&self) -> String {
        format!("smtp://ada:hunter2@{}", self.address)
    }

    pub(crate) fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// The mails that were read to their end, confirmed or not.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    pub(crate) fn mails_to(&self, email: &str) -> Vec<String> {
        let to = format!("To: {email}\r\n");
        self.mails().into_iter().filter(|mail| mail.contains(&to)).collect()
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(&self.answer(CONNECT).await).await?;
        while let Some(line) = lines.next_line().await? {
            let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = self.answer(&command).await;
            writer.write_all(&answer).await?;
            if !answer.starts_with(b"354") {
                continue;
            }
            let mut mail = String::new();
            while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.push_str("\r\n");
            }
            self.mails.lock().unwrap().push(mail);
            writer.write_all(&self.answer(END).await).await?;
        }
        Ok(())
    }

    async fn answer(&self, command: &str) -> Vec<u8> {
        let says = *self.says.lock().unwrap();
        let line = match (says, command) {
            (Says::No(to, line), _) if to == command => line,
            (Says::Nothing(to), _) if to == command => std::future::pending().await,
            (_, CONNECT) => "220 test",
            (_, "EHLO") => "250-test\r\n250 AUTH PLAIN",
            (_, "AUTH") => "235 2.7.0 known",
            (_, "DATA") => "354 go on",
            (_, "QUIT") => "221 bye",
            _ => "250 ok",
        };
        format!("{line}\r\n").into_bytes()
    }
}
