//! A small real SMTP server that says yes, no, or nothing: enough of RFC 5321 for one client.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use testkit::certificates::Certificates;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

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

/// How the server speaks TLS.
#[derive(Clone)]
enum Tls {
    None,
    /// After the command STARTTLS.
    Started(TlsAcceptor),
    /// From the first byte.
    Wrapped(TlsAcceptor),
}

#[derive(Clone)]
pub(crate) struct MailServer {
    tls: Tls,
    says: Arc<Mutex<Says>>,
    mails: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl MailServer {
    pub(crate) async fn start(says: Says) -> Self {
        Self::start_with(says, Tls::None).await
    }

    /// Takes every mail, after STARTTLS.
    pub(crate) async fn start_tls(certificates: &Certificates) -> Self {
        Self::start_with(Says::Yes, Tls::Started(acceptor(certificates))).await
    }

    /// Takes every mail, over TLS from the first byte.
    pub(crate) async fn start_wrapped(certificates: &Certificates) -> Self {
        Self::start_with(Says::Yes, Tls::Wrapped(acceptor(certificates))).await
    }

    async fn start_with(says: Says, tls: Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let says = Arc::new(Mutex::new(says));
        let server = Self { tls, says, mails: Arc::default(), address };
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = serving.clone();
                tokio::spawn(async move { server.serve(stream).await });
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

    pub(crate) fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
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

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let plain = match &self.tls {
            Tls::Wrapped(tls) => return self.talk(tls.accept(stream).await?, true).await.map(drop),
            _ => self.talk(stream, true).await?,
        };
        match (plain, &self.tls) {
            (Some(stream), Tls::Started(tls)) => {
                self.talk(tls.accept(stream).await?, false).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Until the client goes, or says STARTTLS: then the connection is given back.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        greets: bool,
    ) -> std::io::Result<Option<S>> {
        let mut stream = BufReader::new(stream);
        if greets {
            stream.get_mut().write_all(&self.answer(CONNECT).await).await?;
        }
        while let Some(line) = next_line(&mut stream).await? {
            let command = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = match (command.as_str(), &self.tls) {
                ("EHLO", Tls::Started(_)) if greets => b"250-test\r\n250 STARTTLS\r\n".to_vec(),
                ("MAIL", Tls::Started(_)) if greets => b"530 5.7.0 STARTTLS first\r\n".to_vec(),
                _ => self.answer(&command).await,
            };
            stream.get_mut().write_all(&answer).await?;
            stream.get_mut().flush().await?;
            if command == "STARTTLS" {
                return Ok(Some(stream.into_inner()));
            }
            if !answer.starts_with(b"354") {
                continue;
            }
            let mut mail = String::new();
            while let Some(line) = next_line(&mut stream).await?.filter(|line| line != ".") {
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.push_str("\r\n");
            }
            self.mails.lock().unwrap().push(mail);
            stream.get_mut().write_all(&self.answer(END).await).await?;
            stream.get_mut().flush().await?;
        }
        Ok(None)
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

fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificates.certificate()).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.key()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(chain.map(Result::unwrap).collect(), key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A line without its end; none once the client is gone.
async fn next_line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).await?;
    Ok((length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}
