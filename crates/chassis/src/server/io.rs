//! The stream under hyper: it tells its connection's state what comes and what goes, and gives
//! hyper's own answers their problem documents.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connections::Connection;
use super::refusal;

/// How long what comes after a refusal is read and thrown away. A peer that sends into a closed
/// connection is told "reset", and may lose the answer over it (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// A connection's stream.
pub(super) struct Io {
    stream: TokioIo<TcpStream>,
    connection: Arc<Connection>,
    /// Whether all that was written has been flushed.
    flushed: bool,
    /// The rest of the answer that is written in the place of hyper's own.
    refusal: Option<Vec<u8>>,
}

impl Io {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream: TokioIo::new(stream), connection, flushed: true, refusal: None }
    }

    /// Sends a last answer as far as the peer takes it at once.
    pub(super) fn refuse(&self, status: StatusCode) {
        // A peer who does not take it is left without it.
        let _ = self.stream.inner().try_write(&refusal::answer(status));
    }

    /// Reads and throws away what the peer still sends, for a moment.
    pub(super) async fn linger(self) {
        let stream = self.stream.into_inner();
        let read = async {
            let mut bytes = [0; 4096];
            while stream.readable().await.is_ok() {
                match stream.try_read(&mut bytes) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        };
        // Whoever goes on for longer has had time to read the answer.
        let _ = timeout(LINGER, read).await;
    }

    /// Before a request there is nothing to answer: what hyper writes then is its own answer to what
    /// it could not read.
    fn begins_refusal(&self, bytes: &[u8]) -> Option<StatusCode> {
        let is_own = self.flushed && self.connection.state.is_in_head();
        if is_own { refusal::status(bytes) } else { None }
    }

    /// Writes the problem document in the place of `length` bytes.
    fn poll_refusal(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<Result<usize>> {
        while let Some(rest) = self.refusal.as_mut().filter(|rest| !rest.is_empty()) {
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            let written = ready!(record_write(&self.connection, written))?;
            rest.drain(..written);
        }
        Poll::Ready(Ok(length))
    }
}

/// Records in the state of the connection what became of a write.
fn record_write(connection: &Connection, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
    match &written {
        Poll::Ready(_) => connection.state.wrote(),
        Poll::Pending => connection.state.cannot_write(),
    }
    written
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.connection.state.received();
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = &mut *self;
        let first = bufs.first().map_or(&[][..], |first| first);
        if let Some(status) = this.begins_refusal(first) {
            this.refusal = Some(refusal::answer(status));
            this.connection.state.refused();
        }
        this.flushed = false;
        if this.refusal.is_some() {
            return this.poll_refusal(cx, bufs.iter().map(|buf| buf.len()).sum());
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        record_write(&this.connection, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.flushed = true;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
