//! Connections that stall, each at another point of a request.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Its last line does not end.
pub(crate) const HALF_A_HEAD: &str = "GET /live HTTP/1.1\r\nhost: test\r\nx-half: ";
/// None of its body comes.
pub(crate) const IDLE_BODY: &str = "POST /api/sessions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";

/// Asks for more than the kernels on both sides hold, 1.4 MB at a time, all of which is there; a
/// connection over which that is sent, and nothing read, takes none of what is left.
pub(crate) fn unread_answers() -> String {
    "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: test\r\n\r\n".repeat(16)
}

/// A connection over which so much is sent, and no more. `None` where the service has ended it.
pub(crate) async fn stalled(port: u16, text: &str) -> Option<TcpStream> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    connection.write_all(text.as_bytes()).await.ok()?;
    Some(connection)
}

/// One of each kind; the service has taken all of them on.
pub(crate) async fn one_of_each(port: u16) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for text in [HALF_A_HEAD, IDLE_BODY, &unread_answers()] {
        connections.push(stalled(port, text).await.expect("a service that has room takes it"));
    }
    // Taken on after them.
    reqwest::get(format!("http://127.0.0.1:{port}/live")).await.expect("it answers");
    connections
}
