//! Listeners that a process passes on to the one which replaces it (socket takeover).
//!
//! ```text
//! old   serves ─────────────────────────┬─ SIGTERM: accepts nothing more, finishes ─ ends
//!                   the same listeners  │
//! new             start ── takes them ──┴─ ready: serves, offers them to the next one ─────▶
//! ```
//!
//! Both processes have the very same sockets, each with its one backlog: a connection waits there until
//! either of them accepts it, and none is refused or reset when the old one closes its copies. Two sockets on
//! one port (`SO_REUSEPORT`) would not do: each has a backlog of its own, and what waits in that of
//! the one that is closed is reset; and a stranger's process could share the port unnoticed.
//!
//! The listeners are offered at a Unix socket, `[server] takeover_socket`, to processes of the same
//! user. It is there once the process serves, so that whoever replaces processes sees by it that
//! one is ready.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::net::UnixListener;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

/// Listeners of one process at most: one for callers, one for operators.
const LISTENERS_MAX: usize = 2;
/// How long a predecessor may take to pass its listeners on.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// After which the next successor is waited for when one could not be.
const RETRY: Duration = Duration::from_millis(100);
/// How long kept connections of a replaced process may stand idle before they are closed. Until then,
/// the next answer says that they end, so that no request meets a connection that is being closed.
pub(crate) const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Listeners that a predecessor has passed on.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Vec<TcpListener>);

impl Inherited {
    /// Asks the predecessor that offers its listeners at `path`; an empty path is none.
    ///
    /// # Errors
    /// Nobody is there, or answers in time.
    pub(crate) async fn from(path: &Path) -> io::Result<Self> {
        if path.as_os_str().is_empty() {
            return Ok(Self::default());
        }
        let path = path.to_owned();
        spawn_blocking(move || receive(&path)).await?.map(Self)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The listener that is open at one of these addresses.
    pub(crate) fn take(&mut self, addresses: &[SocketAddr]) -> Option<TcpListener> {
        let is_there =
            |one: &TcpListener| one.local_addr().is_ok_and(|there| addresses.contains(&there));
        let found = self.0.iter().position(is_there)?;
        Some(self.0.swap_remove(found))
    }
}

fn receive(path: &Path) -> io::Result<Vec<TcpListener>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received =
        recvmsg(&stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let listener = |file: OwnedFd| -> io::Result<TcpListener> {
        fcntl_setfd(&file, FdFlags::CLOEXEC)?;
        let listener = TcpListener::from(file);
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    rights.flatten().map(listener).collect()
}

/// The offer of listeners to a successor, until it is withdrawn or dropped.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Serves the offer; it has copies of the listeners, which stay open for as long.
    task: JoinSet<()>,
    path: PathBuf,
    was_taken: Arc<AtomicBool>,
}

impl Offer {
    /// Offers copies of these listeners at `path`; an empty path offers nothing.
    ///
    /// # Errors
    /// The socket cannot be made: somebody listens there, or there is a file that is none.
    pub(crate) fn make(
        path: &Path,
        listeners: impl IntoIterator<Item = OwnedFd>,
    ) -> io::Result<Option<Self>> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        remove_abandoned(path);
        let socket = UnixListener::bind(path)?;
        let was_taken = Arc::new(AtomicBool::new(false));
        let offering = offer(socket, listeners.into_iter().collect(), was_taken.clone());
        let task = JoinSet::from_iter([offering]);
        let path = path.to_owned();
        Ok(Some(Self { task, path, was_taken }))
    }

    /// Ends the offer and closes its copies; says whether a successor has taken them.
    pub(crate) async fn withdraw(mut self) -> bool {
        self.task.shutdown().await;
        self.was_taken.load(Ordering::Acquire)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

/// Takes a socket away whose process has ended.
fn remove_abandoned(path: &Path) {
    let is_socket = |path: &Path| {
        std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
    };
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket(path) && UnixStream::connect(path).is_err_and(refused) {
        let _bind_says_what_is_wrong = std::fs::remove_file(path);
    }
}

async fn offer(socket: UnixListener, listeners: Vec<OwnedFd>, was_taken: Arc<AtomicBool>) {
    let own = rustix::process::geteuid().as_raw();
    loop {
        let Ok((stream, _)) = socket.accept().await else {
            sleep(RETRY).await;
            continue;
        };
        if stream.peer_cred().is_ok_and(|peer| peer.uid() == own) {
            match pass_on(&stream, &listeners) {
                Ok(()) => was_taken.store(true, Ordering::Release),
                Err(error) => tracing::warn!(error = %error, "the listeners were not passed on"),
            }
        }
    }
}

fn pass_on(successor: impl AsFd, listeners: &[OwnedFd]) -> io::Result<()> {
    let files: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // One byte, which a fresh socket has room for.
    sendmsg(successor, &[IoSlice::new(&[1])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
