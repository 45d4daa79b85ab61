//! The stream that lapin reads from and writes to: the broker's, which can be ended from outside and
//! gives lapin no frame that its parser refuses.
//!
//! lapin reads in a thread of its own, which ends when the stream does. So whoever gives up an
//! attempt to connect, or a connection that hangs, ends the stream: nothing else ends the thread.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::frames::Frames;

/// tokio, with [`Wire`] for a stream.
#[derive(Debug, Clone)]
pub(super) struct WireTokio(Tokio);

impl WireTokio {
    /// On the tokio runtime of the caller.
    pub(super) fn current() -> Self {
        Self(Tokio::current())
    }
}

/// What tokio's own kit connects: plain, or with TLS over it.
type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// One connection's stream.
pub(super) struct Wire {
    socket: Socket,
    frames: Frames,
    /// Done when the stream is to end.
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Tells that lapin has let go of the stream.
    _gone: DropGuard,
}

/// Connects to the broker, with TLS where `uri` says so. `end` ends the attempt, and later the
/// stream; `gone` is cancelled when the stream is let go of.
pub(super) async fn connect(
    uri: &AMQPUri,
    tls: &OwnedTLSConfig,
    runtime: &Runtime<Tokio>,
    end: CancellationToken,
    gone: CancellationToken,
) -> io::Result<AsyncTcpStream<Wire>> {
    let connecting = uri.connect_with_config_async(tls.as_ref(), runtime);
    let socket = end.run_until_cancelled(connecting).await.ok_or_else(ended)??;
    Ok(AsyncTcpStream::Plain(Wire::new(socket, end, gone)))
}

impl Wire {
    fn new(socket: Socket, end: CancellationToken, gone: CancellationToken) -> Self {
        let ending = Box::pin(end.cancelled_owned());
        Self { socket, frames: Frames::default(), ending, _gone: gone.drop_guard() }
    }

    fn check_ended(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.ending.as_mut().poll(context) {
            Poll::Ready(()) => Err(ended()),
            Poll::Pending => Ok(()),
        }
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was given up")
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.check_ended(context)?;
        let Self { socket, frames, .. } = &mut *self;
        frames.poll_read(buffer, |buffer| Pin::new(&mut *socket).poll_read(context, buffer))
    }
}

/// Reading notices the end; writing goes on until then.
impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_ended(context)?;
        Pin::new(&mut self.socket).poll_close(context)
    }
}

impl RuntimeKit for WireTokio {}

impl Executor for WireTokio {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for WireTokio {
    type TcpStream = Wire;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Nothing here has a socket to register.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Wire, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Wire>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move {
            let end = CancellationToken::new();
            let gone = CancellationToken::new();
            Ok(Wire::new(AsyncTcpStream::Plain(connecting.await?), end, gone))
        }
    }
}
