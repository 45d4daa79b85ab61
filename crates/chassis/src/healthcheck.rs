//! The command `healthcheck`: asks the service that runs beside it whether it takes work, so that
//! a container without a shell has a health check.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ServerSettings;

/// The longest that the answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Why a service does not take work.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// It cannot be reached.
    #[error("no answer at {0}: {1}")]
    Silent(String, io::Error),
    /// It did not answer in time.
    #[error("no answer at {0} within {LIMIT:?}")]
    Late(String),
    /// It said that it is not ready.
    #[error("{0} answered {1:?}")]
    Refused(String, String),
}

/// Asks `/ready` at the port of these settings, for two seconds; the answer is for people.
///
/// # Errors
/// Any answer but 200, or none.
pub async fn ask(server: &ServerSettings) -> Result<String, Unhealthy> {
    let authority = authority(server);
    let line = match timeout(LIMIT, status_line(&authority)).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return Err(Unhealthy::Silent(authority, error)),
        Err(_) => return Err(Unhealthy::Late(authority)),
    };
    match line.split_whitespace().nth(1) {
        Some("200") => Ok(format!("{authority} is ready")),
        _ => Err(Unhealthy::Refused(authority, line)),
    }
}

/// One question and one line of the answer: no client library for that.
async fn status_line(authority: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// Where the service is found from its own machine: one that listens on all addresses, on loopback.
fn authority(server: &ServerSettings) -> String {
    let port = server.port;
    match server.host.parse::<IpAddr>() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
        Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("[{}]:{port}", Ipv6Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("{}:{port}", server.host),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::{ask, authority};
    use crate::ServerSettings;

    fn at(host: &str, port: u16) -> ServerSettings {
        ServerSettings { host: host.to_owned(), port, ..ServerSettings::on_a_free_port() }
    }

    #[test]
    fn one_that_listens_everywhere_is_asked_on_loopback() {
        assert_eq!(authority(&at("0.0.0.0", 3001)), "127.0.0.1:3001");
        assert_eq!(authority(&at("::", 3001)), "[::1]:3001");
        assert_eq!(authority(&at("::1", 3001)), "[::1]:3001");
        assert_eq!(authority(&at("10.0.0.7", 3001)), "10.0.0.7:3001");
        assert_eq!(authority(&at("localhost", 3001)), "localhost:3001");
    }

    #[tokio::test]
    async fn only_a_200_is_well() {
        for (answer, is_well) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(text.as_bytes()).await.unwrap();
            };
            let server = at("127.0.0.1", port);
            let (asked, ()) = tokio::join!(ask(&server), answering);
            assert_eq!(asked.is_ok(), is_well, "{asked:?}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_reported_with_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = ask(&at("127.0.0.1", port)).await.unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }
}
